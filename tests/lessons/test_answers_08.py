"""The answers of lesson 8, and its convolution and batch normalization by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lessons.answers import lesson_08 as answers
from lessons.by_hand import batch_norm, convolution

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F

CASES = [(3, 1, 0), (3, 1, 1), (3, 2, 1), (5, 2, 2), (2, 3, 0), (1, 1, 0)]


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-9, atol=1e-9)


def convolution_by_chainrule(x, w, b, g, **options):
    tensors = [cr.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = F.conv2d(*tensors, **options)
    y.backward(cr.tensor(g))
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def convolution_by_pytorch(x, w, b, g, **options):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = torch.nn.functional.conv2d(*tensors, **options)
    y.backward(torch.tensor(g))
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


@pytest.mark.parametrize(
    "by",
    [
        convolution_by_chainrule,
        pytest.param(convolution_by_pytorch, marks=pytest.mark.parity),
    ],
)
@pytest.mark.parametrize(("kernel", "stride", "padding"), CASES)
def test_convolution_by_hand(by, kernel, stride, padding):
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(2, 3, 9, 8)), draw.normal(size=(4, 3, kernel, kernel))
    b = draw.normal(size=4)
    y = convolution.convolve(x, w, b, stride, padding)
    g = draw.normal(size=y.shape)
    theirs = by(x, w, b, g, stride=stride, padding=padding)
    layer = convolution.Convolution(3, 4, kernel, stride, padding)
    layer.weights, layer.biases = w, b
    product = [layer.forward(x), layer.backward(g), layer.dweights, layer.dbiases]
    loops = [y, *convolution.convolve_backward(g, x, w, stride, padding)]
    for one, other, third in zip(loops, product, theirs, strict=True):
        close(one, third)
        close(other, third)


def batch_norm_by_chainrule(x, w, b, g, training):
    layer = (nn.BatchNorm2d if x.ndim == 4 else nn.BatchNorm1d)(3, dtype=np.float64)
    with cr.no_grad():
        layer.weight.assign(cr.tensor(w))
        layer.bias.assign(cr.tensor(b))
    layer.train(training)
    inputs = cr.tensor(x, requires_grad=True)
    y = layer(inputs)
    y.backward(cr.tensor(g))
    return [
        y.detach(),
        inputs.grad,
        layer.weight.grad,
        layer.bias.grad,
        layer.running_mean,
        layer.running_var,
    ]


def batch_norm_by_pytorch(x, w, b, g, training):
    torch = pytest.importorskip("torch")
    layer = (torch.nn.BatchNorm2d if x.ndim == 4 else torch.nn.BatchNorm1d)(3).double()
    layer.load_state_dict({"weight": torch.tensor(w), "bias": torch.tensor(b)}, strict=False)
    layer.train(training)
    inputs = torch.tensor(x, requires_grad=True)
    y = layer(inputs)
    y.backward(torch.tensor(g))
    return [
        y.detach(),
        inputs.grad,
        layer.weight.grad,
        layer.bias.grad,
        layer.running_mean,
        layer.running_var,
    ]


@pytest.mark.parametrize(
    "by",
    [
        batch_norm_by_chainrule,
        pytest.param(batch_norm_by_pytorch, marks=pytest.mark.parity),
    ],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 2)])
def test_batch_norm_by_hand(by, shape, training):
    draw = np.random.default_rng(0)
    x, g = draw.normal(2, 3, size=shape), draw.normal(size=shape)
    w, b = draw.normal(size=3), draw.normal(size=3)
    layer = batch_norm.BatchNormalization(3)
    layer.weights, layer.biases, layer.training = w, b, training
    ours = [
        layer.forward(x),
        layer.backward(g),
        layer.dweights,
        layer.dbiases,
        layer.running_mean,
        layer.running_var,
    ]
    for mine, theirs in zip(ours, by(x, w, b, g, training), strict=True):
        close(mine, theirs)


def test_by_hand_keeps_float32():
    x = np.ones((2, 1, 6, 6), np.float32)
    conv, norm = convolution.Convolution(1, 2, 3), batch_norm.BatchNormalization(2)
    y = norm.forward(conv.forward(x))
    assert y.dtype == conv.backward(norm.backward(y)).dtype == np.float32


@pytest.mark.parametrize("layers", [[(3, 1)], [(5, 1), (2, 2)] * 2, [(3, 2), (3, 1), (2, 2)]])
def test_receptive_field_is_where_gradients_arrive(layers):
    x = cr.zeros(1, 1, 60, 60, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = F.conv2d(y, cr.ones(1, 1, kernel, kernel), stride=stride)
    middle = y.shape[2] // 2
    y[0, 0, middle, middle].backward()
    rows = np.flatnonzero(x.grad.numpy()[0, 0].any(1))
    assert rows[-1] - rows[0] + 1 == answers.receptive_field(layers)


@pytest.mark.parametrize("shape", [(2, 3, 6, 4), (1, 2, 7, 5)])
def test_max_pooling(shape):
    draw = np.random.default_rng(0)
    x = draw.normal(size=shape)
    pool, inputs = answers.MaxPooling(), cr.tensor(x, requires_grad=True)
    y = nn.MaxPool2d(2)(inputs)
    g = draw.normal(size=y.shape)
    y.backward(cr.tensor(g))
    close(pool.forward(x), y.detach())
    close(pool.backward(g), inputs.grad)


def test_a_bias_before_batch_norm_has_no_gradient():
    x = np.random.default_rng(0).normal(size=(8, 2, 6, 6))
    with_norm, without = answers.bias_gradients(x)
    assert np.abs(with_norm).max() < 1e-5 * np.abs(without).max()


def test_folded_convolution():
    draw = np.random.default_rng(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    with cr.no_grad():
        norm.weight.assign(cr.tensor(draw.normal(size=3).astype(np.float32)))
        norm.bias.assign(cr.tensor(draw.normal(size=3).astype(np.float32)))
    x = cr.tensor(draw.normal(1, 2, size=(8, 2, 6, 6)).astype(np.float32))
    for _ in range(3):
        norm(conv(x))
    norm.eval()
    arrays = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    weights, biases = answers.fold(*arrays, norm)
    folded = convolution.convolve(x.numpy(), weights, biases)
    np.testing.assert_allclose(folded, norm(conv(x)).detach(), rtol=1e-4, atol=1e-4)
