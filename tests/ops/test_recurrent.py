"""Recurrences against their formulas, one step, example and unit after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from chainrule.ops.recurrent import gru_sequence, lstm_sequence, rnn_sequence

STEPS, EXAMPLES, HIDDEN = 4, 3, 2
GATES = {"lstm_sequence": 4, "gru_sequence": 3, "rnn_sequence": 1}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def lstm_step(a, h, c):
    """One unit: the pre-activations of i, f, g, o, and its own state."""
    i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), math.tanh(a[2]), sigmoid(a[3])
    c = f * c + i * g
    return o * math.tanh(c), c


def states_by_hand(name, p, w, *rest, reverse, nonlinearity="tanh"):
    """The states of every step with Python numbers, unit by unit."""
    gates, hidden = GATES[name], w.shape[1]
    bias = rest[0] if name == "gru_sequence" else np.zeros(gates * hidden)
    h = rest[name == "gru_sequence"].copy()
    c = rest[1].copy() if name == "lstm_sequence" else np.zeros_like(h)
    hs, cs = np.zeros((2, len(p), *h.shape))
    for t in reversed(range(len(p))) if reverse else range(len(p)):
        past = h.copy()
        for n, j in np.ndindex(*h.shape):
            rows = [g * hidden + j for g in range(gates)]
            u = [sum(w[r, k] * past[n, k] for k in range(hidden)) + bias[r] for r in rows]
            x = [p[t, n, r] for r in rows]
            if name == "lstm_sequence":
                a = [x_ + u_ for x_, u_ in zip(x, u, strict=True)]
                h[n, j], c[n, j] = lstm_step(a, past[n, j], c[n, j])
            elif name == "gru_sequence":
                r, z = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1])
                h[n, j] = (1 - z) * math.tanh(x[2] + r * u[2]) + z * past[n, j]
            else:
                a = x[0] + u[0]
                h[n, j] = math.tanh(a) if nonlinearity == "tanh" else max(a, 0.0)
        hs[t], cs[t] = h, c
    return hs, cs


def inputs_of(name, rng, dtype=np.float64):
    gates = GATES[name]
    shapes = [(STEPS, EXAMPLES, gates * HIDDEN), (gates * HIDDEN, HIDDEN)]
    shapes += [(gates * HIDDEN,)] if name == "gru_sequence" else []
    shapes += [(EXAMPLES, HIDDEN)] * (2 if name == "lstm_sequence" else 1)
    return [rng.normal(size=s).astype(dtype) for s in shapes]


OPS = [
    (lstm_sequence, "lstm_sequence", {}),
    (gru_sequence, "gru_sequence", {}),
    (rnn_sequence, "rnn_sequence", {"nonlinearity": "tanh"}),
    (rnn_sequence, "rnn_sequence", {"nonlinearity": "relu"}),
]
ops = pytest.mark.parametrize(("op", "name", "options"), OPS)
directions = pytest.mark.parametrize("reverse", [False, True])


def states(result):
    return result[0] if isinstance(result, tuple) else result


@ops
@directions
def test_every_state_is_what_the_formula_says(op, name, options, reverse):
    xs = inputs_of(name, np.random.default_rng(0))
    result = op(*map(cr.tensor, xs), reverse=reverse, **options)
    hs, cs = states_by_hand(name, *xs, reverse=reverse, **options)
    # Both in float64; the sums are of two numbers.
    np.testing.assert_allclose(states(result), hs, rtol=1e-12, atol=1e-14)
    if name == "lstm_sequence":
        np.testing.assert_allclose(result[1], cs, rtol=1e-12, atol=1e-14)


@ops
@directions
def test_gradients_of_all_outputs(op, name, options, reverse):
    """By finite differences, each output alone and all together: states, cells, saved gates."""
    xs = [cr.tensor(x) for x in inputs_of(name, np.random.default_rng(1))]
    count = {"lstm_sequence": 3, "gru_sequence": 2, "rnn_sequence": 1}[name]
    if options.get("nonlinearity") == "relu":
        xs[0] = xs[0].abs() + 3.0  # away from the kink
        xs[1] = xs[1].abs() * 0.1
    assert cr.gradcheck(lambda *x: op(*x, reverse=reverse, **options), xs)
    for i in range(count if count > 1 else 0):
        assert cr.gradcheck(lambda *x, i=i: op(*x, reverse=reverse, **options)[i], xs)


@ops
def test_backwards_in_time_is_forwards_on_the_reversed_sequence(op, name, options):
    xs = [cr.tensor(x) for x in inputs_of(name, np.random.default_rng(2))]
    backwards = states(op(*xs, reverse=True, **options))
    forwards = states(op(xs[0].flip(0), *xs[1:], reverse=False, **options)).flip(0)
    assert backwards.numpy().tobytes() == forwards.numpy().tobytes()


@ops
def test_a_long_sequence_of_large_inputs_stays_finite(op, name, options):
    """e⁻ˣ overflows in float32 at −89; the gates are then 0, and their slopes too."""
    p, w, *rest = inputs_of(name, np.random.default_rng(3), np.float32)
    p = np.repeat(np.sign(p), 50, axis=0) * 1e4
    w = np.zeros_like(w) if options.get("nonlinearity") == "relu" else w
    xs = [cr.tensor(x, requires_grad=True) for x in (p, w, *rest)]
    states(op(*xs, reverse=False, **options)).mean().backward()
    for x in xs:
        assert np.isfinite(x.grad.numpy()).all()


@ops
def test_a_second_derivative_is_refused(op, name, options):
    xs = [cr.tensor(x, requires_grad=True) for x in inputs_of(name, np.random.default_rng(4))]
    loss = states(op(*xs, reverse=False, **options)).square().sum()
    (g,) = cr.gradients([loss], xs[:1], create_graph=True)
    with pytest.raises(NotDifferentiableError, match=f"{name}_gradient` has no derivative"):
        g.sum().backward()


@ops
def test_errors(op, name, options):
    p, w, *rest = (cr.tensor(x) for x in inputs_of(name, np.random.default_rng(5)))
    params = {"reverse": False, **options}
    with pytest.raises(ShapeError, match="projected inputs"):
        op(p[:, :, 1:], w, *rest, **params)
    with pytest.raises(ShapeError, match="projected inputs"):
        op(p[0], w, *rest, **params)
    with pytest.raises(ShapeError, match=r"state .* another shape"):
        op(p, w, *rest[:-1], rest[-1][1:], **params)
    with pytest.raises(ArgumentError, match="no time steps"):
        op(p[:0], w, *rest, **params)
    with pytest.raises(DTypeError, match="one dtype"):
        op(p.float(), w, *rest, **params)
    with pytest.raises(DTypeError, match="real numbers"):
        op(*[x.int() for x in (p, w, *rest)], **params)


def test_an_unknown_nonlinearity_is_refused():
    xs = [cr.tensor(x) for x in inputs_of("rnn_sequence", np.random.default_rng(6))]
    with pytest.raises(ArgumentError, match="unknown nonlinearity"):
        rnn_sequence(*xs, nonlinearity="sigmoid", reverse=False)


def test_the_bias_of_a_gru_fits_its_weights():
    p, w, b, h = (cr.tensor(x) for x in inputs_of("gru_sequence", np.random.default_rng(7)))
    with pytest.raises(ShapeError, match="bias of a gru"):
        gru_sequence(p, w, b[1:], h, reverse=False)


def test_gradients_reach_only_the_outputs_that_are_used():
    """Of a recurrence whose states alone are used, the derivative takes no zeros for the rest."""
    xs = [
        cr.tensor(x, requires_grad=True)
        for x in inputs_of("lstm_sequence", np.random.default_rng(8))
    ]

    def gradient(*x):
        x = [a.detach().requires_grad_() for a in x]
        return cr.gradients([lstm_sequence(*x, reverse=False)[0].sum()], x)

    graph = cr.trace(gradient)(*[x.spec for x in xs]).graph
    call = next(e for e in graph.equations if e.primitive.name == "lstm_sequence_gradient")
    assert len(call.inputs) == 7
