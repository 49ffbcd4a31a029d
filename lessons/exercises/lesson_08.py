"""Checks of the exercises of lesson 8, Convolution and batch normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from lessons.by_hand.convolution import convolve
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=8)


@check.exercise(
    "How far does it see?",
    "A layer with a kernel of 3 sees two steps more than one output below it. How many pixels is a "
    "step?",
    "A step is as many pixels as all the strides before it multiplied.",
)
def receptive_field(answer: Any) -> None:
    for layers in ([(3, 1)], [(3, 1), (3, 1)], [(5, 1), (2, 2)] * 2, [(3, 2), (3, 1), (2, 2)]):
        x = cr.zeros(1, 1, 60, 60, requires_grad=True)
        y = x
        for kernel, stride in layers:
            y = F.conv2d(y, cr.ones(1, 1, kernel, kernel), stride=stride)
        y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
        rows = np.flatnonzero(x.grad.numpy()[0, 0].any(axis=1))
        equal(f"receptive_field({layers})", answer(layers), rows[-1] - rows[0] + 1)


@check.exercise(
    "Max pooling by hand",
    "`x.reshape(n, c, h // 2, 2, w // 2, 2)` has each square in its axes 3 and 5.",
    "Keep in `forward` where the largest number was. `backward` puts the gradient there, and zeros "
    "everywhere else.",
)
def MaxPooling(answer: Any) -> None:
    draw, layer = np.random.default_rng(0), given("The layer", answer())
    x = draw.normal(size=(2, 3, 6, 4))
    inputs = cr.tensor(x, requires_grad=True)
    y = nn.MaxPool2d(2)(inputs)
    g = draw.normal(size=y.shape)
    y.backward(cr.tensor(g))
    equal("forward(x)", layer.forward(x), y.detach().numpy())
    equal("backward(g)", layer.backward(g), inputs.grad.numpy())


@check.exercise(
    "A bias without effect",
    "Use `Convolution(channels, 4, 3, padding=1)` and `BatchNormalization(4)`: forward through "
    "both, a random g, backward through both. `conv.dbiases` is the gradient.",
    "For the second result, give g to the convolution directly.",
)
def bias_gradients(answer: Any) -> None:
    x = np.random.default_rng(0).normal(size=(8, 2, 6, 6))
    with_norm, without = given("bias_gradients(x)", answer(x))
    require(np.shape(with_norm) == np.shape(without), "the two gradients have different shapes")
    large, small = np.abs(without).max(), np.abs(with_norm).max()
    require(large > 1e-3, "without batch normalization the gradient should not be 0")
    require(small < 1e-5 * large, f"with batch normalization it is {small:.2g}, expected nearly 0")


@check.exercise(
    "Folding",
    "Write y = γ·(w ⋆ x + b − mean)/√(var + ε) + β, and collect what stands before x.",
    "With s = γ/√(var + ε), one for each filter: the weights are s·w, the biases s·(b − mean) + β.",
)
def fold(answer: Any) -> None:
    draw = np.random.default_rng(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    norm.load_state_dict({
        "weight": draw.normal(size=3).astype(np.float32),
        "bias": draw.normal(size=3).astype(np.float32),
        "running_mean": draw.normal(size=3).astype(np.float32),
        "running_var": draw.uniform(0.5, 2, size=3).astype(np.float32),
    }, strict=False)
    norm.eval()
    x = draw.normal(1, 2, size=(8, 2, 6, 6)).astype(np.float32)
    weights, biases = given(
        "fold", answer(conv.weight.detach().numpy(), conv.bias.detach().numpy(), norm)
    )
    expected = norm(conv(cr.tensor(x))).detach().numpy()
    equal("one convolution in place of both", convolve(x, weights, biases), expected, 1e-4)
