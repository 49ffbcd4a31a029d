"""The families of distributions, with parameters, values and SciPy's counterpart: a row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Row:
    """One family: parameters as nested lists (numbers as they are), values to ask for.

    scipy: SciPy's distribution, made from the parameters as arrays. options: arguments that are no
    tensors. wrong: what PyTorch computes wrongly. close: the relative distance allowed; sums of a
    few special functions in float64 are as close as 1e-9, of which each library has its own
    approximations.
    """

    name: str
    parameters: dict[str, Any]
    values: Any
    scipy: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    wrong: tuple[str, ...] = ()
    close: float = 1e-9

    def __str__(self) -> str:
        return f"{self.name} {self.note}".rstrip()

    def tensors(self, library: Any, requires_grad: bool = False) -> dict[str, Any]:
        """The parameters as tensors of float64."""
        arrays = {name: np.array(p, np.float64) for name, p in self.parameters.items()}
        made = {k: library.tensor(a.tolist(), dtype=library.float64) for k, a in arrays.items()}
        return {k: x.requires_grad_(requires_grad) for k, x in made.items()}

    def make(self, library: Any, tensors: dict[str, Any] | None = None, **more: Any) -> Any:
        """The distribution in a library, of these tensors."""
        kind = getattr(library.distributions, self.name)
        given = self.tensors(library) if tensors is None else tensors
        return kind(**given, **self.options, **more)


def stats() -> Any:
    """SciPy's distributions; imported where they are used."""
    from scipy import stats as module

    return module


SCALES = [0.5, 1.0, 3.0]
PLACES = {"loc": [-0.5, 0.0, 2.0], "scale": SCALES}
REALS = [[-1.5, 0.25, 1.0], [0.5, -3.0, 6.0]]
POSITIVES = [[0.25, 1.0, 3.5], [2.0, 0.1, 0.75]]
UNITS = [[0.25, 0.5, 0.875], [0.1, 0.95, 0.4]]
WHOLE = [[0.0, 1.0, 3.0], [2.0, 5.0, 0.0]]
BITS = [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
PROBS = [0.2, 0.5, 0.9]
LOGITS = [-1.5, 0.25, 2.0]
CLASSES = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]
MATRIX = [[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 0.75]]
FACTOR = [[1.5, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, -0.5, 0.75]]

EYE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
CORRELATED = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.6, 0.0, 0.8]]

ROWS = [
    Row("Normal", PLACES, REALS, lambda loc, scale: stats().norm(loc, scale)),
    Row("Laplace", PLACES, REALS, lambda loc, scale: stats().laplace(loc, scale)),
    Row("Cauchy", PLACES, REALS, lambda loc, scale: stats().cauchy(loc, scale)),
    Row("Gumbel", PLACES, REALS, lambda loc, scale: stats().gumbel_r(loc, scale)),
    Row(
        "StudentT",
        {"df": [1.5, 3.0, 20.0], **PLACES},
        REALS,
        lambda df, loc, scale: stats().t(df, loc, scale),
    ),
    Row(
        "Uniform",
        {"low": [-2.0, -4.0, 1.0], "high": [1.0, 0.0, 9.0]},
        [[-1.5, -0.25, 2.0], [0.5, -3.0, 6.0]],
        lambda low, high: stats().uniform(low, high - low),
    ),
    Row("Exponential", {"rate": SCALES}, POSITIVES, lambda rate: stats().expon(0, 1 / rate)),
    Row(
        "Gamma",
        {"concentration": [0.5, 1.5, 9.0], "rate": SCALES},
        POSITIVES,
        lambda concentration, rate: stats().gamma(concentration, 0, 1 / rate),
    ),
    Row("Chi2", {"df": [0.5, 2.5, 9.0]}, POSITIVES, lambda df: stats().chi2(df)),
    Row(
        "FisherSnedecor",
        {"df1": [1.5, 3.0, 9.0], "df2": [1.0, 3.0, 8.0]},
        POSITIVES,
        lambda df1, df2: stats().f(df1, df2),
    ),
    Row(
        "Beta",
        {"concentration1": [0.5, 1.5, 9.0], "concentration0": [0.75, 3.0, 2.0]},
        UNITS,
        lambda concentration1, concentration0: stats().beta(concentration1, concentration0),
    ),
    Row("Dirichlet", {"concentration": [[0.5, 1.5, 3.0], [2.0, 0.9, 4.0]]}, CLASSES),
    Row(
        "HalfNormal",
        {"scale": SCALES},
        POSITIVES,
        lambda scale: stats().halfnorm(0, scale),
    ),
    Row(
        "HalfCauchy",
        {"scale": SCALES},
        POSITIVES,
        lambda scale: stats().halfcauchy(0, scale),
    ),
    Row(
        "LogNormal",
        PLACES,
        POSITIVES,
        lambda loc, scale: stats().lognorm(scale, 0, np.exp(loc)),
    ),
    Row(
        "InverseGamma",
        {"concentration": [0.5, 1.5, 9.0], "rate": SCALES},
        POSITIVES,
        lambda concentration, rate: stats().invgamma(concentration, 0, rate),
    ),
    Row(
        "Weibull",
        {"scale": SCALES, "concentration": [1.5, 1.0, 3.0]},
        POSITIVES,
        lambda scale, concentration: stats().weibull_min(concentration, 0, scale),
    ),
    Row(
        "Pareto",
        {"scale": [0.1, 0.05, 0.5], "alpha": [0.5, 1.5, 3.0]},
        POSITIVES,
        lambda scale, alpha: stats().pareto(alpha, 0, scale),
    ),
    Row("LogisticNormal", {"loc": [0.5, -1.0], "scale": [1.0, 2.0]}, CLASSES),
    Row("Bernoulli", {"probs": PROBS}, BITS, lambda probs: stats().bernoulli(probs)),
    Row("Bernoulli", {"logits": LOGITS}, BITS, note="of logits"),
    Row("Geometric", {"probs": PROBS}, WHOLE, lambda probs: stats().geom(probs, -1)),
    Row("Geometric", {"logits": LOGITS}, WHOLE, note="of logits"),
    Row("Poisson", {"rate": [0.5, 2.0, 30.0]}, WHOLE, lambda rate: stats().poisson(rate)),
    Row(
        "Binomial",
        {"probs": PROBS},
        WHOLE,
        lambda probs: stats().binom(6, probs),
        {"total_count": 6},
    ),
    Row("Binomial", {"logits": LOGITS}, WHOLE, options={"total_count": 6}, note="of logits"),
    Row(
        "NegativeBinomial",
        {"total_count": [1.0, 3.0, 4.5], "probs": PROBS},
        WHOLE,
        lambda total_count, probs: stats().nbinom(total_count, 1 - probs),
    ),
    Row("Categorical", {"probs": CLASSES}, [[0, 2], [1, 1], [2, 0]]),
    Row("Categorical", {"logits": [[1.0, -1.0, 0.5], [0.0, 3.0, 1.0]]}, [0, 2], note="of logits"),
    Row("OneHotCategorical", {"probs": CLASSES}, [[0, 1, 0], [1, 0, 0]]),
    Row("OneHotCategorical", {"logits": LOGITS}, [[0, 1, 0], [0, 0, 1]], note="of logits"),
    Row("OneHotCategoricalStraightThrough", {"probs": CLASSES}, [[0, 1, 0], [1, 0, 0]]),
    # PyTorch takes the logarithm of total_count! in float32.
    Row(
        "Multinomial",
        {"probs": CLASSES},
        [[2, 1, 1], [0, 4, 0]],
        options={"total_count": 4},
        close=1e-7,
    ),
    Row("MultivariateNormal", {"loc": LOGITS, "covariance_matrix": MATRIX}, REALS),
    Row("MultivariateNormal", {"loc": LOGITS, "precision_matrix": MATRIX}, REALS, note="precision"),
    Row("MultivariateNormal", {"loc": REALS, "scale_tril": FACTOR}, REALS, note="factor"),
    Row("RelaxedBernoulli", {"temperature": 0.7, "probs": PROBS}, UNITS),
    Row("RelaxedOneHotCategorical", {"temperature": 0.7, "logits": LOGITS}, CLASSES),
    Row("VonMises", {"loc": [-0.5, 0.0, 2.0], "concentration": [0.1, 1.0, 5.0]}, REALS, close=1e-6),
    Row("ContinuousBernoulli", {"probs": [0.2, 0.5, 0.9]}, UNITS, close=1e-8),
    Row("ContinuousBernoulli", {"logits": LOGITS}, UNITS, note="of logits"),
    Row(
        "Kumaraswamy",
        {"concentration1": [1.5, 3.0, 0.5], "concentration0": [1.25, 3.0, 2.0]},
        UNITS,
        wrong=("mode",),  # NaN, of the logarithm of a negative number
    ),
    Row(
        "GeneralizedPareto",
        {"loc": [0.0, -4.0, 0.05], "scale": SCALES, "concentration": [0.25, -0.1, 0.0]},
        POSITIVES,
        lambda loc, scale, concentration: stats().genpareto(concentration, loc, scale),
        wrong=("log_prob", "cdf", "icdf"),  # an error: it mixes float64 and float32
    ),
    Row(
        "LowRankMultivariateNormal",
        {"loc": LOGITS, "cov_factor": [[1.0, 0.5], [0.0, 2.0], [-1.0, 0.3]], "cov_diag": SCALES},
        REALS,
    ),
    Row("Wishart", {"df": 4.5, "covariance_matrix": MATRIX}, [MATRIX, EYE]),
    Row("Wishart", {"df": 3.5, "precision_matrix": MATRIX}, [MATRIX], note="precision"),
    Row("Wishart", {"df": 3.5, "scale_tril": FACTOR}, [MATRIX], note="factor"),
    Row("LKJCholesky", {"concentration": [0.5, 1.0, 3.0]}, [CORRELATED] * 3, options={"dim": 3}),
]
