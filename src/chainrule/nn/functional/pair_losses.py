"""Losses of pairs of examples, and the distances that they compare: functions of embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.errors import ShapeError
from chainrule.nn.functional.checks import (
    check_pair,
    check_positive,
    check_tensors,
    in_dtype_of,
    reduced,
    refuse_shapes,
)
from chainrule.nn.functional.losses import at_least
from chainrule.ops.compare import where
from chainrule.ops.elementwise import minimum
from chainrule.tensor import Tensor, from_numpy

Distance = Callable[[Tensor, Tensor], Tensor]
_TINY = 1e-12
"""What PyTorch adds to the squared lengths in `cosine_embedding_loss`."""

# -- distances -----------------------------------------------------------------------------------


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """d = ‖x₁ − x₂ + ε‖ₚ over the last dimension: (..., D), (..., D) → (...).

    The inputs broadcast. ε keeps the gradient finite where they are equal.

    >>> import chainrule as cr
    >>> pairwise_distance(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """c = x₁·x₂ / (max(‖x₁‖, ε)·max(‖x₂‖, ε)), along `dim`. The inputs broadcast.

    >>> import chainrule as cr
    >>> cosine_similarity(cr.tensor([[3.0, 0.0]]), cr.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    lengths = [at_least(x.norm(2.0, dim, True), eps) for x in (x1, x2)]
    y: Tensor = ((x1 / lengths[0]) * (x2 / lengths[1])).sum(dim)
    return y


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """d = ‖xᵢ − xⱼ‖ₚ of all pairs of rows i < j: (N, D) → (N·(N − 1)/2).

    The pairs are (0, 1), (0, 2), ..., (1, 2), ... Raises ShapeError unless the input is a matrix.

    >>> import chainrule as cr
    >>> pdist(cr.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.    , 1.    , 4.2426])
    """
    check_tensors("pdist", input=input)
    if input.ndim != 2:
        raise ShapeError("pdist takes a matrix, a row for each vector", given=input.shape)
    first, second = map(from_numpy, np.array(np.triu_indices(len(input), 1), np.int64))
    distances: Tensor = (input[first] - input[second]).norm(p, 1)
    return distances


# -- similar or not ------------------------------------------------------------------------------


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """l = x where t = 1 (similar), max(0, m − x) where t = −1, for distances x and t of one shape.

    m is the `margin`. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> hinge_embedding_loss(cr.tensor([0.5, 0.25]), cr.tensor([1.0, -1.0]), reduction="none")
    tensor([0.5 , 0.75])
    """
    target = in_dtype_of(input, target)
    check_pair("hinge_embedding_loss", input, target)
    return reduced(_by_sign(target, input, (margin - input).clamp(min=0.0)), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """l = 1 − c where t = 1 (similar), max(0, c − m) where t = −1, for c = cos(x₁, x₂).

    x₁, x₂ (N, D) and t (N), or (D) and (). m is the `margin`. Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> x, y = cr.tensor([[1.0, 0.0]]), cr.tensor([[1.0, 1.0]])
    >>> cosine_embedding_loss(x, y, cr.tensor([1.0]))
    tensor(0.2929)
    """
    check_pair("cosine_embedding_loss", input1, input2)
    check_tensors("cosine_embedding_loss", target=target)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ShapeError(
            "`cosine_embedding_loss` takes inputs (N, D) and a target (N), or (D) and ()",
            given=f"inputs {input1.shape}, target {target.shape}",
        )
    squares = [(x * x).sum(-1) + _TINY for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / (squares[0] * squares[1]).sqrt()
    return reduced(_by_sign(target, 1 - cosine, (cosine - margin).clamp(min=0.0)), reduction)


def _by_sign(target: Tensor, similar: Tensor, different: Tensor) -> Tensor:
    """The first where the target is 1, the second where it is −1."""
    loss: Tensor = where(target != -1, similar, 0.0) + where(target != 1, different, 0.0)
    return loss


# -- comparisons ---------------------------------------------------------------------------------


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """l = max(0, m − t·(x₁ − x₂)): t = 1 where x₁ is to be larger, else −1; all of one shape.

    m is the `margin`. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> margin_ranking_loss(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1.0]))
    tensor(2.)
    """
    check_pair("margin_ranking_loss", input1, input2)
    target = in_dtype_of(input1, target)
    check_pair("margin_ranking_loss", input1, target)
    return reduced((margin - target * (input1 - input2)).clamp(min=0.0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """l = max(0, m + d(a, p) − d(a, n)), d the `pairwise_distance` of embeddings (N, D) or (D).

    The anchor a is to be closer to the positive p than to the negative n, by the `margin` m > 0.
    With `swap`, d(p, n) replaces d(a, n) where it is smaller (Balntas et al., 2016). Raises
    ShapeError for different shapes, ArgumentError unless m > 0.

    >>> import chainrule as cr
    >>> a, p, n = cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[1.5]])
    >>> triplet_margin_loss(a, p, n)
    tensor(0.5)
    """
    for x in (positive, negative):
        check_pair("triplet_margin_loss", anchor, x)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance, margin, swap, reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance_function: Distance | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of your own: (N, ...), (N, ...) → (N).

    >>> import chainrule as cr
    >>> a, p, n = cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[1.5]])
    >>> triplet_margin_with_distance_loss(a, p, n, lambda x, y: (x - y).abs().sum(-1))
    tensor(0.5)
    """
    check_positive("triplet_margin_loss", margin=margin)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    if near.shape != far.shape:
        refuse_shapes("triplet_margin_loss", near.shape, far.shape)
    return reduced((margin + near - far).clamp(min=0.0), reduction)
