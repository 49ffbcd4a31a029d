"""The checker is tested with wrong derivatives: a check that cannot fail checks nothing."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.primitive import operations, registry, same_spec


def op(name, forward, vjp):
    """A primitive for one test."""
    return cr.primitive(
        type(name, (), {"infer": same_spec, "forward": forward, "vjp": vjp, "__doc__": "A demo."})
    )


@pytest.fixture(autouse=True)
def _forget():
    before = set(registry)
    yield
    for name in set(registry) - before:
        del registry[name], operations[name]


X = cr.tensor([0.5, 1.0, -2.0])

WRONG = {
    "sign": lambda g, x: (-g * x * 2,),
    "factor": lambda g, x: (g * x * 2.001,),
    "one entry": lambda g, x: (g * x * cr.tensor(np.array([2.0, 2.0, 2.01])),),
    "forgets g": lambda g, x: (x * 2,),
    "nan": lambda g, x: (g * x * float("nan"),),
    "nothing": lambda g, x: (None,),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_derivative_is_found(name):
    square = op("square_demo", lambda x: x * x, WRONG[name])
    with pytest.raises(RuntimeError, match=r"differs|not used"):
        cr.gradcheck(square, X)


def test_a_right_derivative_passes():
    assert cr.gradcheck(op("square_demo", lambda x: x * x, lambda g, x: (g * x * 2,)), X)


def test_a_wrong_second_derivative_is_found():
    cube = op(
        "cube_demo", lambda x: x**3, lambda g, x: (g * (x.detach() * x) * 3,)
    )  # the first is right, the second half of what it should be
    assert cr.gradcheck(cube, X)
    with pytest.raises(RuntimeError, match="differs"):
        cr.gradgradcheck(cube, X)


def test_a_derivative_that_ignores_the_upstream_gradient_in_second_order():
    square = op("square_demo", lambda x: x * x, lambda g, x: (g.detach() * x * 2,))
    assert cr.gradcheck(square, X)
    with pytest.raises(RuntimeError, match="differs"):
        cr.gradgradcheck(square, X)


def test_a_gradient_of_the_wrong_shape():
    with pytest.raises((RuntimeError, ValueError)):
        cr.gradcheck(op("square_demo", lambda x: x * x, lambda g, x: (g[:2],)), X)


def test_the_message_shows_both_numbers():
    with pytest.raises(RuntimeError, match=r"given: .*along a random direction; expected: .*±"):
        cr.gradcheck(op("square_demo", lambda x: x * x, WRONG["factor"]), X)


def test_inputs_are_upcast_and_left_alone():
    x = cr.tensor([0.5, 1.0], requires_grad=True)
    seen = []

    def f(x, n):
        seen.append((x.dtype, n))
        return x**n

    assert cr.gradcheck(f, [x, 3])
    assert set(seen) == {(np.dtype(np.float64), 3)}
    assert x.grad is None and x.dtype == np.float32


def test_functions_of_several_inputs_and_outputs():
    def f(a, b):
        return {"sum": a + b, "rest": (a * b, (a > b))}

    inputs = [cr.tensor([1.0, 2.0]), cr.tensor([3.0, -1.0])]
    assert cr.gradcheck(f, inputs) and cr.gradgradcheck(f, inputs)


def test_nothing_to_check():
    with pytest.raises(RuntimeError, match="no floating input"):
        cr.gradcheck(lambda x: x, cr.tensor([1, 2]))
    with pytest.raises(RuntimeError, match="nothing that depends"):
        cr.gradcheck(lambda x: x > 0, cr.tensor([1.0]))
