"""The nodes of an ONNX file after reading, and how they run.

A value is a tensor, a NumPy array, or a list of values (a sequence). An array is a value that is
known before the model runs: a constant, the shape of a tensor, and what is computed from them. Such
values are computed at once, outside of the tape and of a capture. So shapes may be computed from
shapes in a compiled model, too.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from chainrule.compiler.guards import Unguarded
from chainrule.errors import ChainruleError, FormatError
from chainrule.formats.onnx.operators import table
from chainrule.formats.onnx.operators.table import Operator
from chainrule.interpreters import EVALUATE, Interpreter
from chainrule.primitive import Array, Primitive
from chainrule.settings import use
from chainrule.tensor import Tensor

Value = Any
RECENT = 16
"""For how many types of its inputs an operator keeps its nodes, if they depend on the types."""
MAX_RUNS = 2**16
"""The most nodes that one call runs: loops are unrolled."""
OF_THE_FILE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What Python, NumPy and the ops raise for numbers of a file that make no sense."""


class Function(Unguarded):
    """An operator that is a graph of others: of the file's, or of ONNX's own.

    graph: its nodes; None if they depend on the types of the inputs, from which `typed` makes them.
    known, weights: as those of an operator. Its nodes say for themselves what is known.
    """

    known = weights = False
    unguarded = frozenset({"graph", "typed"})

    def __init__(
        self, graph: Graph | None, typed: Callable[[tuple[bytes, ...]], Graph] | None = None
    ) -> None:
        self.graph = graph
        self.typed = None if typed is None else functools.lru_cache(RECENT)(typed)

    def __reduce__(self) -> Any:
        return Function, (self.graph, None if self.typed is None else self.typed.__wrapped__)

    def kinds(self) -> Iterator[Any]:
        """The annotations of inputs: all are tensors."""
        return itertools.repeat(Tensor)

    def body(self, inputs: Sequence[Value]) -> Graph:
        """The graph for these inputs."""
        if self.typed is not None:
            return self.typed(tuple(map(_type_of, inputs)))
        return self.graph or Graph((), (), ())


def _type_of(value: Value) -> bytes:
    """The type of a value as a protocol buffer."""
    if value is None:
        return b""
    if isinstance(value, list):
        shape: Sequence[Any] = value[0].shape if value else ()
        kind = helper.np_dtype_to_tensor_dtype(value[0].dtype) if value else 1
        inner = helper.make_tensor_type_proto(kind, shape)
        return bytes(helper.make_sequence_type_proto(inner).SerializeToString())
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return bytes(helper.make_tensor_type_proto(kind, value.shape).SerializeToString())


@dataclass(frozen=True, slots=True)
class Node:
    """One node. An empty name among the inputs or outputs is one that is left out.

    given: the names of the attributes that the file gives; the others have their defaults.
    """

    label: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    runs: Operator | Function
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Graph(Unguarded):
    """Nodes in their order.

    weights: the arrays of a graph that is an attribute; those of the file are state of the module.
    last: for each node, the names that no later node reads.
    """

    unguarded = frozenset({"inputs", "nodes", "outputs", "weights", "last"})

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    weights: dict[str, Array] = field(default_factory=dict)
    last: tuple[frozenset[str], ...] = ()

    def __post_init__(self) -> None:
        seen, last = set(self.outputs), []
        for node in reversed(self.nodes):
            read = {*reads(node), *node.outputs} - {""}
            last.append(frozenset(read - seen))
            seen |= read
        object.__setattr__(self, "last", tuple(reversed(last)))


def reads(node: Node) -> Iterable[str]:
    """The names that a node reads, also in the graphs among its attributes."""
    yield from filter(None, node.inputs)
    for value in node.attributes.values():
        if isinstance(value, Graph):
            own = {*value.inputs, *value.weights}
            for inner in value.nodes:
                yield from (name for name in reads(inner) if name not in own)
                own.update(inner.outputs)
            yield from (name for name in value.outputs if name not in own)


# -- running -------------------------------------------------------------------------------------


class Bounded(Interpreter):
    """Refuses an op whose result is larger than `limit()` bytes, before it runs."""

    def __init__(self, limit: Callable[[], int], below: Any = None) -> None:
        super().__init__()
        self.limit = limit
        self.below = below or self.below

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        found = primitive.infer(*[x._data for x in inputs], **params)
        specs = found if isinstance(found, tuple) else (found,)
        size = sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in specs)
        if size > self.limit():
            raise FormatError(
                f"`{primitive.name}` would make {size:,} bytes",
                expected=f"at most {self.limit():,}",
                instead="Pass memory=... to cr.onnx.load if the machine has more.",
            )
        return self.below.run(primitive, inputs, params)


class Run:
    """One call of a model.

    memory: how many bytes its values may have together.
    """

    def __init__(self, memory: int) -> None:
        self.memory, self.live, self.count = memory, 0, 0
        self.bounded = Bounded(self.room)
        self.known = Bounded(self.room, EVALUATE)

    def room(self) -> int:
        """How many bytes are left."""
        return self.memory - self.live

    def graph(self, graph: Graph, values: dict[str, Value]) -> list[Value]:
        """Run the nodes; `values` are the inputs and all that is defined around the graph."""
        values = {**values, **graph.weights}
        made: dict[str, int] = {}
        for node, last in zip(graph.nodes, graph.last, strict=True):
            results = self.node(node, values)
            for name, value in zip(node.outputs, results, strict=False):
                if name:
                    values[name], made[name] = value, size_of(value)
                    self.live += made[name]
            if self.live > self.memory:
                raise FormatError(
                    f"{node.label}: the values have {self.live:,} bytes",
                    expected=f"at most {self.memory:,}",
                    instead="Pass memory=... to cr.onnx.load if the machine has more.",
                )
            for name in last & made.keys():
                self.live -= made.pop(name)
                del values[name]
        self.live -= sum(made.values())
        return [values[name] if name else None for name in graph.outputs]

    def node(self, node: Node, values: dict[str, Value]) -> Sequence[Value]:
        """The outputs of a node. An error names it."""
        self.count += 1
        if self.count > MAX_RUNS:
            raise FormatError(f"the model runs more than {MAX_RUNS} nodes: loops are unrolled")
        try:
            inputs = [values[name] if name else None for name in node.inputs]
            if isinstance(node.runs, Function):
                results: Sequence[Value] = self._function(node, node.runs, inputs)
            else:
                results = self._operator(node, node.runs, inputs, values)
            if any(node.outputs[len(results) :]):
                raise FormatError("it gives fewer outputs", given=len(results))
            return results
        except ChainruleError as error:
            error.problem = f"{node.label}: {error.problem}"
            raise
        except OF_THE_FILE as error:
            raise FormatError(f"{node.label} cannot run: {error}") from error

    def _function(self, node: Node, function: Function, inputs: list[Value]) -> list[Value]:
        graph = function.body(inputs)
        inputs = inputs + [None] * (len(graph.inputs) - len(inputs))
        return self.graph(graph, dict(zip(graph.inputs, inputs, strict=True)))

    def _operator(
        self, node: Node, operator: Operator, inputs: list[Value], values: dict[str, Value]
    ) -> Sequence[Value]:
        extra: dict[str, Any] = {}
        if "outputs" in operator.keywords:
            extra["outputs"] = len(node.outputs)
        for name, value in node.attributes.items():
            extra[name] = self._body(value, values) if isinstance(value, Graph) else value
        if operator.known and all(x is None or isinstance(x, np.ndarray) for x in inputs):
            with use(interpreter=self.known, gradients=False):
                results = _several(operator.run(*_converted(operator, inputs), **extra))
                return [_known(value) for value in results]
        return _several(operator.run(*_converted(operator, inputs), **extra))

    def _body(self, graph: Graph, values: dict[str, Value]) -> table.Body:
        """A graph among the attributes as a function of values."""

        def run(*inputs: Value) -> list[Value]:
            if len(inputs) != len(graph.inputs):
                raise FormatError(f"a graph takes {len(graph.inputs)} values", given=len(inputs))
            inner = dict(zip(graph.inputs, inputs, strict=True))
            return self.graph(graph, {**values, **inner})

        return run


def _converted(operator: Operator, inputs: list[Value]) -> list[Any]:
    """The inputs as the translation takes them."""
    kinds = zip(inputs, operator.kinds(), strict=False)
    return [None if value is None else table.CONVERSIONS[kind](value) for value, kind in kinds]


def _several(results: Any) -> Sequence[Value]:
    return results if isinstance(results, tuple) else (results,)


def _known(value: Value) -> Value:
    """A result that is computed from arrays, as an array."""
    if isinstance(value, list):
        return [_known(part) for part in value]
    return np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value)


def size_of(value: Value) -> int:
    """The bytes of a value."""
    if isinstance(value, list):
        return sum(map(size_of, value))
    return 0 if value is None else math.prod(value.shape) * value.dtype.itemsize
