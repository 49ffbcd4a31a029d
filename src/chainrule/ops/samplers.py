"""Gamma, Poisson and binomial numbers, and angles, drawn by rejection.

How many uniform numbers such a draw takes depends on these numbers. The algorithms are those that
PyTorch runs on a CPU: from the same uniform numbers come the same results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.primitive import Array, Shape


class Source:
    """Random numbers one at a time: U[0, 1), which a subclass draws, and N(0, 1) made of them."""

    spare: float | None = None
    """The second normal number of the last pair, if it was not used yet."""

    def next_uniform(self) -> float:
        """A number of U[0, 1)."""
        raise NotImplementedError

    def next_normal(self) -> float:
        """A number of N(0, 1): one of a pair made of two uniform numbers (Box & Muller, 1958)."""
        if self.spare is not None:
            spare, self.spare = self.spare, None
            return spare
        u, v = self.next_uniform(), self.next_uniform()
        radius, angle = math.sqrt(-2 * math.log1p(-v)), 2 * math.pi * u
        self.spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def normal(source: Source) -> float:
    """N(0, 1)."""
    return source.next_normal()


def gamma(source: Source, alpha: float) -> float:
    """Gamma(α, 1) (Marsaglia & Tsang, 2000); for α < 1, Gamma(α + 1, 1)·U^(1/α)."""
    if not alpha > 0:
        return 0.0 if alpha == 0 else math.nan
    power = 1.0
    if alpha < 1:
        power = (1 - source.next_uniform()) ** (1 / alpha)
        alpha += 1
    d = alpha - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = source.next_normal()
        while 1 + c * x <= 0:
            x = source.next_normal()
        v, u = (1 + c * x) ** 3, 1 - source.next_uniform()
        if u < 1 - 0.0331 * x**4 or math.log(u) < x * x / 2 + d * (1 - v + math.log(v)):
            return power * d * v


def poisson(source: Source, rate: float) -> float:
    """Poisson(λ): a product of uniform numbers for λ < 10 (Knuth, 1969), else PTRS."""
    if not 0 < rate < math.inf:
        return 0.0 if rate == 0 else math.nan
    if rate >= 10:
        return _ptrs(source, rate)
    count, product, limit = 0, source.next_uniform(), math.exp(-rate)
    while product > limit:
        count += 1
        product *= source.next_uniform()
    return float(count)


def _ptrs(source: Source, rate: float) -> float:
    """Poisson(λ) for λ ≥ 10: transformed rejection with squeeze (Hörmann, 1993)."""
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    inside = 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = source.next_uniform() - 0.5, source.next_uniform()
        edge = 0.5 - abs(u)
        k = math.floor((2 * a / edge + b) * u + rate + 0.43) if edge else -1
        if edge >= 0.07 and v <= inside:
            return float(k)
        if k < 0 or (edge < 0.013 and v > edge):
            continue
        ratio = k * math.log(rate) - rate - math.lgamma(k + 1)
        if _log(v * inverse_alpha / (a / edge**2 + b)) <= ratio:
            return float(k)


def binomial(source: Source, count: float, probability: float) -> float:
    """Binomial(n, p), by the rarer of success and failure: waiting times if n·p < 10, else BTRS."""
    if not (0 <= count < math.inf and 0 <= probability <= 1):
        return math.nan
    if probability > 0.5:
        return count - binomial(source, count, 1 - probability)
    if count * probability >= 10:
        return _btrs(source, count, probability)
    if not count * probability > 0:
        return 0.0
    successes, trials, scale = 0, 0, math.log1p(-probability)
    while True:  # the number of trials until the next success is geometric (Devroye, 1986)
        wait = _log(source.next_uniform()) / scale
        if trials + wait > count:
            return float(successes)
        trials, successes = trials + math.ceil(wait), successes + 1


def _btrs(source: Source, n: float, p: float) -> float:
    """Binomial(n, p) for n·p ≥ 10, p ≤ ½: transformed rejection with squeeze (Hörmann, 1993)."""
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    inside, alpha = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * deviation
    log_odds, mode = math.log(p / (1 - p)), math.floor((n + 1) * p)
    top = math.lgamma(mode + 1) + math.lgamma(n - mode + 1)
    while True:
        u, v = source.next_uniform() - 0.5, source.next_uniform()
        edge = 0.5 - abs(u)
        k = math.floor((2 * a / edge + b) * u + n * p + 0.5) if edge else -1
        if not 0 <= k <= n:
            continue
        if edge >= 0.07 and v <= inside:
            return float(k)
        ratio = top - math.lgamma(k + 1) - math.lgamma(n - k + 1) + (k - mode) * log_odds
        if _log(v * alpha / (a / edge**2 + b)) <= ratio:
            return float(k)


def _log(x: float) -> float:
    return math.log(max(x, 5e-324))


def von_mises(source: Source, concentration: Array) -> Array:
    """Angles with a density ∝ e^(κ·cos x), for all places at once (Best & Fisher, 1979).

    Each round proposes an angle for every place, and the last one that is accepted stays.
    """
    kappa = concentration.astype(np.float64)
    root = 1 + np.sqrt(1 + 4 * kappa**2)
    rho = (root - np.sqrt(2 * root)) / (2 * kappa)
    r = np.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
    angle, missing = np.zeros(kappa.shape), np.ones(kappa.shape, bool)
    while missing.any():
        u = np.array([source.next_uniform() for _ in range(3 * kappa.size)])
        first, second, third = u.reshape(3, *kappa.shape)
        z = np.cos(np.pi * first)
        f = (1 + r * z) / (r + z)
        c = kappa * (r - f)
        accepted = (c * (2 - c) > second) | (np.log(c / np.maximum(second, 5e-324)) + 1 >= c)
        angle = np.where(accepted, np.sign(third - 0.5) * np.arccos(f), angle)
        missing &= ~accepted
    return angle


SAMPLERS: dict[str, Callable[..., float]] = {
    "binomial": binomial, "gamma": gamma, "one_normal": normal, "poisson": poisson,
}
ALL_AT_ONCE: dict[str, Callable[..., Array]] = {"von_mises": von_mises}
"""Samplers that draw for all places together."""


def drawn(
    source: Source, sampler: str, parameters: Sequence[Array], shape: Shape, dtype: Any
) -> Array:
    """A number for each place of a shape, with the parameters of that place, in order."""
    if sampler in ALL_AT_ONCE:
        whole = [np.broadcast_to(p, shape) for p in parameters]
        return np.asarray(ALL_AT_ONCE[sampler](source, *whole), dtype)
    rows = [np.broadcast_to(p, shape).ravel().tolist() for p in parameters]
    places = zip(*rows, strict=True) if rows else [()] * math.prod(shape)
    draw = SAMPLERS[sampler]
    return np.array([draw(source, *row) for row in places], dtype).reshape(shape)
