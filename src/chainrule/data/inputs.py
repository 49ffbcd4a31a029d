"""The inputs of a trained model, from what people have: files, DataFrames, arrays and lists."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.data.cells import open_cells
from chainrule.data.columns import TABLES, read_columns
from chainrule.data.files import PathLike
from chainrule.data.framing import Framed, Framing
from chainrule.data.images import is_image, pixels_of, read_image
from chainrule.data.numbers import as_numbers
from chainrule.data.numpy_files import read_npy
from chainrule.data.schema import Schema
from chainrule.data.sources import pixel_order
from chainrule.data.tables import read_table
from chainrule.data.transforms import Array, transform_from_config
from chainrule.errors import ArgumentError, NonFiniteError, ShapeError


def read_inputs(
    source: Any,
    description: Mapping[str, Any],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    framing: Framing | None = None,
    invert: bool | None = None,
) -> Array:
    """Raw samples, preprocessed for a trained model: float32 (n, *input_shape).

    source: the path of a table (one input per row), of an image, or of a `.npy` file; or an image
        of Pillow, a DataFrame, an array, or a list of rows. Columns are matched by name, and others
        are ignored. Rows without names have the features in the order of training. Pixels go from 0
        to the maximum of the training images; floats that go only to 1 are shares of this maximum.
    description: the record of `train.describe()`. delimiter, header: see :func:`read_csv`.
    framing, invert: see :func:`read_picture`.

    Raises FormatError, ShapeError, and NonFiniteError for numbers that float32 cannot hold.
    """
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__
    image = description.get("image")
    if description.get("schema") is not None and not _is_file(source, (".npy",)):
        schema = Schema.from_config(description["schema"])
        names = [column.name for column in schema.features]
        reading: dict[str, Any] = {"delimiter": delimiter, "header": header, "wanted": names}
        raw = schema.inputs(read_columns(source, names=names, **reading))
    elif image and is_picture(source):
        seen = read_picture(source, image, framing, invert)
        raw = (seen.pixels[None] * image["maximum"]).astype(np.float32)
    else:
        raw = _numbers(source, description, delimiter, header)
        raw = _as_pictures(raw, image, name) if image else raw
    record = description.get("transform")
    x = raw if record is None else transform_from_config(record)(raw)
    wanted = tuple(description["input_shape"])
    if x.shape[1:] != wanted:
        raise ShapeError(
            f"{name} holds inputs of another shape", given=x.shape, expected=("n", *wanted)
        )
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        raise NonFiniteError(
            f"{name}: input {row} holds NaN, infinity, or a number that float32 cannot hold"
        )
    return x


def _is_file(source: Any, suffixes: Sequence[str] | None = None) -> bool:
    if not isinstance(source, (str, os.PathLike)):
        return False
    return suffixes is None or os.path.splitext(os.fspath(source))[1].lower() in suffixes


def is_picture(source: Any) -> bool:
    """Whether a source is the path of an image, or an image of Pillow."""
    if hasattr(source, "getbands"):
        return True
    return _is_file(source) and is_image(os.fspath(source))


def read_picture(
    source: Any,
    image: Mapping[str, Any],
    framing: Framing | None = None,
    invert: bool | None = None,
) -> Framed:
    """An image as the training images are: pixels (C, H, W) from 0 to 1, and what was done to it.

    With the `framing` of the training images, the figure is cropped, scaled and placed as in them;
    else the whole image is resized. invert: whether light and dark are exchanged; by default as the
    background of the image says.
    """
    shape = (image["height"], image["width"])
    if framing is not None and image["channels"] == 1:
        name = os.fspath(source) if _is_file(source) else "the picture"
        framed = framing(_pixels(source, "RGB"), shape, invert, name)
        return Framed(framed.pixels[None], framed.steps)
    found = _pixels(source, "L" if image["channels"] == 1 else "RGB", shape) / 255
    steps = [f"resized to {shape[0]} × {shape[1]} pixels"]
    return Framed(1 - found, ["inverted", *steps]) if invert else Framed(found, steps)


def _pixels(source: Any, mode: str, size: tuple[int, int] | None = None) -> Array:
    read = read_image if _is_file(source) else pixels_of
    return read(source, mode, size)


def _numbers(
    source: Any, description: Mapping[str, Any], delimiter: str | None, header: bool | None
) -> Array:
    """The numbers of a file, an array, a list of rows, or a DataFrame."""
    if not _is_file(source):
        names = description.get("feature_names")
        if names and {*names} <= {*map(str, getattr(source, "columns", ()))}:
            source = source[names]
        return as_numbers(source, type(source).__name__)
    if _is_file(source, TABLES):
        return _from_csv(source, description, delimiter, header)
    if _is_file(source, (".npy",)):
        return read_npy(source)
    known = f"{', '.join(TABLES)}, .npy{' or an image' if description.get('image') else ''}"
    raise ArgumentError(f"cannot read inputs from {os.fspath(source)}", expected=known)


def _from_csv(
    path: PathLike, description: Mapping[str, Any], delimiter: str | None, header: bool | None
) -> Array:
    columns = description.get("feature_names")
    cells = open_cells(path, delimiter=delimiter, header=header, wanted=columns or ())
    if columns is None:
        pixels = [column for column in cells.names if column.startswith("pixel")]
        if description.get("image") and pixels and (order := pixel_order(pixels)):
            columns = [pixels[place] for place in order]
    elif not cells.header and len(columns) == len(cells.names):
        cells = cells._replace(names=tuple(columns))
    return read_table(cells, columns=columns).values


def _as_pictures(raw: Array, image: Mapping[str, Any], name: str) -> Array:
    """Rows of pixels, or pictures with or without channels, or a single one, as (n, C, H, W)."""
    channels, height, width = sides = (image["channels"], image["height"], image["width"])
    if channels > 1 and raw.shape[-3:] == (height, width, channels):
        raw = np.moveaxis(raw, -1, -3)
    forms = [sides, (math.prod(sides),), *([(height, width)] if channels == 1 else [])]
    if raw.shape not in forms and raw.shape[1:] not in forms:
        raise ShapeError(f"{name}: {raw.shape} holds other images", expected=f"(n, {sides})")
    if raw.dtype.kind == "f" and 0 < raw.max(initial=0.0) <= 1:
        raw = raw * image["maximum"]
    return raw.reshape(-1, *sides)
