"""The softmax functions, along one dimension."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from chainrule.nn.functional.activation import formula_of
from chainrule.nn.functional.checks import check_positive, check_tensors
from chainrule.ops import compare, creation, elementwise, fused, select
from chainrule.ops.random import default_generator
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor


@formula_of(fused.softmax)
def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """
    With `dtype` the input is converted first. Without `dim`, PyTorch's old choice is used, with a
    warning: dimension 0 for 0, 1 or 3 dimensions, else 1.

    >>> import chainrule as cr
    >>> softmax(cr.tensor([1e4, 0.0, -1e4]), dim=-1)
    tensor([1., 0., 0.])
    """
    return _along(fused.softmax, input, dim, dtype)


@formula_of(fused.log_softmax)
def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """
    With `dtype` the input is converted first. Without `dim`: see `softmax`.

    >>> import chainrule as cr
    >>> log_softmax(cr.tensor([0.0, 0.0]), dim=-1)
    tensor([-0.6931, -0.6931])
    """
    return _along(fused.log_softmax, input, dim, dtype)


def softmin(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """y = softmax(−x) along `dim`: the smallest element gets the largest probability.

    With `dtype` the input is converted first. Without `dim`: see `softmax`.

    >>> import chainrule as cr
    >>> softmin(cr.tensor([1e4, 0.0, -1e4]), dim=-1)
    tensor([0., 0., 1.])
    """
    check_tensors("softmin", input=input)
    return softmax(-input, dim, dtype=dtype)


def _along(record: Primitive, input: Tensor, dim: int | None, dtype: Any) -> Tensor:
    check_tensors(record.name, input=input)
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
        warnings.warn(
            f"{record.name} without dim uses dim={dim}. Pass one; dim=-1 is the last dimension.",
            stacklevel=3,
        )
    return record(input if dtype is None else input.to(dtype), dim)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """y = softmax((x + g)/τ) along `dim`, g = −ln(−ln u) of random u ~ U(0, 1).

    A differentiable draw from the distribution softmax(x) (Jang et al., 2017). With `hard`, y is 1
    at the largest element and 0 elsewhere, and its gradient is that of the soft y. Random numbers
    come from the default generator. `eps` has no effect.

    >>> import chainrule as cr
    >>> gumbel_softmax(cr.tensor([1e4, 0.0, -1e4]), hard=True)
    tensor([1., 0., 0.])
    """
    check_tensors("gumbel_softmax", logits=logits)
    check_positive("gumbel_softmax", tau=tau)
    uniform = default_generator.uniform(*logits.shape, dtype=np.float64)
    exponential = -elementwise.log1p(-uniform).to(logits.dtype)
    y: Tensor = fused.softmax((logits - exponential.log()) / tau, dim)
    if not hard:
        return y
    largest = y.argmax(dim, keepdim=True)
    chosen = select.scatter(creation.zeros_like(y), dim, largest, 1.0)
    return chosen - y.detach() + y


def safe_softmax(input: Tensor, dim: int = -1) -> Tensor:
    """y = softmax(x) along `dim`; 0 with gradient 0 where all elements are −∞ (masked).

    >>> import chainrule as cr
    >>> safe_softmax(cr.tensor([[0.0, 0.0], [-float("inf"), -float("inf")]]))
    tensor([[0.5, 0.5], [0. , 0. ]])
    """
    masked = (input == -float("inf")).all(dim, True)
    y: Tensor = fused.softmax(compare.where(masked, 0.0, input), dim)
    y = compare.where(masked, 0.0, y)
    return y
