"""Capture: run a function on specs instead of numbers, and keep what it would compute.

Every op, every write to state and every gradient passes the interpreter, so forward, backward and
an optimizer's update become one graph. Tensors that exist outside are state, read when the graph
runs; tensors that only the capture knows are constants.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import ref

from chainrule import aliases, tree
from chainrule.compiler.leaks import refuse_leaks
from chainrule.errors import CaptureError
from chainrule.graph import Equation, Graph, Value, as_tuple
from chainrule.interpreters import Evaluate
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
                instead="Capture again, in the state in which the function will run.",
            )
        return tensor._data

    def store(self, array: Array) -> None:
        """Put another array into this place."""
        if self.is_grad:
            self.tensor._grad = wrap(array)
        else:
            self.tensor._version += 1
            self.tensor._put(array)
            if self.tensor._alias is not None:
                aliases.spread(self.tensor)


class Read(NamedTuple):
    """What was read from a tensor that was there before, and the value that stands for it."""

    tensor: ref[Tensor]
    value: Value
    data: Array


@dataclass(eq=False)
class Gradient:
    """The gradient of a tensor from outside, as it is now in the capture.

    before: the value that was read first; was_read: whether it was read before it was written.
    """

    slot: Slot
    was_read: bool
    before: Value | None
    now: Tensor | None


class Capture(Evaluate):
    """The interpreter that writes equations down instead of computing them."""

    def __init__(self, labels: dict[int, str]) -> None:
        self.graph = Graph()
        self.reads: dict[tuple[int, bool], Read] = {}
        self.made: list[tuple[ref[Tensor], Array]] = []
        self.writes: dict[int, tuple[Slot, Value]] = {}
        self.gradients: dict[int, Gradient] = {}
        self.requirements: list[tuple[Value, Exception]] = []
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
        if isinstance(tensor._data, Value):
            return tensor._data
        if id(tensor) in self.writes:
            return self.writes[id(tensor)][1]
        if tensor._node is not None:
            raise CaptureError(
                f"a tensor {tensor.spec} that was computed outside is used at "
                f"{describe(caller())}",
                instead="Pass it as an argument, compute it inside, or .detach() it.",
            )
        return self._read(Slot(tensor), tensor._data)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        if isinstance(tensor._data, Value):  # made inside
            tensor._data = self.read(value)
            return
        self.writes[id(tensor)] = (Slot(tensor), self.read(value))

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        if isinstance(tensor._data, Value):  # made inside
            return tensor._grad
        if id(tensor) not in self.gradients:
            slot, g = Slot(tensor, is_grad=True), tensor._grad
            before = None if g is None else self._read(slot, g._data)
            now = None if before is None else wrap(before)
            self.gradients[id(tensor)] = Gradient(slot, True, before, now)
        return self.gradients[id(tensor)].now

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        if isinstance(tensor._data, Value):
            tensor._grad = g
        elif id(tensor) in self.gradients:
            self.gradients[id(tensor)].now = g
        else:
            self.gradients[id(tensor)] = Gradient(Slot(tensor, is_grad=True), False, None, g)

    def written(self) -> list[tuple[Slot, Value | None]]:
        """The state that is another one at the end, with its value then."""
        changed: list[tuple[Slot, Value | None]] = list(self.writes.values())
        for g in self.gradients.values():
            after = None if g.now is None else self.read(g.now)
            if not g.was_read or after is not g.before:
                changed.append((g.slot, after))
        return changed

    def require(self, condition: Tensor, error: Exception) -> None:
        self.requirements.append((self.read(condition), error))

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        """What is made inside from numbers is a constant, until it is written."""
        if isinstance(data, Value):
            return data
        value = Value(data)
        self.graph.constants[value] = data
        self.made.append((ref(tensor), data))
        return value

    def _read(self, slot: Slot, data: Any) -> Value:
        known = self.reads.get(slot.key)
        if known is not None and known.tensor() is slot.tensor:
            return known.value
        if known is not None:  # of a temporary tensor that is gone
            self.graph.constants[known.value] = known.data
        label = self._labels.get(id(slot.tensor), "")
        value = Value(data, f"grad({label})" if slot.is_grad else label)
        self.reads[slot.key] = Read(ref(slot.tensor), value, data)
        return value

    def label(self, slot: Slot) -> str:
        """How the text of the graph names a place of state."""
        name = self._labels.get(id(slot.tensor), "state")
        return f"grad({name})" if slot.is_grad else name


@dataclass(eq=False)
class Trace:
    """What a function computes, as a graph that prints, checks and runs.

    `graph` takes the arguments, then the state that is read; it returns the results, then what is
    required to be true, then the new values of the state that is written. Called with tensors, a
    trace runs the graph op by op, with the same bits as the function itself, and writes the state.
    """

    graph: Graph
    reads: list[Slot]
    writes: list[Slot]
    cleared: list[Slot]
    without_grad: list[Tensor]
    requirements: list[Exception]
    structure: Any

    def __post_init__(self) -> None:
        shape = self.structure
        self._is_flat = type(shape) is tuple and all(x is _RESULT for x in shape)

    def __call__(self, *args: Any) -> Any:
        tensors = [leaf for leaf in tree.flatten(args) if isinstance(leaf, Tensor)]
        arrays = [x._numbers("a trace") for x in tensors]
        return self.finish(self.graph.run(*arrays, *[slot.load() for slot in self.reads]))

    def finish(self, results: list[Array]) -> Any:
        """Check what is required, write the state, and return what the function returned."""
        state = len(results) - len(self.writes)
        required = state - len(self.requirements)
        for holds, error in zip(results[required:state], self.requirements, strict=True):
            if not holds:
                raise error
        for slot, array in zip(self.writes, results[state:], strict=True):
            slot.store(array)
        for slot in self.cleared:
            slot.tensor._grad = None
        return self.rebuild(results[:required])

    def rebuild(self, arrays: Sequence[Array]) -> Any:
        """What the function returned, with these arrays as its tensors."""
        if self.structure is _RESULT:
            return wrap(arrays[0])
        if self._is_flat:
            return tuple([wrap(array) for array in arrays])
        tensors = iter([wrap(array) for array in arrays])
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

    def capture_for(*specs: Any) -> Trace:
        return capture(function, specs)

    return capture_for


def capture(
    function: Callable[..., Any], specs: tuple[Any, ...], keeps_gradients: bool = True
) -> Trace:
    """Run `function` under a capture; see `trace`. What is neither spec nor tensor is passed on."""
    interpreter = Capture(_state_labels(function))
    names = iter(_argument_labels(function, specs))

    def symbol(leaf: Any) -> Any:
        name = next(names)
        if not isinstance(leaf, (Spec, Tensor)):
            return leaf
        return wrap(Value(leaf if isinstance(leaf, Spec) else leaf.spec, name))

    arguments = tree.map_leaves(symbol, specs)
    symbols = [x for x in tree.flatten(arguments) if isinstance(x, Tensor)]
    interpreter.graph.inputs = [x._data for x in symbols]
    with use(interpreter=interpreter):
        result = function(*arguments)
        found = [y for y in tree.flatten(result) if isinstance(y, Tensor)]
        outputs = [interpreter.read(y) for y in found]
        structure = tree.map_leaves(lambda y: _RESULT if isinstance(y, Tensor) else y, result)
    alive = [y for y in found if y._node is not None and y._node.saved is not None]
    if alive and not keeps_gradients:
        raise CaptureError(
            "a result of a compiled function carries a gradient",
            instead="Call backward inside, return y.detach(), or run it under cr.no_grad().",
        )
    del result, arguments, symbols, found, alive
    written = interpreter.written()
    refuse_leaks(interpreter, outputs, written)
    return _assemble(interpreter, outputs, structure, written)


def _assemble(
    interpreter: Capture,
    outputs: list[Value],
    structure: Any,
    written: list[tuple[Slot, Value | None]],
) -> Trace:
    """Sort what was read into state and constants, and finish the graph."""
    graph = interpreter.graph
    reads = []
    for (_, is_grad), (reference, value, data) in interpreter.reads.items():
        tensor = reference()
        if tensor is None:
            graph.constants[value] = data
        else:
            graph.inputs.append(value)
            reads.append(Slot(tensor, is_grad))
    kept = [(slot, value) for slot, value in written if value is not None]
    required = [value for value, _ in interpreter.requirements]
    errors = [error for _, error in interpreter.requirements]
    graph.outputs = outputs + required + [value for _, value in kept]
    graph.results = [""] * len(outputs) + ["required"] * len(required)
    graph.results += [interpreter.label(slot) for slot, _ in kept]
    writes = [slot for slot, _ in kept]
    cleared = [slot for slot, value in written if value is None]
    gradients = interpreter.gradients.values()
    absent = [g.slot.tensor for g in gradients if g.was_read and g.before is None]
    return Trace(graph.check(), reads, writes, cleared, absent, errors, structure)


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
