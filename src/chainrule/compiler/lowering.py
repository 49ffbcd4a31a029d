"""Lowering: from the equations of a graph to steps over memory.

A view (reshape, permute, expand, a slice) becomes a layout of memory that already exists, and costs
nothing. The parts of a concatenation are computed where they lie in the result, if they are
adjacent there, and joined slices, if the kernels that compute them can write there. Every other
equation becomes a step. A native kernel runs it if the engine has one for these layouts, else its
NumPy reference. An operand whose order does not suit its first reader is computed in the order of
that reader, or copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule import engine
from chainrule.compiler.passes.fusion import CHAIN
from chainrule.compiler.passes.join import JOINED
from chainrule.compiler.places import moved, strides_for
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
        self._only: dict[Value, Step] = {}  # computed values, which no other step has read
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
        if self.seen[home].root is home and self.seen[home].layout.in_order():
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
        elif not any(way(equation) for way in (self._multiply_packed, self._adjoin, self._join)):
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
                self._only.pop(self.seen[part].root, None)
                self.steps.append(Step("copy", (part,), (place,), {}, equation, native=True))
            offset += part.spec.nbytes
        self._computed.add(whole)
        return True

    def _join(self, equation: Equation) -> bool:
        """Let the steps that compute joined slices write them into the result, if all can, and no
        number is left. None may be −0, since slices are added to zeros. Returns whether it was
        possible, and saves a copy."""
        if equation.primitive is not JOINED:
            return False
        (whole,), parts, before = equation.outputs, equation.inputs, self.seen.copy()
        self._own(whole)
        placed = sum(x.spec.size for x in parts) == whole.spec.size
        for x, index in zip(parts, equation.params["indices"], strict=True):
            step = self._only.get(self.seen[x].root)
            place = self._viewed(whole, itemgetter(index))
            layout = place.layout.reshaped(x.shape)
            fits = step and isinstance(step.op, Primitive) and step.op.positive_zeros
            if not (placed and fits and layout is not None):
                placed = False
                break
            placed = self._lay(x, Seen(whole, place.offset, layout))
        if placed:
            self._computed.add(whole)
        else:
            self.seen = before
        return placed

    def _lay(self, value: Value, place: Seen) -> bool:
        """Let a value, which is all of its memory, and the views of that lie at a place, if only
        one step has touched it, and has a kernel that writes there. Returns whether it does."""
        root, _, layout = self.seen[value]
        step, strides = self._only.get(root), strides_for(root, layout, place.layout)
        if step is None or not step.native or strides is None:
            return False
        seen = self.seen.copy()
        for v in [v for v in seen if seen[v].root is root]:
            found = moved(root, strides, *seen[v][1:])
            if found is None:
                return False
            seen[v] = Seen(place.root, place.offset + found[0], found[1])
        layouts = [[seen[v].layout for v in values] for values in (step.inputs, step.outputs)]
        if engine.encode(step.op, step.params, *layouts) is None:
            return False
        self.seen = seen
        if place.root is not root:
            self._computed.remove(root)
        del self._only[root]
        return True

    def _is_computed(self, value: Value) -> bool:
        """Whether a value is all that the steps before wrote into memory of its own."""
        root, _, layout = self.seen[value]
        return root in self._computed and layout.in_order() and root.spec.size == layout.size

    def _move(self, root: Value, whole: Value, offset: int) -> None:
        """Let a value, and all views of it, be a part of other memory."""
        self._computed.remove(root)
        self._only.pop(root, None)
        for value, seen in self.seen.items():
            if seen.root is root:
                self.seen[value] = Seen(whole, seen.offset + offset, seen.layout)

    def _readable(self, equation: Equation) -> Sequence[Value]:
        """The inputs, in C order if a kernel exists only for that order."""
        apart = [v for v in equation.inputs if not self.seen[v].layout.in_order()]
        if not apart or self._has_kernel(equation) or not self._has_kernel(equation, copied=True):
            return equation.inputs
        copies = {v: self._ordered(v, equation) for v in dict.fromkeys(apart)}
        return [copies.get(v, v) for v in equation.inputs]

    def _ordered(self, value: Value, reader: Equation) -> Value:
        """A value in C order: computed in that order, if no other step reads it, or copied."""
        order = Seen(self.seen[value].root, 0, in_order(value.shape, value.dtype))
        return value if self._lay(value, order) else self._copied(value, reader)

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
        step = Step(op, read.inputs, tuple(outputs), params, equation, native)
        self.steps.append(step)
        for value in read.inputs:
            self._only.pop(self.seen[value].root, None)
        self._only.update(dict.fromkeys(outputs, step))

    def _own(self, value: Value) -> None:
        """Let a value own memory in C order."""
        self.seen[value] = Seen(value, 0, in_order(value.shape, value.dtype))

    def _see(self, equation: Equation) -> None:
        """Lower a view: the same memory in another layout, or of a copy if that is necessary."""
        (value,), (output,) = equation.inputs, equation.outputs
        if equation.primitive.view and equation.primitive.view.keeps_order:
            layout = self.seen[value].layout.reshaped(output.shape)
            if layout is None:
                value, layout = self._ordered(value, equation), in_order(output.shape, output.dtype)
            self.seen[output] = self.seen[value]._replace(layout=layout)
            return
        forward = partial(equation.primitive.forward, **equation.params)
        self.seen[output] = self._viewed(value, forward)

    def _viewed(self, value: Value, view: Callable[[Array], Array]) -> Seen:
        """What a view of an array shows of a value."""
        root, offset, layout = self.seen[value]
        phantom = as_strided(np.zeros((), layout.dtype), layout.shape, layout.strides)
        result = view(phantom)
        offset += result.ctypes.data - phantom.ctypes.data
        return Seen(root, offset, Layout(result.shape, result.dtype, result.strides))


def _few_rows_weight(equation: Equation) -> Value | None:
    """The weights of a linear layer that is applied to a matrix of few rows; else None."""
    if equation.primitive.name not in engine.LAYERS:
        return None
    x, w, *_ = equation.inputs
    return w if len(x.shape) == 2 and x.shape[0] <= FEW_ROWS else None


def _required(value: Value) -> Equation:
    return Equation(every, (value,), {}, ())
