"""The answers of lesson 9 against independent truths."""

from __future__ import annotations

import numpy as np
import pytest
from lessons.answers import lesson_09 as answers


def net(x, w, b, v, c=0.0):
    """A 1-n-1 ReLU net, written without the answers' own helper."""
    return np.where(np.outer(x, w) + b > 0, np.outer(x, w) + b, 0) @ v + c


@pytest.mark.parametrize("seed", range(5))
def test_broken_line_is_linear_interpolation(seed):
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.uniform(0.1, 1, 12)), rng.standard_normal(12)
    at = np.concatenate([x, rng.uniform(x[0], x[-1], 200)])
    np.testing.assert_allclose(net(at, *answers.broken_line(x, y)), np.interp(at, x, y), atol=1e-12)


def test_maximum():
    x, y = np.random.default_rng(0).standard_normal((2, 1000))
    np.testing.assert_allclose(answers.maximum(x, y), np.maximum(x, y), atol=1e-15)


def pieces(k):
    """The pieces of k folded tents, by the bends of the composed function."""
    grid = np.linspace(0, 1, 2 ** (k + 3) + 1)
    y = grid
    for _ in range(k):
        y = 1 - np.abs(2 * y - 1)
    return 1 + int((np.abs(np.diff(y, 2)) > 1e-9).sum())


@pytest.mark.parametrize("neurons", [1, 2, 3, 6, 7, 8, 62, 63, 1000])
def test_layers_to_beat_is_the_least_number(neurons):
    k = answers.layers_to_beat(neurons)
    assert pieces(k) > neurons + 1 and pieces(k - 1) <= neurons + 1


@pytest.mark.parametrize("seed", range(5))
def test_far_slopes_are_those_of_the_net(seed):
    w, b, v = np.random.default_rng(seed).standard_normal((3, 20))
    y = net(np.array([-2e6, -1e6, 1e6, 2e6]), w, b, v)
    measured = (y[1] - y[0]) / 1e6, (y[3] - y[2]) / 1e6
    np.testing.assert_allclose(answers.far_slopes(w, b, v), measured, rtol=1e-6, atol=1e-6)


def test_window():
    x = np.linspace(-3, 3, 601)
    truth = np.interp(x, [-1.5, -1.0, 2.0, 2.5], [0, 1, 1, 0])
    np.testing.assert_allclose(answers.window(x, -1.0, 2.0, 0.5), truth, atol=1e-12)
