"""The divergence of Kullback and Leibler (1951), by the types of two distributions.

KL(p‖q) = E ln p(x) − E ln q(x), x of p. For the second term it is often enough to know the mean and
the variance of p: then one function serves all distributions p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from chainrule.distributions.categorical import OfClasses
from chainrule.distributions.continuous import ContinuousBernoulli
from chainrule.distributions.discrete import Bernoulli, Binomial, Geometric, Poisson
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.location_scale import (
    Cauchy,
    Gumbel,
    Laplace,
    Normal,
    Uniform,
)
from chainrule.distributions.low_rank import LowRankMultivariateNormal, mahalanobis
from chainrule.distributions.multivariate import Independent, MultivariateNormal
from chainrule.distributions.of_matrices import Wishart
from chainrule.distributions.positive import Beta, Dirichlet, Exponential, Gamma
from chainrule.distributions.transformed import TransformedDistribution
from chainrule.distributions.transformed_families import Pareto
from chainrule.distributions.utils import sum_rightmost
from chainrule.errors import ArgumentError, NotDefinedError
from chainrule.ops.compare import where
from chainrule.ops.contract import matmul
from chainrule.ops.creation import full
from chainrule.ops.elementwise import abs, exp, log, log1p, sqrt
from chainrule.ops.gamma import digamma, lgamma, mvlgamma
from chainrule.ops.rules import broadcast_shapes
from chainrule.ops.shape import cat
from chainrule.ops.special import softplus
from chainrule.ops.systems import cholesky_solve
from chainrule.ops.transcendental import xlogy
from chainrule.tensor import Tensor

_EULER = 0.57721566490153286060
Divergence = Callable[[Any, Any], Tensor]
F = TypeVar("F", bound=Divergence)
_DIVERGENCES: dict[tuple[type, type], Divergence] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[F], F]:
    """Register a function `f(p, q)` for the divergence of two types and their subclasses.

    >>> class Certain(Distribution): pass
    >>> @register_kl(Certain, Certain)
    ... def both_certain(p, q): return 0.0
    >>> kl_divergence(Certain(), Certain())
    0.0
    """
    if not all(isinstance(t, type) and issubclass(t, Distribution) for t in (type_p, type_q)):
        raise ArgumentError("register_kl takes two types of distributions", given=(type_p, type_q))

    def register(function: F) -> F:
        _DIVERGENCES[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Any, q: Any) -> Tensor:
    """KL(p‖q) = E ln (p(x)/q(x)), x of p, for each of the batch.

    The function is that of the nearest types, first of p. Raises NotDefinedError if there is none.

    >>> import chainrule as cr
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5)
    """
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            if (type_p, type_q) in _DIVERGENCES:
                return _DIVERGENCES[type_p, type_q](p, q)
    if _continuous(p) and _continuous(q) and not _covers(q, p).any():
        return full(broadcast_shapes(p.batch_shape, q.batch_shape), math.inf)
    raise NotDefinedError(
        f"no divergence of {type(p).__name__} and {type(q).__name__} is registered",
        instead="Register a function with register_kl, or take the mean of p.log_prob(x) − "
        "q.log_prob(x) over samples x of p.",
    )


def _continuous(p: Distribution) -> bool:
    """Whether samples are single real numbers."""
    return not p.event_shape and p.support is not None and not p.support.is_discrete


def _covers(q: Distribution, p: Distribution) -> Tensor:
    """Whether all values of p can be values of q."""
    shape = broadcast_shapes(p.batch_shape, q.batch_shape)
    inner, outer = p.support, q.support
    below = _at_most(outer.lower_bound, inner.lower_bound).expand(shape)
    return below & _at_most(inner.upper_bound, outer.upper_bound)


def _at_most(a: Any, b: Any) -> Tensor:
    """Whether a ≤ b, of numbers or tensors."""
    known = a <= b
    return known if isinstance(known, Tensor) else full((), bool(known))


def _divergence(p: Any, q: Any, cross_entropy: Callable[[], Tensor]) -> Tensor:
    """−H(p) − E ln q(x), and ∞ where q is 0 at values of p."""
    if not _continuous(p):
        raise NotDefinedError(
            f"{type(p).__name__} has no density beside that of {type(q).__name__}"
        )
    return where(_covers(q, p), cross_entropy() - p.entropy(), math.inf)


# -- by the moments of p ---------------------------------------------------------------------------


@register_kl(Distribution, Normal)
def _to_normal(p: Any, q: Normal) -> Tensor:
    return _divergence(
        p,
        q,
        lambda: (
            log(q.scale)
            + 0.5 * math.log(2 * math.pi)
            + (p.variance + (p.mean - q.loc) ** 2) / (2 * q.variance)
        ),
    )


@register_kl(Distribution, Exponential)
def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return _divergence(p, q, lambda: q.rate * p.mean - log(q.rate))


@register_kl(Distribution, Uniform)
def _to_uniform(p: Any, q: Uniform) -> Tensor:
    return _divergence(p, q, lambda: q.entropy() + 0 * p.entropy())


# -- of one family ---------------------------------------------------------------------------------


@register_kl(Normal, Normal)
def _normals(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))


@register_kl(Laplace, Laplace)
def _laplaces(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, abs(p.loc - q.loc)
    return distance / q.scale + ratio * exp(-distance / p.scale) - 1 - log(ratio)


@register_kl(Normal, Laplace)
def _normal_to_laplace(p: Normal, q: Laplace) -> Tensor:
    z, ratio = (p.loc - q.loc) / p.scale, p.scale / q.scale
    size = math.sqrt(2 / math.pi) * exp(-0.5 * z**2) + z * (z * math.sqrt(0.5)).erf()
    return ratio * size - log(ratio) + math.log(2) - 0.5 * (math.log(2 * math.pi) + 1)


@register_kl(Cauchy, Cauchy)
def _cauchys(p: Cauchy, q: Cauchy) -> Tensor:
    """Chyzak & Nielsen, 2019."""
    square = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return log(square) - log(4 * p.scale * q.scale)


@register_kl(Gumbel, Gumbel)
def _gumbels(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, gap = p.scale / q.scale, (q.loc - p.loc) / q.scale
    return exp(gap + lgamma(1 + ratio)) - 1 - log(ratio) - gap + _EULER * (ratio - 1)


@register_kl(Gamma, Gamma)
def _gammas(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = lgamma(b) - lgamma(a) + (a - b) * digamma(a)
    return b * log(p.rate / q.rate) + shapes + (q.rate - p.rate) * (a / p.rate)


@register_kl(Exponential, Gamma)
def _exponential_to_gamma(p: Exponential, q: Gamma) -> Tensor:
    return _gammas(Gamma(p.rate.detach() * 0 + 1, p.rate, validate_args=False), q)


@register_kl(Pareto, Pareto)
def _paretos(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    divergence = q.alpha * log(p.scale / q.scale) - log(ratio) + ratio - 1
    return where(p.scale < q.scale, math.inf, divergence)


@register_kl(Dirichlet, Dirichlet)
def _dirichlets(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    constant = lgamma(total) - lgamma(b.sum(-1)) + (lgamma(b) - lgamma(a)).sum(-1)
    return constant + ((a - b) * (digamma(a) - digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(Beta, Beta)
def _betas(p: Beta, q: Beta) -> Tensor:
    return _dirichlets(p._dirichlet, q._dirichlet)


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Any, q: Any) -> Tensor:
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    ones = where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, ones))
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return ones + where(p.probs == 1, 0.0, where(q.probs == 1, math.inf, zeros))


@register_kl(Binomial, Binomial)
def _binomials(p: Binomial, q: Binomial) -> Tensor:
    if (p.total_count != q.total_count).any():
        raise NotDefinedError(
            "the divergence of binomial distributions needs one total_count",
            given=f"{p.total_count} and {q.total_count}",
        )
    return p.total_count * _bernoullis(p, q)


@register_kl(Geometric, Geometric)
def _geometrics(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poissons(p: Poisson, q: Poisson) -> Tensor:
    return xlogy(p.rate, p.rate) - xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(OfClasses, OfClasses)
def _classes(p: OfClasses, q: OfClasses) -> Tensor:
    if type(p) is not type(q):
        raise NotDefinedError(f"{type(p).__name__} and {type(q).__name__} have other values")
    n = getattr(p, "total_count", 1)
    if n != getattr(q, "total_count", 1):
        raise NotDefinedError("the divergence needs one total_count")
    terms = p.probs * (p.logits - q.logits)
    return n * where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, terms)).sum(-1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normals(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    inverse = q._inverse_factor
    spread = (matmul(inverse, p._factor) ** 2).sum((-2, -1))
    z = matmul(inverse, (q.loc - p.loc).unsqueeze(-1)).squeeze(-1)
    volumes = q._half_log_det - p._half_log_det
    return volumes + 0.5 * (spread + (z * z).sum(-1) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_ranks(p: LowRankMultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    columns = cat([p.cov_factor, sqrt(p.cov_diag).diag_embed()], -1)
    return _to_low_rank(p, q, columns)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _to_a_low_rank(p: MultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    return _to_low_rank(p, q, p._factor)


def _to_low_rank(p: Any, q: LowRankMultivariateNormal, columns: Tensor) -> Tensor:
    """Of p with the covariance C·Cᵀ, C the columns."""
    off = mahalanobis(q, (q.loc - p.loc).unsqueeze(-1))
    spread = mahalanobis(q, columns)
    return q._half_log_det - p._half_log_det + 0.5 * (spread + off - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _from_low_rank(p: LowRankMultivariateNormal, q: MultivariateNormal) -> Tensor:
    dense = MultivariateNormal(p.loc, p.covariance_matrix, validate_args=False)
    return _multivariate_normals(dense, q)


@register_kl(Wishart, Wishart)
def _wisharts(p: Wishart, q: Wishart) -> Tensor:
    n, m, size = p.df, q.df, p._size
    trace = cholesky_solve(p.covariance_matrix, q._factor).diagonal(dim1=-2, dim2=-1).sum(-1)
    volumes = m * (q._half_log_det - p._half_log_det) + n / 2 * (trace - size)
    return volumes + mvlgamma(m / 2, size) - mvlgamma(n / 2, size) + (n - m) / 2 * p._slope


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoullis(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    by_mean = p.mean * (p.logits - q.logits)
    return by_mean + p._log_constant + log1p(-p.probs) - q._log_constant - log1p(-q.probs)


# -- of parts --------------------------------------------------------------------------------------


@register_kl(Independent, Independent)
def _independents(p: Independent, q: Independent) -> Tensor:
    n = p.reinterpreted_batch_ndims
    if n != q.reinterpreted_batch_ndims:
        raise NotDefinedError("Independent distributions of other dimensions", given=f"{p}, {q}")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), n)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    """The divergence of what is transformed, if it is by the same transforms."""
    pairs = zip(p.transforms, q.transforms, strict=False)
    if len(p.transforms) != len(q.transforms) or not all(s.is_same(t) for s, t in pairs):
        raise NotDefinedError("distributions with other transforms", given=f"{p} and {q}")
    own = kl_divergence(p.base_dist, q.base_dist)
    return sum_rightmost(own, own.ndim - len(broadcast_shapes(p.batch_shape, q.batch_shape)))


__all__ = ["kl_divergence", "register_kl"]
