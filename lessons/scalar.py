"""The chain rule, automated, for single numbers: lesson 4 explains every line."""

from __future__ import annotations

import math
from typing import Any


class Scalar:
    """A number that remembers what it was computed from (`inputs`), with which local `slopes`.

    After `y.backward()`, `x.grad` is ∂y/∂x for every x that leads to y. `data` may be anything
    that computes like a float; another Scalar, too.
    """

    def __init__(
        self, data: Any, inputs: Any = (), slopes: Any = (), op: str = "", name: str = ""
    ) -> None:
        self.data, self.inputs, self.slopes, self.op, self.name = data, inputs, slopes, op, name
        self.grad: Any = 0.0

    def __add__(self, other: Any) -> Scalar:
        b = number(other)
        return Scalar(self.data + b.data, (self, b), (1.0, 1.0), "+")

    def __sub__(self, other: Any) -> Scalar:
        b = number(other)
        return Scalar(self.data - b.data, (self, b), (1.0, -1.0), "−")

    def __mul__(self, other: Any) -> Scalar:
        b = number(other)
        return Scalar(self.data * b.data, (self, b), (b.data, self.data), "×")

    def __truediv__(self, other: Any) -> Scalar:
        b = number(other)
        y = self.data / b.data
        return Scalar(y, (self, b), (1.0 / b.data, -y / b.data), "/")

    def __pow__(self, n: float) -> Scalar:
        return Scalar(self.data**n, (self,), (n * self.data ** (n - 1),), f"^{n}")

    def __neg__(self) -> Scalar:
        return Scalar(-self.data, (self,), (-1.0,), "neg")

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Scalar:
        return number(other) - self

    def __rtruediv__(self, other: Any) -> Scalar:
        return number(other) / self

    def exp(self) -> Scalar:
        y = function("exp", self.data)
        return Scalar(y, (self,), (y,), "exp")

    def log(self) -> Scalar:
        return Scalar(function("log", self.data), (self,), (1.0 / self.data,), "log")

    def tanh(self) -> Scalar:
        y = function("tanh", self.data)
        return Scalar(y, (self,), (1.0 - y * y,), "tanh")

    def relu(self) -> Scalar:
        slope = 1.0 if float(self) > 0 else 0.0
        return Scalar(self.data * slope, (self,), (slope,), "relu")

    def nodes(self) -> list[Scalar]:
        """Everything that leads to this number, and itself: each one after its inputs."""
        order, seen, stack = list[Scalar](), set[Scalar](), [(self, False)]
        while stack:
            node, inputs_are_done = stack.pop()
            if inputs_are_done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack += [(node, True), *((x, False) for x in node.inputs)]
        return order

    def backward(self) -> None:
        """Set `grad` of everything that leads to this number."""
        order = self.nodes()
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for x, slope in zip(node.inputs, node.slopes, strict=True):
                x.grad = x.grad + node.grad * slope

    def __float__(self) -> float:
        return float(self.data)


def number(x: Any) -> Scalar:
    return x if isinstance(x, Scalar) else Scalar(x)


def function(name: str, x: Any) -> Any:
    return getattr(x, name)() if isinstance(x, Scalar) else getattr(math, name)(x)
