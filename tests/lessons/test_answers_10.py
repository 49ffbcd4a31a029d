"""The answers of lesson 10 against independent truths."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from lessons import sources
from lessons.answers import lesson_10 as answers

import chainrule as cr
from chainrule.graph import Graph
from chainrule.primitive import Primitive, lookup

squareplus = Primitive(answers.Squareplus)


def test_squareplus_has_its_values_and_derivatives():
    x = cr.randn(4, 5)
    with np.errstate(all="ignore"):
        expected = (x.numpy() + np.sqrt(x.numpy() ** 2 + 4)) / 2
    np.testing.assert_allclose(squareplus(x).numpy(), expected, rtol=1e-5)
    assert cr.gradcheck(squareplus, x) and cr.gradgradcheck(squareplus, x)
    for inputs, _ in squareplus.samples(np.random.default_rng(0)):
        assert cr.gradcheck(squareplus, cr.Tensor(np.asarray(inputs[0])))


def test_squareplus_keeps_its_output_alone_and_has_no_limit():
    x = cr.tensor([-1e30, -100.0, 0.0, 1e30], requires_grad=True)
    y = squareplus(x)
    assert not y._node.saved and y._node.outputs[0] is y._data
    np.testing.assert_allclose(y.detach().numpy(), [1e-30, 0.009999, 1, 1e30], rtol=1e-5)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 9.997e-5, 0.5, 1], rtol=1e-4, atol=1e-12)


def product_and_square(x, y):
    return (x * x) * (x * y) + (y * y)


def test_the_pass_finds_squares_and_keeps_every_bit():
    before = cr.trace(product_and_square)(cr.spec(7), cr.spec(7)).graph
    after = answers.square_products(before).check()
    names = [Counter(e.primitive.name for e in graph.equations) for graph in (before, after)]
    assert names[0] == {"mul": 4, "add": 1} and names[1] == {"mul": 2, "square": 2, "add": 1}
    arrays = np.random.default_rng(0).standard_normal((2, 7)).astype(np.float32)
    (old,), (new,) = before.run(*arrays), after.run(*arrays)
    assert old.tobytes() == new.tobytes()
    assert answers.square_products(Graph()).equations == []


def test_ops_are_counted_as_a_trace_writes_them_down():
    def gradient(x):
        x = x.detach().requires_grad_()
        ((x * x).exp() / (1 + x.tanh())).sum().backward()
        return x.grad

    traced = cr.trace(gradient)(cr.spec(3)).graph
    counted = answers.ops_of(gradient, cr.ones(3))
    assert counted == Counter(e.primitive.name for e in traced.equations)
    assert answers.ops_of(lambda: None) == {}


def test_coefficients_are_those_of_a_good_polynomial():
    r = np.linspace(-math.log(2) / 2, math.log(2) / 2, 4001)
    for n in (2, 4, 5, 6):
        c = answers.exp_coefficients(n)
        found = 1 + r + sum(c[k] * r ** (k + 2) for k in range(n))
        series = sum(r**k / math.factorial(k) for k in range(n + 2))
        error = np.abs(found / np.exp(r) - 1).max()
        assert answers.exp_error(c) == pytest.approx(error, rel=1e-6)
        assert error < 0.6 * np.abs(series / np.exp(r) - 1).max()
    assert answers.exp_error(answers.exp_coefficients(5)) < 1.5e-8
    assert answers.coefficients_needed(2.0**-24) == 5 < answers.coefficients_needed(1e-12)


@pytest.mark.parametrize(("registers", "lanes", "rows"), [(32, 16, 14), (16, 8, 6), (16, 4, 6)])
def test_tiles_are_those_of_the_engine(registers, lanes, rows):
    most, ratio = answers.tile(registers, lanes)
    assert most == rows
    assert ratio * (rows + 2 * lanes) == pytest.approx(4 * rows * lanes)
    text = (sources.CPP / "kernels/gemm_tile.h").read_text() if sources.CPP.exists() else ""
    assert not text or "MAX_ROWS = CR_REGISTERS == 32 ? 14 : 6" in text


def test_a_record_is_found_in_its_file():
    text = sources.record(lookup("exp"))
    assert text.startswith("@primitive\nclass exp:") and "def vjp(g, y)" in text
