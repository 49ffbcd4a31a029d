"""Metrics: against scikit-learn, over batches, and where there is nothing to measure."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, CheckpointError, OutOfRangeError, ShapeError
from chainrule.train import (
    F1,
    R2,
    Accuracy,
    ConfusionMatrix,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopK,
)
from chainrule.train.meter import Meter

RNG = np.random.default_rng(0)


def feed(metric: Metric, x: Any, y: Any, batches: int = 7) -> Any:
    metric.reset()
    for places in np.array_split(np.arange(len(x)), batches):
        metric.update(cr.tensor(x[places]), cr.tensor(y[places]))
    return metric.compute()


@pytest.fixture(scope="module")
def sk() -> Any:
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


def classes(n: int, c: int) -> tuple[Any, Any]:
    y = RNG.integers(0, c, n)
    x = RNG.normal(size=(n, c)).astype(np.float32)
    x[np.arange(n), y] += 1.0
    return x, y


def test_accuracy_and_confusion_are_those_of_sklearn(sk: Any) -> None:
    x, y = classes(301, 5)
    assert feed(Accuracy(), x, y) == pytest.approx(sk.accuracy_score(y, x.argmax(1)), abs=1e-15)
    assert (feed(ConfusionMatrix(), x, y) == sk.confusion_matrix(y, x.argmax(1))).all()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_is_that_of_sklearn(sk: Any, k: int) -> None:
    x, y = classes(200, 5)
    wanted = sk.top_k_accuracy_score(y, x, k=k)
    assert feed(TopK(k), x, y) == pytest.approx(wanted, abs=1e-15)
    assert feed(TopK(50), x, y) == 1.0


@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_precision_recall_f1_are_those_of_sklearn(sk: Any, kind: Any, average: str) -> None:
    x, y = classes(150, 4)
    x[:, 2] = -9.0  # never predicted: 0/0 counts as 0
    name = {Precision: "precision", Recall: "recall", F1: "f1"}[kind]
    wanted = getattr(sk, f"{name}_score")(y, x.argmax(1), average=average, zero_division=0)
    assert feed(kind(average), x, y) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_binary_metrics_of_one_output_are_those_of_sklearn(sk: Any, kind: Any) -> None:
    y = RNG.integers(0, 2, 99)
    x = (RNG.normal(size=99) + y).astype(np.float32)
    name = {Precision: "precision", Recall: "recall", F1: "f1"}[kind]
    wanted = getattr(sk, f"{name}_score")(y, x > 0)
    assert feed(kind("binary"), x[:, None], y[:, None].astype(np.float32)) == pytest.approx(wanted)
    assert feed(kind("binary", threshold=0.0), x, y) == pytest.approx(wanted)


def test_regression_metrics_are_those_of_sklearn(sk: Any) -> None:
    y = (RNG.normal(size=(120, 3)) * 5 + 1000).astype(np.float64)
    x = y + RNG.normal(size=y.shape)
    assert feed(MeanSquaredError(), x, y) == pytest.approx(sk.mean_squared_error(y, x), rel=1e-12)
    assert feed(MeanAbsoluteError(), x, y) == pytest.approx(sk.mean_absolute_error(y, x), rel=1e-12)
    # 1e-9: the variance around 1000 is accumulated in float64, 13 digits above its rounding.
    assert feed(R2(), x, y) == pytest.approx(sk.r2_score(y, x), rel=1e-9)


def test_r2_of_a_constant_target() -> None:
    y = np.ones((4, 1))
    assert feed(R2(), y, y, 1) == 1.0
    assert feed(R2(), y + 1, y, 1) == 0.0


@pytest.mark.parametrize(
    "metric", [Accuracy(), TopK(2), Precision(), MeanSquaredError(), MeanAbsoluteError(), R2()]
)
def test_nothing_seen_is_nan_and_reset_forgets(metric: Metric) -> None:
    assert math.isnan(metric.compute())
    x, y = classes(10, 3)
    if isinstance(metric, (MeanSquaredError, R2)):
        y = x * 2
    metric.update(x, y)
    assert not math.isnan(metric.compute())
    metric.reset()
    assert math.isnan(metric.compute())


def test_ignored_labels_do_not_count() -> None:
    x, y = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]), np.array([0, -100, 1])
    assert feed(Accuracy(), x, y, 1) == 0.5
    assert feed(ConfusionMatrix(), x, y, 1).tolist() == [[1, 0], [1, 0]]


def test_soft_targets_and_images_of_labels() -> None:
    x = np.array([[0.1, 0.9], [0.8, 0.2]])
    assert feed(Accuracy(), x, np.array([[0.3, 0.7], [0.4, 0.6]]), 1) == 0.5
    x, y = RNG.normal(size=(2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5))
    assert feed(Accuracy(), x, y, 1) == (x.argmax(1) == y).mean()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="squeeze"):
        MeanSquaredError().update(np.ones((3, 1)), np.ones(3))
    with pytest.raises(ShapeError):
        Accuracy().update(np.ones((3, 2)), np.ones(4, np.int64))
    with pytest.raises(OutOfRangeError, match="-1"):
        ConfusionMatrix().update(np.ones((2, 2)), np.array([0, -1]))
    with pytest.raises(ArgumentError, match="macro"):
        F1("weighted")
    with pytest.raises(ArgumentError, match="k"):
        TopK(0)
    with pytest.raises(ArgumentError, match="two classes"):
        metric = F1("binary")
        metric.update(*classes(9, 3))
        metric.compute()


def test_a_saved_metric_goes_on() -> None:
    x, y = classes(40, 3)
    one, two = R2(), R2()
    one.update(x[:20], x[:20] * 2)
    two.load_state_dict(one.state_dict())
    for metric in (one, two):
        metric.update(x[20:], x[20:] * 3)
    assert one.compute() == two.compute()
    assert feed(ConfusionMatrix(), x, y).sum() == 40


def test_the_meter_gives_what_the_metrics_give() -> None:
    x, y = classes(1000, 4)
    meter, whole = Meter([Accuracy(), F1()]), Accuracy()
    for places in np.array_split(np.arange(1000), 150):
        meter.add(float(len(places)), x[places], y[places])
        whole.update(x[places], y[places])
    results = meter.results()
    assert results["accuracy"] == whole.compute()
    # 100 batches of 7 and 50 of 6, each with its own size as its loss.
    assert results["loss"] == pytest.approx((100 * 7**2 + 50 * 6**2) / 1000, rel=1e-12)
    assert math.isnan(meter.fresh().results()["loss"])


def test_large_outputs_do_not_pile_up() -> None:
    """Small batches wait to be measured together, however many; large ones are not kept."""
    for shape, kept in (((4, 5), 20), ((64, 5000), 0)):
        meter, alive = Meter([Accuracy()]), []
        for _ in range(20):
            outputs = np.zeros(shape, np.float32)
            alive.append(weakref.ref(outputs))
            meter.add(0.0, outputs, np.zeros(shape[0], np.int64))
            del outputs
        assert sum(x() is not None for x in alive) == kept
        assert meter.results()["accuracy"] == 1.0


def test_a_meter_refuses_other_metrics_and_double_names() -> None:
    with pytest.raises(ArgumentError, match="one name"):
        Meter([Accuracy(), Accuracy()])
    with pytest.raises(CheckpointError, match="accuracy"):
        Meter([F1()]).load_state_dict(Meter([Accuracy()]).state_dict())
