"""Attention as one op: softmax(s·q·kᵀ + mask)·v, with all that a row must keep in one number.

The forward pass keeps z, the logarithm of each row's sum of exponentials; from q, k and z the
gradient finds every probability again, pᵢⱼ = e^(s·qᵢ·kⱼ + mᵢⱼ − zᵢ). So an engine can work block by
block with memory linear in the length (Rabe & Staats, 2021; Dao et al., 2022), and ours does:
engine/cpp/kernels/attention.h. The references here are the plain formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.batched import aligned, everywhere, examples
from chainrule.ops.compare import where
from chainrule.ops.contract import matmul, same_float
from chainrule.ops.elementwise import exp
from chainrule.ops.rules import broadcast_shapes, zeros_if_none
from chainrule.primitive import Array, Spec, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

INFINITY = float("inf")


def attention_rule(q: SpecLike, k: SpecLike, v: SpecLike, mask: tuple[SpecLike, ...]) -> Spec:
    """q (..., L, d), k (..., S, d), v (..., S, e), a mask that broadcasts to (..., L, S)."""
    same_float("attention", floating(q), k, v)
    if min(len(x.shape) for x in (q, k, v)) < 2 or not (
        q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
        and q.shape[-1] == k.shape[-1]
        and k.shape[-2] == v.shape[-2]
    ):
        raise ShapeError(
            "query, key and value do not fit together",
            given=f"{q.shape}, {k.shape} and {v.shape}",
            expected="(..., L, d), (..., S, d) and (..., S, e) with equal dimensions in front",
        )
    for m in mask:
        if m.dtype.kind != "b" and m.dtype != q.dtype:
            raise DTypeError(
                f"a mask is boolean or of the query's dtype {q.dtype}", given=m.dtype,
                instead="Use mask.bool() for 0 and 1.",
            )
        scores = (*q.shape[:-1], k.shape[-2])
        if broadcast_shapes(m.shape, scores) != scores:
            raise ShapeError("the mask has another shape", given=m.shape, expected=scores)
    return Spec((*q.shape[:-1], v.shape[-1]), q.dtype)


def masked_scores(q: Array, k: Array, mask: tuple[Array, ...], causal: bool, scale: float) -> Array:
    """s·q·kᵀ + mask, −∞ where a boolean mask is False or the key comes after the query."""
    scores = (q * scale) @ k.swapaxes(-1, -2)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=np.bool_), scores, -np.inf)
    for m in mask:
        scores = np.where(m, scores, -np.inf) if m.dtype.kind == "b" else scores + m
    return scores


def batched_attention(record: Any, plain: int, xs: Any, batched: Any, params: Any) -> Any:
    """Attention of batched inputs: the examples are one more of the dimensions in front.

    The first `plain` inputs have the same ones; a mask broadcasts to them.
    """
    size, ndim = examples(xs, batched), xs[1].ndim - batched[1]
    alike = everywhere(xs[:plain], batched[:plain], size)
    return record(*alike, *aligned(xs[plain:], batched[plain:], ndim), **params)


def pairs_seen(q: SpecLike, k: SpecLike, causal: bool) -> int:
    """Pairs of a query and a key that it may see, in all batches."""
    queries, keys = q.shape[-2], k.shape[-2]
    seen = sum(min(i + 1, keys) for i in range(queries)) if causal else queries * keys
    return math.prod(q.shape[:-2]) * seen


def attention_samples(extra: tuple[str, ...] = ()) -> Any:
    """Queries, keys and values, with no mask, a causal one, a boolean and an additive one."""
    shapes = {"u": (2, 3, 2), "q": (2, 3, 4), "k": (2, 5, 4), "v": (2, 5, 2), "row": (2, 3)}
    seen = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], np.bool_)

    def draw(rng: np.random.Generator, *mask: Any, causal: bool = False) -> tuple[Any, ...]:
        names = ("u", "q", "k", "v", "row", "row") if extra else ("q", "k", "v")
        xs = [rng.uniform(-1, 1, shapes[name]) for name in names]
        if extra:
            xs[-1] = xs[-1] + 3  # a logarithm of a sum of exponentials that could be
        return *xs, *mask, {"causal": causal, "scale": 0.5}

    return cases(
        draw,
        lambda rng: draw(rng, causal=True),
        lambda rng: draw(rng, seen),
        lambda rng: draw(rng, rng.uniform(-1, 1, (2, 1, 5)), causal=True),
    )


@primitive
class attention:
    """yᵢ = Σⱼ pᵢⱼ·vⱼ, pᵢⱼ = e^(aᵢⱼ − zᵢ), zᵢ = ln Σⱼ e^aᵢⱼ, a = s·q·kᵀ + mask.

    Vaswani et al. (2017). q (..., L, d), k (..., S, d), v (..., S, e), perhaps a mask (..., L, S):
    boolean (True takes part) or added. `causal`: query i sees the keys 0 … i.
    → y (..., L, e), z (..., L). A row that sees nothing gives 0, and z = ∞, so that each p is 0.
    """
    partial = True
    samples = attention_samples()

    def infer(q: SpecLike, k: SpecLike, v: SpecLike, *mask: SpecLike, causal: bool, scale: float):
        y = attention_rule(q, k, v, mask)
        return y, Spec(y.shape[:-1], y.dtype)

    def flops(q, k, v, *mask, causal, scale):
        return 2 * pairs_seen(q, k, causal) * (q.shape[-1] + v.shape[-1])

    def forward(q, k, v, *mask, causal, scale):
        a = masked_scores(q, k, mask, causal, scale)
        top = np.max(a, -1, keepdims=True, initial=-np.inf)  # no e^(a − top) overflows
        top = np.where(top == -np.inf, 0, top)
        p = np.exp(a - top)
        total = np.sum(p, -1, keepdims=True)
        total = np.where(total == 0, np.inf, total)
        return p @ v / total, (top + np.log(total))[..., 0]

    def vjp(gs, q, k, v, mask, ys, causal, scale, needs):
        (g, by_level), (y, level) = gs, ys
        params = {"causal": causal, "scale": scale}
        g = zeros_if_none(g, y)
        delta = (g * y).sum(-1)
        delta = delta if by_level is None else delta - by_level
        found = attention_gradient(g, q, k, v, delta, level, *mask, **params)
        by_mask = [None] * len(mask)
        if any(needs[3:]):
            p = probabilities(q, k, level, mask, causal, scale)
            by_mask = [p * (matmul(g, v.mT) - delta.unsqueeze(-1))]
        return *found, *by_mask

    def batch(xs, batched, params): return batched_attention(attention, 3, xs, batched, params)


def probabilities(
    q: Tensor, k: Tensor, level: Tensor, mask: tuple[Tensor, ...], causal: bool, scale: float
) -> Tensor:
    """p = e^(a − z) in differentiable ops."""
    a = matmul(q * scale, k.mT) - level.unsqueeze(-1)
    if causal:
        a = where(Tensor(np.tri(*a.shape[-2:], dtype=np.bool_)), a, -INFINITY)
    for m in mask:
        a = where(m, a, -INFINITY) if m.dtype.kind == "b" else a + m
    return exp(a)


@primitive
class attention_gradient:
    """The gradients of attention by q, k and v, given u, that of y (..., L, e).

    With p = e^(a − z) and t = p∘(u·vᵀ − δ):   dq = s·t·k,  dk = s·tᵀ·q,  dv = pᵀ·u.
    δ (..., L) is Σ u∘y over the features, less the gradient of z.
    u, q, k, v, δ, z and the mask → dq, dk, dv in the shapes of q, k, v.
    """
    partial = positive_zeros = True
    samples = attention_samples(("u",))

    def infer(u, q, k, v, delta, level, *mask, causal, scale):
        y = attention_rule(q, k, v, mask)
        same_float("attention_gradient", y, u, delta, level)
        if u.shape != y.shape or delta.shape != y.shape[:-1] or level.shape != y.shape[:-1]:
            raise ShapeError("u is (..., L, e), δ and z are (..., L)",
                             given=f"{u.shape}, {delta.shape} and {level.shape}")
        return q, k, v

    def flops(u, q, k, v, delta, level, *mask, causal, scale):
        return 2 * pairs_seen(q, k, causal) * (3 * q.shape[-1] + 2 * v.shape[-1])

    def forward(u, q, k, v, delta, level, *mask, causal, scale):
        p = np.exp(masked_scores(q, k, mask, causal, scale) - level[..., None])
        t = p * (u @ v.swapaxes(-1, -2) - delta[..., None])
        transposed = t.swapaxes(-1, -2)
        by_q, by_k, by_v = scale * (t @ k), scale * (transposed @ q), p.swapaxes(-1, -2) @ u
        return by_q + 0.0, by_k + 0.0, by_v + 0.0

    def vjp(gs, u, q, k, v, delta, level, mask, causal, scale):
        by_q, by_k, by_v = map(zeros_if_none, gs, (q, k, v))
        p = probabilities(q, k, level, mask, causal, scale)
        rest = matmul(u, v.mT) - delta.unsqueeze(-1)
        t = p * rest * scale
        by_t = (matmul(by_q, k.mT) + matmul(q, by_k.mT)) * scale
        by_p, by_rest = by_t * rest + matmul(u, by_v.mT), by_t * p
        by_a = by_p * p
        scaled = by_a * scale
        return (
            matmul(p, by_v) + matmul(by_rest, v),
            matmul(t, by_k) + matmul(scaled, k),
            matmul(t.mT, by_q) + matmul(scaled.mT, q),
            matmul(by_rest.mT, u),
            -by_rest.sum(-1), -by_a.sum(-1), *[by_a for _ in mask],
        )

    def batch(xs, batched, params):
        return batched_attention(attention_gradient, 6, xs, batched, params)
