"""Losses as modules. Options, defaults and documentation are those of the functions.

`reduction` is "mean", "sum" or "none" (no reduction).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn import functional
from chainrule.nn.distances import PairwiseDistance
from chainrule.nn.function_layer import SeveralInputs
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.parameter import Buffer
from chainrule.nn.predictions import (
    CLASS_LOG_PROBABILITIES,
    CLASS_LOGITS,
    CLASS_SCORES,
    LOG_RATES,
    LOGITS,
    PROBABILITIES,
    SIGNED_LOGITS,
    VALUES,
    Prediction,
)
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Loss(SeveralInputs):
    """Base class of losses, with what a loss declares for training and prediction.

    `class Name(Loss, of=f)` defines a complete loss. The parameters of `f` without a default are
    its inputs, and those with a default its options. A call may give those in `each_call`.

    reduction: "mean", "sum" or "none".
    predicts: what the outputs of a model mean; it determines predictions and metrics.
    metrics: the names of suitable metrics.

    Your own loss can declare these attributes without being a subclass.
    """

    shown = ""
    _probe = 1
    reduction: str
    predicts: Prediction = VALUES
    metrics: tuple[str, ...] = ()

    def __init_subclass__(
        cls, of: Callable[..., Tensor] | None = None, each_call: tuple[str, ...] = ()
    ) -> None:
        if of is None:
            return
        parameters = inspect.signature(of).parameters.values()
        super().__init_subclass__(of, sum(p.default is p.empty for p in parameters))
        options = cls.__signature__.parameters.values()
        cls.__signature__ = inspect.Signature([p for p in options if p.name not in each_call])

    def divisor(self, target: Array) -> float:
        """The divisor of the mean over a batch with these targets: the number of elements.

        The mean over a data set is Σ divisor·loss / Σ divisor over its batches.
        """
        return target.size


class WeightedLoss(Loss):
    """Base class of losses with weights, of classes or elements, which are a buffer."""

    weight: Buffer | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("weight", _weights(self.options.pop("weight"), type(self).__name__))

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return super().forward(*inputs, **named, weight=self.weight)


def _weights(weight: Tensor | None, name: str) -> Buffer | None:
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


# -- class labels --------------------------------------------------------------------------------


class LabelLoss(WeightedLoss):
    """Base class of losses of class labels, with weights of classes and an ignored label."""

    metrics = ("accuracy",)
    ignore_index: int

    def divisor(self, target: Array) -> float:
        """The number of labels that are not ignored, or the sum of the weights of their classes.

        For targets that are probabilities (N, C, ...): the number of distributions.
        """
        if target.dtype.kind == "f":
            return target.size / target.shape[min(1, target.ndim - 1)]
        kept = target != self.options["ignore_index"]
        if self.weight is None:
            return float(np.count_nonzero(kept))
        return float(self.weight.detach().numpy()[target[kept]].sum(dtype=np.float64))


class CrossEntropyLoss(LabelLoss, of=functional.cross_entropy):
    """
    >>> import chainrule as cr
    >>> CrossEntropyLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([1]))
    tensor(0.6931)
    """

    predicts = CLASS_LOGITS


class NLLLoss(LabelLoss, of=functional.nll_loss):
    """
    >>> import chainrule as cr
    >>> NLLLoss()(cr.tensor([[-0.5, -1.0]]), cr.tensor([1]))
    tensor(1.)
    """

    predicts = CLASS_LOG_PROBABILITIES


class MultiMarginLoss(WeightedLoss, of=functional.multi_margin_loss):
    """
    >>> import chainrule as cr
    >>> MultiMarginLoss(p=2)(cr.tensor([[0.5, 0.0]]), cr.tensor([0]))
    tensor(0.125)
    """

    predicts, metrics = CLASS_SCORES, ("accuracy",)


class MultiLabelMarginLoss(Loss, of=functional.multilabel_margin_loss):
    """
    >>> import chainrule as cr
    >>> MultiLabelMarginLoss()(cr.tensor([[0.5, 0.0]]), cr.tensor([[0, -1]]))
    tensor(0.25)
    """

    def divisor(self, target: Array) -> float:
        """The number of examples."""
        return target.size / target.shape[-1]


# -- probabilities of yes and no -----------------------------------------------------------------


class BCELoss(WeightedLoss, of=functional.binary_cross_entropy):
    """
    >>> import chainrule as cr
    >>> BCELoss()(cr.tensor([0.5]), cr.tensor([1.0]))
    tensor(0.6931)
    """

    predicts, metrics = PROBABILITIES, ("accuracy",)


class BCEWithLogitsLoss(WeightedLoss, of=functional.binary_cross_entropy_with_logits):
    """
    >>> import chainrule as cr
    >>> BCEWithLogitsLoss()(cr.tensor([0.0, 1e4]), cr.tensor([1.0, 0.0]))
    tensor(5000.3467)
    """

    predicts, metrics = LOGITS, ("accuracy",)
    pos_weight: Buffer | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        positive = _weights(self.options.pop("pos_weight"), type(self).__name__)
        self.register_buffer("pos_weight", positive)

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return super().forward(*inputs, **named, pos_weight=self.pos_weight)


class MultiLabelSoftMarginLoss(WeightedLoss, of=functional.multilabel_soft_margin_loss):
    """
    >>> import chainrule as cr
    >>> MultiLabelSoftMarginLoss()(cr.tensor([[0.0, 0.0]]), cr.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    predicts, metrics = LOGITS, ("accuracy",)

    def divisor(self, target: Array) -> float:
        """The number of examples."""
        return target.size / target.shape[-1]


class SoftMarginLoss(Loss, of=functional.soft_margin_loss):
    """
    >>> import chainrule as cr
    >>> SoftMarginLoss()(cr.tensor([0.0]), cr.tensor([-1.0]))
    tensor(0.6931)
    """

    predicts, metrics = SIGNED_LOGITS, ("accuracy",)


# -- numbers and distributions -------------------------------------------------------------------


class MSELoss(Loss, of=functional.mse_loss, each_call=("weight",)):
    """
    >>> import chainrule as cr
    >>> MSELoss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(2.)
    """

    metrics = ("r2",)


class L1Loss(Loss, of=functional.l1_loss, each_call=("weight",)):
    """
    >>> import chainrule as cr
    >>> L1Loss()(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(1.)
    """

    metrics = ("r2",)


class HuberLoss(Loss, of=functional.huber_loss, each_call=("weight",)):
    """
    >>> import chainrule as cr
    >>> HuberLoss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(2.5)
    """

    metrics = ("r2",)


class SmoothL1Loss(Loss, of=functional.smooth_l1_loss):
    """
    >>> import chainrule as cr
    >>> SmoothL1Loss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(2.5)
    """

    metrics = ("r2",)


class GaussianNLLLoss(Loss, of=functional.gaussian_nll_loss):
    """
    >>> import chainrule as cr
    >>> GaussianNLLLoss()(cr.tensor([1.0]), cr.tensor([0.0]), cr.tensor([1.0]))
    tensor(0.5)
    """

    metrics = ("r2",)


class PoissonNLLLoss(Loss, of=functional.poisson_nll_loss):
    """
    >>> import chainrule as cr
    >>> PoissonNLLLoss()(cr.tensor([0.0]), cr.tensor([3.0]))
    tensor(1.)
    """

    log_input: bool
    metrics = ("r2",)

    @property
    def predicts(self) -> Prediction:  # type: ignore[override]
        """The rates: eˣ, or x without `log_input`."""
        return LOG_RATES if self.log_input else VALUES


class KLDivLoss(Loss, of=functional.kl_div):
    """
    >>> import chainrule as cr
    >>> p = cr.tensor([[0.5, 0.5]])
    >>> KLDivLoss(reduction="batchmean")(p.log(), cr.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    predicts, metrics = CLASS_LOG_PROBABILITIES, ("accuracy",)

    def divisor(self, target: Array) -> float:
        """The number of elements, or of examples for "batchmean"."""
        return len(target) if self.reduction == "batchmean" else target.size


# -- pairs and sequences -------------------------------------------------------------------------


class HingeEmbeddingLoss(Loss, of=functional.hinge_embedding_loss):
    """
    >>> import chainrule as cr
    >>> HingeEmbeddingLoss()(cr.tensor([0.25]), cr.tensor([-1.0]))
    tensor(0.75)
    """


class CosineEmbeddingLoss(Loss, of=functional.cosine_embedding_loss):
    """
    >>> import chainrule as cr
    >>> x, y = cr.tensor([[1.0, 0.0]]), cr.tensor([[0.0, 1.0]])
    >>> CosineEmbeddingLoss()(x, y, cr.tensor([1.0]))
    tensor(1.)
    """


class MarginRankingLoss(Loss, of=functional.margin_ranking_loss):
    """
    >>> import chainrule as cr
    >>> MarginRankingLoss()(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1.0]))
    tensor(2.)
    """


class TripletMarginLoss(Loss, of=functional.triplet_margin_loss):
    """
    >>> import chainrule as cr
    >>> TripletMarginLoss()(cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[1.5]]))
    tensor(0.5)
    """


class TripletMarginWithDistanceLoss(Loss, of=functional.triplet_margin_with_distance_loss):
    """
    >>> import chainrule as cr
    >>> loss = TripletMarginWithDistanceLoss(lambda x, y: (x - y).abs().sum(-1))
    >>> loss(cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[1.5]]))
    tensor(0.5)
    """

    def __init__(self, distance_function: Any = None, *args: Any, **options: Any) -> None:
        super().__init__(None, *args, **options)
        del self.options["distance_function"]
        default = distance_function is None
        self.distance_function = PairwiseDistance() if default else distance_function

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return super().forward(*inputs, **named, distance_function=self.distance_function)


class CTCLoss(Loss, of=functional.ctc_loss):
    """
    >>> import chainrule as cr
    >>> x = cr.zeros(5, 1, 3).log_softmax(2)
    >>> CTCLoss()(x, cr.tensor([[1, 2]]), cr.tensor([5]), cr.tensor([2]))
    tensor(0.9689)
    """

    def divisor(self, target: Array) -> float:
        """The number of examples, of targets (N, S)."""
        return len(target)
