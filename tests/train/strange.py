"""Values where a file should hold others: what tests of configs and states put into them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

GONE = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested dicts and lists, outermost first."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], strange: Any) -> Any:
    """A copy of `value` with `strange` at a path, or with nothing there."""
    if not path:
        return strange
    value = copy.copy(value)
    if len(path) == 1 and strange is GONE:
        del value[path[0]]
    else:
        value[path[0]] = replaced(value[path[0]], path[1:], strange)
    return value
