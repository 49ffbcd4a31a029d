"""Losses of numbers and of probabilities, as functions.

They do not broadcast: an input (n, 1) and a target (n,) would silently give n² losses.
"""

from __future__ import annotations

import math

from chainrule.errors import ArgumentError
from chainrule.gateway import require
from chainrule.nn.functional.checks import (
    check_pair,
    check_positive,
    check_reduction,
    in_dtype_of,
    reduced,
    refuse_shapes,
)
from chainrule.nn.functional.weighting import counted, scaled, share, weighted_mean
from chainrule.ops import fused, special
from chainrule.ops.compare import where
from chainrule.ops.transcendental import xlogy
from chainrule.tensor import Tensor

# -- probabilities of yes and no -----------------------------------------------------------------


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
    loss = fused.binary_cross_entropy(*counted(weight, input, target))
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
    input, target = counted(weight, input, target)
    loss = fused.binary_cross_entropy_with_logits(input, target)
    if pos_weight is not None:  # adds (p₊ − 1)·t·(−ln σ(x))
        positive = target * special.softplus(-input)
        loss = loss + scaled(positive, pos_weight - 1)
    return reduced(scaled(loss, weight), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """l = −mean over the classes of t·ln σ(x) + (1 − t)·ln(1 − σ(x)), for logits x.

    x and t (..., C) → (...): several classes may be true at once. `weight` scales the terms, and
    broadcasts. Raises ArgumentError if an element of t is not in [0, 1], ShapeError for different
    shapes.

    >>> import chainrule as cr
    >>> multilabel_soft_margin_loss(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    target = in_dtype_of(input, target)
    check_pair("multilabel_soft_margin_loss", input, target)
    loss = fused.binary_cross_entropy_with_logits(*counted(weight, input, target))
    return reduced(scaled(loss, weight).mean(-1), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """l = ln(1 + e^(−t·x)), for x and targets t = 1 or −1 of the same shape.

    This is the cross entropy with logits, of other labels. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> soft_margin_loss(cr.tensor([0.0, 1e4]), cr.tensor([1.0, -1.0]), reduction="none")
    tensor([6.9315e-01, 1.0000e+04])
    """
    target = in_dtype_of(input, target)
    check_pair("soft_margin_loss", input, target)
    return reduced(special.softplus(-target * input), reduction)


# -- distributions -------------------------------------------------------------------------------


def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """l = t·(ln t − x), for log-probabilities x and probabilities t of the same shape.

    With `log_target`, t is given as its logarithm. Σ l over the classes is the divergence of
    Kullback & Leibler (1951) of t from eˣ. "batchmean" divides the sum by the first size, "mean" by
    the number of elements. A class with t = 0 does not count. Raises ShapeError for different
    shapes.

    >>> import chainrule as cr
    >>> q = cr.tensor([[0.5, 0.5]])
    >>> kl_div(q.log(), cr.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    batches = reduction == "batchmean"
    reduction = "sum" if batches else check_reduction(reduction, "batchmean")
    check_pair("kl_div", input, target)
    if log_target:
        loss = share(target.exp(), target - input)
    else:
        loss = xlogy(target, target) - share(target, input)
    y = reduced(loss, reduction)
    return y / input.shape[0] if batches and input.ndim else y


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """l = eˣ − t·x, for counts t that are Poisson with the rate eˣ, of the same shape.

    Without `log_input`, x is the rate: l = x − t·ln(x + ε). `full` adds ln t! for t > 1, by
    Stirling's formula t·ln t − t + ½·ln(2πt). Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> poisson_nll_loss(cr.tensor([0.0, 0.0]), cr.tensor([1.0, 3.0]), full=True)
    tensor(1.882)
    """
    target = in_dtype_of(input, target)
    check_pair("poisson_nll_loss", input, target)
    log_rate = input if log_input else (input + eps).log()
    loss = (input.exp() if log_input else input) - share(target, log_rate)
    if full:
        t = where(target > 1, target, 1.0)
        stirling = t * t.log() - t + (t * (2 * math.pi)).log() * 0.5
        loss = loss + where(target > 1, stirling, 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """l = ½·(ln v + (x − t)²/v), for t that are normal with mean x and variance v (Nix & Weigend,
    1994).

    v is `var`, at least ε: one number, or a tensor in the shape of x, or without its last dimension
    (or with size 1 there). `full` adds ½·ln 2π. Raises ArgumentError for a negative variance or
    ε ≤ 0, ShapeError for shapes that do not fit.

    >>> import chainrule as cr
    >>> x = cr.tensor([[0.0, 1.0]])
    >>> gaussian_nll_loss(x, cr.zeros(1, 2), cr.ones(1, 2), reduction="none")
    tensor([[0. , 0.5]])
    """
    check_positive("gaussian_nll_loss", eps=eps)
    target = in_dtype_of(input, target)
    check_pair("gaussian_nll_loss", input, target)
    v = at_least(_variance(input, var), eps)
    loss = (v.log() + (input - target).square() / v) * 0.5
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _variance(input: Tensor, var: Tensor | float) -> Tensor:
    """The variance as a tensor that broadcasts to the input in one dimension at most."""
    v = var if isinstance(var, Tensor) else input.detach() * 0 + float(var)
    if v.shape == input.shape[:-1] != input.shape:
        v = v.unsqueeze(-1)
    different = [(n, m) for n, m in zip(v.shape, input.shape, strict=False) if n != m]
    if v.ndim != input.ndim or len(different) > 1 or any(n != 1 for n, _ in different):
        refuse_shapes("gaussian_nll_loss", input.shape, v.shape)
    negative = ArgumentError("a variance is negative", expected="numbers ≥ 0")
    require(~(v.detach() < 0).any(), negative)
    return v


def at_least(x: Tensor, limit: float) -> Tensor:
    """max(x, limit) with the gradient of x: below the limit, too, x can still be trained."""
    y: Tensor = where(x < limit, x - x.detach() + limit, x)
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
    input, target = counted(weight, input, target)
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
    input, target = counted(weight, input, target)
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
    input, target = counted(weight, input, target)
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
