"""Elementwise ops as steps of the engine's machine, read off their own formulas.

The NumPy reference of an elementwise op is run once on symbols, which write down what is done with
them. So an op that is composed of what the machine knows runs natively and joins chains, whoever
defined it. A record with `steps` writes them itself, on the machine `m`, where its reference uses
other means (a rational approximation) than the machine's own op.

The machine computes in one floating dtype; truth values are masks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from chainrule.engine.chain import Step, fused_call
from chainrule.engine.layout import BOOL, FLOATS, KNOWN, NativeCall, native_call
from chainrule.engine.lowering.table import Layouts, lowering_of_kind, row
from chainrule.graph import Equation
from chainrule.kinds import Elementwise
from chainrule.primitive import DType, Primitive

ARITHMETIC = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div",
    np.maximum: "maximum", np.minimum: "minimum", np.negative: "neg", np.absolute: "abs",
    np.sign: "sign", np.square: "square", np.floor: "floor", np.ceil: "ceil", np.rint: "round",
    np.trunc: "trunc", np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p",
    np.sqrt: "sqrt", np.tanh: "tanh", np.sin: "sin", np.cos: "cos", np.positive: "copy",
}  # fmt: skip
COMPARISON = {
    np.equal: "eq", np.not_equal: "ne", np.less: "lt", np.less_equal: "le", np.greater: "gt",
    np.greater_equal: "ge", np.isnan: "isnan", np.isinf: "isinf", np.isfinite: "isfinite",
}  # fmt: skip
LOGIC = {
    np.bitwise_and: "bitwise_and", np.logical_and: "bitwise_and", np.bitwise_or: "bitwise_or",
    np.logical_or: "bitwise_or", np.bitwise_xor: "bitwise_xor", np.invert: "bitwise_not",
    np.logical_not: "bitwise_not",
}  # fmt: skip
"""What NumPy's functions are called in the machine (cpp/kernels/fused_ops.h)."""

OF_TRUTHS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda a, b: ~(a ^ b), "ne": lambda a, b: a ^ b, "lt": lambda a, b: ~a & b,
    "le": lambda a, b: ~a | b, "gt": lambda a, b: a & ~b, "ge": lambda a, b: a | ~b,
}  # fmt: skip
"""Comparisons of truth values, with False < True."""


class Symbol(NDArrayOperatorsMixin):
    """An operand that stands for an array: NumPy's functions on it become steps."""

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
    """Writes down steps. Called by an op's name (`m.sigmoid(x)`), it adds that op of the engine."""

    def __init__(self, dtypes: Sequence[DType]) -> None:
        self.steps: list[Step] = []
        self.inputs = [Symbol(self, i, dtype) for i, dtype in enumerate(dtypes)]

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *xs: self.arithmetic(name, *xs)

    def emit(self, op: str, operands: Sequence[Any], dtype: DType) -> Symbol:
        """Add a step; its result has this dtype."""
        placed = [x.operand if isinstance(x, Symbol) else self.constant(x) for x in operands]
        self.steps.append((op, *placed))
        return Symbol(self, len(self.inputs) + len(self.steps) - 1, dtype)

    def constant(self, x: Any) -> float:
        """A number of a formula: a Python number, or one that was made in the arrays' dtype."""
        if type(x) in (int, float) or (isinstance(x, np.floating) and x.dtype in self.floats()):
            return float(x)
        raise TypeError(f"{x!r} is no constant of a chain")

    def floats(self) -> set[DType]:
        return {x.dtype for x in self.inputs if x.dtype != BOOL}

    def arithmetic(self, op: str, *xs: Any) -> Symbol:
        """A number for each element. A truth value beside numbers counts as 1 or 0."""
        numbers = [x.dtype for x in xs if isinstance(x, Symbol) and x.dtype != BOOL]
        if not numbers:
            raise TypeError(f"`{op}` of truth values alone")
        xs = tuple([self.cast(x, numbers[0]) if _is_truth(x) else x for x in xs])
        return self.emit(op, xs, numbers[0])

    def comparison(self, op: str, *xs: Any) -> Symbol:
        """A truth value for each element; truth values themselves are compared by logic."""
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
        """The powers that NumPy, too, computes by multiplication, a division or a root."""
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
        """Into floats from anything the machine reads; from truth values 1 and 0."""
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
    """The machine's steps for one op, given its parameters and its inputs' dtypes.

    Operands 0 … n − 1 are the inputs, n, n + 1, … the results of the steps; the last step is the
    result. None when the op is not elementwise, or the machine does not compute it exactly.
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
    except (TypeError, ValueError, AttributeError):  # the formula does what has no step
        return None
    if not isinstance(result, Symbol) or result.operand < len(dtypes):
        return None
    if result.operand != len(dtypes) + len(machine.steps) - 1:
        machine.emit("copy", [result], result.dtype)
    return tuple(machine.steps)


def in_floats(dtypes: Sequence[DType]) -> bool:
    """Whether the machine computes on operands of these dtypes: truth values, and one float."""
    numbers = set(dtypes) - {BOOL}
    return len(numbers) <= 1 and numbers <= set(FLOATS)


def is_fusible(equation: Equation) -> bool:
    """Whether an equation may be a member of a chain: all of it in the machine's steps, on one
    floating dtype. Another would undo the whole chain, which runs in one sweep or not at all."""
    inputs = [v.dtype for v in equation.inputs]
    if not in_floats([*inputs, *(v.dtype for v in equation.outputs)]):
        return False
    return steps_of(equation.primitive, equation.params, inputs) is not None


@lowering_of_kind(Elementwise)
def _sweep(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """One op in the machine: in one floating dtype, or as a cast between two."""
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
"""Steps on whole numbers, which have a kernel of their own; they wrap around."""


def _integers(steps: Sequence[Step], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """One step on arrays of one integer dtype that lie in order, or on one and a number."""
    if len(steps) != 1 or steps[0][1:] != (0, 1) or steps[0][0] not in OF_INTEGERS:
        return None
    dtype, y = inputs[0].dtype, outputs[0]
    if dtype.kind not in "iu" or inputs[1].dtype != dtype:
        return None
    if not all(x.in_order() and x.size in (1, y.size) for x in (*inputs, y)):
        return None
    return native_call("integers", inputs, outputs, (OF_INTEGERS[steps[0][0]],))


row("clone", kernel="copy")
