"""Layers that resize the spatial dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.nn import functional
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

Sizes = int | Sequence[int]
Factor = float | Sequence[float]


class Upsample(Module):
    """Resize the spatial dimensions to `size`, or by `scale_factor`: (N, C, L), (N, C, H, W) or
    (N, C, D, H, W).

    The options are those of `functional.interpolate`.

    >>> import chainrule as cr
    >>> Upsample(scale_factor=2, mode="bilinear")(cr.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factor | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size = size
        self.scale_factor: Factor | None = None
        if isinstance(scale_factor, Sequence):
            self.scale_factor = tuple(map(float, scale_factor))
        elif scale_factor is not None:
            self.scale_factor = float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return functional.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        given = "size" if self.scale_factor is None else "scale_factor"
        return f"{given}={getattr(self, given)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resize (N, C, H, W) to `size`, or by `scale_factor`, with the nearest elements.

    >>> import chainrule as cr
    >>> UpsamplingNearest2d(scale_factor=2)(cr.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factor | None = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Resize (N, C, H, W) to `size`, or by `scale_factor`, in mode "bilinear" with aligned corners.

    >>> import chainrule as cr
    >>> UpsamplingBilinear2d(size=(8, 9))(cr.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 9)
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factor | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)
