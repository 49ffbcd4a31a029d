"""Checks of the exercises of lesson 2, A network by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lessons.by_hand import Activation_ReLU, Activation_Softmax, DenseLayer, Model, Optimizer_SGD
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=2)


@check.exercise(
    "Tanh",
    "`backward` multiplies what comes back with the slope. Keep in `forward` what the slope needs.",
    "The slope of tanh is 1 − tanh² z, and tanh z is the output: keep `self.output`.",
)
def Activation_Tanh(answer: Any) -> None:
    z, h = np.linspace(-3, 3, 12).reshape(4, 3), 1e-6
    layer = given("The layer", answer())
    powers = np.exp(2 * z)
    equal("forward(z)", layer.forward(z), (powers - 1) / (powers + 1))
    g = np.linspace(1, 2, 12).reshape(4, 3)
    slope = (np.tanh(z + h) - np.tanh(z - h)) / (2 * h)
    equal("backward(g)", layer.backward(g), g * slope, 1e-8)
    require(hasattr(layer, "dinputs"), "backward must keep `dinputs`: the layer before reads it")


@check.exercise(
    "Mean squared error",
    "`losses(output, y)` gives one number for each example, the mean over its k outputs. "
    "`backward` gives the gradient of the mean over all examples.",
    "The mean over n examples of means over k outputs divides each square by n·k; the derivative "
    "of the square is 2·(output − y).",
)
def Loss_MeanSquaredError(answer: Any) -> None:
    rng, loss, h = np.random.default_rng(0), given("The loss", answer()), 1e-6
    output, y = rng.standard_normal((2, 5, 2))
    equal("losses(output, y)", loss.losses(output, y), ((output - y) ** 2).sum(axis=1) / 2)
    equal("calculate(output, y)", loss.calculate(output, y), ((output - y) ** 2).sum() / 10)
    slope = np.empty((5, 2))
    for place in np.ndindex(5, 2):
        step = np.zeros((5, 2))
        step[place] = h
        slope[place] = (loss.calculate(output + step, y) - loss.calculate(output - step, y)) / 2 / h
    equal("backward(output, y)", loss.backward(output, y), slope, 1e-8)
    model, x = Model([DenseLayer(1, 1, seed=0)]), rng.standard_normal((100, 1))
    model.train(x, 3 * x - 2, epochs=50, loss=loss, optimizer=Optimizer_SGD(0.1))
    fitted = (model.layers[0].weights.item(), model.layers[0].biases.item())
    equal("the neuron that learns 3·x − 2", fitted, (3, -2), 1e-3)


@check.exercise(
    "Counting",
    "A neuron has one weight for each input, and one bias.",
    "A layer from a to b neurons has (a + 1)·b numbers; `itertools.pairwise(sizes)` gives a and b.",
)
def n_parameters(answer: Any) -> None:
    for sizes in ((784, 10), (784, 128, 64, 10), (3, 1)):
        model = Model()
        for n_inputs, n_neurons in pairwise(sizes):
            model.add(DenseLayer(n_inputs, n_neurons))
            model.add(Activation_ReLU())
        model.add(Activation_Softmax())
        layers = [layer for layer in model.layers if hasattr(layer, "weights")]
        expected = sum(layer.weights.size + layer.biases.size for layer in layers)
        equal(f"n_parameters{sizes}", answer(*sizes), expected)


@check.exercise(
    "Which for which?",
    "Begin with zeros of shape (10, 10), and add 1 at (truth, answer) for each image.",
    "`matrix[y, predicted] += 1` counts a pair once, however often it comes. `np.add.at` counts it "
    "each time; a loop does, too.",
)
def confusion_matrix(answer: Any) -> None:
    y, predicted = np.random.default_rng(0).integers(0, 10, (2, 500))
    expected = [[((y == i) & (predicted == j)).sum() for j in range(10)] for i in range(10)]
    equal("confusion_matrix(y, predicted)", answer(y, predicted), expected)


@check.exercise(
    "Why random?",
    "`np.unique(np.round(network.W1, 9), axis=0)` has each row once.",
    "Two hidden neurons with the same weights compute the same, so they get the same gradient.",
)
def different_neurons(answer: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (200, 20)), rng.integers(0, 10, 200)
    equal("different_neurons(x, y), from a random start,", answer(x, y), 8)
    equal("different_neurons(x, y, start=0.1)", answer(x, y, 0.1), 1)
