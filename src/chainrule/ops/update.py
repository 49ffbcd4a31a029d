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
from chainrule.samples import Samples

Reference = Callable[..., tuple[Array, ...]]
_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)


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
            )  # fmt: skip
    if w.dtype.kind != "f":
        raise DTypeError("only floating weights can be trained", given=w.dtype)


def rule(forward: Reference) -> Reference:
    """A reference that computes float16 in float32.

    Neither ε = 1e-8 nor the squares of small gradients exist in float16.
    """

    @functools.wraps(forward)
    def wide(*inputs: Array, **flags: bool) -> tuple[Array, ...]:
        if inputs[0].dtype != _HALF:
            return forward(*inputs, **flags)
        widened = [x.astype(_SINGLE) if x.dtype == _HALF else x for x in inputs]
        results = forward(*widened, **flags)
        return tuple([y.astype(_HALF) if y.dtype == _SINGLE else y for y in results])

    return wide


def fresh(like: Array) -> Array:
    """Memory for a result, in C order whatever the order of the input."""
    return np.empty(like.shape, like.dtype)


def counted(step: Array) -> Array:
    """step + 1, as an array."""
    return np.asarray(step + 1)


def penalized(w: Array, g: Array, weight_decay: Array, maximize: bool) -> Array:
    """±g + λ·w, the gradient with that of the penalty λ/2·‖w‖²; `g` itself where that is all."""
    decay = float(weight_decay)
    if not decay:
        return np.negative(g, out=fresh(g)) if maximize else g
    total = np.multiply(w, decay, out=fresh(w))
    return (np.subtract if maximize else np.add)(total, g, out=total)


def averaged(m: Array, x: Array, beta: float, scratch: Array) -> Array:
    """β·m + (1 − β)·x: the exponential moving average after one more value."""
    np.multiply(x, 1 - beta, out=scratch)
    mean = np.multiply(m, beta, out=fresh(m))
    return settled(np.add(mean, scratch, out=mean))


def settled(x: Array) -> Array:
    """x, with 0 in place of what is below the smallest normal number.

    Repeated multiplication by a β near 1 never takes such an x to 0, since 0.9·(4·2⁻¹⁴⁹) rounds to
    4·2⁻¹⁴⁹: it would stay for good, and arithmetic on it is slow.
    """
    np.copyto(x, 0, where=np.abs(x) < np.finfo(x.dtype).tiny)
    return x


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
                yield (w, g, *kept, *(np.asarray(n) for n in numbers), *last), own

    return draw


@primitive
class sgd_update:
    """w ← w − η·(±g + λ·w); − with `maximize`.   (Robbins & Monro, 1951)"""
    kind = Update()
    samples = states(0, (0.1, 0.01), {"maximize": False}, {"maximize": True})
    def infer(w, g, lr, weight_decay, *, maximize):
        require_alike(w, g)
        return w,
    @rule
    def forward(w, g, lr, weight_decay, *, maximize):
        d = penalized(w, g, weight_decay, maximize)
        move = np.multiply(d, float(lr), out=fresh(w))
        return np.subtract(w, move, out=move),


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
    @rule
    def forward(w, g, b, step, lr, momentum, dampening, weight_decay, *, nesterov, maximize):
        d = penalized(w, g, weight_decay, maximize)
        keep = 1 - float(dampening) if step > 0 else 1.0
        b = np.multiply(b, float(momentum), out=fresh(w))
        move = fresh(w)
        settled(np.add(b, d if keep == 1 else np.multiply(d, keep, out=move), out=b))
        if nesterov:
            np.multiply(b, float(momentum), out=move)
            np.add(move, d, out=move)
            np.multiply(move, float(lr), out=move)
        else:
            np.multiply(b, float(lr), out=move)
        return np.subtract(w, move, out=move), b, counted(step)


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
    @rule
    def forward(w, g, m, v, step, lr, betas, eps, weight_decay, *largest, decoupled, maximize):
        beta1, beta2 = betas.tolist()
        t, rate = int(step) + 1, float(lr)
        correction = (1 - beta2**t) ** 0.5
        d = penalized(w, g, _ZERO if decoupled else weight_decay, maximize)
        move = fresh(w)
        m = averaged(m, d, beta1, move)
        np.multiply(d, d, out=move)
        v = averaged(v, move, beta2, move)
        largest = tuple([np.maximum(x, v, out=fresh(w)) for x in largest])
        # m̂/(√v̂ + ε) with the corrections of both taken out of the sweeps.
        np.sqrt(largest[0] if largest else v, out=move)
        np.add(move, float(eps) * correction, out=move)
        np.divide(m, move, out=move)
        np.multiply(move, rate * correction / (1 - beta1**t), out=move)
        if decoupled and (decay := rate * float(weight_decay)):
            w = np.multiply(w, 1 - decay, out=fresh(w))
        return np.subtract(w, move, out=move), m, v, counted(step), *largest


_ZERO = np.zeros(())


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
    @rule
    def forward(w, g, v, lr, alpha, eps, weight_decay, momentum, *buffers, centered, maximize):
        d = penalized(w, g, weight_decay, maximize)
        move = np.multiply(d, d, out=fresh(w))
        v = averaged(v, move, float(alpha), move)
        if centered:
            m = averaged(buffers[0], d, float(alpha), move)
            np.multiply(m, m, out=move)
            np.subtract(v, move, out=move)
            np.maximum(move, 0, out=move)  # rounding can leave −1e-9 where v = m²
        np.sqrt(move if centered else v, out=move)
        np.add(move, float(eps), out=move)
        np.divide(d, move, out=move)
        kept = (m,) if centered else ()
        if len(buffers) > len(kept):
            b = np.multiply(buffers[-1], float(momentum), out=fresh(w))
            kept = (*kept, settled(np.add(b, move, out=b)))
            np.multiply(b, float(lr), out=move)
        else:
            np.multiply(move, float(lr), out=move)
        return np.subtract(w, move, out=move), v, *kept


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
    @rule
    def forward(w, g, s, step, lr, lr_decay, eps, weight_decay, *, maximize):
        d = penalized(w, g, weight_decay, maximize)
        move = np.multiply(d, d, out=fresh(w))
        s = np.add(s, move, out=fresh(w))
        np.sqrt(s, out=move)
        np.add(move, float(eps), out=move)
        np.divide(d, move, out=move)
        np.multiply(move, float(lr) / (1 + int(step) * float(lr_decay)), out=move)
        return np.subtract(w, move, out=move), s, counted(step)


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
        dtype = np.result_type(*[g.dtype for g in gs])
        gs = [g.astype(_SINGLE) if g.dtype == _HALF else g for g in gs if g.size]
        total = 0.0 if p == float("inf") else sum(power_sum(g, p) for g in gs)
        if 1e-30 < total < float("inf"):
            return np.asarray(total ** (1 / p), dtype)
        top = float(np.max([np.max(np.abs(g)) for g in gs], initial=0.0))  # NaN where there is one
        if p == float("inf") or not 0 < top < float("inf"):
            return np.asarray(top, dtype)
        return np.asarray(top * sum(power_sum(g / top, p) for g in gs) ** (1 / p), dtype)
