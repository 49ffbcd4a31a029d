"""One sweep over the registry: what every op promises, on every one of its samples.

The samples are part of the op's record, so an op that is written tomorrow is tested tomorrow.
Everything runs under `Strict`, an interpreter that looks at each single op on the way, those of
the derivatives too. Values against independent formulas are in test_references.py.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings

import numpy as np
import pytest

import chainrule as cr
import chainrule.ops
import chainrule.optim
from chainrule import settings
from chainrule.autograd import AnomalyDetector
from chainrule.compiler.passes.dead import may_raise
from chainrule.errors import ChainruleError, NotDifferentiableError
from chainrule.graph import as_tuple
from chainrule.primitive import Primitive, Spec, registry

for _module in pkgutil.iter_modules(chainrule.ops.__path__):
    importlib.import_module(f"chainrule.ops.{_module.name}")

FLOATS = [np.dtype(name) for name in ("float16", "float32", "float64")]


def samples(name):
    """The samples of an op, the same in every test."""
    make = registry[name].samples
    return list(make(np.random.Generator(np.random.Philox(key=[1, 0])))) if make else []


CASES = [
    pytest.param(name, inputs, params, id=f"{name}-{i}")
    for name in sorted(registry)
    for i, (inputs, params) in enumerate(samples(name))
]
sweep = pytest.mark.parametrize(("name", "inputs", "params"), CASES)


class Strict(AnomalyDetector):
    """Evaluates, and checks what every op promises: specs, inputs unharmed, no warnings."""

    def run(self, primitive, inputs, params):
        arrays = [x._data for x in inputs]
        copies = [a.copy() for a in arrays]
        frozen = [a.view() for a in arrays]
        for a in frozen:
            a.flags.writeable = False
        derived = as_tuple(primitive.infer(*arrays, **params))
        with np.errstate(all="raise"), warnings.catch_warnings():
            warnings.simplefilter("error")
            result = primitive.forward(*frozen, **params)
        outputs = [np.asarray(y) for y in as_tuple(result)]
        assert [Spec(s.shape, s.dtype) for s in derived] == [
            Spec(y.shape, y.dtype) for y in outputs
        ], f"`{primitive.name}` does not give what its rule derives"
        for before, after in zip(copies, arrays, strict=True):
            assert before.tobytes() == after.tobytes(), f"`{primitive.name}` changed an input"
        if not primitive.view:
            shared = any(np.may_share_memory(y, a) for y in outputs for a in arrays)
            assert not shared, f"`{primitive.name}` gives a view and its record does not say so"
        return result


def strictly():
    return settings.use(interpreter=Strict())


def floating(inputs):
    return [np.asarray(x).dtype.kind == "f" for x in inputs]


def tensors(inputs, dtype=None, requires_grad=False):
    """Tensors of the sample, its floating inputs in `dtype`."""
    made = []
    for x in inputs:
        x = np.asarray(x)
        if x.dtype.kind == "f":
            made.append(cr.Tensor(x.astype(dtype or x.dtype), requires_grad))
        else:
            made.append(cr.Tensor(x.copy()))
    return made


def run(name, xs, params):
    """All outputs of an op."""
    return as_tuple(Primitive.gateway(name, *xs, **params))


def gradients(name, xs, params):
    """The gradients of Σ outputs by the floating inputs."""
    ys = [y for y in run(name, xs, params) if y.requires_grad]
    active = [x for x in xs if x.requires_grad]
    return cr.gradients(ys, active, [cr.ones_like(y) for y in ys], allow_unused=True)


def test_every_op_brings_samples_and_a_formula():
    own = {n: op for n, op in registry.items() if op.__module__.startswith("chainrule.")}
    assert len(own) > 100
    for name, op in own.items():
        assert samples(name), f"`{name}` has no samples"
        assert op.formula.strip(), f"`{name}` has no formula"


@sweep
def test_dtype_is_kept_and_the_rule_is_true(name, inputs, params):
    """In each floating dtype; a result that is floating has the inputs' dtype or the one asked."""
    for dtype in FLOATS:
        xs = tensors(inputs, dtype)
        with strictly():
            ys = run(name, xs, params)
        if any(floating(inputs)) and "dtype" not in params:
            assert all(y.dtype == dtype for y in ys if y.dtype.kind == "f")


def whole(x, dtype):
    return np.nan_to_num(np.abs(x), posinf=9).astype(dtype)


@sweep
def test_integers_and_booleans_follow_the_rule_or_are_refused(name, inputs, params):
    for dtype in ("int64", "uint8", "bool"):
        xs = [
            cr.Tensor(np.asarray(whole(x, dtype) if is_float else x))
            for x, is_float in zip(inputs, floating(inputs), strict=True)
        ]
        try:
            with strictly():
                run(name, xs, params)
        except ChainruleError as error:
            assert not isinstance(error, NotDifferentiableError)


def strided(x):
    wide = np.empty((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    return wide[..., 0, None].reshape(x.shape)  # of a 0-d input still an array


def backwards(x):
    every = (slice(None, None, -1),) * x.ndim
    return x[every].copy()[every]


def misaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


LAYOUTS = {
    "strided": strided,
    "backwards": backwards,
    "fortran": np.asfortranarray,
    "misaligned": misaligned,
}


@sweep
def test_layout_of_memory_does_not_matter(name, inputs, params):
    expected = [y.numpy() for y in run(name, tensors(inputs), params)]
    for layout in LAYOUTS.values():
        xs = [cr.from_numpy(layout(x) if np.ndim(x) else np.asarray(x)) for x in inputs]
        with strictly():
            found = [y.numpy() for y in run(name, xs, params)]
        for a, b in zip(expected, found, strict=True):
            # The order in which NumPy adds depends on strides: a few roundings of float64.
            np.testing.assert_allclose(b, a, rtol=1e-13, atol=1e-13)


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0]


@sweep
def test_infinities_and_nan_neither_warn_nor_crash(name, inputs, params):
    """Nor do the largest numbers. An op may refuse them, with an error of ours."""
    rng = np.random.default_rng(0)
    for dtype in FLOATS:
        pool = np.array([*SPECIAL, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
        odd = [
            rng.choice(pool, np.shape(x)) if is_float and not setting(x, inputs) else x
            for x, is_float in zip(inputs, floating(inputs), strict=True)
        ]
        xs = tensors(odd, dtype, requires_grad=True)
        try:
            with strictly():
                if registry[name].vjp is None or not any(x.requires_grad for x in xs):
                    run(name, xs, params)
                else:
                    gradients(name, xs, params)
        except ChainruleError:
            assert refuses_numbers(name, xs, params), "only an op that says so may refuse numbers"


@sweep
def test_an_op_that_refuses_integers_says_so(name, inputs, params):
    rng = np.random.default_rng(0)
    pool = np.array([-(2**62), -7, -1, 0, 1, 2**62])
    given = [np.asarray(x) for x in inputs]
    for kinds in ("iu", "iuf"):
        xs = [cr.tensor(rng.choice(pool, x.shape) if x.dtype.kind in kinds else x) for x in given]
        try:
            registry[name].infer(*xs, **params)
        except ChainruleError:
            continue  # no op of integers
        try:
            run(name, xs, params)
        except ChainruleError:
            assert refuses_numbers(name, xs, params)


def refuses_numbers(name, xs, params):
    """Whether an op may refuse numbers: the compiler then runs it even if its result is unused."""
    specs = [cr.spec(*x.shape, dtype=x.dtype) for x in xs]
    graph = cr.trace(lambda *xs: run(name, xs, params))(*specs).graph
    return any(e.primitive is registry[name] and may_raise(e) for e in graph.equations)


def setting(x, inputs):
    """Whether an input is a setting, such as a learning rate: smaller, and beside many others."""
    return len(inputs) > 3 and np.ndim(x) < max(np.ndim(inputs[0]), 1)


def as_function(name, params):
    return lambda *xs: Primitive.gateway(name, *xs, **params)


def differentiable(name, inputs, params):
    """Whether the op has a derivative, and anything to differentiate."""
    ys = run(name, tensors(inputs, requires_grad=True), params)
    return registry[name].vjp is not None and any(y.requires_grad for y in ys)


DRAWN = {
    "reparameterized_gamma": "x was drawn at this α; tests/distributions has the derivative",
}
"""Ops whose derivative is not that of their formula, and why."""


@sweep
def test_first_derivative(name, inputs, params):
    if differentiable(name, inputs, params) and name not in DRAWN:
        with strictly():
            assert cr.gradcheck(as_function(name, params), tensors(inputs))


NO_SECOND = {
    "incomplete_gamma": "its slope by a is an integral of its own",
    "reparameterized_gamma": "its slope by α is an integral of its own",
}
"""Ops whose derivative has none, in forward mode neither, and why."""
FIRST_ORDER_ONLY = {
    **NO_SECOND,
    "ctc": "all paths of a sequence are one op, and so is its gradient",
    "rnn_sequence": "a whole sequence is one op, and so is its gradient",
    "lstm_sequence": "a whole sequence is one op, and so is its gradient",
    "gru_sequence": "a whole sequence is one op, and so is its gradient",
}
"""Ops whose derivative has no derivative, and why; asking for it is an error (A23)."""


@sweep
def test_second_derivative(name, inputs, params):
    if not differentiable(name, inputs, params):
        return
    if name in FIRST_ORDER_ONLY:
        with pytest.raises(NotDifferentiableError):
            cr.gradgradcheck(as_function(name, params), tensors(inputs))
    else:
        with strictly():
            assert cr.gradgradcheck(as_function(name, params), tensors(inputs))


@sweep
def test_gradients_have_the_dtype_and_shape_of_the_inputs(name, inputs, params):
    if not differentiable(name, inputs, params):
        return
    for dtype in FLOATS:
        xs = tensors(inputs, dtype, requires_grad=True)
        with strictly():
            found = gradients(name, xs, params)
        for x, g in zip([x for x in xs if x.requires_grad], found, strict=True):
            assert g is None or g.spec == x.spec


@sweep
def test_without_a_derivative_the_error_says_so(name, inputs, params):
    if registry[name].vjp is not None:
        return
    xs = tensors(inputs, requires_grad=True)
    for y in run(name, xs, params):
        if y.requires_grad:
            with pytest.raises(NotDifferentiableError, match=f"`{name}` has no derivative"):
                y.sum().backward()


@sweep
def test_the_graph_runs_to_the_same_bits(name, inputs, params):
    """Captured equals eager: the op, and its gradients."""
    if not all(isinstance(x, np.ndarray) for x in inputs):
        pytest.skip("the sample holds numbers that are no arrays")
    for dtype in FLOATS[1:]:
        xs = tensors(inputs, dtype)
        for program in (as_function(name, params), gradient_program(name, inputs, params)):
            eager = cr.tree.flatten(program(*xs))
            captured = cr.tree.flatten(cr.trace(program)(*[x.spec for x in xs])(*xs))
            for a, b in zip(eager, captured, strict=True):
                assert a.spec == b.spec
                assert a.numpy().tobytes() == b.numpy().tobytes()


def gradient_program(name, inputs, params):
    """The op's gradients, as a function of its inputs; the op itself where there are none."""
    if not differentiable(name, inputs, params):
        return as_function(name, params)

    def program(*xs):
        xs = [x.detach().requires_grad_() if x.dtype.kind == "f" else x for x in xs]
        return [g for g in gradients(name, xs, params) if g is not None]

    return program
