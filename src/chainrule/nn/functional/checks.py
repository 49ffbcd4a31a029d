"""Checks of the arguments of layers and losses, and the reduction of losses."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Reduce losses: "none" returns them unchanged, "sum" their sum, "mean" their mean (NaN if
    there are none)."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    check_reduction(reduction)
    return loss


def check_reduction(reduction: str, *more: str) -> str:
    """Return the reduction. Raises ArgumentError unless it is "mean", "sum", "none" or another
    allowed name."""
    known = (*REDUCTIONS, *more)
    if reduction not in known:
        raise ArgumentError("unknown reduction", given=repr(reduction), expected=", ".join(known))
    return reduction


def check_tensors(name: str, **values: Any) -> None:
    """Raise DTypeError for a value that is not a tensor."""
    for argument, value in values.items():
        if not isinstance(value, Tensor):
            raise DTypeError(
                f"`{name}` takes tensors",
                given=f"{argument} of type {type(value).__name__}",
                instead=f"Use cr.tensor({argument}).",
            )


def check_pair(name: str, input: Tensor, target: Tensor) -> None:
    """Raise ShapeError or DTypeError unless prediction and target have the same shape and the same
    floating dtype. Losses never broadcast."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        check_tensors(name, input=input, target=target)
    if input.shape != target.shape:
        refuse_shapes(name, input.shape, target.shape)
    if input.dtype != target.dtype:
        raise DTypeError(
            f"`{name}` needs one dtype",
            given=f"input {input.dtype}, target {target.dtype}",
            instead=f"Convert the target with target.to(cr.{input.dtype})."
            if input.dtype.kind == "f"
            else "Convert both to floats with .float().",
        )
    if input.dtype.kind != "f":
        raise DTypeError(
            f"`{name}` needs real numbers", given=input.dtype, instead="Convert with .float()."
        )


def in_dtype_of(input: Tensor, target: Tensor) -> Tensor:
    """The target; integers are converted to the dtype of the input."""
    if isinstance(target, Tensor) and target.dtype.kind in "iub":
        return target.to(input.dtype)
    return target


def refuse_shapes(name: str, input: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Raise the error for a prediction and a target with different shapes."""
    if input == (*target, 1):
        dim = len(target)
        fix = f"Use input.squeeze({dim}), or target.unsqueeze({dim})."
    elif target == (*input, 1):
        dim = len(input)
        fix = f"Use target.squeeze({dim}), or input.unsqueeze({dim})."
    else:
        fix = "Reshape one of them; losses do not broadcast."
    raise ShapeError(
        f"`{name}` needs input and target of one shape",
        given=f"input {input}, target {target}",
        instead=fix,
    )


def check_positive(name: str, **values: Any) -> None:
    """Raise ArgumentError for a value that is not > 0, such as NaN."""
    for argument, value in values.items():
        if not value > 0:
            raise ArgumentError(f"{argument} of {name} must be positive", given=value)


def check_counts(name: str, least: int = 1, **values: Any) -> None:
    """Raise ArgumentError for a size that is not an integer ≥ least."""
    for argument, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ArgumentError(
                f"{argument} of {name} must be an integer ≥ {least}", given=repr(value)
            )


def check_probability(name: str, p: Any, argument: str = "p") -> float:
    """Return a probability. Raises ArgumentError unless it is in [0, 1]."""
    if not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(f"{argument} of {name} is not in [0, 1]", given=repr(p))
    return p


def sizes_of(shape: int | Iterable[int]) -> tuple[int, ...]:
    """A shape that is given as `n` or `(n, ...)`, as a tuple."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


def bound(layer: type, args: Sequence[Any], options: Mapping[str, Any]) -> inspect.BoundArguments:
    """The arguments of a layer by name. Raises DTypeError if they do not fit its signature."""
    signature = inspect.signature(layer)
    try:
        return signature.bind(*args, **options)
    except TypeError as error:
        raise DTypeError(
            f"{layer.__name__} is not called like that: {error}",
            expected=f"{layer.__name__}{signature}",
        ) from None
