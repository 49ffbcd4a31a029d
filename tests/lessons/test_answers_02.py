"""The answers of lesson 2 against independent truths."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from lessons.answers import lesson_02 as answers
from lessons.by_hand import (
    Activation_ReLU,
    Activation_Softmax,
    DenseLayer,
    Model,
    Optimizer_SGD,
)
from sklearn.metrics import confusion_matrix

RNG = np.random.default_rng(0)


def test_tanh_is_a_layer_with_its_true_derivative():
    layer, z, g, h = answers.Activation_Tanh(), RNG.standard_normal((4, 3)), 1.7, 1e-6
    np.testing.assert_allclose(layer.forward(z), (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1))
    slope = (np.tanh(z + h) - np.tanh(z - h)) / (2 * h)
    np.testing.assert_allclose(layer.backward(np.full(z.shape, g)), g * slope, atol=1e-8)


def test_mean_squared_error_has_its_true_derivative_and_fits_a_line():
    loss, p, y = answers.Loss_MeanSquaredError(), *RNG.standard_normal((2, 5, 2))
    assert loss.calculate(p, y) == pytest.approx(sum((p - y).ravel() ** 2) / 10)
    got, h = loss.backward(p, y), 1e-6
    for place in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[place] = h
        slope = (loss.calculate(p + step, y) - loss.calculate(p - step, y)) / (2 * h)
        assert got[place] == pytest.approx(slope, abs=1e-8)
    with pytest.raises(ValueError, match="One shape"):
        loss.forward(p, y[:, 0])

    x = RNG.standard_normal((100, 1))
    model = Model([DenseLayer(1, 1, seed=0)])
    model.train(x, 3 * x - 2, epochs=50, loss=loss, optimizer=Optimizer_SGD(0.1))
    fitted = [model.layers[0].weights.item(), model.layers[0].biases.item()]
    np.testing.assert_allclose(fitted, [3, -2], atol=1e-3)


@pytest.mark.parametrize("sizes", [(784, 10), (784, 10, 10), (784, 128, 64, 10), (3, 1)])
def test_parameters_are_those_of_the_layers(sizes):
    model = Model()
    for n_inputs, n_outputs in pairwise(sizes):
        model.add(DenseLayer(n_inputs, n_outputs))
        model.add(Activation_ReLU())
    model.add(Activation_Softmax())
    layers = [layer for layer in model.layers if isinstance(layer, DenseLayer)]
    count = sum(layer.weights.size + layer.biases.size for layer in layers)
    assert answers.n_parameters(*sizes) == count


def test_confusion_matrix_is_that_of_scikit_learn():
    y, predicted = RNG.integers(0, 10, (2, 500))
    ours = answers.confusion_matrix(y, predicted)
    np.testing.assert_array_equal(ours, confusion_matrix(y, predicted, labels=range(10)))


@pytest.mark.parametrize(("start", "expected"), [(None, 8), (0.0, 1), (0.1, 1)])
def test_neurons_that_start_alike_stay_alike(start, expected):
    x, y = RNG.uniform(0, 1, (200, 20)), RNG.integers(0, 10, 200)
    assert answers.different_neurons(x, y, start) == expected
