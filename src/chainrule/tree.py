"""Nested tuples, lists and dicts: flattening them to a list of leaves, and rebuilding them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any


def flatten(tree: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dicts, in order.

    >>> flatten({"a": (1, 2), "b": [3]})
    [1, 2, 3]
    """
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in flatten(value)]
    if isinstance(tree, (tuple, list)):
        return [leaf for value in tree for leaf in flatten(value)]
    return [tree]


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with `function` applied to each leaf.

    >>> map_leaves(lambda x: x * 10, {"a": (1, 2), "b": [3]})
    {'a': (10, 20), 'b': [30]}
    """
    if isinstance(tree, dict):
        items = {key: map_leaves(function, value) for key, value in tree.items()}
        if type(tree) is not dict:
            other = copy(tree)
            other.update(items)
            return other
        return items
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, value) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_leaves(function, value) for value in tree)
    return function(tree)


def unflatten(tree: Any, leaves: list[Any]) -> Any:
    """The structure of `tree` with its leaves replaced, in order, by `leaves`.

    >>> unflatten({"a": (1, 2), "b": [3]}, ["x", "y", "z"])
    {'a': ('x', 'y'), 'b': ['z']}
    """
    supply: Iterator[Any] = iter(leaves)
    return map_leaves(lambda _: next(supply), tree)
