"""The matrix product: right for all sizes and layouts, and its bits depend on nothing else."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, same_bits

from chainrule import engine
from chainrule.compiler.passes.epilogue import MATMUL_GATE
from chainrule.engine import Instruction, Program, external
from chainrule.primitive import Spec

SIZES = [
    (1, 1, 1),
    (1, 5, 7),
    (5, 1, 7),
    (5, 7, 1),
    (3, 10, 64),
    (13, 33, 257),
    (14, 32, 256),
    (15, 31, 255),
    (28, 64, 512),
    (29, 65, 513),
    (64, 128, 784),
    (100, 17, 33),
    (2, 300, 40),
    (1, 128, 784),
    (1, 300, 300),
    (6, 16, 16),
    (7, 48, 31),
    (449, 259, 3),
    (10, 64, 1000),
    (64, 28, 1500),
    (96, 1, 700),
    (37, 1, 260),
    (450, 1, 30),
    (9, 1, 75),
    (70, 1, 7),
    (2100, 1, 40),
    (1100, 130, 300),
    (300, 520, 40),
    (130, 520, 300),
    (64, 30, 455),
    (18, 100, 513),
]
LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: np.asfortranarray(x),
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
}


def matrices(m: int, n: int, k: int, dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(m * 10_007 + n * 101 + k)
    return rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)


def product(a: Any, b: Any) -> Any:
    """A·B in float64 by short sums, which err less than the long ones that a BLAS may take."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return sum(a[:, k : k + 64] @ b[k : k + 64] for k in range(0, a.shape[1], 64))


def tolerance(k: int, dtype: Any) -> float:
    # The error of a sum of k products grows like √k; 8 leaves room for the worst element.
    return float(8 * np.sqrt(k) * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_sizes_and_layouts(size: Any, dtype: Any) -> None:
    m, n, k = size
    a, b = matrices(m, n, k, dtype)
    truth = product(a, b)
    first = None
    for of_a in LAYOUTS.values():
        for of_b in LAYOUTS.values():
            c = native("matmul", of_a(a), of_b(b))
            np.testing.assert_allclose(c, truth, atol=4 * tolerance(k, dtype), rtol=0)
            first = c if first is None else first
            assert same_bits(c, first), "the layout of an operand shows in the result"


@pytest.mark.parametrize("name", INSTRUCTION_SETS[1:])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_instruction_sets(dtype: Any, name: str) -> None:
    engine.use_instruction_set(name)
    for size in SIZES:
        a, b = matrices(*size, dtype)
        results = [native("matmul", of_a(a), b) for of_a in LAYOUTS.values()]
        truth = product(a, b)
        # Without fused multiply-add each product is rounded, too: twice the error.
        bound = 8 * tolerance(size[2], dtype)
        np.testing.assert_allclose(results[0], truth, atol=bound, rtol=0)
        assert all(same_bits(c, results[0]) for c in results)


@pytest.mark.parametrize("m, n, k", [(0, 4, 3), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(m: int, n: int, k: int) -> None:
    a, b = matrices(m, n, k, np.float32)
    assert same_bits(native("matmul", a, b), np.zeros((m, n), np.float32))


@pytest.mark.parametrize(
    "size",
    [
        (64, 128, 784),
        (300, 130, 300),
        (97, 10, 64),
        (1, 784, 900),
        (10, 64, 9000),
        (1, 40, 9000),
        (70, 1, 9000),
    ],
)
def test_threads_do_not_matter(size: Any) -> None:
    a, b = matrices(*size, np.float32)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results += [native("matmul", a, b), native("matmul", a, np.asfortranarray(b))]
    assert all(same_bits(r, results[0]) for r in results)


@pytest.mark.parametrize("n", [1, 10, 128, 300])
def test_batch_does_not_matter(n: int) -> None:
    """A row has the same bits alone as in any batch."""
    a, b = matrices(70, n, 600, np.float32)
    whole = native("matmul", a, b)
    for start, rows in ((0, 1), (5, 1), (69, 1), (3, 2), (11, 7), (20, 33)):
        part = native("matmul", a[start : start + rows], b)
        assert same_bits(part, whole[start : start + rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 15, 16, 250, 1000, 60_000])
def test_an_element_of_a_column(k: int, dtype: Any) -> None:
    """It has the same bits for any rows beside it, threads and layout of A, and a small error."""
    a, b = matrices(75, 1, k, dtype)
    whole = native("matmul", a, b)
    truth = (a.astype(np.longdouble) * b[:, 0]).sum(1, keepdims=True)
    np.testing.assert_allclose(whole, truth, atol=tolerance(k, dtype), rtol=0)
    for threads in THREADS:
        engine.set_num_threads(threads)
        for start, rows in ((0, 1), (5, 1), (74, 1), (3, 2), (11, 9), (20, 33), (0, 75)):
            expected = whole[start : start + rows]
            for layout in LAYOUTS.values():
                part = layout(a[start : start + rows].copy())
                assert same_bits(native("matmul", part, b), expected)
                assert same_bits(native("matmul", part[None], np.stack([b, b]))[1], expected)
    bias = np.ones(1, dtype)
    assert same_bits(native("linear", a, b.T, bias), whole + bias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_deep_product_in_parts(dtype: Any) -> None:
    """k is cut where A is too large for a cache; no sum changes, whatever comes after it."""
    a, b = matrices(64, 300, 9001, dtype)
    bias = np.arange(300, dtype=dtype)
    for threads in THREADS:
        engine.set_num_threads(threads)
        whole, biased = native("matmul", a, b), native("linear", a, b.T.copy(), bias)
        for start in range(0, 300, 32):
            columns = slice(start, start + 32)
            assert same_bits(native("matmul", a, b[:, columns]), whole[:, columns])
        assert same_bits(biased, whole + bias)


def test_a_deep_product_in_a_batch() -> None:
    """k is cut in parts for each matrix of a batch as for the matrix alone."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(2, 5, 9001)).astype(np.float32) for _ in range(2))
    whole = native("matmul", a, b.transpose(0, 2, 1))
    assert all(same_bits(whole[i], native("matmul", a[i], b[i].T)) for i in range(2))


def test_batched_and_broadcast() -> None:
    rng = np.random.default_rng(0)
    for left, right in (((4,), (4,)), ((2, 3), (3,)), ((5,), ()), ((), (5,)), ((2, 1), (1, 3))):
        a = rng.normal(size=(*left, 9, 20)).astype(np.float32)
        b = rng.normal(size=(*right, 20, 11)).astype(np.float32)
        c = native("matmul", a, b)
        np.testing.assert_allclose(c, np.matmul(a, b), atol=tolerance(20, np.float32) * 4)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 5, 3)])
def test_linear(shape: Any) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=shape).astype("f4"), rng.normal(size=(33, 3)).astype("f4")
    b = rng.normal(size=33).astype("f4")
    np.testing.assert_allclose(native("linear", x, w, b), x @ w.T + b, atol=1e-5)


@pytest.mark.parametrize("layout", ["plain", "transposed"])
@pytest.mark.parametrize(
    "size", [(64, 128, 784), (5, 10, 64), (1, 300, 20), (17, 33, 600), (18, 90, 300)]
)
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_epilogue(size: Any, activation: str, layout: str) -> None:
    """Bias and activation give the bits of doing them afterwards."""
    m, n, k = size
    a, b = matrices(m, n, k, np.float32)
    b = LAYOUTS[layout](b)
    bias = np.random.default_rng(1).normal(size=n).astype("f4")
    arrays = [a, b, bias, np.zeros((m, n), np.float32)]
    bases = [x if x.flags.c_contiguous else x.T for x in arrays]
    program = Program(
        [Instruction("product", (0, 1, 2), (3,), {"activation": activation})],
        [external(i, x.shape, x.dtype, x.strides) for i, x in enumerate(arrays)],
        [Spec(x.shape, x.dtype) for x in bases],
    )
    program.run(bases)
    expected = native("matmul", a, b) + bias
    assert same_bits(arrays[3], np.maximum(expected, 0) if activation == "relu" else expected)


GATED = [
    (28, 64, 50),
    (29, 70, 50),
    (100, 64, 1),
    (20, 40, 600),
    (33, 1, 40),
    (1, 33, 40),
    (5, 7, 0),
    (17, 90, 300),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_gate(name: str, dtype: Any) -> None:
    """(a·b)·[x > 0] is +0 where x is not positive, or NaN, even if the product is NaN there."""
    engine.use_instruction_set(name)
    for m, n, k in GATED:
        a, b = matrices(m, n, k, dtype)
        a[0], b = np.nan, np.asfortranarray(b) if m < n else b
        x = np.random.default_rng(k).normal(size=(m, n)).astype(dtype)
        for i, value in enumerate((np.nan, -0.0, 0.0, np.inf, -np.inf)):
            x.flat[i::11] = value
        c = engine.run_native(MATMUL_GATE, (a, b, x), {})
        assert same_bits(c, np.where(x > 0, native("matmul", a, b), dtype(0)))
        truth = np.where(x > 0, product(a, b), 0)
        np.testing.assert_allclose(c, truth, atol=8 * tolerance(k, dtype), rtol=0)


def test_nan_and_infinity_pass_through() -> None:
    a, b = matrices(20, 40, 30, np.float32)
    a[3, 4], b[7, 9] = np.nan, np.inf
    c = native("matmul", a, b)
    assert np.isnan(c[3]).all() and not np.isfinite(c[:, 9]).any()
    assert np.isfinite(np.delete(np.delete(c, 3, 0), 9, 1)).all()
