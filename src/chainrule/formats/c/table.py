"""The table of translations, by the name of an op or by its kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chainrule.formats.c.writer import Place, Writer
from chainrule.graph import Equation
from chainrule.primitive import Array, Primitive


@dataclass
class Code:
    """Where code is written, and the values of known 0-d inputs, by the name of their place."""

    write: Writer
    numbers: dict[str, Array]


@dataclass
class Call(Code):
    """One equation with the places of its inputs and outputs.

    scales: for weights that are stored as int8, the name of the array of scales, one for each row.
    """

    equation: Equation
    inputs: list[Place]
    outputs: list[Place]
    scales: dict[str, str] = field(default_factory=dict)

    def store(self, y: Place, at: list[str], value: str) -> None:
        """Write one element of an optional output, if it has a place."""
        if y.name:
            self.write.line(f"{y.at(at)} = {value};")

    def formula(self) -> Callable[..., Any]:
        """The reference of the op, without what is wrapped around it."""
        return inspect.unwrap(self.equation.primitive.forward)


Translation = Callable[..., None]
_by_name: dict[str, Translation] = {}
_by_kind: dict[type, Translation] = {}
_optional: dict[str, tuple[int, ...]] = {}


def translation(
    *names: str, optional: tuple[int, ...] = ()
) -> Callable[[Translation], Translation]:
    """Register `translate(call, **params)` for ops of these names.

    optional: the numbers of outputs that are written by `Call.store`; those that are never read
        have no place.
    """

    def register(translate: Translation) -> Translation:
        _by_name.update(dict.fromkeys(names, translate))
        _optional.update(dict.fromkeys(names, optional))
        return translate

    return register


def of_kind(kind: type) -> Callable[[Translation], Translation]:
    """Register `translate(call, **params)` for ops of a kind that have no own one."""

    def register(translate: Translation) -> Translation:
        _by_kind[kind] = translate
        return translate

    return register


def optional_outputs(primitive: Primitive) -> tuple[int, ...]:
    """The numbers of outputs that need no place if they are never read."""
    return _optional.get(primitive.name, ())


def translation_of(primitive: Primitive) -> Translation | None:
    """The translation of an op, or None."""
    return _by_name.get(primitive.name) or _by_kind.get(type(primitive.kind))


def has_translation(primitive: Primitive) -> bool:
    """Whether there is a translation, or the op is a view, which needs none."""
    return primitive.view is not None or translation_of(primitive) is not None
