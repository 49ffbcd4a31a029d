"""Losses as modules. `reduction` is "mean", "sum" or "none" (no reduction)."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn import functional
from chainrule.nn.functional.checks import (
    check_positive,
    check_probability,
    check_reduction,
    check_tensors,
)
from chainrule.nn.module import Module
from chainrule.nn.parameter import Buffer
from chainrule.nn.predictions import (
    CLASS_LOG_PROBABILITIES,
    CLASS_LOGITS,
    LOGITS,
    PROBABILITIES,
    VALUES,
    Prediction,
)
from chainrule.primitive import Array
from chainrule.tensor import Tensor


def _buffer(weight: Tensor | None, name: str) -> Buffer | None:
    """The weights of a loss as a buffer. Raises ArgumentError if one is negative or not finite."""
    if weight is None:
        return None
    check_tensors(name, weight=weight)
    numbers = weight.detach().numpy()
    if not ((numbers >= 0) & (numbers < float("inf"))).all():
        raise ArgumentError(
            f"the weights of {name} are finite numbers ≥ 0", given=weight.detach().tolist()
        )
    return Buffer(weight.detach())


class Loss(Module):
    """Base class of losses, with what a loss declares for training and prediction.

    reduction: "mean", "sum" or "none".
    predicts: what the outputs of a model mean; it determines predictions and metrics.
    metrics: the names of suitable metrics.

    Your own loss can declare these attributes without being a subclass.
    """

    shown = ""
    reduction: str = "mean"
    predicts: Prediction = VALUES
    metrics: tuple[str, ...] = ()

    def divisor(self, target: Array) -> float:
        """The divisor of the mean over a batch with these targets: the number of elements.

        The mean over a data set is Σ divisor·loss / Σ divisor over its batches.
        """
        return target.size


class _LabelLoss(Loss):
    """Base class of losses of class labels, with weights of classes and an ignored label."""

    metrics = ("accuracy",)
    weight: Buffer | None
    ignore_index: int

    def divisor(self, target: Array) -> float:
        """The number of labels that are not ignored, or the sum of the weights of their classes.

        For targets that are probabilities (N, C, ...): the number of distributions.
        """
        if target.dtype.kind == "f":
            return target.size / target.shape[min(1, target.ndim - 1)]
        kept = target != self.ignore_index
        if self.weight is None:
            return float(np.count_nonzero(kept))
        return float(self.weight.detach().numpy()[target[kept]].sum(dtype=np.float64))


class CrossEntropyLoss(_LabelLoss):
    """l = −w[t]·ln softmax(x)[t] for logits x (N, C) and class labels t (N).

    Also (N, C, d₁, ...) and (N, d₁, ...), or probabilities t in the shape of x. `weight` w (C)
    scales each class. The mean divides by Σ w[t]. Labels equal to `ignore_index` are left out.
    `label_smoothing` ε replaces the target distribution by (1 − ε)·t + ε/C (Szegedy et al., 2016).
    Raises OutOfRangeError for a label that is no class, with its position and value, and ShapeError
    for shapes that do not fit.

    >>> import chainrule as cr
    >>> CrossEntropyLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([1]))
    tensor(0.6931)
    """

    predicts = CLASS_LOGITS

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = _buffer(weight, "CrossEntropyLoss")
        self.ignore_index = ignore_index
        self.reduction = check_reduction(reduction)
        self.label_smoothing = check_probability(
            "CrossEntropyLoss", label_smoothing, "label_smoothing"
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_LabelLoss):
    """l = −w[t]·x[t] for log-probabilities x (N, C) and class labels t (N).

    Shapes, options and errors as in CrossEntropyLoss; t must be labels.

    >>> import chainrule as cr
    >>> NLLLoss()(cr.tensor([[-0.5, -1.0]]), cr.tensor([1]))
    tensor(1.)
    """

    predicts = CLASS_LOG_PROBABILITIES

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        self.weight = _buffer(weight, "NLLLoss")
        self.ignore_index = ignore_index
        self.reduction = check_reduction(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCELoss(Loss):
    """l = −t·ln p − (1 − t)·ln(1 − p), for probabilities p and targets t of the same shape.

    Logarithms below −100 are replaced by −100. `weight` scales l, and broadcasts. Raises
    ArgumentError if an element of p or t is not in [0, 1], ShapeError for different shapes.

    >>> import chainrule as cr
    >>> BCELoss()(cr.tensor([0.5]), cr.tensor([1.0]))
    tensor(0.6931)
    """

    predicts, metrics = PROBABILITIES, ("accuracy",)

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        self.weight = _buffer(weight, "BCELoss")
        self.reduction = check_reduction(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """l = −p₊·t·ln σ(x) − (1 − t)·ln(1 − σ(x)) for logits x and targets t of the same shape.

    l is finite for every finite x. `pos_weight` p₊ scales the term of positive targets, `weight`
    the whole. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> BCEWithLogitsLoss()(cr.tensor([0.0, 1e4]), cr.tensor([1.0, 0.0]), )
    tensor(5000.3467)
    """

    predicts, metrics = LOGITS, ("accuracy",)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        self.weight = _buffer(weight, "BCEWithLogitsLoss")
        self.reduction = check_reduction(reduction)
        self.pos_weight = _buffer(pos_weight, "BCEWithLogitsLoss")

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class MSELoss(Loss):
    """l = (x − t)², for x and t of the same shape. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> MSELoss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(2.)
    """

    metrics = ("r2",)

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = check_reduction(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """l = |x − t|, for x and t of the same shape. Raises ShapeError for different shapes.

    >>> import chainrule as cr
    >>> L1Loss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(1.)
    """

    metrics = ("r2",)

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = check_reduction(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(Loss):
    """l = ½d² if d = |x − t| ≤ δ, else δ·(d − ½δ), for x and t of the same shape (Huber, 1964).

    Raises ShapeError for different shapes, ArgumentError unless δ > 0.

    >>> import chainrule as cr
    >>> HuberLoss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(2.5)
    """

    metrics = ("r2",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        check_positive("HuberLoss", delta=delta)
        self.reduction = check_reduction(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(Loss):
    """l = ½d²/β if d = |x − t| < β, else d − ½β, for x and t of the same shape (Girshick, 2015).

    Raises ShapeError for different shapes, ArgumentError unless β ≥ 0.

    >>> import chainrule as cr
    >>> SmoothL1Loss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(2.5)
    """

    metrics = ("r2",)

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        if not 0 <= beta < float("inf"):
            raise ArgumentError("beta of SmoothL1Loss is a number ≥ 0", given=beta)
        self.reduction = check_reduction(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
