"""Convolution and transposed convolution over 1, 2 and 3 dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.errors import ArgumentError
from chainrule.nn import init
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.functional.convolution import (
    conv,
    conv_transpose,
    convolution_geometry,
    transposed_geometry,
)
from chainrule.nn.functional.dimensions import Size
from chainrule.nn.functional.padding import pad
from chainrule.nn.parameter import Parameter
from chainrule.nn.spatial import Spatial
from chainrule.ops.creation import empty
from chainrule.ops.window import Geometry, per_dimension
from chainrule.primitive import Shape
from chainrule.tensor import Tensor

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Spatial):
    """Base class of convolutions and transposed convolutions: their sizes, weights and bias."""

    shown = "in_channels out_channels kernel_size= stride="
    transposed: ClassVar[bool]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Shape,
        geometry: Geometry,
        bias: bool,
        dtype: Any,
    ) -> None:
        name, groups = type(self).__name__, geometry.groups
        check_counts(name, in_channels=in_channels, out_channels=out_channels)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"groups of {name} must divide both numbers of channels",
                given=f"groups {groups}, channels {in_channels} → {out_channels}",
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel
        self.stride = geometry.stride
        self.dilation = geometry.dilation
        self.groups = groups
        sides = (in_channels, out_channels)
        first, second = sides if self.transposed else reversed(sides)
        self.weight = Parameter(empty(first, second // groups, *kernel, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize weight and bias anew."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def short_repr(self) -> str:
        return f"{self.in_channels} → {self.out_channels}, {'×'.join(map(str, self.kernel_size))}"


class _Convolution(_ConvNd):
    """Base class of Conv1d, Conv2d and Conv3d."""

    text = """y[b,o] = bias[o] + Σ_c weight[o,c] ⋆ x[b,c]: (N, C, {sizes}) → (N, O, {sizes:'}).

    Each size becomes ⌊(size + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1 (LeCun et al., 1989).
    `padding` is a number (or one for each dimension), "valid" (0), or "same", which keeps the sizes
    and needs stride 1. `padding_mode` is "zeros", "reflect", "replicate" or "circular" (see
    `functional.pad`). `groups` divides the channels into groups that are convolved separately.
    weight (O, C/groups, *kernel_size) and bias (O) are initialized from U(−b, b),
    b = 1/√(C/groups·Π kernel_size). An input without N is accepted.

    Raises ShapeError for another number of channels, or a kernel larger than the padded input, and
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> Conv{n}d(3, 16, 3, padding=1)(cr.zeros(2, 3, {sizes:8})).shape
    (2, 16, {sizes:8})
    """
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
    ) -> None:
        kernel = per_dimension(kernel_size, self.dimensions, "kernel_size", 1)
        geometry = convolution_geometry(self.dimensions, kernel, stride, padding, dilation, groups)
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                "unknown padding_mode",
                given=repr(padding_mode),
                expected=", ".join(map(repr, PADDING_MODES)),
            )
        super().__init__(in_channels, out_channels, kernel, geometry, bias, dtype)
        before = tuple(p for p, _ in geometry.padding)
        self.padding = padding if isinstance(padding, str) else before
        self.output_padding = (0,) * self.dimensions
        self.padding_mode = padding_mode
        self._border = [width for widths in reversed(geometry.padding) for width in widths]

    def forward(self, input: Tensor) -> Tensor:
        bordered = self.padding_mode != "zeros"
        if bordered:
            input = pad(input, self._border, self.padding_mode)
        padding = 0 if bordered else self.padding
        return conv[self.dimensions - 1](
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Convolution, dimensions=1): ...


class Conv2d(_Convolution, dimensions=2): ...


class Conv3d(_Convolution, dimensions=3): ...


class _TransposedConvolution(_ConvNd):
    """Base class of ConvTranspose1d, ConvTranspose2d and ConvTranspose3d."""

    text = """y[b] = bias + the adjoint of `Conv{n}d` at x[b]: (N, C, {sizes}) → (N, O, {sizes:'}).

    Each size becomes (size − 1)·stride − 2·padding + dilation·(k − 1) + output_padding + 1 (Zeiler
    et al., 2010). With stride s, a convolution maps s different input sizes to the same size.
    `output_padding`, or `output_size` in a call, selects one of them. weight
    (C, O/groups, *kernel_size) and bias (O) are initialized from U(−b, b),
    b = 1/√(O/groups·Π kernel_size). An input without N is accepted.

    Raises ShapeError for another number of channels, and ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> layer = ConvTranspose{n}d(16, 3, 3, stride=2)
    >>> layer(cr.zeros(2, 16, {sizes:4})).shape
    (2, 3, {sizes:9})
    >>> layer(cr.zeros(2, 16, {sizes:4}), output_size=[{sizes:10}]).shape
    (2, 3, {sizes:10})
    """
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
    ) -> None:
        n = self.dimensions
        if padding_mode != "zeros":
            raise ArgumentError(
                f"{type(self).__name__} supports only the padding_mode 'zeros'",
                given=repr(padding_mode),
            )
        kernel = per_dimension(kernel_size, n, "kernel_size", 1)
        geometry = transposed_geometry(n, stride, padding, output_padding, groups, dilation)
        super().__init__(in_channels, out_channels, kernel, geometry, bias, dtype)
        self.padding = tuple(p for p, _ in geometry.padding)
        self.output_padding = per_dimension(output_padding, n, "output_padding", 0)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._padding_for(tuple(output_size), input.shape)
        stride, dilation = self.stride, self.dilation
        return conv_transpose[self.dimensions - 1](
            input, self.weight, self.bias, stride, self.padding, extra, self.groups, dilation
        )

    def _padding_for(self, output_size: Shape, shape: Shape) -> Shape:
        """The output_padding that results in `output_size` for an input of this shape."""
        n = self.dimensions
        geometry = Geometry.of(n, self.stride, self.padding, self.dilation)
        least = geometry.sizes(shape, self.kernel_size)
        steps = tuple(map(max, self.stride, self.dilation))
        extra = tuple(size - low for size, low in zip(output_size[-n:], least, strict=False))
        if len(extra) < n or any(not 0 <= e < step for e, step in zip(extra, steps, strict=True)):
            most = tuple(low + step - 1 for low, step in zip(least, steps, strict=True))
            raise ArgumentError(
                f"{type(self).__name__} cannot make this output_size",
                given=f"{output_size} from an input {shape}",
                expected=f"sizes from {least} to {most}",
            )
        return extra


class ConvTranspose1d(_TransposedConvolution, dimensions=1): ...


class ConvTranspose2d(_TransposedConvolution, dimensions=2): ...


class ConvTranspose3d(_TransposedConvolution, dimensions=3): ...
