"""Tables with categories and missing numbers as the inputs of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_features, check_array

from chainrule.data.columns import CATEGORY, NUMBER, read_columns, role_of_type
from chainrule.data.encoding import EncodeTable
from chainrule.data.schema import Column, frequent, is_absent
from chainrule.errors import ArgumentError, listing
from chainrule.primitive import Array
from chainrule.train.runs.tabular import EmbedCategories, embedded

FROM_DTYPE, MEDIAN, REFUSE = "from_dtype", "median", "refuse"
NONE: frozenset[str] = frozenset()
"""No words for a missing value but the usual ones."""


class TableCode:
    """How the columns of a table become inputs.

    categories: the columns that are categories by their places, with the categories of training.
    encode: the statistics of training; None while the inputs are the numbers of the table.
    """

    def __init__(self, categories: Mapping[int, Column], encode: EncodeTable | None = None) -> None:
        self.categories, self.encode = dict(categories), encode

    @classmethod
    def learn(cls, X: Any, wanted: Any) -> TableCode:
        """All categories of the columns that `wanted`, or the types of X, call categories."""
        categories = {}
        if places := _places(X, wanted):
            names = _names(X)
            for place, texts in zip(places, _texts(X, places), strict=True):
                levels = sorted({"" if is_absent(text, NONE) else text for text in texts})
                categories[place] = Column(names[place], CATEGORY, "", levels=tuple(levels))
        return cls(categories)

    def numbers(self, X: Any, finite: bool | str) -> Array:
        """The table as float64 (N, columns), with codes for categories: 0 for unknown ones."""
        table = _texts(X, [*self.categories])
        result = np.empty((len(table[0]), len(_names(X))))
        for (place, column), texts in zip(self.categories.items(), table, strict=True):
            result[:, place] = column.values(texts, NONE)[0]
        others = [place for place in range(result.shape[1]) if place not in self.categories]
        if others:
            part = _part(X, others)
            result[:, others] = check_array(part, dtype=np.float64, ensure_all_finite=finite)
        return result

    def fit(self, x: Array, *others: Array) -> None:
        """Learn from the numbers of training rows: their statistics, and the frequent categories.

        In x and `others`, the codes of frequent categories replace those of all, in place.
        """
        columns = [Column(f"x{place}", NUMBER, "") for place in range(x.shape[1])]
        for place, column in self.categories.items():
            kept = frequent(column.levels[code - 1] for code in x[:, place].astype(int))
            columns[place] = replace(column, levels=kept)
            codes = columns[place].values(column.levels, NONE)[0]
            for rows in (x, *others):
                rows[:, place] = codes[rows[:, place].astype(int) - 1]
        self.categories = {place: columns[place] for place in self.categories}
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
    if isinstance(wanted, str) and wanted != FROM_DTYPE:
        raise ArgumentError(
            "unknown categorical_features",
            given=wanted,
            expected=f"{FROM_DTYPE!r}, None, or a list of names, indices or bools",
        )
    if isinstance(wanted, str):
        types = zip(X.columns, X.dtypes, strict=True) if hasattr(X, "columns") else ()
        return [n for n, (name, dtype) in enumerate(types) if _is_category(X, name, dtype)]
    if wanted is None:
        return []
    names, asked = _names(X), np.asarray(wanted)
    if asked.dtype == bool and len(asked) == len(names):
        return np.flatnonzero(asked).tolist()
    places = [names.index(a) if a in names else a for a in asked.tolist()]
    if strange := [p for p in places if type(p) is not int or not 0 <= p < len(names)]:
        raise ArgumentError(
            f"categorical_features has no column {listing(strange)}",
            expected=f"names of {listing(names)}, or indices below {len(names)}",
        )
    return sorted({*places})


def _is_category(X: Any, name: Any, dtype: Any) -> bool:
    """Whether the type of a column is that of categories, or the column holds text."""
    role = role_of_type(str(dtype))
    return role == CATEGORY or (role is None and any(isinstance(cell, str) for cell in X[name]))


def _names(X: Any) -> list[str]:
    """The names of the columns, x0, x1, ... without names."""
    if hasattr(X, "columns"):
        return [*map(str, X.columns)]
    return [f"x{place}" for place in range(_num_features(X))]


def _part(X: Any, places: Sequence[int]) -> Any:
    """Some columns of a table."""
    if hasattr(X, "columns"):
        return X[[X.columns[place] for place in places]]
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, object)[:, places]


def _texts(X: Any, places: Sequence[int]) -> tuple[list[str], ...]:
    """The cells of some columns as text."""
    cells = np.asarray(_part(X, places), object)
    return read_columns(cells, names=[*map(str, places)]).texts
