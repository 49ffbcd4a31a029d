"""Capture: run a function on specs instead of numbers, and keep what it would compute.

Every op, every write to state and every gradient passes the interpreter, so forward, backward and
an optimizer's update become one graph. Tensors that exist outside are state, read when the graph
runs; tensors that only the capture knows are constants.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import tree
from chainrule.errors import CaptureError, DTypeError
from chainrule.graph import Equation, Graph, Value, as_tuple
from chainrule.primitive import Array, Primitive, Spec
from chainrule.settings import use
from chainrule.tape import caller, describe
from chainrule.tensor import Tensor, wrap


@dataclass(frozen=True, eq=False)
class Slot:
    """A place of state: the numbers of a tensor, or its gradient."""

    tensor: Tensor
    is_grad: bool = False

    @property
    def key(self) -> tuple[int, bool]:
        return (id(self.tensor), self.is_grad)

    def load(self) -> Array:
        """The array in this place now."""
        tensor = self.tensor._grad if self.is_grad else self.tensor
        if tensor is None:
            raise CaptureError(
                "a gradient that was there during the capture is gone",
                instead="Capture again, in the state in which the program will run.",
            )
        return tensor._data

    def store(self, array: Array | None) -> None:
        """Put an array (or, for a gradient, nothing) into this place."""
        if self.is_grad:
            self.tensor.grad = None if array is None else wrap(array)
        elif array is not None:
            with use(gradients=False):
                self.tensor.assign(wrap(array))


class Capture:
    """The interpreter that writes equations down instead of computing them."""

    def __init__(self, labels: dict[int, str]) -> None:
        self.graph = Graph()
        self.reads: dict[tuple[int, bool], tuple[Slot, Value]] = {}
        self.writes: dict[tuple[int, bool], tuple[Slot, Value | None]] = {}
        self._labels = labels

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        values = tuple(self.read(x) for x in inputs)
        derived = primitive.infer(*values, **params)
        outputs = tuple(Value(spec) for spec in as_tuple(derived))
        place = describe(caller())
        self.graph.equations.append(Equation(primitive, values, params, outputs, place))
        return outputs if isinstance(derived, tuple) else outputs[0]

    def read(self, tensor: Tensor) -> Value:
        """The value that stands for a tensor here: its last write, or what it was made as."""
        written = self.writes.get((id(tensor), False))
        if written is not None and written[1] is not None:
            return written[1]
        if isinstance(tensor._data, Value):
            return tensor._data
        return self._read(Slot(tensor), tensor._data)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        slot = Slot(tensor)
        self.writes[slot.key] = (slot, self.read(value))

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        slot = Slot(tensor, is_grad=True)
        if slot.key in self.writes:
            value = self.writes[slot.key][1]
        else:
            value = None if tensor._grad is None else self._read(slot, tensor._grad._data)
        return None if value is None else wrap(value)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        slot = Slot(tensor, is_grad=True)
        self.writes[slot.key] = (slot, None if g is None else self.read(g))

    def _read(self, slot: Slot, data: Any) -> Value:
        if slot.key not in self.reads:
            label = self._labels.get(id(slot.tensor), "")
            self.reads[slot.key] = (slot, Value(data, f"grad({label})" if slot.is_grad else label))
        return self.reads[slot.key][1]

    def label(self, slot: Slot) -> str:
        """How the text of the graph names a place of state."""
        name = self._labels.get(id(slot.tensor), "state")
        return f"grad({name})" if slot.is_grad else name


@dataclass(eq=False)
class Trace:
    """What a function computes, as a graph that prints, checks and runs.

    `graph` takes the arguments, then the state that is read; it returns the results, then the new
    values of the state that is written. Called with tensors, a trace runs the graph on the NumPy
    references, with the same bits as the function itself, and writes the state.
    """

    graph: Graph
    reads: list[Slot]
    writes: list[Slot]
    cleared: list[Slot]
    structure: Any

    def __call__(self, *args: Any) -> Any:
        arrays = [_tensor(leaf)._numbers("a trace") for leaf in tree.flatten(args)]
        results = self.graph.run(*arrays, *[slot.load() for slot in self.reads])
        split = len(results) - len(self.writes)
        for slot, array in zip(self.writes, results[split:], strict=True):
            slot.store(array)
        for slot in self.cleared:
            slot.store(None)
        tensors = iter([wrap(array) for array in results[:split]])
        return tree.map_leaves(lambda y: next(tensors) if y is _RESULT else y, self.structure)

    def __str__(self) -> str:
        return str(self.graph)


_RESULT = object()
"""Marks, in the structure that a function returned, where a tensor was."""


def trace(function: Callable[..., Any]) -> Callable[..., Trace]:
    """Capture what `function` computes for inputs of given specs, forward and backward alike.

    Call the result with specs (or tensors, of which only the specs count). Nothing is computed and
    no state changes. What depends on numbers (`.item()`, `if tensor:`, `.numpy()`) raises
    CaptureError naming the line.

    >>> import chainrule as cr
    >>> print(cr.trace(lambda x: (x * 2 + 1).relu())(cr.spec(3)))
    graph(x: float32(3,))
      t0: float32(3,) = mul(x, 2)   # ...
      t1: float32(3,) = add(t0, 1)  # ...
      t2: float32(3,) = relu(t1)    # ...
      return t2
    """

    def capture(*specs: Any) -> Trace:
        return _capture(function, specs)

    return capture


def _capture(function: Callable[..., Any], specs: tuple[Any, ...]) -> Trace:
    interpreter = Capture(_state_labels(function))
    names = iter(_argument_labels(function, specs))
    arguments = tree.map_leaves(lambda leaf: wrap(Value(_spec(leaf), next(names))), specs)
    interpreter.graph.inputs = [x._data for x in tree.flatten(arguments)]
    with use(interpreter=interpreter):
        result = function(*arguments)
        leaves = tree.flatten(result)
        outputs = [interpreter.read(y) for y in leaves if isinstance(y, Tensor)]
        structure = tree.map_leaves(lambda y: _RESULT if isinstance(y, Tensor) else y, result)
    del result, leaves, arguments
    return _assemble(interpreter, outputs, structure)


def _assemble(interpreter: Capture, outputs: list[Value], structure: Any) -> Trace:
    """Sort what was read into state and constants, and finish the graph."""
    graph = interpreter.graph
    written = list(interpreter.writes.values())
    interpreter.writes.clear()  # it holds tensors, which would count as held elsewhere
    reads = []
    for key in list(interpreter.reads):
        slot, value = interpreter.reads.pop(key)
        if not slot.is_grad and _held_only_by(slot) and not any(s.key == key for s, _ in written):
            graph.constants[value] = slot.tensor._data
        else:
            graph.inputs.append(value)
            reads.append(slot)
    kept = [(slot, value) for slot, value in written if value is not None]
    graph.outputs = outputs + [value for _, value in kept]
    graph.results = [""] * len(outputs) + [interpreter.label(slot) for slot, _ in kept]
    writes = [slot for slot, _ in kept]
    cleared = [slot for slot, value in written if value is None]
    return Trace(graph.check(), reads, writes, cleared, structure)


def _held_only_by(slot: Slot) -> bool:
    """Whether nobody but this slot holds the tensor: then nobody can write it any more."""
    # One reference is the slot's, one the argument of getrefcount.
    return sys.getrefcount(slot.tensor) <= 2


def _spec(leaf: Any) -> Spec:
    if isinstance(leaf, Spec):
        return leaf
    return _tensor(leaf).spec


def _tensor(leaf: Any) -> Tensor:
    if not isinstance(leaf, Tensor):
        raise DTypeError(
            "a trace is of tensors", given=type(leaf).__name__,
            instead="Give cr.spec(...) or tensors; bind other arguments with a lambda.",
        )  # fmt: skip
    return leaf


def _argument_labels(function: Callable[..., Any], specs: tuple[Any, ...]) -> list[str]:
    """The names of the function's parameters, one for each tensor in the arguments."""
    target = getattr(function, "forward", function)
    try:
        names = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"x{i}" for i in range(len(names), len(specs))]
    return [name for name, spec in zip(names, specs, strict=False) for _ in tree.flatten(spec)]


def _state_labels(function: Callable[..., Any]) -> dict[int, str]:
    """Names for the state that a function can see: of its module, its closure, its globals."""
    target = inspect.unwrap(function) if callable(function) else function
    visible: dict[str, Any] = {"": getattr(target, "__self__", target)}
    if inspect.isfunction(target):
        closure = inspect.getclosurevars(target)
        visible |= {**closure.globals, **closure.nonlocals}
    labels: dict[int, str] = {}
    for name, value in visible.items():
        if isinstance(value, Tensor):
            labels[id(value)] = name
        elif not isinstance(value, type) and hasattr(value, "named_parameters"):
            for path, tensor in [*value.named_parameters(), *value.named_buffers()]:
                labels[id(tensor)] = path
    return labels
