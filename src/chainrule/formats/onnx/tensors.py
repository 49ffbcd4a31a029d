"""The tensors and types of an ONNX file as NumPy arrays and specs, with every size checked."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from chainrule.errors import ArgumentError, FormatError, shortened
from chainrule.primitive import Array, DType

DTYPES = {
    getattr(TensorProto, name): np.dtype(dtype)
    for name, dtype in {
        "FLOAT": "float32",
        "DOUBLE": "float64",
        "FLOAT16": "float16",
        "INT8": "int8",
        "INT16": "int16",
        "INT32": "int32",
        "INT64": "int64",
        "UINT8": "uint8",
        "BOOL": "bool",
    }.items()
}
"""The element types that tensors have here."""
PACKED = {"UINT4": 2, "INT4": 2, "FLOAT4E2M1": 2, "UINT2": 4, "INT2": 4}
"""How many elements of a small type one byte holds."""
NOT_HERE = {"UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128"}
MAX_RANK = 64


def type_name(number: int) -> str:
    """The name of an element type, such as FLOAT."""
    try:
        return str(TensorProto.DataType.Name(number))
    except ValueError:
        return f"number {number}"


def dtype_of(number: int, what: str) -> DType:
    """The dtype of an element type. Raises ArgumentError for one that tensors cannot have."""
    if number not in DTYPES:
        raise ArgumentError(
            f"{what} has the element type {type_name(number)}",
            expected=", ".join(map(str, DTYPES.values())),
            instead="Convert the model to one of them where it was made.",
        )
    return DTYPES[number]


@dataclass(frozen=True)
class Type:
    """What an input or an output may be: a tensor, or a sequence of them.

    sizes: for each dimension its size, the name of its size, or None; None for any shape.
    """

    dtype: DType
    sizes: tuple[int | str | None, ...] | None
    is_sequence: bool = False
    is_optional: bool = False

    def __str__(self) -> str:
        shape = "..." if self.sizes is None else ", ".join(_size_text(n) for n in self.sizes)
        text = f"{self.dtype}[{shape}]"
        text = f"sequence of {text}" if self.is_sequence else text
        return f"optional {text}" if self.is_optional else text


def _size_text(size: int | str | None) -> str:
    return "?" if size is None else str(size)


def type_of(proto: onnx.TypeProto, what: str) -> Type:
    """The type of an input or output. Raises ArgumentError for a map, a string and the like."""
    kind = proto.WhichOneof("value")
    if kind == "optional_type":
        inner = type_of(proto.optional_type.elem_type, what)
        return Type(inner.dtype, inner.sizes, inner.is_sequence, True)
    if kind == "sequence_type":
        inner = type_of(proto.sequence_type.elem_type, what)
        if inner.is_sequence:
            raise ArgumentError(f"{what} is a sequence of sequences")
        return Type(inner.dtype, inner.sizes, True)
    if kind != "tensor_type":
        raise ArgumentError(f"{what} has the type {kind}", expected="a tensor or a sequence")
    tensor = proto.tensor_type
    dtype = dtype_of(tensor.elem_type, what)
    if not tensor.HasField("shape"):
        return Type(dtype, None)
    return Type(dtype, tuple(_size(dim, what) for dim in tensor.shape.dim))


def _size(dim: Any, what: str) -> int | str | None:
    """A dimension of a type: its size, the name of its size, or None."""
    if not dim.HasField("dim_value"):
        return dim.dim_param or None
    if dim.dim_value < 0:
        raise FormatError(f"{what} has a negative dimension", given=dim.dim_value)
    return int(dim.dim_value)


def array_of(proto: TensorProto, folder: Path | None, what: str) -> Array:
    """The array of a tensor in a file.

    folder: where data outside of the file may be. Raises FormatError for sizes that do not fit the
    data, ArgumentError for strings and complex numbers.
    """
    name = type_name(proto.data_type)
    if name in NOT_HERE or name.startswith("number"):
        raise ArgumentError(f"{what} has the element type {name}")
    dims = tuple(proto.dims)
    if len(dims) > MAX_RANK or any(n < 0 for n in dims):
        raise FormatError(f"{what} has a shape that no tensor has", given=shortened(dims))
    if proto.HasField("segment"):
        raise FormatError(f"{what} is in segments, which ONNX has not defined")
    dtype, count = helper.tensor_dtype_to_np_dtype(proto.data_type), math.prod(dims)
    size = -(-count // PACKED[name]) if name in PACKED else count * dtype.itemsize
    if proto.data_location == TensorProto.EXTERNAL:
        proto = _with_data(proto, external_data(proto, folder, size, what))
    has_raw = proto.HasField("raw_data")
    given = len(proto.raw_data) if has_raw else _typed_count(proto, name)
    expected = size if has_raw else _typed_size(name, count)
    if given != expected or (has_raw and _typed_count(proto, name)):
        unit = "bytes" if has_raw else "numbers"
        raise FormatError(
            f"{what} of shape {shortened(dims)} holds other data",
            given=f"{given} {unit}",
            expected=f"{expected} {unit}",
        )
    try:
        array: Array = np.ascontiguousarray(numpy_helper.to_array(proto)).reshape(dims)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{what} cannot be read", given=shortened(error)) from error
    return array


def _typed_count(proto: TensorProto, name: str) -> int:
    """How many numbers the field of the tensor's type holds."""
    return len(getattr(proto, helper.tensor_dtype_to_field(proto.data_type)))


def _typed_size(name: str, count: int) -> int:
    return -(-count // PACKED[name]) if name in PACKED else count


def _with_data(proto: TensorProto, data: bytes) -> TensorProto:
    """A tensor with its data inside."""
    return TensorProto(dims=proto.dims, data_type=proto.data_type, raw_data=data)


# -- data outside of the file --------------------------------------------------------------------


def external_data(proto: TensorProto, folder: Path | None, size: int, what: str) -> bytes:
    """The bytes of a tensor that are in another file, which must be inside the model's folder.

    No link is followed. Raises FormatError for another place, for a file that is not regular or
    has another name elsewhere, and for a part that is not inside the file.
    """
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    parts = location.split("/")
    if folder is None or not location or "\0" in location or "\\" in location:
        raise FormatError(f"{what} has no place for its data", given=shortened(repr(location)))
    if any(part in ("", ".", "..") for part in parts):
        raise FormatError(
            f"the data of {what} is outside of the model's folder",
            given=shortened(repr(location)),
            expected="a path below it",
        )
    offset, length = _number(entries, "offset", 0, what), _number(entries, "length", size, what)
    if length != size:
        raise FormatError(f"{what} holds other data", given=f"{length} bytes", expected=size)
    handle = _opened(folder, parts, what)
    with os.fdopen(handle, "rb") as file:
        there = os.fstat(file.fileno()).st_size
        if offset + length > there:
            raise FormatError(
                f"the data of {what} ends after its file",
                given=f"{length} bytes from {offset} on",
                expected=f"at most {there} bytes",
            )
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise FormatError(f"the data of {what} ends early", given=len(data), expected=length)
    return data


def _number(entries: dict[str, str], key: str, default: int, what: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise FormatError(f"the {key} of {what} is no number of bytes", given=shortened(text))
    return int(text)


def _opened(folder: Path, parts: list[str], what: str) -> int:
    """A descriptor of a regular file below the folder, reached without any link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        handle = os.open(parts[-1], flags, dir_fd=here)
    except OSError as error:
        raise FormatError(
            f"the data of {what} cannot be opened", given=f"{'/'.join(parts)}: {error.strerror}"
        ) from error
    finally:
        os.close(here)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise FormatError(
            f"the data of {what} is no regular file of the model's own",
            given=shortened("/".join(parts)),
        )
    return handle


def attribute_value(proto: Any, folder: Path | None, what: str) -> Any:
    """The value of an attribute that is no graph: a number, a text, an array, or a tuple."""
    kinds = onnx.AttributeProto
    if proto.type == kinds.TENSOR:
        return array_of(proto.t, folder, what)
    if proto.type == kinds.STRING:
        return _text(proto.s, what)
    if proto.type == kinds.STRINGS:
        return tuple(_text(text, what) for text in proto.strings)
    if proto.type == kinds.TYPE_PROTO:
        return proto.tp
    fields = {kinds.INT: "i", kinds.FLOAT: "f", kinds.INTS: "ints", kinds.FLOATS: "floats"}
    if proto.type not in fields:
        name = kinds.AttributeType.Name(proto.type)
        raise ArgumentError(f"{what} is of the type {name}")
    value = getattr(proto, fields[proto.type])
    return value if proto.type in (kinds.INT, kinds.FLOAT) else tuple(value)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is no text", given=shortened(data)) from error
