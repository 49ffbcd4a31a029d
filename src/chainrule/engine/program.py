"""Programs: a list of instructions over buffers, which runs in one call without Python's lock.

    x, w, y = external(0, (64, 784), "f4"), external(1, (784, 10), "f4"), arena(0, (64, 10), "f4")
    steps = [Instruction(lookup("matmul"), inputs=(0, 1), outputs=(2,))]
    program = Program(steps, [x, w, y], slots=[Spec(...), Spec(...)], arena_bytes=2560)
    program.run([images, weights])

A buffer is a view of the arena (memory that the program owns), of a constant, or of an external
slot (an array that is passed to each run: inputs and state). The caller assigns offsets in the
arena. Several buffers may view the same memory in different shapes and strides, so a transpose
costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np

from chainrule.engine.layout import Layout, NativeCall, in_order, layout_of
from chainrule.engine.lowering import kernel_call, lower
from chainrule.engine.native import module
from chainrule.errors import GraphError, OutOfRangeError, ShapeError
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive, Shape, Spec

ALIGNMENT = 64
OUT_OF_RANGE, REFUSED, UNMET = 2, 4, 5
"""The status of a kernel for data that its op does not accept, and for a requirement that does not
hold; see engine/cpp/runtime/call.h."""


class Buffer(NamedTuple):
    """A view of memory. `home` is "arena", "constant" or "external", and `offset` is in bytes.

    `slot` is the number of the external slot, `array` the constant.
    """

    layout: Layout
    home: str
    offset: int = 0
    slot: int = -1
    array: Array | None = None


def arena(offset: int, shape: Shape, dtype: Any, strides: tuple[int, ...] | None = None) -> Buffer:
    """A buffer in the arena of the program. Offsets that are multiples of 64 are fastest."""
    return Buffer(_layout(shape, dtype, strides), "arena", offset)


def constant(array: Array) -> Buffer:
    """A buffer for an array that is known when the program is made."""
    return Buffer(layout_of(array), "constant", array=array)


def external(
    slot: int,
    shape: Shape,
    dtype: Any,
    strides: tuple[int, ...] | None = None,
    offset: int = 0,
) -> Buffer:
    """A buffer in the array that each run passes for a slot."""
    return Buffer(_layout(shape, dtype, strides), "external", offset, slot)


def _layout(shape: Shape, dtype: Any, strides: tuple[int, ...] | None) -> Layout:
    plain = in_order(tuple(shape), dtype)
    return plain if strides is None else Layout(plain.shape, plain.dtype, tuple(strides))


@dataclass(frozen=True, slots=True)
class Instruction:
    """outputs = op(inputs; params), where buffers are given by their numbers.

    `op` is a primitive, which runs by its native kernel if there is one for these layouts, else by
    its NumPy reference. Or it is the name of a row of `engine/lowering/` without a primitive.
    """

    op: Primitive | str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.op if isinstance(self.op, str) else self.op.name


def encode(
    op: Primitive | str,
    params: dict[str, Any],
    inputs: Sequence[Layout],
    outputs: Sequence[Layout],
) -> NativeCall | None:
    """The native call of an instruction, or None if there is no kernel for it."""
    if isinstance(op, Primitive):
        return lower(op, params, inputs, outputs)
    return kernel_call(op, params, inputs, outputs)


class Record(NamedTuple):
    """How a compiled function is called: the parts that engine/cpp/runtime/doors.h describes."""

    program: Any
    callback: Callable[[int], None]
    settings: tuple[Any, ...]
    pattern: tuple[Any, ...]
    limits: tuple[Any, ...]
    fits: Callable[[tuple[Any, ...]], bool] | None
    watched: tuple[Any, ...]
    state: tuple[Any, ...]
    own: Callable[[int], Array | None]
    refuse: Callable[[Any], NoReturn]
    made: tuple[bool, ...]
    answer: int | tuple[int, ...] | None
    finish: Callable[[Any, tuple[Any, ...]], Any] | None
    always: bool


class Unmet(Exception):
    """The input of an instruction `require` is false; `number` identifies the requirement."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Program:
    """Instructions over buffers, which are checked and encoded once and run many times.

    Parameters
    ----------
    instructions, buffers: the instructions, and the buffers that they number.
    slots: the spec of the array for each external slot. Arrays must be in C order, and writable if
        an instruction writes them.
    arena_bytes: the size of the arena.
    committed: the number of the first instruction that must not be interrupted, since it writes
        state. Before it, Ctrl-C stops a run between two instructions.

    Raises GraphError for an instruction or buffer that does not fit.
    """

    def __init__(
        self,
        instructions: Sequence[Instruction],
        buffers: Sequence[Buffer],
        slots: Sequence[Spec] = (),
        arena_bytes: int = 0,
        committed: int | None = None,
    ) -> None:
        self.instructions = tuple(instructions)
        self.buffers = tuple(buffers)
        self.slots = tuple(slots)
        self.arena_bytes = arena_bytes
        self.calls: list[NativeCall | None] = []
        self._native = module().Program()
        self._arena = aligned_zeros((arena_bytes,), np.dtype(np.uint8))
        self._check_numbers()
        try:
            self._place_buffers()
            self._encode()
        except (ValueError, TypeError) as error:
            if isinstance(error, GraphError):
                raise
            raise GraphError(f"the program does not fit together: {error}") from None
        self._native.committed = len(self.instructions) if committed is None else committed
        self._native.seal()

    @property
    def references(self) -> tuple[int, ...]:
        """The instructions that have no native kernel and run their NumPy reference."""
        return tuple(i for i, call in enumerate(self.calls) if call is None)

    def run(self, arrays: Sequence[Array]) -> None:
        """Run all instructions, with one array for each slot. Raises OutOfRangeError for an index
        or label out of range, with the instruction and the position; ShapeError for arrays that do
        not fit their slots; Unmet if a requirement does not hold."""
        self._run(arrays, timed=False)

    def times(self, arrays: Sequence[Array]) -> list[float]:
        """As `run`. Returns the seconds of each instruction."""
        return list(self._run(arrays, timed=True))

    def shared(self) -> list[bool]:
        """Whether each instruction shared its work with other threads in the last run.

        Results do not depend on it. The program measures which is faster in its first runs, and
        again from time to time; see engine/cpp/runtime/trials.h.
        """
        return list(self._native.shared())

    def record(self, **parts: Any) -> Record:
        """The record that `native_replay` takes. The caller passes its other parts."""
        return Record(self._native, self._reference, **parts)

    def refuse(self, outcome: Any) -> NoReturn:
        """Raise the error for the outcome of a run that failed."""
        if outcome is NotImplemented:
            raise GraphError("a program cannot run inside itself")
        if outcome[0] == UNMET:
            raise Unmet(outcome[3])
        if outcome[0] == REFUSED:
            self._reference(outcome[-1])  # raises, with the reason
        raise_status(outcome, self.instructions[outcome[-1]].name, outcome[-1])

    def bound(self, slot: int) -> Array:
        """The array that a slot had in the last run."""
        array: Array = self._native.bound(slot)
        return array

    def view(self, number: int) -> Array:
        """A buffer as an array: a view of the arena, a constant or an array of the last run."""
        buffer = self.buffers[number]
        if buffer.home == "constant":
            return np.asarray(buffer.array)
        base = self._arena if buffer.home == "arena" else self.bound(buffer.slot)
        shape, dtype, strides = buffer.layout
        memory = base.reshape(-1).view(np.uint8)
        return np.ndarray(shape, dtype, memory.data, buffer.offset, strides)

    def _run(self, arrays: Sequence[Array], timed: bool) -> Any:
        try:
            result = module().run(self._native, list(arrays), self._reference, timed)
        except (ValueError, TypeError, BufferError) as error:
            raise self._explained(error, arrays) from None
        if result is NotImplemented or result.__class__ is tuple:
            self.refuse(result)
        return result

    def _explained(self, error: Exception, arrays: Sequence[Array]) -> Exception:
        """The error for the array that does not fit its slot, or `error` if all fit."""
        if len(arrays) != len(self.slots):
            return ShapeError("wrong number of arrays", given=len(arrays), expected=len(self.slots))
        for number, (array, spec) in enumerate(zip(arrays, self.slots, strict=True)):
            fits = isinstance(array, np.ndarray) and (array.shape, array.dtype) == (
                spec.shape,
                spec.dtype,
            )
            if not fits or not array.flags.c_contiguous or not array.flags.aligned:
                return ShapeError(
                    f"the array of slot {number} does not fit",
                    given=described(array),
                    expected=f"{spec} in C order",
                )
            if not array.flags.writeable and number in self._written:
                return ShapeError(f"the array of slot {number} is written, and is read-only")
        return error

    def _reference(self, number: int) -> None:
        """Run one instruction by its primitive's NumPy reference (called by the engine)."""
        instruction = self.instructions[number]
        primitive = instruction.op
        if isinstance(primitive, str):
            raise GraphError(f"`{primitive}` has no reference")
        inputs = [self.view(i) for i in instruction.inputs]
        if primitive.fill is not None:
            outputs = [self.view(i) for i in instruction.outputs]
            primitive.fill(*outputs, *inputs, **instruction.params)
            return
        results = as_tuple(primitive.forward(*inputs, **instruction.params))
        for i, result in zip(instruction.outputs, results, strict=True):
            self.view(i)[...] = result

    # -- building ------------------------------------------------------------------------------

    def _check_numbers(self) -> None:
        count = len(self.buffers)
        for i, instruction in enumerate(self.instructions):
            if any(not 0 <= b < count for b in (*instruction.inputs, *instruction.outputs)):
                raise GraphError(f"instruction {i} ({instruction.name}) names an unknown buffer")
        if any(b.home == "external" and not 0 <= b.slot < len(self.slots) for b in self.buffers):
            raise GraphError("a buffer names an unknown slot")

    def _place_buffers(self) -> None:
        """Add the memory to the native program: the arena, the slots, then the constants."""
        used = {i for x in self.instructions for i in x.outputs}
        self._written = {b.slot for i, b in enumerate(self.buffers) if i in used}
        self._bases: list[int] = []
        home = self._native.add_base(self._arena, True)
        slots = []
        for i, spec in enumerate(self.slots):
            shape, dtype, strides = in_order(spec.shape, spec.dtype)
            written = i in self._written
            slots.append(self._native.add_slot(list(shape), list(strides), dtype.char, written))
        for i, buffer in enumerate(self.buffers):
            if buffer.home == "constant":
                if i in used:
                    raise GraphError(f"buffer {i} is a constant, and an instruction writes it")
                self._bases.append(self._native.add_base(buffer.array, False))
            else:
                self._bases.append(home if buffer.home == "arena" else slots[buffer.slot])
            self._add_view(i, buffer.layout)

    def _add_view(self, number: int, layout: Layout) -> int:
        shape, dtype, strides = layout
        base, offset = self._bases[number], self.buffers[number].offset
        added: int = self._native.add_buffer(base, offset, list(shape), list(strides), dtype.char)
        return added

    def _encode(self) -> None:
        for instruction in self.instructions:
            inputs = [self.buffers[i].layout for i in instruction.inputs]
            outputs = [self.buffers[i].layout for i in instruction.outputs]
            call = encode(instruction.op, instruction.params, inputs, outputs)
            self.calls.append(call)
            if call is None:
                if isinstance(instruction.op, str):
                    raise GraphError(f"`{instruction.op}` does not take these layouts")
                self._native.add_callback()
                continue
            seen = [self._add_view(instruction.inputs[i], x) for i, x in call.inputs]
            made = [self._add_view(instruction.outputs[i], x) for i, x in call.outputs]
            self._native.add_call(call.kernel, seen, made, list(call.ints), list(call.floats))


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros in memory that starts at a multiple of 64 bytes: no vector crosses a cache line."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def described(array: Any) -> str:
    """A short description of an array, or of another value, for a message."""
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    order = "" if array.flags.c_contiguous else ", not in C order"
    return f"{array.dtype}{array.shape}{order}"


def raise_status(status: Any, name: str, instruction: int | None = None) -> NoReturn:
    """Raise the exception for the status that a kernel returned."""
    code, problem, position, value, limit = status[:5]
    where = f"`{name}`" if instruction is None else f"instruction {instruction} (`{name}`)"
    if code == OUT_OF_RANGE:
        raise OutOfRangeError(
            f"{where}: {problem} {value} at position {position} is out of range",
            expected=f"less than {limit}",
        )
    if code == 3:
        raise MemoryError(f"{where}: {problem}")
    raise GraphError(f"{where}: {problem}")
