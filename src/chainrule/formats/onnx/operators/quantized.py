"""Quantized operators: real numbers as integers with a scale and a zero point.

Products of integers are computed in float64, which is exact below 2⁵³.
"""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.elementwise import converted
from chainrule.formats.onnx.operators.table import Option, as_tensor, operator
from chainrule.formats.onnx.operators.windows import Convolution, conv
from chainrule.formats.onnx.tensors import dtype_of
from chainrule.primitive import DType
from chainrule.tensor import Tensor

UINT8 = np.dtype("uint8")


def spread(value: Tensor, x: Any, axis: int, block_size: int) -> Tensor:
    """A scale or zero point as it goes with the elements of x: one, by axis, or by block."""
    if value.ndim == 0 or value.shape == (1,):
        return value.reshape(())
    if block_size:
        wide = value.repeat_interleave(block_size, axis)
        return wide.narrow(axis, 0, x.shape[axis])
    if value.ndim > 1:
        raise FormatError("scales of several dimensions need a block size", given=value.shape)
    shape = [1] * len(x.shape)
    shape[axis] = len(value)
    return value.reshape(shape)


def quantized(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: DType) -> Tensor:
    """The integers nearest to x / scale + zero point, within the limits of the dtype."""
    limits = np.iinfo(dtype)
    y = (x / scale).round()
    y = y if zero is None else y + zero.astype(y.dtype)
    return y.clamp(limits.min, limits.max).astype(dtype)


@operator("QuantizeLinear")
def quantize_linear(
    x: Tensor,
    scale: Option,
    zero: Option | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    dtype = dtype_of(output_dtype, "the result") if output_dtype else UINT8
    dtype = dtype if zero is None else zero.dtype
    x = x if x.dtype.kind == "f" else x.astype(scale.dtype)
    zero = None if zero is None else spread(zero, x, axis, block_size)
    return quantized(x, spread(scale.astype(x.dtype), x, axis, block_size), zero, dtype)


@operator("DequantizeLinear", weights=True)
def dequantize_linear(
    x: Any,
    scale: Option,
    zero: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:
    """(x − zero point)·scale."""
    dtype = dtype_of(output_dtype, "the result") if output_dtype else scale.dtype
    y = as_tensor(converted(x, scale.dtype))
    if zero is not None:
        y = y - spread(as_tensor(converted(zero, scale.dtype)), x, axis, block_size)
    return (y * spread(scale, x, axis, block_size)).astype(dtype)


def _centred(x: Tensor, zero: Tensor | None, axis: int | None = None) -> Tensor:
    """x − zero point in float64; a zero point for each row or column stands along `axis`."""
    if zero is None:
        return x.double()
    if axis is not None and zero.ndim == 1 and len(zero) > 1:
        shape = [1] * x.ndim
        shape[axis] = len(zero)
        zero = zero.reshape(shape)
    return x.double() - (zero.reshape(()) if zero.shape == (1,) else zero).double()


@operator("MatMulInteger")
def matmul_integer(
    a: Tensor, b: Tensor, a_zero: Option | None = None, b_zero: Option | None = None
) -> Tensor:
    return (_centred(a, a_zero, -2) @ _centred(b, b_zero, -1)).astype(np.int32)


@operator("QLinearMatMul")
def quantized_matmul(
    a: Tensor,
    a_scale: Option,
    a_zero: Option,
    b: Tensor,
    b_scale: Option,
    b_zero: Option,
    y_scale: Option,
    y_zero: Option,
) -> Tensor:
    product = _centred(a, a_zero, -2) @ _centred(b, b_zero, -1)
    rows = a_scale.double()
    rows = rows.unsqueeze(-1) if rows.ndim == 1 and len(rows) > 1 else rows
    return quantized(product * rows * b_scale.double(), y_scale.double(), y_zero, y_zero.dtype)


@operator("ConvInteger")
def conv_integer(
    x: Tensor,
    w: Tensor,
    x_zero: Option | None = None,
    w_zero: Option | None = None,
    **how: Unpack[Convolution],
) -> Tensor:
    y = conv(_centred(x, x_zero), _centred(w, w_zero, 0), **how)
    return y.astype(np.int32)


@operator("QLinearConv")
def quantized_conv(
    x: Tensor,
    x_scale: Option,
    x_zero: Option,
    w: Tensor,
    w_scale: Option,
    w_zero: Option,
    y_scale: Option,
    y_zero: Option,
    b: Tensor | None = None,
    **how: Unpack[Convolution],
) -> Tensor:
    bias = None if b is None else b.double()
    y = conv(_centred(x, x_zero), _centred(w, w_zero, 0), bias, **how)
    scale = x_scale.double() * spread(w_scale.double(), y, 1, 0)
    return quantized(y * scale, y_scale.double(), y_zero, y_zero.dtype)
