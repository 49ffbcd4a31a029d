"""The regularized incomplete gamma function, and samples of Gamma as functions of their parameter.

With p(x) = xᵃ⁻¹·e⁻ˣ/Γ(a), the density of Gamma(a, 1): P(a, x) = ∫₀ˣ p and Q(a, x) = 1 − P.
"""

from __future__ import annotations

import functools

import numpy as np

from chainrule.kinds import elementwise
from chainrule.ops.elementwise import exp
from chainrule.ops.gamma import digamma_reference, lgamma
from chainrule.ops.rules import broadcast
from chainrule.ops.transcendental import xlogy
from chainrule.primitive import Array, composition, in_place_form, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = ["igamma", "igammac"]

_SHIFT = 10
_NODES = 96


@functools.cache
def quadrature() -> tuple[Array, Array]:
    """The points and weights of Gauss and Legendre's rule for ∫₀¹."""
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    return (points + 1) / 2, weights / 2


def parts_over_density(a: Array, x: Array) -> tuple[Array, Array, Array]:
    """(is_upper, R, S): R = Q/p and S = (∂Q/∂a)/p where x > a + 1, else R = P/p, S = (∂P/∂a)/p.

    By quadrature of R = ∫ (t/x)ᵃ⁻¹·eˣ⁻ᵗ dt and S = ∫ (t/x)ᵃ⁻¹·eˣ⁻ᵗ·(ln t − ψ(a)) dt, over t > x
    or t < x. The integrand falls from t = x on, and is left out below e⁻⁴⁰. For t < x it is smooth
    where a is not small: R(a) = x/a·(1 + R(a + 1)), S(a) = x/a·(ln x − ψ(a + 1) + S(a + 1)).
    """
    upper = x > a + 1
    power = np.where(upper, a, a + _SHIFT) - 1
    length, (points, weights) = _length(power, x, upper), quadrature()
    s = points * np.where(upper, length, -length)[..., None]
    integrand = np.exp(power[..., None] * np.log1p(s / x[..., None]) - s) * weights
    centered = np.log(x[..., None] + s) - digamma_reference(power + 1)[..., None]
    ratio, slope = integrand.sum(-1) * length, (integrand * centered).sum(-1) * length
    for k in range(_SHIFT, 0, -1):
        step = x / (a + k - 1)
        lower = step * (np.log(x) - digamma_reference(a + k) + slope)
        slope = np.where(upper, slope, lower)
        ratio = np.where(upper, ratio, step * (1 + ratio))
    return upper, ratio, slope


def _length(power: Array, x: Array, upper: Array) -> Array:
    """How far from x the integrand is above e⁻⁴⁰.

    With u = |t − x|/x, it is e^−(|power − x|·u + power·(u² − …)/2), in which for t > x the last
    term is at least power·u²/(2 + 2u).
    """
    curve = np.maximum(power, 0) / 2
    fall = np.abs(2 * curve - x)
    square, linear = np.where(upper, fall + curve, curve), np.where(upper, fall - 40, fall)
    u = (np.sqrt(linear * linear + 160 * square) - linear) / (2 * square)
    return x * np.where(upper, u, np.minimum(u, 1))


def inside(a: Array, x: Array) -> tuple[Array, Array, Array]:
    """Both inputs in float64, made valid, and where they were."""
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    valid = (a > 0) & (x > 0) & (a < np.inf) & (x < np.inf)
    return np.where(valid, a, 1.0), np.where(valid, x, 1.0), valid


def _density(a: Tensor | float, x: Tensor | float) -> Tensor:
    return exp(xlogy(a - 1, x) - x - lgamma(a))


@primitive
class incomplete_gamma:
    """y = P(a, x), or Q(a, x) (upper).   ∂P/∂a = −p·dx/da at a fixed P, ∂P/∂x = p."""
    kind, promote = elementwise, "float"
    samples = cases(
        lambda rng: (rng.uniform(0.5, 3, (3, 4)), rng.uniform(0.5, 4, (3, 4)), {"upper": False}),
        lambda rng: (rng.uniform(0.5, 3, 4), rng.uniform(0.5, 4, (3, 1)), {"upper": True}),
    )
    def infer(a, x, *, upper): return broadcast(a, x)

    def forward(a, x, *, upper):
        safe_a, safe_x, valid = inside(a, x)
        is_upper, ratio, _ = parts_over_density(safe_a, safe_x)
        log_gamma = lgamma.forward(safe_a)
        y = ratio * np.exp((safe_a - 1) * np.log(safe_x) - safe_x - log_gamma)
        y = np.clip(np.where(is_upper == upper, y, 1 - y), 0, 1)
        at_ends = np.where((x == 0) & (a > 0), 0.0, np.where((x == np.inf) & (a >= 0), 1.0, np.nan))
        return np.where(valid, y, 1 - at_ends if upper else at_ends).astype(x.dtype)

    def vjp(g, a, x, upper):
        flow = g * _density(a, x) * (-1 if upper else 1)
        return -flow * gamma_slope(a, x), flow


@primitive
class gamma_slope:
    """y = dx/da = −(∂P/∂a)/p, at a fixed P(a, x) (Figurnov et al., 2018)."""
    kind, promote = elementwise, "float"
    samples = cases(lambda rng: (rng.uniform(0.5, 3, (3, 4)), rng.uniform(0.5, 4, (3, 4))))
    def infer(a, x): return broadcast(a, x)

    def forward(a, x):
        safe_a, safe_x, valid = inside(a, x)
        is_upper, _, slope = parts_over_density(safe_a, safe_x)
        y = np.where(is_upper, slope, -slope)
        return np.where(valid, y, np.where(x == 0, 0.0, np.nan)).astype(x.dtype)


@primitive
class reparameterized_gamma:
    """y = x, drawn from Gamma(α, 1), as a function of α.   ∂y/∂α = dx/dα at a fixed P(α, x)."""
    kind = elementwise
    samples = cases(lambda rng: (rng.uniform(0.5, 3, (3, 4)), rng.uniform(0.5, 4, (3, 4))))
    def infer(alpha, x): return broadcast(x, alpha)
    def forward(alpha, x): return np.broadcast_arrays(alpha, x)[1].copy()
    def vjp(g, alpha, x): return g * gamma_slope(alpha, x), None


@in_place_form
@composition
def igamma(input: Tensor | float, other: Tensor | float) -> Tensor:
    """P(a, x), the part of Gamma(a, 1) up to x.   ∂P/∂a, too.

    >>> import chainrule as cr
    >>> igamma(cr.tensor([1.0, 1.0]), cr.tensor([0.0, 1.0]))
    tensor([0.    , 0.6321])
    """
    return incomplete_gamma(input, other, upper=False)


@in_place_form
@composition
def igammac(input: Tensor | float, other: Tensor | float) -> Tensor:
    """Q(a, x) = 1 − P(a, x), accurate where P is near 1."""
    return incomplete_gamma(input, other, upper=True)
