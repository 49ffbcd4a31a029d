"""The options of optimizers: the condition of each, and the check of values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.primitive import SCALARS
from chainrule.tensor import Tensor


class Condition(NamedTuple):
    """The condition of an option: in words, as a test of each number, and the shape."""

    words: str
    holds: Callable[[float], bool] = math.isfinite
    shape: tuple[int, ...] = ()


_FROM_ZERO = Condition("a finite number ≥ 0", lambda x: 0 <= x < math.inf)

CONDITIONS = {
    "lr": _FROM_ZERO,
    "initial_lr": _FROM_ZERO,
    "momentum": _FROM_ZERO,
    "weight_decay": _FROM_ZERO,
    "eps": _FROM_ZERO,
    "lr_decay": _FROM_ZERO,
    "initial_accumulator_value": _FROM_ZERO,
    "alpha": Condition("0 ≤ alpha < 1", lambda x: 0 <= x < 1),
    "betas": Condition("two numbers, 0 ≤ beta < 1", lambda x: 0 <= x < 1, shape=(2,)),
}
"""The condition of each option, in all optimizers. Other numbers must be finite."""


def checked(name: str, value: Any) -> Any:
    """Convert the value of an option to float64. Raises DTypeError if it is not a number or several
    numbers, ArgumentError if it is out of range."""
    words, holds, shape = CONDITIONS.get(name, Condition("a finite number"))
    if not is_number(value):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words)
    try:
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value, np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words) from None
    if array.shape != shape or not all(map(holds, array.ravel().tolist())):
        raise ArgumentError(f"{name} = {value}", expected=words)
    return array


def is_number(value: Any) -> bool:
    """Whether the value of an option is a number, or several, and not a flag or a text."""
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(is_number, value))
    numbers = (*SCALARS, Tensor, np.ndarray)
    return isinstance(value, numbers) and not isinstance(value, (bool, np.bool_))
