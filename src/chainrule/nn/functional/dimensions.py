"""Functions and layers for 1, 2 and 3 spatial dimensions, which are defined once for n.

Their docstrings are templates. `{n}` is the number of dimensions. For n = 2, `{sizes}` is `H, W`,
`{sizes:'}` is `H', W'`, and `{sizes:8}` is `8, 8`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from chainrule.gateway import apply
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")
Size = int | tuple[int, ...]
"""One number for all spatial dimensions, or one for each."""


class _Sizes:
    """Formats the sizes of n spatial dimensions in docstrings; see the top of this file."""

    def __init__(self, n: int) -> None:
        self.letters = ("L", "HW", "DHW")[n - 1]

    def __format__(self, spec: str) -> str:
        return ", ".join(spec if spec.isdigit() else letter + spec for letter in self.letters)


def documented(template: str | None, n: int) -> str:
    """The docstring for n dimensions, from a template.

    >>> documented("(N, C, {sizes}) → (N, C, {sizes:'}), such as ({sizes:4})", 2)
    "(N, C, H, W) → (N, C, H', W'), such as (4, 4)"
    """
    return inspect.cleandoc(template or "").format(n=n, sizes=_Sizes(n))


def in_dimensions(
    function: Callable[Concatenate[int, P], R],
) -> tuple[Callable[P, R], Callable[P, R], Callable[P, R]]:
    """Three functions from `function(n, ...)`, for n = 1, 2, 3: `conv` gives `conv1d`, `conv2d` and
    `conv3d`. A `_` at the end of the name is left out.
    """
    return _of_n(function, 1), _of_n(function, 2), _of_n(function, 3)


def _of_n(function: Callable[Concatenate[int, P], R], n: int) -> Callable[P, R]:
    @functools.wraps(function)
    def of_n(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(n, *args, **kwargs)

    parameters = list(inspect.signature(function).parameters.values())[1:]
    of_n.__dict__["__signature__"] = inspect.signature(function).replace(parameters=parameters)
    of_n.__name__ = of_n.__qualname__ = f"{function.__name__.rstrip('_')}{n}d"
    of_n.__doc__ = documented(function.__doc__, n)
    return of_n


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """A function with a cache for hashable arguments."""
    kept: Callable[..., R] = functools.lru_cache(typed=True)(function)

    @functools.wraps(function)
    def remembering(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return kept(*args, **kwargs)
        except TypeError:  # lists are not hashable
            return function(*args, **kwargs)

    return remembering


def over_batch(n: int, record: Primitive, input: Tensor, *rest: Tensor, **params: Any) -> Any:
    """Apply a record to an input and others. An input without N becomes a batch of one example."""
    if input.ndim != n + 1:
        return apply(record, input, *rest, **params)
    y = apply(record, input.unsqueeze(0), *rest, **params)
    return tuple(part.squeeze(0) for part in y) if isinstance(y, tuple) else y.squeeze(0)
