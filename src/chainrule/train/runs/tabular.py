"""The default model for tables: embedded categories and a residual network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.nn import functional as F
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor

_FEW, _WIDEST = 4, 16


class EmbedCategories(nn.Module):
    """(N, inputs) → (N, outputs): each one-hot code becomes a learned vector; numbers are
    unchanged.

    A category with n values becomes a vector of min(16, ⌈n/2⌉) numbers, as in `nn.Embedding`. The
    vector of unknown values is initialized with zeros. Categories with at most four values keep
    their one-hot code.

    inputs: the number of columns that `cr.data.EncodeTable` encodes. categories: (start, stop) of
    the columns of each category, in ascending order.

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
        return cat([*parts, input[:, place:]], 1)


def embedded(kinds: int) -> int:
    """The size of the vector of a category with this number of values."""
    return kinds if kinds <= _FEW else min(_WIDEST, (kinds + 1) // 2)


class ResidualBlock(nn.Module):
    """y = x + W₂·dropout(relu(W₁·x + b₁)) + b₂, with `features` in and out.

    There is no normalization, so the network can represent a linear model exactly.

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
    """The layers of the model as records. categories: see :class:`EmbedCategories`.

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
