"""Tables of learned vectors, one for each index."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.functional.embedding import BAG_MODES
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor

T = TypeVar("T", bound="_Table")


class _Table(Module):
    """Base class of Embedding and EmbeddingBag: the weight, and the options of both."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        check_counts(name, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"padding_idx of {name} is not a row",
                    given=padding_idx,
                    expected=f"{-num_embeddings} … {num_embeddings - 1}",
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if weight is None:
            self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
            self.reset_parameters()
        elif weight.shape == (num_embeddings, embedding_dim):
            self.weight = weight if isinstance(weight, Parameter) else Parameter(weight.detach())
        else:
            raise ShapeError(
                f"the weight of {name} has another shape",
                given=weight.shape,
                expected=(num_embeddings, embedding_dim),
            )

    @classmethod
    def from_pretrained(
        cls: type[T], embeddings: Tensor, freeze: bool = True, *args: Any, **options: Any
    ) -> T:
        """A layer with this weight (num_embeddings, embedding_dim), frozen unless `freeze=False`.

        The other arguments are the options of the layer. Raises ShapeError unless `embeddings` is a
        matrix.

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
        make: Any = cls
        layer: T = make(*embeddings.shape, *args, _weight=embeddings.detach(), **options)
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        """Initialize the weight anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0

    def short_repr(self) -> str:
        return f"{self.num_embeddings} → {self.embedding_dim}"


class Embedding(_Table):
    """y = W[i], the row of the weight for each integer i: (...) → (..., embedding_dim).

    weight (num_embeddings, embedding_dim) is initialized from N(0, 1). The row `padding_idx` is
    initialized to 0 and gets no gradient. The other options are those of `functional.embedding`.
    Raises OutOfRangeError for an index outside 0 … num_embeddings − 1, and ArgumentError for a
    `padding_idx` that is no row.

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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        limits = max_norm, norm_type, scale_grad_by_freq, sparse
        super().__init__(num_embeddings, embedding_dim, padding_idx, *limits, _weight, dtype)
        self.weight.requires_grad = not _freeze

    def forward(self, input: Tensor) -> Tensor:
        options = self.max_norm, self.norm_type, self.scale_grad_by_freq
        return functional.embedding(input, self.weight, self.padding_idx, *options)


class EmbeddingBag(_Table):
    """y = the mean, sum or maximum of the embeddings of each bag of integers: → (bags, columns).

    Called with bags (bags, n), or with one row of integers (n) and the offsets of the bags.
    `per_sample_weights` scale the embeddings in the mode "sum". weight (num_embeddings,
    embedding_dim) is initialized from N(0, 1). The options are those of `functional.embedding_bag`.

    >>> import chainrule as cr
    >>> layer = EmbeddingBag(10, 3, mode="sum")
    >>> layer(cr.tensor([1, 2, 4, 9]), offsets=cr.tensor([0, 3])).shape
    (2, 3)
    """

    shown = "num_embeddings embedding_dim mode="

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
    ) -> None:
        if mode not in BAG_MODES:
            raise ArgumentError(
                "unknown mode of EmbeddingBag",
                given=repr(mode),
                expected=", ".join(map(repr, BAG_MODES)),
            )
        self.mode = mode
        self.include_last_offset = include_last_offset
        limits = max_norm, norm_type, scale_grad_by_freq, sparse
        super().__init__(num_embeddings, embedding_dim, padding_idx, *limits, _weight, dtype)

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
