"""Transforms and constraints against PyTorch: values, inverses, volumes, shapes, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.distributions import constraints as own_constraints

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

VECTOR = [[-1.5, 0.25, 1.0], [0.5, -3.0, 2.0]]
POSITIVE = [[0.5, 1.0, 3.0], [0.25, 2.0, 9.0]]

TRANSFORMS = {
    # name: (transform, from a library's transforms and a maker of tensors; values)
    "exp": (lambda t, x: t.ExpTransform(), VECTOR),
    "power": (lambda t, x: t.PowerTransform(x(2.5)), POSITIVE),
    "power -1": (lambda t, x: t.PowerTransform(x(-1.0)), POSITIVE),
    "sigmoid": (lambda t, x: t.SigmoidTransform(), VECTOR),
    "tanh": (lambda t, x: t.TanhTransform(cache_size=1), VECTOR),
    "softplus": (lambda t, x: t.SoftplusTransform(), VECTOR),
    "affine": (lambda t, x: t.AffineTransform(1.5, -2.0), VECTOR),
    "affine of tensors": (
        lambda t, x: t.AffineTransform(x([0.0, 1.0, 2.0]), x([3.0, -2.0, 1.0]), 1),
        VECTOR,
    ),
    "abs": (lambda t, x: t.AbsTransform(), VECTOR),
    "softmax": (lambda t, x: t.SoftmaxTransform(), VECTOR),
    "stick breaking": (lambda t, x: t.StickBreakingTransform(), VECTOR),
    "reshape": (lambda t, x: t.ReshapeTransform((2, 3), (6,)), VECTOR),
    "lower cholesky": (lambda t, x: t.LowerCholeskyTransform(), [[1.0, 2.0], [3.0, -4.0]]),
    "positive definite": (lambda t, x: t.PositiveDefiniteTransform(), [[1.0, 2.0], [3.0, -4.0]]),
    "correlations": (lambda t, x: t.CorrCholeskyTransform(), VECTOR),
    "cat": (
        lambda t, x: t.CatTransform([t.ExpTransform(), t.TanhTransform(1)], dim=1, lengths=[2, 1]),
        VECTOR,
    ),
    "cat of vectors": (
        lambda t, x: t.CatTransform(
            [t.ExpTransform(), t.IndependentTransform(t.ExpTransform(), 1)]
        ),
        VECTOR,
    ),
    "stack": (
        lambda t, x: t.StackTransform(
            [t.ExpTransform(), t.SigmoidTransform(), t.identity_transform], -1
        ),
        VECTOR,
    ),
    "independent": (lambda t, x: t.IndependentTransform(t.ExpTransform(), 1), VECTOR),
    "composed": (
        lambda t, x: t.ComposeTransform([t.AffineTransform(0.5, 2.0), t.SigmoidTransform()]),
        VECTOR,
    ),
    "composed of vectors": (
        lambda t, x: t.ComposeTransform([t.AffineTransform(0.5, 2.0), t.StickBreakingTransform()]),
        VECTOR,
    ),
    "inverse": (lambda t, x: t.ExpTransform().inv, POSITIVE),
    "identity": (lambda t, x: t.identity_transform, VECTOR),
}


def array(x):
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


def used(library, name):
    """y, the inverse of y, the volume, the gradient of all of them, and what is no tensor."""
    make, values = TRANSFORMS[name]
    transform = make(
        library.distributions.transforms, lambda v: library.tensor(v, dtype=library.float64)
    )
    x = library.tensor(values, dtype=library.float64, requires_grad=True)
    y = transform(x)
    parts = [y, transform.inv(y + 0.0)]
    try:
        parts.append(transform.log_abs_det_jacobian(x, y))
    except NotImplementedError:
        parts.append(None)
    total = sum((part * (i + 1)).sum() for i, part in enumerate(parts) if part is not None)
    total.backward()
    shapes = tuple(transform.forward_shape((4, *x.shape))), tuple(transform.inverse_shape(y.shape))
    facts = (transform.bijective, transform.domain.event_dim, transform.codomain.event_dim)
    return [*parts, x.grad], (shapes, facts)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    (mine, facts), (theirs, others) = used(cr, name), used(torch, name)
    assert facts == others
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(array(a), array(b), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["exp", "power -1", "affine", "composed", "inverse"])
def test_signs(name):
    make = TRANSFORMS[name][0]
    ours = make(cr.distributions.transforms, cr.tensor).sign
    theirs = make(torch.distributions.transforms, torch.tensor).sign
    assert float(ours) == float(theirs)


CONSTRAINTS = {
    # name: (constraint, of a library's constraints; values)
    "real": (lambda c: c.real, [0.0, math.nan, math.inf]),
    "boolean": (lambda c: c.boolean, [0.0, 1.0, 0.5]),
    "positive": (lambda c: c.positive, [0.0, 1.0, -1.0]),
    "nonnegative": (lambda c: c.nonnegative, [0.0, 1.0, -1.0]),
    "greater_than": (lambda c: c.greater_than(2.0), [2.0, 3.0]),
    "less_than": (lambda c: c.less_than(2.0), [2.0, 1.0]),
    "interval": (lambda c: c.interval(-1.0, 1.0), [-1.0, 1.0, 1.5]),
    "half_open_interval": (lambda c: c.half_open_interval(-1.0, 1.0), [-1.0, 1.0]),
    "unit_interval": (lambda c: c.unit_interval, [0.0, 1.0, 1.5]),
    "integer_interval": (lambda c: c.integer_interval(0, 2), [0.0, 2.0, 0.5, 3.0]),
    "positive_integer": (lambda c: c.positive_integer, [0.0, 1.0, 1.5]),
    "nonnegative_integer": (lambda c: c.nonnegative_integer, [0.0, 1.0, -1.0]),
    "real_vector": (lambda c: c.real_vector, [[0.0, math.nan], [0.0, 1.0]]),
    "independent": (lambda c: c.independent(c.positive, 1), [[0.0, 1.0], [2.0, 1.0]]),
    "simplex": (lambda c: c.simplex, [[0.5, 0.5], [0.5, 0.6], [-0.5, 1.5]]),
    "one_hot": (lambda c: c.one_hot, [[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]),
    "multinomial": (lambda c: c.multinomial(3), [[1.0, 2.0], [2.0, 2.0]]),
    "lower_triangular": (lambda c: c.lower_triangular, [[[1.0, 0.0], [2.0, -1.0]]]),
    "lower_cholesky": (lambda c: c.lower_cholesky, [[[1.0, 0.0], [2.0, -1.0]]]),
    "corr_cholesky": (lambda c: c.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]]]),
    "cat": (lambda c: c.cat([c.positive, c.unit_interval], -1, [2, 1]), [[1.0, -1.0, 0.5]]),
    "stack": (lambda c: c.stack([c.positive, c.unit_interval], -1), [[1.0, 0.5], [-1.0, 2.0]]),
    "symmetric": (lambda c: c.symmetric, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [0.0, 1.0]]]),
    "square": (lambda c: c.square, [[[1.0, 2.0], [2.0, 1.0]]]),
    "positive_definite": (
        lambda c: c.positive_definite,
        [[[2.0, 1.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]]],
    ),
    "positive_semidefinite": (
        lambda c: c.positive_semidefinite,
        [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]],
    ),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(name):
    make, values = CONSTRAINTS[name]
    ours, theirs = make(own_constraints), make(torch.distributions.constraints)
    found = ours.check(cr.tensor(values, dtype=cr.float64))
    wanted = theirs.check(torch.tensor(values, dtype=torch.float64))
    assert found.tolist() == wanted.tolist()
    assert (ours.event_dim, ours.is_discrete) == (theirs.event_dim, theirs.is_discrete)
    assert name in ("real_vector", "independent", "multinomial") or str(ours) == str(theirs)


@pytest.mark.parametrize(
    "name",
    [
        "real",
        "positive",
        "greater_than",
        "less_than",
        "interval",
        "unit_interval",
        "simplex",
        "lower_cholesky",
        "real_vector",
        "independent",
        "positive_definite",
        "stack",
    ],
)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_transforms_to_constraints(name, registry):
    if registry == "biject_to" and name in ("lower_cholesky", "positive_definite"):
        for library in (cr, torch):
            with pytest.raises(NotImplementedError):
                constraint = getattr(library.distributions.constraints, name)
                library.distributions.biject_to(constraint)
        return
    found = []
    for library in (cr, torch):
        constraint = CONSTRAINTS[name][0](library.distributions.constraints)
        transform = getattr(library.distributions, registry)(constraint)
        x = library.tensor([[-1.5, 0.25], [0.5, -3.0]], dtype=library.float64)
        y = transform(x)
        assert constraint.check(y).all()
        found.append([array(y), array(transform.inv(y))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
