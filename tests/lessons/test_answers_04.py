"""The scalar engine of lesson 4 and the answers of its exercises, against independent truths."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from lessons import flow, scalar
from lessons.answers import lesson_04 as answers
from lessons.scalar import Scalar

import chainrule as cr

RNG = np.random.default_rng(0)


def mixture(a, b):
    """A formula with every operation of the engine."""
    c = (a * b + 2) / (b**2 + 1) - (1 - a)
    return (c.tanh() + 3).log() * (-c / 4).exp() + 2 / (3 + (a - b).relu())


def test_the_engine_has_under_100_lines():
    assert len(Path(scalar.__file__).read_text().splitlines()) < 100


@pytest.mark.parametrize(("p", "q"), RNG.uniform(-2, 2, (8, 2)).round(2).tolist())
def test_gradients_of_the_engine_are_those_of_chainrule(p, q):
    a, b = Scalar(p), Scalar(q)
    y = mixture(a, b)
    y.backward()
    at = cr.tensor([p, q], dtype=cr.float64, requires_grad=True)
    value = mixture(at[0], at[1])
    value.backward()
    assert y.data == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose([a.grad, b.grad], at.grad.numpy(), rtol=1e-10)


def test_a_walk_starts_from_zero_and_depth_is_no_limit():
    x = Scalar(2.0)
    y = x * x
    for _ in range(2):
        y.backward()
        assert x.grad == 4.0
    for _ in range(50_000):
        y = y * 1.0
    y.backward()
    assert x.grad == 4.0


@pytest.mark.parametrize("p", [-1.3, 0.4, 2.0])
def test_second_derivatives_by_scalars_of_scalars(p):
    x = Scalar(p)
    outer = Scalar(x)
    mixture(outer, 0.7 * outer).backward()
    outer.grad.backward()
    second = cr.hessian(lambda t: mixture(t, 0.7 * t))(cr.tensor(p, dtype=cr.float64))
    assert x.grad == pytest.approx(second.item(), rel=1e-9)


@pytest.mark.parametrize("p", [-800.0, -3.0, 0.0, 0.5, 800.0])
def test_sigmoid_has_its_value_and_both_derivatives(p):
    x = Scalar(p)
    outer = Scalar(x)
    y = answers.sigmoid(outer)
    y.backward()
    outer.grad.backward()
    s = 0.5 * (1 + math.tanh(p / 2))
    assert float(y) == pytest.approx(s, abs=1e-15) and 0 <= float(y) <= 1
    assert float(outer.grad) == pytest.approx(s * (1 - s), abs=1e-15)
    assert float(x.grad) == pytest.approx(s * (1 - s) * (1 - 2 * s), abs=1e-15)


def test_paths_are_counted_without_walking_them():
    def by_walking(node, leaf):
        return (node is leaf) + sum(by_walking(x, leaf) for x in node.inputs)

    a, b = Scalar(0.3), Scalar(0.8)
    root = mixture(a, b)
    for leaf in (a, b, root, Scalar(1.0)):
        assert answers.count_paths(root, leaf) == by_walking(root, leaf)
    begin = end = Scalar(1.0)
    for _ in range(60):
        end = end * end
    assert answers.count_paths(end, begin) == 2**60


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
def test_log_sum_exp_is_stable_and_its_gradient_the_softmax(shift):
    z = RNG.uniform(-2, 2, 5)
    xs = [Scalar(v) for v in z + shift]
    y = answers.log_sum_exp(xs)
    y.backward()
    assert y.data == pytest.approx(math.log(np.exp(z).sum()) + shift, rel=1e-12)
    np.testing.assert_allclose([x.grad for x in xs], np.exp(z) / np.exp(z).sum(), rtol=1e-9)


@pytest.mark.parametrize("p", [-1.2, 0.3, 1.7])
def test_dual_numbers_agree_with_the_engine(p):
    def f(x):
        return 2 - (x * x + 1) * x.tanh() / (3 - (-x).exp() / 5) + 1 / (2 + x) - (x - 1.5)

    x = Scalar(p)
    y = f(x)
    y.backward()
    pair = f(answers.Dual(p, 1.0))
    assert pair.data == pytest.approx(y.data, rel=1e-14)
    assert pair.slope == pytest.approx(x.grad, rel=1e-12)


def test_hessian_times_vector_is_the_product():
    def f(x):
        return (x[0] * x[1]).exp() * x[2].tanh() + (x**3).sum()

    x, v = cr.tensor(RNG.uniform(-1, 1, 3)), cr.tensor(RNG.uniform(-1, 1, 3))
    expected = cr.hessian(f)(x).numpy() @ v.numpy()
    np.testing.assert_allclose(answers.hessian_vector(f, x, v).numpy(), expected, rtol=1e-9)


def test_a_picture_has_every_arrow_and_no_boxes_on_each_other():
    root = mixture(Scalar(0.3, name="a"), Scalar(0.8, name="b"))
    root.backward()
    drawing = flow.of_scalar(root)
    assert len(drawing.boxes) == len(root.nodes())
    assert len(drawing.arrows) == sum(len(node.inputs) for node in root.nodes())
    places, paths = flow.layout(drawing)
    for a, (xa, ya) in places.items():
        assert all(places[source][0] < xa for source in a.inputs)
        assert all(abs(ya - yb) > 0.99 for b, (xb, yb) in places.items() if b is not a and xa == xb)
    assert [path[-1] for path in paths] == [places[source] for _, source, _ in drawing.arrows]
