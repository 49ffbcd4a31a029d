"""Lowering: from the equations of a graph to steps over memory.

A view (reshape, permute, expand, a slice) becomes a layout of memory that already exists, and costs
nothing. The parts of a concatenation are computed where they lie in the result, if they are
adjacent there. Every other equation becomes a step. A native kernel runs it if the engine has one
for these layouts, else its NumPy reference. Operands are copied into C order if a kernel exists
only for that order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule import engine
from chainrule.compiler.passes.fusion import CHAIN
from chainrule.engine import Layout, in_order
from chainrule.graph import Equation, Graph, Value
from chainrule.ops.elementwise import clone
from chainrule.ops.reduce import all as every
from chainrule.ops.shape import cat
from chainrule.primitive import Array, Primitive, Spec

FEW_ROWS = 256
"""Up to this many rows, a product reads weights that were transposed once. With more rows,
transposing them at each call is a small part of its cost."""


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """An instruction whose operands are values, before memory is assigned to them.

    native: whether a kernel of the engine runs it.
    """

    op: Primitive | str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    equation: Equation
    native: bool


class Seen(NamedTuple):
    """A value as a view of memory: the value that owns it, the offset in bytes, and the layout."""

    root: Value
    offset: int
    layout: Layout


class Lowering:
    """A graph as steps over views of memory.

    steps: the steps, in the order of the equations.
    seen: the view of memory that each value is.
    constants: those of the graph, and those that lowering adds.
    packed: for weights among the inputs, the constant for their transpose, which products with few
        rows read. Only for inputs in `frozen`, which the graph does not change.
    """

    def __init__(self, graph: Graph, frozen: Collection[Value] = ()) -> None:
        self.steps: list[Step] = []
        self.seen: dict[Value, Seen] = {}
        self.constants: dict[Value, Array] = dict(graph.constants)
        self.packed: dict[Value, Value] = {}
        self._frozen = frozen
        self._computed: set[Value] = set()
        self._layers = Counter(map(_few_rows_weight, graph.equations))
        self._turned: dict[Value, Value] = {}
        for value in [*graph.inputs, *graph.constants]:
            self._own(value)
        for equation in graph.equations:
            self._lower(equation)

    def home(self, value: Value) -> Value:
        """A value that owns memory with exactly these numbers: the value itself, the value of which
        it is a view, or a copy."""
        seen = self.seen[value]
        whole = seen.root is not value and seen == self.seen[seen.root]
        home = seen.root if whole else value
        if self.seen[home].root is home:
            return home
        return self._copied(home)  # a part of other memory

    def require(self, values: Sequence[Value]) -> list[Step]:
        """Steps that stop a run unless all elements of each value are true."""
        ordered = [v if self.seen[v].layout.in_order() else self._copied(v) for v in values]
        return [
            Step("require", (v,), (), {"number": i}, _required(v), native=True)
            for i, v in enumerate(ordered)
        ]

    def _lower(self, equation: Equation) -> None:
        """Turn an equation into a view of existing memory, or into steps."""
        if equation.primitive.view:
            self._see(equation)
        elif equation.primitive is CHAIN and not self._has_kernel(equation):
            body = equation.params["body"]
            for value, array in body.constants.items():
                if value not in self.constants:
                    self.constants[value] = array
                    self._own(value)
            for part in body.equations:
                self._lower(part)
        elif not self._multiply_packed(equation) and not self._adjoin(equation):
            inputs = self._readable(equation)
            self._emit(equation.primitive, inputs, equation.outputs, equation.params, equation)

    def _multiply_packed(self, equation: Equation) -> bool:
        """Lower a linear layer with few rows to a product with its transposed weights, if these are
        frozen, or if several such layers read them. Returns whether that is possible."""
        w = _few_rows_weight(equation)
        if w is None:
            return False
        x, _, *bias = equation.inputs
        if not self.seen[x].layout.in_order():
            return False
        if w in self._frozen:
            packed = self._kept_transposed(w)
        elif self._layers[w] > 1:
            packed = self._transposed(w, equation)
        else:
            return False
        params = {"activation": engine.LAYERS[equation.primitive.name]}
        self._emit("product", (x, packed, *bias), equation.outputs, params, equation)
        return True

    def _kept_transposed(self, w: Value) -> Value:
        """A constant for the transpose of frozen weights."""
        if w not in self.packed:
            packed = self.packed[w] = Value(Spec(w.shape[::-1], w.dtype))
            self.constants[packed] = engine.aligned_zeros(packed.shape, packed.dtype)
            self._own(packed)
        return self.packed[w]

    def _transposed(self, w: Value, reader: Equation) -> Value:
        """The transpose of weights in C order, which a step computes once."""
        if w not in self._turned:
            view, seen = Value(Spec(w.shape[::-1], w.dtype)), self.seen[w]
            self.seen[view] = seen._replace(layout=seen.layout.permuted((1, 0)))
            self._turned[w] = self._copied(view, reader)
        return self._turned[w]

    def _adjoin(self, equation: Equation) -> bool:
        """Lower a concatenation of adjacent parts. Steps that compute a part write it into the
        result; other parts are copied. Returns whether that is possible, and saves a copy."""
        if equation.primitive is not cat:
            return False
        (whole,), parts = equation.outputs, equation.inputs
        apart = any(n != 1 for n in whole.shape[: equation.params["dim"]])
        if apart or not any(self._is_computed(part) for part in parts):
            return False
        self._own(whole)
        offset = 0
        for part in parts:
            if self._is_computed(part):
                self._move(self.seen[part].root, whole, offset)
            else:
                place = Value(part)
                self.seen[place] = Seen(whole, offset, in_order(part.shape, part.dtype))
                self.steps.append(Step("copy", (part,), (place,), {}, equation, native=True))
            offset += part.spec.nbytes
        self._computed.add(whole)
        return True

    def _is_computed(self, value: Value) -> bool:
        """Whether a value is all that the steps before wrote into memory of its own."""
        root, _, layout = self.seen[value]
        return root in self._computed and layout.in_order() and root.spec.size == layout.size

    def _move(self, root: Value, whole: Value, offset: int) -> None:
        """Let a value, and all views of it, be a part of other memory."""
        self._computed.remove(root)
        for value, seen in self.seen.items():
            if seen.root is root:
                self.seen[value] = Seen(whole, seen.offset + offset, seen.layout)

    def _readable(self, equation: Equation) -> Sequence[Value]:
        """The inputs, copied into C order if a kernel exists only for that order."""
        apart = [v for v in equation.inputs if not self.seen[v].layout.in_order()]
        if not apart or self._has_kernel(equation) or not self._has_kernel(equation, copied=True):
            return equation.inputs
        copies = {v: self._copied(v, equation) for v in dict.fromkeys(apart)}
        return [copies.get(v, v) for v in equation.inputs]

    def _copied(self, value: Value, reader: Equation | None = None) -> Value:
        """Emit a copy in C order, for an equation that reads it, or as a result."""
        copied = Value(value)
        equation = reader or Equation(clone, (value,), {}, (copied,))
        self._emit("copy", (value,), (copied,), {}, equation)
        return copied

    def _has_kernel(self, equation: Equation, copied: bool = False) -> bool:
        """Whether the engine has a kernel for these inputs, in their layout or in C order."""
        plain = [in_order(v.shape, v.dtype) for v in equation.inputs]
        inputs = plain if copied else [self.seen[v].layout for v in equation.inputs]
        outputs = [in_order(v.shape, v.dtype) for v in equation.outputs]
        return engine.lower(equation.primitive, equation.params, inputs, outputs) is not None

    def _emit(
        self,
        op: Primitive | str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        params: dict[str, Any],
        equation: Equation,
    ) -> None:
        for value in outputs:
            self._own(value)
        self._computed.update(outputs)
        read = replace(equation, inputs=tuple(inputs))
        native = isinstance(op, str) or self._has_kernel(read)
        self.steps.append(Step(op, read.inputs, tuple(outputs), params, equation, native))

    def _own(self, value: Value) -> None:
        """Let a value own memory in C order."""
        self.seen[value] = Seen(value, 0, in_order(value.shape, value.dtype))

    def _see(self, equation: Equation) -> None:
        """Lower a view: the same memory in another layout, or of a copy if that is necessary."""
        (value,), (output,) = equation.inputs, equation.outputs
        if equation.primitive.view and equation.primitive.view.keeps_order:
            layout = self.seen[value].layout.reshaped(output.shape)
            if layout is None:
                value, layout = self._copied(value, equation), in_order(output.shape, output.dtype)
            self.seen[output] = self.seen[value]._replace(layout=layout)
            return
        root, offset, layout = self.seen[value]
        phantom = as_strided(np.zeros((), layout.dtype), layout.shape, layout.strides)
        result = equation.primitive.forward(phantom, **equation.params)
        offset += result.ctypes.data - phantom.ctypes.data
        self.seen[output] = Seen(root, offset, Layout(result.shape, result.dtype, result.strides))


def _few_rows_weight(equation: Equation) -> Value | None:
    """The weights of a linear layer that is applied to a matrix of few rows; else None."""
    if equation.primitive.name not in engine.LAYERS:
        return None
    x, w, *_ = equation.inputs
    return w if len(x.shape) == 2 and x.shape[0] <= FEW_ROWS else None


def _required(value: Value) -> Equation:
    return Equation(every, (value,), {}, ())
