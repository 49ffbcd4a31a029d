"""`to_jax`: a step as a pure function of its state and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from chainrule import tree
from chainrule.compiler.capture import Slot
from chainrule.compiler.compiled import Compiled
from chainrule.compiler.guards import Guards
from chainrule.compiler.passes.dead import remove_unused
from chainrule.compiler.repeat import FirstRunDiffers, repeatable_capture
from chainrule.compiler.shared import Result, Shared
from chainrule.compiler.trace import Trace
from chainrule.errors import ArgumentError, CaptureError, ShapeError
from chainrule.formats.decompose import decomposed
from chainrule.formats.jax.table import refusal, translation
from chainrule.graph import Graph, Value, as_tuple
from chainrule.primitive import Spec
from chainrule.tensor import Tensor

State = dict[str, Any]


class JaxStep:
    """A step as a pure function of JAX's, and the state that it starts from.

    function: `state, result = function(state, *inputs)`. The state is a dict of arrays by name:
        parameters, optimizer state, rates, buffers, random state. It can be compiled (`jax.jit`),
        scanned, sharded over a mesh and lowered. If a condition of `cr.require` does not hold,
        such as a finite loss, the state stays as it was.
    state: the state of the tensors when the step was captured.

    It unpacks as `function, state`.
    """

    def __init__(self, trace: Trace, guards: Guards) -> None:
        given = len(trace.graph.inputs) - len(trace.reads)
        results = len(trace.graph.outputs) - len(trace.writes)
        self._trace, self._inputs = trace, trace.graph.inputs[:given]
        self.requirements, self.guards = trace.requirements, guards
        self.slots: dict[str, Slot] = {}
        for slot, value in zip(trace.reads, trace.graph.inputs[given:], strict=True):
            self.slots[_free(value.label or "state", self.slots)] = slot
        self._reads = dict(zip(self.slots, trace.graph.inputs[given:], strict=True))
        self._writes: dict[str, Value] = {}
        keys = {slot.key: name for name, slot in self.slots.items()}
        labels = trace.graph.results[results:]
        values = trace.graph.outputs[results:]
        for slot, value, label in zip(trace.writes, values, labels, strict=True):
            name = keys.get(slot.key)
            if name is None and slot.is_grad:
                continue  # a gradient that no step reads
            if name is None:
                self.slots[name := _free(label, self.slots)] = slot
            self._writes[name] = value
        required = len(trace.requirements)
        self._required = trace.graph.outputs[results - required : results]
        self._results = trace.graph.outputs[: trace.results]
        self._graph = _lowered(
            trace.graph, [*self._results, *self._required, *self._writes.values()]
        )
        self.function: Callable[..., tuple[State, Any]] = self._pure
        self.state = self.load()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.function, self.state))

    def load(self) -> State:
        """The state as it is in the tensors now."""
        with jax.enable_x64(True):
            return {name: jnp.asarray(slot.load()) for name, slot in self.slots.items()}

    def store(self, state: State) -> None:
        """Write a state into the tensors: into the model, the optimizer and so on."""
        for name in self._writes:
            self.slots[name].store(np.asarray(state[name]))
        for slot in self._trace.cleared:
            slot.tensor._grad = None

    def run(self, state: State, *inputs: Any) -> tuple[State, list[Any], Any]:
        """(state, result, conditions), pure as `function` is; the conditions of `cr.require`."""
        # 64-bit numbers (labels, counters, random words) keep their bits, also where JAX is not set
        # to 64 bits. Floating numbers have the dtypes of the model: float32 stays float32.
        with jax.enable_x64(True):
            arrays = [leaf for leaf in tree.flatten(inputs) if hasattr(leaf, "shape")]
            if len(arrays) != len(self._inputs):
                raise ArgumentError("another number of inputs", given=len(arrays))
            known = {v: jnp.asarray(array) for v, array in self._graph.constants.items()}
            for value, array in zip(self._inputs, arrays, strict=True):
                known[value] = _fitted(array, value)
            known |= {value: state[name] for name, value in self._reads.items()}
            for equation in self._graph.equations:
                function = translation(equation.primitive)
                found = function(*[known[v] for v in equation.inputs], **equation.params)
                for value, array in zip(equation.outputs, as_tuple(found), strict=True):
                    known[value] = jnp.asarray(array, value.dtype)
            conditions = [known[v] for v in self._required]
            new = {name: known[value] for name, value in self._writes.items()}
            if conditions:
                holds = jnp.stack(conditions).all()
                new = {name: jnp.where(holds, x, state[name]) for name, x in new.items()}
            state = {**state, **new}
            return state, self._answer(known, arrays, state), conditions

    def _answer(self, known: dict[Value, Any], inputs: Sequence[Any], state: State) -> Any:
        """What the step returns, with arrays in place of its tensors."""
        names = {id(s.tensor): name for name, s in self.slots.items() if not s.is_grad}

        def array(y: Any) -> Any:
            if isinstance(y, Result):
                return known[self._results[y.number]]
            if not isinstance(y, Shared):
                return y
            if isinstance(y.root, Tensor):
                x = state[names[id(y.root)]] if id(y.root) in names else y.root.detach().numpy()
            else:
                x = inputs[y.root] if isinstance(y.root, int) else array(y.root)
            for primitive, params in y.views or ():
                x = translation(primitive)(jnp.asarray(x), **params)
            return x

        return tree.map_leaves(array, self._trace.structure)

    def _pure(self, state: State, *inputs: Any) -> tuple[State, Any]:
        return self.run(state, *inputs)[:2]


def _free(name: str, taken: Any) -> str:
    number, wanted = 2, name
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _fitted(array: Any, value: Value) -> Any:
    if tuple(array.shape) != value.shape:
        raise ShapeError(f"the input {value}", given=tuple(array.shape), expected=value.shape)
    return jnp.asarray(array, value.dtype)


def _lowered(graph: Graph, outputs: Sequence[Value]) -> Graph:
    """The graph with what these outputs need, without ops that only others express."""
    needed = Graph(graph.inputs, graph.constants, graph.equations, list(outputs))
    return remove_unused(needed)


def to_jax(step: Callable[..., Any], *inputs: Any) -> JaxStep:
    """A step as a pure function of JAX's: of its state and its inputs.

    step: a function of tensors, or what `cr.compile` made of it: a forward pass, or a training step
        with backward pass and update. It is captured once, for the specs of the inputs.
    inputs: the specs of its inputs (`cr.spec`), or examples.

    `function, state = cr.to_jax(step, x, y)` gives `state, result = function(state, x, y)`. Nothing
    is read from tensors or written to them after that; `store` writes a state back.

    >>> import chainrule as cr, jax
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = cr.optim.SGD([w], lr=0.1)
    >>> def step(x):
    ...     optimizer.zero_grad()
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss.detach()
    >>> function, state = to_jax(step, cr.spec(2))
    >>> fast = jax.jit(function)
    >>> for _ in range(2):
    ...     state, loss = fast(state, cr.ones(2).numpy())
    ...     print(f"{loss:.4f}")
    5.0000
    3.2000

    Raises CaptureError for a step that cannot be captured, and ArgumentError for an op without
    translation, or for inputs that the step writes.
    """
    function = step.function if isinstance(step, Compiled) else step

    def spec(leaf: Any) -> Any:
        if isinstance(leaf, (Tensor, Spec)) or not hasattr(leaf, "dtype"):
            return leaf.spec if isinstance(leaf, Tensor) else leaf
        return Spec(np.shape(leaf), np.dtype(leaf.dtype))

    try:
        trace, guards = repeatable_capture(function, tree.map_leaves(spec, inputs), {})
    except FirstRunDiffers:
        raise CaptureError(
            "the first run of the step prepares something for later ones",
            instead="Run it once, and convert it then.",
        ) from None
    if trace.arguments:
        raise ArgumentError("the step writes its inputs, and JAX's arrays cannot be written")
    trace.graph = decomposed(trace.graph, lambda record: refusal(record) is None)
    return JaxStep(trace, guards)
