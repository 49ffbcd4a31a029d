"""Running results along a dimension: products, extremes, log-sums, differences and areas."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.kinds import Along
from chainrule.ops.compare import where
from chainrule.ops.elementwise import exp
from chainrule.ops.index import gather
from chainrule.ops.order import Extreme
from chainrule.ops.rules import normalized_dim
from chainrule.ops.shape import cat
from chainrule.primitive import Spec, composition, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = [
    "cummax", "cummin", "cumprod", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid",
]

_ROWS = cases(
    lambda rng: (rng.uniform(-2, 2, (3, 4)), {"dim": 1}),
    lambda rng: (rng.uniform(-2, 2, (3, 4)), {"dim": 0}),
    lambda rng: (rng.uniform(-2, 2, (0, 4)), {"dim": 0}),
)


def along(x: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """The arguments of a running result: along one dimension, of numbers converted first."""
    return (x if dtype is None else x.to(dtype),), {"dim": normalized_dim(dim, x.ndim)}


@primitive
class recurrence:
    """yᵢ = aᵢ·yᵢ₋₁ + bᵢ along `dim`, y₀ = 0.   Both gradients are such recurrences backwards.

    With h the recurrence of g from the end with the factors aᵢ₊₁: ∂b = h, ∂aᵢ = hᵢ·yᵢ₋₁.
    """
    kind = Along()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), {"dim": 1}),
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), {"dim": 0}),
    )
    def infer(a, b, *, dim):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise ShapeError("a recurrence has a factor for each term", given=f"{a} and {b}")
        return floating(a)
    def forward(a, b, *, dim):
        y = b.copy()
        rows, factors = np.moveaxis(y, dim, 0), np.moveaxis(a, dim, 0)
        for i in range(1, len(rows)):
            rows[i] += factors[i] * rows[i - 1]
        return y
    def vjp(g, a, y, dim):
        later = shifted(a.flip(dim), dim)
        h = recurrence(later, g.flip(dim), dim=dim).flip(dim)
        return h * shifted(y, dim), h


def shifted(x: Tensor, dim: int, first: float = 0.0) -> Tensor:
    """x moved one place on along `dim`, a number in front and the last element left out."""
    before = (slice(None),) * dim
    front = Tensor(np.full([min(n, 1) if d == dim else n for d, n in enumerate(x.shape)], first,
                           x.dtype))
    return cat([front, x[(*before, slice(0, -1))]], dim)


@primitive
class cumprod:
    """yᵢ = x₁·…·xᵢ along `dim`.   ∂L/∂xᵢ = yᵢ₋₁·hᵢ with hᵢ = gᵢ + xᵢ₊₁·hᵢ₊₁, zeros or not."""
    kind, samples, arguments = Along(), _ROWS, along
    in_place_form = True
    def infer(x, *, dim): return Spec(x.shape, x.dtype if x.dtype.kind == "f" else np.int64)
    def forward(x, *, dim):
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return np.cumprod(x, dim, dtype=dtype) if x.ndim else x.astype(dtype)
    def vjp(g, x, y, dim):
        if not x.ndim:
            return g,
        later = shifted(x.flip(dim), dim)
        h = recurrence(later, g.flip(dim), dim=dim).flip(dim)
        return h * shifted(y, dim, 1.0),


@primitive
class logcumsumexp:
    """yᵢ = ln(e^x₁ + … + e^xᵢ) along `dim`.

    ∂L/∂xᵢ = e^(xᵢ − yᵢ)·hᵢ with hᵢ = gᵢ + e^(yᵢ − yᵢ₊₁)·hᵢ₊₁: no exponential is above 1.
    """
    kind, infer, samples, promote = Along(), floating, _ROWS, "float"
    arguments = along
    def forward(x, *, dim): return np.logaddexp.accumulate(x, dim) if x.ndim else x.copy()
    def vjp(g, x, y, dim):
        if not x.ndim:
            return g,
        backwards = y.flip(dim)
        decay = exp(difference(backwards, shifted(backwards, dim)))
        h = recurrence(decay, g.flip(dim), dim=dim).flip(dim)
        return exp(difference(x, y)) * h,


def difference(a: Tensor, b: Tensor) -> Tensor:
    """a − b, and 0 where both are the same infinity."""
    same = a == b
    return where(same, 0.0, a) - where(same, 0.0, b)


@primitive
class running_position:
    """y = where the largest (or smallest) element so far is, the last of equals; a NaN stays it."""
    kind = Along()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 1, "largest": True}),
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 0, "largest": False}),
    )
    def infer(x, *, dim, largest): return Spec(x.shape, np.int64)
    def forward(x, *, dim, largest):
        if not x.ndim:
            return np.zeros((), np.int64)
        best = (np.maximum if largest else np.minimum).accumulate(x, dim)
        along = [-1 if d == dim else 1 for d in range(x.ndim)]
        place = np.arange(x.shape[dim], dtype=np.int64).reshape(along)
        return np.maximum.accumulate(np.where((x == best) | (x != x), place, 0), dim)


@composition
def cummax(input: Tensor, dim: int) -> Extreme:
    """(values, indices) of the largest element so far along `dim`; NaN counts as the largest.

    >>> import chainrule as cr
    >>> cummax(cr.tensor([1.0, 3.0, 2.0]), 0).values
    tensor([1., 3., 3.])
    """
    return _running(input, dim, largest=True)


@composition
def cummin(input: Tensor, dim: int) -> Extreme:
    """(values, indices) of the smallest element so far along `dim`; a NaN stays."""
    return _running(input, dim, largest=False)


def _running(x: Tensor, dim: int, largest: bool) -> Extreme:
    dim = normalized_dim(dim, x.ndim)
    indices = running_position(x, dim=dim, largest=largest)
    return Extreme(gather(x, dim, indices) if x.ndim else x, indices)


@composition
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """xᵢ₊₁ − xᵢ along `dim`, n times; of booleans, whether they differ.

    >>> import chainrule as cr
    >>> diff(cr.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input.ndim or n < 0:
        raise ArgumentError("diff needs a dimension and n ≥ 0", given=f"{input.shape}, n = {n}")
    dim = normalized_dim(dim, input.ndim)
    x = cat([part for part in (prepend, input, append) if part is not None], dim)
    before = (slice(None),) * dim
    for _ in range(min(n, x.shape[dim])):
        last, first = x[(*before, slice(1, None))], x[(*before, slice(0, -1))]
        x = last != first if x.dtype.kind == "b" else last - first
    return x


@composition
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1
) -> Tensor:
    """The areas under y from its beginning to each point, by the trapezoidal rule."""
    return _trapezoids(y, x, dx, dim).cumsum(dim)


@composition
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """∫ y by the trapezoidal rule: the area under y at the points x, or at a distance dx.

    >>> import chainrule as cr
    >>> trapezoid(cr.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    return _trapezoids(y, x, dx, dim).sum(dim)


def _trapezoids(y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    dim = normalized_dim(dim, y.ndim)
    before = (slice(None),) * dim
    width: Any = dx
    if x is not None:
        width = diff(x, dim=-1 if x.ndim == 1 else dim)
        if x.ndim == 1:
            width = width.reshape(*width.shape, *[1] * (y.ndim - dim - 1))
    return (y[(*before, slice(1, None))] + y[(*before, slice(0, -1))]) * width / 2
