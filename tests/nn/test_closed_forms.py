"""Layers and losses against plain NumPy and closed forms, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F


@pytest.fixture
def x(rng):
    return rng.normal(size=(6, 4))


def same(ours, truth):
    """float64 on both sides: ten digits."""
    np.testing.assert_allclose(ours.detach().numpy(), truth, rtol=1e-10, atol=1e-12)


def numpy_log_softmax(x):
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def test_cross_entropy(x):
    labels = np.array([0, 3, 1, 2, -1, 0])
    log_p, kept = numpy_log_softmax(x), labels >= 0
    losses = np.where(kept, -log_p[np.arange(6), labels], 0)
    a, t = cr.tensor(x), cr.tensor(labels)
    same(F.cross_entropy(a, t, ignore_index=-1, reduction="none"), losses)
    same(F.cross_entropy(a, t, ignore_index=-1, reduction="sum"), losses.sum())
    same(F.cross_entropy(a, t, ignore_index=-1), losses.sum() / 5)
    w = np.array([1.0, 2.0, 3.0, 4.0])
    share = np.where(kept, w[labels], 0)
    same(F.cross_entropy(a, t, cr.tensor(w), ignore_index=-1), (share * losses).sum() / share.sum())
    smooth = np.where(kept, 0.7 * losses - 0.3 * log_p.mean(1), 0)
    same(F.cross_entropy(a, t, ignore_index=-1, label_smoothing=0.3), smooth.sum() / 5)


def test_cross_entropy_gradient_is_softmax_minus_onehot(x):
    a = cr.tensor(x, requires_grad=True)
    labels = np.array([0, 3, 1, 2, 2, 0])
    F.cross_entropy(a, cr.tensor(labels)).backward()
    same(a.grad, (np.exp(numpy_log_softmax(x)) - np.eye(4)[labels]) / 6)


def test_hard_soft_and_spatial_labels_agree(x):
    labels = cr.tensor([0, 3, 1, 2, 2, 0])
    hard = F.cross_entropy(cr.tensor(x), labels).item()
    soft = F.one_hot(labels, 4).double()
    assert F.cross_entropy(cr.tensor(x), soft).item() == pytest.approx(hard, rel=1e-12)
    image = cr.tensor(x.T.reshape(1, 4, 2, 3))
    assert F.cross_entropy(image, labels.reshape(1, 2, 3)).item() == pytest.approx(hard, rel=1e-12)
    log_p = F.log_softmax(cr.tensor(x), 1)
    assert F.nll_loss(log_p, labels).item() == pytest.approx(hard, rel=1e-12)


def test_the_fused_path_equals_the_general_one(x):
    labels = cr.tensor([0, 3, 1, -100, 2, 0])
    for reduction in ("mean", "sum", "none"):
        plain = F.cross_entropy(cr.tensor(x), labels, reduction=reduction)
        general = F.cross_entropy(
            cr.tensor(x), labels, cr.ones(4, dtype=cr.float64), reduction=reduction
        )
        same(plain, general.numpy())


def test_binary_cross_entropies(rng):
    z, t = rng.normal(size=5), rng.random(5)
    p = 1 / (1 + np.exp(-z))
    truth = -t * np.log(p) - (1 - t) * np.log(1 - p)
    options = {"reduction": "none"}
    same(F.binary_cross_entropy(cr.tensor(p), cr.tensor(t), **options), truth)
    logits = F.binary_cross_entropy_with_logits
    same(logits(cr.tensor(z), cr.tensor(t), **options), truth)
    positive = -3 * t * np.log(p) - (1 - t) * np.log(1 - p)
    weight = cr.tensor(3.0, dtype=cr.float64)
    same(logits(cr.tensor(z), cr.tensor(t), pos_weight=weight, **options), positive)


def test_distances(rng):
    a, b = rng.normal(size=7) * 2, rng.normal(size=7)
    d = np.abs(a - b)
    x, t = cr.tensor(a), cr.tensor(b)
    same(F.mse_loss(x, t), (d**2).mean())
    same(F.l1_loss(x, t, reduction="sum"), d.sum())
    huber = np.where(d <= 0.5, d**2 / 2, 0.5 * (d - 0.25))
    same(F.huber_loss(x, t, "none", 0.5), huber)
    same(F.smooth_l1_loss(x, t, beta=0.5, reduction="none"), huber / 0.5)


def test_conv2d_by_loops(rng):
    x, w, b = rng.normal(size=(2, 4, 6, 7)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    out = np.zeros((2, 6, 3, 9))
    for n, o, i, j in np.ndindex(out.shape):
        channels = slice(0, 2) if o < 3 else slice(2, 4)
        seen = padded[n, channels, 2 * i : 2 * i + 3, j : j + 3 : 2]
        out[n, o, i, j] = b[o] + (seen * w[o]).sum()
    ours = F.conv2d(
        *map(cr.tensor, (x, w, b)), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2
    )
    same(ours, out)


def test_pooling_by_loops(rng):
    x = rng.normal(size=(2, 3, 5, 6))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (2, 3))[:, :, ::2, ::3]
    same(F.max_pool2d(cr.tensor(x), (2, 3)), windows.max((4, 5)))
    same(F.avg_pool2d(cr.tensor(x), (2, 3)), windows.mean((4, 5)))


def test_normalizations(rng):
    x, w, b = rng.normal(size=(5, 3, 4)), rng.normal(size=3), rng.normal(size=3)
    m, v = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
    truth = (x - m) / np.sqrt(v + 1e-5) * w[:, None] + b[:, None]
    same(F.batch_norm(cr.tensor(x), None, None, cr.tensor(w), cr.tensor(b), training=True), truth)
    m, v = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    same(F.layer_norm(cr.tensor(x), (3, 4)), (x - m) / np.sqrt(v + 1e-5))


def test_running_statistics(rng):
    layer = nn.BatchNorm1d(3, momentum=0.25).double()
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.normal(size=(6, 3)) * 2 + 1
        layer(cr.tensor(x))
        mean = 0.75 * mean + 0.25 * x.mean(0)
        var = 0.75 * var + 0.25 * x.var(0, ddof=1)
    same(layer.running_mean, mean)
    same(layer.running_var, var)
    assert layer.num_batches_tracked.item() == 3
    assert not layer.running_mean.requires_grad
    x = rng.normal(size=(1, 3))
    same(layer.eval()(cr.tensor(x)), (x - mean) / np.sqrt(var + 1e-5))
    assert layer.num_batches_tracked.item() == 3


def test_dropout():
    x = cr.ones(100, 100, requires_grad=True)
    y = F.dropout(x, 0.3)
    values = set(y.detach().numpy().ravel().tolist())
    assert values == {0.0, float(np.float32(1 / 0.7))}
    # 10,000 draws: four standard deviations of their mean are 0.018.
    assert abs((y == 0).float().mean().item() - 0.3) < 0.018
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.detach())
    assert F.dropout(x, 0.3, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).any()
    cr.manual_seed(3)
    first = F.dropout(x, 0.3).tolist()
    assert F.dropout(x, 0.3).tolist() != first
    cr.manual_seed(3)
    assert F.dropout(x, 0.3).tolist() == first


def test_embedding_gradient_adds_up_and_spares_padding():
    weight = cr.tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    y = F.embedding(cr.tensor([[1, 3], [1, 0]]), weight, padding_idx=-1)
    assert y.tolist() == [[[2, 3], [6, 7]], [[2, 3], [0, 1]]]
    y.sum().backward()
    assert weight.grad.tolist() == [[1, 1], [2, 2], [0, 0], [0, 0]]


def test_activations_at_simple_points():
    x = cr.tensor([-2.0, 0.0, 3.0])
    assert F.relu(x).tolist() == [0, 0, 3]
    assert F.leaky_relu(x, 0.5).tolist() == [-1, 0, 3]
    assert F.elu(x, 2.0).tolist() == pytest.approx([2 * np.expm1(-2), 0, 3])
    assert F.softplus(cr.tensor([5.0]), threshold=4.0).tolist() == [5.0]
    assert F.one_hot(cr.tensor([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert F.pad(x, (1, 0), value=9.0).tolist() == [9, -2, 0, 3]


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (2, 5)])
def test_same_padding_keeps_the_size(kernel):
    layer = nn.Conv2d(1, 1, kernel, padding="same", dilation=2)
    assert layer(cr.zeros(1, 1, 9, 11)).shape == (1, 1, 9, 11)
