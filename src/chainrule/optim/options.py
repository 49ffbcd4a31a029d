"""The options of optimizers: the condition of each, and the check of values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.primitive import SCALARS
from chainrule.tensor import Tensor


class Condition(NamedTuple):
    """The condition of an option: in words, as a test of its numbers, and the shape, if fixed."""

    words: str
    holds: Callable[..., bool]
    shape: tuple[int, ...] | None = ()


FINITE = Condition("finite numbers", lambda *x: all(map(math.isfinite, x)), shape=None)
FROM_ZERO = Condition("a finite number ≥ 0", lambda x: 0 <= x < math.inf)

CONDITIONS = {
    "lr": FROM_ZERO,
    "initial_lr": FROM_ZERO,
    "momentum": FROM_ZERO,
    "weight_decay": FROM_ZERO,
    "eps": FROM_ZERO,
    "betas": Condition(
        "two numbers, 0 ≤ beta < 1", lambda a, b: 0 <= a < 1 and 0 <= b < 1, shape=(2,)
    ),
}
"""The conditions of the options that several optimizers have. A class can add its own, in
`Optimizer.conditions`. Other numbers must be finite."""


def checked(name: str, value: Any, conditions: Mapping[str, Condition] | None = None) -> Any:
    """Convert the value of an option to float64. Raises DTypeError if it is not a number or several
    numbers, ArgumentError if it is out of range."""
    condition = {**CONDITIONS, **(conditions or {})}.get(name, FINITE)
    words, shape = condition.words, condition.shape
    if not is_number(value):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words)
    try:
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value, np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words) from None
    if shape not in (None, array.shape) or not condition.holds(*array.ravel().tolist()):
        raise ArgumentError(f"{name} = {value}", expected=words)
    return array


def is_number(value: Any) -> bool:
    """Whether the value of an option is a number, or several, and not a flag or a text."""
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(is_number, value))
    numbers = (*SCALARS, Tensor, np.ndarray)
    return isinstance(value, numbers) and not isinstance(value, (bool, np.bool_))
