"""The computations of layers: linear, windows, normalization, dropout and look-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.gateway import apply
from chainrule.nn.functional import records
from chainrule.nn.functional.activation import into
from chainrule.nn.functional.checks import (
    check_positive,
    check_probability,
    check_tensors,
    sizes_of,
)
from chainrule.nn.functional.softmax import safe_softmax
from chainrule.ops import contract, window
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.rules import broadcast_shapes
from chainrule.settings import use
from chainrule.tensor import Tensor

# -- linear and convolution ----------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x·Wᵀ + b: (..., in), (out, in), (out) → (..., out).

    >>> import chainrule as cr
    >>> linear(cr.ones(2, 3), cr.ones(4, 3), cr.zeros(4)).shape
    (2, 4)
    """
    y: Tensor
    if bias is not None:
        y = apply(records.linear, input, weight, bias)
        return y
    if isinstance(input, Tensor):
        contract.same_float("linear", input, weight)
        contract.linear_rule(input, weight)
    y = contract.matmul(input, weight.T)
    return y


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o] = b[o] + Σ_c W[o,c] ⋆ x[n,c]: (N, C, H, W), (O, C/groups, kh, kw) → (N, O, H', W').

    `padding` is a number of zeros (or two), "valid" (none) or "same" (H' = H; stride 1 only).
    An image without N is accepted.

    >>> import chainrule as cr
    >>> conv2d(cr.ones(1, 3, 8, 8), cr.ones(4, 3, 3, 3), padding="same").shape
    (1, 4, 8, 8)
    """
    if not isinstance(input, Tensor):
        check_tensors("conv2d", input=input)
    if input.ndim == 3 and weight.ndim == 4:
        batch = conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups)
        return batch.squeeze(0)
    if isinstance(padding, str):
        input, padding = padded_as(padding, input, weight, stride, dilation)
    y: Tensor = records.conv2d(input, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def padded_as(
    padding: str, input: Tensor, weight: Tensor, stride: Any, dilation: Any
) -> tuple[Tensor, Any]:
    """The input and the number of zeros that "same" or "valid" stand for."""
    if padding == "valid":
        return input, 0
    if padding != "same":
        raise ArgumentError("unknown padding", given=repr(padding), expected="'same' or 'valid'")
    if window.pair(stride, "stride", 1) != (1, 1):
        raise ArgumentError("padding='same' needs stride 1", given=f"stride {stride}")
    steps = window.pair(dilation, "dilation", 1)
    total = [d * (k - 1) for d, k in zip(steps, weight.shape[2:], strict=True)]
    if any(n % 2 for n in total):  # the odd zero goes to the end, as in PyTorch
        input = pad(input, (0, total[1] % 2, 0, total[0] % 2))
    return input, (total[0] // 2, total[1] // 2)


# -- pooling -------------------------------------------------------------------------------------


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest pixel of each window; the stride is the kernel's size unless given.

    With `return_indices` also its position in the H·W plane.

    >>> import chainrule as cr
    >>> max_pool2d(cr.arange(16).float().reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.], [13., 15.]]]])
    """
    if not isinstance(input, Tensor):
        check_tensors("max_pool2d", input=input)
    if input.ndim == 3:
        both = records.max_pool2d(input.unsqueeze(0), kernel_size, stride, padding)
        both = tuple(y.squeeze(0) for y in both)
    else:
        both = records.max_pool2d(input, kernel_size, stride, padding)
    return both if return_indices else both[0]


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window; the stride is the kernel's size unless given.

    The zeros of the padding count unless `count_include_pad=False`; `divisor_override` replaces
    the number that the sum is divided by.

    >>> import chainrule as cr
    >>> avg_pool2d(cr.arange(16).float().reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5,  4.5], [10.5, 12.5]]]])
    """
    if not isinstance(input, Tensor):
        check_tensors("avg_pool2d", input=input)
    if input.ndim == 3:
        rest = (kernel_size, stride, padding, count_include_pad, divisor_override)
        return avg_pool2d(input.unsqueeze(0), *rest).squeeze(0)
    y: Tensor = records.avg_pool2d(input, kernel_size, stride, padding)
    if divisor_override is not None:
        check_positive("avg_pool2d", divisor_override=divisor_override)
        height, width = window.pair(kernel_size, "kernel_size", 1)
        return y * (height * width / divisor_override)
    if count_include_pad or padding in (0, (0, 0)):
        return y
    ones = Tensor(np.ones((1, 1, *input.shape[2:]), input.dtype))
    y = y / records.avg_pool2d(ones, kernel_size, stride, padding)
    return y


# -- normalization -------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x − m)/√(v + ε)·w + b for each channel of (N, C, ...) (Ioffe & Szegedy, 2015).

    In training m and v are of the batch, and the running ones (if any) move towards them:
    r ← (1 − momentum)·r + momentum·m, with the unbiased v. Otherwise m and v are the running ones.
    Raises ArgumentError in training when a channel has fewer than two values.

    >>> import chainrule as cr
    >>> batch_norm(cr.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.], [ 1.]])
    """
    if not isinstance(input, Tensor):
        check_tensors("batch_norm", input=input)
    if input.ndim < 2:
        raise ShapeError("batch_norm works on (N, C, ...)", given=input.shape)
    per_channel = (1, input.shape[1], *(1,) * (input.ndim - 2))
    if training:
        dims = (0, *range(2, input.ndim))
        n = values_per_channel(input, dims)
        y, mean, var = apply(records.normalize, input, dims=dims, eps=eps)
        if running_mean is not None and running_var is not None:
            with use(gradients=False):
                _move(running_mean, mean, momentum)
                _move(running_var, var * (n / (n - 1)), momentum)
    elif running_mean is None or running_var is None:
        raise ArgumentError("batch_norm outside of training needs running_mean and running_var")
    else:
        scale = (running_var + eps).rsqrt().reshape(per_channel)
        y = (input - running_mean.reshape(per_channel)) * scale
    if weight is not None:
        y = y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def _move(running: Tensor, now: Tensor, momentum: float | Tensor) -> None:
    """running ← (1 − momentum)·running + momentum·now."""
    target = now.detach().reshape(running.shape)
    running.assign(running * (1 - momentum) + target * momentum)


def values_per_channel(input: Tensor, dims: tuple[int, ...]) -> int:
    """How many values each channel has, at least two."""
    n = 1
    for d in dims:
        n *= input.shape[d]
    if n < 2:
        raise ArgumentError(
            f"batch_norm in training needs at least 2 values per channel, this batch has {n}",
            given=f"input {input.shape}",
            instead="Use a larger batch (drop_last=True in the loader), or model.eval().",
        )
    return n


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x − m)/√(v + ε)·w + b over the last dimensions of each example (Ba et al., 2016).

    `normalized_shape` is the sizes of these dimensions, and the shape of w and b.

    >>> import chainrule as cr
    >>> layer_norm(cr.tensor([[1.0, 3.0]]), 2)
    tensor([[-1.,  1.]])
    """
    if not isinstance(input, Tensor):
        check_tensors("layer_norm", input=input)
    sizes = sizes_of(normalized_shape)
    first = input.ndim - len(sizes)
    if first < 0 or input.shape[first:] != sizes:
        raise ShapeError(
            f"the input ends in {input.shape[max(first, 0):]}, this layer normalizes over {sizes}",
            given=input.shape, expected=f"(..., {', '.join(map(str, sizes))})",
        )  # fmt: skip
    y: Tensor = apply(records.normalize, input, dims=tuple(range(first, input.ndim)), eps=eps)[0]
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


# -- dropout, look-up, padding -------------------------------------------------------------------


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Each element becomes 0 with probability p, else x/(1 − p) (Srivastava et al., 2014).

    Without `training` the input itself. Random numbers come from the default generator, unless
    another is given.

    >>> import chainrule as cr
    >>> y = dropout(cr.ones(1000), p=0.25, generator=cr.Generator(seed=0))
    >>> sorted(set(y.tolist())), 0.7 < (y > 0).float().mean().item() < 0.8
    ([0.0, 1.3333333730697632], True)
    """
    if not (isinstance(p, float) and 0 <= p < 1):
        check_probability("dropout", p)
    if not isinstance(input, Tensor):
        check_tensors("dropout", input=input)
    if not training or p == 0:
        return input
    if input.dtype.kind != "f":
        raise DTypeError("dropout scales real numbers", given=input.dtype, instead="x.float()")
    if p == 1:
        return into(input, input * 0, inplace)
    draw = (generator or default_generator).uniform(*input.shape, dtype=np.float32)
    kept = (draw >= p).astype(input.dtype) * (1 / (1 - p))
    return into(input, input * kept, inplace)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """A row of `weight` for each integer: (...), (rows, columns) → (..., columns).

    The row `padding_idx` gets no gradient. Raises OutOfRangeError outside 0 … rows − 1.

    >>> import chainrule as cr
    >>> embedding(cr.tensor([1, 0]), cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.], [1., 2.]])
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise ArgumentError(
                "padding_idx is no row", given=padding_idx, expected=f"{-rows} … {rows - 1}"
            )
        padding_idx %= rows
    y: Tensor = apply(records.embedding, input, weight, padding=padding_idx)
    return y


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class of each label, 0 elsewhere, as int64: (...) → (..., classes).

    Without `num_classes`, one more than the largest label.

    >>> import chainrule as cr
    >>> one_hot(cr.tensor([2, 0]))
    tensor([[0, 0, 1], [1, 0, 0]])
    """
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    y: Tensor = records.one_hot(tensor, num_classes=num_classes, dtype=np.dtype(np.int64))
    return y


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """A border around the last dimensions: pad = (left, right, top, bottom, ...).

    >>> import chainrule as cr
    >>> pad(cr.ones(1, 2), (1, 0), value=7.0)
    tensor([[7., 1., 1.]])
    """
    if mode != "constant":
        raise ArgumentError("unknown mode of padding", given=repr(mode), expected="'constant'")
    y: Tensor = records.pad(input, pad, 0.0 if value is None else value)
    return y


# -- attention -----------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """y = softmax(s·q·kᵀ + mask)·v, s = 1/√d (Vaswani et al., 2017).

    q (..., L, d), k (..., S, d), v (..., S, e) → (..., L, e). A boolean mask is True where a
    position takes part, a floating one is added. A query that sees nothing gives 0. With
    `is_causal` query i sees the keys 0 … i. `dropout_p` drops probabilities, in training or not.
    Raises ShapeError for sizes that do not fit, DTypeError for a mask of another dtype.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True)
    tensor([[1.    , 0.    ], [0.3302, 0.6698]])
    """
    check_tensors("scaled_dot_product_attention", query=query, key=key, value=value)
    if is_causal and attn_mask is not None:
        raise ArgumentError("give attn_mask or is_causal, not both")
    check_probability("scaled_dot_product_attention", dropout_p, "dropout_p")
    mask = () if attn_mask is None else (attn_mask,)
    s = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    if dropout_p:
        return _dropped_attention(query, key, value, mask, dropout_p, is_causal, s)
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        front = broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
        query, key, value = (x.expand(*front, *x.shape[-2:]) for x in (query, key, value))
    y: Tensor = apply(
        records.attention, query, key, value, *mask, causal=bool(is_causal), scale=float(s)
    )[0]
    return y


def _dropped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: tuple[Tensor, ...], p: float, causal: bool,
    scale: float,
) -> Tensor:  # fmt: skip
    """Attention in single ops, with the probabilities at hand."""
    scores = contract.matmul(query * scale, key.mT)
    if causal:
        mask = (Tensor(np.tri(query.shape[-2], key.shape[-2], dtype=np.bool_)),)
    for m in mask:
        boolean = m.dtype.kind == "b"
        scores = records.where(m, scores, -float("inf")) if boolean else scores + m
    return contract.matmul(dropout(safe_softmax(scores), p), value)
