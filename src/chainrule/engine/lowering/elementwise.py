"""Elementwise ops as steps of the engine's elementwise machine, traced from their references.

The NumPy reference of an elementwise op runs once on symbols, which record the functions that are
called. So an op that is composed of ops of the machine runs natively and is fused into chains, even
if a user defined it. A record with `steps` calls ops of the machine `m` directly. It needs this if
its reference computes in another way (such as a rational approximation) than the machine's op.

The machine computes in one floating dtype. Booleans are masks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from chainrule.engine.chain import Step, fused_call
from chainrule.engine.layout import BOOL, FLOATS, KNOWN, NativeCall, native_call
from chainrule.engine.lowering.conditions import all_in_order, gives_floats
from chainrule.engine.lowering.table import Case, Layouts, lowering_of_kind, row
from chainrule.graph import Equation
from chainrule.kinds import Elementwise
from chainrule.primitive import DType, Primitive

ARITHMETIC = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.divide: "div",
    np.maximum: "maximum",
    np.minimum: "minimum",
    np.negative: "neg",
    np.absolute: "abs",
    np.sign: "sign",
    np.square: "square",
    np.floor: "floor",
    np.ceil: "ceil",
    np.rint: "round",
    np.trunc: "trunc",
    np.exp: "exp",
    np.expm1: "expm1",
    np.log: "log",
    np.log1p: "log1p",
    np.sqrt: "sqrt",
    np.tanh: "tanh",
    np.sin: "sin",
    np.cos: "cos",
    np.positive: "copy",
}
COMPARISON = {
    np.equal: "eq",
    np.not_equal: "ne",
    np.less: "lt",
    np.less_equal: "le",
    np.greater: "gt",
    np.greater_equal: "ge",
    np.isnan: "isnan",
    np.isinf: "isinf",
    np.isfinite: "isfinite",
}
LOGIC = {
    np.bitwise_and: "bitwise_and",
    np.logical_and: "bitwise_and",
    np.bitwise_or: "bitwise_or",
    np.logical_or: "bitwise_or",
    np.bitwise_xor: "bitwise_xor",
    np.invert: "bitwise_not",
    np.logical_not: "bitwise_not",
}
"""The ops of the machine for NumPy's functions (cpp/kernels/fused_ops.h)."""

OF_TRUTHS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda a, b: ~(a ^ b),
    "ne": lambda a, b: a ^ b,
    "lt": lambda a, b: ~a & b,
    "le": lambda a, b: ~a | b,
    "gt": lambda a, b: a & ~b,
    "ge": lambda a, b: a | ~b,
}
"""Comparisons of booleans, with False < True."""


class Symbol(NDArrayOperatorsMixin):
    """An operand in place of an array: calls of NumPy's functions on it are recorded as steps."""

    __slots__ = ("dtype", "machine", "operand")

    def __init__(self, machine: Machine, operand: int, dtype: DType) -> None:
        self.machine, self.operand, self.dtype = machine, operand, dtype

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        machine = self.machine
        if method != "__call__" or options:
            return NotImplemented
        if ufunc in LOGIC:
            return machine.logic(LOGIC[ufunc], *inputs)
        if ufunc is np.power:
            return machine.power(*inputs)
        if ufunc is np.reciprocal:
            return machine.arithmetic("div", 1.0, *inputs)
        if ufunc in COMPARISON:
            return machine.comparison(COMPARISON[ufunc], *inputs)
        if ufunc in ARITHMETIC:
            return machine.arithmetic(ARITHMETIC[ufunc], *inputs)
        return NotImplemented

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        translated = FUNCTIONS.get(function)
        return NotImplemented if translated is None else translated(self.machine, *args, **options)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Symbol:
        same = not copy and np.dtype(dtype) == self.dtype
        return self if same else self.machine.cast(self, np.dtype(dtype))

    def copy(self) -> Symbol:
        return self.machine.emit("copy", [self], self.dtype)


class Machine:
    """Records steps. `m.sigmoid(x)` adds a step with that op of the engine, for every op name."""

    def __init__(self, dtypes: Sequence[DType]) -> None:
        self.steps: list[Step] = []
        self.inputs = [Symbol(self, i, dtype) for i, dtype in enumerate(dtypes)]

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *xs: self.arithmetic(name, *xs)

    def emit(self, op: str, operands: Sequence[Any], dtype: DType) -> Symbol:
        """Add a step, whose result has this dtype."""
        placed = [x.operand if isinstance(x, Symbol) else self.constant(x) for x in operands]
        self.steps.append((op, *placed))
        return Symbol(self, len(self.inputs) + len(self.steps) - 1, dtype)

    def constant(self, x: Any) -> float:
        """A number in a formula: a Python number, or a NumPy number of the arrays' dtype. Raises
        TypeError for others."""
        if type(x) in (int, float) or (isinstance(x, np.floating) and x.dtype in self.floats()):
            return float(x)
        raise TypeError(f"{x!r} is no constant of a chain")

    def floats(self) -> set[DType]:
        return {x.dtype for x in self.inputs if x.dtype != BOOL}

    def arithmetic(self, op: str, *xs: Any) -> Symbol:
        """A step whose result is a number. Booleans among numbers are converted to 1 or 0."""
        numbers = [x.dtype for x in xs if isinstance(x, Symbol) and x.dtype != BOOL]
        if not numbers:
            raise TypeError(f"`{op}` of truth values alone")
        xs = tuple([self.cast(x, numbers[0]) if _is_truth(x) else x for x in xs])
        return self.emit(op, xs, numbers[0])

    def comparison(self, op: str, *xs: Any) -> Symbol:
        """A step whose result is a boolean. Comparisons of booleans become logic steps."""
        if not any(_is_truth(x) for x in xs):
            return self.emit(op, xs, BOOL)
        if op not in OF_TRUTHS or not all(_is_truth(x) for x in xs):
            raise TypeError(f"`{op}` of truth values and numbers")
        result: Symbol = OF_TRUTHS[op](*xs)
        return result

    def logic(self, op: str, *xs: Any) -> Symbol:
        if not all(_is_truth(x) for x in xs):
            raise TypeError(f"`{op}` of numbers")
        return self.emit(op, xs, BOOL)

    def power(self, x: Any, exponent: Any) -> Symbol:
        """The powers that NumPy computes by a multiplication, a division or a root, too."""
        if isinstance(exponent, Symbol):
            raise TypeError("the machine raises to powers that are numbers")
        if exponent == 2:
            return self.arithmetic("square", x)
        if exponent == 1:
            return self.arithmetic("copy", x)
        if exponent == -1:
            return self.arithmetic("div", 1.0, x)
        if exponent == 0.5:
            return self.arithmetic("sqrt", x)
        raise TypeError(f"the machine has no power {exponent}")

    def where(self, condition: Any, a: Any, b: Any) -> Symbol:
        numbers = [x.dtype for x in (a, b) if isinstance(x, Symbol)]
        if not _is_truth(condition) or not numbers or BOOL in numbers:
            raise TypeError("`where` chooses among numbers by a truth value")
        return self.emit("where", (condition, a, b), numbers[0])

    def clip(self, x: Any, low: Any, high: Any) -> Symbol:
        x = x if low is None else self.arithmetic("maximum", x, low)
        x = x if high is None else self.arithmetic("minimum", x, high)
        return x if (low, high) != (None, None) else x.copy()

    def cast(self, x: Symbol, dtype: DType) -> Symbol:
        """Convert to floats; booleans become 1 and 0."""
        if dtype not in FLOATS:
            raise TypeError("the machine makes no integers")
        return self.emit("to_number" if x.dtype == BOOL else "copy", [x], dtype)


def _is_truth(x: Any) -> bool:
    return isinstance(x, Symbol) and x.dtype == BOOL


FUNCTIONS: dict[Any, Callable[..., Symbol]] = {
    np.where: Machine.where,
    np.clip: Machine.clip,
    np.round: lambda m, x: m.arithmetic("round", x),
    np.copy: lambda m, x: x.copy(),
}

_known: dict[Any, tuple[Step, ...] | None] = {}
_MOST_KNOWN = 4096


def steps_of(
    primitive: Primitive, params: dict[str, Any], dtypes: Sequence[DType]
) -> tuple[Step, ...] | None:
    """The machine's steps for one op, given its parameters and the dtypes of its inputs.

    Operands 0 … n − 1 are the inputs, and n, n + 1, … the results of the steps. The last step is
    the result. None if the op is not elementwise, or the machine cannot compute it.
    """
    if not isinstance(primitive.kind, Elementwise) or any(d.str not in KNOWN for d in dtypes):
        return None
    key = (primitive, repr(params), tuple(dtypes))
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _traced(primitive, params, dtypes)
    return _known[key]


def _traced(
    primitive: Primitive, params: dict[str, Any], dtypes: Sequence[DType]
) -> tuple[Step, ...] | None:
    machine = Machine(dtypes)
    try:
        if primitive.steps is not None:
            result = primitive.steps(machine, *machine.inputs, **params)
        else:
            result = primitive.forward(*machine.inputs, **params)
    except (TypeError, ValueError, AttributeError):  # the formula uses a function without a step
        return None
    if not isinstance(result, Symbol) or result.operand < len(dtypes):
        return None
    if result.operand != len(dtypes) + len(machine.steps) - 1:
        machine.emit("copy", [result], result.dtype)
    return tuple(machine.steps)


def in_floats(dtypes: Sequence[DType]) -> bool:
    """Whether these dtypes are booleans and at most one floating dtype, as the machine needs."""
    numbers = set(dtypes) - {BOOL}
    return len(numbers) <= 1 and numbers <= set(FLOATS)


def is_fusible(equation: Equation) -> bool:
    """Whether an equation may be part of a chain: it has steps, and one floating dtype. A chain
    with another equation could not run on the machine at all."""
    inputs = [v.dtype for v in equation.inputs]
    if not in_floats([*inputs, *(v.dtype for v in equation.outputs)]):
        return False
    return steps_of(equation.primitive, equation.params, inputs) is not None


@lowering_of_kind(Elementwise)
def _sweep(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """One op on the machine: in one floating dtype, or a cast between two."""
    steps = steps_of(primitive, params, [x.dtype for x in inputs])
    if steps is None:
        return None
    dtypes = [x.dtype for x in (*inputs, *outputs)]
    is_cast = steps in ((("copy", 0),), (("to_number", 0),))
    if not in_floats(dtypes) and not is_cast:
        return _integers(steps, inputs, outputs)
    if not outputs[0].in_order() or outputs[0].dtype not in (*FLOATS, BOOL):
        return None
    widest = max((d for d in dtypes if d in FLOATS), key=lambda d: d.itemsize, default=None)
    result = (len(inputs) + len(steps) - 1,)
    return fused_call(inputs, outputs, steps, result, shape=outputs[0].shape, dtype=widest)


OF_INTEGERS: dict[Any, int] = {
    name: i for i, name in enumerate(("add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge"))
}
"""The steps with a kernel for integers. On overflow, results wrap around."""


def _integers(steps: Sequence[Step], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """One step on contiguous arrays of one integer dtype, one of which may be a single number."""
    if len(steps) != 1 or steps[0][1:] != (0, 1) or steps[0][0] not in OF_INTEGERS:
        return None
    dtype, y = inputs[0].dtype, outputs[0]
    if dtype.kind not in "iu" or inputs[1].dtype != dtype:
        return None
    if not all(x.in_order() and x.size in (1, y.size) for x in (*inputs, y)):
        return None
    return native_call("integers", inputs, outputs, (OF_INTEGERS[steps[0][0]],))


def bytes_to_floats(case: Case) -> bool:
    """The input has 8-bit numbers, and the result floats."""
    return case.inputs[0].dtype == np.uint8 and gives_floats(case)


row("clone", kernel="copy")
row("rescale", needs=(bytes_to_floats, all_in_order), floats=("divisor",))
