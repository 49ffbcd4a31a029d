"""The softmax functions, along one dimension."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn.functional.activation import formula_of
from chainrule.nn.functional.checks import check_tensors
from chainrule.ops import compare, fused
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor


@formula_of(fused.softmax)
def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """
    With `dtype` the input is converted first. Raises ArgumentError without `dim`.

    >>> import chainrule as cr
    >>> softmax(cr.tensor([1e4, 0.0, -1e4]), dim=-1)
    tensor([1., 0., 0.])
    """
    return _along(fused.softmax, input, dim, dtype)


@formula_of(fused.log_softmax)
def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """
    With `dtype` the input is converted first. Raises ArgumentError without `dim`.

    >>> import chainrule as cr
    >>> log_softmax(cr.tensor([0.0, 0.0]), dim=-1)
    tensor([-0.6931, -0.6931])
    """
    return _along(fused.log_softmax, input, dim, dtype)


def softmin(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """y = softmax(−x) along `dim`: the smallest element gets the largest probability.

    With `dtype` the input is converted first. Raises ArgumentError without `dim`.

    >>> import chainrule as cr
    >>> softmin(cr.tensor([1e4, 0.0, -1e4]), dim=-1)
    tensor([0., 0., 1.])
    """
    check_tensors("softmin", input=input)
    return softmax(-input, dim, dtype=dtype)


def _along(record: Primitive, input: Tensor, dim: int | None, dtype: Any) -> Tensor:
    check_tensors(record.name, input=input)
    if dim is None:
        raise ArgumentError(
            f"{record.name} needs the dimension along which it works",
            given="dim=None",
            instead="Pass dim=-1 for the last one.",
        )
    return record(input if dtype is None else input.to(dtype), dim)


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
