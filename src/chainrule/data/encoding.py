"""Encodes the features of a table as numbers, with statistics of the training part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.columns import CATEGORY, DATE
from chainrule.data.schema import Column
from chainrule.data.transforms import (
    Array,
    Generator,
    Standardize,
    Transform,
    check_count,
    check_numbers,
    register,
)
from chainrule.errors import ArgumentError, ShapeError

_TURN = 2 * np.pi


class Block(NamedTuple):
    """The encoded columns of a feature. categories: their number; 0 for other features."""

    name: str
    start: int
    stop: int
    categories: int


@register
class EncodeTable(Transform):
    """The raw features of a table (N, features) as float32 (N, inputs).

    Numbers are standardized. A missing number becomes the training median; an indicator column is
    added if the feature was missing in training. A date becomes its year and, if they vary, the
    sine and cosine of month, weekday and hour. A category becomes a one-hot code, whose first place
    is for categories that training did not see.

    features: one record for each feature, made by :meth:`fit`.
    """

    def __init__(self, features: Sequence[Mapping[str, Any]]) -> None:
        self.features = [dict(feature) for feature in features]
        self.blocks: list[Block] = []
        for feature in self.features:
            _check(feature)
            start = self.blocks[-1].stop if self.blocks else 0
            categories = int(feature.get("categories", 0))
            width = categories or len(feature["mean"]) + bool(feature["indicator"])
            self.blocks.append(Block(str(feature["name"]), start, start + width, categories))

    @classmethod
    def fit(cls, x: Array, columns: Sequence[Column]) -> EncodeTable:
        """The statistics of the training part; `x` (N, features) as :meth:`Schema.inputs` gives."""
        return cls.of_columns(x.T, columns)

    @classmethod
    def of_columns(cls, values: Iterable[Array], columns: Sequence[Column]) -> EncodeTable:
        """The same from the values (N,) of one column after the other."""
        return cls([_fit(own, column) for own, column in zip(values, columns, strict=True)])

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise ShapeError(
                "the table has other features", given=x.shape, expected=("N", len(self.features))
            )
        y = np.empty((len(x), self.blocks[-1].stop), np.float32)
        for place, (feature, block) in enumerate(zip(self.features, self.blocks, strict=True)):
            y[:, block.start : block.stop] = _encode(x[:, place], feature, block.categories)
        return y

    def parameters(self) -> dict[str, Any]:
        return {"features": self.features}


def _check(feature: Mapping[str, Any]) -> None:
    """Raise an error unless the record has the form that :func:`_fit` makes."""
    if "categories" in feature:
        check_count(feature["categories"], "the number of categories", 1)
        return
    check_numbers(feature["median"], "the median")
    scale = Standardize(feature["mean"], feature["std"])
    known = {*_dated(np.zeros(1)), "value"}
    if scale.mean.shape != (len(feature["parts"]),) or not {*feature["parts"]} <= known:
        raise ArgumentError("parts, mean and std of a feature differ", given=feature["parts"])


def _fit(values: Array, column: Column) -> dict[str, Any]:
    if column.role == CATEGORY:
        return {"name": column.name, "categories": len(column.levels) + 1}
    known = values[np.isfinite(values)]
    median = float(np.median(known)) if known.size else 0.0
    filled = np.where(np.isfinite(values), values, median)
    parts = _dated(filled) if column.role == DATE else {"value": filled}
    kept = [name for name, part in parts.items() if name in ("value", "year") or np.ptp(part) > 0]
    scale = Standardize.fit(np.stack([parts[name] for name in kept], axis=1))
    return {
        "name": column.name,
        "median": median,
        "parts": kept,
        "mean": scale.mean.tolist(),
        "std": scale.std.tolist(),
        "indicator": bool(known.size < values.size),
    }


def _encode(values: Array, feature: Mapping[str, Any], categories: int) -> Array:
    if categories:
        return values[:, None] == np.arange(categories)
    missing = ~np.isfinite(values)
    filled = np.where(missing, feature["median"], values)
    parts = {"value": filled} if feature["parts"] == ["value"] else _dated(filled)
    numbers = np.stack([parts[name] for name in feature["parts"]], axis=1)
    scaled = (numbers - np.array(feature["mean"])) / np.array(feature["std"])
    return np.column_stack([scaled, missing]) if feature["indicator"] else scaled


def _dated(seconds: Array) -> dict[str, Array]:
    """Dates as a year with its fraction, and month, weekday and hour as points on a circle."""
    when = np.floor(seconds).astype("datetime64[s]")
    days, years = when.astype("datetime64[D]"), when.astype("datetime64[Y]")
    month = when.astype("datetime64[M]").astype(np.int64) % 12
    weekday = (days.astype(np.int64) + 3) % 7
    hour = seconds / 3600 % 24
    parts = {"year": 1970 + years.astype(np.int64) + (days - years).astype(np.int64) / 366}
    for name, turns in (("month", month / 12), ("weekday", weekday / 7), ("hour", hour / 24)):
        parts[f"{name} sine"] = np.sin(_TURN * turns)
        parts[f"{name} cosine"] = np.cos(_TURN * turns)
    return parts
