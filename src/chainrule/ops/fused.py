"""Compositions that are one op, because that is more accurate, or one sweep instead of many."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.compare import where
from chainrule.ops.elementwise import exp
from chainrule.ops.index import check_labels, one_hot
from chainrule.ops.reduce import mean_rule, over_dims, reductions
from chainrule.ops.rules import keep_dims, normalized_dim, quiet
from chainrule.primitive import Array, Spec, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor


def along(x: Tensor, dim: int = -1) -> Any:
    """The arguments of an op along one dimension."""
    return (x,), {"dim": normalized_dim(dim, x.ndim)}


def rows(rng: np.random.Generator) -> list[Any]:
    """Inputs of ops along one dimension."""
    return [
        ((rng.normal(size=(3, 4)),), {"dim": 1}),
        ((rng.normal(size=(2, 3, 4)),), {"dim": 1}),
        ((rng.normal(size=(0, 4)),), {"dim": 1}),
    ]


def along_rule(x: SpecLike, *, dim: int) -> SpecLike:
    """The input's spec; there is nothing to normalize in an empty row."""
    if x.shape and x.shape[dim] == 0:
        raise ArgumentError("a softmax over nothing", given=f"shape {x.shape}, dimension {dim}")
    return floating(x)


def shifted(x: Array, dim: int) -> Array:
    """x − max x along `dim`: no exponential of it overflows."""
    return x - np.max(x, dim, keepdims=True) if x.ndim else x - x


@primitive
class softmax:
    """yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = y·(g − Σ g·y).

    A row of −∞ alone has no softmax: NaN, as in PyTorch; `safe_softmax` gives 0 there.
    """
    arguments, infer, samples = along, along_rule, rows
    @quiet
    def forward(x, *, dim):
        y = np.exp(shifted(x, dim))
        y /= np.sum(y, dim, keepdims=True) if x.ndim else y
        return y
    def vjp(g, y, dim): return y * (g - (g * y).sum(dim, True)),


@primitive
class log_softmax:
    """yᵢ = (xᵢ − m) − ln Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = g − eʸ·Σ g."""
    arguments, infer, samples = along, along_rule, rows
    @quiet
    def forward(x, *, dim):
        y = shifted(x, dim)
        return y - np.log(np.sum(np.exp(y), dim, keepdims=True)) if x.ndim else y
    def vjp(g, y, dim): return g - exp(y) * g.sum(dim, True),


@primitive
class logsumexp:
    """y = m + ln Σ e^(x − m), m = max x; −∞ of −∞ alone, with gradient 0.   ∂y/∂x = e^(x − y)."""
    arguments, infer, samples = over_dims, mean_rule, reductions()
    @quiet
    def forward(x, *, dims, keepdim):
        if any(x.shape[d] == 0 for d in dims):
            return np.full(mean_rule(x, dims=dims, keepdim=keepdim).shape, -np.inf, x.dtype)
        top = np.max(x, dims, keepdims=True)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
        total = np.log(np.sum(np.exp(x - top), dims, keepdims=True)) + top
        return total if keepdim else total.reshape(mean_rule(x, dims=dims, keepdim=False).shape)
    def vjp(g, x, y, dims):
        level = keep_dims(where(y.isfinite(), y, 0.0), x.shape, dims)
        return keep_dims(g, x.shape, dims) * exp(x - level),


@primitive
class softmax_cross_entropy:
    """yₙ = −ln softmax(xₙ)[tₙ] for class labels t.   ∂yₙ/∂xₙ = softmax(xₙ) − onehot(tₙ).

    x (N, C), t (N,) → (N,). A label outside 0 … C − 1 raises OutOfRangeError.
    """
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), np.array([0, 3, 1])))

    def infer(x: SpecLike, t: SpecLike) -> Spec:
        if len(x.shape) != 2 or t.shape != x.shape[:1] or t.dtype.kind not in "iu":
            raise ShapeError(
                "logits are (N, C) and labels N integers",
                given=f"{Spec(x.shape, x.dtype)} and {Spec(t.shape, t.dtype)}",
            )
        return Spec(t.shape, floating(x).dtype)

    @quiet
    def forward(x, t):
        check_labels(t, x.shape[1])
        y = shifted(x, 1)
        chosen = y[np.arange(len(t)), t]
        return np.log(np.sum(np.exp(y), 1)) - chosen

    def vjp(g, x, t):
        target = one_hot(t, num_classes=x.shape[1], dtype=x.dtype)
        return (softmax(x, 1) - target) * g.unsqueeze(1), None
