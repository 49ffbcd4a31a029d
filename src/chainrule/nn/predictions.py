"""The meaning of a model's outputs: one of several classes, yes or no, or numbers.

A loss declares it as `predicts`. Predictions, probabilities and metrics are derived from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.ops.reduce import argmax
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy


class Prediction(ABC):
    """The meaning of outputs (N, ...). Subclass it to define your own.

    classes: whether the predictions are classes, so that accuracy and similar metrics are defined.
    indices: whether targets are indices of classes; otherwise they have the shape of the outputs.
    """

    classes: bool = True
    indices: bool = False

    @abstractmethod
    def decide(self, outputs: Array) -> Array:
        """The prediction for each example: class indices (int64), or the numbers themselves."""

    def labels(self, targets: Array) -> Array:
        """The true classes, in the form that `decide` returns."""
        return targets

    def probabilities(self, outputs: Array) -> Array:
        """The probability of each class (N, C, ...). Raises ArgumentError for other outputs."""
        raise ArgumentError("these outputs have no probabilities", instead="Use predict(x).")


class Values(Prediction):
    """The outputs are the predicted numbers, or `number` of them, a function of tensors."""

    classes = False

    def __init__(self, number: Callable[[Tensor], Tensor] | None = None) -> None:
        self.number = number

    def decide(self, outputs: Array) -> Array:
        return outputs if self.number is None else _computed(self.number, outputs)


class OneOfMany(Prediction):
    """The predicted class is the index of the largest output along dimension 1 of (N, C, ...).

    probability: a function from outputs to probabilities, both tensors; None if there are none.

    >>> OneOfMany(lambda x: x.softmax(1)).decide(np.array([[0.1, 2.0, -1.0]]))
    array([1])
    """

    indices = True

    def __init__(self, probability: Callable[[Tensor], Tensor] | None = None) -> None:
        self.probability = probability

    def decide(self, outputs: Array) -> Array:
        return _likeliest(outputs)

    def labels(self, targets: Array) -> Array:
        """Class indices unchanged; for probabilities (N, C, ...), the most likely class."""
        soft = targets.dtype.kind == "f" and targets.ndim > 1
        return _likeliest(targets) if soft else targets

    def probabilities(self, outputs: Array) -> Array:
        if self.probability is None:
            return super().probabilities(outputs)
        return _computed(self.probability, outputs)


class YesOrNo(Prediction):
    """Each output is one answer: yes (1) if it exceeds `threshold`, else no (0).

    Outputs (N, 1, ...) are one question for each example; the answers are (N, ...).

    >>> YesOrNo(0.5, lambda p: p).probabilities(np.array([[0.25]]))
    array([[0.75, 0.25]])
    """

    def __init__(self, threshold: float, probability: Callable[[Tensor], Tensor]) -> None:
        self.threshold, self.probability = threshold, probability

    def decide(self, outputs: Array) -> Array:
        return _one_question(outputs > self.threshold).astype(np.int64)

    def labels(self, targets: Array) -> Array:
        """Zeros and ones; probabilities are rounded."""
        answers = np.rint(targets) if targets.dtype.kind == "f" else targets
        return _one_question(answers)

    def probabilities(self, outputs: Array) -> Array:
        """For one question, the probabilities of no and yes (N, 2, ...). For several questions,
        the probability of yes for each."""
        p = _computed(self.probability, outputs)
        single = _one_question(p)
        return p if single.ndim == p.ndim > 1 else np.stack([1 - single, single], axis=1)


class YesOrMinus(YesOrNo):
    """Answers whose targets are 1 for yes and −1 for no."""

    def labels(self, targets: Array) -> Array:
        """Zeros and ones."""
        answers = super().labels(targets)
        return np.where(answers == -1, 0, answers)


def _likeliest(scores: Array) -> Array:
    """The index of the largest score along dimension 1, int64."""
    index: Array = argmax.native(scores, dim=1, keepdim=False)
    return index


def _one_question(answers: Array) -> Array:
    """(N, 1, ...) as (N, ...)."""
    return answers.squeeze(1) if answers.ndim > 1 and answers.shape[1] == 1 else answers


def _computed(function: Callable[[Tensor], Tensor], outputs: Array) -> Array:
    with use(gradients=False):
        result: Array = function(from_numpy(outputs)).numpy()
    return result


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


def _exp(logarithms: Tensor) -> Tensor:
    return logarithms.exp()


def _sigmoid(logits: Tensor) -> Tensor:
    return logits.sigmoid()


def _same(probabilities: Tensor) -> Tensor:
    return probabilities


VALUES, LOG_RATES = Values(), Values(_exp)
CLASS_LOGITS = OneOfMany(_softmax)
CLASS_LOG_PROBABILITIES = OneOfMany(_exp)
CLASS_SCORES = OneOfMany()
LOGITS, SIGNED_LOGITS = YesOrNo(0.0, _sigmoid), YesOrMinus(0.0, _sigmoid)
PROBABILITIES = YesOrNo(0.5, _same)
