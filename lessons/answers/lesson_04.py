"""Answers to the exercises of lesson 4, The chain rule, automated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import chainrule as cr
from lessons.scalar import Scalar, function


def sigmoid(x: Scalar) -> Scalar:
    """σ(x) = 1 / (1 + e⁻ˣ) as one node.   ∂σ/∂x = σ·(1 − σ).

    Only e^(−|x|) is computed, which cannot overflow: σ(x) = 1 / (1 + e^(−|x|)) for x ≥ 0, and
    e^(−|x|) / (1 + e^(−|x|)) for x < 0. `function` lets `data` be a Scalar.
    """
    positive = float(x) >= 0
    small = function("exp", -x.data if positive else x.data)
    y = (1.0 if positive else small) / (1.0 + small)
    return Scalar(y, (x,), (y * (1.0 - y),), "sigmoid")


def count_paths(root: Scalar, leaf: Scalar) -> int:
    """How many paths lead from `root` back to `leaf`.

    In the order of the walk back: a node has as many paths as the nodes that read it have together.
    """
    paths = dict.fromkeys(root.nodes(), 0)
    paths[root] = 1
    for node in reversed(root.nodes()):
        for x in node.inputs:
            paths[x] += paths[node]
    return paths.get(leaf, 0)


def log_sum_exp(xs: Sequence[Scalar]) -> Scalar:
    """ln Σ e^xᵢ = m + ln Σ e^(xᵢ − m) with the largest m, so that nothing overflows.

    m is a plain number: the sum does not depend on it, so nothing flows back through it. The
    gradient is the softmax, e^xᵢ / Σ e^xⱼ.
    """
    largest = max(float(x) for x in xs)
    first, *others = [(x - largest).exp() for x in xs]
    return sum(others, first).log() + largest


class Dual:
    """A number and its derivative by one chosen input."""

    def __init__(self, data: float, slope: float = 0.0) -> None:
        self.data, self.slope = data, slope

    def __add__(self, other: Dual | float) -> Dual:
        b = dual(other)
        return Dual(self.data + b.data, self.slope + b.slope)

    def __sub__(self, other: Dual | float) -> Dual:
        b = dual(other)
        return Dual(self.data - b.data, self.slope - b.slope)

    def __mul__(self, other: Dual | float) -> Dual:
        b = dual(other)
        return Dual(self.data * b.data, self.slope * b.data + self.data * b.slope)

    def __truediv__(self, other: Dual | float) -> Dual:
        b = dual(other)
        y = self.data / b.data
        return Dual(y, (self.slope - y * b.slope) / b.data)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: float) -> Dual:
        return dual(other) - self

    def __rtruediv__(self, other: float) -> Dual:
        return dual(other) / self

    def __neg__(self) -> Dual:
        return Dual(-self.data, -self.slope)

    def exp(self) -> Dual:
        """eˣ, whose slope is eˣ."""
        y = math.exp(self.data)
        return Dual(y, self.slope * y)

    def tanh(self) -> Dual:
        """tanh x, whose slope is 1 − tanh² x."""
        y = math.tanh(self.data)
        return Dual(y, self.slope * (1 - y * y))


def dual(x: Dual | float) -> Dual:
    """A Dual as it is, a number as a constant."""
    return x if isinstance(x, Dual) else Dual(x)


def hessian_vector(f: Callable[[cr.Tensor], cr.Tensor], x: cr.Tensor, v: cr.Tensor) -> cr.Tensor:
    """H·v for the Hessian H of f at x, without H.

    H·v is the gradient of ⟨∇f, v⟩, since v is constant: one walk back gives ∇f, recorded; one more
    gives the product.
    """
    point = x.detach().requires_grad_()
    (slope,) = cr.gradients(f(point), point, create_graph=True)
    (product,) = cr.gradients((slope * v).sum(), point)
    assert product is not None
    return product
