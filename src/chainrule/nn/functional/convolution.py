"""Convolution and transposed convolution over 1, 2 and 3 dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.errors import ArgumentError, ShapeError
from chainrule.gateway import apply
from chainrule.nn.functional import records
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.dimensions import Size, in_dimensions, over_batch
from chainrule.ops.window import Geometry, per_dimension
from chainrule.tensor import Tensor


def convolution_geometry(
    kernel: Sequence[int], stride: Size, padding: Size | str, dilation: Size, groups: int = 1
) -> Geometry:
    """The geometry of a kernel of these sizes; `padding` may be "valid" or "same".

    >>> convolution_geometry((4,), 1, "same", 1).padding  # an odd zero goes to the end
    ((1, 2),)
    """
    n = len(kernel)
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
    total = [d * (k - 1) for d, k in zip(geometry.dilation, kernel, strict=True)]
    return geometry._replace(padding=tuple((t // 2, t - t // 2) for t in total))


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
    1)/stride⌋ + 1. `padding` is a number of zeros (or one for each dimension), "valid" (none) or
    "same" (sizes stay; stride 1 only). An input without N is accepted. Raises ShapeError for
    channels that do not fit and for a kernel larger than the padded input.

    >>> import chainrule as cr
    >>> conv{n}d(cr.ones(1, 3, {sizes:8}), cr.ones(4, 3, {sizes:3}), padding="same").shape
    (1, 4, {sizes:8})
    """
    check_tensors(f"conv{n}d", input=input, weight=weight)
    _check_weight(f"conv{n}d", n, weight)
    geometry = convolution_geometry(weight.shape[2:], stride, padding, dilation, groups)
    y = over_batch(n, lambda x: apply(records.convolution, x, weight, geometry=geometry), input)
    return _with_bias(f"conv{n}d", n, y, bias, weight.shape[0])


conv1d, conv2d, conv3d = conv


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
    """The adjoint of `conv{n}d`, which spreads each element: (N, C, {sizes}) → (N, O, {sizes:'}).

    weight (C, O/groups, ...), bias (O). Each size becomes (size − 1)·stride − 2·padding +
    dilation·(k − 1) + output_padding + 1 (Zeiler et al., 2010). `padding` leaves out elements at
    the border; `output_padding` adds some at the end, fewer than stride or dilation. An input
    without N is accepted. Raises ShapeError for channels that do not fit, and when nothing is left.

    >>> import chainrule as cr
    >>> conv_transpose{n}d(cr.ones(1, 3, {sizes:4}), cr.ones(3, 2, {sizes:3}), stride=2).shape
    (1, 2, {sizes:9})
    """
    name = f"conv_transpose{n}d"
    check_tensors(name, input=input, weight=weight)
    _check_weight(name, n, weight)
    geometry = transposed_geometry(n, stride, padding, output_padding, groups, dilation)

    def transposed(x: Tensor) -> Tensor:
        sizes = geometry.sizes(x.shape, weight.shape)
        shape = (x.shape[0], weight.shape[1] * groups, *sizes)
        y: Tensor = apply(records.convolution_input, x, weight, shape=shape, geometry=geometry)
        return y

    y = over_batch(n, transposed, input)
    return _with_bias(name, n, y, bias, weight.shape[1] * groups)


conv_transpose1d, conv_transpose2d, conv_transpose3d = conv_transpose


def transposed_geometry(
    n: int, stride: Size, padding: Size, output_padding: Size, groups: int, dilation: Size
) -> Geometry:
    """The geometry of the convolution whose adjoint this is: output_padding is padding less."""
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


def _check_weight(name: str, n: int, weight: Tensor) -> None:
    if weight.ndim != n + 2:
        raise ShapeError(
            f"the weights of {name} have {n + 2} dimensions",
            given=weight.shape,
            expected="two numbers of channels, then the sizes of the kernel",
        )


def _with_bias(name: str, n: int, y: Tensor, bias: Tensor | None, channels: int) -> Tensor:
    if bias is None:
        return y
    check_tensors(name, bias=bias)
    if bias.shape != (channels,):
        raise ShapeError(
            f"the bias of {name} has another size", given=bias.shape, expected=(channels,)
        )
    return y + bias.reshape(channels, *(1,) * n)
