"""Embeddings, slices that are written, truth of rows: equal to the reference, bounds checked."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.errors import OutOfRangeError
from chainrule.ops import labels, window  # registers the primitives
from chainrule.primitive import lookup

assert labels.__name__ and window.__name__


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("shape", [(), (1,), (12, 64), (0, 3), (3000,)])
def test_embedding(shape: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    i, w = rng.integers(0, 65, shape).astype(dtype), rng.normal(size=(65, 37)).astype("f4")
    for threads in THREADS:
        engine.set_num_threads(threads)
        assert same_bits(native("embedding", i, w, padding=None), w[i])


@pytest.mark.parametrize("bad", [-1, 65, 2**40])
def test_embedding_checks_indices(bad: int) -> None:
    i, w = np.zeros((4, 5), np.int64), np.zeros((65, 3), np.float32)
    i[2, 1] = bad
    with pytest.raises(OutOfRangeError, match=rf"index {bad} at position 11"):
        native("embedding", i, w, padding=None)


EVERY = slice(None)
SLICES = [
    ((12, 7, 30), (EVERY, EVERY, slice(10, 20))),
    ((6, 5), (slice(None, None, -2), 1)),
    ((6, 5), (Ellipsis, slice(4, None, -1))),
    ((3, 4), (2,)),
    ((3, 4), (None, slice(1, 2))),
    ((3, 4), (1, 3)),
    ((3, 4), (EVERY, EVERY)),
    ((3, 4), (slice(2, 2),)),
    ((0, 4), (EVERY, 1)),
    ((300, 700), (slice(5, 200), slice(0, 699, 3))),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
@pytest.mark.parametrize("shape, index", SLICES)
def test_slice_into(shape: Any, index: Any, dtype: Any) -> None:
    part = np.zeros(shape, dtype)[index].shape
    x = (np.random.default_rng(1).normal(size=part) * 100).astype(dtype)
    expected = reference("slice_into", x, shape=shape, index=index)
    assert same_bits(native("slice_into", x, shape=shape, index=index), expected)
    turned = np.asarray(x.T.copy().T)
    assert same_bits(native("slice_into", turned, shape=shape, index=index), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize(
    "shape, sizes, dim",
    [
        ((4, 0, 5), (3, 1, 70), 1),
        ((0, 3), (2,), 0),
        ((3, 4, 0), (2, 0, 9), 2),
        ((0,), (1,) * 31, 0),
        ((40, 50, 0), (60, 60), 2),
        ((0, 2), (0, 0), 0),
    ],
)
def test_cat(shape: Any, sizes: Any, dim: int, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    xs = [(rng.random((*shape[:dim], n, *shape[dim + 1 :])) * 2).astype(dtype) for n in sizes]
    expected = reference("cat", *xs, dim=dim)
    assert same_bits(native("cat", *xs, dim=dim), expected)
    turned = [x.T.copy().T for x in xs]
    assert same_bits(native("cat", *turned, dim=dim), expected)


def test_cat_of_too_many() -> None:
    assert engine.run_native(lookup("cat"), tuple([np.ones(3)] * 32), {"dim": 0}) is None


@pytest.mark.parametrize(
    "shape, dims",
    [
        ((12, 4, 64, 64), (3,)),
        ((3, 5), (1,)),
        ((3, 5), (0, 1)),
        ((4, 0), (1,)),
        ((0, 4), (1,)),
        ((), ()),
        ((2, 3, 700), (1, 2)),
    ],
)
@pytest.mark.parametrize("name", ["all", "any"])
def test_truth(name: str, shape: Any, dims: Any) -> None:
    rng = np.random.default_rng(2)
    for likely in (0.0, 0.01, 0.99, 1.0):
        x = rng.random(shape) < likely
        for keepdim in (False, True):
            y = native(name, x, dims=dims, keepdim=keepdim)
            assert same_bits(y, reference(name, x, dims=dims, keepdim=keepdim))
    assert (
        engine.run_native(lookup(name), (np.ones((3, 4), bool),), {"dims": (0,), "keepdim": False})
        is None
    )
