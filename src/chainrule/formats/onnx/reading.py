"""Read an ONNX file: check all that it says, and translate its nodes.

Nothing of a file is trusted. Sizes must fit the data, names must be defined before they are used,
operators and attributes must be those of ONNX's schemas for the opset that the file names, and
functions may not call themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import helper

from chainrule.errors import ArgumentError, FormatError, listing, shortened
from chainrule.formats.onnx.operators import table
from chainrule.formats.onnx.operators.refusals import reason
from chainrule.formats.onnx.program import Function, Graph, Node
from chainrule.formats.onnx.schemas import check_against, defaults, schema_of
from chainrule.formats.onnx.tensors import Type, array_of, attribute_value, type_of
from chainrule.primitive import Array

OPSETS = range(7, 29)
MAX_NODES, MAX_DEPTH = 2**16, 64
"""The most nodes after functions are written out, and the deepest nesting of graphs in them."""
GRAPH, GRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS


@dataclass
class Source:
    """What a file defines: the version of each domain's operators, functions, and its folder.

    count: how many nodes have been read.
    """

    opsets: dict[str, int]
    functions: dict[tuple[str, str], onnx.FunctionProto]
    folder: Path | None
    count: list[int] = field(default_factory=lambda: [0])

    def within(self, function: onnx.FunctionProto) -> Source:
        """The same for the nodes of a function, which names versions of its own."""
        opsets = {**self.opsets, **opsets_of(function.opset_import)}
        return Source(opsets, self.functions, self.folder, self.count)


@dataclass
class File:
    """A file that has been read: its graph, its weights by name, and what it takes and gives."""

    name: str
    opset: int
    graph: Graph
    weights: dict[str, Array]
    inputs: dict[str, Type]
    outputs: dict[str, Type]


def parsed(data: bytes) -> onnx.ModelProto:
    """The protocol buffer of a file. Raises FormatError for data that is none."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise FormatError("this is no ONNX file, or a part of one", given=str(error)) from error
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        raise FormatError(
            "the file has fields that ONNX does not define",
            expected=f"those of version {onnx.__version__} of the library onnx",
            instead="Install a newer one, if the file is newer.",
        )
    _require_text(model)
    return model


def _require_text(message: Any) -> None:
    """Raise FormatError for a name that is no text: it arrives as bytes."""
    for field_, value in message.ListFields():
        if field_.type not in (field_.TYPE_STRING, field_.TYPE_MESSAGE):
            continue
        for part in [value] if isinstance(value, (str, bytes, Message)) else value:
            if isinstance(part, Message):
                _require_text(part)
            elif isinstance(part, bytes):
                raise FormatError(f"a {field_.name} is no text", given=shortened(part))


def read(data: bytes, folder: Path | None) -> File:
    """Read a file. Raises FormatError if it is not valid, ArgumentError if it is not supported."""
    model = parsed(data)
    if not model.HasField("graph"):
        raise FormatError("the file has no graph")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise FormatError(
            "this version of the format is not known",
            given=model.ir_version,
            expected=f"3 to {onnx.IR_VERSION}",
        )
    if model.training_info:
        raise ArgumentError("the file has training information", instead="Export without it.")
    opsets = opsets_of(model.opset_import)
    functions: dict[tuple[str, str], onnx.FunctionProto] = {}
    for function in model.functions:
        key = (_domain(function.domain), function.name)
        if key in functions or function.overload:
            raise ArgumentError(f"the function {shortened(function.name)} has overloads")
        functions[key] = function
    source = Source(opsets, functions, folder)
    proto = model.graph
    weights = _initializers(proto, source)
    inputs = _types(proto.input, "the input")
    outputs = _types(proto.output, "the output")
    inputs = {name: kind for name, kind in inputs.items() if name not in weights}
    graph = read_graph(proto, source, {*inputs, *weights}, 0, {})
    graph = Graph(tuple(inputs), graph.nodes, graph.outputs)
    return File(proto.name, opsets.get("", OPSETS[-1]), graph, weights, inputs, outputs)


def opsets_of(imports: Iterable[Any]) -> dict[str, int]:
    """The version of each domain's operators."""
    opsets: dict[str, int] = {}
    for entry in imports:
        domain = _domain(entry.domain)
        if domain in opsets:
            raise FormatError(f"the operators of {domain or 'ai.onnx'} have two versions")
        opsets[domain] = entry.version
    if not opsets:
        raise FormatError("the file names no version of the operators (opset)")
    if "" in opsets and opsets[""] not in OPSETS:
        raise ArgumentError(
            "this version of the operators is not supported",
            given=f"opset {opsets['']}",
            expected=f"{OPSETS[0]} to {OPSETS[-1]}",
            instead="Convert the file with onnx.version_converter.",
        )
    return opsets


def _domain(name: str) -> str:
    """`ai.onnx` is another name for the domain without a name."""
    return "" if name == "ai.onnx" else name


def _types(values: Iterable[onnx.ValueInfoProto], what: str) -> dict[str, Type]:
    types: dict[str, Type] = {}
    for value in values:
        if not value.name or value.name in types:
            raise FormatError(f"{what} {shortened(value.name)!r} is there twice, or has no name")
        types[value.name] = type_of(value.type, f"{what} {shortened(value.name)}")
    return types


def _initializers(proto: onnx.GraphProto, source: Source) -> dict[str, Array]:
    if proto.sparse_initializer:
        raise ArgumentError("the file has sparse weights", instead="Export dense ones.")
    weights: dict[str, Array] = {}
    for tensor in proto.initializer:
        if not tensor.name or tensor.name in weights:
            raise FormatError(f"a weight {shortened(tensor.name)!r} is there twice, or has no name")
        what = f"the weight {shortened(tensor.name)}"
        weights[tensor.name] = array_of(tensor, source.folder, what)
    return weights


# -- graphs --------------------------------------------------------------------------------------


def read_graph(
    proto: onnx.GraphProto, source: Source, known: set[str], depth: int, given: dict[str, Any]
) -> Graph:
    """The nodes of a graph. `known` are the names that are defined outside of its nodes, `given`
    the attributes of the function it is in."""
    nodes = read_nodes(proto.node, source, known, depth, given)
    outputs = tuple(value.name for value in proto.output)
    _require(outputs, {*known, *(name for node in nodes for name in node.outputs)}, "the graph")
    return Graph(tuple(value.name for value in proto.input), nodes, outputs)


def _body(
    proto: onnx.GraphProto, source: Source, known: set[str], depth: int, given: dict[str, Any]
) -> Graph:
    """A graph that is an attribute. It sees the names around it."""
    weights = _initializers(proto, source)
    inputs = [value.name for value in proto.input if value.name not in weights]
    if len({*inputs}) != len(inputs):
        raise FormatError("a graph in a node has an input twice")
    graph = read_graph(proto, source, {*known, *inputs, *weights}, depth + 1, given)
    return Graph(tuple(inputs), graph.nodes, graph.outputs, weights)


def read_nodes(
    protos: Sequence[onnx.NodeProto],
    source: Source,
    known: set[str],
    depth: int,
    given: dict[str, Any],
) -> tuple[Node, ...]:
    """Nodes in their order. `given` are the attributes of the call of the function they are in."""
    if depth > MAX_DEPTH:
        raise FormatError(f"graphs and functions are nested more than {MAX_DEPTH} deep")
    defined, own, nodes = set(known), set(), []
    for number, proto in enumerate(protos):
        source.count[0] += 1
        if source.count[0] > MAX_NODES:
            raise FormatError(f"the file has more than {MAX_NODES} nodes")
        label = f"node {number}" if not proto.name else f"node {shortened(proto.name)}"
        label = f"{label} ({shortened(proto.op_type)})"
        _require(filter(None, proto.input), defined, label)
        outputs = [name for name in proto.output if name]
        if twice := [name for name in outputs if name in own or outputs.count(name) > 1]:
            raise FormatError(f"{label} defines {shortened(twice[0])}, which is defined before")
        nodes.append(_node(proto, label, source, defined, depth, given))
        own.update(outputs)
        defined.update(outputs)
    return tuple(nodes)


def _require(names: Iterable[str], defined: set[str], label: str) -> None:
    for name in names:
        if name not in defined:
            raise FormatError(
                f"{label} reads {shortened(name)!r}, which nothing before defines",
                expected=listing(sorted(defined), like=name),
            )


def _attributes(
    proto: onnx.NodeProto,
    label: str,
    source: Source,
    known: set[str],
    depth: int,
    given: dict[str, Any],
) -> dict[str, Any]:
    """The attributes of a node, by name; a graph among them sees the names in `known`."""
    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        what = f"the attribute {shortened(attribute.name)} of {label}"
        if attribute.name in attributes:
            raise FormatError(f"{what} is there twice")
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in given:
                attributes[attribute.name] = given[attribute.ref_attr_name]
        elif attribute.type == GRAPH:
            attributes[attribute.name] = _body(attribute.g, source, known, depth, given)
        elif attribute.type == GRAPHS or not attribute.type:
            raise FormatError(f"{what} has no type, or one that no operator takes")
        else:
            attributes[attribute.name] = attribute_value(attribute, source.folder, what)
    return attributes


def _node(
    proto: onnx.NodeProto,
    label: str,
    source: Source,
    known: set[str],
    depth: int,
    given: dict[str, Any],
) -> Node:
    attributes = _attributes(proto, label, source, known, depth, given)
    key = (_domain(proto.domain), proto.op_type)
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    make = partial(Node, label, proto.op_type, inputs, outputs)
    if key in source.functions:
        function = source.functions[key]
        return make(attributes, Function(called(function, attributes, source, depth, outputs)))
    if key[0] not in source.opsets:
        raise FormatError(f"{label} is of the domain {shortened(key[0])!r}, of no version")
    opset = source.opsets[key[0]]
    schema = schema_of(*key, opset, label)
    if why := reason(*key):
        raise table.refused(f"{label} is refused: {why}")
    check_against(schema, proto, attributes, label)
    given_here = frozenset(attributes)
    attributes = {**defaults(schema), **attributes}
    translation = table.find(*key, opset)
    if translation is not None:
        if strange := sorted(attributes.keys() - translation.keywords):
            raise table.refused(f"{label} has the attribute {strange[0]}, which is not supported")
        filled = {name: translation.attribute(name, v) for name, v in attributes.items()}
        return make(filled, translation, given_here)
    expansion = _expansion(schema, proto, attributes, source, opset, label)
    return make(attributes, expansion, given_here)


# -- functions -----------------------------------------------------------------------------------


def called(
    function: onnx.FunctionProto,
    attributes: dict[str, Any],
    source: Source,
    depth: int,
    used: Sequence[str],
) -> Graph:
    """The nodes of a function, with the attributes of one call.

    used: the names that the call gives to the outputs; those without one need not be defined.
    """
    inputs = tuple(function.input)
    outputs = tuple(name if use else "" for name, use in zip(function.output, used, strict=False))
    defaults = {
        attribute.name: attribute_value(attribute, source.folder, attribute.name)
        for attribute in function.attribute_proto
    }
    if len({*inputs}) != len(inputs):
        raise FormatError(f"the function {shortened(function.name)} has an input twice")
    inside, given = source.within(function), {**defaults, **attributes}
    nodes = read_nodes(function.node, inside, set(inputs), depth + 1, given)
    defined = {*inputs, *(name for node in nodes for name in node.outputs)}
    _require(filter(None, outputs), defined, f"the function {shortened(function.name)}")
    return Graph(inputs, nodes, outputs)


@dataclass(frozen=True)
class Expansion:
    """A call of an operator that ONNX defines as a function of others.

    key: the domain, name and opset of the operator. versions: those of the others.
    outputs: the names that the call gives to the outputs.
    node, version: the node and the version of the function, if that depends on types.
    """

    key: tuple[str, str, int]
    attributes: dict[str, Any]
    versions: dict[str, int]
    outputs: tuple[str, ...]
    node: bytes = b""
    version: int = 0

    def __call__(self, types: Sequence[bytes]) -> Graph:
        """The graph for inputs of these types."""
        schema = schema_of(*self.key, self.key[1])
        written = schema.get_context_dependent_function_with_opset_version
        return self.graph(written(self.version, self.node, types), [0])

    def graph(self, body: bytes, count: list[int]) -> Graph:
        """The graph that a function stands for."""
        function, own = onnx.FunctionProto.FromString(body), Source(self.versions, {}, None, count)
        return called(function, self.attributes, own, MAX_DEPTH // 2, self.outputs)


def _expansion(
    schema: Any,
    proto: onnx.NodeProto,
    attributes: dict[str, Any],
    source: Source,
    opset: int,
    label: str,
) -> Function:
    """An operator that ONNX defines as a function of others."""
    fixed = [v for v in schema.function_opset_versions if v <= opset]
    typed = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    versions = {"": OPSETS[-1], **source.opsets}
    key = _domain(proto.domain), proto.op_type, opset
    expansion = Expansion(key, attributes, versions, tuple(proto.output))
    if fixed:
        body = schema.get_function_with_opset_version(max(fixed))
        return Function(expansion.graph(body, source.count))
    if not typed:
        raise table.refused(f"{label} is not supported (opset {opset})")
    node = onnx.NodeProto()
    node.CopyFrom(proto)
    del node.attribute[:]
    for attribute in proto.attribute:
        if not attribute.ref_attr_name:
            node.attribute.append(attribute)
        elif attribute.name in attributes:
            value = helper.make_attribute(attribute.name, attributes[attribute.name])
            node.attribute.append(value)
    data = node.SerializeToString()
    return Function(None, replace(expansion, node=data, version=max(typed)))
