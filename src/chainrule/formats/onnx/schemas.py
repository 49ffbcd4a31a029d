"""What ONNX says about its operators: their inputs, outputs and attributes in each opset."""

from __future__ import annotations

import functools
from typing import Any

import onnx
from onnx import defs

from chainrule.errors import ArgumentError, FormatError, listing, shortened
from chainrule.formats.onnx.tensors import attribute_value

_known_schema = functools.lru_cache(defs.get_schema)


def schema_of(domain: str, name: str, opset: int, label: str) -> Any:
    """The schema of an operator in an opset. Raises ArgumentError if there is none."""
    try:
        schema = _known_schema(name, opset, domain)
    except defs.SchemaError as error:
        raise ArgumentError(
            f"{label} is no operator of {domain or 'ai.onnx'} in opset {opset}",
            instead="Write the model with ONNX's own operators.",
        ) from error
    if schema.deprecated:
        raise ArgumentError(f"{label} is no longer an operator in opset {opset}")
    return schema


def check_against(
    schema: Any, proto: onnx.NodeProto, attributes: dict[str, Any], label: str
) -> None:
    """Raise FormatError unless the node has the inputs, outputs and attributes of its operator."""
    counts = (
        ("inputs", len(proto.input), schema.min_input, schema.max_input),
        ("outputs", len(proto.output), schema.min_output, schema.max_output),
    )
    for what, count, least, most in counts:
        if not least <= count <= most:
            raise FormatError(f"{label} has {count} {what}", expected=f"{least} to {most}")
    for position, option in enumerate(schema.inputs[: len(proto.input)]):
        if option.option == defs.OpSchema.FormalParameterOption.Single and (
            not proto.input[position]
        ):
            raise FormatError(f"{label} lacks its input {option.name}")
    for attribute in proto.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            raise FormatError(
                f"{label} has an attribute {shortened(attribute.name)!r}",
                expected=listing(sorted(schema.attributes), like=attribute.name),
            )
        if attribute.type != known.type.value:
            wanted = known.type.name
            raise FormatError(f"{attribute.name} of {label} is of another type", expected=wanted)
    for name, known in schema.attributes.items():
        if known.required and name not in attributes:
            raise FormatError(f"{label} lacks its attribute {name}")


def defaults(schema: Any) -> dict[str, Any]:
    """The values of the attributes that a node may leave out."""
    return {
        name: attribute_value(known.default_value, None, name)
        for name, known in schema.attributes.items()
        if known.default_value.name
    }
