"""Pooling over 1, 2 and 3 dimensions as layers. Options and documentation are those of the
functions in `nn.functional`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer
from chainrule.tensor import Tensor


class _Pool(FunctionLayer):
    """Base class of pools with a kernel size, which is also the default of `stride`."""

    shown = "kernel_size= stride= padding="

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.options["stride"] is None:
            self.options["stride"] = self.options["kernel_size"]


class _MaxPool(_Pool):
    """Base class of max pools. As in PyTorch's layers, `return_indices` comes before `ceil_mode`
    in the constructor, unlike in the functions."""

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
