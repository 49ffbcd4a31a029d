"""Every family against PyTorch and SciPy: densities, moments, gradients, divergences, samples."""

from __future__ import annotations

import numpy as np
import pytest
from tests.distributions import table

import chainrule as cr
from chainrule.errors import NotDefinedError

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:Singular sample")]
rows = pytest.mark.parametrize("row", table.ROWS, ids=str)


def array(x):
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


def asked(d, quantity, values):
    """A property or method of a distribution, by name."""
    if quantity in ("log_prob", "cdf"):
        return getattr(d, quantity)(values)
    if quantity == "icdf":
        return d.icdf(d.cdf(values))
    found = getattr(d, quantity)
    return found() if callable(found) else found


QUANTITIES = ["log_prob", "cdf", "icdf", "entropy", "mean", "mode", "variance", "stddev"]
QUANTITIES += ["enumerate_support", "perplexity"]


NO_GRADIENT = dict.fromkeys(["Gamma", "Chi2", "InverseGamma"], ("cdf",)) | {
    "Wishart factor": ("log_prob",)
}
"""What has no derivative in PyTorch, or one by the upper half of a lower triangular matrix."""


@rows
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_pytorch_computes(row, quantity):
    """Numbers, dtypes, shapes, and the gradients by the parameters."""
    if quantity in row.wrong:
        return
    results = []
    for library, make in ((cr, cr.tensor), (torch, torch.tensor)):
        tensors = row.tensors(library, requires_grad=True)
        values = make(np.array(row.values, np.float64).tolist(), dtype=library.float64)
        try:
            found = asked(row.make(library, tensors), quantity, values)
        except NotImplementedError:
            found = None
        results.append((found, tensors))
    (ours, mine), (theirs, other) = results
    if theirs is None:
        return
    assert ours is not None, f"PyTorch has {quantity}"
    assert (ours.shape, str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype)[6:])
    np.testing.assert_allclose(array(ours), array(theirs), rtol=row.close, atol=1e-11)
    if quantity in ("mode", *NO_GRADIENT.get(str(row), ())) or not theirs.requires_grad:
        return
    weights = np.linspace(0.5, 1.5, max(theirs.numel(), 1)).reshape(theirs.shape)
    finite = np.isfinite(array(theirs))
    kept = np.where(finite, weights, 0)
    cr.where(cr.tensor(finite), ours, 0.0).mul(cr.tensor(kept)).sum().backward()
    torch.where(torch.tensor(finite), theirs, 0.0).mul(torch.tensor(kept)).sum().backward()
    for name, x in mine.items():
        g, h = x.grad, other[name].grad
        g, h = (np.zeros(x.shape) if y is None else array(y) for y in (g, h))
        ok = np.isfinite(h)
        close = max(1e-7, 10 * row.close)  # a derivative loses a digit
        np.testing.assert_allclose(g[ok], h[ok], rtol=close, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("row", [r for r in table.ROWS if r.scipy], ids=str)
def test_what_scipy_computes(row):
    pytest.importorskip("scipy")
    other = row.scipy(**{k: np.array(v) for k, v in row.parameters.items()})
    d = row.make(cr)
    values = np.array(row.values, np.float64)
    density = other.logpmf if hasattr(other.dist, "logpmf") else other.logpdf
    np.testing.assert_allclose(d.log_prob(cr.tensor(values)), density(values), rtol=1e-7, atol=1e-9)
    for quantity, expected in (("mean", other.mean()), ("variance", other.var())):
        known = np.isfinite(expected)
        found = array(getattr(d, quantity))
        np.testing.assert_allclose(found[known], expected[known], rtol=1e-7, atol=1e-9)
    for compute, expected in (
        (lambda: d.cdf(cr.tensor(values)), other.cdf),
        (lambda: d.entropy(), lambda _: other.entropy()),
    ):
        try:
            found = compute()
        except NotDefinedError:
            continue
        np.testing.assert_allclose(found, expected(values), rtol=1e-6, atol=1e-9)


WRONG = [("ContinuousBernoulli", "Uniform")]
"""Divergences that are infinite in PyTorch where an end of both supports is the same."""
UNIVARIATE = [r for r in table.ROWS if not r.note and not r.name.startswith("Relaxed")]


@pytest.mark.parametrize("p", UNIVARIATE, ids=str)
def test_divergences(p):
    """Of all pairs of which both libraries know the divergence; the same types always."""
    for q in UNIVARIATE:
        if (p.name, q.name) in WRONG:
            continue
        try:
            theirs = torch.distributions.kl_divergence(p.make(torch), q.make(torch))
        except (NotImplementedError, ValueError, RuntimeError):
            continue
        try:
            ours = cr.distributions.kl_divergence(p.make(cr), q.make(cr))
        except NotDefinedError:
            assert p.name != q.name, f"PyTorch knows the divergence of two {p.name}"
            continue
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-7, atol=1e-9, err_msg=str(q))


SHIFT = {"loc": 0.25, "scale": 1.5, "rate": 1.25, "concentration": 1.5, "probs": 0.75}


@pytest.mark.parametrize("row", table.ROWS, ids=str)
def test_the_divergence_of_other_parameters_and_its_gradient(row):
    found = []
    for library in (cr, torch):
        p = row.tensors(library, requires_grad=True)
        q = {k: (x * SHIFT.get(k, 1.0)).detach() for k, x in row.tensors(library).items()}
        q = {k: x.requires_grad_(True) for k, x in q.items()}
        try:
            result = library.distributions.kl_divergence(
                row.make(library, p, validate_args=False), row.make(library, q, validate_args=False)
            )
        except NotImplementedError:
            result = None
        if result is not None and result.requires_grad:
            finite = library.where(library.isfinite(result), result, 0.0)
            finite.sum().backward()
        grads = [x.grad for x in (*p.values(), *q.values())]
        found.append([result, *grads])
    if found[1][0] is None:
        return
    for ours, theirs in zip(*found, strict=True):
        if theirs is not None:
            a, b = array(ours), array(theirs)
            ok = np.isfinite(b)
            np.testing.assert_allclose(a[ok], b[ok], rtol=1e-7, atol=1e-9)


@rows
def test_expanded(row):
    d = row.make(cr)
    wide = d.expand((2, 5, *d.batch_shape))
    other = row.make(torch)
    other = other.expand((2, 5, *other.batch_shape))
    assert (wide.batch_shape, wide.event_shape) == (other.batch_shape, other.event_shape)
    assert wide.sample((3,)).shape == tuple(other.sample((3,)).shape)
    values = cr.tensor(np.array(row.values, np.float64))
    one = values if values.ndim == len(d.batch_shape) + len(d.event_shape) else values[0]
    found = wide.log_prob(one.expand(2, 5, *one.shape))
    np.testing.assert_array_equal(array(found)[1, 2], array(d.log_prob(one)))


@pytest.mark.parametrize("row", table.ROWS[::3], ids=str)
def test_compiled_code_computes_the_same(row):
    """Distributions are made, sampled and asked inside of a compiled function."""
    values = cr.tensor(np.array(row.values, np.float64))
    tensors = row.tensors(cr)
    names = list(tensors)

    def step(values, *given):
        d = row.make(cr, dict(zip(names, given, strict=True)))
        return d.log_prob(values), d.sample((2,))

    cr.manual_seed(2)
    eager = [x.tolist() for x in step(values, *tensors.values())]
    cr.manual_seed(2)
    found = [x.tolist() for x in cr.compile(step)(values, *tensors.values())]
    assert found[1] == eager[1]
    # A fused chain of float64 ops may round once less.
    np.testing.assert_allclose(found[0], eager[0], rtol=1e-12)
