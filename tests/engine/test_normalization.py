"""Normalization and its gradient: against PyTorch, and what does not depend on threads or batch."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.graph import as_tuple

CASES = [  # shape, normalized dimensions, shape of the weight
    ((6, 5), (0,), (1, 5)),
    ((6, 5), (1,), (1, 5)),
    ((6, 5), (1,), (6, 1)),
    ((300, 130), (0,), (1, 130)),
    ((1, 9), (0,), (1, 9)),
    ((40,), (0,), (1,)),
    ((2, 3), (0, 1), (2, 3)),
    ((4, 6, 5), (1, 2), (1, 6, 5)),
    ((12, 64, 128), (2,), (1, 1, 128)),
    ((70, 9, 100), (2,), (1, 1, 100)),
    ((4, 3, 5, 7), (0, 2, 3), (1, 3, 1, 1)),
    ((128, 16, 32, 32), (0, 2, 3), (1, 16, 1, 1)),
    ((100, 4, 28, 28), (0, 2, 3), (1, 4, 1, 1)),
]


def operands(shape: Any, weight: Any, dtype: Any) -> Any:
    """x, w, b and a gradient; the mean of x is far from 0."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=shape) * 3 + 7, *rng.normal(size=(2, *weight)), rng.normal(size=shape)
    return [np.asarray(z, dtype) for z in made]


def of_torch(x: Any, w: Any, b: Any, g: Any, dims: Any) -> Any:
    """y, its moments, and the gradients of x, w and b, in float64."""
    x, w, b = (torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in (x, w, b))
    v, m = torch.var_mean(x, dims, correction=0, keepdim=True)
    y = (x - m) / (v + 1e-5).sqrt() * w + b
    y.backward(torch.tensor(g, dtype=torch.float64))
    return [z.detach().numpy() for z in (y, m, v, x.grad, w.grad, b.grad)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, dims, weight", CASES)
def test_against_torch(shape: Any, dims: Any, weight: Any, dtype: Any) -> None:
    x, w, b, g = operands(shape, weight, dtype)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        y, m, v = native("normalize", x, w, b, dims=dims, eps=1e-5)
        gradients = native("normalize_gradient", g, x, m, v, w, dims=dims, eps=1e-5)
        results.append((y, m, v, *gradients))
    # PyTorch's own sums of 10⁵ numbers in float64 err by 5e-14.
    eps, n = max(np.finfo(dtype).eps, 1e-14), x.size // w.size
    # The rounding of the mean, which is about 7, changes all normalized numbers by up to eps·7/3,
    # and the sums that make dw by as much for each of their numbers.
    growth = [50, 50, 50, 50, 50 + 3 * n, 50]
    truth = of_torch(x, w, b, g, dims)
    for result, expected, times in zip(results[0], truth, growth, strict=True):
        assert result.shape == expected.shape and result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=50 * eps, atol=times * eps)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    x, w, b, g = operands((70, 50), (1, 50), np.float32)
    params = {"dims": (1,), "eps": 1e-5}

    def both(rows: Any) -> Any:
        y, m, v = native("normalize", x[rows], w, b, **params)
        return y, native("normalize_gradient", g[rows], x[rows], m, v, w, **params)[0]

    whole = both(slice(None))
    for rows in (slice(0, 1), slice(3, 40), slice(69, 70)):
        assert all(same_bits(a[rows], b) for a, b in zip(whole, both(rows), strict=True))


@pytest.mark.parametrize("value", [1e4, 1e8, -3e30, 1e-30])
def test_constants_give_the_bias(value: float) -> None:
    """And numbers that are constant but for the last one keep their variance."""
    x = np.full((8, 5, 600), value, np.float32)
    for dims, weight in (((0,), (1, 5, 600)), ((1, 2), (8, 1, 1)), ((0, 2), (1, 5, 1))):
        w, b = np.full(weight, 3, np.float32), np.full(weight, 2, np.float32)
        y, m, v = native("normalize", x, w, b, dims=dims, eps=1e-5)
        assert (y == 2).all() and not v.any() and (m == np.float32(value)).all()
        dx, dw, _ = native("normalize_gradient", x * 0 + 1, x, m, v, w, dims=dims, eps=1e-5)
        assert not dx.any() and not dw.any()


def test_an_outlier_in_front_does_not_cost_digits() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 9000))
    x[:, :, 0] = 1e7
    for dims in ((2,), (0, 2)):
        _, m, v = native("normalize", x, dims=dims, eps=0.0)
        wide = x.astype(np.longdouble)
        np.testing.assert_allclose(m, wide.mean(dims, keepdims=True), atol=1e7 * 1e-15)
        np.testing.assert_allclose(v, wide.var(dims, keepdims=True), rtol=1e-14)


def test_not_finite_numbers_stay_where_they_are() -> None:
    """In one row or channel, as in the reference."""
    x, w, b, g = operands((4, 3, 20), (1, 3, 1), np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        x[1, 2, 5], g[0, 0, 3] = bad, np.nan
        y, m, v = native("normalize", x, w, b, dims=(0, 2), eps=1e-5)
        found = (y, *native("normalize_gradient", g, x, m, v, w, dims=(0, 2), eps=1e-5))
        expected = (
            reference("normalize", x, w, b, dims=(0, 2), eps=1e-5)[0],
            *as_tuple(reference("normalize_gradient", g, x, m, v, w, dims=(0, 2), eps=1e-5)),
        )
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(e))
