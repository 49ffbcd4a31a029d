"""The default model for tables: categories embedded, then a residual net of one width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.nn import functional as F
from chainrule.nn.functional import records
from chainrule.tensor import Tensor

_FEW, _WIDEST = 4, 16


class EmbedCategories(nn.Module):
    """(N, inputs) → (N, outputs): zeros with a 1 become a learned vector, numbers stay.

    A category of n kinds becomes min(16, ⌈n/2⌉) numbers: the row of a matrix at the place of the 1,
    as in `nn.Embedding`. The vector of what training did not know starts at zero. Categories of up
    to four kinds stay as they are.

    inputs: the columns of a table that `cr.data.EncodeTable` encoded. categories: (start, stop) of
    each category among them, in their order.

    Source: C. Guo and F. Berkhahn (2016), arXiv:1604.06737.

    >>> import chainrule as cr
    >>> EmbedCategories(9, [(1, 9)])(cr.zeros(5, 9)).shape
    (5, 5)
    """

    def __init__(self, inputs: int, categories: Sequence[Sequence[int]]) -> None:
        super().__init__()
        ends = [0, *(place for pair in categories for place in pair), inputs]
        if sorted(ends) != ends or any(len(pair) != 2 for pair in categories):
            raise ArgumentError("categories are pairs, apart and in order", given=categories)
        self.inputs = inputs
        self.categories = [(a, b) for a, b in categories if embedded(b - a) < b - a]
        self.embeddings = nn.ModuleList(
            [nn.Linear(b - a, embedded(b - a), bias=False) for a, b in self.categories]
        )
        for layer in self.embeddings:
            layer.weight.data[:, 0] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        parts, place = [], 0
        for (start, stop), layer in zip(self.categories, self.embeddings, strict=True):
            parts += [input[:, place:start], layer(input[:, start:stop])]
            place = stop
        if not parts:
            return input
        output: Tensor = records.cat([*parts, input[:, place:]], 1)
        return output


def embedded(kinds: int) -> int:
    """How many numbers a category of so many kinds becomes."""
    return kinds if kinds <= _FEW else min(_WIDEST, (kinds + 1) // 2)


class ResidualBlock(nn.Module):
    """y = x + W₂·dropout(relu(W₁·x + b₁)) + b₂, with `features` in and out.

    Without a norm, what passes beside the blocks stays linear: a linear model is the simplest that
    the net can be.

    Source: K. He et al. (2016), arXiv:1512.03385; for tables Y. Gorishniy et al. (2021),
    arXiv:2106.11959.

    >>> import chainrule as cr
    >>> ResidualBlock(4)(cr.zeros(2, 4)).shape
    (2, 4)
    """

    def __init__(self, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(features, features)
        self.second = nn.Linear(features, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        return input + self.second(self.dropout(F.relu(self.first(input))))


def tabular(
    inputs: int,
    categories: Sequence[tuple[int, int]],
    outputs: int,
    *,
    width: int = 64,
    blocks: int = 1,
    dropout: float = 0.5,
) -> list[dict[str, Any]]:
    """The layers of the model, as records; categories: see :class:`EmbedCategories`.

    >>> [layer["layer"] for layer in tabular(9, [(1, 9)], 3)]
    ['EmbedCategories', 'Linear', 'ResidualBlock', 'Linear']
    """
    pairs = [list(pair) for pair in categories]
    into = inputs + sum(embedded(stop - start) - (stop - start) for start, stop in categories)
    return [
        *([{"layer": "EmbedCategories", "inputs": inputs, "categories": pairs}] if pairs else []),
        {"layer": "Linear", "in_features": into, "out_features": width},
        *[{"layer": "ResidualBlock", "features": width, "dropout": dropout}] * blocks,
        {"layer": "Linear", "in_features": width, "out_features": outputs},
    ]
