"""What does not count is left out, not multiplied by 0: 0·∞ and 0·NaN are NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F

BAD = [-math.inf, math.inf, math.nan]
WAYS = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "weight": {"weight": [1.0, 2.0, 0.5]},
    "smoothing": {"label_smoothing": 0.1},
    "both": {"weight": [1.0, 2.0, 0.5], "label_smoothing": 0.1},
}


def losses(x, t, way, function=F.cross_entropy):
    """The loss of logits and labels, and its gradient."""
    options = {k: cr.tensor(v) if k == "weight" else v for k, v in WAYS[way].items()}
    x = cr.tensor(x, requires_grad=True)
    loss = function(x, cr.tensor(t), **options)
    (g,) = cr.grad(loss.sum(), [x])
    return loss.detach().numpy(), g.numpy()


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("way", WAYS)
def test_an_ignored_row_does_not_count_whatever_it_holds(way, bad, engine):
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    t = np.array([0, -100, 2, -100, 1, 1])
    clean = losses(x, t, way)
    x[1, 0] = x[3] = bad
    with cr.settings.use(engine=engine):
        for found, wanted in zip(losses(x, t, way), clean, strict=True):
            # Kernels and references round sums in different orders.
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
        maps = losses(x.T[None], t[None], way)
        np.testing.assert_allclose(maps[0].reshape(clean[0].shape), clean[0], rtol=1e-6)
        assert not maps[1][0].T[t == -100].any()
        if "label_smoothing" not in WAYS[way]:
            log_p = cr.tensor(x).log_softmax(1).numpy()
            loss, g = losses(log_p, t, way, F.nll_loss)
            np.testing.assert_allclose(loss, clean[0], rtol=1e-6)
            assert not g[t == -100].any()


ELEMENTS = {
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "huber_loss": F.huber_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "multilabel": F.multilabel_soft_margin_loss,
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_of_weight_0_does_not_count(name, bad):
    x, t = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 4))
    weight = cr.tensor(np.array([[1.0], [0.0], [2.0]]) * np.ones(4))
    results = []
    for value in (0.5, bad):
        x[1] = value
        leaf = cr.tensor(x, requires_grad=True)
        loss = ELEMENTS[name](leaf, cr.tensor(t), weight=weight)
        results.append([loss.item(), *cr.grad(loss, [leaf])[0].flatten().tolist()])
    assert results[0] == results[1]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_of_weight_0_does_not_count(bad, smoothing):
    x = np.random.default_rng(0).normal(size=(4, 3))
    x[1] = bad if smoothing == 0 else x[1]
    leaf = cr.tensor(x, requires_grad=True)
    weight = cr.tensor([1.0, 0.0, 2.0], dtype="float64")
    loss = F.cross_entropy(
        leaf, cr.tensor([0, 1, 2, 2]), weight, reduction="none", label_smoothing=smoothing
    )
    (g,) = cr.grad(loss.sum(), [leaf])
    assert np.isfinite(loss.detach().numpy()).all() and np.isfinite(g.numpy()).all()
    assert smoothing or (loss[1].item() == 0 and not g[1].any())


def test_a_class_of_probability_0_does_not_count():
    """0·ln 0 = 0: for a class that a mask excludes, with the logit −∞."""
    t = cr.tensor([[0.25, 0.75, 0.0]])
    log_p = cr.tensor([[math.log(0.5), math.log(0.5), -math.inf]], requires_grad=True)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    for loss, wanted, slope in (
        (F.cross_entropy(log_p, t), math.log(2), [0.25, -0.25, 0]),
        (F.kl_div(log_p, t, reduction="sum"), math.log(2) - entropy, [-0.25, -0.75, 0]),
        (
            F.kl_div(log_p, t.log(), reduction="sum", log_target=True),
            math.log(2) - entropy,
            [-0.25, -0.75, 0],
        ),
    ):
        assert loss.item() == pytest.approx(wanted, rel=1e-6)
        assert cr.grad(loss, [log_p])[0].tolist() == [pytest.approx(slope)]
    rate = cr.tensor([-math.inf], requires_grad=True)
    assert F.poisson_nll_loss(rate, cr.tensor([0.0])).item() == 0


def test_a_target_that_does_not_fit_has_no_path():
    x = cr.zeros(2, 2, 3).log_softmax(2).detach().requires_grad_()
    lengths = cr.tensor([2, 2]), cr.tensor([2, 1])
    targets = cr.tensor([[1, 1], [2, 0]])  # 1, 1 needs a blank between
    assert F.ctc_loss(x, targets, *lengths, reduction="none").tolist()[0] == math.inf
    loss = F.ctc_loss(x, targets, *lengths, zero_infinity=True, reduction="none")
    assert loss.tolist() == [0, pytest.approx(math.log(3))]
    (g,) = cr.grad(loss.sum(), [x])
    assert not g[:, 0].any() and g[:, 1].any() and np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("name", ["clamp", "maximum", "minimum", "embedding", "relu"])
def test_a_gradient_that_goes_nowhere_is_0_whatever_it_is(name, bad):
    x = cr.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    table = cr.tensor(np.ones((3, 2), np.float32), requires_grad=True)
    y, leaf, zeros = {
        "clamp": lambda: (x.clamp(0, 1), x, [0, 2]),
        "maximum": lambda: (cr.maximum(x, cr.tensor([1.0, 0.0, 3.0])), x, [0, 2]),
        "minimum": lambda: (cr.minimum(x, cr.tensor([1.0, 0.0, 3.0])), x, [1]),
        "embedding": lambda: (F.embedding(cr.tensor([0, 1]), table, padding_idx=1), table, [1, 2]),
        "relu": lambda: (F.relu(x), x, [0]),
    }[name]()
    (g,) = cr.grad(y, [leaf], cr.full(y.shape, bad))
    assert (g.numpy()[zeros] == 0).all() and not np.isfinite(g.numpy()).all()
