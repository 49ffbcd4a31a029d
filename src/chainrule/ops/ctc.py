"""Connectionist temporal classification: the forward-backward algorithm as one op, and its gradient
as another.

As other ops it would be a dozen for each time step, and the tape would keep the results of all. The
formulas are written once, for NumPy's functions, and for ops, which have derivatives of any order.

The states of an example are its labels with a blank before, between and after them: b, l₁, b, l₂,
..., b. A path is in one state at each time. It starts in one of the first two states and ends in
one of the last two. It remains in its state, moves on by one, or by two if that skips the blank
between two different labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.batched import apart, everywhere, examples, merged
from chainrule.ops.compare import where
from chainrule.ops.fused import logsumexp
from chainrule.ops.labels import check_labels
from chainrule.ops.shape import cat, flip, stack
from chainrule.primitive import Array, Spec, SpecLike, floating, primitive
from chainrule.samples import Samples, cases
from chainrule.tensor import Tensor

NEVER = -np.inf
"""ln 0: no path."""


class Arrays:
    """The functions of the algorithm, on arrays."""

    constant = np.asarray
    where, cat, stack, flip, exp = np.where, np.concatenate, np.stack, np.flip, np.exp

    @staticmethod
    def log_sum(x: Array, dim: int) -> Array:
        """ln Σ eˣ; −∞ of −∞ alone. (`np.logaddexp` is several times slower.)"""
        top = np.max(x, dim, keepdims=True)
        top = np.where(top == NEVER, 0, top).astype(x.dtype)
        return (np.log(np.sum(np.exp(x - top), dim, keepdims=True)) + top).squeeze(dim)

    @staticmethod
    def classes(labels: Array, count: int) -> Array:
        check_labels(labels, count)
        return labels

    @staticmethod
    def of_states(x: Array, states: Array) -> Array:
        return np.take_along_axis(x, states[None], 2)

    @staticmethod
    def to_classes(y: Array, states: Array, shape: tuple[int, ...]) -> Array:
        found = np.zeros(shape, y.dtype)
        steps, n = np.ogrid[: shape[0], : shape[1]]
        np.add.at(found, (steps[..., None], n[..., None], states), y)
        return found


class Ops:
    """The same functions on tensors."""

    constant, exp = Tensor, Tensor.exp
    where, cat, stack, flip, log_sum = where, cat, stack, flip, logsumexp

    @staticmethod
    def classes(labels: Tensor, count: int) -> Tensor:
        return labels

    @staticmethod
    def of_states(x: Tensor, states: Tensor) -> Tensor:
        return x.gather(2, states.unsqueeze(0).expand(x.shape[0], *states.shape))

    @staticmethod
    def to_classes(y: Tensor, states: Tensor, shape: tuple[int, ...]) -> Tensor:
        zeros = Tensor(np.zeros(shape, y.dtype))
        return zeros.scatter_add(2, states.unsqueeze(0).expand(y.shape), y)


class Paths:
    """The paths of some examples, by functions `m` of arrays or of tensors.

    x (T, N, C), labels (N, S), times and sizes (N) → log_p (T, N, 2S + 1), states and skips
    (N, 2S + 1). Logarithms of probabilities are 0 and −∞ for what is possible, and what is not.
    """

    def __init__(self, m: Any, x: Any, labels: Any, times: Any, sizes: Any, blank: int) -> None:
        self.m, self.times, self.sizes = m, times, sizes
        n, size = labels.shape
        rows = sizes.reshape(n, 1)
        known = m.where(m.constant(np.arange(size, dtype=np.int64)) < rows, labels, blank)
        known = m.stack([known * 0 + blank, m.classes(known, x.shape[2])], 2)
        self.states = m.cat([known.reshape(n, 2 * size), rows * 0 + blank], 1)
        self.log_p = m.of_states(x, self.states)
        place = m.constant(np.arange(2 * size + 1, dtype=np.int64))
        self.starts = self.possible(place < m.where(rows > 0, 2, 1))
        self.ends = self.possible((place <= rows * 2) & (place >= rows * 2 - 1))
        self.front = m.constant(np.full((n, 2), NEVER, x.dtype))
        skips = self.possible(self.states[:, 2:] != self.states[:, :-2])
        self.skips = m.cat([self.front[:, : 2 * size + 1], skips], 1)

    def possible(self, condition: Any) -> Any:
        """0 where a condition holds, else −∞."""
        zero = self.m.constant(np.zeros((), self.log_p.dtype))
        return self.m.where(condition, zero, zero + NEVER)

    def before(self) -> Any:
        """ln of the probability of all ways to a state at a time: (T, N, 2S + 1)."""
        runs = [self.times > t + 1 for t in range(len(self.log_p))]
        return self.m.stack(self.ways(self.starts, self.log_p, self.skips, runs))

    def after(self) -> Any:
        """ln of the probability of all ways from a state at a time to an end, of the same shape."""
        m = self.m
        skips = m.cat([self.skips[:, 2:], self.front[:, : self.skips.shape[1]]], 1)
        runs = [self.times > t for t in reversed(range(len(self.log_p)))]
        ways = self.ways(m.flip(self.ends, 1), m.flip(self.log_p, (0, 2)), m.flip(skips, 1), runs)
        return m.flip(m.stack(ways), (0, 2))

    def ways(self, y: Any, log_p: Any, skips: Any, runs: list[Any]) -> list[Any]:
        """ln of the probability to get from y to a state, for each time; itself left out."""
        found = []
        for t in range(len(log_p)):
            found.append(y)
            here = self.m.cat([self.front, y + log_p[t]], 1)
            moves = self.m.stack([here[:, 2:], here[:, 1:-1], here[:, :-2] + skips])
            y = self.m.where(runs[t].reshape(-1, 1), self.m.log_sum(moves, 0), y)
        return found

    def loss(self, after: Any) -> Any:
        """−ln of the probability of all paths; without a time, there is one for no labels."""
        total = self.m.log_sum(self.starts + self.log_p[0] + after[0], 1)
        return -self.m.where(self.times > 0, total, self.possible(self.sizes == 0))

    def gradient(self, g: Any, shape: tuple[int, ...]) -> Any:
        """−g·γ, γ the probability to be in a class at a time."""
        before, after = self.before(), self.after()
        loss = self.loss(after)
        scale = self.m.where(loss < np.inf, loss, NEVER)
        times = self.m.constant(np.arange(shape[0], dtype=np.int64)).reshape(-1, 1, 1)
        inside = self.possible(times < self.times.reshape(-1, 1))
        total = before + self.log_p + after + scale.reshape(-1, 1) + inside
        return self.m.to_classes(self.m.exp(total) * -g.reshape(-1, 1), self.states, shape)


def rule(x: SpecLike, labels: SpecLike, times: SpecLike, sizes: SpecLike, *, blank: int) -> Spec:
    """x (T, N, C) real; labels (N, S), times (N) and sizes (N) integers."""
    if len(x.shape) != 3 or len(labels.shape) != 2 or not (
        x.shape[1:2] == labels.shape[:1] == times.shape == sizes.shape
    ):
        raise ShapeError(
            "`ctc` takes x (T, N, C), labels (N, S), times (N) and sizes (N)",
            given=f"{x.shape}, {labels.shape}, {times.shape} and {sizes.shape}",
        )
    if not x.shape[0]:
        raise ArgumentError("`ctc` of no time steps", given=x.shape, expected="T ≥ 1")
    if {y.dtype for y in (labels, times, sizes)} != {np.dtype(np.int64)}:
        raise DTypeError("labels and lengths are int64", given=labels.dtype)
    return Spec(x.shape[1:2], floating(x).dtype)


def all_examples(record: Any, xs: Any, batched: Any, params: Any, dim: int) -> Any:
    """The examples of all batches side by side."""
    size = examples(xs, batched)
    *front, x, labels, times, sizes = everywhere(xs, batched)
    joined = [*map(merged, front), merged(x, 1), *map(merged, (labels, times, sizes))]
    return apart(record(*joined, **params), size, dim)


def sequences(*front: Array) -> Samples:
    """Sequences of several lengths, with repeated labels, one with nothing."""
    labels, times = np.array([[1, 2], [1, 1], [2, 0], [2, 2], [1, 1]]), np.array([5, 4, 2, 3, 0])
    return cases(
        lambda rng: (*front, rng.normal(size=(5, 5, 3)), labels, times, np.array([2, 2, 1, 2, 0]),
                     {"blank": 0}),
        lambda rng: (*front, rng.normal(size=(5, 5, 3)), labels, times, times * 0,
                     {"blank": 1}),
    )


@primitive
class ctc:
    """l = −ln Σ Πₜ e^xₜ(πₜ), over all paths π of a target (Graves et al., 2006).

    x (T, N, C) log-probabilities, labels (N, S), of which `sizes` (N) count, and `times` (N), how
    many steps count → (N). ∞ for a target that is too long for its input.
    """
    samples, infer = sequences(), rule
    def forward(x, labels, times, sizes, *, blank):
        paths = Paths(Arrays, x, labels, times, sizes, blank)
        return paths.loss(paths.after())
    def vjp(g, x, labels, times, sizes, blank):
        return ctc_gradient(g, x, labels, times, sizes, blank=blank), None, None, None
    def composed(x, labels, times, sizes, *, blank):
        paths = Paths(Ops, x, labels, times, sizes, blank)
        return paths.loss(paths.after())
    def batch(xs, batched, params): return all_examples(ctc, xs, batched, params, 0)


@primitive
class ctc_gradient:
    """∂L/∂xₜ(c) = −g·γₜ(c): γ is the probability to be in a state of class c at time t.

    g (N), and the inputs of `ctc` → (T, N, C); 0 where the loss is ∞.   No derivative.
    """
    samples = sequences(np.array([1.0, -0.5, 2.0, 1.5, 1.0]))
    def infer(g, x, labels, times, sizes, *, blank):
        rule(x, labels, times, sizes, blank=blank)
        return x
    def forward(g, x, labels, times, sizes, *, blank):
        return Paths(Arrays, x, labels, times, sizes, blank).gradient(g, x.shape)
    def composed(g, x, labels, times, sizes, *, blank):
        return Paths(Ops, x, labels, times, sizes, blank).gradient(g, x.shape)
    def batch(xs, batched, params): return all_examples(ctc_gradient, xs, batched, params, 1)
