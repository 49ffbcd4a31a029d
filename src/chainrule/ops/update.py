"""The update rules of optimizers: one op a rule, so that weights are swept few times.

The names are those of the papers: w the weights, g their gradient, t the step that this update
is (the counter `step` holds t − 1), η = lr, λ = weight_decay; x ← ... is the new x. Every number
that a rule depends on comes in as a tensor, so that no capture freezes one. The outputs are fresh
arrays, the new weights first, then the new state. No rule has a derivative: training does not
differentiate its own steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.kinds import Update
from chainrule.primitive import Array, Spec, SpecLike, primitive
from chainrule.samples import Samples, integers

Reference = Callable[..., tuple[Array, ...]]


def require_alike(w: SpecLike, *others: SpecLike) -> None:
    """Gradient and state have the shape and dtype of their weights, which are real numbers."""
    for x in others:
        if x.shape != w.shape:
            raise ShapeError(
                "a gradient and its state have the shape of their weights",
                given=Spec(x.shape, x.dtype),
                expected=Spec(w.shape, w.dtype),
            )
        if x.dtype != w.dtype:
            raise DTypeError(
                "a gradient and its state have the dtype of their weights",
                given=x.dtype, expected=w.dtype,
                instead="Convert the model before the optimizer is made.",
            )
    if w.dtype.kind != "f":
        raise DTypeError("only floating weights can be trained", given=w.dtype)


def formula(forward: Reference) -> Reference:
    """A reference from a formula, which gets Python numbers, and arrays of at least float32.

    A Python number takes the dtype of the array that it meets, and 1 − β and βᵗ are found in
    float64. Neither ε = 1e-8 nor the squares of small gradients exist in float16.
    """

    @functools.wraps(forward)
    def reference(w: Array, *inputs: Array, **flags: bool) -> tuple[Array, ...]:
        wide = np.result_type(w, np.float32)
        given = [x.astype(wide) if x.dtype == w.dtype else x.tolist() for x in inputs]
        results = forward(w.astype(wide), *given, **flags)
        return tuple(
            [np.asarray(y, np.int64 if isinstance(y, int) else w.dtype, order="C") for y in results]
        )

    return reference


def penalized(w: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """d = ±g + λ·w, the gradient with that of the penalty λ/2·‖w‖²; λ = 0 leaves w = ∞ out."""
    return (-g if maximize else g) + np.where(weight_decay == 0, 0, weight_decay * w)


def averaged(m: Array, x: Array, beta: float) -> Array:
    """β·m + (1 − β)·x: the exponential moving average after one more value."""
    return settled(beta * m + (1 - beta) * x)


def settled(x: Array) -> Array:
    """x, with 0 in place of what is below the smallest normal number.

    Repeated multiplication by a β near 1 never takes such an x to 0, since 0.9·(4·2⁻¹⁴⁹) rounds to
    4·2⁻¹⁴⁹: it would stay for good, and arithmetic on it is slow.
    """
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, 0, x)


def states(count: int, numbers: tuple[Any, ...], *flags: dict[str, int]) -> Samples:
    """Weights, gradient and `count` positive states, then the numbers; once for each set of flags.

    The flag `_more` says how many states come after the numbers.
    """

    def draw(rng: np.random.Generator) -> Any:
        for shape in ((3, 4), (), (0, 2)):
            for chosen in flags:
                own = dict(chosen)
                more = own.pop("_more", 0)
                w, g = rng.normal(size=shape), rng.normal(size=shape)
                kept = [rng.uniform(0.5, 1.5, shape) for _ in range(count)]
                last = [rng.uniform(2.0, 3.0, shape) for _ in range(more)]
                yield (w, g, *kept, *map(integers, map(np.asarray, numbers)), *last), own

    return draw


@primitive
class sgd_update:
    """w ← w − η·(±g + λ·w); − with `maximize`.   (Robbins & Monro, 1951)"""
    kind = Update()
    samples = states(0, (0.1, 0.01), {"maximize": False}, {"maximize": True})
    def infer(w, g, lr, weight_decay, *, maximize):
        require_alike(w, g)
        return w,
    @formula
    def forward(w, g, lr, weight_decay, *, maximize):
        return w - lr * penalized(w, g, weight_decay, maximize),


@primitive
class momentum_update:
    """b ← μ·b + (1 − τ)·d, d = ±g + λ·w, without τ at the first step;   w ← w − η·b.

    With `nesterov` w ← w − η·(d + μ·b).   (Polyak, 1964; Nesterov, 1983; Sutskever et al., 2013)
    Outputs w, b, step + 1.
    """
    kind = Update()
    samples = states(
        1, (4, 0.1, 0.9, 0.2, 0.01),
        {"nesterov": False, "maximize": False}, {"nesterov": True, "maximize": True},
    )
    def infer(w, g, b, step, lr, momentum, dampening, weight_decay, *, nesterov, maximize):
        require_alike(w, g, b)
        return w, w, step
    @formula
    def forward(w, g, b, step, lr, momentum, dampening, weight_decay, *, nesterov, maximize):
        d = penalized(w, g, weight_decay, maximize)
        b = settled(momentum * b + np.where(step == 0, d, (1 - dampening) * d))
        return w - lr * (d + momentum * b if nesterov else b), b, step + 1


@primitive
class adam_update:
    """m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d²,  d = ±g + λ·w;
    w ← w − η·m̂ / (√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ).   (Kingma & Ba, 2015)

    `decoupled`: d = ±g, and w·(1 − ηλ) instead of w (Loshchilov & Hutter, 2019). Given the
    largest v so far, v̂ is of max(largest, v) (AMSGrad: Reddi et al., 2018).
    Outputs w, m, v, step + 1, and the new largest v where it was given.
    """
    kind = Update()
    samples = states(
        2, (4, 0.1, (0.9, 0.99), 1e-8, 0.01),
        {"decoupled": False, "maximize": False}, {"decoupled": True, "maximize": True},
        {"decoupled": False, "maximize": False, "_more": 1},
    )
    def infer(w, g, m, v, step, lr, betas, eps, weight_decay, *largest, decoupled, maximize):
        require_alike(w, g, m, v, *largest)
        return w, w, w, step, *largest
    @formula
    def forward(w, g, m, v, step, lr, betas, eps, weight_decay, *largest, decoupled, maximize):
        t, (beta1, beta2) = step + 1, betas
        shrink, penalty = (lr * weight_decay, 0) if decoupled else (0, weight_decay)
        d = penalized(w, g, penalty, maximize)
        m = averaged(m, d, beta1)
        v = averaged(v, d**2, beta2)
        largest = [np.maximum(x, v) for x in largest]
        m_hat = m / (1 - beta1**t)
        v_hat = (largest[0] if largest else v) / (1 - beta2**t)
        w = w * (1 - shrink) - lr * m_hat / (np.sqrt(v_hat) + eps)
        return w, m, v, t, *largest


@primitive
class rmsprop_update:
    """v ← α·v + (1 − α)·d²,  d = ±g + λ·w;   w ← w − η·d / (√v + ε).   (Hinton, 2012)

    `centered`: the first of `buffers` is the mean m ← α·m + (1 − α)·d, and √(v − m²) stands for
    √v (Graves, 2013). A last buffer b is the momentum: b ← μ·b + d / (√v + ε), w ← w − η·b.
    Outputs w, v and the new buffers.
    """
    kind = Update()
    samples = states(
        1, (0.1, 0.9, 1e-8, 0.01, 0.5),
        {"centered": False, "maximize": False}, {"centered": False, "maximize": True, "_more": 1},
    )
    def infer(w, g, v, lr, alpha, eps, weight_decay, momentum, *buffers, centered, maximize):
        require_alike(w, g, v, *buffers)
        return w, w, *buffers
    @formula
    def forward(w, g, v, lr, alpha, eps, weight_decay, momentum, *buffers, centered, maximize):
        d = penalized(w, g, weight_decay, maximize)
        v = averaged(v, d**2, alpha)
        means = [averaged(m, d, alpha) for m in buffers[:centered]]
        variance = np.maximum(v - means[0] ** 2, 0) if centered else v  # rounding may give −1e-9
        move = d / (np.sqrt(variance) + eps)
        moves = [settled(momentum * b + move) for b in buffers[centered:]]
        return w - lr * (moves[0] if moves else move), v, *means, *moves


@primitive
class adagrad_update:
    """s ← s + d²,  d = ±g + λ·w;   w ← w − ηₜ·d / (√s + ε),  ηₜ = η / (1 + (t − 1)·γ).

    γ is `lr_decay`.   (Duchi, Hazan & Singer, 2011)   Outputs w, s, step + 1.
    """
    kind = Update()
    samples = states(1, (4, 0.1, 0.01, 1e-10, 0.01), {"maximize": False}, {"maximize": True})
    def infer(w, g, s, step, lr, lr_decay, eps, weight_decay, *, maximize):
        require_alike(w, g, s)
        return w, w, step
    @formula
    def forward(w, g, s, step, lr, lr_decay, eps, weight_decay, *, maximize):
        d = penalized(w, g, weight_decay, maximize)
        s = s + d**2
        rate = lr / (1 + step * lr_decay)
        return w - rate * d / (np.sqrt(s) + eps), s, step + 1


def power_sum(x: Array, p: float) -> float:
    """Σ |x|ᵖ as a Python number."""
    if p == 2:
        flat = x.ravel()
        return float(np.dot(flat, flat))
    return float(np.sum(np.abs(x) ** p, dtype=np.float64))


@primitive
class global_norm:
    """y = (Σ |gᵢ|ᵖ)^(1/p) over the elements of all inputs together; p = ∞ gives max |gᵢ|.

    Where the powers overflow or vanish, y = m·(Σ |gᵢ/m|ᵖ)^(1/p) with m = max |gᵢ|.
    """
    def samples(rng):
        for p in (1.0, 2.0, 3.0, float("inf")):
            yield (rng.normal(size=(3, 4)), rng.normal(size=()), rng.normal(size=(0, 2))), {"p": p}
    def infer(*gs, p):
        for g in gs:
            require_alike(g)
        return Spec((), np.result_type(*[g.dtype for g in gs]))
    def forward(*gs, p):
        dtype = np.result_type(*gs)
        gs = [g.astype(np.result_type(g, np.float32)) for g in gs if g.size]
        total = 0.0 if p == float("inf") else sum(power_sum(g, p) for g in gs)
        if 1e-30 < total < float("inf"):
            return np.asarray(total ** (1 / p), dtype)
        top = float(np.max([np.max(np.abs(g)) for g in gs], initial=0.0))  # NaN where there is one
        if p == float("inf") or not 0 < top < float("inf"):
            return np.asarray(top, dtype)
        return np.asarray(top * sum(power_sum(g / top, p) for g in gs) ** (1 / p), dtype)
