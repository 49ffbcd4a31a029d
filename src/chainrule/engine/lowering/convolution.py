"""Convolution and its gradients.

conv2d(x, w[, bias]) → activation(x ⋆ w + bias)
"""

from __future__ import annotations

import math

from chainrule.engine.layout import Layout
from chainrule.engine.lowering.conditions import (
    in_order_between,
    one_float_dtype,
    results_in_order,
    whole_elements,
)
from chainrule.engine.lowering.contract import NONE, RELU
from chainrule.engine.lowering.table import Case, row
from chainrule.engine.lowering.window import as_images, stride_padding_dilation
from chainrule.primitive import Shape

# Limits of the memory of a thread; see conv.cpp and conv_weight.cpp.
MAX_ROW_BYTES = 256 * 1024
MAX_TAPS = 8192  # of one channel
BAND = 1024  # columns of u that the gradient by the weight processes together


def fits(case: Case, kernel: Layout, columns: int, stride: int) -> bool:
    """Whether the rows of one channel that a kernel covers, for this many columns of positions, fit
    into the memory of a thread."""
    height, width = kernel.shape[2:]
    *_, down, across = stride_padding_dilation(case)
    rows, pixels = (height - 1) * down + 1, (columns - 1) * stride + (width - 1) * across + 1
    small = rows * pixels * kernel.dtype.itemsize <= MAX_ROW_BYTES
    return small and kernel.size > 0 and math.prod(kernel.shape[2:]) <= MAX_TAPS


def input_fits(case: Case) -> bool:
    return fits(case, case.inputs[1], case.outputs[0].shape[3], stride_padding_dilation(case)[1])


def spread_fits(case: Case) -> bool:
    return fits(case, case.inputs[1], case.outputs[0].shape[3] + 1, 1)


def band_fits(case: Case) -> bool:
    columns = min(case.inputs[1].shape[3], BAND)
    return fits(case, case.outputs[0], columns, stride_padding_dilation(case)[1])


def has_bias(case: Case) -> Shape:
    return (len(case.inputs) - 2,)


def geometry(case: Case) -> Shape:
    return (*stride_padding_dilation(case), case.params["geometry"].groups)


def whole(case: Case) -> bool:
    """The strides of all operands are multiples of the element size."""
    return all(map(whole_elements, case.operands))


PLAIN = (one_float_dtype, whole, results_in_order)

for name, activation in (("convolution", NONE), ("convolution_relu", RELU)):
    row(
        name,
        kernel="conv2d",
        sees=as_images,
        needs=(*PLAIN, in_order_between(2, 3), input_fits),
        ints=(has_bias, activation, geometry),
    )
row(
    "convolution_input",
    kernel="conv2d_input",
    sees=as_images,
    needs=(*PLAIN, in_order_between(2, 3), spread_fits),
    ints=(has_bias, NONE, geometry),
)
row(
    "convolution_weight",
    kernel="conv2d_weight",
    sees=as_images,
    needs=(*PLAIN, band_fits),
    ints=(geometry,),
)
