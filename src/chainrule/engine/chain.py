"""Chains of elementwise ops, and their translation to code for the elementwise machine.

A chain is a tuple of steps `(op, operand, ...)`. An operand is a float, which is a constant, or an
int, which numbers the inputs of the chain and then the results of its steps:

    (("mul", 0, 1), ("add", 2, 0.5), ("tanh", 3))        tanh(x₀·x₁ + 0.5), for two inputs
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chainrule.engine.layout import (
    BOOL,
    FLOAT32,
    FLOAT64,
    KNOWN,
    Layout,
    NativeCall,
    broadcast_to,
    in_order,
    native_call,
)
from chainrule.engine.native import module
from chainrule.errors import GraphError
from chainrule.primitive import DType, Shape

Step = tuple[str | int | float, ...]
FOLDS = {"sum": 0, "max": 1, "min": 2}
MAX_SLOTS = 128


class Reduction(NamedTuple):
    """A sum, maximum or minimum of one value of a chain; for a mean, the sum has a divisor."""

    fold: str
    operand: int
    divisor: float = 1.0


@lru_cache(maxsize=1)
def _codes() -> dict[str, tuple[int, int]]:
    return {name: (code, n) for code, (name, n) in enumerate(module().fused_ops())}


class _Slots:
    """Assigns registers of the machine to the results of steps, until their last use."""

    def __init__(self, n_inputs: int, steps: Sequence[Step], kept: set[int]) -> None:
        self.n_inputs, self.kept = n_inputs, kept
        self.constants: list[float] = []
        for step in steps:
            for x in step[1:]:
                if isinstance(x, float) and not self._position(x):
                    self.constants.append(x)
        self.first = n_inputs + len(self.constants)
        self.of: dict[int, int] = {i: i for i in range(n_inputs)}
        self.free: list[int] = []
        self.registers = 0
        self.last_use = {
            x: i for i, step in enumerate(steps) for x in step[1:] if isinstance(x, int)
        }

    def _position(self, x: float) -> list[int]:
        def same(c: float) -> bool:
            return np.float64(c).tobytes() == np.float64(x).tobytes()

        return [i for i, c in enumerate(self.constants) if same(c)]

    def read(self, x: str | int | float) -> int:
        if isinstance(x, float):
            return self.n_inputs + self._position(x)[0]
        if not isinstance(x, int) or x not in self.of:
            raise GraphError(f"a chain uses {x!r} before it is computed")
        return self.of[x]

    def write(self, value: int, index: int, step: Step) -> int:
        if value not in self.kept and self.free:
            slot = self.free.pop()
        else:
            slot = self.first + self.registers
            self.registers += 1
        self.of[value] = slot
        for x in {x for x in step[1:] if isinstance(x, int) and x >= self.n_inputs}:
            if self.last_use[x] == index and x not in self.kept:
                self.free.append(self.of[x])
        return slot


class MachineCode(NamedTuple):
    """The code of the elementwise machine; see engine/cpp/kernels/machine.h."""

    ints: tuple[int, ...]
    constants: tuple[float, ...]
    slots: tuple[int, ...]  # of the reductions


def machine_code(
    n_inputs: int,
    steps: tuple[Step, ...],
    outputs: tuple[int, ...],
    reductions: tuple[Reduction, ...],
    truths: tuple[bool, ...],
) -> MachineCode:
    """Translate a chain. Raises GraphError for an unknown op or operand, and for a chain that needs
    too many registers."""
    kept = {*outputs, *(r.operand for r in reductions)}
    slots = _Slots(n_inputs, steps, kept)
    code: list[int] = []
    for i, (op, *operands) in enumerate(steps):
        number, arity = _codes().get(str(op), (-1, -1))
        if arity != len(operands):
            raise GraphError(f"the elementwise machine has no op {op} of {len(operands)} operands")
        sources = [slots.read(x) for x in operands]
        target = slots.write(n_inputs + i, i, steps[i])
        code += [number, target, *sources, *sources[:1] * (3 - arity)]
    ends = [slots.read(x) for x in outputs]
    if slots.first + slots.registers > MAX_SLOTS:
        raise GraphError(f"a chain needs more than {MAX_SLOTS} slots", instead="Cut it in two.")
    head = (slots.registers, len(slots.constants), len(steps), len(outputs))
    ints = (*head, *code, *ends, *map(int, truths))
    return MachineCode(
        ints, tuple(slots.constants), tuple(slots.read(r.operand) for r in reductions)
    )


class Walk(NamedTuple):
    """The order in which a chain walks over its dimensions: `lead` reduced ones, then `kept` ones,
    then other reduced ones."""

    order: tuple[int, ...]
    lead: int
    kept: int


def walks_in_order(shape: Shape, dims: Sequence[int]) -> bool:
    """Whether a chain of this shape that reduces `dims` walks over the elements in their order in
    memory. Only then can it write whole results, too."""
    walked = [d for d in _walk_of(shape, dims).order if shape[d] != 1]
    return walked == sorted(walked)


def _walk_of(shape: Shape, dims: Sequence[int]) -> Walk:
    """The walk of a chain of this shape that reduces `dims`.

    The last dimensions, if reduced, make up rows, and each row is reduced by itself. If the last
    dimension is kept, the chain adds rows to each other as vectors. Dimensions of size 1 at the end
    do not count.
    """
    ndim = len(shape)
    end = ndim
    while end and shape[end - 1] == 1:
        end -= 1
    start = end
    while start and start - 1 in dims:
        start -= 1
    lead = tuple(d for d in range(ndim) if d in dims and not start <= d < end)
    kept = tuple(d for d in range(ndim) if d not in dims)
    return Walk((*lead, *kept, *range(start, end)), len(lead), len(kept))


def fused_call(
    inputs: Sequence[Layout],
    outputs: Sequence[Layout],
    steps: Sequence[Step],
    results: Sequence[int],
    reductions: Sequence[Reduction] = (),
    dims: Sequence[int] = (),
    shape: Shape | None = None,
    dtype: DType | None = None,
) -> NativeCall:
    """The native call of a chain.

    The outputs are the `results`, which are written completely, and then the `reductions` over
    `dims`; all are in C order. `shape` is the shape to which the inputs broadcast, by default
    computed from them. `dtype` is the dtype of the arithmetic, by default the widest one.
    """
    if shape is None:
        shape = np.broadcast_shapes(*[x.shape for x in inputs])
    if any(x.dtype.str not in KNOWN for x in (*inputs, *outputs)):
        raise GraphError("the elementwise machine does not know one of the dtypes")
    walk = _walk_of(shape, dims)
    if results and not walks_in_order(shape, dims):
        raise GraphError("a chain that writes whole results walks over them in their own order")
    seen = [broadcast_to(x, shape).permuted(walk.order) for x in inputs]
    flat = [in_order(x.shape, x.dtype) for x in outputs]
    code = machine_code(
        len(inputs),
        tuple(steps),
        tuple(results),
        tuple(reductions),
        tuple(x.dtype == BOOL for x in inputs),
    )
    folds = [n for r, s in zip(reductions, code.slots, strict=True) for n in (FOLDS[r.fold], s)]
    sizes = [shape[d] for d in walk.order]
    ints = (walk.lead, walk.kept, len(reductions), len(sizes), *sizes, *folds, *code.ints)
    floats = (*code.constants, *(float(r.divisor) for r in reductions))
    if dtype is None:  # tested first, since NumPy treats None as float64 in comparisons
        wide = any(x.dtype == FLOAT64 for x in (*inputs, *outputs))
    elif dtype in (FLOAT32, FLOAT64):
        wide = dtype == FLOAT64
    else:
        raise GraphError("the elementwise machine computes in float32 or float64", given=dtype)
    return native_call("fused64" if wide else "fused", seen, flat, ints, floats)
