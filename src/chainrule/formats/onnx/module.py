"""A model from an ONNX file, as a module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.formats.onnx.operators.table import Statistic
from chainrule.formats.onnx.program import Graph, Run, Value, reads
from chainrule.formats.onnx.reading import File, read
from chainrule.formats.onnx.tensors import DTYPES, Type
from chainrule.nn.module import Module
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.ops.rules import physical_memory
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor

SHOWN = 4
"""Constants of at most so many elements are shown in place of their names."""


def load(path: str | Path, *, memory: int | None = None) -> Imported:
    """Read an ONNX file as a module that runs, compiles, trains, prints and exports again.

    path: the file. Data outside of it must be in its folder.
    memory: how many bytes the values of a call may have together; by default half of the machine's
        memory. What a file asks for beyond that is refused before it is allocated.

    The module is in evaluation mode, which computes as the file says; so does training mode. Its
    call takes the inputs in the file's order, or by their names, and returns the output, or a
    tuple of them. Float weights are parameters under their names in the file, where dots separate
    modules. Those without dimensions do not require gradients at first: most of them are constants,
    such as √2. Running statistics are buffers; integers and constants stay as they are. Quantized
    weights become float parameters. Operators are those of opset 7 to 28. Shapes that follow from
    shapes are computed when the model is captured; loops are unrolled.

    Raises FormatError for a file that is not valid, ArgumentError for what is not supported, such
    as an operator without a translation, by its name.

    >>> import chainrule as cr, tempfile
    >>> model = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.ReLU()).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cr.onnx.export(model, cr.spec(1, 2), f"{folder}/model.onnx")
    ...     loaded = cr.onnx.load(f"{folder}/model.onnx")
    >>> loaded(cr.ones(5, 2)).shape
    (5, 3)
    >>> sorted(loaded.state_dict())
    ['0.bias', '0.weight']
    """
    path = Path(path)
    return Imported(read(path.read_bytes(), path.parent), memory or physical_memory() // 2)


class Part(Module):
    """The parameters whose names in the file have the same beginning."""


class Imported(Module):
    """A model from an ONNX file. `cr.onnx.load` makes it."""

    def __init__(self, file: File, memory: int) -> None:
        self.training = False
        self._file, self._memory = file, memory
        self._state: dict[str, tuple[Module, str]] = {}
        self._constants: dict[str, Array] = {}
        roles = {name: {*_kinds(name, file.graph)} for name in file.weights}
        for name, array in file.weights.items():
            if array.dtype not in DTYPES.values() or array.dtype.kind != "f":
                self._constants[name] = array
            elif Tensor in roles[name]:
                self._keep(name, Parameter(array, requires_grad=array.ndim > 0))
            elif Statistic in roles[name]:
                self._keep(name, Buffer(array))
            else:
                self._constants[name] = array
        self._graph = self._folded(file.graph)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Run the graph on its inputs."""
        values = self._inputs(inputs, named)
        for name, (owner, attribute) in self._state.items():
            values[name] = getattr(owner, attribute)
        run = Run(self._memory)
        with use(interpreter=run.bounded):
            results = run.graph(self._graph, {**values, **self._constants})
        found = tuple(_result(value) for value in results)
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    # -- state -----------------------------------------------------------------------------------

    def _keep(self, name: str, tensor: Tensor) -> None:
        """Make a tensor part of the module that its name says."""
        *path, attribute = [re.sub(r"\W", "_", part) or "_" for part in name.split(".")]
        owner: Module = self
        for part in path:
            part = _free(owner, part, Module)
            if not hasattr(owner, part):
                owner.add_module(part, Part())
            owner = getattr(owner, part)
        attribute = _free(owner, attribute, None)
        setattr(owner, attribute, tensor)
        self._state[name] = owner, attribute

    def _folded(self, graph: Graph) -> Graph:
        """The graph without the nodes that constants alone determine, which run now."""
        run, nodes = Run(self._memory), []
        for node in graph.nodes:
            if not node.runs.known or not self._constants.keys() >= {*reads(node)}:
                nodes.append(node)
                continue
            for name, value in zip(node.outputs, run.node(node, self._constants), strict=False):
                if node.runs.weights:
                    self._keep(name, Parameter(value))
                elif name:
                    self._constants[name] = value
            run.live = sum(array.nbytes for array in self._constants.values())
        return Graph(graph.inputs, tuple(nodes), graph.outputs)

    # -- inputs ----------------------------------------------------------------------------------

    def _inputs(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Value]:
        """The inputs by name. Raises an error for what does not fit the types in the file."""
        types = self._file.inputs
        if strange := sorted(named.keys() - types.keys()):
            raise ArgumentError(f"there is no input {strange[0]}", expected=", ".join(types))
        if len(inputs) > len(types):
            raise ArgumentError("too many inputs", given=len(inputs), expected=len(types))
        values = {**dict(zip(types, inputs, strict=False)), **named}
        sizes: dict[str, int] = {}
        for name, kind in types.items():
            value = values.setdefault(name, None)
            if value is None and not kind.is_optional:
                raise ArgumentError(f"the input {name} is missing", expected=str(kind))
            parts = value if isinstance(value, (list, tuple)) and kind.is_sequence else [value]
            for part in parts if value is not None else []:
                _check(name, kind, part, {} if kind.is_sequence else sizes)
            values[name] = list(parts) if kind.is_sequence and value is not None else value
        return values

    # -- text ------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[str]:
        file = self._file
        given = ", ".join(f"{name}: {kind}" for name, kind in file.inputs.items())
        found = ", ".join(f"{name}: {kind}" for name, kind in file.outputs.items())
        yield f"{file.name or 'model'}({given}) -> ({found})  # ONNX, opset {file.opset}"
        for name, (owner, attribute) in self._state.items():
            tensor: Tensor = getattr(owner, attribute)
            yield f"  {name}: {type(tensor).__name__} {tensor.spec}"
        yield from _graph_lines(self._graph, self._constants, "  ")


def _kinds(name: str, graph: Graph) -> Iterator[Any]:
    """The annotations of the places where a value goes; a function's place is a tensor's."""
    if name in graph.outputs:
        yield Tensor
    for node in graph.nodes:
        for used, kind in zip(node.inputs, node.runs.kinds(), strict=False):
            if used == name:
                yield Tensor if kind is Any else kind
        for value in node.attributes.values():
            if isinstance(value, Graph) and name not in (*value.inputs, *value.weights):
                yield from _kinds(name, value)


def _free(owner: Module, name: str, kind: Any) -> str:
    """The name, with `_` after it as long as it is taken by something else."""
    while name.startswith("__") or (
        hasattr(owner, name) and not (kind and isinstance(getattr(owner, name), Part))
    ):
        name = f"p{name}" if name.startswith("__") else f"{name}_"
    return name


def _check(name: str, kind: Type, value: Any, sizes: dict[str, int]) -> None:
    """Raise an error unless a value is of a type; a size with a name is the same everywhere."""
    if not isinstance(value, (Tensor, np.ndarray)):
        raise DTypeError(f"the input {name} is no tensor", given=type(value).__name__)
    if value.dtype != kind.dtype:
        raise DTypeError(
            f"the input {name} has another dtype", given=value.dtype, expected=str(kind)
        )
    wanted = kind.sizes if kind.sizes is not None else (None,) * value.ndim
    fits = len(wanted) == value.ndim and all(
        size is None or n == (sizes.setdefault(size, n) if isinstance(size, str) else size)
        for n, size in zip(value.shape, wanted, strict=True)
    )
    if not fits:
        known = "".join(f", {label} = {n}" for label, n in sizes.items())
        raise ShapeError(
            f"the input {name} has another shape", given=value.shape, expected=f"{kind}{known}"
        )


def _result(value: Value) -> Any:
    """An output: what is known before the model runs becomes a tensor, too."""
    if isinstance(value, list):
        return [_result(part) for part in value]
    return Tensor(value) if isinstance(value, np.ndarray) else value


# -- text ----------------------------------------------------------------------------------------


def _graph_lines(graph: Graph, constants: dict[str, Array], indent: str) -> Iterator[str]:
    for node in graph.nodes:
        inputs = [_text(name, constants) for name in node.inputs]
        inputs += [
            f"{name}={value}"
            for name, value in node.attributes.items()
            if name in node.given and not isinstance(value, (Graph, np.ndarray))
        ]
        yield f"{indent}{', '.join(node.outputs)} = {node.kind}({', '.join(inputs)})"
        for name, value in node.attributes.items():
            if isinstance(value, Graph):
                yield f"{indent}  {name}({', '.join(value.inputs)}):"
                yield from _graph_lines(value, {**constants, **value.weights}, indent + "    ")
    yield f"{indent}return {', '.join(_text(name, constants) for name in graph.outputs)}"


def _text(name: str, constants: dict[str, Array]) -> str:
    """The name of a value, or its numbers if it is a small constant."""
    value = constants.get(name)
    if not isinstance(value, np.ndarray) or value.size > SHOWN:
        return name or "none"
    return str(value.tolist())
