"""Roots of sums of powers: standard deviation and norms, in the whole range of the dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.ops.compare import where
from chainrule.ops.reduce import amax, amin, count, sum, var
from chainrule.ops.rules import Dims, normalized_dims, reduced_shape
from chainrule.primitive import composition
from chainrule.tensor import Tensor

__all__ = ["norm", "std"]

_HALF = np.dtype(np.float16)


@composition
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """√var; of constants 0, with gradient 0. Right where var itself is beyond the dtype.

    >>> import chainrule as cr
    >>> cr.std(cr.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    if input.dtype == _HALF:
        return std(input.float(), dim, unbiased, keepdim, correction=correction).half()
    if isinstance(dim, bool):
        unbiased, dim = dim, None
    dims = normalized_dims(dim, input.ndim)
    scale = power_scale(input, 4.0, dims)  # not 2: a difference x − mean x can be as small as ε·x
    y = safe_sqrt(var(input / scale, dims, unbiased, True, correction=correction)) * scale
    return y if keepdim else y.reshape(reduced_shape(input.shape, dims, False))


@composition
def norm(
    input: Tensor,
    p: float | str = 2.0,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over the dimensions. At 0 the gradient is 0, as it is by elements that are 0.

    p = ∞ gives max |x|, −∞ min |x|, 0 how many elements are not 0; "fro" is another word for 2.

    >>> import chainrule as cr
    >>> cr.norm(cr.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = input if dtype is None else input.to(dtype)
    power = 2.0 if p == "fro" else p
    if isinstance(power, str):
        raise ArgumentError(
            "unknown norm", given=repr(p), expected='a number or "fro"',
            instead="Norms of matrices are in cr.linalg.matrix_norm.",
        )
    if x.dtype == _HALF:  # squares of moderate numbers overflow there
        return norm(x.float(), power, dim, keepdim).half()
    if power == 0:
        return sum((x != 0).astype(x.dtype), dim, keepdim)
    if math.isinf(power):
        return (amax if power > 0 else amin)(x.abs(), dim, keepdim)
    if power == 1:
        return sum(x.abs(), dim, keepdim)
    dims = normalized_dims(dim, x.ndim)
    scale = power_scale(x, power, dims)
    y = x / scale
    if power == 2:
        root = safe_sqrt(sum(y * y, dims, True))
    else:
        root = safe_power(sum(safe_power(y.abs(), power), dims, True), 1 / power)
    y = root * scale
    return y if keepdim else y.reshape(reduced_shape(x.shape, dims, False))


def power_scale(x: Tensor, p: float, dims: tuple[int, ...]) -> Tensor:
    """s, by which to divide x so that Σ |x/s|ᵖ neither overflows nor vanishes; 1 where it does not.

    The largest |x/s| is in reach of p; for p < 0 the smallest is 1. (Σ |x/s|ᵖ)^(1/p)·s is the same
    number for any s, so its derivatives do not depend on s, which is a constant to them.
    """
    if not count(x, dims):
        return Tensor(np.ones(reduced_shape(x.shape, dims, True), x.dtype))
    extreme: Any = amax if p > 0 else amin
    top = extreme(x.detach().abs(), dims, True)
    info = np.finfo(x.dtype)
    # least³ᵖ·ε is a normal number: room for the powers of which first and second derivatives are.
    least = float(info.tiny / info.eps) ** (1 / (3 * max(p, 1 - p))) if p > 0 else 1.0
    return where((top > 0) & top.isfinite(), top / top.clamp(least, 1 / least), 1.0)


def safe_power(x: Tensor, p: float) -> Tensor:
    """xᵖ for x ≥ 0, with gradient 0, not ∞, at 0."""
    return where(x == 0, 0.0 if p > 0 else math.inf, where(x == 0, 1.0, x) ** p)


def safe_sqrt(x: Tensor) -> Tensor:
    """√x with gradient 0, not ∞, at 0."""
    return where(x == 0, x * 0, where(x == 0, 1.0, x).sqrt())
