"""The settings of a sweep: all combinations of a grid, or draws from distributions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from chainrule.data.seeds import stream
from chainrule.errors import ArgumentError
from chainrule.ops.random import default_generator, manual_seed
from chainrule.tensor import Tensor

Setting = dict[str, Any]


class LogUniform:
    """Numbers from `low` to `high` whose logarithm is uniform, for learning rates and the like.

    >>> LogUniform(1e-4, 1e-1)
    LogUniform(0.0001, 0.1)
    """

    def __init__(self, low: float, high: float) -> None:
        if not 0 < low < high < math.inf:
            raise ArgumentError("the bounds are not positive and ascending", given=(low, high))
        self.low, self.high = float(low), float(high)

    def sample(self) -> Tensor:
        """One number, drawn from the generator of `cr.manual_seed`."""
        share = default_generator.uniform()
        return (math.log(self.low) + share * math.log(self.high / self.low)).exp()

    def __repr__(self) -> str:
        return f"LogUniform({self.low:g}, {self.high:g})"


def settings_of(space: Mapping[str, Any], samples: int | None = None) -> list[Setting]:
    """The settings of a sweep.

    space: for each name its values, or a distribution: an object with `sample()`, as those of
        `cr.distributions` and `LogUniform`.
    samples: the number of draws. Setting i depends on the space and i alone; lists are drawn from
        with equal probabilities. By default all combinations of a space of lists.

    >>> settings_of({"lr": [0.1, 0.01], "width": [8, 16]})[:3]
    [{'lr': 0.1, 'width': 8}, {'lr': 0.1, 'width': 16}, {'lr': 0.01, 'width': 8}]
    >>> len(settings_of({"lr": LogUniform(1e-4, 1e-1), "width": [8, 16]}, samples=5))
    5
    """
    drawn = [name for name, values in space.items() if hasattr(values, "sample")]
    for name, values in space.items():
        if name not in drawn:
            _check_values(name, values)
    if samples is None:
        if drawn:
            raise ArgumentError(
                f"how often is {drawn[0]} drawn from {space[drawn[0]]!r}?",
                instead="Pass samples=20 (--samples 20).",
            )
        return [dict(zip(space, chosen, strict=True)) for chosen in product(*space.values())]
    if samples < 1:
        raise ArgumentError("samples is a count", given=samples, expected=">= 1")
    before = default_generator.state.detach().numpy().copy()
    try:
        return [_draw(space, number) for number in range(samples)]
    finally:
        default_generator.state.assign(before)


def _check_values(name: str, values: Any) -> None:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or not len([*values]):
        raise ArgumentError(
            f"{name} has no values to choose from",
            given=repr(values)[:60],
            expected="a list, or a distribution",
            instead=f"Write {name}=[...].",
        )


def _draw(space: Mapping[str, Any], number: int) -> Setting:
    manual_seed(number)
    places = stream(number, 0)
    return {name: _one(values, places) for name, values in space.items()}


def _one(values: Any, places: np.random.Generator) -> Any:
    if hasattr(values, "sample"):
        value = values.sample()
        return value.item() if hasattr(value, "item") else value
    choices: Sequence[Any] = [*values]
    return choices[int(places.integers(len(choices)))]
