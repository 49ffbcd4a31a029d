"""Gamma numbers as functions of their parameter: the incomplete gamma function and its slope."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.distributions import Beta, Dirichlet, Gamma
from chainrule.ops.incomplete_gamma import gamma_slope, incomplete_gamma

special = pytest.importorskip("scipy.special")
QUANTILES = np.array([1e-6, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-6])


@pytest.mark.parametrize("a", [0.01, 0.3, 1.0, 2.5, 20.0, 1000.0])
def test_both_sides_against_scipy(a):
    x = special.gammaincinv(a, QUANTILES)
    shapes = cr.tensor(np.full(x.shape, a))
    lower, upper = cr.igamma(shapes, cr.tensor(x)), cr.igammac(shapes, cr.tensor(x))
    # Of e^(a·ln x) a few digits are lost for large a, in SciPy too.
    close = 1e-12 * max(a, 10)
    np.testing.assert_allclose(lower, special.gammainc(a, x), rtol=close)
    np.testing.assert_allclose(upper, special.gammaincc(a, x), rtol=close)


def test_ends_and_invalid_numbers():
    a = cr.tensor([1.0, 1.0, 0.0, -1.0, np.nan, 2.0])
    x = cr.tensor([0.0, np.inf, 1.0, 1.0, 1.0, -1.0])
    np.testing.assert_array_equal(cr.igamma(a, x), [0, 1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(cr.igammac(a, x)[:2], [1, 0])


@pytest.mark.parametrize("a", [0.05, 0.3, 1.0, 2.5, 20.0, 300.0])
def test_the_slope_is_that_of_the_quantiles(a):
    """dx/da at a fixed P: differences of SciPy's quantiles, of whichever tail is small."""
    x, h = special.gammaincinv(a, QUANTILES), a * 1e-3 * min(a, 1)
    below, above = special.gammainc(a, x), special.gammaincc(a, x)

    def quantile(a):
        low = special.gammaincinv(a, below)
        return np.where(QUANTILES < 0.5, low, special.gammainccinv(a, above))

    # The error of such central differences is about (h/a²)⁴; SciPy's quantiles add 1e-12/h.
    steps = 8 * (quantile(a + h) - quantile(a - h)) - (quantile(a + 2 * h) - quantile(a - 2 * h))
    slope = gamma_slope(cr.tensor(np.full(x.shape, a)), cr.tensor(x))
    np.testing.assert_allclose(slope, steps / (12 * h), rtol=2e-6)


def test_derivatives_by_both_parameters():
    a, x = cr.tensor([0.5, 2.0, 7.0], dtype="float64"), cr.tensor([1.0, 1.5, 9.0], dtype="float64")
    for upper in (False, True):
        assert cr.gradcheck(lambda a, x, u=upper: incomplete_gamma(a, x, upper=u), (a, x))


def test_pytorchs_values():
    torch = pytest.importorskip("torch")
    a, x = np.array([[0.5], [3.0], [40.0]]), np.array([0.1, 3.0, 55.0])
    for name in ("igamma", "igammac"):
        ours = getattr(cr, name)(cr.tensor(a), cr.tensor(x))
        theirs = getattr(torch, name)(torch.tensor(a), torch.tensor(x))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


def test_samples_have_no_second_derivative():
    alpha = cr.tensor(2.0, requires_grad=True)
    y = Gamma(alpha, 1.0).rsample((3,)).sum()
    (slope,) = cr.gradients([y], [alpha], create_graph=True)
    with pytest.raises(NotImplementedError, match="gamma_slope"):
        slope.backward()


N = 1000


def test_gradients_of_means_of_samples():
    """Of E x and E x², for gamma, beta and Dirichlet: within five standard errors."""
    cr.manual_seed(0)
    a, b = (cr.tensor(v, dtype="float64", requires_grad=True) for v in (0.6, 1.7))
    c = cr.tensor([0.5, 1.5, 3.0], dtype="float64", requires_grad=True)

    def rows():
        yield lambda: Gamma(a, b), (a, b), lambda x: x, lambda d: d.mean
        yield lambda: Beta(a, b), (a, b), lambda x: x**2, lambda d: d.variance + d.mean**2
        yield (
            lambda: Dirichlet(c),
            (c,),
            lambda x: x[..., 0] ** 2,
            lambda d: (d.variance + d.mean**2)[0],
        )

    for make, parameters, function, moment in rows():
        exact = cr.gradients([moment(make())], parameters)
        # One sample for each row, so that the rows show how far the gradients scatter.
        wide = [p.detach().expand(N, *p.shape).clone().requires_grad_() for p in parameters]
        kind = type(make())
        function(kind(*wide).rsample()).sum().backward()
        for each, wanted in zip(wide, exact, strict=True):
            found = each.grad.numpy()
            error = 5 * found.std(0) / np.sqrt(N)
            assert (np.abs(found.mean(0) - wanted.numpy()) <= error).all()
