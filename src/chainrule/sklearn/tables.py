"""Tables with categories and missing numbers as the inputs of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from chainrule.data.columns import CATEGORY, NUMBER, Columns, read_columns, role_of_type
from chainrule.data.dataset import CLASSIFICATION
from chainrule.data.encoding import EncodeTable
from chainrule.data.schema import Column, Schema
from chainrule.errors import ArgumentError, ShapeError, listing
from chainrule.primitive import Array
from chainrule.train.runs.tabular import EmbedCategories, embedded

FROM_DTYPE, MEDIAN, REFUSE = "from_dtype", "median", "refuse"


class TableCode:
    """How the columns of a table become inputs.

    categories: the columns that are categories by their places, with the categories of training.
    encode: the statistics of training; None while the inputs are the numbers of the table.
    """

    def __init__(self, categories: Mapping[int, Column], encode: EncodeTable | None = None) -> None:
        self.categories, self.encode = dict(categories), encode

    @classmethod
    def learn(cls, X: Any, wanted: Any) -> TableCode:
        """The categories of the columns that `wanted`, or else the types of X, call categories."""
        places = _places(X, wanted)
        if not places:
            return cls({})
        names = [*map(str, getattr(X, "columns", ()))] or [f"x{n}" for n in range(_width(X))]
        columns = tuple(Column(names[place], CATEGORY, "text or as asked") for place in places)
        schema = Schema(columns, CLASSIFICATION, None)
        table = _cells(X, places, [column.name for column in columns])
        fitted = schema.fitted(table, np.arange(len(table)))
        return cls(dict(zip(places, fitted.columns, strict=True)))

    def numbers(self, X: Any, check: Callable[[Any], Array]) -> Array:
        """The table as float64 (N, columns), with codes for categories: 0 for unknown ones.

        `check` makes an array of the other columns."""
        table = _cells(X, [*self.categories], [c.name for c in self.categories.values()])
        codes = {
            place: column.values(table.column(column.name), frozenset())[0]
            for place, column in self.categories.items()
        }
        result = np.empty((len(table), _width(X)))
        others = [place for place in range(result.shape[1]) if place not in codes]
        if others:
            result[:, others] = check(_part(X, others))
        for place, code in codes.items():
            result[:, place] = code
        return result

    def fit(self, x: Array) -> None:
        """Learn the statistics of the numbers of a table."""
        number = [Column(f"x{place}", NUMBER, "") for place in range(x.shape[1])]
        columns = [self.categories.get(place, number[place]) for place in range(x.shape[1])]
        self.encode = EncodeTable.fit(x, columns)

    def inputs(self, x: Array) -> Array:
        """The inputs (N, inputs) from the numbers of a table."""
        return x if self.encode is None else self.encode(x)

    def embedding(self) -> EmbedCategories | None:
        """The layer that embeds the categories, where there are some."""
        if self.encode is None or not self.categories:
            return None
        pairs = [(block.start, block.stop) for block in self.encode.blocks if block.categories]
        return EmbedCategories(self.encode.blocks[-1].stop, pairs)

    def width(self, columns: int) -> int:
        """The number of features after the embedding, for a table of so many columns."""
        if self.encode is None:
            return columns
        sizes = [(block.stop - block.start, block.categories) for block in self.encode.blocks]
        return sum(embedded(size) if categories else size for size, categories in sizes)

    def to_config(self) -> dict[str, Any]:
        """What was learned, as values for JSON."""
        categories = [[place, asdict(column)] for place, column in self.categories.items()]
        encode = None if self.encode is None else self.encode.parameters()
        return {"categories": categories, "encode": encode}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableCode:
        """What `to_config` wrote."""
        categories = {
            place: Column(**{**record, "levels": tuple(record["levels"])})
            for place, record in config["categories"]
        }
        return cls(
            categories, None if config["encode"] is None else EncodeTable(**config["encode"])
        )


def _places(X: Any, wanted: Any) -> list[int]:
    """The places of the columns that are categories."""
    if wanted is None:
        return []
    names = [*map(str, getattr(X, "columns", ()))]
    if isinstance(wanted, str):
        if wanted != FROM_DTYPE:
            raise ArgumentError(
                "unknown categorical_features",
                given=wanted,
                expected=f"{FROM_DTYPE!r}, None, or a list of names, indices or bools",
            )
        types = zip(X.columns, X.dtypes, strict=True) if names else ()
        return [n for n, (name, dtype) in enumerate(types) if _is_category(X, name, dtype)]
    asked = np.asarray(wanted)
    if asked.dtype.kind == "b" and len(asked) == _width(X):
        return np.flatnonzero(asked).tolist()
    places = [names.index(a) if a in names else a for a in asked.tolist()]
    if strange := [p for p in places if not isinstance(p, int) or not 0 <= p < _width(X)]:
        raise ArgumentError(
            f"categorical_features has no column {listing(strange)}",
            expected=listing(names) if names else f"indices below {_width(X)}",
        )
    return sorted(places)


def _is_category(X: Any, name: Any, dtype: Any) -> bool:
    """Whether the type of a column is that of categories, or the column holds text."""
    role = role_of_type(str(dtype))
    return role == CATEGORY or (role is None and any(isinstance(cell, str) for cell in X[name]))


def _width(X: Any) -> int:
    if hasattr(X, "columns"):
        return len(X.columns)
    if len(np.shape(X)) != 2:
        raise ShapeError("X is no table", given=np.shape(X), expected="(N, columns)")
    return int(np.shape(X)[1])


def _part(X: Any, places: Sequence[int]) -> Any:
    """Some columns of a table."""
    if hasattr(X, "columns"):
        return X[[X.columns[place] for place in places]]
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, object)[:, places]


def _cells(X: Any, places: Sequence[int], names: Sequence[str]) -> Columns:
    """The cells of some columns as text."""
    return read_columns(np.asarray(_part(X, places), object), names=names)
