"""Pooling over 1, 2 and 3 dimensions as layers. Options and documentation are those of the
functions in `nn.functional`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer
from chainrule.nn.functional.dimensions import Size
from chainrule.nn.functional.pooling import pool_geometry
from chainrule.nn.functional.unpooling import max_unpool
from chainrule.nn.spatial import Spatial
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


class _LPPool(FunctionLayer):
    """Base class of pools with a norm."""

    shown = "norm_type= kernel_size= stride= ceil_mode="


class LPPool1d(_LPPool, of=functional.lp_pool1d): ...


class LPPool2d(_LPPool, of=functional.lp_pool2d): ...


class LPPool3d(_LPPool, of=functional.lp_pool3d): ...


class FractionalMaxPool2d(FunctionLayer, of=functional.fractional_max_pool2d): ...


class FractionalMaxPool3d(FunctionLayer, of=functional.fractional_max_pool3d): ...


class _MaxUnpool(Spatial):
    """Base class of MaxUnpool1d, MaxUnpool2d and MaxUnpool3d."""

    text = """y = 0, but x at its positions: (N, C, {sizes:'}), positions → (N, C, {sizes}).

    The inverse of `MaxPool{n}d(..., return_indices=True)` with the same options, for the largest
    elements. See `functional.max_unpool{n}d`.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> y, positions = nn.MaxPool{n}d(2, return_indices=True)(cr.ones(1, 2, {sizes:5}))
    >>> MaxUnpool{n}d(2)(y, positions, output_size=(1, 2, {sizes:5})).shape
    (1, 2, {sizes:5})
    """
    shown = "kernel_size= stride= padding="

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        kernel, geometry = pool_geometry(self.dimensions, kernel_size, stride, padding)
        self.kernel_size = kernel
        self.stride = geometry.stride
        self.padding = tuple(p for p, _ in geometry.padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        options = self.kernel_size, self.stride, self.padding, output_size
        return max_unpool[self.dimensions - 1](input, indices, *options)


class MaxUnpool1d(_MaxUnpool, dimensions=1): ...


class MaxUnpool2d(_MaxUnpool, dimensions=2): ...


class MaxUnpool3d(_MaxUnpool, dimensions=3): ...


class AdaptiveMaxPool1d(FunctionLayer, of=functional.adaptive_max_pool1d): ...


class AdaptiveMaxPool2d(FunctionLayer, of=functional.adaptive_max_pool2d): ...


class AdaptiveMaxPool3d(FunctionLayer, of=functional.adaptive_max_pool3d): ...


class AdaptiveAvgPool1d(FunctionLayer, of=functional.adaptive_avg_pool1d): ...


class AdaptiveAvgPool2d(FunctionLayer, of=functional.adaptive_avg_pool2d): ...


class AdaptiveAvgPool3d(FunctionLayer, of=functional.adaptive_avg_pool3d): ...
