"""Losses as functions.

They do not broadcast: an input (n, 1) and a target (n,) would silently give n² losses.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn.functional.checks import (
    check_pair,
    check_positive,
    check_probability,
    check_reduction,
    check_tensors,
    reduced,
    refuse_shapes,
)
from chainrule.ops import compare, fused, labels, special
from chainrule.primitive import Spec
from chainrule.tensor import Tensor

# -- class labels --------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """l = −w[t]·ln softmax(x)[t] for logits x and labels t, or −Σ w·t·ln softmax(x) for
    probabilities t.

    x (N, C), or (N, C, d₁, ...), or (C). t has integers and the shape of x without C, or it has the
    shape and dtype of x. `weight` w (C) scales the loss of each class. The mean divides by Σ w[t]
    for labels, and by the number of distributions for probabilities. Labels equal to
    `ignore_index` are left out. `label_smoothing` ε replaces the target distribution t by
    (1 − ε)·t + ε/C (Szegedy et al., 2016). Raises OutOfRangeError for a label that is no class,
    ShapeError and DTypeError for inputs that do not fit.

    >>> import chainrule as cr
    >>> cross_entropy(cr.tensor([[0.0, 0.0], [0.0, 1000.0]]), cr.tensor([0, 1]))
    tensor(0.3466)
    """
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        check_tensors("cross_entropy", input=input, target=target)
    target = _int64(target)
    x, t = input._data, target._data
    if (
        weight is None
        and not label_smoothing
        and t.dtype.kind == "i"
        and len(x.shape) == 2
        and t.shape == x.shape[:1]
    ):
        check_reduction(reduction)
        return fused.softmax_cross_entropy(
            input, target, ignore_index=ignore_index, reduction=reduction
        )
    check_probability("cross_entropy", label_smoothing, "label_smoothing")
    return _general_cross_entropy(
        input, target, weight, ignore_index, check_reduction(reduction), label_smoothing
    )


def _general_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """The cross entropy with class weights, smoothing, probabilities or further dimensions."""
    soft = target.dtype.kind == "f" and target.shape == input.shape
    if not soft:
        check_labels_fit("cross_entropy", input, target)
    if input.ndim == 0:
        raise ShapeError("cross_entropy needs a dimension of classes", given=input.shape)
    dim = min(1, input.ndim - 1)
    check_class_weights(weight, input.shape[dim], input)
    if soft:
        check_pair("cross_entropy", input, target)
        log_p: Tensor = fused.log_softmax(input, dim)
        return soft_loss(log_p, target, weight, dim, reduction, smoothing)
    log_p = fused.log_softmax(without_ignored(input, target, dim, ignore), dim)
    if not smoothing:
        return picked_loss(log_p, target, weight, dim, ignore, reduction)
    return smoothed_loss(log_p, target, weight, dim, ignore, reduction, smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """l = −w[t]·x[t] for log-probabilities x and class labels t; the mean divides by Σ w[t].

    Shapes, `ignore_index` and errors as in `cross_entropy`.

    >>> import chainrule as cr
    >>> nll_loss(cr.tensor([[-0.5, -1.0]]), cr.tensor([1]))
    tensor(1.)
    """
    check_tensors("nll_loss", input=input, target=target)
    target = _int64(target)
    check_labels_fit("nll_loss", input, target)
    check_reduction(reduction)
    dim = min(1, input.ndim - 1)
    check_class_weights(weight, input.shape[dim], input)
    log_p = without_ignored(input, target, dim, ignore_index)
    return picked_loss(log_p, target, weight, dim, ignore_index, reduction)


def without_ignored(input: Tensor, target: Tensor, dim: int, ignore: int) -> Tensor:
    """The input, with zeros where the label is ignored. Otherwise ∞ or NaN, times 0, is NaN."""
    kept: Tensor = compare.where((target != ignore).unsqueeze(dim), input, 0.0)
    return kept


def check_labels_fit(name: str, input: Tensor, target: Tensor) -> None:
    """Raise ShapeError or DTypeError unless there is an integer label for each row of logits."""
    wanted = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    found = f"input {input.spec}, target {target.spec}"
    if target.shape == (*wanted, 1) or (target.ndim == input.ndim and target.shape[1:2] == (1,)):
        dim = target.ndim - 1 if target.shape == (*wanted, 1) else 1
        raise ShapeError(
            f"`{name}` needs labels of shape {wanted}",
            given=found,
            instead=f"Use target.squeeze({dim})" + (".long()." if _real(target) else "."),
        )
    if target.shape != wanted:
        soft = f", or probabilities of shape {input.shape}" if name == "cross_entropy" else ""
        raise ShapeError(
            f"`{name}` needs one label for each row of logits",
            given=found,
            expected=f"labels of shape {wanted}{soft}",
        )
    if _real(target) or target.dtype.kind == "b":
        raise DTypeError(
            f"`{name}` needs integer class labels", given=found, instead="Use target.long()."
        )
    if not _real(input):
        raise DTypeError(f"`{name}` needs real logits", given=found, instead="Use input.float().")


def _int64(target: Tensor) -> Tensor:
    """Convert integer labels to int64, so that they can be compared with any `ignore_index`."""
    dtype = target._data.dtype
    return target.astype(np.int64) if dtype.kind in "iu" and dtype.itemsize != 8 else target


def _real(x: Tensor) -> bool:
    return x.dtype.kind == "f"


def check_class_weights(weight: Tensor | None, classes: int, input: Tensor) -> None:
    """Raise ShapeError or DTypeError unless there is one weight per class, in the input's dtype."""
    if weight is None:
        return
    check_tensors("class weights", weight=weight)
    if weight.shape != (classes,):
        raise ShapeError("one weight for each class", given=weight.shape, expected=(classes,))
    if weight.dtype != input.dtype:
        raise DTypeError(
            "class weights have another dtype",
            given=Spec(weight.shape, weight.dtype),
            instead=f"Convert them with weight.to(cr.{input.dtype}).",
        )


def picked_loss(
    log_p: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore: int, reduction: str
) -> Tensor:
    """−w[t]·ln p[t], reduced; 0 where the label is ignored."""
    loss, share = _picked(log_p, target, weight, dim, ignore)
    loss = loss * share
    if reduction == "mean":
        return loss.sum() / share.sum()
    return reduced(loss, reduction)


def _picked(
    log_p: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore: int
) -> tuple[Tensor, Tensor]:
    """−ln p[t], and the weight of each: w[t], or 1 without class weights; 0 where ignored."""
    classes = log_p.shape[dim]
    known = labels.class_labels(target, classes=classes, ignore_index=ignore)
    loss = -log_p.gather(dim, known.unsqueeze(dim)).squeeze(dim)
    share = (target != ignore).astype(log_p.dtype)
    if weight is not None:
        share = share * weight[known]
    return loss, share


def smoothed_loss(
    log_p: Tensor,
    target: Tensor,
    weight: Tensor | None,
    dim: int,
    ignore: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """(1 − ε)·w[t]·(−ln p[t]) + ε/C·Σ w·(−ln p), reduced."""
    classes = log_p.shape[dim]
    loss, share = _picked(log_p, target, weight, dim, ignore)
    kept = (target != ignore).astype(log_p.dtype)
    spread = -_weighted(log_p, weight, dim).sum(dim) * kept
    total = loss * share * (1 - smoothing) + spread * (smoothing / classes)
    if reduction == "mean":
        return total.sum() / share.sum()
    return reduced(total, reduction)


def soft_loss(
    log_p: Tensor,
    target: Tensor,
    weight: Tensor | None,
    dim: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """−Σ t·w·ln p over the classes, reduced. The mean does not divide by the weights."""
    if smoothing:
        target = target * (1 - smoothing) + smoothing / log_p.shape[dim]
    return reduced(-(_weighted(log_p, weight, dim) * target).sum(dim), reduction)


def _weighted(log_p: Tensor, weight: Tensor | None, dim: int) -> Tensor:
    if weight is None:
        return log_p
    return log_p * weight.reshape(-1, *(1,) * (log_p.ndim - 1 - dim))


# -- probabilities of two classes ------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """l = −t·ln p − (1 − t)·ln(1 − p), for probabilities p and targets t of the same shape.

    Logarithms below −100 are replaced by −100. `weight` scales the losses, and broadcasts. For
    logits, `binary_cross_entropy_with_logits` is more accurate. Raises ArgumentError if an element
    of p or t is not in [0, 1], ShapeError for different shapes.

    >>> import chainrule as cr
    >>> binary_cross_entropy(cr.tensor([0.5, 0.0]), cr.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931, 100.    ])
    """
    check_pair("binary_cross_entropy", input, target)
    loss = fused.binary_cross_entropy(input, target)
    return reduced(scaled(loss, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """l = −p₊·t·ln σ(x) − (1 − t)·ln(1 − σ(x)) for logits x and targets t of the same shape.

    l is finite for every finite x. `pos_weight` p₊ scales the term of positive targets, `weight`
    the whole; both broadcast. Raises ArgumentError if an element of t is not in [0, 1], ShapeError
    for different shapes.

    >>> import chainrule as cr
    >>> binary_cross_entropy_with_logits(cr.tensor([1e4, -1e4]), cr.tensor([0.0, 0.0]))
    tensor(5000.)
    """
    check_pair("binary_cross_entropy_with_logits", input, target)
    loss = fused.binary_cross_entropy_with_logits(input, target)
    if pos_weight is not None:  # adds (p₊ − 1)·t·(−ln σ(x))
        positive = target * special.softplus(-input)
        loss = loss + scaled(positive, pos_weight - 1)
    return reduced(scaled(loss, weight), reduction)


def scaled(loss: Tensor, weight: Tensor | None) -> Tensor:
    """The losses times weights that broadcast to their shape. Raises ShapeError otherwise."""
    if weight is None:
        return loss
    y = loss * weight
    if y.shape != loss.shape:
        refuse_shapes("weight", weight.shape, loss.shape)
    return y


# -- distances -----------------------------------------------------------------------------------


def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """l = (x − t)², for x and t of the same shape.

    `weight` has their shape too; the mean then divides by Σ weight. Raises ShapeError otherwise.

    >>> import chainrule as cr
    >>> mse_loss(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_pair("mse_loss", input, target)
    return weighted_mean((input - target).square(), weight, reduction)


def l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """l = |x − t|, for x and t of the same shape.

    `weight` has their shape too; the mean then divides by Σ weight. Raises ShapeError otherwise.

    >>> import chainrule as cr
    >>> l1_loss(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(1.)
    """
    check_pair("l1_loss", input, target)
    return weighted_mean((input - target).abs(), weight, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """l = ½d² if d = |x − t| ≤ δ, else δ·(d − ½δ), for x and t of the same shape (Huber, 1964).

    `weight` scales the losses, and broadcasts. Raises ShapeError for different shapes,
    ArgumentError unless δ > 0.

    >>> import chainrule as cr
    >>> huber_loss(cr.tensor([0.0, 0.0]), cr.tensor([0.5, 3.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    check_positive("huber_loss", delta=delta)
    check_pair("huber_loss", input, target)
    distance = (input - target).abs()
    near = distance.clamp(max=float(delta))
    return reduced(scaled(near * (distance - near * 0.5), weight), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """l = ½d²/β if d = |x − t| < β, else d − ½β, for x and t of the same shape (Girshick, 2015).

    This is Huber's loss with δ = β, divided by β; β = 0 gives |x − t|. Raises ShapeError for
    different shapes, ArgumentError unless 0 ≤ β < ∞.

    >>> import chainrule as cr
    >>> smooth_l1_loss(cr.tensor([0.0, 0.0]), cr.tensor([0.5, 3.0]), beta=2.0, reduction="none")
    tensor([0.0625, 2.    ])
    """
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    if not 0 < beta < math.inf:
        raise ArgumentError("beta of smooth_l1_loss is a number ≥ 0", given=beta)
    check_pair("smooth_l1_loss", input, target)
    distance = (input - target).abs()
    near = distance.clamp(max=float(beta))
    return reduced(near * (distance - near * 0.5) * (1 / beta), reduction)


def weighted_mean(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduce the losses times `weight`, which has their shape; the mean divides by its sum."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        refuse_shapes("weight", weight.shape, loss.shape)
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)
