"""Recurrences and their gradients: any sizes and layouts, the same bits on any threads."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import INSTRUCTION_SETS, THREADS, native, reference, same_bits, ulps

import chainrule as cr
from chainrule import engine, nn
from chainrule.graph import as_tuple
from chainrule.primitive import registry

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
KINDS = [
    ("lstm", {}),
    ("gru", {}),
    ("rnn", {"nonlinearity": "tanh"}),
    ("rnn", {"nonlinearity": "relu"}),
]
SIZES = [  # T, N, H
    (1, 1, 1),
    (5, 1, 1),
    (1, 3, 2),
    (4, 1, 5),
    (3, 2, 16),
    (2, 15, 17),
    (6, 29, 33),
    (7, 5, 64),
    (3, 67, 8),
    (2, 3, 130),
    (4, 6, 47),
]


def inputs(name: str, size: Any, dtype: Any) -> list[Any]:
    """Operands of the recurrence: p, W[, b], h₀[, c₀]."""
    steps, examples, hidden = size
    rng, gates = np.random.default_rng(3), GATES[name]
    shapes: list[Any] = [(steps, examples, gates * hidden), (gates * hidden, hidden)]
    shapes += [(gates * hidden,)] if name == "gru" else []
    shapes += [(examples, hidden)] * (2 if name == "lstm" else 1)
    arrays = [rng.normal(size=s) for s in shapes]
    arrays[1] /= np.sqrt(hidden)
    return [a.astype(dtype) for a in arrays]


def gradient_inputs(name: str, arrays: list[Any], params: Any, extra: int) -> list[Any]:
    """Operands of the gradient, with `extra` of the optional ones."""
    saved = as_tuple(reference(f"{name}_sequence", *arrays, **params))
    rng = np.random.default_rng(4)
    u, *more = [rng.normal(size=x.shape).astype(x.dtype) for x in saved]
    return [u, *arrays[1:], *saved, *more[:extra]]


def both(name: str, size: Any, dtype: Any, params: Any, extra: int, run: Any = native) -> Any:
    """All results of a recurrence and of its gradient."""
    arrays = inputs(name, size, dtype)
    second = gradient_inputs(name, arrays, params, extra)
    return [
        *as_tuple(run(f"{name}_sequence", *arrays, **params)),
        *run(f"{name}_sequence_gradient", *second, **params),
    ]


def close(results: Any, truths: Any) -> None:
    for result, truth in zip(results, truths, strict=True):
        # Sums of up to T·N numbers and functions of a few ulp, carried through T steps.
        limit = 1e-12 if result.dtype == np.float64 else 1e-5
        size = np.abs(truth).max()
        np.testing.assert_allclose(result, truth, rtol=0, atol=limit * max(size, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name, more", KINDS)
def test_equals_reference(name: str, more: Any, size: Any, reverse: bool, dtype: Any) -> None:
    params = {**more, "reverse": reverse}
    for extra in range({"lstm": 3, "gru": 2, "rnn": 1}[name]):
        close(
            both(name, size, dtype, params, extra),
            both(name, size, dtype, params, extra, run=reference),
        )


@pytest.mark.parametrize("isa", INSTRUCTION_SETS[1:])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, more", KINDS)
def test_other_instruction_sets(name: str, more: Any, dtype: Any, isa: str) -> None:
    engine.use_instruction_set(isa)
    for size in SIZES:
        params = {**more, "reverse": False}
        close(
            both(name, size, dtype, params, 1 % GATES[name]),
            both(name, size, dtype, params, 1 % GATES[name], run=reference),
        )


@pytest.mark.parametrize("size", [(9, 61, 40), (30, 64, 64)])
@pytest.mark.parametrize("name, more", KINDS)
def test_threads_do_not_matter(name: str, more: Any, size: Any) -> None:
    results = []
    for threads in (*THREADS, 2):
        engine.set_num_threads(threads)
        results.append(both(name, size, np.float32, {**more, "reverse": True}, 0))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(other, results[0], strict=True))


@pytest.mark.parametrize("part", [slice(4, 5), slice(2, 33), slice(60, 61)])
@pytest.mark.parametrize("name, more", KINDS)
def test_the_rest_of_the_batch_does_not_matter(name: str, more: Any, part: slice) -> None:
    params, size = {**more, "reverse": False}, (5, 61, 37)
    arrays = inputs(name, size, np.float32)
    second = gradient_inputs(name, arrays, params, 1 % GATES[name])

    def cut(x: Any) -> Any:
        """Of some examples: (T, N, F) and (N, H), but neither weights nor a bias."""
        return x[:, part].copy() if x.ndim == 3 else x[part] if len(x) == size[1] else x

    def same(a: Any, b: Any) -> None:
        assert all(same_bits(x, cut(y)) for x, y in zip(a, b, strict=True) if len(y) in size[:2])

    for kind, given in (("", arrays), ("_gradient", second)):
        whole = as_tuple(native(f"{name}_sequence{kind}", *given, **params))
        same(as_tuple(native(f"{name}_sequence{kind}", *map(cut, given), **params)), whole)


@pytest.mark.parametrize("name, more", KINDS)
def test_sequences_are_read_where_they_lie(name: str, more: Any) -> None:
    """(N, T, F) seen as (T, N, F), one step for all, states in a larger array, W transposed."""
    params = {**more, "reverse": False}
    arrays = inputs(name, (4, 7, 19), np.float32)
    second = gradient_inputs(name, arrays, params, 1 % GATES[name])

    def moved(x: Any) -> Any:
        order = (1, 0, 2) if x.ndim == 3 else (1, 0) if x.shape[0] != 7 else None
        if x.ndim == 1:
            return x
        if order is None:
            return np.repeat(x, 2, axis=0)[::2]
        return np.ascontiguousarray(x.transpose(order)).transpose(order)

    saved = 2 + len(arrays) - 1  # h and what follows it were made by the engine: they lie in order
    whole = as_tuple(native(f"{name}_sequence", *arrays, **params))
    again = as_tuple(native(f"{name}_sequence", *map(moved, arrays), **params))
    assert all(same_bits(a, b) for a, b in zip(again, whole, strict=True))
    views = [moved(x) if i < saved - 1 else x for i, x in enumerate(second)]
    whole = native(f"{name}_sequence_gradient", *second, **params)
    again = native(f"{name}_sequence_gradient", *views, **params)
    assert all(same_bits(a, b) for a, b in zip(again, whole, strict=True))
    views[0] = np.broadcast_to(second[0][:1], second[0].shape)
    whole = native(f"{name}_sequence_gradient", views[0].copy(), *second[1:], **params)
    again = native(f"{name}_sequence_gradient", *views, **params)
    assert all(same_bits(a, b) for a, b in zip(again, whole, strict=True))


def test_layouts_without_a_kernel() -> None:
    """Columns apart are copied in order first; nothing to walk over is the reference's."""
    arrays = inputs("rnn", (2, 3, 4), np.float32)
    params = {"nonlinearity": "tanh", "reverse": False}
    columns = np.repeat(arrays[0], 2, axis=2)[..., ::2]
    primitive = registry["rnn_sequence"]
    for y, same in zip(
        engine.run_native(primitive, (columns, *arrays[1:]), params),
        engine.run_native(primitive, (*arrays,), params),
        strict=True,
    ):
        assert y.tobytes() == same.tobytes()
    none = (arrays[0][:, :0], arrays[1], arrays[2][:0])
    assert engine.run_native(primitive, none, params) is None


@pytest.mark.parametrize("name, more", KINDS)
def test_large_and_odd_numbers(name: str, more: Any) -> None:
    """Gates are shut or open, and NaN stays in its example."""
    params = {**more, "reverse": False}
    arrays = inputs(name, (3, 4, 5), np.float32)
    arrays[0][0, 1] *= 1e4
    arrays[0][1, 2, 3] = np.nan
    if name != "rnn":
        arrays[0][0, 0] = np.inf
    with np.errstate(all="ignore"):
        expected = as_tuple(reference(f"{name}_sequence", *arrays, **params))
    for y, truth in zip(
        as_tuple(native(f"{name}_sequence", *arrays, **params)), expected, strict=True
    ):
        np.testing.assert_allclose(y, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_within_four_units_in_the_last_place(dtype: Any) -> None:
    """With no weights the first state of a plain network is tanh p, and a GRU's r is σ(p)."""
    x = np.concatenate([np.linspace(-30, 30, 4001), np.logspace(-9, 0, 500), [0, 1e30, -1e30]])
    x = np.concatenate([x, -x]).astype(dtype)
    wide = x.astype(np.longdouble)
    zero = np.zeros((len(x), 1), dtype)
    params = {"nonlinearity": "tanh", "reverse": False}
    y = native("rnn_sequence", x.reshape(1, -1, 1), zero[:1], zero, **params)
    assert ulps(y.ravel(), np.tanh(wide)).max() <= 4
    p = np.repeat(x, 3).reshape(1, -1, 3)
    gates = native("gru_sequence", p, zero[:3], zero[:3, 0], zero, reverse=False)[1]
    inside = np.abs(x) < 87
    with np.errstate(over="ignore"):
        truth = 1 / (1 + np.exp(-wide))
    assert ulps(gates[0, inside, 0], truth[inside]).max() <= 4
    np.testing.assert_allclose(gates[0, :, 0], truth.astype(dtype), rtol=0, atol=2e-7)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_compiled_step_runs_natively(layer: Any, bidirectional: bool) -> None:
    model = layer(5, 11, batch_first=True, bidirectional=bidirectional)
    optimizer = cr.optim.SGD(model.parameters(), lr=0.1)

    @cr.compile
    def step(x: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = model(x)[0][:, -1].square().mean()
        loss.backward()
        optimizer.step()
        return loss

    step(cr.zeros(3, 6, 5))
    assert "NumPy references" not in step.executables[0].plan.describe()
