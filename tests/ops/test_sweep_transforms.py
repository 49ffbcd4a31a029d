"""The sweep over the registry for `vmap` and `jvp`: what derives from a record's kind is right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.ops.test_sweep import CASES, NO_SECOND, as_function, differentiable, samples

import chainrule as cr
from chainrule.errors import NotDifferentiableError
from chainrule.graph import as_tuple
from chainrule.kinds import Random
from chainrule.primitive import registry

SIZE = 3
sweep = pytest.mark.parametrize(("name", "inputs", "params"), CASES)


def examples(name, inputs, params):
    """SIZE versions of the inputs of a sample: other random numbers, integers in another order."""
    number = next(
        i for i, (xs, p) in enumerate(samples(name)) if same_structure(xs, inputs) and p == params
    )
    versions = []
    for key in range(SIZE):
        rng = np.random.Generator(np.random.Philox(key=[1, key]))
        xs = [np.asarray(x) for x in list(registry[name].samples(rng))[number][0]]
        versions.append([x if x.dtype.kind == "f" else np.roll(x, key) for x in xs])
    return versions


def same_structure(xs, ys):
    return len(xs) == len(ys) and all(map(np.array_equal, xs, ys))


def subsets(n):
    """Which inputs are batched: each alone, all but each, and all; every subset of few."""
    if n <= 3:
        return [s for s in itertools.product((False, True), repeat=n) if any(s)]
    alone = [tuple(i == k for i in range(n)) for k in range(n)]
    return [*alone, *[tuple(not b for b in s) for s in alone], (True,) * n]


def batches(versions):
    """For each subset: the arguments of the function of all examples with in_dims, and the inputs
    of each example. The dimension of the examples is the first, the last, ..."""
    for number, subset in enumerate(subsets(len(versions[0]))):
        args, dims = [], []
        for i, is_batched in enumerate(subset):
            dim = (number + i) % (versions[0][i].ndim + 1)
            columns = [np.asarray(v[i]) for v in versions]
            args.append(cr.Tensor(np.stack(columns, dim) if is_batched else columns[0]))
            dims.append(dim if is_batched else None)
        rows = [
            [cr.Tensor(np.asarray(v[i] if b else versions[0][i])) for i, b in enumerate(subset)]
            for v in versions
        ]
        yield args, tuple(dims), rows


def close(found, expected):
    """Sums over all examples at once round in another order than those of each: some ε of the
    largest number, in float64."""
    for y, parts in zip(as_tuple(found), zip(*map(as_tuple, expected), strict=True), strict=True):
        stacked = np.stack([part.numpy() for part in parts])
        assert y.dtype == stacked.dtype
        np.testing.assert_allclose(y.numpy(), stacked, rtol=1e-10, atol=1e-12)


@sweep
def test_batched_equals_looped(name, inputs, params):
    if isinstance(registry[name].kind, Random):
        return  # in test_vmap.py
    f = as_function(name, params)
    for args, dims, rows in batches(examples(name, inputs, params)):
        close(cr.vmap(f, in_dims=dims)(*args), [f(*row) for row in rows])


def gradients_of(name, inputs, params):
    """The gradients of Σ (outputs)² by the floating inputs, as a function of the inputs."""
    f = as_function(name, params)
    active = tuple(i for i, x in enumerate(inputs) if np.asarray(x).dtype.kind == "f")

    def loss(*xs):
        return sum((y * y).sum() for y in as_tuple(f(*xs)) if y.dtype.kind == "f")

    return cr.grad(loss, active)


@sweep
def test_batched_gradients_equal_looped_ones(name, inputs, params):
    """Of each example, by the derivative of the op under vmap: the ops of derivatives as well."""
    if not differentiable(name, inputs, params):
        return
    f = gradients_of(name, inputs, params)
    for args, dims, rows in batches(examples(name, inputs, params)):
        close(cr.vmap(f, in_dims=dims)(*args), [f(*row) for row in rows])


@sweep
def test_the_rule_of_vmap_has_a_derivative(name, inputs, params):
    """The derivative of all examples together, by the ops of the batching rule."""
    if not differentiable(name, inputs, params):
        return
    f, gradients = as_function(name, params), gradients_of(name, inputs, params)
    for args, dims, rows in batches(examples(name, inputs, params)):
        active = [i for i, x in enumerate(inputs) if np.asarray(x).dtype.kind == "f"]

        def loss(*xs, dims=dims):
            ys = as_tuple(cr.vmap(f, in_dims=dims)(*xs))
            return sum((y * y).sum() for y in ys if y.dtype.kind == "f")

        found = cr.grad(loss, active)(*args)
        expected = [gradients(*row) for row in rows]
        for i, g, parts in zip(active, found, zip(*expected, strict=True), strict=True):
            parts = [part.numpy() for part in parts]
            whole = np.sum(parts, 0) if dims[i] is None else np.stack(parts, dims[i])
            np.testing.assert_allclose(g.numpy(), whole, rtol=1e-10, atol=1e-12)


# -- forward mode ----------------------------------------------------------------------------------


def floats(inputs):
    return [i for i, x in enumerate(inputs) if np.asarray(x).dtype.kind == "f"]


def moving(inputs):
    """Which floating inputs move: all of them, and each alone."""
    places = floats(inputs)
    return [places, *([i] for i in places if len(places) > 1)]


def partial(f, inputs, places):
    """f as a function of the inputs at some places, and these."""
    xs = [cr.Tensor(np.asarray(x)) for x in inputs]

    def part(*moved):
        given = list(xs)
        for i, x in zip(places, moved, strict=True):
            given[i] = x
        return tuple(y for y in as_tuple(f(*given)) if y.dtype.kind == "f")

    return part, [xs[i] for i in places]


def like(xs, rng):
    return [cr.Tensor(rng.normal(size=x.shape)) for x in xs]


def product(xs, ys):
    return sum((x * y).sum().item() for x, y in zip(xs, ys, strict=True))


@sweep
def test_jvp_is_the_transpose_of_vjp(name, inputs, params):
    """⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩ for random u and v: sums of products of either order, in float64."""
    if not differentiable(name, inputs, params):
        return
    rng = np.random.default_rng(0)
    for places in moving(inputs):
        f, xs = partial(as_function(name, params), inputs, places)
        v = like(xs, rng)
        ys, moved = cr.jvp(f, xs, v)
        expected, pull = cr.vjp(f, *xs)
        assert [t.spec for t in moved] == [y.spec for y in ys] == [y.spec for y in expected]
        assert not any(t.requires_grad for t in moved)
        for a, b in zip(ys, expected, strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()
        u = like(ys, rng)
        np.testing.assert_allclose(
            product(u, moved), product(pull(tuple(u)), v), rtol=1e-9, atol=1e-10
        )


@sweep
def test_forward_over_reverse_is_symmetric(name, inputs, params):
    """⟨w, H·v⟩ = ⟨v, H·w⟩ for the Hessian H of Σ y²: the derivatives of the ops of derivatives.

    Recurrences too, whose gradients have no `vjp`.
    """
    if not differentiable(name, inputs, params):
        return
    places, rng = floats(inputs), np.random.default_rng(0)
    f, xs = partial(gradients_of(name, inputs, params), inputs, places)
    v, w = like(xs, rng), like(xs, rng)
    if name in NO_SECOND:
        with pytest.raises(NotDifferentiableError):
            cr.jvp(f, xs, v)
        return
    by_v, by_w = (cr.jvp(f, xs, direction)[1] for direction in (v, w))
    np.testing.assert_allclose(product(w, by_v), product(v, by_w), rtol=1e-8, atol=1e-9)


@sweep
def test_batched_jvp_equals_looped(name, inputs, params):
    if not differentiable(name, inputs, params):
        return
    places, rng = floats(inputs), np.random.default_rng(0)
    f, xs = partial(as_function(name, params), inputs, places)
    directions = [like(xs, rng) for _ in range(SIZE)]
    stacked = [cr.stack(column) for column in zip(*directions, strict=True)]
    found = cr.vmap(lambda *v: cr.jvp(f, xs, v)[1])(*stacked)
    close(found, [cr.jvp(f, xs, v)[1] for v in directions])


@sweep
def test_ops_without_a_derivative_have_no_tangent(name, inputs, params):
    op = registry[name]
    if op.vjp is not None or op.composed is not None or op.tangent is not None:
        return
    if op.kind.linear or not floats(inputs):
        return
    xs = [cr.Tensor(np.asarray(x)) for x in inputs]
    if any(y.dtype.kind == "f" for y in as_tuple(as_function(name, params)(*xs))):
        f, moved = partial(as_function(name, params), inputs, floats(inputs))
        with pytest.raises(NotDifferentiableError, match=f"`{name}` has no derivative"):
            cr.jvp(f, moved, moved)
