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
