"""Pooling over 1, 2 and 3 dimensions, as layers: the functions have the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer
from chainrule.tensor import Tensor


class _Pool(FunctionLayer):
    """A pool whose windows have a kernel's size."""

    shown = "kernel_size= stride= padding="

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.options["stride"] is None:
            self.options["stride"] = self.options["kernel_size"]


class _MaxPool(_Pool):
    """A pool that may tell positions; in PyTorch's layers this option comes before `ceil_mode`."""

    shown = "kernel_size= stride= padding= dilation= ceil_mode="

    def __init_subclass__(cls, of: Callable[..., Tensor] | None = None) -> None:
        super().__init_subclass__(of)
        if of is not None:
            parameters = dict(cls.__signature__.parameters)
            parameters["ceil_mode"] = parameters.pop("ceil_mode")
            cls.__signature__ = inspect.Signature(list(parameters.values()))


class MaxPool1d(_MaxPool, of=functional.max_pool1d): ...


class MaxPool2d(_MaxPool, of=functional.max_pool2d): ...


class MaxPool3d(_MaxPool, of=functional.max_pool3d): ...


class AvgPool1d(_Pool, of=functional.avg_pool1d): ...


class AvgPool2d(_Pool, of=functional.avg_pool2d): ...


class AvgPool3d(_Pool, of=functional.avg_pool3d): ...


class AdaptiveMaxPool1d(FunctionLayer, of=functional.adaptive_max_pool1d): ...


class AdaptiveMaxPool2d(FunctionLayer, of=functional.adaptive_max_pool2d): ...


class AdaptiveMaxPool3d(FunctionLayer, of=functional.adaptive_max_pool3d): ...


class AdaptiveAvgPool1d(FunctionLayer, of=functional.adaptive_avg_pool1d): ...


class AdaptiveAvgPool2d(FunctionLayer, of=functional.adaptive_avg_pool2d): ...


class AdaptiveAvgPool3d(FunctionLayer, of=functional.adaptive_avg_pool3d): ...
