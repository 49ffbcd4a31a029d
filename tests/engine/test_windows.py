"""Convolution and pooling against their references, over many geometries."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.ops.window import Geometry
from chainrule.primitive import registry

GEOMETRIES = [
    Geometry.of(2),
    Geometry.of(2, padding=(1, 1)),
    Geometry.of(2, stride=(2, 2), padding=(1, 0)),
    Geometry.of(2, dilation=(2, 1), padding=(2, 1)),
    Geometry.of(2, groups=2),
    Geometry.of(2, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    Geometry.of(2, stride=(3, 2)),
]
SIZES = [  # images, channels, height, width, filters, kernel height, kernel width
    (1, 2, 5, 7, 2, 3, 3),
    (3, 4, 9, 8, 6, 3, 2),
    (2, 2, 13, 40, 34, 1, 1),
    (5, 40, 12, 11, 20, 3, 3),
    (1, 2, 30, 33, 18, 5, 4),
]


def parts(size: Any, geometry: Geometry, dtype: Any) -> tuple[Any, Any, Any]:
    """Images, kernels, and a gradient by the output."""
    n, c, h, w, o, kh, kw = size
    rng = np.random.default_rng(n + c + h)
    x = rng.normal(size=(n, c, h, w)).astype(dtype)
    k = rng.normal(size=(o, c // geometry.groups, kh, kw)).astype(dtype)
    out = geometry.positions(x.shape, k.shape)
    return x, k, rng.normal(size=(n, o, *out)).astype(dtype)


def all_three(x: Any, k: Any, u: Any, geometry: Geometry) -> list[Any]:
    results = [
        native("convolution", x, k, geometry=geometry),
        native("convolution_weight", x, u, shape=k.shape, geometry=geometry),
    ]
    return [*results, native("convolution_input", u, k, shape=x.shape, geometry=geometry)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size, geometry", list(product(SIZES, GEOMETRIES)))
def test_convolution(size: Any, geometry: Geometry, dtype: Any) -> None:
    x, k, u = parts(size, geometry, dtype)
    wide = [a.astype(np.float64) for a in (x, k, u)]
    truth = [
        reference("convolution", wide[0], wide[1], geometry=geometry),
        reference("convolution_weight", wide[0], wide[2], shape=k.shape, geometry=geometry),
        reference("convolution_input", wide[2], wide[1], shape=x.shape, geometry=geometry),
    ]
    for result, expected in zip(all_three(x, k, u, geometry), truth, strict=True):
        scale = np.abs(expected).max(initial=1)
        # A sum of some thousand products; its error grows like the root of their number.
        atol = 60 * np.finfo(dtype).eps * scale
        np.testing.assert_allclose(result, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_threads_and_batch_do_not_matter(geometry: Geometry) -> None:
    x, k, u = parts((9, 8, 21, 20, 34, 3, 3), geometry, np.float32)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(all_three(x, k, u, geometry))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))
    alone = all_three(x[4:5].copy(), k, u[4:5].copy(), geometry)
    assert same_bits(alone[0], results[0][0][4:5])
    assert same_bits(alone[2], results[0][2][4:5])


def test_images_too_wide_for_the_cache_use_the_reference() -> None:
    x, k = np.zeros((1, 1, 3, 40_000), np.float32), np.zeros((2, 1, 3, 3), np.float32)
    assert engine.run_native(registry["convolution"], (x, k), {"geometry": Geometry.of(2)}) is None
    y = engine.run(registry["convolution"], (x, k), {"geometry": Geometry.of(2)})
    assert y.shape == (1, 2, 1, 39_998)


def test_empty_batch() -> None:
    x, k, u = parts((0, 2, 5, 7, 2, 3, 3), Geometry.of(2), np.float32)
    y, by_w, by_x = all_three(x, k, u, Geometry.of(2))
    assert y.shape == u.shape and by_x.shape == x.shape and not by_w.any()


POOLS = [
    ((2, 2), (2, 2), (0, 0)),
    ((3, 2), (2, 1), (1, 1)),
    ((3, 3), (1, 1), (1, 1)),
    ((2, 3), (3, 3), (0, 1)),
    ((1, 1), (1, 1), (0, 0)),
    ((5, 5), (2, 2), (2, 2)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel, stride, padding", POOLS)
@pytest.mark.parametrize("shape", [(1, 1, 5, 5), (3, 4, 28, 29), (2, 70, 7, 6), (0, 2, 5, 5)])
def test_max_pool(shape: Any, kernel: Any, stride: Any, padding: Any, dtype: Any) -> None:
    params = {"kernel": kernel, "geometry": Geometry.of(2, stride, padding)}
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(dtype)  # with many ties
    if x.size:
        x.reshape(-1)[::17] = np.nan
        x.reshape(-1)[5::19] = -np.inf
    for threads in THREADS:
        engine.set_num_threads(threads)
        for result, expected in zip(
            native("max_pool", x, **params),
            reference("max_pool", x, **params),
            strict=True,
        ):
            np.testing.assert_array_equal(result, expected)
