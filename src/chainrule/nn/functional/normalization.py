"""Normalization: to mean 0 and variance 1 for each channel, each example, or both; by a norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.gateway import apply
from chainrule.nn.functional.checks import check_counts, check_tensors, sizes_of
from chainrule.nn.functional.padding import pad
from chainrule.nn.functional.pooling import avg_pool2d
from chainrule.ops import norms
from chainrule.ops.normalization import normalize as normalized
from chainrule.settings import use
from chainrule.tensor import Tensor


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

    With `training`, m and v are the mean and variance of the batch, and the running statistics (if
    any) are updated: r ← (1 − momentum)·r + momentum·m, and the same with the unbiased variance.
    Otherwise m and v are the running statistics. Raises ArgumentError for a channel with fewer than
    two values in training.

    >>> import chainrule as cr
    >>> batch_norm(cr.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.], [ 1.]])
    """
    check_tensors("batch_norm", input=input)
    dims = (0, *range(2, input.ndim))
    if not training:
        return _scaled(
            _by_running("batch_norm", input, running_mean, running_var, eps), weight, bias
        )
    affine = [x if x is None else x.reshape(_per_channel(input)) for x in (weight, bias)]
    running = running_mean, running_var
    return _normalized("batch_norm", input, dims, *running, momentum, eps, *affine)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x − m)/√(v + ε)·w + b for each channel of each example of (N, C, ...).

    Ulyanov et al., 2016. m and v are the mean and variance of that channel. The running statistics
    (if any) are updated as in `batch_norm`, with the means of m and v over the batch. Without
    `use_input_stats`, m and v are the running statistics. Raises ArgumentError for a channel with
    fewer than two values.

    >>> import chainrule as cr
    >>> instance_norm(cr.tensor([[[1.0, 3.0]], [[5.0, 5.0]]]))
    tensor([[[-1.,  1.]], [[ 0.,  0.]]])
    """
    check_tensors("instance_norm", input=input)
    dims = tuple(range(2, input.ndim))
    if use_input_stats:
        y = _normalized("instance_norm", input, dims, running_mean, running_var, momentum, eps)
    else:
        y = _by_running("instance_norm", input, running_mean, running_var, eps)
    return _scaled(y, weight, bias)


def _normalized(
    name: str,
    input: Tensor,
    dims: tuple[int, ...],
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float | Tensor,
    eps: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Normalize by the mean and variance of the input, and update the running statistics."""
    if input.ndim < 2 or not dims:
        raise ShapeError(f"{name} works on (N, C, ...)", given=input.shape)
    n = math.prod(input.shape[d] for d in dims)
    if n < 2:
        raise ArgumentError(
            f"{name} in training needs at least 2 values per channel, this batch has {n}",
            given=f"input {input.shape}",
            instead="Use a larger batch (drop_last=True in the loader), or model.eval().",
        )
    y, mean, var = _standardized(input, dims, eps, weight, bias)
    if running_mean is not None and running_var is not None:
        with use(gradients=False):
            _move(running_mean, mean, momentum)
            _move(running_var, var * (n / (n - 1)), momentum)
    return y


def _standardized(
    x: Tensor,
    dims: tuple[int, ...],
    eps: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(x − m)/√(v + ε)·w + b, m and v; w and b have the dimensions of x."""
    z = _wide(x)
    if z is x and weight is not None and bias is not None and weight.dtype == bias.dtype == x.dtype:
        return apply(normalized, x, weight, bias, dims=dims, eps=eps)
    y, mean, var = apply(normalized, z, dims=dims, eps=eps)
    y = y.to(x.dtype) if weight is None else y.to(x.dtype) * weight
    return y if bias is None else y + bias, mean, var


def _wide(x: Tensor) -> Tensor:
    """float16 as float32, since squares may overflow; other dtypes as they are."""
    return x.float() if x.dtype == np.float16 else x


def _move(running: Tensor, now: Tensor, momentum: float | Tensor) -> None:
    """running ← (1 − momentum)·running + momentum·now for each channel, with the mean of `now` over
    the examples."""
    now = now.detach()
    target = (now if now.shape[0] == 1 else now.mean(0)).to(running.dtype)
    running.assign(running * (1 - momentum) + target.reshape(running.shape) * momentum)


def _by_running(
    name: str,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    eps: float,
) -> Tensor:
    """Normalize by the running mean and variance."""
    if running_mean is None or running_var is None:
        raise ArgumentError(f"{name} outside of training needs running_mean and running_var")
    shape = _per_channel(input)
    scale = (running_var + eps).rsqrt().reshape(shape)
    return (input - running_mean.reshape(shape)) * scale


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y·w + b for each channel."""
    if weight is not None:
        y = y * weight.reshape(_per_channel(y))
    return y if bias is None else y + bias.reshape(_per_channel(y))


def _per_channel(x: Tensor) -> tuple[int, ...]:
    """The shape (1, C, 1, ...) of one number per channel, which broadcasts with x."""
    return (1, x.shape[1], *(1,) * (x.ndim - 2))


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x − m)/√(v + ε)·w + b, with m and v of each group of channels of each example.

    (N, C, ...) → the same shape; w and b are (C) (Wu & He, 2018). Raises ArgumentError for groups
    that do not divide the channels, and for a single example with one value in each group.

    >>> import chainrule as cr
    >>> group_norm(cr.tensor([[1.0, 3.0, 5.0, 5.0]]), 2)
    tensor([[-1.,  1.,  0.,  0.]])
    """
    check_tensors("group_norm", input=input)
    if input.ndim < 2:
        raise ShapeError("group_norm works on (N, C, ...)", given=input.shape)
    n, channels = input.shape[:2]
    check_groups(num_groups, channels)
    if input.numel() == num_groups:
        raise ArgumentError(
            "group_norm needs at least 2 values per group, this input has 1",
            given=input.shape,
            instead="Use fewer groups.",
        )
    groups = input.reshape(n, num_groups, math.prod(input.shape[1:]) // num_groups)
    y = _standardized(groups, (2,), eps)[0].reshape(input.shape)
    return _scaled(y, weight, bias)


def check_groups(groups: int, channels: int) -> None:
    """Raise ArgumentError unless the groups divide the channels."""
    if groups < 1 or channels % groups:
        raise ArgumentError(
            "num_groups must divide the number of channels",
            given=f"{groups} groups of {channels} channels",
        )


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x − m)/√(v + ε)·w + b over the last dimensions of each example (Ba et al., 2016).

    `normalized_shape` gives the sizes of these dimensions, and is the shape of w and b. Raises
    ShapeError for an input whose last dimensions have other sizes.

    >>> import chainrule as cr
    >>> layer_norm(cr.tensor([[1.0, 3.0]]), 2)
    tensor([[-1.,  1.]])
    """
    dims = _last_dims("layer_norm", input, normalized_shape)
    front = (1,) * (input.ndim - len(dims))
    affine = [x if x is None else x.reshape(front + x.shape) for x in (weight, bias)]
    return _standardized(input, dims, eps, *affine)[0]


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """y = x/√(mean of x² + ε)·w over the last dimensions of each example (Zhang & Sennrich, 2019).

    `normalized_shape` gives the sizes of these dimensions, and is the shape of w. The default ε is
    the smallest step of the input's dtype at 1. Raises ShapeError for an input whose last
    dimensions have other sizes.

    >>> import chainrule as cr
    >>> rms_norm(cr.tensor([[1.0, 7.0]]), 2)
    tensor([[0.2, 1.4]])
    """
    dims = _last_dims("rms_norm", input, normalized_shape)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    wide = _wide(input)
    y = (wide * (wide.square().mean(dims, True) + eps).rsqrt()).to(input.dtype)
    return y if weight is None else y * weight


def _last_dims(name: str, input: Tensor, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """The last dimensions of the input, which have the sizes `normalized_shape`."""
    if not isinstance(input, Tensor):
        check_tensors(name, input=input)
    sizes = sizes_of(normalized_shape)
    first = input.ndim - len(sizes)
    if first < 0 or input.shape[first:] != sizes:
        raise ShapeError(
            f"the input ends in {input.shape[max(first, 0) :]}, this layer normalizes over {sizes}",
            given=input.shape,
            expected=f"(..., {', '.join(map(str, sizes))})",
        )
    return tuple(range(first, input.ndim))


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """y = x/(k + α·m)^β, m the mean of x² over `size` channels around each: (N, C, ...) → the same.

    Channels outside count as 0 (Krizhevsky et al., 2012). Raises ShapeError for fewer than three
    dimensions.

    >>> import chainrule as cr
    >>> local_response_norm(cr.ones(1, 3, 1), 3, alpha=3.0, beta=1.0)
    tensor([[[0.3333], [0.25  ], [0.3333]]])
    """
    check_tensors("local_response_norm", input=input)
    check_counts("local_response_norm", size=size)
    if input.ndim < 3:
        raise ShapeError("local_response_norm works on (N, C, ...)", given=input.shape)
    if not input.numel():
        return input
    squares = input.square().flatten(2).unsqueeze(1)
    bordered = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(bordered, (size, 1), stride=1).reshape(input.shape)
    y: Tensor = input / (means * alpha + k) ** beta
    return y


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """y = x/max(‖x‖ₚ, ε) along `dim`.

    >>> import chainrule as cr
    >>> normalize(cr.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    check_tensors("normalize", input=input)
    y: Tensor = input / norms.norm(input, p, dim, True).clamp(min=eps)
    return y
