"""Metrics of classification.

In a Trainer, they interpret outputs as the loss declares (`loss.predicts`), and skip samples whose
label the loss ignores. Used alone, a metric accepts outputs (N, C), whose largest element gives the
class, and outputs (N,) or (N, 1), which mean class 1 if they exceed `threshold`. Targets are class
indices (N,), zeros and ones (N, 1), or probabilities (N, C). Further dimensions follow C, as in
cross-entropy. Samples with the label −100 are skipped, as in cross-entropy.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, OutOfRangeError, ShapeError
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.predictions import CLASS_LOGITS, LOGITS, OneOfMany, Prediction, YesOrNo
from chainrule.primitive import Array
from chainrule.train.metrics.base import Metric, as_array, ratio


class _OfClasses(Metric):
    """Base of metrics of classification: finds the predicted classes, and skips ignored labels.

    threshold: a single output predicts class 1 if it exceeds this value; by default 0, or the value
    that the loss declares.
    """

    def __init__(self, threshold: float | None = None) -> None:
        if threshold is not None and not math.isfinite(threshold):
            raise ArgumentError("threshold is a finite number", given=threshold)
        self.threshold = threshold

    def _prediction(self, outputs: Array) -> Prediction:
        predicts = self.predicts
        if predicts is None or not predicts.classes:
            several = outputs.ndim >= 2 and outputs.shape[1] > 1
            predicts = CLASS_LOGITS if several else LOGITS
        if self.threshold is not None and isinstance(predicts, YesOrNo):
            return YesOrNo(self.threshold, predicts.probability)
        return predicts

    def _classes(self, outputs: Any, targets: Any) -> tuple[Array, Array]:
        """The predicted and the true classes of all samples that are not ignored, as flat
        arrays."""
        x, y = as_array(outputs), as_array(targets)
        prediction = self._prediction(x)
        if isinstance(prediction, OneOfMany) and x.shape[1] == 1:
            warnings.warn("there is one class: every prediction is right", stacklevel=2)
        predicted, true = prediction.decide(x), prediction.labels(y)
        if predicted.size != true.size:
            raise ShapeError(
                "outputs and targets differ in length", given=f"{predicted.shape}, {true.shape}"
            )
        predicted, true = predicted.reshape(-1), true.reshape(-1).astype(np.int64, copy=False)
        kept = true != self.ignored
        return (predicted, true) if kept.all() else (predicted[kept], true[kept])


class Accuracy(_OfClasses):
    """The share of samples whose predicted class is the true one.

    >>> metric = Accuracy()
    >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    >>> metric.compute()
    0.5
    """

    name = "accuracy"

    def __init__(self, threshold: float | None = None) -> None:
        super().__init__(threshold)
        self.state = np.zeros(2)

    def update(self, outputs: Any, targets: Any) -> None:
        predicted, true = self._classes(outputs, targets)
        self.state += (np.count_nonzero(predicted == true), len(true))

    def compute(self) -> float:
        return ratio(*self.state)


class TopK(_OfClasses):
    """The share of samples whose true class is among the `k` largest outputs.

    >>> metric = TopK(2)
    >>> metric.update(np.array([[0.1, 0.5, 0.4], [0.7, 0.2, 0.1]]), np.array([2, 2]))
    >>> metric.compute()
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        check_counts("TopK", k=k)
        super().__init__()
        self.k, self.name = k, f"top{k}"
        self.state = np.zeros(2)

    def update(self, outputs: Any, targets: Any) -> None:
        x, y = as_array(outputs), CLASS_LOGITS.labels(as_array(targets))
        if x.ndim < 2 or y.shape != x.shape[:1] + x.shape[2:]:
            raise ShapeError("top-k takes (N, C) outputs and (N,) labels", given=(x.shape, y.shape))
        k = min(self.k, x.shape[1])
        best = np.moveaxis(np.argpartition(x, -k, axis=1), 1, -1)[..., -k:]
        kept = y != self.ignored
        hits = (best == y[..., None]).any(axis=-1) & kept
        self.state += (np.count_nonzero(hits), np.count_nonzero(kept))

    def compute(self) -> float:
        return ratio(*self.state)


class ConfusionMatrix(_OfClasses):
    """How often class i (row) was predicted as class j (column): an int64 array (C, C).

    `classes` is the initial number of classes; the matrix grows with larger labels.

    >>> metric = ConfusionMatrix(2)
    >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    >>> metric.compute()
    array([[1, 1],
           [0, 0]])
    """

    name = "confusion"

    def __init__(self, classes: int = 2, threshold: float | None = None) -> None:
        super().__init__(threshold)
        self.state = np.zeros((classes, classes))

    def update(self, outputs: Any, targets: Any) -> None:
        predicted, true = self._classes(outputs, targets)
        if not len(true):
            return
        if true.min() < 0:
            place = int(true.argmin())
            raise OutOfRangeError(f"label {true[place]} at position {place}", expected=">= 0")
        size = max(int(predicted.max()), int(true.max())) + 1
        if size > len(self.state):
            more = size - len(self.state)
            self.state = np.pad(self.state, ((0, more), (0, more)))
        size = len(self.state)
        cells = (true * size + predicted).astype(np.intp)
        self.state += np.bincount(cells, minlength=size**2).reshape(size, size)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 2 and shape[0] == shape[1] >= 2

    def compute(self) -> Array:
        return self.state.astype(np.int64)


class _FromConfusion(ConfusionMatrix):
    """Base of precision, recall and F1: the counts of each class, and the average.

    average: "macro", the mean over the classes that occur; "micro", from the counts of all samples;
    "binary", class 1 only. A quotient 0/0 counts as 0, as in scikit-learn.
    """

    def __init__(self, average: str = "macro", threshold: float | None = None) -> None:
        super().__init__(2, threshold)
        if average not in ("macro", "micro", "binary"):
            raise ArgumentError("unknown average", given=average, expected="macro, micro, binary")
        self.average = average

    def compute(self) -> float:  # type: ignore[override]
        hits = np.diag(self.state)
        predicted, true = self.state.sum(axis=0), self.state.sum(axis=1)
        if self.average == "binary":
            if len(hits) > 2:
                raise ArgumentError("average='binary' is for two classes", given=len(hits))
            return self._quotient(hits[1], predicted[1], true[1])
        if self.average == "micro":
            return self._quotient(hits.sum(), predicted.sum(), true.sum())
        occurring = np.flatnonzero(predicted + true)
        if not occurring.size:
            return math.nan
        return math.fsum(self._quotient(hits[i], predicted[i], true[i]) for i in occurring) / len(
            occurring
        )

    def _quotient(self, hits: float, predicted: float, true: float) -> float:
        raise NotImplementedError


class Precision(_FromConfusion):
    """TP / (TP + FP): the share of the predictions of a class that are right.

    >>> metric = Precision("binary")
    >>> metric.update(np.array([1.0, 2.0, -1.0]), np.array([1, 0, 1]))
    >>> metric.compute()
    0.5
    """

    name = "precision"

    def _quotient(self, hits: float, predicted: float, true: float) -> float:
        return float(hits / predicted) if predicted else 0.0


class Recall(_FromConfusion):
    """TP / (TP + FN): the share of the samples of a class that are found."""

    name = "recall"

    def _quotient(self, hits: float, predicted: float, true: float) -> float:
        return float(hits / true) if true else 0.0


class F1(_FromConfusion):
    """2·TP / (2·TP + FP + FN): the harmonic mean of precision and recall."""

    name = "f1"

    def _quotient(self, hits: float, predicted: float, true: float) -> float:
        return float(2 * hits / (predicted + true)) if predicted + true else 0.0
