# Written by tools/stubs.py, from the records.

from typing import Any

import numpy as np

from chainrule.ops.rules import Dims
from chainrule.primitive import Array, Primitive, SpecLike
from chainrule.tensor import Tensor

__all__ = ["log_softmax", "logsumexp", "softmax"]

def along(x: Tensor, dim: int = -1) -> Any:
    """The arguments of an op along one dimension."""

def rows(rng: np.random.Generator) -> list[Any]:
    """Inputs of ops along one dimension."""

def along_rule(x: SpecLike, *, dim: int) -> SpecLike:
    """The spec of the input."""

def shifted(x: Array, dim: int) -> Array:
    """x − max x along `dim`: no exponential of it overflows. The maximum of nothing is −∞."""

class _softmax(Primitive):
    def __call__(self, input: Tensor, dim: int = -1) -> Tensor:
        """yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = y·(g − Σ g·y)."""

softmax: _softmax

class _log_softmax(Primitive):
    def __call__(self, input: Tensor, dim: int = -1) -> Tensor:
        """yᵢ = (xᵢ − m) − ln Σⱼ e^(xⱼ − m), m = max x.   ∂L/∂x = g − eʸ·Σ g."""

log_softmax: _log_softmax

class _logsumexp(Primitive):
    def __call__(self, input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """y = m + ln Σ e^(x − m), m = max x; −∞ of −∞ alone, with gradient 0.   ∂y/∂x = e^(x − y)."""

logsumexp: _logsumexp

def label_samples(**params: Any) -> Any:
    """Logits and labels; one label is the one to ignore."""

class _softmax_cross_entropy(Primitive):
    def __call__(
        self, input: Tensor | float, t: Tensor | float, *, ignore_index: int, reduction: str
    ) -> Tensor:
        """lₙ = −ln softmax(xₙ)[tₙ] for class labels t, 0 where tₙ = ignore_index."""

softmax_cross_entropy: _softmax_cross_entropy

class _softmax_cross_entropy_gradient(Primitive):
    def __call__(
        self,
        g: Tensor | float,
        input: Tensor | float,
        t: Tensor | float,
        *,
        ignore_index: Any,
        reduction: Any,
    ) -> Tensor:
        """yₙ = gₙ·(softmax(xₙ) − onehot(tₙ)): g one number for each row, for their sum or mean."""

softmax_cross_entropy_gradient: _softmax_cross_entropy_gradient

def ones_like_rows(x: Tensor) -> Tensor:
    """A one for each row of x."""

def kept_labels(t: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Which labels count, and the labels with 0 in place of the ignored."""

def same_spec_as_target(x: SpecLike, t: SpecLike) -> SpecLike:
    """Predictions and targets of one shape and floating dtype."""

def check_unit_interval(x: Array, name: str) -> None:
    """Refuse what is not in [0, 1], with the first position and its value; NaN passes."""

probabilities: Any

class _binary_cross_entropy(Primitive):
    def __call__(self, p: Tensor | float, t: Tensor | float) -> Tensor:
        """l = −t·ln p − (1 − t)·ln(1 − p), each logarithm at least −100, so that l is finite."""

binary_cross_entropy: _binary_cross_entropy

class _binary_cross_entropy_with_logits(Primitive):
    def __call__(self, input: Tensor | float, t: Tensor | float) -> Tensor:
        """l = −t·ln σ(x) − (1 − t)·ln(1 − σ(x)) = max(x, 0) − t·x + ln(1 + e^−|x|).   ∂l/∂x = σ(x) − t."""

binary_cross_entropy_with_logits: _binary_cross_entropy_with_logits
