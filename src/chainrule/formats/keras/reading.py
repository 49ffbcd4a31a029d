"""Read the layers of a file that Keras wrote: `.keras`, `.weights.h5`, or a legacy `.h5`.

Nothing of a file is run or trusted: only arrays of numbers are read, which must lie in the file
itself, and all of them take at most as much memory as the file does.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import h5py
import numpy as np

from chainrule.errors import FormatError
from chainrule.primitive import Array

WEIGHTS, CONFIG = "model.weights.h5", "config.json"
"""The members of a `.keras` file, which is a zip archive, that are read."""
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py raises for a damaged file."""


@dataclass
class Layer:
    """The weights of a layer: its path in the file, and its arrays by name, in their order.

    Keras 3 has numbers for names. Keras 2 has names such as `kernel`.
    """

    path: str
    arrays: dict[str, Array]


@dataclass
class File:
    """A file that has been read: its layers, and the configuration of each layer if it has them."""

    layers: list[Layer]
    configs: list[dict[str, Any]]


def read(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All weights of a `.keras`, `.weights.h5` or legacy `.h5` file of Keras, as arrays by path.

    They have the layout of Keras: the kernel of a Dense layer is (in, out), that of a convolution
    (h, w, in, out). Raises FormatError for a file that is damaged or none of Keras.
    """
    layers = opened(path).layers
    return {f"{layer.path}/{name}": x for layer in layers for name, x in layer.arrays.items()}


def opened(path: str | os.PathLike[str]) -> File:
    """The layers of a file. Raises FormatError."""
    with open(path, "rb") as file:
        data, text = file.read(), b""
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            data, text = _unpacked(data)
        with h5py.File(io.BytesIO(data), "r") as root:
            home = _inside(root, "model_weights") if "model_weights" in root else root
            is_legacy = {"layer_names", "layer_names0"} & home.attrs.keys()
            layers = _legacy(home, len(data)) if is_legacy else _layers(root, len(data))
            configs = _configs(text or root.attrs.get("model_config", "{}"))
    except FormatError:
        raise
    except (*_DAMAGED, zipfile.BadZipFile, NotImplementedError) as error:
        raise FormatError(f"{path} is no file of Keras, or damaged", given=str(error)) from error
    if not layers:
        raise FormatError(f"{path} has no layers with weights")
    return File(layers, configs)


def _unpacked(data: bytes) -> tuple[bytes, bytes]:
    """The weights and the configuration of an archive, no larger than the archive itself."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [archive.getinfo(name) for name in (WEIGHTS, CONFIG)]
        if sum(info.file_size for info in found) > 16 * len(data):
            raise FormatError(
                "the archive would become very large",
                given=f"{sum(info.file_size for info in found)} bytes of {len(data)}",
                instead="Save it with Keras, which does not compress.",
            )
        weights, config = (archive.read(info) for info in found)
    return weights, config


def _configs(text: Any) -> list[dict[str, Any]]:
    """The configuration of each layer, in the order of the file."""
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError("the configuration of the model is no JSON") from error
    found = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str) and isinstance(value.get("config"), dict):
                found.append({**value["config"], "class_name": value["class_name"]})
            waiting += [*value.values()][::-1]
        elif isinstance(value, list):
            waiting += value[::-1]
    return found


# -- Keras 3 ---------------------------------------------------------------------------------


def _layers(root: h5py.File, limit: int) -> list[Layer]:
    """The groups that have a group `vars`. Random states and the optimizer's are left out."""
    groups: dict[str, dict[str, h5py.Dataset]] = {}

    def visit(path: str, item: Any) -> None:  # h5py calls this once for each object, by hard links
        *home, owner, name = ("", "", *path.split("/"))
        if isinstance(item, h5py.Dataset) and owner == "vars":
            groups.setdefault("/".join(home[2:]), {})[name] = item

    root.visititems(visit)
    skipped = re.compile(r"(^|/)(optimizer|seed_generator(_\d+)?)(/|$)")
    paths = sorted([path for path in groups if not skipped.search(path)], key=_natural)
    found = [
        (path, {n: groups[path][n] for n in sorted(groups[path], key=_natural)}) for path in paths
    ]
    return _with_arrays(found, limit)


# -- Keras 2 ---------------------------------------------------------------------------------


def _legacy(home: Any, limit: int) -> list[Layer]:
    """The layers that the attributes `layer_names` and `weight_names` list."""
    found = []
    for name in _names(home, "layer_names"):
        group = _inside(home, name)
        weights = _names(group, "weight_names")
        short = [weight.rpartition("/")[2].partition(":")[0] for weight in weights]
        names = short if len({*short}) == len(short) else weights
        arrays = [_inside(group, weight) for weight in weights]
        found.append((name, dict(zip(names, arrays, strict=True))))
    return _with_arrays(found, limit)


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which large files cut into several attributes."""
    parts = takewhile(group.attrs.__contains__, (f"{attribute}{n}" for n in count()))
    stored = [attribute] if attribute in group.attrs else parts
    found = [name for part in stored for name in np.asarray(group.attrs[part]).tolist()]
    return [x.decode() if isinstance(x, bytes) else str(x) for x in found]


def _inside(group: Any, path: str) -> Any:
    """The object at a path, if no link on the way leads out of the file."""
    for name in filter(None, path.split("/")):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise FormatError(f"{path} is a link to another place")
        group = group[name]
    return group


# -- arrays ----------------------------------------------------------------------------------


def _with_arrays(found: list[tuple[str, dict[str, Any]]], limit: int) -> list[Layer]:
    """The layers with their arrays, which together have at most `limit` bytes."""
    used, layers = 0, []
    for path, datasets in found:
        arrays = {}
        for name, dataset in datasets.items():
            used += dataset.nbytes
            if used > limit:
                raise FormatError(f"{path}/{name} is larger than the file", given=f"{used} bytes")
            arrays[name] = _array(dataset, f"{path}/{name}")
        if arrays:
            layers.append(Layer(path, arrays))
    return layers


def _array(item: Any, path: str) -> Array:
    """The numbers of a dataset that lies in the file. bfloat16 becomes float32."""
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
        raise FormatError(f"{path} is no array in this file")
    if (
        item.attrs.get("dtype") == "bfloat16"
        and item.dtype.itemsize == 2
        and item.dtype.kind != "f"
    ):
        bits: Array = item[()].view(np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32)
    if item.dtype.kind not in "fiub":
        raise FormatError(f"{path} holds no numbers", given=item.dtype)
    return np.asarray(item[()])


def _natural(path: str) -> list[tuple[int, str]]:
    """A key for sorting in which dense comes before dense_1, and dense_9 before dense_10."""
    words = re.split(r"(\d+)", path.replace("/", " "))
    return [(int(word), "") if word.isdigit() else (0, word) for word in words]
