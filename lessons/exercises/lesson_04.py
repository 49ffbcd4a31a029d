"""Checks of the exercises of lesson 4, The chain rule, automated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import chainrule as cr
from lessons.exercises import Exercises, equal, given, require
from lessons.scalar import Scalar

check = Exercises(lesson=4)


@check.exercise(
    "An operation",
    "`Scalar(value, inputs, slopes, name)` is a node. Look at how `tanh` makes one.",
    "For x ≥ 0 use 1/(1 + e⁻ˣ), else eˣ/(1 + eˣ): no power is then above 1.",
    "`data` may itself be a Scalar: take exponentials by `function('exp', ...)` of "
    "lessons/scalar.py, as the engine does.",
)
def sigmoid(answer: Any) -> None:
    for p in (-800.0, -3.0, 0.0, 0.5, 800.0):
        x = Scalar(p)
        outer = Scalar(x)
        y = given(f"sigmoid(Scalar({p}))", answer(outer))
        s = 0.5 * (1 + math.tanh(p / 2))
        equal(f"sigmoid({p})", float(y), s, 1e-12)
        y.backward()
        equal(f"the slope at {p}", float(outer.grad), s * (1 - s), 1e-12)
        require(y.inputs == (outer,), "the result is more than one node away from its input")
        outer.grad.backward()
        equal(f"the second derivative at {p}", float(x.grad), s * (1 - s) * (1 - 2 * s), 1e-12)


@check.exercise(
    "Count the paths",
    "A node can be reached on as many paths as the nodes that were computed from it together.",
    "`reversed(root.nodes())` begins at the root, and each node stands before its inputs: hand the "
    "count down, one arrow at a time.",
)
def count_paths(answer: Any) -> None:
    a, b = Scalar(0.3), Scalar(0.8)
    u = a * b + a
    root = u * u + b
    for name, leaf, expected in (
        ("a", a, 4),
        ("b", b, 3),
        ("u", u, 2),
        ("the root itself", root, 1),
    ):
        equal(f"count_paths(root, leaf) for {name}", answer(root, leaf), expected)
    begin = end = Scalar(1.0)
    for _ in range(60):
        end = end * end
    equal("the paths of sixty squarings", answer(end, begin), 2**60, 0)


@check.exercise(
    "Soft maximum",
    "e¹⁰⁰⁰ overflows. The factor e⁻ᵐ may be taken out of the sum; which m is safe?",
    "With the largest number m: ln Σ eˣ = m + ln Σ e^(x − m). Take m as a plain number.",
)
def log_sum_exp(answer: Any) -> None:
    z = np.array([0.3, -1.2, 1.7, 0.0])
    for shift in (0.0, 1000.0, -1000.0):
        xs = [Scalar(v) for v in z + shift]
        y = given("log_sum_exp(xs)", answer(xs))
        equal(f"log_sum_exp(z + {shift})", float(y), math.log(np.exp(z).sum()) + shift, 1e-12)
        y.backward()
        softmax = np.exp(z) / np.exp(z).sum()
        equal("its gradient", [float(x.grad) for x in xs], softmax, 1e-9)


@check.exercise(
    "Forward",
    "(u/v)′ = (u′ − (u/v)·v′)/v. A number that is not a Dual has the slope 0.",
    "`2 - x` calls `x.__rsub__(2)`, and `1 / x` calls `x.__rtruediv__(1)`.",
)
def Dual(answer: Any) -> None:
    def f(x: Any) -> Any:
        return 2 - (x * x + 1) * x.tanh() / (3 - (-x).exp()) + 1 / (2 + x) - (x - 1.5)

    for p in (-0.9, 0.3, 1.7):
        for name, part in (("x − 1", lambda x: x - 1), ("1 / x", lambda x: 1 / x), ("f(x)", f),
                           ("x.exp()", lambda x: x.exp())):
            x, dual = Scalar(p), given("The number", answer(p, 1.0))
            truth = part(x)
            truth.backward()
            pair = given(name, part(dual))
            result = given(name, pair.data), given(f"the slope of {name}", pair.slope)
            equal(f"{name} and its slope at {p}", result, (truth.data, x.grad), 1e-12)


@check.exercise(
    "A row of the Hessian times a vector",
    "H·v is the gradient of one number that is made of ∇f and v.",
    "`cr.gradients(f(x), x, create_graph=True)` gives ∇f, recorded; multiply with v, add up, and "
    "walk back once more.",
)
def hessian_vector(answer: Any) -> None:
    def f(x: Any) -> Any:
        return (x[0] * x[1]).exp() * x[2].tanh() + (x**3).sum()

    x, v = cr.tensor([0.4, -0.7, 0.9], dtype=cr.float64), cr.tensor([1.0, -2.0, 0.5])
    v = v.double()
    found = given("hessian_vector(f, x, v)", answer(f, x, v))
    expected = cr.hessian(f)(x).numpy() @ v.numpy()
    equal("hessian_vector(f, x, v)", found.detach().numpy(), expected, 1e-9)
