"""Compositions that are one op, because that is more accurate, or one sweep instead of many."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.kinds import Along, Elementwise, Reduction
from chainrule.ops.batched import apart, everywhere, examples, merged
from chainrule.ops.compare import where
from chainrule.ops.elementwise import exp, log, log1p
from chainrule.ops.labels import check_labels
from chainrule.ops.reduce import mean_rule, over_dims, reductions
from chainrule.ops.rules import keep_dims, normalized_dim
from chainrule.ops.special import sigmoid
from chainrule.primitive import Array, Spec, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = ["log_softmax", "logsumexp", "softmax"]


def along(x: Tensor, dim: int = -1) -> Any:
    """The arguments of an op along one dimension."""
    return (x,), {"dim": normalized_dim(dim, x.ndim)}


def rows(rng: np.random.Generator) -> list[Any]:
    """Inputs of ops along one dimension."""
    return [
        ((rng.normal(size=(3, 4)),), {"dim": 1}),
        ((rng.normal(size=(2, 3, 4)),), {"dim": 1}),
        ((rng.normal(size=(0, 4)),), {"dim": 1}),
        ((rng.normal(size=(4, 0)),), {"dim": 1}),
    ]


def along_rule(x: SpecLike, *, dim: int) -> SpecLike:
    """The spec of the input."""
    return floating(x)


def shifted(x: Array, dim: int) -> Array:
    """x − max x along `dim`: no exponential of it overflows. The maximum of nothing is −∞."""
    return x - np.maximum.reduce(x, dim, keepdims=True, initial=-np.inf) if x.ndim else x - x


@primitive
class softmax:
    """yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = y·(g − Σ g·y).

    A row of −∞ alone has no softmax: NaN, as in PyTorch; `safe_softmax` gives 0 there.
    """
    kind, arguments, infer, samples = Along(), along, along_rule, rows
    def forward(x, *, dim):
        e = np.exp(shifted(x, dim))
        return e / (np.sum(e, dim, keepdims=True) if x.ndim else e)
    def vjp(g, y, dim): return y * (g - (g * y).sum(dim, True)),


@primitive
class log_softmax:
    """yᵢ = (xᵢ − m) − ln Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = g − eʸ·Σ g."""
    kind, arguments, infer, samples = Along(), along, along_rule, rows
    def forward(x, *, dim):
        y = shifted(x, dim)
        return y - np.log(np.sum(np.exp(y), dim, keepdims=True)) if x.ndim else y
    def vjp(g, y, dim): return g - exp(y) * g.sum(dim, True),


@primitive
class logsumexp:
    """y = m + ln Σ e^(x − m), m = max x; −∞ of −∞ alone, with gradient 0.   ∂y/∂x = e^(x − y)."""
    kind, arguments, infer, samples = Reduction(), over_dims, mean_rule, reductions()
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


def label_samples(**params: Any) -> Any:
    """Logits and labels; one label is the one to ignore."""
    logits, labels = np.linspace(-2, 2, 20).reshape(5, 4)[:, [2, 0, 3, 1]], [0, 3, -1, 1, 1]
    options = [{"ignore_index": -1, "reduction": r} for r in ("none", "sum", "mean")]
    return lambda rng: [
        ((rng.normal(size=(5, 4)) + logits, np.array(labels)), {**p, **params}) for p in options
    ]


@primitive
class softmax_cross_entropy:
    """lₙ = −ln softmax(xₙ)[tₙ] for class labels t, 0 where tₙ = ignore_index.

    x (N, C), t (N,) → (N,), or their sum, or their mean over the rows that are not ignored.
    A label outside 0 … C − 1 raises OutOfRangeError.   ∂lₙ/∂xₙ = softmax(xₙ) − onehot(tₙ).
    """
    samples = label_samples()

    def infer(x: SpecLike, t: SpecLike, *, ignore_index: int, reduction: str) -> Spec:
        if len(x.shape) != 2 or t.shape != x.shape[:1] or t.dtype.kind not in "iu":
            raise ShapeError(
                "logits are (N, C) and labels N integers",
                given=f"{Spec(x.shape, x.dtype)} and {Spec(t.shape, t.dtype)}",
            )
        return Spec(t.shape if reduction == "none" else (), floating(x).dtype)

    def forward(x, t, *, ignore_index, reduction):
        kept, safe = kept_labels(t, x.shape[1], ignore_index)
        y = shifted(x, 1)
        chosen = np.take_along_axis(y, safe[:, None], 1)[:, 0]
        losses = np.where(kept, np.log(np.sum(np.exp(y), 1)) - chosen, 0)
        if reduction == "none":
            return losses
        total = np.sum(losses, dtype=np.float64)
        return np.asarray(total / np.sum(kept) if reduction == "mean" else total, x.dtype)

    def vjp(g, x, t, ignore_index, reduction):
        params = {"ignore_index": ignore_index, "reduction": reduction}
        return softmax_cross_entropy_gradient(g, x, t, **params), None

    def batch(xs, batched, params):  # the rows of all examples one after another
        ignored, reduction = params["ignore_index"], params["reduction"]
        x, t = map(merged, everywhere(xs, batched))
        y = softmax_cross_entropy(x, t, ignore_index=ignored, reduction="none")
        y, t = (apart(z, examples(xs, batched)) for z in (y, t))
        if reduction == "none":
            return y
        return y.sum(1) if reduction == "sum" else y.sum(1) / (t != ignored).sum(1).astype(x.dtype)


@primitive
class softmax_cross_entropy_gradient:
    """yₙ = gₙ·(softmax(xₙ) − onehot(tₙ)): g one number for each row, for their sum or mean."""
    samples = lambda rng: [  # noqa: E731
        ((np.ones(5) if p["reduction"] == "none" else np.array(0.7), *xs), p)
        for xs, p in label_samples()(rng)
    ]

    def infer(g, x, t, *, ignore_index, reduction): return floating(x)

    def forward(g, x, t, *, ignore_index, reduction):
        kept, safe = kept_labels(t, x.shape[1], ignore_index)
        onehot = safe[:, None] == np.arange(x.shape[1])
        g = (g / np.sum(kept, dtype=x.dtype)) if reduction == "mean" else g
        y = (g[:, None] if reduction == "none" else g) * (softmax.forward(x, dim=1) - onehot)
        return np.where(kept[:, None], y, 0)

    def vjp(u, g, x, t, ignore_index, reduction):
        kept = t != ignore_index
        share = 1 / kept.astype(x.dtype).sum() if reduction == "mean" else 1.0
        p, one = softmax(x, 1), ones_like_rows(x)
        scale = g.unsqueeze(1) if reduction == "none" else g * share
        by_x = where(kept.unsqueeze(1), p * (u - (u * p).sum(1, True)), 0.0) * scale
        each = {"ignore_index": ignore_index, "reduction": "none"}
        alone = softmax_cross_entropy_gradient(one, x, t, **each)
        by_g = (u * alone).sum(1)
        return by_g if reduction == "none" else by_g.sum() * share, by_x, None

    def batch(xs, batched, params):
        ignored, reduction = params["ignore_index"], params["reduction"]
        g, x, t = everywhere(xs, batched)
        if reduction != "none":
            g = g.unsqueeze(1).expand(t.shape)
        if reduction == "mean":
            g = g / (t != ignored).sum(1, True).astype(x.dtype)
        each = {"ignore_index": ignored, "reduction": "none"}
        y = softmax_cross_entropy_gradient(*map(merged, (g, x, t)), **each)
        return apart(y, examples(xs, batched))


def ones_like_rows(x: Tensor) -> Tensor:
    """A one for each row of x."""
    return Tensor(np.ones(x.shape[:1], x.dtype))


def kept_labels(t: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Which labels count, and the labels with 0 in place of the ignored."""
    kept = t != ignore_index
    safe = np.where(kept, t, 0)
    check_labels(safe, classes)
    return kept, safe


# -- probabilities -------------------------------------------------------------------------------


def same_spec_as_target(x: SpecLike, t: SpecLike) -> SpecLike:
    """Predictions and targets of one shape and floating dtype."""
    if x.shape != t.shape or x.dtype != t.dtype:
        raise ShapeError(
            "predictions and targets have one shape and dtype",
            given=f"{Spec(x.shape, x.dtype)} and {Spec(t.shape, t.dtype)}",
        )
    return floating(x)


def check_unit_interval(x: Array, name: str) -> None:
    """Refuse what is not in [0, 1], with the first position and its value; NaN passes."""
    if x.size and not (np.min(x) >= 0 and np.max(x) <= 1):
        bad = (x < 0) | (x > 1)
        if bad.any():
            where_ = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ArgumentError(
                f"{name} {x[where_]:g} at position {where_} is no probability",
                expected="numbers in [0, 1]",
                instead="Apply a sigmoid first, or use the loss with logits."
                if name == "prediction" else None,
            )


probabilities = cases(
    lambda rng: (rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))),
    lambda rng: (np.array(0.3), np.array(0.8)),
)


@primitive
class binary_cross_entropy:
    """l = −t·ln p − (1 − t)·ln(1 − p), each logarithm at least −100, so that l is finite.

    ∂l/∂p = (p − t) / (p·(1 − p)).
    """
    kind, infer, samples = Elementwise(alike=True), same_spec_as_target, probabilities
    def forward(p, t):
        check_unit_interval(p, "prediction")
        check_unit_interval(t, "target")
        return (t - 1) * np.maximum(np.log1p(-p), -100) - t * np.maximum(np.log(p), -100)
    def vjp(g, p, t, needs):
        by_p = g * (p - t) / (p * (1 - p)).clamp(min=1e-12)
        if not needs[1]:
            return by_p, None
        return by_p, g * (log1p(-p).clamp(min=-100.0) - log(p).clamp(min=-100.0))


@primitive
class binary_cross_entropy_with_logits:
    """l = −t·ln σ(x) − (1 − t)·ln(1 − σ(x)) = max(x, 0) − t·x + ln(1 + e^−|x|).   ∂l/∂x = σ(x) − t.
    """
    kind, infer = Elementwise(alike=True), same_spec_as_target
    samples = cases(
        lambda rng: (rng.uniform(-3, 3, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))),
        lambda rng: (np.array(0.3), np.array(0.8)),
    )
    def forward(x, t):
        check_unit_interval(t, "target")
        return np.maximum(x, 0) - t * x + np.log1p(np.exp(-np.abs(x)))
    def vjp(g, x, t, needs):
        return g * (sigmoid(x) - t), -g * x if needs[1] else None
