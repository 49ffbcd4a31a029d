"""Special functions: the tails of the normal distribution, and the gamma function's family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.gateway import apply
from chainrule.kinds import elementwise
from chainrule.ops.compare import where
from chainrule.ops.elementwise import exp, log, log1p
from chainrule.ops.special import erfc_reference, erfc_tail, gaussian, normal_pdf
from chainrule.primitive import Array, composition, in_place_form, primitive, same_spec
from chainrule.samples import cases, uniform
from chainrule.tensor import Tensor

__all__ = [
    "digamma", "erfc", "erfcx", "erfinv", "lgamma", "log_ndtr", "mvlgamma", "ndtri", "polygamma",
]


@primitive
class erfc:
    """y = 1 − erf x, accurate where erf is near 1.   ∂y/∂x = −2/√π · e^−x²."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return erfc_reference(x, gaussian(x, 1.0)).astype(x.dtype)
    def vjp(g, x): return g * (exp(-(x * x)) * (-2 / math.sqrt(math.pi))),


@primitive
class erfinv:
    """y with erf y = x; ±∞ at ±1, NaN beyond.   ∂y/∂x = √π/2 · e^y²."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-0.9, 0.9), "float"
    def forward(x): return erfinv_reference(x).astype(x.dtype)
    def vjp(g, y): return g * (exp(y * y) * (math.sqrt(math.pi) / 2)),


def erfinv_reference(x: Array) -> Array:
    """In float64, from the complement 1 − |x|, which keeps its digits near ±1."""
    size = np.abs(np.asarray(x, np.float64))
    y = erfcinv_reference(np.where(size < 1, 1 - size, 0.5))
    y = np.where(size < 1, y, np.where(size == 1, np.inf, np.nan))
    return np.copysign(y, x)


def erfcinv_reference(rest: Array) -> Array:
    """y ≥ 0 with erfc y = rest, 0 < rest ≤ 1, in float64: Winitzki (2008), then Halley's steps."""
    slope = np.log(rest * (2 - rest))
    center = 2 / (math.pi * 0.147) + slope / 2
    y = np.sqrt(np.sqrt(center * center - slope / 0.147) - center)
    for _ in range(3):
        decay = gaussian(y, 1.0)
        step = (erfc_reference(y, decay) - rest) / (2 / math.sqrt(math.pi) * decay)
        y = y + step / (1 + y * step)
    return y


@primitive
class erfcx:
    """y = e^x²·erfc x, which does not underflow for large x.   ∂y/∂x = 2·x·y − 2/√π."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-2, 3), "float"
    def forward(x): return scaled_erfc_reference(x).astype(x.dtype)
    def vjp(g, x, y): return g * (x * y * 2 - 2 / math.sqrt(math.pi)),


def scaled_erfc_reference(x: Array) -> Array:
    """e^x²·erfc x in float64; for x < 0 by 2·e^x² − e^x²·erfc −x."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    with np.errstate(over="ignore"):
        growth = np.exp(size * size)
    near = np.exp(np.minimum(size, 1) ** 2) * erfc_reference(np.minimum(size, 1), np.ones_like(x))
    y = np.where(size <= 1, near, erfc_tail(size))
    y = np.where(np.isinf(size), 0, y)
    return np.where(x < 0, 2 * growth - y, np.where(np.isnan(x), x, y))


@primitive
class ndtri:
    """y with Φ(y) = x: quantiles of the normal distribution; ±∞ at 1 and 0.   ∂y/∂x = 1/φ(y)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.1, 0.9), "float"
    def forward(x):
        p = np.asarray(x, np.float64)
        tail = np.minimum(p, 1 - p)
        y = math.sqrt(2) * erfcinv_reference(np.where(tail > 0, 2 * tail, 1.0))
        y = np.where(tail > 0, y, np.where(tail == 0, np.inf, np.nan))
        return np.copysign(y, p - 0.5).astype(x.dtype)
    def vjp(g, y): return g / normal_pdf(y),


@composition
def log_ndtr(input: Tensor) -> Tensor:
    """ln Φ(x), accurate where Φ itself underflows.

    >>> import chainrule as cr
    >>> log_ndtr(cr.tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])
    """
    x = input * 1.0
    is_low = x < -1
    low, high = where(is_low, x, -1.0), where(is_low, 0.0, x)
    tail = log(erfcx(low * -math.sqrt(0.5)) * 0.5) - low * low * 0.5
    return where(is_low, tail, log1p(erfc(high * math.sqrt(0.5)) * -0.5))


@primitive
class lgamma:
    """y = ln |Γ(x)|; +∞ at 0, −1, −2, ...   ∂y/∂x = ψ(x), the digamma function."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return np.vectorize(log_gamma, otypes=[x.dtype])(x)
    def vjp(g, x): return g * digamma(x),


def log_gamma(x: float) -> float:
    """`math.lgamma`, with ∞ where that raises: at the poles, and beyond the range of floats."""
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):
        return math.inf


@primitive
class digamma:
    """y = ψ(x) = d/dx ln Γ(x); NaN at −1, −2, ..., −∞ at 0.   ∂y/∂x = ψ⁽¹⁾(x)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return digamma_reference(x).astype(x.dtype)
    def vjp(g, x): return g * apply(polygamma, x, n=1),


# Bernoulli's numbers B₂, B₄, ..., of the asymptotic series (Abramowitz & Stegun, 1964, 6.3.18).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
_FAR, _LONGEST = 10.0, 1000.0


def digamma_reference(x: Array) -> Array:
    """In float64: ψ(x) = ψ(1 − x) − π/tan πx for x < 0, then ψ(x) = ψ(x + 1) − 1/x up to 10."""
    x = np.asarray(x, np.float64)
    z = np.where(x < 0, 1 - x, x)
    total = np.zeros_like(z)
    for _ in range(int(_FAR)):
        near = z < _FAR
        total = total - np.where(near, 1 / z, 0)
        z = np.where(near, z + 1, z)
    series = sum(b / (2 * k) / z ** (2 * k) for k, b in enumerate(_BERNOULLI, 1))
    y = total + np.log(z) - 1 / (2 * z) - series
    reflected = y - math.pi / np.tan(math.pi * np.fmod(x, 1.0))
    y = np.where(x < 0, np.where(x == np.floor(x), np.nan, reflected), y)
    return np.where(x == 0, np.copysign(np.inf, -x), np.where(x == np.inf, x, y))


@primitive
class polygamma:
    """y = ψ⁽ⁿ⁾(x), the n-th derivative of digamma.   ∂y/∂x = ψ⁽ⁿ⁺¹⁾(x)."""
    kind, infer, promote = elementwise, same_spec, "float"
    samples = cases(
        lambda rng: (rng.uniform(0.5, 3, (3, 4)), {"n": 1}),
        lambda rng: (rng.uniform(0.5, 3, ()), {"n": 3}),
    )
    def arguments(n: int, x: Tensor) -> Any:
        if n < 0:
            raise ArgumentError("polygamma has an order n ≥ 0", given=n)
        return (x,), {"n": n}
    def forward(x, *, n):
        return (digamma_reference(x) if n == 0 else polygamma_reference(x, n)).astype(x.dtype)
    def vjp(g, x, n): return g * apply(polygamma, x, n=n + 1),


def polygamma_reference(x: Array, n: int) -> Array:
    """(−1)ⁿ⁺¹·n!·Σₖ (x + k)⁻ⁿ⁻¹ in float64, its tail from x + k ≥ 10 on by Euler and Maclaurin.

    Below −1000 the sum would be long: NaN.
    """
    x = np.asarray(x, np.float64)
    z, s = np.where(x < -_LONGEST, np.nan, x), n + 1
    total = np.zeros_like(z)
    while (near := z < _FAR).any():
        total = total + np.where(near, z**-s, 0)
        z = np.where(near, z + 1, z)
    total = total + z ** (1 - s) / (s - 1) + z**-s / 2
    rising = float(s)  # s·(s + 1)·…·(s + 2k − 2)
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + b / math.factorial(2 * k) * rising * z ** (1 - s - 2 * k)
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    return (-1) ** s * math.factorial(n) * total


@in_place_form
@composition
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """ln Γₚ(x) = p·(p − 1)/4·ln π + Σⱼ ln Γ(x − j/2), j = 0, ..., p − 1.

    >>> import chainrule as cr
    >>> mvlgamma(cr.tensor(2.0), 1)
    tensor(0.)
    """
    if p < 1:
        raise ArgumentError("mvlgamma has a dimension p ≥ 1", given=p)
    x = input * 1.0
    halves = Tensor((np.arange(p) / 2).astype(x.dtype))
    return lgamma(x.unsqueeze(-1) - halves).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)
