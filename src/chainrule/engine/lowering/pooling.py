"""Pooling, and the gradient of the mean."""

from __future__ import annotations

from chainrule.engine.lowering.conditions import all_in_order, floats
from chainrule.engine.lowering.table import Case, row
from chainrule.engine.lowering.window import as_images, in_two, stride_padding_dilation
from chainrule.primitive import Shape


def few_pixels(case: Case) -> bool:
    """Positions in a plane fit into 32 bits."""
    return case.inputs[0].size < 2**31


def window(case: Case) -> Shape:
    """The sizes of the kernel, and the stride, padding and dilation."""
    return (*in_two(case.params["kernel"], 1), *stride_padding_dilation(case))


NEEDS = (floats, all_in_order, few_pixels)

row("max_pool", kernel="max_pool2d_with_positions", sees=as_images, needs=NEEDS, ints=(window, 1))
row("avg_pool", kernel="avg_pool2d", sees=as_images, needs=NEEDS, ints=(window, "divisor"))
row(
    "avg_pool_input",
    kernel="avg_pool2d_input",
    sees=as_images,
    needs=NEEDS,
    ints=(window, "divisor"),
)
