"""The table of translations to ONNX, by the name of an op or by its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.formats.onnx.builder import Builder
from chainrule.graph import Equation
from chainrule.kinds import Elementwise
from chainrule.primitive import Primitive


@dataclass
class Call:
    """One equation, the names of its inputs, and the same equation for another size of the batch.

    known: the inputs that are constants, by their number.
    """

    build: Builder
    equation: Equation
    other: Equation
    inputs: list[str]
    known: dict[int, Any]

    @property
    def spec(self) -> Any:
        """The first output."""
        return self.equation.outputs[0]

    def ndim(self, number: int = 0) -> int:
        """The number of dimensions of an input."""
        return len(self.equation.inputs[number].shape)

    def output_shape(self, number: int = 0) -> str:
        """The shape of an output as a tensor."""
        return self.build.shape(
            self.equation.outputs[number].shape, self.other.outputs[number].shape
        )


Translation = Callable[..., Any]
_by_name: dict[str, Translation] = {}


def translation(*names: str) -> Callable[[Translation], Translation]:
    """Register `translate(call, **params)`, which returns the name of the output or of several."""

    def register(translate: Translation) -> Translation:
        _by_name.update(dict.fromkeys(names, translate))
        return translate

    return register


def translation_of(primitive: Primitive) -> Translation | None:
    return _by_name.get(primitive.name)


def has_translation(primitive: Primitive) -> bool:
    """Whether an op has a translation, or is elementwise and traced."""
    return primitive.name in _by_name or isinstance(primitive.kind, Elementwise)


def unknown(equation: Equation, why: str = "") -> ArgumentError:
    """The error for an op that has no translation."""
    where = f", in {equation.place}" if equation.place else ""
    return ArgumentError(
        f"`{equation.primitive.name}` has no translation to ONNX{where}{why}",
        instead="Export the part of the model before it.",
    )
