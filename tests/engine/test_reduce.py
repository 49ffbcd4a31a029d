"""Reductions, softmax and cross-entropy: exact where they can be, and fixed in their order."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.errors import OutOfRangeError

ALL_DIMS = [dims for n in range(4) for dims in combinations(range(3), n)]
SHAPES = [(3, 4, 5), (1, 1, 1), (70, 3, 33), (2, 600, 7), (5, 1, 1030), (40, 3, 1)]


@pytest.mark.parametrize("dims", ALL_DIMS)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_dims(name: str, dims: Any) -> None:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x = rng.normal(size=shape).astype(np.float32)
        for keepdim in (False, True):
            y = native(name, x, dims=dims, keepdim=keepdim)
            truth = reference(name, x.astype(np.float64), dims=dims, keepdim=keepdim)
            assert y.shape == truth.shape
            # Summed in float64 and rounded once: right to the last place.
            np.testing.assert_array_equal(y, truth.astype(np.float32))


def test_reductions_of_views() -> None:
    x = np.random.default_rng(0).normal(size=(30, 40, 20)).astype(np.float32)
    for view in (x.T, x[::2, ::-1], x.transpose(1, 0, 2)[:, 3:]):
        for dims in ((0,), (1,), (2,), (0, 2)):
            y = native("sum", view, dims=dims, keepdim=False)
            truth = view.astype(np.float64).sum(dims)
            np.testing.assert_array_equal(y, truth.astype(np.float32))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_sum_of_nothing(shape: Any) -> None:
    x = np.zeros(shape, np.float32)
    for dims in ((0,), (1,), (0, 1)):
        assert same_bits(native("sum", x, dims=dims, keepdim=False), x.sum(dims))


def test_long_sum_is_accurate() -> None:
    """Ten million times 0.1: 10⁶ within 1e-7."""
    x = np.full(10_000_000, 0.1, np.float32)
    total = native("sum", x, dims=(0,), keepdim=False)
    truth = 10_000_000 * float(np.float32(0.1))
    assert abs(float(total) - truth) <= 1e-7 * truth


@pytest.mark.parametrize(
    "shape, dims",
    [
        ((100_000,), (0,)),
        ((40, 9000), (1,)),
        ((9000, 40), (0,)),
        ((700, 700), (0,)),
        ((700, 700), (0, 1)),
    ],
)
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_threads_do_not_matter(name: str, shape: Any, dims: Any) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(np.float64)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(native(name, x, dims=dims, keepdim=False))
    assert all(same_bits(r, results[0]) for r in results)


def test_batch_does_not_matter() -> None:
    x = np.random.default_rng(1).normal(size=(50, 3000)).astype(np.float64)
    for name, params in (
        ("sum", {"dims": (1,), "keepdim": False}),
        ("softmax", {"dim": 1}),
        ("log_softmax", {"dim": 1}),
    ):
        whole = native(name, x, **params)
        assert same_bits(native(name, x[17:18], **params), whole[17:18])
        assert same_bits(native(name, x[3:20], **params), whole[3:20])


def test_nan_wins() -> None:
    """Infinities do not, nor do they hide it."""
    x = np.random.default_rng(1).normal(size=(40, 150)).astype(np.float32)
    x[3, 7] = np.nan
    for place, infinity in (((3, 8), np.inf), ((4, 9), np.inf), ((5, 9), -np.inf)):
        x[place] = infinity
    for name in ("amax", "amin", "sum"):
        for dims, bad in (((0,), 7), ((1,), 3)):
            y = native(name, x, dims=dims, keepdim=False)
            with np.errstate(invalid="ignore"):
                truth = reference(name, x, dims=dims, keepdim=False)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(truth))
            assert np.isnan(y[bad])
            if name != "sum":
                np.testing.assert_array_equal(y, truth)


@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (70, 16), (7, 17), (2, 3, 33), (5, 1000)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax(name: str, shape: Any, dtype: Any) -> None:
    x = (np.random.default_rng(2).normal(size=shape) * 5).astype(dtype)
    dim = len(shape) - 1
    truth = reference(name, x.astype(np.longdouble), dim=dim)
    eps = np.finfo(dtype).eps
    # log_softmax is a difference of numbers of the size of x.
    atol = 0 if name == "softmax" else 8 * eps * np.abs(x).max()
    np.testing.assert_allclose(native(name, x, dim=dim), truth, rtol=20 * eps, atol=atol)


def test_softmax_of_extremes() -> None:
    x = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [np.nan, 0, 0], [-np.inf] * 3], np.float32)
    np.testing.assert_array_equal(native("softmax", x, dim=1), reference("softmax", x, dim=1))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("labels", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("n, classes", [(1, 1), (64, 10), (33, 17), (3, 1000), (0, 4), (500, 5)])
def test_cross_entropy(n: int, classes: int, labels: Any, reduction: str) -> None:
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(n, classes)) * 4).astype(np.float32)
    t = rng.integers(0, min(classes, 250), n).astype(labels)
    g = np.asarray(rng.normal(size=n if reduction == "none" else ()), np.float32)
    for ignored in (-100, 3):
        params = {"reduction": reduction, "ignore_index": ignored}
        with np.errstate(all="ignore"):
            losses = reference("softmax_cross_entropy", x.astype(np.float64), t, **params)
            slope = reference(
                "softmax_cross_entropy_gradient",
                g.astype(np.float64),
                x.astype(np.float64),
                t,
                **params,
            )
        results = []
        for threads in THREADS:
            engine.set_num_threads(threads)
            loss = native("softmax_cross_entropy", x, t, **params)
            gradient = native("softmax_cross_entropy_gradient", g, x, t, **params)
            results.append((loss, gradient))
            np.testing.assert_allclose(loss, losses, rtol=3e-6, atol=3e-6)
            np.testing.assert_allclose(gradient, slope, rtol=3e-6, atol=1e-6)
        assert all(same_bits(a[i], results[0][i]) for a in results for i in (0, 1))


@pytest.mark.parametrize("bad", [10, -1, 2**40, -(2**63)])
def test_labels_are_checked(bad: int) -> None:
    x, t = np.zeros((6, 10), np.float32), np.zeros(6, np.int64)
    t[4] = bad
    for reduction in ("none", "mean"):
        params = {"reduction": reduction, "ignore_index": -100}
        with pytest.raises(OutOfRangeError, match=rf"label {bad} at position 4"):
            native("softmax_cross_entropy", x, t, **params)
