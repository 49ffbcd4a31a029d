"""Numbers at the edges, against float64 or closed forms; and derivatives in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F

INF = float("inf")


def grad(function, *values):
    """Gradients of the sum of a function's values."""
    xs = [cr.tensor(v, requires_grad=True) for v in values]
    function(*xs).sum().backward()
    return [x.grad.tolist() for x in xs]


# -- C: numerical stability ------------------------------------------------------------------------


def test_c1_softmax_of_large_logits():
    x = cr.tensor([1e4, 0.0, -1e4])
    assert F.softmax(x, 0).tolist() == [1, 0, 0]
    assert F.log_softmax(x, 0).tolist() == [0, -1e4, -2e4]
    assert F.cross_entropy(x, cr.tensor(2)).item() == 2e4


def test_c2_a_masked_row():
    x = cr.tensor([[-INF, -INF], [0.0, -INF], [1.0, 1.0]], requires_grad=True)
    assert np.isnan(F.softmax(x, 1).detach().numpy()[0]).all()
    y = F.safe_softmax(x, 1)
    assert y.tolist() == [[0, 0], [1, 0], [0.5, 0.5]]
    (y * cr.tensor([1.0, 2.0])).sum().backward()
    np.testing.assert_allclose(x.grad, [[0, 0], [0, 0], [-0.25, 0.25]], atol=1e-7)


def test_c2_attention_gives_0_to_a_query_that_sees_nothing():
    q, k, v = (cr.ones(2, 3, requires_grad=True) for _ in range(3))
    mask = cr.tensor([[False, False], [True, False]])
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert y.tolist() == [[0, 0, 0], [1, 1, 1]]
    y.sum().backward()
    for x in (q, k, v):
        assert np.isfinite(x.grad.numpy()).all()


def test_c4_binary_cross_entropy_of_large_logits():
    x = [1e4, -1e4, 1e4, -1e4]
    t = cr.tensor([0.0, 1.0, 1.0, 0.0])
    loss = F.binary_cross_entropy_with_logits(cr.tensor(x), t, reduction="none")
    assert loss.tolist() == [1e4, 1e4, 0, 0]
    g = grad(lambda x: F.binary_cross_entropy_with_logits(x, t, reduction="none"), x)[0]
    assert g == [1, -1, 0, 0]
    weighted = F.binary_cross_entropy_with_logits(
        cr.tensor(x), t, reduction="none", pos_weight=cr.tensor(3.0)
    )
    assert weighted.tolist() == [1e4, 3e4, 0, 0]


def test_c5_certain_and_wrong():
    def loss(p):
        return F.binary_cross_entropy(p, cr.tensor([1.0, 0.0]), reduction="none")

    assert loss(cr.tensor([0.0, 1.0])).tolist() == [100, 100]
    assert np.isfinite(grad(loss, [0.0, 1.0])).all()


def test_c7_safe_log():
    assert F.safe_log(cr.tensor([0.0, -1.0, math.e])).tolist() == pytest.approx([0, 0, 1])
    assert F.safe_log(cr.tensor([0.0]), fill=-5.0).tolist() == [-5]
    assert grad(F.safe_log, [0.0, -1.0, 2.0]) == [[0, 0, 0.5]]


@pytest.mark.parametrize("constant", [0.0, 1e4, 1e8, 12345.678, -3.3e-7])
def test_c15_normalization_of_constants(constant):
    x = cr.full((4, 3, 7), constant)
    assert not F.layer_norm(x, 7).any()
    assert not F.batch_norm(x, None, None, training=True).any()
    layer = nn.BatchNorm1d(3, momentum=1.0)
    assert not layer(x).any()
    np.testing.assert_array_equal(layer.running_mean, np.float32([constant] * 3))
    assert not layer.running_var.any()
    assert not layer.eval()(x).any()


@pytest.mark.parametrize("size", [1.0, 300.0, 6e4])
def test_float16_is_normalized_in_float32(size):
    """x − x₀ and the variance are beyond float16; value and gradient are those of float32."""
    numbers = size * np.array([[1.0, -1.0, 0.5], [0.25, -0.5, 1.0]])
    results = []
    for dtype in ("float16", "float32"):
        x = cr.tensor(numbers.astype(np.float16), dtype=dtype, requires_grad=True)
        y = F.layer_norm(x, 3) + F.batch_norm(x, None, None, training=True)
        (y * y * y).sum().backward()
        results.append((y.detach().numpy(), x.grad.numpy() * size))
    for half, single in zip(*results, strict=True):
        np.testing.assert_allclose(half, single, atol=0.02)  # numbers of size 10 in 11 bits


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_c11_normalization_far_from_0(offset):
    x = (offset + np.random.default_rng(0).integers(0, 2, (6, 500))).astype(np.float32)
    wide = x.astype(np.float64)
    truth = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    # The inputs are exact in float32, so only some rounding of the mean of 0s and 1s remains.
    np.testing.assert_allclose(F.layer_norm(cr.tensor(x), 500), truth, rtol=1e-6, atol=1e-6)


def test_c16_nan_is_never_hidden():
    x = cr.tensor([[math.nan, 1.0], [0.0, 1.0]])
    functions = [
        F.relu,
        F.leaky_relu,
        F.elu,
        F.gelu,
        F.silu,
        F.softplus,
        F.sigmoid,
        F.tanh,
        F.logsigmoid,
        lambda x: F.softmax(x, 1),
        lambda x: F.layer_norm(x, 2),
    ]
    for function in functions:
        assert math.isnan(function(x).tolist()[0][0])
    image = x.reshape(1, 1, 2, 2)
    assert math.isnan(F.max_pool2d(image, 2).item())
    assert math.isnan(F.avg_pool2d(image, 2).item())
    assert math.isnan(F.cross_entropy(x, cr.tensor([0, 1])).item())


TRUTHS = [
    (F.sigmoid, special.expit, 4),
    (F.tanh, np.tanh, 4),
    (F.softplus, special.softplus, 4),
    (F.logsigmoid, special.log_expit, 4),
    (F.gelu, lambda x: x * special.ndtr(x), 8),
    (F.silu, lambda x: x * special.expit(x), 4),
    (F.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 4),
]


@pytest.mark.parametrize(("function", "truth", "ulp"), TRUTHS)
def test_c17_accuracy_in_units_of_the_last_place(function, truth, ulp):
    size = np.concatenate([np.geomspace(1e-30, 80, 2000), [88.0, 709.0]])
    x = np.concatenate([-size, [0.0], size]).astype(np.float32)
    exact = truth(x.astype(np.float64))
    spacing = np.spacing(np.maximum(np.abs(exact), np.finfo(np.float32).tiny).astype(np.float32))
    error = np.abs(function(cr.tensor(x)).numpy().astype(np.float64) - exact) / spacing
    assert error.max() <= ulp, f"{error.max():.1f} ulp at {x[error.argmax()]}"


# -- derivatives -----------------------------------------------------------------------------------

rng = np.random.default_rng(0)
X = cr.tensor(rng.normal(size=(4, 3)))
LABELS = cr.tensor([0, 2, -100, 1])
UNIT = cr.tensor(rng.uniform(0.1, 0.9, (4, 3)))
SCALE = cr.tensor(rng.uniform(0.5, 2, 3))
IMAGE = cr.tensor(rng.permutation(np.linspace(-2, 2, 2 * 2 * 5 * 6)).reshape(2, 2, 5, 6))
KERNEL, BIAS = cr.tensor(rng.normal(size=(3, 2, 3, 2))), cr.tensor(rng.normal(size=3))
DERIVED = [
    (lambda x, w: F.cross_entropy(x, LABELS, weight=w), (X, SCALE)),
    (lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.2), (X,)),
    (lambda x, t: F.cross_entropy(x, t), (X, UNIT)),
    (lambda x: F.nll_loss(x, LABELS), (X,)),
    (lambda p, t: F.binary_cross_entropy(p, t), (UNIT, UNIT * 0.9)),
    (lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w), (X, UNIT, SCALE)),
    (lambda x, t: F.huber_loss(x, t, delta=0.7), (X, UNIT)),
    (lambda x, t: F.smooth_l1_loss(x, t, beta=0.7), (X, UNIT)),
    (lambda x, w, b: F.layer_norm(x, 3, w, b), (X, SCALE, SCALE * 2)),
    (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (X, SCALE, SCALE * 2)),
    (lambda x, m, v: F.batch_norm(x, m, v), (X, SCALE, SCALE * 2)),
    (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), (IMAGE, KERNEL, BIAS)),
    (lambda x, w: F.conv2d(x, w, padding="same"), (IMAGE, KERNEL)),
    (lambda x: F.max_pool2d(x, 2), (IMAGE,)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (IMAGE,)),
    (lambda x: F.gelu(x, approximate="tanh"), (X,)),
    (lambda x: F.softplus(x, beta=2.0), (X,)),
    (lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True), (X, UNIT)),
    (lambda x, w, b: F.linear(x, w, b), (X, UNIT, BIAS.detach()[:1] + cr.zeros(4, dtype="f8"))),
]


@pytest.mark.parametrize(("function", "inputs"), DERIVED)
def test_first_and_second_derivatives(function, inputs):
    assert cr.gradcheck(function, inputs)
    assert cr.gradgradcheck(function, inputs)
