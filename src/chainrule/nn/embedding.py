"""Embedding: a learned vector for each index."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor


class Embedding(Module):
    """y = W[i], the row of the weight for each integer i: (...) → (..., embedding_dim).

    weight (num_embeddings, embedding_dim) is initialized from N(0, 1). The row `padding_idx` is
    initialized to 0 and gets no gradient. Raises OutOfRangeError for an index outside
    0 … num_embeddings − 1, and ArgumentError for a `padding_idx` that is no row.

    >>> import chainrule as cr
    >>> Embedding(10, 3)(cr.tensor([[1, 2], [4, 9]])).shape
    (2, 2, 3)
    """

    shown = "num_embeddings embedding_dim"

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
        _weight: Parameter | None = None,
    ) -> None:
        check_counts("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    "padding_idx of Embedding is not a row",
                    given=padding_idx,
                    expected=f"{-num_embeddings} … {num_embeddings - 1}",
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        if _weight is not None:
            self.weight = _weight
            return
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer with this weight (num_embeddings, embedding_dim), frozen unless `freeze=False`.

        Raises ShapeError unless `embeddings` is a matrix.

        >>> import chainrule as cr
        >>> Embedding.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))(cr.tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                "embeddings must be a matrix with one row for each index",
                given=embeddings.shape,
                expected="(num_embeddings, embedding_dim)",
            )
        weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        rows, columns = embeddings.shape
        return cls(rows, columns, padding_idx, _weight=weight)

    def reset_parameters(self) -> None:
        """Initialize the weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx)

    def short_repr(self) -> str:
        return f"{self.num_embeddings} → {self.embedding_dim}"
