"""Reductions over one, several or all dimensions."""

from __future__ import annotations

import builtins
import functools
import math
import operator
from typing import Any

import numpy as np

from chainrule.errors import DTypeError
from chainrule.gateway import apply
from chainrule.kinds import Along, Reduction
from chainrule.ops.compare import where
from chainrule.ops.rules import (
    Dims,
    keep_dims,
    nonempty,
    normalized_dim,
    normalized_dims,
    reduced_shape,
)
from chainrule.primitive import Array, Spec, SpecLike, composition, floating, primitive
from chainrule.samples import Samples, cases
from chainrule.tensor import Tensor

__all__ = [
    "all", "all_finite", "amax", "amin", "any", "argmax", "argmin", "cumsum", "mean", "prod",
    "sum", "sum_to_size", "var",
]

_HALF = np.dtype(np.float16)
_LONG = 128
"""Sums in sequence of at least this many elements run in float64."""


def over_dims(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The arguments of a reduction: `dim` an int, a tuple, or None for all dimensions."""
    return (x,), {"dims": normalized_dims(dim, x.ndim), "keepdim": bool(keepdim)}


def converted_first(
    x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """As `over_dims`, of the numbers in another dtype where one is given."""
    return over_dims(x if dtype is None else x.to(dtype), dim, keepdim)


def reduce_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape; integers and booleans sum to int64."""
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    return Spec(reduced_shape(x.shape, dims, keepdim), dtype)


def mean_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool, **_: Any) -> Spec:
    """The reduced shape, of real numbers only."""
    if x.dtype.kind != "f":
        raise DTypeError(
            "the mean of integers is not an integer", given=x.dtype,
            instead="Convert with x.float() first.",
        )
    return Spec(reduced_shape(x.shape, dims, keepdim), x.dtype)


def logical_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape, boolean."""
    return Spec(reduced_shape(x.shape, dims, keepdim), np.bool_)


def extreme_rule(x: SpecLike, *, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """The reduced shape; there is no extreme of nothing."""
    nonempty(x, dims, "max or min")
    return Spec(reduced_shape(x.shape, dims, keepdim), x.dtype)


def position_rule(x: SpecLike, *, dim: int | None, keepdim: bool) -> Spec:
    """The shape reduced over one dimension (or all), of positions."""
    dims = normalized_dims(dim, len(x.shape))
    nonempty(x, dims, "argmax or argmin")
    return Spec(reduced_shape(x.shape, dims, keepdim), np.int64)


def over_position(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The arguments of argmax and argmin; None finds the position in the flattened tensor."""
    dim = None if dim is None else normalized_dim(dim, x.ndim)
    return (x,), {"dim": dim, "keepdim": bool(keepdim)}


def reductions(low: float = -3, high: float = 3) -> Samples:
    """All dimensions, one, several, kept and not; and a 0-d input."""
    def grid(rng: np.random.Generator, *shape: int) -> Array:
        # Distinct values, so that no maximum is tied.
        return rng.permutation(np.linspace(low, high, int(np.prod(shape)))).reshape(shape)

    return cases(
        lambda rng: (grid(rng, 3, 4), {"dims": (0, 1), "keepdim": False}),
        lambda rng: (grid(rng, 3, 4), {"dims": (1,), "keepdim": True}),
        lambda rng: (grid(rng, 2, 3, 4), {"dims": (0, 2), "keepdim": False}),
        lambda rng: (np.array(1.5), {"dims": (), "keepdim": False}),
    )


def positions() -> Samples:
    """Inputs for argmax and argmin."""
    return cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 1, "keepdim": False}),
        lambda rng: (rng.normal(size=(3, 4)), {"dim": None, "keepdim": False}),
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 0, "keepdim": True}),
    )


def accumulator(x: Array, dims: tuple[int, ...]) -> Any:
    """The dtype a sum runs in: wider for float16, and where NumPy adds a long run in sequence.

    What lies in one piece of memory it adds in pairs, whose error grows with the logarithm only.
    """
    if x.dtype.kind != "f":
        return np.int64
    if x.dtype == _HALF:
        return np.float32
    inner = x.ndim
    if x.flags.c_contiguous:
        if len(dims) == inner:
            return x.dtype
        while dims and dims[-1] == inner - 1:
            dims, inner = dims[:-1], inner - 1
    return np.float64 if math.prod([x.shape[d] for d in dims]) >= _LONG else x.dtype


@primitive
class sum:
    """y = Σ x over the dimensions.   ∂y/∂x = 1."""
    kind, arguments, infer, samples = Reduction("sum"), converted_first, reduce_rule, reductions()
    def forward(x, *, dims, keepdim):
        wide = accumulator(x, dims)
        y = np.add.reduce(x, dims, wide, None, keepdim)
        return y if wide is x.dtype or x.dtype.kind != "f" else np.asarray(y, x.dtype)
    def vjp(g, x_spec, dims): return keep_dims(g, x_spec.shape, dims).expand(x_spec.shape),


@primitive
class mean:
    """y = Σ x / n over the dimensions; NaN of nothing.   ∂y/∂x = 1/n."""
    kind = Reduction("sum", mean=True)
    arguments, infer, samples = converted_first, mean_rule, reductions()
    def forward(x, *, dims, keepdim):
        # In float64, so that the mean of n equal numbers is that number.
        total = np.add.reduce(x, dims, dtype=np.float64, keepdims=keepdim)
        return np.asarray(total / np.float64(count(x, dims)), x.dtype)
    def vjp(g, x_spec, dims):
        scaled = g * (1 / max(count(x_spec, dims), 1))
        return keep_dims(scaled, x_spec.shape, dims).expand(x_spec.shape),


def count(x: SpecLike, dims: tuple[int, ...]) -> int:
    """How many elements each output of a reduction is made of."""
    return math.prod([x.shape[d] for d in dims])


@primitive
class var:
    """y = Σ (x − mean x)² / (n − correction), in float64 inside.   ∂y/∂x = 2(x − mean x)/(n − c).

    `correction` 1 gives the unbiased estimate, 0 the variance of the values themselves.
    """
    kind, infer = Reduction(), mean_rule
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dims": (1,), "correction": 1, "keepdim": False}),
        lambda rng: (rng.normal(size=(3, 4)), {"dims": (0, 1), "correction": 0, "keepdim": True}),
    )

    def arguments(
        x: Tensor, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: float | None = None,
    ) -> Any:
        """As in PyTorch `var(x, False)` and `unbiased=False` are ways to write correction 0."""
        if isinstance(dim, bool):
            unbiased, dim = dim, None
        params = {"dims": normalized_dims(dim, x.ndim), "keepdim": bool(keepdim)}
        return (x,), {**params, "correction": int(unbiased) if correction is None else correction}

    def forward(x, *, dims, correction, keepdim):
        n = count(x, dims)
        wide = x.astype(np.float64)
        centered = wide - (wide.sum(dims, keepdims=True) / np.float64(n))
        total = np.square(centered).sum(dims, keepdims=keepdim)
        return np.asarray(total / np.float64(max(n - correction, 0)), x.dtype)

    def vjp(g, x, dims, correction):
        scale = 2 / max(count(x, dims) - correction, 1)
        return keep_dims(g, x.shape, dims) * (x - x.mean(dims, True)) * scale,


@primitive
class prod:
    """y = Π x over the dimensions.   ∂y/∂xᵢ = Π of the others (so zeros are no trouble)."""
    kind, infer, samples = Reduction(), reduce_rule, reductions(0.5, 2)
    arguments = converted_first
    def forward(x, *, dims, keepdim):
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return np.asarray(np.multiply.reduce(x, dims, dtype=dtype, keepdims=keepdim))
    def vjp(g, x, dims):
        kept = [d for d in range(x.ndim) if d not in dims]
        order = (*kept, *dims)
        rows = x.permute(*order).reshape(*[x.shape[d] for d in kept], count(x, dims))
        others = prod_of_others(rows).reshape(*[x.shape[d] for d in order])
        back = sorted(range(x.ndim), key=order.__getitem__)
        return keep_dims(g, x.shape, dims) * others.permute(*back),


@primitive
class prod_of_others:
    """yᵢ = Π_{j≠i} xⱼ over the last dimension.   ∂yᵢ/∂xₖ = Π_{j≠i,k} xⱼ for k ≠ i."""
    kind = Along(trailing=True)
    samples = cases(lambda rng: (rng.uniform(0.5, 2, (3, 4)),), lambda rng: (np.ones((2, 1)),))
    infer = floating
    def forward(x):
        one = np.ones_like(x[..., :1])
        before = np.cumprod(np.concatenate([one, x[..., :-1]], -1), -1)
        after = np.cumprod(np.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]
        return before * after
    def vjp(g, x):
        n = x.shape[-1]
        diagonal = Tensor(np.eye(n, dtype=bool))
        without = where(diagonal, 1.0, x.unsqueeze(-2))
        pairs = where(diagonal, 0.0, prod_of_others(without))
        return (g.unsqueeze(-1) * pairs).sum(-2),


@primitive
class amax:
    """y = max x over the dimensions; NaN wins.   The gradient is shared by all maxima equally."""
    kind, arguments, infer, samples = Reduction("max"), over_dims, extreme_rule, reductions()
    def forward(x, *, dims, keepdim): return np.maximum.reduce(x, dims, keepdims=keepdim)
    def vjp(g, x, y, dims): return shared_gradient(g, x, y, dims),


@primitive
class amin:
    """y = min x over the dimensions; NaN wins.   The gradient is shared by all minima equally."""
    kind, arguments, infer, samples = Reduction("min"), over_dims, extreme_rule, reductions()
    def forward(x, *, dims, keepdim): return np.minimum.reduce(x, dims, keepdims=keepdim)
    def vjp(g, x, y, dims): return shared_gradient(g, x, y, dims),


def shared_gradient(g: Tensor, x: Tensor, y: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The gradient of an extreme: equal parts to all that reach it."""
    chosen = (x == keep_dims(y, x.shape, dims)).astype(x.dtype)
    return keep_dims(g, x.shape, dims) * chosen / chosen.sum(dims, True)


@primitive
class argmax:
    """y = the position of the first maximum along `dim`; a NaN counts as the maximum."""
    kind, arguments, infer, samples = Reduction(), over_position, position_rule, positions()
    def forward(x, *, dim, keepdim): return position(np.argmax, x, dim, keepdim)


@primitive
class argmin:
    """y = the position of the first minimum along `dim`; a NaN counts as the minimum."""
    kind, arguments, infer, samples = Reduction(), over_position, position_rule, positions()
    def forward(x, *, dim, keepdim): return position(np.argmin, x, dim, keepdim)


def position(find: Any, x: Array, dim: int | None, keepdim: bool) -> Array:
    """NumPy's argmax or argmin, also of a 0-d array."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    return np.asarray(find(x, axis=dim, keepdims=keepdim), np.int64)


@primitive
class all:
    """y = whether every element is true (not zero)."""
    kind, arguments, infer, samples = Reduction(), over_dims, logical_rule, reductions()
    def forward(x, *, dims, keepdim): return np.asarray(np.all(x, dims, keepdims=keepdim))


@primitive
class any:
    """y = whether some element is true (not zero)."""
    kind, arguments, infer, samples = Reduction(), over_dims, logical_rule, reductions()
    def forward(x, *, dims, keepdim): return np.asarray(np.any(x, dims, keepdims=keepdim))


@primitive
class all_finite:
    """y = whether every element of every input is finite (neither NaN nor ±∞)."""
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=2)),
        lambda rng: (np.array([1.0, np.inf]),),
    )
    def infer(*xs): return Spec((), np.bool_)
    def forward(*xs):
        # A sum of squares is finite only if each is; if it overflowed, the elements decide.
        return np.asarray(
            not builtins.any(
                x.dtype.kind == "f" and not np.isfinite(np.vdot(x, x)) and not np.isfinite(x).all()
                for x in xs
            )
        )
    def batch(xs, batched, params):
        checks = [
            x.isfinite().reshape(len(x), math.prod(x.shape[1:])).all(1) if b else all_finite(x)
            for x, b in zip(xs, batched, strict=True)
        ]
        return functools.reduce(operator.and_, checks)


@primitive
class cumsum:
    """yᵢ = x₁ + … + xᵢ along `dim`, added up in float64.   ∂yᵢ/∂xⱼ = 1 for j ≤ i."""
    kind, in_place_form = Along(adds_up=True), True
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 1}),
        lambda rng: (rng.normal(size=(3, 4)), {"dim": 0}),
    )
    def arguments(x: Tensor, dim: int, *, dtype: Any = None) -> Any:
        return (x if dtype is None else x.to(dtype),), {"dim": normalized_dim(dim, x.ndim)}
    def infer(x, *, dim): return Spec(x.shape, x.dtype if x.dtype.kind == "f" else np.int64)
    def forward(x, *, dim):
        wide = np.float64 if x.dtype.kind == "f" else np.int64
        out = x.dtype if x.dtype.kind == "f" else np.int64
        return np.cumsum(x, dim, dtype=wide).astype(out) if x.ndim else x.astype(out)
    def vjp(g, dim): return g.flip(dim).cumsum(dim).flip(dim),


@composition
def sum_to_size(input: Tensor, *shape: Any) -> Tensor:
    """Σ x down to a shape that broadcasts to the shape of `x`: the adjoint of broadcasting.

    >>> import chainrule as cr
    >>> cr.ones(3, 4).sum_to_size(3, 1)
    tensor([[4.], [4.], [4.]])
    """
    target = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    extra = input.ndim - len(target)
    dims = tuple(d for d, n in enumerate(input.shape) if d < extra or target[d - extra] != n)
    y = apply(sum, input, dims=dims, keepdim=True) if dims else input
    return y if y.shape == target else y.reshape(target)
