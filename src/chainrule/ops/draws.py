"""Random tensors: of a shape, or with parameters for each element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.gateway import aligned
from chainrule.ops.compare import where
from chainrule.ops.elementwise import log1p
from chainrule.ops.order import topk
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.reduce import argmax, cumsum, sum
from chainrule.ops.rules import broadcast_shapes, require_all
from chainrule.ops.sets import searchsorted
from chainrule.ops.shape import sizes
from chainrule.primitive import composition, floating
from chainrule.tensor import Tensor

__all__ = [
    "bernoulli", "binomial", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm",
]

_MOST_CATEGORIES = 2**24


def source(generator: Generator | None) -> Generator:
    return default_generator if generator is None else generator


# -- of a shape ----------------------------------------------------------------------------------


def rand(
    *size: Any, dtype: Any = None, requires_grad: bool = False, generator: Generator | None = None
) -> Tensor:
    """U[0, 1)."""
    drawn = source(generator).uniform(*size, dtype=dtype)
    return drawn.requires_grad_(requires_grad)


def randn(
    *size: Any, dtype: Any = None, requires_grad: bool = False, generator: Generator | None = None
) -> Tensor:
    """N(0, 1)."""
    drawn = source(generator).normal(*size, dtype=dtype)
    return drawn.requires_grad_(requires_grad)


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Integers of {low, …, high − 1}: `randint(high, size)` or `randint(low, high, size)`.

    >>> randint(3, 4, (2,))
    tensor([3, 3])
    >>> randint(1, size=(2,))
    tensor([0, 0])
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None or isinstance(size, int):
        raise ArgumentError(
            "randint needs a size", given=size, instead="randint(low, high, (2, 3))"
        )
    drawn = source(generator).integers(int(low), int(high), sizes((size,)))
    return drawn.to(np.dtype(dtype or np.int64)).requires_grad_(requires_grad)


def randperm(n: int, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n − 1 in random order."""
    return source(generator).permutation(n).to(np.dtype(dtype or np.int64))


def rand_like(
    input: Tensor,
    dtype: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """U[0, 1) in the shape (and dtype) of x."""
    return rand(
        input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, generator=generator
    )


def randn_like(
    input: Tensor,
    dtype: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """N(0, 1) in the shape (and dtype) of x."""
    return randn(
        input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, generator=generator
    )


def randint_like(
    input: Tensor,
    low: int = 0,
    high: int | None = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Integers of {low, …, high − 1}, or of {0, …, low − 1}, in the shape (and dtype) of x."""
    return randint(
        low, high, input.shape,
        dtype=dtype or input.dtype, requires_grad=requires_grad, generator=generator,
    )


# -- with given parameters -------------------------------------------------------------------------


def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """N(mean, std²) for each mean and standard deviation, or of a size where both are numbers.

    Raises ArgumentError for a negative standard deviation.

    >>> import chainrule as cr
    >>> normal(cr.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    >>> normal(5.0, 0.0, size=(2,))
    tensor([5., 5.])
    """
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not given and size is None:
        raise ArgumentError("normal of two numbers needs a size", instead="normal(0.0, 1.0, (2,))")
    shape = sizes((size,)) if size is not None else broadcast_shapes(*[x.shape for x in given])
    wanted = given[0].dtype if given and dtype is None else dtype
    require_positive(std, "a standard deviation", or_zero=True)
    z = source(generator).normal(*shape, dtype=wanted)
    return (z * _plain(std) + _plain(mean)).requires_grad_(requires_grad)


def _plain(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def require_positive(x: Any, what: str, or_zero: bool = False) -> None:
    """Raise ArgumentError unless a number, or each element of a tensor, is positive."""
    problem = f"{what} is {'negative' if or_zero else 'not positive'}"
    valid = x >= 0 if or_zero else x > 0
    if isinstance(valid, Tensor):
        require_all(valid, x, problem)
    elif not valid:
        raise ArgumentError(problem, given=x)


@composition
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element is, else 0; or, given p, with probability p.

    Raises ArgumentError for a probability outside of [0, 1].

    >>> import chainrule as cr
    >>> bernoulli(cr.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    if p is None:
        floating(input)
        p = input
    return trials(input.shape, p, generator).to(input.dtype)


def trials(shape: tuple[int, ...], p: Any, generator: Generator | None) -> Tensor:
    """Booleans of a shape, true with probability p, which broadcasts to it."""
    problem = "a probability is outside of [0, 1]"
    if not isinstance(p, Tensor):
        if not 0 <= p <= 1:
            raise ArgumentError(problem, given=p)
        return source(generator).bernoulli(float(p), *shape)
    require_all((p >= 0) & (p <= 1), p, problem)
    dtype = p.dtype if p.dtype.kind == "f" else np.float64
    return source(generator).uniform(*shape, dtype=dtype) < p.detach()


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson(λ), for each rate λ. Raises ArgumentError for a negative rate.

    >>> import chainrule as cr
    >>> poisson(cr.tensor([0.0, 0.0]))
    tensor([0., 0.])
    """
    floating(input)
    require_positive(input, "a rate of Poisson", or_zero=True)
    return source(generator).poisson(input.detach())


def binomial(
    count: Tensor, prob: Tensor, generator: Generator | None = None
) -> Tensor:
    """The number of successes in `count` trials of probability `prob`, elementwise.

    >>> import chainrule as cr
    >>> binomial(cr.tensor([5.0, 5.0]), cr.tensor([0.0, 1.0]))
    tensor([0., 5.])
    """
    floating(count)
    n, p = aligned("binomial", count, prob)
    return source(generator).binomial(n.detach(), p.detach())


def exponential(like: Tensor, rate: float, draw: Generator) -> Tensor:
    """Numbers of the density λ·e^−λx, in the spec of a tensor."""
    u = draw.uniform(*floating(like).shape, dtype=np.float64)
    return (log1p(-u) * (-1 / rate)).to(like.dtype)


@composition
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Positions drawn from each row, with probabilities in proportion to the numbers of the row.

    (classes) → (num_samples), (n, classes) → (n, num_samples). Without `replacement` no position
    comes twice in a row. Raises ArgumentError for a negative number, for a row that is 0, and where
    a row has fewer positions than are drawn from it.

    >>> import chainrule as cr
    >>> multinomial(cr.tensor([0.0, 3.0]), 4, replacement=True)
    tensor([1, 1, 1, 1])
    """
    floating(input)
    weights = input.detach()
    _check_multinomial(weights, num_samples, replacement)
    draw = source(generator)
    if replacement and num_samples > 1:
        edges = cumsum(weights, -1)
        edges = (edges / edges[..., -1:]).double()
        edges = where(edges == edges[..., -1:], 1.0, edges)
        u = draw.uniform(*weights.shape[:-1], num_samples, dtype=np.float64)
        return searchsorted(edges, u)
    # The largest of wᵢ/eᵢ, eᵢ ~ Exp(1), is at i with probability wᵢ/Σw (Efraimidis & Spirakis,
    # 2006).
    races = weights / exponential(weights, 1.0, draw)
    if num_samples == 1:
        return argmax(races, -1, keepdim=True)
    return topk(races, num_samples).indices


def _check_multinomial(weights: Tensor, num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise ShapeError("multinomial draws from vectors or rows", given=weights.shape)
    classes = weights.shape[-1]
    if num_samples <= 0 or (num_samples > classes and not replacement):
        raise ArgumentError(
            "the number of samples is not possible", given=num_samples,
            expected=f"1 … {classes}, or more with replacement=True",
        )
    if classes > _MOST_CATEGORIES:
        raise ArgumentError("too many categories", given=classes, expected="at most 2²⁴")
    valid = (weights >= 0) & (weights < math.inf)
    require_all(valid, weights, "a weight is negative, infinite or NaN")
    require_all(sum(weights, -1) > 0, weights, "all weights of a row are 0")
