"""The answers of lesson 3 against independent truths."""

from __future__ import annotations

import numpy as np
import pytest
from lessons.answers import lesson_03 as answers
from lessons.by_hand import (
    Activation_Sigmoid,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    DenseLayer,
    Model,
    batches,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n", "size", "epochs"), [(10, 1, 2), (10, 4, 3), (10, 10, 7), (9, 64, 1)])
def test_updates_are_counted(n, size, epochs):
    seen = [list(batches(n, size, np.random.default_rng(epoch))) for epoch in range(epochs)]
    assert answers.updates(n, size, epochs) == sum(len(epoch) for epoch in seen)
    for epoch in seen:
        assert sorted(np.concatenate(epoch)) == list(range(n))


def test_the_mean_of_single_gradients_is_the_gradient_of_the_batch():
    x, y = RNG.standard_normal((9, 5)), RNG.integers(0, 3, 9)
    model = Model([DenseLayer(5, 4, seed=0), Activation_Sigmoid(), DenseLayer(4, 3, seed=1)])
    loss = Activation_Softmax_Loss_CategoricalCrossentropy()
    singles = answers.mean_of_single_gradients(model, loss, x, y)
    loss.calculate(model.forward(x), y)
    model.backward(loss.backward(model.output, y))
    np.testing.assert_allclose(singles, model.layers[0].dweights, atol=1e-14)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_the_largest_stable_rate_divides_convergence_from_divergence(factor):
    a = RNG.standard_normal((6, 4))
    hessian = a.T @ a + 0.1 * np.eye(4)
    rate, w = factor * answers.largest_stable_rate(hessian), np.ones(4)
    for _ in range(3000):
        w = w - rate * hessian @ w
    assert (np.linalg.norm(w) < 1e-3) == (factor < 1)


def test_descent_with_rate_one_over_t_is_the_running_mean():
    samples = RNG.standard_normal(50)
    means = np.cumsum(samples) / np.arange(1, 51)
    np.testing.assert_allclose(answers.running_means(samples, start=100.0), means, atol=1e-12)


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("size", [1, 5, 16, 20])
def test_noise_of_mini_batches_is_as_drawn(size, replace):
    values = RNG.standard_normal(20)
    means = [RNG.choice(values, size, replace).mean() for _ in range(20_000)]
    measured = np.mean((means - values.mean()) ** 2) / values.var()
    assert measured == pytest.approx(answers.relative_noise(size, 20, replace), rel=0.05, abs=1e-12)
