"""Weights of losses. What has the weight 0 does not count, even ∞ and NaN: 0·∞ would be NaN."""

from __future__ import annotations

from chainrule.nn.functional.checks import check_tensors, reduced, refuse_shapes
from chainrule.ops.compare import where
from chainrule.tensor import Tensor


def counted(weight: Tensor | None, *values: Tensor) -> tuple[Tensor, ...]:
    """The values, with 0 in place of ∞ and NaN where the weight is 0. The weight broadcasts to
    their shape; raises ShapeError otherwise."""
    if weight is None:
        return values
    check_tensors("a loss", weight=weight)
    return tuple([_fitting(where(_left_out(weight, x), 0.0, x), weight, x) for x in values])


def share(weight: Tensor, value: Tensor) -> Tensor:
    """w·x, and 0 where w = 0, whatever x is. Both have one shape, or w broadcasts to that of x."""
    product: Tensor = weight * where(_left_out(weight, value), 0.0, value)
    return product


def scaled(loss: Tensor, weight: Tensor | None) -> Tensor:
    """The losses times weights that broadcast to their shape. Raises ShapeError otherwise."""
    return loss if weight is None else _fitting(loss * weight, weight, loss)


def weighted_mean(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduce the losses times `weight`, which has their shape; the mean divides by its sum."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        refuse_shapes("weight", weight.shape, loss.shape)
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


def _left_out(weight: Tensor, value: Tensor) -> Tensor:
    return (weight == 0) & ~value.isfinite()


def _fitting(result: Tensor, weight: Tensor, value: Tensor) -> Tensor:
    """The result, which has the shape of the value unless the weight does not broadcast to it."""
    if result.shape != value.shape:
        refuse_shapes("weight", weight.shape, value.shape)
    return result
