"""Curves that measure scores: ROC, precision over recall, calibration. All use NumPy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.primitive import Array

_BINS = 10


class Curve(NamedTuple):
    """Points (x, y) of a curve, and the area under it."""

    x: Array
    y: Array
    area: float


def roc(scores: Array, positive: Array) -> Curve:
    """True over false positive rate for all thresholds. The area is the probability that a positive
    sample has a higher score than a negative one.

    scores: (N,), higher for positive. positive: bool (N,), with samples of both kinds.

    >>> roc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).area
    0.75

    Source: T. Fawcett (2006), doi:10.1016/j.patrec.2005.10.010.
    """
    hits, alarms = _counts(scores, positive)
    x, y = alarms / alarms[-1], hits / hits[-1]
    return Curve(x, y, float(np.trapezoid(y, x)))


def precision_over_recall(scores: Array, positive: Array) -> Curve:
    """Precision over recall for all thresholds. The area is the average precision,
    Σ (recallₙ − recallₙ₋₁) · precisionₙ.

    >>> round(precision_over_recall(
    ...     np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).area, 3)
    0.833
    """
    hits, alarms = _counts(scores, positive)
    recall = hits / hits[-1]
    precision = np.ones(len(hits))
    precision[1:] = hits[1:] / (hits + alarms)[1:]
    return Curve(recall, precision, float(np.sum(np.diff(recall) * precision[1:])))


def _counts(scores: Array, positive: Array) -> tuple[Array, Array]:
    """The numbers of true and false positives above each threshold. Equal scores share one."""
    order = np.argsort(-scores, kind="stable")
    ranked, yes = scores[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits, alarms = np.cumsum(yes)[last], np.cumsum(~yes)[last]
    return np.append(0, hits).astype(float), np.append(0, alarms).astype(float)


class Calibration(NamedTuple):
    """The mean confidence, the share of right predictions and the number of samples in each bin,
    and
    the expected calibration error: the mean distance of confidence and share."""

    confidence: Array
    right: Array
    samples: Array
    error: float


def calibration(shares: Array, labels: Array) -> Calibration:
    """Compares the confidence of predictions with their accuracy, in ten bins of equal width.

    shares: (N, C), the probabilities. labels: (N,).

    Source: C. Guo et al. (2017), arXiv:1706.04599.
    """
    sure = shares.max(axis=1)
    hit = shares.argmax(axis=1) == labels
    places = np.minimum((sure * _BINS).astype(np.intp), _BINS - 1)
    count = np.bincount(places, minlength=_BINS)
    kept = count > 0
    confidence = np.bincount(places, sure, _BINS)[kept] / count[kept]
    right = np.bincount(places, hit, _BINS)[kept] / count[kept]
    error = float(np.sum(count[kept] * np.abs(confidence - right)) / len(labels))
    return Calibration(confidence, right, count[kept], error)
