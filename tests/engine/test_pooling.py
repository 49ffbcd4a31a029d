"""Pooling and its gradients: windows of any size, the same bits on any number of threads."""

import math
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.errors import OutOfRangeError
from chainrule.ops.window import Geometry

# images, kernel, geometry
CASES = [
    ((2, 3, 28, 28), (2, 2), Geometry.of(2, 2)),
    ((2, 3, 26, 26), (2, 2), Geometry.of(2, 2)),
    ((3, 2, 11, 11), (2, 2), Geometry.of(2, 2)),
    ((1, 2, 9, 70), (2, 3), Geometry.of(2, (1, 2))),
    ((1, 2, 35, 37), (3, 3), Geometry.of(2, 1, 1)),
    ((2, 2, 17, 40), (3, 2), Geometry.of(2, (2, 3), 1)),
    ((2, 2, 17, 40), (3, 5), Geometry.of(2, 2, (0, 2))),
    ((1, 1, 1, 1), (1, 1), Geometry.of(2)),
    ((1, 1, 2, 3), (4, 4), Geometry.of(2, 4, 2)),
    ((0, 3, 4, 4), (2, 2), Geometry.of(2, 2)),
    ((1, 5, 64, 64), (4, 4), Geometry.of(2, 4)),
    ((2, 3, 40, 37), (40, 37), Geometry.of(2)),
    ((2, 3, 40, 41), (9, 20), Geometry.of(2, (4, 7), (2, 5))),
    ((2, 3, 40, 41), (9, 12), Geometry.of(2, (4, 7), 1, (1, 3))),
    ((2, 2, 17, 40), (3, 2), Geometry.of(2, (2, 1), 1, (2, 3))),
    ((2, 2, 17, 40), (2, 3), Geometry.of(2, (2, 2), (1, 1), (5, 7))),
    ((2, 2, 18, 41), (3, 2), Geometry.of(2, (2, 3), 1).rounded_up((18, 41), (3, 2))),
    ((1, 2, 2, 21), (3, 4), Geometry.of(2, (4, 3), 0, (1, 2)).rounded_up((2, 21), (3, 4))),
    ((2, 3, 50), (3,), Geometry.of(1, 2, 1)),
    ((2, 3, 50), (2,), Geometry.of(1, 3, 1, 2).rounded_up((50,), (2,))),
]


def image(shape: Any, dtype: Any) -> Any:
    """Few different values, so that windows have several largest pixels."""
    return np.random.default_rng(1).integers(-4, 5, shape).astype(dtype)


def window(case: Any) -> dict[str, Any]:
    return {"kernel": case[1], "geometry": case[2]}


def mean(case: Any) -> dict[str, Any]:
    return {**window(case), "divisor": math.prod(case[1]) + 1}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_maximum(case: Any, dtype: Any) -> None:
    x = image(case[0], dtype)
    for isa in engine.describe()["instruction_sets"]:  # type: ignore[attr-defined]
        engine.use_instruction_set(isa)
        y, positions = native("max_pool", x, **window(case))
        truth = reference("max_pool", x, **window(case))
        assert same_bits(y, truth[0]) and same_bits(positions, truth[1])


@pytest.mark.parametrize("case", CASES)
def test_nan_and_infinity(case: Any) -> None:
    x = image(case[0], np.float32)
    flat = x.reshape(-1)
    flat[::7], flat[::11], flat[::5] = np.nan, np.inf, -np.inf
    y, positions = native("max_pool", x, **window(case))
    truth = reference("max_pool", x, **window(case))
    np.testing.assert_array_equal(y, truth[0])
    np.testing.assert_array_equal(positions, truth[1])
    lowest = np.full(case[0], -np.inf, np.float32)
    positions = native("max_pool", lowest, **window(case))[1]
    truth = reference("max_pool", lowest, **window(case))
    np.testing.assert_array_equal(positions, truth[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_mean_and_its_gradient(case: Any, dtype: Any) -> None:
    x = np.random.default_rng(2).normal(size=case[0]).astype(dtype)
    for isa in engine.describe()["instruction_sets"]:  # type: ignore[attr-defined]
        engine.use_instruction_set(isa)
        y, truth = native("avg_pool", x, **mean(case)), reference("avg_pool", x, **mean(case))
        # Rows of windows that are longer than the result's are added in another order. Each pixel
        # is one rounding of a sum below 100, and the sum is divided by their number.
        far = 100 * np.finfo(dtype).eps if case[1][-1] > y.shape[-1] else 0.0
        assert y.shape == truth.shape and np.abs(y - truth).max(initial=0.0) <= far
        result = native("avg_pool_input", y, shape=x.shape, **mean(case))
        truth = reference("avg_pool_input", y, shape=x.shape, **mean(case))
        assert same_bits(result, truth)


@pytest.mark.parametrize("case", CASES[:5])
def test_threads_and_batch_do_not_matter(case: Any) -> None:
    x = np.random.default_rng(2).normal(size=(30, *case[0][1:])).astype(np.float32)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        y, positions = native("max_pool", x, **window(case))
        n, c, height, width = x.shape
        g = y.reshape(n, c, -1)
        places = positions.reshape(n, c, -1)
        back = native("scatter_add", g, places, shape=(n, c, height * width), dim=2)
        truth = reference("scatter_add", g, places, shape=(n, c, height * width), dim=2)
        np.testing.assert_allclose(back, truth, rtol=1e-6, atol=1e-6)
        results.append((y, positions, back, native("avg_pool", x, **mean(case))))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(other, results[0], strict=True))
    one = native("max_pool", x[7:8], **window(case))
    assert same_bits(one[0], results[0][0][7:8]) and same_bits(one[1], results[0][1][7:8])


@pytest.mark.parametrize("n", [1, 40, 3000])
@pytest.mark.parametrize("bad", [100, -101, 2**40])
def test_scatter_checks_positions(n: int, bad: int) -> None:
    """The first bad position is named, on any number of threads."""
    x, index = np.ones((n, 50), np.float32), np.zeros((n, 50), np.int64)
    index[:, 10] = -100  # the first from the front: allowed
    native("scatter_add", x, index, shape=(n, 100), dim=1)
    index[n // 2, 21] = bad
    index[n // 2 + 1 :, 3] = 2**50
    for threads in THREADS:
        engine.set_num_threads(threads)
        with pytest.raises(OutOfRangeError, match=rf"index {bad} at position {n // 2 * 50 + 21} "):
            native("scatter_add", x, index, shape=(n, 100), dim=1)
