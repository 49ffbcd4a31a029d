# Written by tools/stubs.py, from the records.

from typing import Any

import numpy as np

from chainrule.ops.compare import where
from chainrule.ops.fused import logsumexp
from chainrule.ops.shape import cat, flip, stack
from chainrule.primitive import Array, Primitive, Spec, SpecLike
from chainrule.samples import Samples
from chainrule.tensor import Tensor

NEVER: float

class Arrays:
    """The functions of the algorithm, on arrays."""

    constant = np.asarray
    where, cat, stack, flip, exp = (np.where, np.concatenate, np.stack, np.flip, np.exp)

    @staticmethod
    def log_sum(x: Array, dim: int) -> Array:
        """ln Σ eˣ; −∞ of −∞ alone. (`np.logaddexp` is several times slower.)"""

    @staticmethod
    def classes(labels: Array, count: int) -> Array: ...
    @staticmethod
    def of_states(x: Array, states: Array) -> Array: ...
    @staticmethod
    def to_classes(y: Array, states: Array, shape: tuple[int, ...]) -> Array: ...

class Ops:
    """The same functions on tensors."""

    constant, exp = (Tensor, Tensor.exp)
    where, cat, stack, flip, log_sum = (where, cat, stack, flip, logsumexp)

    @staticmethod
    def classes(labels: Tensor, count: int) -> Tensor: ...
    @staticmethod
    def of_states(x: Tensor, states: Tensor) -> Tensor: ...
    @staticmethod
    def to_classes(y: Tensor, states: Tensor, shape: tuple[int, ...]) -> Tensor: ...

class Paths:
    """The paths of some examples, by functions `m` of arrays or of tensors.

    x (T, N, C), labels (N, S), times and sizes (N) → log_p (T, N, 2S + 1), states and skips
    (N, 2S + 1). Logarithms of probabilities are 0 and −∞ for what is possible, and what is not.
    """

    def __init__(self, m: Any, x: Any, labels: Any, times: Any, sizes: Any, blank: int) -> None: ...
    def possible(self, condition: Any) -> Any:
        """0 where a condition holds, else −∞."""

    def before(self) -> Any:
        """ln of the probability of all ways to a state at a time: (T, N, 2S + 1)."""

    def after(self) -> Any:
        """ln of the probability of all ways from a state at a time to an end, of the same shape."""

    def ways(self, y: Any, log_p: Any, skips: Any, runs: list[Any]) -> list[Any]:
        """ln of the probability to get from y to a state, for each time; itself left out."""

    def loss(self, after: Any) -> Any:
        """−ln of the probability of all paths; without a time, there is one for no labels."""

    def gradient(self, g: Any, shape: tuple[int, ...]) -> Any:
        """−g·γ, γ the probability to be in a class at a time."""

def rule(x: SpecLike, labels: SpecLike, times: SpecLike, sizes: SpecLike, *, blank: int) -> Spec:
    """x (T, N, C) real; labels (N, S), times (N) and sizes (N) integers."""

def all_examples(record: Any, xs: Any, batched: Any, params: Any, dim: int) -> Any:
    """The examples of all batches side by side."""

def sequences(*front: Array) -> Samples:
    """Sequences of several lengths, with repeated labels, one with nothing."""

class _ctc(Primitive):
    def __call__(
        self,
        input: Tensor | float,
        labels: Tensor | float,
        times: Tensor | float,
        sizes: Tensor | float,
        *,
        blank: int,
    ) -> Tensor:
        """l = −ln Σ Πₜ e^xₜ(πₜ), over all paths π of a target (Graves et al., 2006)."""

ctc: _ctc

class _ctc_gradient(Primitive):
    def __call__(
        self,
        g: Tensor | float,
        input: Tensor | float,
        labels: Tensor | float,
        times: Tensor | float,
        sizes: Tensor | float,
        *,
        blank: Any,
    ) -> Tensor:
        """∂L/∂xₜ(c) = −g·γₜ(c): γ is the probability to be in a state of class c at time t."""

ctc_gradient: _ctc_gradient
