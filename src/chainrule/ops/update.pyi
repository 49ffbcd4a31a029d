# Written by tools/stubs.py, from the records.

from collections.abc import Callable
from typing import Any

from chainrule.primitive import Array, Primitive, SpecLike
from chainrule.samples import Samples
from chainrule.tensor import Tensor

Reference = Callable[..., tuple[Array, ...]]

def require_alike(w: SpecLike, *others: SpecLike) -> None:
    """Gradient and state have the shape and dtype of their weights, which are real numbers."""

def formula(forward: Reference) -> Reference:
    """A reference from a formula, which gets Python numbers, and arrays of at least float32."""

def penalized(w: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """d = ±g + λ·w, the gradient with that of the penalty λ/2·‖w‖²; λ = 0 leaves w = ∞ out."""

def averaged(m: Array, x: Array, beta: float) -> Array:
    """β·m + (1 − β)·x: the exponential moving average after one more value."""

def settled(x: Array) -> Array:
    """x, with 0 in place of what is below the smallest normal number."""

def states(count: int, numbers: tuple[Any, ...], *flags: dict[str, int]) -> Samples:
    """Weights, gradient and `count` positive states, then the numbers; once for each set of flags."""

class _sgd_update(Primitive):
    def __call__(
        self,
        w: Tensor | float,
        g: Tensor | float,
        lr: Tensor | float,
        weight_decay: Tensor | float,
        *,
        maximize: Any,
    ) -> tuple[Tensor]:
        """w ← w − η·(±g + λ·w); − with `maximize`.   (Robbins & Monro, 1951)"""

sgd_update: _sgd_update

class _momentum_update(Primitive):
    def __call__(
        self,
        w: Tensor | float,
        g: Tensor | float,
        b: Tensor | float,
        step: Tensor | float,
        lr: Tensor | float,
        momentum: Tensor | float,
        dampening: Tensor | float,
        weight_decay: Tensor | float,
        *,
        nesterov: Any,
        maximize: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """b ← μ·b + (1 − τ)·d, d = ±g + λ·w, without τ at the first step;   w ← w − η·b."""

momentum_update: _momentum_update

class _adam_update(Primitive):
    def __call__(
        self,
        w: Tensor | float,
        g: Tensor | float,
        m: Tensor | float,
        v: Tensor | float,
        step: Tensor | float,
        lr: Tensor | float,
        betas: Tensor | float,
        eps: Tensor | float,
        weight_decay: Tensor | float,
        *largest: Tensor | float,
        decoupled: Any,
        maximize: Any,
    ) -> tuple[Tensor, ...]:
        """m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d²,  d = ±g + λ·w;"""

adam_update: _adam_update

class _rmsprop_update(Primitive):
    def __call__(
        self,
        w: Tensor | float,
        g: Tensor | float,
        v: Tensor | float,
        lr: Tensor | float,
        alpha: Tensor | float,
        eps: Tensor | float,
        weight_decay: Tensor | float,
        momentum: Tensor | float,
        *buffers: Tensor | float,
        centered: Any,
        maximize: Any,
    ) -> tuple[Tensor, ...]:
        """v ← α·v + (1 − α)·d²,  d = ±g + λ·w;   w ← w − η·d / (√v + ε).   (Hinton, 2012)"""

rmsprop_update: _rmsprop_update

class _adagrad_update(Primitive):
    def __call__(
        self,
        w: Tensor | float,
        g: Tensor | float,
        s: Tensor | float,
        step: Tensor | float,
        lr: Tensor | float,
        lr_decay: Tensor | float,
        eps: Tensor | float,
        weight_decay: Tensor | float,
        *,
        maximize: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """s ← s + d²,  d = ±g + λ·w;   w ← w − ηₜ·d / (√s + ε),  ηₜ = η / (1 + (t − 1)·γ)."""

adagrad_update: _adagrad_update

def power_sum(x: Array, p: float) -> float:
    """Σ |x|ᵖ as a Python number."""

class _global_norm(Primitive):
    def __call__(self, *gs: Tensor | float, p: Any) -> Tensor:
        """y = (Σ |gᵢ|ᵖ)^(1/p) over the elements of all inputs together; p = ∞ gives max |gᵢ|."""

global_norm: _global_norm
