"""Checks of the exercises of lesson 10, Inside the framework."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.primitive import Primitive
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=10)


@check.exercise(
    "A record",
    "From y² − x·y = 1 follows 2y·y′ − y − x·y′ = 0. And x is y − 1/y.",
    "y′ = y²/(y² + 1): it asks for `y` only. `vjp(g, y)` returns a tuple.",
    "For a very negative x the sum cancels: there y = 2/(√(x² + 4) − x).",
)
def Squareplus(answer: Any) -> None:
    forward = given("`forward`", getattr(answer, "forward", None))
    given("`forward`", forward(np.ones(2, np.float32)))
    op, x = Primitive(answer), cr.tensor([-3.0, -0.5, 0.0, 1.0, 2.5], requires_grad=True)
    numbers = x.detach().numpy().astype(np.float64)
    y = op(x)
    equal("y", y.detach().numpy(), (numbers + np.sqrt(numbers**2 + 4)) / 2, 1e-5)
    y.sum().backward()
    equal("∂y/∂x", x.grad.numpy(), (1 + numbers / np.sqrt(numbers**2 + 4)) / 2, 1e-5)
    require(not op(x)._node.saved, "the node keeps an input; `vjp` should ask for y alone")
    require(cr.gradgradcheck(op, cr.randn(3, 4)), "the second derivative is wrong")


@check.exercise(
    "A pass",
    "`dataclasses.replace(graph, equations=[...])` makes the new graph, `replace(equation, "
    "primitive=..., inputs=...)` a new equation.",
    "An equation is `mul` with both inputs the same value; `lookup('square')` is the other record.",
)
def square_products(answer: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return (x * x) * (x * y) + (y * y)

    before = cr.trace(f)(cr.spec(7), cr.spec(7)).graph
    after = given("square_products(graph)", answer(before)).check()
    names = Counter(e.primitive.name for e in after.equations)
    fault = f"x·x·x·y + y·y has become {dict(names)}, expected 2 mul, 2 square and 1 add"
    require(names == {"mul": 2, "square": 2, "add": 1}, fault)
    arrays = np.random.default_rng(0).standard_normal((2, 7)).astype(np.float32)
    (old,), (new,) = before.run(*arrays), after.run(*arrays)
    require(old.tobytes() == new.tobytes(), "the new graph gives other bits")


@check.exercise(
    "An interpreter",
    "The clock of the lesson writes down times; write down names in its place.",
    "`settings.use(interpreter=...)` around the call, and a `Counter` of `primitive.name`.",
)
def ops_of(answer: Any) -> None:
    def gradient(x: Any) -> Any:
        x = x.detach().requires_grad_()
        ((x * x).exp() / (1 + x.tanh())).sum().backward()
        return x.grad

    traced = cr.trace(gradient)(cr.spec(3)).graph
    expected = Counter(e.primitive.name for e in traced.equations)
    found = given("ops_of(gradient, x)", answer(gradient, cr.ones(3)))
    require(dict(found) == dict(expected), f"counted {dict(found)}, the trace has {dict(expected)}")


@check.exercise(
    "A polynomial",
    "Fit (eʳ − 1 − r)/r² at n points; near r = 0 compute it by its series.",
    "Chebyshev's points: ½·ln 2·cos(π·(i + ½)/n) for i = 0 ... n − 1. Then `np.polyfit`.",
)
def coefficients_needed(answer: Any) -> None:
    r = np.linspace(-math.log(2) / 2, math.log(2) / 2, 2001)
    at_zero = [abs(np.exp(r) - sum(r**k / math.factorial(k) for k in range(n + 2))).max()
               for n in range(1, 12)]
    for error in (2.0**-24, 1e-12):
        found = int(given(f"coefficients_needed({error:.2g})", answer(error)))
        taylor = 1 + int(np.argmax(np.array(at_zero) < error))
        fault = f"coefficients_needed({error:.2g}) gives {found}; Taylor's series needs {taylor}"
        require(taylor - 3 <= found <= taylor, fault)
    equal("coefficients_needed(2⁻²⁴)", answer(2.0**-24), 5)


@check.exercise(
    "A tile",
    "M·N registers for the sums, N for a row of B, one for A: which M fits into R?",
    "A step does 2·M·N·W operations, and loads M numbers of A and N·W of B.",
)
def tile(answer: Any) -> None:
    for registers, lanes, expected in ((32, 16, 14), (16, 8, 6), (16, 4, 6)):
        ratio = 4 * expected * lanes / (expected + 2 * lanes)
        equal(f"tile({registers}, {lanes})", answer(registers, lanes), (expected, ratio), 1e-9)
