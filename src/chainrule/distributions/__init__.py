"""Probability distributions by PyTorch's names: samples, densities, entropies, divergences.

>>> import chainrule as cr
>>> from chainrule.distributions import Normal, kl_divergence
>>> mean = cr.tensor([0.0, 1.0], requires_grad=True)
>>> posterior = Normal(mean, 1.0)
>>> kl_divergence(posterior, Normal(0.0, 1.0)).sum().backward()
>>> mean.grad
tensor([0., 1.])
>>> posterior.rsample((5,)).shape
(5, 2)
"""

from chainrule.distributions.categorical import Categorical as Categorical
from chainrule.distributions.categorical import Multinomial as Multinomial
from chainrule.distributions.categorical import OneHotCategorical as OneHotCategorical
from chainrule.distributions.categorical import (
    OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough,
)
from chainrule.distributions.circular import VonMises as VonMises
from chainrule.distributions.constraint_registry import biject_to as biject_to
from chainrule.distributions.constraint_registry import transform_to as transform_to
from chainrule.distributions.continuous import ContinuousBernoulli as ContinuousBernoulli
from chainrule.distributions.discrete import Bernoulli as Bernoulli
from chainrule.distributions.discrete import Binomial as Binomial
from chainrule.distributions.discrete import Geometric as Geometric
from chainrule.distributions.discrete import NegativeBinomial as NegativeBinomial
from chainrule.distributions.discrete import Poisson as Poisson
from chainrule.distributions.distribution import Distribution as Distribution
from chainrule.distributions.kl import kl_divergence as kl_divergence
from chainrule.distributions.kl import register_kl as register_kl
from chainrule.distributions.location_scale import Cauchy as Cauchy
from chainrule.distributions.location_scale import GeneralizedPareto as GeneralizedPareto
from chainrule.distributions.location_scale import Gumbel as Gumbel
from chainrule.distributions.location_scale import Laplace as Laplace
from chainrule.distributions.location_scale import Normal as Normal
from chainrule.distributions.location_scale import StudentT as StudentT
from chainrule.distributions.location_scale import Uniform as Uniform
from chainrule.distributions.low_rank import (
    LowRankMultivariateNormal as LowRankMultivariateNormal,
)
from chainrule.distributions.multivariate import Independent as Independent
from chainrule.distributions.multivariate import MixtureSameFamily as MixtureSameFamily
from chainrule.distributions.multivariate import MultivariateNormal as MultivariateNormal
from chainrule.distributions.of_matrices import LKJCholesky as LKJCholesky
from chainrule.distributions.of_matrices import Wishart as Wishart
from chainrule.distributions.positive import Beta as Beta
from chainrule.distributions.positive import Chi2 as Chi2
from chainrule.distributions.positive import Dirichlet as Dirichlet
from chainrule.distributions.positive import Exponential as Exponential
from chainrule.distributions.positive import FisherSnedecor as FisherSnedecor
from chainrule.distributions.positive import Gamma as Gamma
from chainrule.distributions.relaxed import RelaxedBernoulli as RelaxedBernoulli
from chainrule.distributions.relaxed import RelaxedOneHotCategorical as RelaxedOneHotCategorical
from chainrule.distributions.transformed import (
    TransformedDistribution as TransformedDistribution,
)
from chainrule.distributions.transformed_families import HalfCauchy as HalfCauchy
from chainrule.distributions.transformed_families import HalfNormal as HalfNormal
from chainrule.distributions.transformed_families import InverseGamma as InverseGamma
from chainrule.distributions.transformed_families import Kumaraswamy as Kumaraswamy
from chainrule.distributions.transformed_families import LogisticNormal as LogisticNormal
from chainrule.distributions.transformed_families import LogNormal as LogNormal
from chainrule.distributions.transformed_families import Pareto as Pareto
from chainrule.distributions.transformed_families import Weibull as Weibull
from chainrule.distributions.transforms import *  # noqa: F403
