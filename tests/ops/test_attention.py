"""Attention against its formula, row by row; its gradients; what a row that sees nothing gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.attention import attention, attention_gradient

L, S, D, E = 4, 5, 3, 2


def arrays(rng, *batch, dtype=np.float64):
    return [rng.normal(size=(*batch, *s)).astype(dtype) for s in ((L, D), (S, D), (S, E))]


def by_hand(q, k, v, mask=None, causal=False, scale=1.0):
    """(y, z) with Python numbers, one query after the other."""
    y, z = np.zeros((*q.shape[:-1], v.shape[-1])), np.zeros(q.shape[:-1])
    seen = None if mask is None else np.broadcast_to(mask, (*q.shape[:-1], k.shape[-2]))
    for place in np.ndindex(*q.shape[:-1]):
        front, i = place[:-1], place[-1]
        scores = {}
        for j in range(k.shape[-2]):
            added = 0.0 if seen is None else seen[(*place, j)]
            if (causal and j > i) or (seen is not None and seen.dtype == bool and not added):
                continue
            added = 0.0 if seen is not None and seen.dtype == bool else added
            scores[j] = scale * math.fsum(q[place] * k[(*front, j)]) + added
        total = math.fsum(map(math.exp, scores.values()))
        z[place] = math.log(total) if total else math.inf
        for j, a in scores.items():
            y[place] += math.exp(a) / total * v[(*front, j)]
    return y, z


MASKS = {
    "none": None,
    "boolean": np.random.default_rng(1).random((L, S)) < 0.6,
    "for all heads": np.random.default_rng(2).random((2, 1, L, S)) < 0.6,
    "added": np.random.default_rng(3).normal(size=(L, S)),
    "added to keys": np.random.default_rng(4).normal(size=(2, 1, 1, S)),
}
masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


@masks
@pytest.mark.parametrize("causal", [False, True])
def test_every_row_is_what_the_formula_says(mask, causal):
    xs = arrays(np.random.default_rng(0), 2, 3)
    given = [] if mask is None else [mask]
    found = attention(*map(cr.tensor, [*xs, *given]), causal=causal, scale=0.7)
    for ours, plain in zip(found, by_hand(*xs, mask, causal, 0.7), strict=True):
        # Both in float64; sums of five numbers.
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-13)


@masks
@pytest.mark.parametrize("causal", [False, True])
def test_first_and_second_derivative(mask, causal):
    """By finite differences, by the mask too; the boolean masks hide no row completely."""
    xs = [cr.tensor(x) for x in arrays(np.random.default_rng(5), 2, 1)]
    if mask is not None:
        mask = mask.copy()
        if mask.dtype == bool:
            mask[..., 0] = True
        xs.append(cr.tensor(mask))
    for f in (
        lambda *x: attention(*x, causal=causal, scale=0.7),
        lambda *x: attention(*x, causal=causal, scale=0.7)[0],
    ):
        assert cr.gradcheck(f, xs)
        assert cr.gradgradcheck(f, xs)


def test_a_row_that_sees_nothing_gives_0_and_passes_no_gradient():
    rng = np.random.default_rng(6)
    xs = [cr.tensor(x, requires_grad=True) for x in arrays(rng)]
    seen = np.ones((L, S), bool)
    seen[1] = False
    hidden = cr.tensor(np.where(seen, 0.0, -np.inf), requires_grad=True)
    for mask in (cr.tensor(seen), hidden):
        y, z = attention(*xs, mask, causal=False, scale=1.0)
        assert not y[1].any() and z[1].item() == np.inf
        y.square().sum().backward()
        assert not xs[0].grad[1].any() and xs[0].grad[0].any()
        for x in [*xs, hidden] if mask is hidden else xs:
            assert np.isfinite(x.grad.numpy()).all()


def test_large_scores_do_not_overflow():
    """In float32, where e^89 is ∞; the weight goes to the largest score."""
    q, k = cr.tensor([[100.0], [-100.0]]), cr.tensor([[50.0], [100.0]], requires_grad=True)
    y, z = attention(q, k, cr.tensor([[1.0], [2.0]]), causal=False, scale=1.0)
    assert y.tolist() == [[2], [1]] and z.tolist() == [10_000, -5_000]
    y.sum().backward()
    assert np.isfinite(k.grad.numpy()).all()


def test_causal_is_the_lower_triangle_counted_from_the_first_key():
    xs = [cr.tensor(x) for x in arrays(np.random.default_rng(7), 2)]
    triangle = cr.tensor(np.tri(L, S, dtype=bool))
    a = attention(*xs, causal=True, scale=1.0)
    b = attention(*xs, triangle, causal=False, scale=1.0)
    assert all(x.numpy().tobytes() == y.numpy().tobytes() for x, y in zip(a, b, strict=True))


def test_errors():
    q, k, v = (cr.tensor(x) for x in arrays(np.random.default_rng(8), 2))
    params = {"causal": False, "scale": 1.0}
    for wrong in ((q[:, :, 1:], k, v), (q, k[:, 1:], v), (q[:1], k, v), (q[0, 0], k, v)):
        with pytest.raises(ShapeError, match="do not fit together"):
            attention(*wrong, **params)
    with pytest.raises(ShapeError, match=r"mask has another shape|do not broadcast"):
        attention(q, k, v, cr.ones(L + 1, S, dtype=cr.float64), **params)
    with pytest.raises(ShapeError, match="mask has another shape"):
        attention(q, k, v, cr.ones(7, 1, L, S, dtype=cr.float64), **params)
    with pytest.raises(DTypeError, match="boolean or of the query's dtype"):
        attention(q, k, v, cr.ones(L, S, dtype=cr.int64), **params)
    with pytest.raises(DTypeError, match="one dtype"):
        attention(q.float(), k, v, **params)
    row = cr.zeros(2, L, dtype=cr.float64)
    with pytest.raises(ShapeError, match=r"\(\.\.\., L, e\)"):
        attention_gradient(q, q, k, v, row, row, **params)
