"""Convolution and transposed convolution over 1, 2 and 3 dimensions."""

from __future__ import annotations

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.dimensions import Size, in_dimensions, over_batch, remembered
from chainrule.ops import convolution
from chainrule.ops.convolution import require_weights
from chainrule.ops.rules import channels_hint
from chainrule.ops.window import Geometry, per_dimension
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


@remembered
def convolution_geometry(
    n: int, kernel: Shape, stride: Size, padding: Size | str, dilation: Size, groups: int = 1
) -> Geometry:
    """The geometry of a kernel of these sizes; `padding` may be "valid" or "same".

    If "same" needs an odd number of zeros, the end gets one more:

    >>> convolution_geometry(1, (4,), 1, "same", 1).padding
    ((1, 2),)
    """
    if not isinstance(padding, str):
        return Geometry.of(n, stride, padding, dilation, groups)
    geometry = Geometry.of(n, stride, 0, dilation, groups)
    if padding not in ("same", "valid"):
        raise ArgumentError(
            "unknown padding", given=repr(padding), expected="'same', 'valid' or numbers"
        )
    if padding == "valid":
        return geometry
    if max(geometry.stride) > 1:
        raise ArgumentError("padding='same' needs stride 1", given=f"stride {stride}")
    total = [d * (k - 1) for d, k in zip(geometry.dilation, kernel, strict=False)]
    return geometry._replace(padding=tuple((t // 2, t - t // 2) for t in total))


@remembered
def transposed_geometry(
    n: int, stride: Size, padding: Size, output_padding: Size, groups: int, dilation: Size
) -> Geometry:
    """The geometry of the convolution whose adjoint is computed. `output_padding` is subtracted
    from its padding at the end."""
    geometry = Geometry.of(n, stride, padding, dilation, groups)
    extra = per_dimension(output_padding, n, "output_padding", 0)
    steps = map(max, geometry.stride, geometry.dilation)
    if any(e >= step for e, step in zip(extra, steps, strict=True)):
        raise ArgumentError(
            "output_padding must be smaller than stride or dilation",
            given=f"output_padding {output_padding}, stride {stride}, dilation {dilation}",
        )
    widths = zip(geometry.padding, extra, strict=True)
    return geometry._replace(padding=tuple((p, q - e) for (p, q), e in widths))


@in_dimensions
def conv(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """y[b,o] = bias[o] + Σ_c weight[o,c] ⋆ x[b,c]: (N, C, {sizes}) → (N, O, {sizes:'}).

    weight (O, C/groups, ...), bias (O). Each size becomes ⌊(size + 2·padding − dilation·(k − 1) −
    1)/stride⌋ + 1. `padding` is a number of zeros (or one for each dimension), "valid" (none), or
    "same", which keeps the sizes and needs stride 1. An input without N is accepted. Raises
    ShapeError for channels that do not fit and for a kernel larger than the padded input.

    >>> import chainrule as cr
    >>> conv{n}d(cr.ones(1, 3, {sizes:8}), cr.ones(4, 3, {sizes:3}), padding="same").shape
    (1, 4, {sizes:8})
    """
    check_tensors(f"conv{n}d", input=input, weight=weight)
    channels = weight.shape[1] * groups
    if input.ndim == n + 1 and input.shape[0] != channels:
        raise _without_batch(n, input.shape, channels)
    geometry = convolution_geometry(n, weight.shape[2:], stride, padding, dilation, groups)
    rest = (weight,) if bias is None else (weight, bias)
    y: Tensor = over_batch(n, convolution.convolution, input, *rest, geometry=geometry)
    return y


conv1d, conv2d, conv3d = conv


def _without_batch(n: int, shape: Shape, channels: int) -> ShapeError:
    """The error for an input without N, or without C, with another first dimension."""
    sizes = ", ".join(map(str, shape[1:]))
    otherwise = (
        "Use x.unsqueeze(1)." if channels == 1 else f"Did you mean Conv{n}d({shape[0]}, ...)?"
    )
    hint = channels_hint(shape, channels, otherwise, dim=0)
    return ShapeError(
        f"the input has {shape[0]} channels, this layer expects {channels}",
        given=shape,
        expected=f"(N, {channels}, {sizes}), or ({channels}, {sizes}) for a single example",
        instead=hint,
    )


@in_dimensions
def conv_transpose(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """y[b] = bias + the adjoint of `conv{n}d` at x[b]: (N, C, {sizes}) → (N, O, {sizes:'}).

    weight (C, O/groups, ...), bias (O). Each size becomes (size − 1)·stride − 2·padding +
    dilation·(k − 1) + output_padding + 1 (Zeiler et al., 2010). `padding` removes elements at both
    ends; `output_padding` adds elements at the end, and must be smaller than stride or dilation.
    An input without N is accepted. Raises ShapeError for channels that do not fit, and if no
    element remains.

    >>> import chainrule as cr
    >>> conv_transpose{n}d(cr.ones(1, 3, {sizes:4}), cr.ones(3, 2, {sizes:3}), stride=2).shape
    (1, 2, {sizes:9})
    """
    check_tensors(f"conv_transpose{n}d", input=input, weight=weight)
    geometry = transposed_geometry(n, stride, padding, output_padding, groups, dilation)
    rest = (weight,) if bias is None else (weight, bias)
    batch = input.unsqueeze(0) if input.ndim == n + 1 else input
    require_weights("transposed convolution", batch, weight, rest[1:], geometry)
    sizes = geometry.sizes(batch.shape, weight.shape)
    shape = (batch.shape[0], weight.shape[1] * groups, *sizes)
    y: Tensor = convolution.convolution_input(batch, *rest, shape=shape, geometry=geometry)
    return y if batch is input else y.squeeze(0)


conv_transpose1d, conv_transpose2d, conv_transpose3d = conv_transpose
