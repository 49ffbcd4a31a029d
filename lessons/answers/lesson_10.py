"""Answers to the exercises of lesson 10, Inside the framework."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import settings
from chainrule.graph import Equation, Graph
from chainrule.interpreters import Interpreter
from chainrule.primitive import lookup, same_spec
from chainrule.samples import uniform


class Squareplus:
    """y = (x + √(x² + 4)) / 2.   ∂y/∂x = y² / (y² + 1).

    From y² − x·y = 1 follows 2y·y′ − y − x·y′ = 0, so y′ = y / (2y − x); and x = y − 1/y. The
    derivative is written as 1 / (1 + 1/y²), which stays finite however large y is. Where x is very
    negative the sum would cancel, so there y = 2 / (√(x² + 4) − x) is used.

    `cr.primitive(Squareplus)` makes it an op.
    """

    name = "squareplus"
    infer, samples, promote = same_spec, uniform(-3, 3), "float"

    def forward(x: Any) -> Any:  # noqa: N805, RUF100
        root = np.hypot(x, 2).astype(x.dtype)
        return np.asarray((np.abs(x) + root) / 2) ** np.where(x < 0, -1, 1).astype(x.dtype)

    def vjp(g: Any, y: Any) -> Any:  # noqa: N805, RUF100
        inverse = 1 / y
        return (g / (1 + inverse * inverse),)


def square_products(graph: Graph) -> Graph:
    """The pass mul(a, a) → square(a); the reference of `square` is x·x, so no bit changes."""
    square = lookup("square")

    def visit(equation: Equation) -> Equation:
        first, *others = equation.inputs or (None,)
        if equation.primitive.name != "mul" or others != [first]:
            return equation
        return replace(equation, primitive=square, inputs=(first,))

    return replace(graph, equations=[visit(equation) for equation in graph.equations])


class Counting(Interpreter):
    """Hands every op on to the interpreter below, and counts the ops by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def run(self, primitive: Any, inputs: Any, params: dict[str, Any]) -> Any:
        """Count, then hand on."""
        self.counts[primitive.name] += 1
        return super().run(primitive, inputs, params)


def ops_of(function: Callable[..., Any], *args: Any) -> Counter[str]:
    """How often each op runs while `function(*args)` is evaluated."""
    counting = Counting()
    with settings.use(interpreter=counting):
        function(*args)
    return counting.counts


def exp_coefficients(n: int) -> NDArray[Any]:
    """c₀ ... cₙ₋₁ such that 1 + r + r²·Σ cₖ·rᵏ is close to eʳ on |r| ≤ ½·ln 2.

    (eʳ − 1 − r)/r² is interpolated at Chebyshev's points, which are dense towards the ends: that
    comes near the polynomial whose error is spread evenly.
    """
    points = math.log(2) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    values = [sum(r**k / math.factorial(k + 2) for k in range(20)) for r in points]
    return np.polyfit(points, values, n - 1)[::-1]


def exp_error(coefficients: NDArray[Any]) -> float:
    """The largest relative error of eʳ on the interval."""
    r = np.linspace(-math.log(2) / 2, math.log(2) / 2, 4001)
    found = 1 + r + r**2 * np.polyval(coefficients[::-1], r)
    return float(np.abs(found / np.exp(r) - 1).max())


def coefficients_needed(error: float) -> int:
    """The smallest number of coefficients with a relative error of eʳ below `error`."""
    return next(n for n in range(1, 12) if exp_error(exp_coefficients(n)) < error)


def tile(registers: int, lanes: int, vectors: int = 2) -> tuple[int, float]:
    """(the most rows, operations for each number loaded) of a tile with `vectors` columns.

    M·N sums, N vectors of B and one of A fill the registers: M = ⌊(R − N − 1)/N⌋. A step does
    2·M·N·W operations on M + N·W numbers.

    >>> tile(32, 16)
    (14, 19.47826086956522)
    """
    rows = (registers - vectors - 1) // vectors
    return rows, 2 * rows * vectors * lanes / (rows + vectors * lanes)
