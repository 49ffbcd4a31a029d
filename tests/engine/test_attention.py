"""Attention in blocks against its formula: sizes around a block, masks, layouts, memory, bits."""

import math
import resource
import sys
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, reference, same_bits

import chainrule as cr
from chainrule import engine, settings
from chainrule.nn import functional as F
from chainrule.primitive import registry

SIZES = [  # L, S, d, e: within a block, exactly one, across several, wider than a block of d
    (1, 1, 1, 1),
    (3, 5, 4, 2),
    (1, 70, 8, 8),
    (64, 64, 32, 32),
    (65, 64, 33, 7),
    (130, 100, 16, 40),
    (70, 200, 300, 20),
]
MASKS = ("none", "pairs", "rows", "columns", "added", "added and pairs")
TOLERANCE = {np.float32: 3e-6, np.float64: 5e-15}
"""Of the largest number: a few roundings a term, and sums of up to 300 terms in other order."""


def operands(lead: tuple[int, ...], sizes: Any, dtype: Any = np.float32) -> tuple[Any, ...]:
    """q, k, v and the upstream gradient u."""
    rng = np.random.default_rng(7)
    rows, keys, d, e = sizes
    shapes = ((rows, d), (keys, d), (keys, e), (rows, e))
    return tuple(rng.normal(size=(*lead, *shape)).astype(dtype) for shape in shapes)


def masks(kind: str, lead: tuple[int, ...], sizes: Any, dtype: Any) -> tuple[Any, ...]:
    """Masks that broadcast in each way; "rows" hides everything from half of the queries."""
    rng, (rows, keys) = np.random.default_rng(8), sizes[:2]
    every = {
        "pairs": rng.random((*lead, rows, keys)) < 0.3,
        "rows": rng.random((rows, 1)) < 0.5,
        "columns": rng.random((*lead[:1], *[1] * len(lead[1:]), 1, keys)) < 0.7,
        "added": rng.normal(size=(*[1] * len(lead), rows, keys)).astype(dtype),
    }
    return tuple(every[name] for name in kind.split(" and ") if name in every)


def both(run: Any, q: Any, k: Any, v: Any, u: Any, mask: Any, causal: bool) -> tuple[Any, ...]:
    """y, z and the three gradients, each kernel on the same inputs for whoever runs."""
    params = {"causal": causal, "scale": 1 / math.sqrt(q.shape[-1])}
    y, z = reference("attention", q, k, v, *mask, **params)
    delta = (u * y).sum(-1)
    forward = run("attention", q, k, v, *mask, **params)
    return *forward, *run("attention_gradient", u, q, k, v, delta, z, *mask, **params)


def assert_close(results: Any, expected: Any, tolerance: float) -> None:
    for result, truth in zip(results, expected, strict=True):
        finite = np.isfinite(truth)
        np.testing.assert_array_equal(result[~finite], truth[~finite])
        scale = 1 + np.abs(truth[finite]).max(initial=0)
        np.testing.assert_allclose(result[finite] / scale, truth[finite] / scale, 0, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values(sizes: Any, kind: str, causal: bool, dtype: Any) -> None:
    for lead in ((), (2,), (2, 3)):
        arguments = (*operands(lead, sizes, dtype), masks(kind, lead, sizes, dtype), causal)
        assert_close(both(native, *arguments), both(reference, *arguments), TOLERANCE[dtype])


@pytest.mark.parametrize("name", INSTRUCTION_SETS[1:])
def test_values_on_other_instruction_sets(name: str) -> None:
    engine.use_instruction_set(name)
    for dtype, tolerance in TOLERANCE.items():
        for sizes in SIZES:
            mask = masks("added and pairs", (2, 3), sizes, dtype)
            arguments = (*operands((2, 3), sizes, dtype), mask, True)
            # Without a fused multiply-add every term is rounded twice.
            assert_close(both(native, *arguments), both(reference, *arguments), 4 * tolerance)


def test_a_row_that_sees_nothing() -> None:
    """It gives 0 and z = ∞, and no gradient; forbidden by −∞ as well as by False."""
    q, k, v, u = operands((2,), (70, 70, 8, 8))
    hidden = np.zeros((70, 70), np.float32)
    hidden[[0, 5, 69]] = -np.inf
    for mask in (hidden, hidden == 0):
        y, z, dq, _, _ = both(native, q, k, v, u, (mask,), False)
        assert not y[:, [0, 5, 69]].any() and not dq[:, [0, 5, 69]].any()
        assert (z[:, [0, 5, 69]] == np.inf).all() and np.isfinite(z[:, 1:5]).all()


def test_keys_that_nobody_sees_have_no_gradient() -> None:
    """Causal, and more keys than queries: whole blocks of keys are never visited."""
    q, k, v, u = operands((3,), (10, 200, 8, 8))
    *_, dk, dv = both(native, q, k, v, u, (), True)
    assert not dk[:, 10:].any() and not dv[:, 10:].any() and dk[:, :10].any()


def test_large_scores_do_not_overflow() -> None:
    """Each block brings a larger score than the one before: what was summed up shrinks to 0."""
    q, k, v, u = operands((1,), (3, 300, 4, 4))
    k *= np.arange(300, dtype=np.float32)[:, None] * 100
    assert_close(both(native, q, k, v, u, (), False), both(reference, q, k, v, u, (), False), 1e-4)


def test_not_a_number_spreads_along_its_row_only() -> None:
    q, k, v, _ = operands((1,), (70, 70, 8, 8))
    q[0, 3, 2] = np.nan
    y, z = native("attention", q, k, v, causal=False, scale=1.0)
    rows = np.isnan(y).any(-1)[0]
    assert rows[3] and rows.sum() == 1 and np.isnan(z[0, 3])


def test_strided_operands_are_read_in_place() -> None:
    """The heads of one (N, L, 3·C) array, permuted: no copy, the same bits as from copies."""
    x = np.random.default_rng(0).normal(size=(2, 70, 3, 4, 16)).astype(np.float32)
    q, k, v = (x[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    u = np.random.default_rng(1).normal(size=(2, 70, 4, 16)).astype(np.float32).swapaxes(1, 2)
    copies = [np.ascontiguousarray(a) for a in (q, k, v, u)]
    for a, b in zip(
        both(native, q, k, v, u, (), True), both(native, *copies, (), True), strict=True
    ):
        assert same_bits(a, b)


@pytest.mark.parametrize("lead", [(), (3,), (2, 9)])
@pytest.mark.parametrize("causal", [False, True])
def test_same_bits_on_any_number_of_threads(lead: tuple[int, ...], causal: bool) -> None:
    """Few heads are shared out by blocks, many by heads: the order of sums is one."""
    arguments = (*operands(lead, (200, 150, 24, 40)), (), causal)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(both(native, *arguments))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


def test_an_example_does_not_depend_on_its_batch() -> None:
    """Nor do its gradients, though a small batch is cut into pieces in another way."""
    arguments = operands((20,), (150, 100, 16, 16))
    together = both(native, *arguments, (), True)
    alone = both(native, *[x[7:8] for x in arguments], (), True)
    assert all(same_bits(a[7:8], b) for a, b in zip(together, alone, strict=True))


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_memory_is_linear_in_the_length() -> None:
    """4096 by 4096 scores are 67 MB; the whole of both kernels adds less than 16."""
    q, k, v, u = operands((1,), (4096, 4096, 8, 8))
    params = {"causal": False, "scale": 0.3}
    native("attention", q[:, :64], k[:, :64], v[:, :64], **params)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    y, z = native("attention", q, k, v, **params)
    native("attention_gradient", u, q, k, v, (u * y).sum(-1), z, **params)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_sizes_of_zero() -> None:
    """No keys, no queries, no features: what the formula gives, in a compiled program too."""

    def step(q: Any, k: Any, v: Any) -> Any:
        def loss(*x: Any) -> Any:
            return F.scaled_dot_product_attention(*x, scale=1.0).sum()

        return cr.value_and_grad(loss, (0, 1, 2))(q, k, v)

    for sizes in ((0, 3, 2, 2), (3, 0, 2, 2), (3, 4, 0, 2), (3, 4, 2, 0)):
        arguments = [cr.from_numpy(x) for x in operands((2,), sizes)[:3]]
        value, gradients = cr.compile(step)(*arguments)
        expected, others = step(*arguments)
        np.testing.assert_allclose(value.numpy(), expected.numpy(), 1e-5)
        assert_close([g.numpy() for g in gradients], [g.numpy() for g in others], 1e-6)


def test_layouts_that_have_no_kernel() -> None:
    """Columns apart are copied in order first; half precision runs on the reference."""
    q, k, v, _ = operands((2,), (5, 6, 4, 4))
    params = {"causal": False, "scale": 1.0}
    apart = np.asfortranarray(q[0])[None]
    copied = engine.run_native(registry["attention"], (apart, k[:1], v[:1]), params)
    lying = engine.run_native(registry["attention"], (q[:1], k[:1], v[:1]), params)
    for y, same in zip(copied, lying, strict=True):
        assert y.tobytes() == same.tobytes()
    half = tuple(x.astype(np.float16) for x in (q, k, v))
    assert engine.run_native(registry["attention"], half, params) is None


def test_compiled_training_equals_the_references() -> None:
    """Through the public function, gradients and all, on the engine and on NumPy."""
    x = cr.from_numpy(np.random.default_rng(0).normal(size=(2, 40, 3 * 24)).astype(np.float32))

    def loss_and_gradient(x: Any) -> Any:
        def loss(x: Any) -> Any:
            parts = [p.reshape(2, 40, 3, 8).transpose(1, 2) for p in x.split(24, 2)]
            return (F.scaled_dot_product_attention(*parts, is_causal=True) ** 2).sum()

        return cr.value_and_grad(loss)(x)

    fast = cr.compile(loss_and_gradient)
    value, gradient = fast(x)
    assert "NumPy references" not in fast.executables[0].report()
    with settings.use(engine="numpy"):
        slow = cr.compile(loss_and_gradient)(x)
    np.testing.assert_allclose(value.numpy(), slow[0].numpy(), 1e-5)
    np.testing.assert_allclose(gradient.numpy(), slow[1].numpy(), 0, 1e-5)


def test_no_gradient_is_minus_zero() -> None:
    """Products that underflow to −0 are added to 0: the gradient may be part of a sum of slices."""
    assert registry["attention_gradient"].positive_zeros
    rng = np.random.default_rng(0)
    u, q, k, v = (rng.normal(size=(2, 9, 5)).astype("f4") * 1e-30 for _ in range(4))
    delta, level = rng.normal(size=(2, 9)) * 1e-30, np.full((2, 9), np.log(9.0))
    operands = (u, q, k, v, delta.astype("f4"), level.astype("f4"))
    for causal in (False, True):
        for compute in (native, reference):
            for g in compute("attention_gradient", *operands, causal=causal, scale=0.5):
                assert not np.signbit(g[g == 0]).any()
