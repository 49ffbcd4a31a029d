"""`cr.save` and `cr.load`: tensors, and trees of tensors and plain values, in one safe file.

A dict of tensors becomes a plain safetensors file. For other values, an additional tensor of bytes
named `__tree__` contains the tree as JSON, with references to the tensors by their paths. Files
contain no pickles, so reading never executes code.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError, DTypeError, FormatError, NonFiniteError, listing
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.safetensors import CODES, pack, read
from chainrule.train.io.strict_json import count_parts, from_json, to_json

_TREE = "__tree__"
_RESERVED = ("", "__metadata__", _TREE)
_DEEPEST = 100
_MOST_PARTS = 10_000_000


def save(value: Any, path: PathLike) -> None:
    """Write a state dict, or a tree of dicts, lists, tensors, numbers and text.

    The file is an ordinary safetensors file and is written atomically. The same value gives the
    same bytes. Raises DTypeError for values that are neither tensors nor JSON, ArgumentError for
    values that `load` would refuse, and OSError if the disk is full. An existing file is then
    unchanged.

    >>> import chainrule as cr, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> save({"weight": cr.ones(2), "epoch": 3}, path)
    >>> load(path)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if isinstance(value, (str, os.PathLike)):
        raise DTypeError(
            "save takes what to save first, and then the path",
            given=type(value).__name__,
            instead="Write cr.save(model.state_dict(), 'model.safetensors').",
        )
    tensors: dict[str, Array] = {}
    alone = isinstance(value, (Tensor, np.ndarray))
    tree = _encode(value, "tensor" if alone else "", tensors, 0)
    if tree != {name: {"$tensor": name} for name in tensors}:
        text = to_json(tree)
        if (parts := count_parts(text)) > _MOST_PARTS:
            raise ArgumentError(
                "too many plain values for one file",
                given=f"{parts:,} names and items",
                expected=f"at most {_MOST_PARTS:,}",
                instead="Put long lists of numbers into a tensor, or save several files.",
            )
        tensors[_TREE] = np.frombuffer(text, np.uint8)
    write_atomic(path, pack(tensors))


def load(
    path: PathLike, *, dtype: Any = None, verify: bool = True, strict_finite: bool = False
) -> Any:
    """The value that :func:`save` wrote, or the tensors of any safetensors file.

    Parameters
    ----------
    dtype: the dtype of all floating tensors; by default that of the file. bfloat16, which NumPy
        lacks, can be read only with this argument.
    verify: whether to compare all checksums. Files of other programs have none: pass False.
    strict_finite: whether to refuse NaN and infinity, with the names of the tensors.

    The tensors are copies, so later changes of the file have no effect. Raises FormatError for a
    file that is damaged or not safetensors, and NonFiniteError.
    """
    where = os.fspath(path)
    wanted = None if dtype is None else _floating(dtype)
    arrays, ours = read(path, verify)
    tree = arrays.pop(_TREE)[1] if ours and _TREE in arrays else None
    tensors = {
        name: from_numpy(_converted(code, array, wanted, f"{where}: {name!r:.80}"))
        for name, (code, array) in arrays.items()
    }
    if strict_finite:
        bad = [n for n, x in tensors.items() if x.dtype.kind == "f" and not x.isfinite().all()]
        if bad:
            raise NonFiniteError(f"{where} holds NaN or infinity in {listing(bad)}")
    if tree is None:
        return tensors
    try:
        return _decode(from_json(tree.data, f"{where}: the tree", _MOST_PARTS), tensors, where)
    except RecursionError:
        raise FormatError(f"{where}: the tree is nested too deep") from None


def _floating(dtype: Any) -> np.dtype[Any]:
    wanted = np.dtype(dtype)
    if wanted.kind != "f":
        raise ArgumentError("load converts to a floating dtype", given=dtype, expected="float32")
    return wanted


def _converted(code: str, array: Array, dtype: np.dtype[Any] | None, where: str) -> Array:
    if code == "BF16":
        if dtype is None:
            raise DTypeError(
                f"{where} is bfloat16, which NumPy lacks",
                instead="Pass dtype=cr.float32 to widen it exactly.",
            )
        array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype, copy=False)


# -- the tree ----------------------------------------------------------------------------------


def _encode(value: Any, path: str, tensors: dict[str, Array], depth: int) -> Any:
    """`value` as JSON, with tensors moved to `tensors` under their paths in the tree."""
    if isinstance(value, (Tensor, np.ndarray)):
        return _moved(value, path, tensors)
    if depth > _DEEPEST:
        raise ArgumentError(
            f"the value is nested more than {_DEEPEST} deep, or holds itself", given=f"{path:.60}"
        )
    below = f"{path}/" if path else ""
    if isinstance(value, Mapping):
        items = [(k, _encode(v, f"{below}{k}", tensors, depth + 1)) for k, v in value.items()]
        if all(isinstance(k, str) and not k.startswith("$") for k, _ in items):
            return dict(items)
        if all(isinstance(k, (str, int)) for k, _ in items):
            return {"$items": [list(item) for item in items]}
        raise DTypeError(f"the keys of {path or 'the value'} are not text or whole numbers")
    if isinstance(value, (list, tuple)):
        parts = [_encode(v, f"{below}{i}", tensors, depth + 1) for i, v in enumerate(value)]
        return parts if isinstance(value, list) else {"$tuple": parts}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    has_state = callable(getattr(value, "state_dict", None)) and not isinstance(value, type)
    raise DTypeError(
        f"{path or 'the value'} is neither a tensor nor a plain value",
        given=type(value).__name__,
        instead="Save its state: cr.save(x.state_dict(), path)."
        if has_state
        else "Save tensors, numbers, text, None, and dicts and lists of these.",
    )


def _moved(value: Tensor | Array, path: str, tensors: dict[str, Array]) -> Any:
    """A reference to a tensor that is moved to `tensors`."""
    array = value.detach().numpy() if isinstance(value, Tensor) else value
    if array.dtype.newbyteorder("<") not in CODES:
        raise DTypeError(f"{path or 'the value'} cannot be saved", given=array.dtype)
    if path in _RESERVED or path in tensors:
        raise ArgumentError(f"a tensor cannot be saved under the name {path!r}")
    tensors[path] = array
    return {"$tensor": path}


def _decode(tree: Any, tensors: Mapping[str, Tensor], where: str) -> Any:
    if isinstance(tree, list):
        return [_decode(part, tensors, where) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1 or not next(iter(tree)).startswith("$"):
        return {key: _decode(part, tensors, where) for key, part in tree.items()}
    ((kind, part),) = tree.items()
    if kind == "$tensor" and isinstance(part, str) and part in tensors:
        return tensors[part]
    if kind == "$items" and isinstance(part, list) and all(map(_is_pair, part)):
        return {key: _decode(value, tensors, where) for key, value in part}
    if kind == "$tuple" and isinstance(part, list):
        return tuple(_decode(item, tensors, where) for item in part)
    if kind == "$float" and part in ("nan", "inf", "-inf"):
        return float(part)
    raise FormatError(f"{where}: the tree names {kind} {part!r:.80}, which is not there")


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], (str, int))
