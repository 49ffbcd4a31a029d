"""Losses of class labels, as functions: cross entropy and margins.

They do not broadcast. What does not count is left out and not multiplied by 0, since 0·∞ is NaN.
"""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn.functional.checks import (
    check_pair,
    check_probability,
    check_reduction,
    check_tensors,
    reduced,
    refuse_shapes,
)
from chainrule.nn.functional.weighting import share
from chainrule.ops import compare, fused, labels, special
from chainrule.primitive import Spec
from chainrule.tensor import Tensor


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
    if smoothing:
        kept = without_ignored(input, target, None, dim, ignore)
        log_p = fused.log_softmax(kept, dim)
        return smoothed_loss(log_p, target, weight, dim, ignore, reduction, smoothing)
    log_p = fused.log_softmax(without_ignored(input, target, weight, dim, ignore), dim)
    return picked_loss(log_p, target, weight, dim, ignore, reduction)


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
    log_p = without_ignored(input, target, weight, dim, ignore_index)
    return picked_loss(log_p, target, weight, dim, ignore_index, reduction)


def without_ignored(
    input: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore: int
) -> Tensor:
    """The input, with zeros where the label is ignored or its class has the weight 0. Otherwise ∞
    or NaN, times 0, is NaN."""
    kept = target != ignore
    if weight is not None:
        kept = kept & (weight[_known(target, input.shape[dim], ignore)] != 0)
    y: Tensor = compare.where(kept.unsqueeze(dim), input, 0.0)
    return y


def _known(target: Tensor, classes: int, ignore: int) -> Tensor:
    """The labels, with 0 in place of the ignored. Raises OutOfRangeError for others."""
    known: Tensor = labels.class_labels(target, classes=classes, ignore_index=ignore)
    return known


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
    loss, counts = _picked(log_p, target, weight, dim, ignore)
    loss = loss * counts
    if reduction == "mean":
        return loss.sum() / counts.sum()
    return reduced(loss, reduction)


def _picked(
    log_p: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore: int
) -> tuple[Tensor, Tensor]:
    """−ln p[t], and the weight of each: w[t], or 1 without class weights; 0 where ignored."""
    known = _known(target, log_p.shape[dim], ignore)
    loss = -log_p.gather(dim, known.unsqueeze(dim)).squeeze(dim)
    counts = (target != ignore).astype(log_p.dtype)
    return loss, counts if weight is None else counts * weight[known]


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
    loss, counts = _picked(log_p, target, weight, dim, ignore)
    kept = (target != ignore).astype(log_p.dtype)
    spread = -_weighted(log_p, weight, dim).sum(dim) * kept
    total = share(counts, loss) * (1 - smoothing) + spread * (smoothing / classes)
    if reduction == "mean":
        return total.sum() / counts.sum()
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
    return reduced(-share(target, _weighted(log_p, weight, dim)).sum(dim), reduction)


def _weighted(log_p: Tensor, weight: Tensor | None, dim: int) -> Tensor:
    if weight is None:
        return log_p
    return share(weight.reshape(-1, *(1,) * (log_p.ndim - 1 - dim)), log_p)


# -- margins -------------------------------------------------------------------------------------

NO_LABEL = int(np.iinfo(np.int64).min)
"""No label has this value: none is ignored."""


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """l = 1/C·Σ w[t]·max(0, m − x[t] + x[i])ᵖ over the classes i ≠ t, for scores x and labels t.

    x (N, C) and t (N), or x (C) and t (). p is 1 or 2, m the `margin`, `weight` w (C). Raises
    OutOfRangeError for a label that is no class, ArgumentError for another p, ShapeError and
    DTypeError for inputs that do not fit. (Crammer & Singer, 2001.)

    >>> import chainrule as cr
    >>> multi_margin_loss(cr.tensor([[0.5, 0.25, 0.0]]), cr.tensor([0]))
    tensor(0.4167)
    """
    if p not in (1, 2):
        raise ArgumentError("p of multi_margin_loss is 1 or 2", given=p)
    check_tensors("multi_margin_loss", input=input, target=target)
    _check_rows("multi_margin_loss", input)
    check_labels_fit("multi_margin_loss", input, target)
    classes = input.shape[-1]
    check_class_weights(weight, classes, input)
    index = _known(target, classes, NO_LABEL).unsqueeze(-1)
    other = Tensor(np.arange(classes, dtype=np.int64)) != index
    z = special.relu(compare.where(other, margin - input.gather(-1, index) + input, 0.0))
    loss = (z if p == 1 else z.square()).sum(-1) / classes
    return reduced(loss if weight is None else loss * weight[index.squeeze(-1)], reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """l = 1/C·Σ max(0, 1 − x[j] + x[i]) over the true classes j and the other classes i.

    x (N, C) are scores. t (N, C) has in each row the true classes, then −1, after which nothing
    counts. Without N: (C). Raises OutOfRangeError for a label that is no class, ShapeError and
    DTypeError for inputs that do not fit.

    >>> import chainrule as cr
    >>> multilabel_margin_loss(cr.tensor([[0.5, 0.25, 0.0]]), cr.tensor([[0, 2, -1]]))
    tensor(0.6667)
    """
    check_tensors("multilabel_margin_loss", input=input, target=target)
    _check_rows("multilabel_margin_loss", input)
    if input.shape != target.shape:
        refuse_shapes("multilabel_margin_loss", input.shape, target.shape)
    if target.dtype.kind not in "iu":
        raise DTypeError("`multilabel_margin_loss` needs integer labels", given=target.dtype)
    classes = input.shape[-1]
    counts = (target < 0).cumsum(-1) == 0
    index = _known(compare.where(counts, target, -1), classes, -1)
    places = Tensor(np.arange(classes, dtype=np.int64))
    found = (index.unsqueeze(-1) == places) & counts.unsqueeze(-1)
    pairs = counts.unsqueeze(-1) & ~found.any(-2, True)  # (N, true class, other class)
    z = 1 - input.gather(-1, index).unsqueeze(-1) + input.unsqueeze(-2)
    loss = special.relu(compare.where(pairs, z, 0.0)).sum((-2, -1)) / classes
    return reduced(loss, reduction)


def _check_rows(name: str, input: Tensor) -> None:
    """Raise an error unless the input is (N, C) or (C) and real, with at least one class."""
    if input.ndim not in (1, 2) or not input.shape[-1]:
        raise ShapeError(f"`{name}` takes scores (N, C) or (C)", given=input.shape)
    if not _real(input):
        raise DTypeError(f"`{name}` needs real scores", given=input.dtype)
