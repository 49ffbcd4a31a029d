"""The answers of lesson 1 against independent truths."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
from lessons.answers import lesson_01 as answers

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kind", "truth"),
    [("and", operator.and_), ("or", operator.or_), ("nand", lambda p, q: 1 - (p & q))],
)
def test_gates_have_their_truth_tables(kind, truth):
    w, b = answers.gate(kind)
    for p in (0, 1):
        for q in (0, 1):
            assert int(w @ np.array([p, q]) + b >= 0) == truth(p, q)


def test_loss_from_scores_is_the_loss_and_stays_finite():
    z, y = RNG.uniform(-20, 20, 100), RNG.integers(0, 2, 100)
    for got, score, label in zip(answers.loss_from_scores(z, y), z, y, strict=True):
        p = 1 / (1 + math.exp(-score if label else score))  # the probability of the right class
        assert got == pytest.approx(-math.log(p), rel=1e-6)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ends = answers.loss_from_scores(np.array([1000.0, -1000.0, 1000, -1000]), [1, 0, 0, 1])
    np.testing.assert_array_equal(ends, [0, 0, 1000, 1000])
    with pytest.raises(ValueError, match="one shape"):
        answers.loss_from_scores(np.zeros((3, 1)), np.zeros(3))


def test_weights_for_raw_features_give_the_same_scores():
    x = RNG.uniform(5, 900, (40, 6))
    mean, deviation, w = x.mean(0), x.std(0), RNG.standard_normal(6)
    raw, b = answers.for_raw_features(w, 0.3, mean, deviation)
    np.testing.assert_allclose(x @ raw + b, (x - mean) / deviation @ w + 0.3, atol=1e-12)


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99, 1.0])
def test_threshold_finds_enough_and_is_the_lowest(recall):
    p, y = RNG.uniform(0, 1, 301), RNG.integers(0, 2, 301)
    t = answers.threshold_for_recall(p, y, recall)
    assert (p[y == 0] <= t).mean() >= recall
    assert (p[y == 0] < t).mean() < recall


def test_squared_error_gradient_is_the_difference_quotient():
    z, y, h = RNG.uniform(-6, 6, 50), RNG.integers(0, 2, 50), 1e-6

    def loss(z):
        return ((1 + np.tanh(z / 2)) / 2 - y) ** 2

    expected = (loss(z + h) - loss(z - h)) / (2 * h)
    np.testing.assert_allclose(answers.squared_error_gradient(z, y), expected, atol=1e-9)
