"""Whole numbers: the bits of NumPy, with wrap-around, on any number of threads."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.primitive import registry

DTYPES = [np.int64, np.int32, np.uint8]
ARITHMETIC = ["add", "sub", "mul"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


def whole(shape: Any, dtype: Any, seed: int = 0) -> Any:
    """Numbers over the whole range of the dtype, so that arithmetic wraps around."""
    info = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    x.reshape(-1)[:2] = info.min, info.max
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
def test_ops_have_the_bits_of_numpy(name: str, dtype: Any) -> None:
    for shape in ((2,), (17, 3), (200_003,)):
        a, b = whole(shape, dtype), whole(shape, dtype, 1)
        b.reshape(-1)[::3] = a.reshape(-1)[::3]  # something that is equal
        for threads in THREADS:
            engine.set_num_threads(threads)
            for x, y in ((a, b), (a, b.reshape(-1)[0].reshape(())), (b[:1].sum(dtype=dtype), a)):
                x, y = np.asarray(x), np.asarray(y)
                assert same_bits(native(name, x, y), reference(name, x, y))


@pytest.mark.parametrize("name", COMPARISONS)
def test_booleans_are_compared(name: str) -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    assert same_bits(native(name, a, b), reference(name, a, b))


def test_of_nothing_and_of_one_number() -> None:
    nothing = np.zeros((0, 3), np.int64)
    assert native("add", nothing, nothing).shape == (0, 3)
    assert same_bits(native("add", np.array(41), np.array(1)), np.array(42))


def test_what_has_no_kernel_is_left_to_the_reference() -> None:
    """Broadcasting along one dimension, booleans that are added, other dtypes."""
    a = np.arange(12).reshape(3, 4)
    pairs = [(a, a[:1]), (a > 3, a > 5), (a.astype(np.int16), a.astype(np.int16))]
    for x, y in pairs:
        assert engine.run_native(registry["add"], (x, y), {}) is None


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("dtype", [*DTYPES, np.bool_])
def test_sums(dtype: Any, dims: Any) -> None:
    rng = np.random.default_rng(2)
    for shape in ((3, 4, 5), (2, 600, 300), (40, 0, 2)):
        x = rng.integers(0, 2, shape).astype(dtype)
        if dtype == np.int64 and x.size:
            x.reshape(-1)[:2] = 2**63 - 1  # the sum wraps around
        for threads in THREADS:
            engine.set_num_threads(threads)
            for keepdim in (False, True):
                params = {"dims": dims, "keepdim": keepdim}
                assert same_bits(native("sum", x, **params), reference("sum", x, **params))


def test_a_sum_over_separate_dimensions_is_left_to_the_reference() -> None:
    params = {"dims": (0, 2), "keepdim": False}
    assert engine.run_native(registry["sum"], (np.ones((2, 3, 4), int),), params) is None
    one = np.ones((2, 1, 4), int)  # nothing stands between them here
    assert same_bits(native("sum", one, **params), reference("sum", one, **params))


DIVISORS = [1e-300, 1e-44, 1e-38, 1e30, 1e38, 1e300, 127.5, -255.0, *map(float, range(1, 1000))]


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_are_divided_exactly(name: str, dtype: Any) -> None:
    """The kernel multiplies by the inverse where that gives the quotients of all bytes."""
    engine.use_instruction_set(name)
    x = np.tile(np.arange(256, dtype=np.uint8), 10)[3:]
    for divisor in DIVISORS:
        params = {"divisor": divisor, "dtype": np.dtype(dtype)}
        assert same_bits(native("rescale", x, **params), reference("rescale", x, **params)), divisor


@pytest.mark.parametrize("threads", THREADS)
def test_many_bytes_are_divided_by_several_threads(threads: int) -> None:
    engine.set_num_threads(threads)
    x, params = whole((1001, 1003), np.uint8), {"divisor": 255.0, "dtype": np.dtype(np.float32)}
    assert same_bits(native("rescale", x, **params), reference("rescale", x, **params))
