"""Windows over images, as kernels take them. One dimension becomes an image of height 1.

There are no kernels for three dimensions.
"""

from __future__ import annotations

from chainrule.engine.layout import Layout
from chainrule.engine.lowering.conditions import seen
from chainrule.engine.lowering.table import Case
from chainrule.primitive import Shape


def as_images(case: Case) -> Case | None:
    """Inputs, kernels and results as images (N, C, H, W); None for more than two dimensions."""
    if case.params["geometry"].dimensions > 2:
        return None
    return seen(case, list(map(as_image, case.inputs)), list(map(as_image, case.outputs)))


def as_image(x: Layout) -> Layout:
    """(N, C, L) as (N, C, 1, L) over the same memory."""
    if len(x.shape) != 3:
        return x
    row = x.shape[2] * x.strides[2]
    return Layout((*x.shape[:2], 1, x.shape[2]), x.dtype, (*x.strides[:2], row, x.strides[2]))


def in_two(numbers: Shape, height: int) -> Shape:
    """Numbers for height and width. For one dimension, `height` is added."""
    return numbers if len(numbers) == 2 else (height, *numbers)


def stride_padding_dilation(case: Case) -> Shape:
    """The stride, the padding before the image, and the dilation, each for height and width."""
    geometry = case.params["geometry"]
    before = tuple([p for p, _ in geometry.padding])
    return (*in_two(geometry.stride, 1), *in_two(before, 0), *in_two(geometry.dilation, 1))
