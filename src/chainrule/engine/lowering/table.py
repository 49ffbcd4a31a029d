"""The table of ops with a kernel, and the layouts that the kernels accept.

A row names a kernel for an op, with conditions on the layouts (`needs`), a change of the layouts
(`sees`), and the numbers that the kernel takes (`ints`, `floats`):

    row("adagrad_update", needs=(floats, all_in_order), ints=("maximize",))

The conditions are in conditions.py. An op may have several rows; the first that fits is used. If an
op needs more than a row, it has a function with the decorator `lowering`. `lower` looks up the
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule.engine.layout import KNOWN, Layout, NativeCall
from chainrule.errors import GraphError
from chainrule.kinds import Elementwise, Kind
from chainrule.primitive import Primitive

Layouts = Sequence[Layout]
Lowering = Callable[[dict[str, Any], Layouts, Layouts], NativeCall | None]
MAX_DIMS, MAX_OPERANDS = 8, 32  # see engine/cpp/runtime/call.h

LOWERINGS: dict[str, list[Lowering]] = {}
OF_KINDS: dict[type[Kind], Callable[..., NativeCall | None]] = {}
"""The lowering of all ops of a kind that have no rows."""


def has_kernel(primitive: Primitive) -> bool:
    """Whether there may be a kernel for this op, for some layouts and dtypes."""
    return primitive.name in LOWERINGS or type(primitive.kind) in OF_KINDS


def is_sweep(primitive: Primitive) -> bool:
    """Whether the elementwise machine computes this op, rather than its own kernel."""
    return isinstance(primitive.kind, Elementwise) and primitive.name not in LOWERINGS


def lower(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """The native call that computes this op on these layouts, or None."""
    operands = (*inputs, *outputs)
    if max(len(inputs), len(outputs)) > MAX_OPERANDS:
        return None
    if any(x.dtype.str not in KNOWN or len(x.shape) > MAX_DIMS for x in operands):
        return None
    if primitive.name in LOWERINGS:
        return kernel_call(primitive.name, params, inputs, outputs)
    of_kind = OF_KINDS.get(type(primitive.kind))
    return None if of_kind is None else of_kind(primitive, params, inputs, outputs)


def kernel_call(
    name: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """The call of the first row with this name that fits these layouts, or None. Raises GraphError
    for a name without rows."""
    if name not in LOWERINGS:
        raise GraphError(f"there is no kernel `{name}`")
    calls = (lowering(params, inputs, outputs) for lowering in LOWERINGS[name])
    return next((call for call in calls if call is not None), None)


# -- rows ----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """An op to lower: its parameters, and the layouts of its operands."""

    params: dict[str, Any]
    inputs: Layouts
    outputs: Layouts

    @property
    def operands(self) -> Layouts:
        return (*self.inputs, *self.outputs)


Condition = Callable[[Case], bool]
Number = int | str | Callable[[Case], Iterable[int] | None]
"""An integer; the name of a parameter with one or several integers; or a function that returns
integers, or None if the kernel does not fit."""


@dataclass(frozen=True)
class Row:
    """A kernel for an op; see the top of this file.

    The conditions apply to the layouts after `sees`. `order` gives the numbers of the inputs in the
    order in which the kernel takes them.
    """

    kernel: str
    needs: tuple[Condition, ...]
    ints: tuple[Number, ...]
    floats: tuple[str, ...]
    sees: Callable[[Case], Case | None]
    order: tuple[int, ...]

    def __call__(
        self, params: dict[str, Any], inputs: Layouts, outputs: Layouts
    ) -> NativeCall | None:
        case = self.sees(Case(params, inputs, outputs))
        if case is None or not all(holds(case) for holds in self.needs):
            return None
        ints: list[int] = []
        for number in self.ints:
            found = _values(number, case)
            if found is None:
                return None
            ints += map(int, found)
        floats = tuple([float(params[name]) for name in self.floats])
        order = self.order or range(len(case.inputs))
        seen = tuple([(i, case.inputs[i]) for i in order])
        return NativeCall(self.kernel, tuple(ints), floats, seen, tuple(enumerate(case.outputs)))


def _values(number: Number, case: Case) -> Iterable[int] | None:
    if isinstance(number, int):
        return (number,)
    if not isinstance(number, str):
        return number(case)
    value = case.params[number]
    return value if isinstance(value, tuple) else (value,)


def row(
    *names: str,
    kernel: str = "",
    needs: tuple[Condition, ...] = (),
    ints: tuple[Number, ...] = (),
    floats: tuple[str, ...] = (),
    sees: Callable[[Case], Case | None] = lambda case: case,
    order: tuple[int, ...] = (),
) -> None:
    """Add a row for each op. By default the kernel has the name of the op."""
    for name in names:
        entry = Row(kernel or name, needs, ints, floats, sees, order)
        LOWERINGS.setdefault(name, []).append(entry)


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """A decorator that adds a function of (params, inputs, outputs) as a row for ops."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            LOWERINGS.setdefault(name, []).append(function)
        return function

    return register


def lowering_of_kind(kind: type[Kind]) -> Callable[[Any], Any]:
    """A decorator that adds a function of (primitive, params, inputs, outputs) for all ops of a
    kind."""

    def register(function: Any) -> Any:
        OF_KINDS[kind] = function
        return function

    return register
