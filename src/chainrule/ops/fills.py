"""The methods that write random numbers into a tensor: `x.normal_()`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.op_methods import method
from chainrule.ops.draws import exponential, require_positive, source, trials
from chainrule.ops.elementwise import log, tan
from chainrule.ops.random import Generator
from chainrule.primitive import floating
from chainrule.tensor import Tensor


@method
def normal_(
    input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Assign numbers of N(mean, std²)."""
    require_positive(std, "a standard deviation", or_zero=True)
    return input.assign(source(generator).normal(*input.shape, dtype=input.dtype) * std + mean)


@method
def uniform_(
    input: Tensor, low: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Assign numbers of U[low, to)."""
    if not low <= to:
        raise ArgumentError("the range is empty", given=f"[{low}, {to})")
    u = source(generator).uniform(*input.shape, dtype=input.dtype)
    return input.assign(u * (to - low) + low)


@method
def random_(
    input: Tensor, low: int = 0, to: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Assign whole numbers of {low, …, to − 1}; of {0, …, low − 1} where only one is given.

    Without limits, the numbers are those from 0 that the dtype holds exactly.
    """
    if to is None:
        low, to = 0, low or _count_of(input.dtype)
    drawn = source(generator).integers(int(low), int(to), input.shape)
    return input.assign(drawn.to(input.dtype))


def _count_of(dtype: Any) -> int:
    """How many whole numbers from 0 on a dtype holds without gaps."""
    if dtype.kind == "f":
        return int(2 ** (np.finfo(dtype).nmant + 1)) + 1
    return 2 if dtype.kind == "b" else int(np.iinfo(dtype).max) + 1


@method
def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Assign 1 with probability p, else 0; p is a number, or a tensor that broadcasts."""
    return input.assign(trials(input.shape, p, generator).to(input.dtype))


@method
def exponential_(
    input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Assign numbers of the density λ·e^−λx."""
    require_positive(lambd, "the rate")
    return input.assign(exponential(input, lambd, source(generator)))


@method
def cauchy_(
    input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Assign numbers of the density 1/(πσ·(1 + ((x − median)/σ)²))."""
    require_positive(sigma, "sigma")
    u = source(generator).uniform(*floating(input).shape, dtype=np.float64)
    return input.assign((tan((u - 0.5) * math.pi) * sigma + median).to(input.dtype))


@method
def log_normal_(
    input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Assign eˣ of numbers x of N(mean, std²)."""
    require_positive(std, "a standard deviation")
    drawn = source(generator).log_normal(mean, std, *floating(input).shape)
    return input.assign(drawn.to(input.dtype))


@method
def geometric_(input: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Assign the number of trials, each of probability p, up to the first success."""
    if not 0 < p < 1:
        raise ArgumentError("the probability is inside (0, 1)", given=p)
    u = source(generator).uniform(*input.shape, dtype=np.float64)
    return input.assign((log(u) / math.log1p(-p)).ceil().to(input.dtype))
