"""Optimizer sweeps, random numbers, indexing and copies."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, reference, same_bits

from chainrule import engine
from chainrule.engine import Instruction, Program, external
from chainrule.engine.evaluate import prepared
from chainrule.engine.layout import layout_of, native_call
from chainrule.errors import OutOfRangeError
from chainrule.graph import as_tuple
from chainrule.primitive import Spec, registry


def run(op: Any, arrays: Any, inputs: Any, outputs: Any, **params: Any) -> None:
    views = [external(i, a.shape, a.dtype) for i, a in enumerate(arrays)]
    slots = [Spec(a.shape, a.dtype) for a in arrays]
    Program([Instruction(op, inputs, outputs, params)], views, slots).run(list(arrays))


def rand(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(5).normal(size=shape).astype(dtype)


FLAGS = {  # rule → its flags, with the states that come after its numbers
    "sgd_update": [({"maximize": m}, 0) for m in (False, True)],
    "momentum_update": [({"nesterov": n, "maximize": n}, 0) for n in (False, True)],
    "adam_update": [
        ({"decoupled": d, "maximize": d}, top) for d in (False, True) for top in (0, 1)
    ],
    "rmsprop_update": [
        ({"centered": c, "maximize": m}, c + b)
        for c in (False, True)
        for m in (False, True)
        for b in (0, 1)
    ],
    "adagrad_update": [({"maximize": m}, 0) for m in (False, True)],
}
NUMBERS = {
    "step": 0,
    "lr": 0.01,
    "momentum": 0.9,
    "dampening": 0.2,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "alpha": 0.99,
    "lr_decay": 0.05,
}


def close(results: Any, expected: Any) -> None:
    """The new weights to a few roundings, and all state bit for bit.

    A kernel takes the factors that all weights share out of its sweep; the reference multiplies
    in the order of the formula: six roundings of a step that is at most some tenths here.
    """
    eps = np.finfo(results[0].dtype).eps
    np.testing.assert_allclose(results[0], expected[0], rtol=eps, atol=eps)
    for r, e in zip(results[1:], expected[1:], strict=True):
        assert same_bits(r, e)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 17, 1000, 100_003])
@pytest.mark.parametrize("rule, flags, more", [(r, *f) for r, fs in FLAGS.items() for f in fs])
def test_update_rules_equal_their_references(
    rule: str, flags: Any, more: int, n: int, dtype: Any, decay: float
) -> None:
    names = registry[rule].inputs[2:]
    names = names[: registry[rule].variadic_from - 2] if more else names
    for threads in THREADS:
        engine.set_num_threads(threads)
        values = {x: np.array(v) for x, v in {**NUMBERS, "weight_decay": decay}.items()}
        w, last = rand(n, dtype=dtype), [np.zeros(n, dtype) for _ in range(more)]
        states = {x: np.zeros(n, dtype) for x in names if x not in values}
        for t in range(3):
            g = np.cos(w * (t + 1)).astype(dtype)
            given = {**values, **states, "step": np.array(t)}
            inputs = (w, g, *[given[x] for x in names if x in given], *last)
            result = as_tuple(native(rule, *inputs, **flags))
            close(result, reference(rule, *inputs, **flags))
            w, *new = [y for y in result if y.dtype != np.int64]
            states, last = dict(zip(states, new, strict=False)), new[len(states) :]


@pytest.mark.parametrize("rule", ["adam_update", "rmsprop_update", "adagrad_update"])
def test_special_numbers_in_a_second_moment(rule: str) -> None:
    """Where it is 0, infinite or NaN, the step is that of the reference."""
    last = registry[rule].variadic_from
    names, flags = registry[rule].inputs[2 : last if last > 0 else None], FLAGS[rule][0][0]
    numbers = {x: np.array(v) for x, v in {**NUMBERS, "weight_decay": 0.0}.items()}
    for value in (0.0, 1e-19, 1e19, 1e30, np.inf, np.nan):
        states = {x: np.zeros(40, np.float32) for x in names if x not in numbers}
        given = {**numbers, "momentum": np.array(0.0), **states}
        inputs = (rand(40), np.full(40, value, np.float32), *[given[x] for x in names])
        with np.errstate(all="ignore"):
            expected = reference(rule, *inputs, **flags)
        close(as_tuple(native(rule, *inputs, **flags)), expected)


def test_update_in_place() -> None:
    """A program updates weights, state and counter where they are."""
    w, g, m, v = (abs(rand(1000)) for _ in range(4))
    step, lr, betas = np.array(4), np.array(0.1), np.array((0.9, 0.99))
    arrays = [w, g, m, v, step, lr, betas, np.array(1e-8), np.array(0.01)]
    flags = {"decoupled": True, "maximize": False}
    expected = reference("adam_update", *arrays, **flags)
    run(registry["adam_update"], arrays, range(9), (0, 2, 3, 4), **flags)
    close((w, m, v, step), expected)


@pytest.mark.parametrize("n", [0, 1, 4, 5, 999, 20_001])
@pytest.mark.parametrize("state", [(0, 0), (7, 3), (-1, 2**62), (-(2**63), -3), (5, -1), (9, -2)])
def test_random_numbers_are_those_of_numpy(state: Any, n: int) -> None:
    """Raw words and uniform numbers, bit for bit, across the carry of the counter too."""
    words = np.zeros(n, np.int64)
    array = np.array(state)
    layouts = [layout_of(array)], [layout_of(words)]
    prepared(native_call("random_uniform", *layouts), *layouts).run([array, words])
    key, counter = (np.array([int(s) % 2**64, 0, 0, 0], np.uint64) for s in state)
    numpy = np.random.Philox(key=key[:2], counter=counter).random_raw(n)
    np.testing.assert_array_equal(words.view(np.uint64), numpy)
    for dtype in (np.float32, np.float64):
        params = {"shape": (n,), "dtype": np.dtype(dtype)}
        for threads in THREADS:
            engine.set_num_threads(threads)
            assert same_bits(
                native("random_uniform", array, **params),
                reference("random_uniform", array, **params),
            )


def test_embedding() -> None:
    table, index = rand(50, 33), np.random.default_rng(1).integers(-50, 50, (20, 40))
    params = {"index": ("tensor",)}
    assert same_bits(native("take", table, index, **params), table[index])
    assert same_bits(
        native("embedding", abs(index) % 50, table, padding=None), table[abs(index) % 50]
    )
    with pytest.raises(OutOfRangeError, match="index"):
        native("embedding", index, table, padding=None)
    g = rand(20, 40, 33)
    results = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        results.append(native("put_into", g, index, shape=(50, 33), **params))
    assert same_bits(results[0], reference("put_into", g, index, shape=(50, 33), **params))
    assert all(same_bits(r, results[0]) for r in results)


@pytest.mark.parametrize("bad", [50, -51, 2**62, -(2**63)])
def test_indices_are_checked(bad: int) -> None:
    index = np.zeros((3, 4), np.int64)
    index[1, 2] = bad
    with pytest.raises(OutOfRangeError, match=f"index {bad} at position 6"):
        native("take", rand(50, 33), index, index=("tensor",))
    with pytest.raises(OutOfRangeError, match=f"index {bad} at position 6"):
        native("embedding", index, rand(50, 33), padding=None)
    with pytest.raises(OutOfRangeError, match=f"index {bad} at position 6"):
        native("put_into", rand(3, 4, 33), index, index=("tensor",), shape=(50, 33))
    with pytest.raises(OutOfRangeError, match=f"index {bad} at position 6"):
        native("scatter_add", rand(3, 4), index, shape=(3, 50), dim=1)


def test_scatter_adds_repeats() -> None:
    x, index = rand(60, 30), np.random.default_rng(1).integers(0, 9, (60, 30))
    params = {"shape": (60, 9), "dim": 1}
    assert same_bits(
        native("scatter_add", x, index, **params), reference("scatter_add", x, index, **params)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])
def test_copies_of_any_view(dtype: Any) -> None:
    x = (rand(37, 70, 5) * 100).astype(np.int64).astype(dtype)  # a negative float is no uint8
    for view in (x, x.T, x[::-1, 3:, ::2], x.transpose(1, 2, 0), x[:, :1], x[0, 0, 0]):
        assert same_bits(native("clone", view), np.array(view, order="C"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_die_out(dtype: Any) -> None:
    """Multiplied by 0.9 again and again they reach 0, and do not stay below the normal numbers."""
    w, zero, small = np.ones(40, dtype), np.zeros(40, dtype), np.finfo(dtype).tiny
    m = v = np.full(40, small * 1.05, dtype)
    numbers = [np.array(x) for x in (4, 0.1, (0.9, 0.9), 1e-8, 0.0)]
    flags = {"decoupled": False, "maximize": False}
    for update in (native, reference):
        _, m_next, v_next, _ = update("adam_update", w, zero, m, v, *numbers, **flags)
        assert not m_next.any() and not v_next.any()
        _, m_next, _, _ = update("adam_update", w, zero, 2 * m, v, *numbers, **flags)
        assert (m_next > small).all()
