"""`torch.autograd`: functions of one's own on the tape, and PyTorch's ways to ask for gradients."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule.torch
from chainrule.errors import ArgumentError, GradientError, NotDifferentiableError

torch_ = chainrule.torch


class Cube(torch_.autograd.Function):
    """y = x³, keeping its input and its output."""

    @staticmethod
    def forward(ctx, x):
        y = x * x * x
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * (3 * y / x)


class ScaledPair(torch_.autograd.Function):
    """(s·a, a + b), with a number that is no tensor, and forward without ctx."""

    @staticmethod
    def forward(a, s, b):
        return s * a, a + b

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.s = inputs[1]
        assert len(output) == 2

    @staticmethod
    def backward(ctx, g, h):
        return ctx.s * g + h, None, h


def test_a_function_has_first_and_second_derivatives(torch):
    x = torch.tensor(2.0, requires_grad=True)
    y = Cube.apply(x)
    assert y.item() == 8 and y.grad_fn.name() == "CubeBackward0"
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert (g.item(), h.item()) == (12, 12)


def test_its_gradients_match_finite_differences(torch):
    x = torch.tensor([1.5, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Cube.apply(x) * x, [x])


def test_several_inputs_and_outputs(torch):
    a, b = (torch.tensor(v, requires_grad=True) for v in (2.0, 5.0))
    first, second = ScaledPair.apply(a, 3.0, b)
    (first * 10 + second).backward()
    assert (a.grad.item(), b.grad.item()) == (31, 1)
    a.grad = None
    first, _ = ScaledPair.apply(a, 3.0, b)
    first.backward()  # the other output gets zeros
    assert a.grad.item() == 3


def test_it_works_inside_a_compiled_step(torch):
    w = torch.tensor([1.0, 2.0], requires_grad=True)

    def step(x):
        loss = Cube.apply(w * x).sum()
        loss.backward()
        return loss

    eager = step(torch.ones(2)).item(), w.grad.tolist()
    w.grad = None
    compiled = torch.compile(step, fullgraph=True)(torch.ones(2)).item(), w.grad.tolist()
    assert eager == compiled


def test_needs_input_grad_and_no_grad(torch):
    seen = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            seen.append(ctx.needs_input_grad)
            return a * b

        @staticmethod
        def backward(ctx, g):
            return g, None

    x = torch.ones(1, requires_grad=True)
    assert Look.apply(x, torch.ones(1)).requires_grad and seen == [(True, False)]
    with torch.no_grad():
        assert not Look.apply(x, x).requires_grad


def test_marks(torch):
    class Sorted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            place = x * 0
            ctx.mark_non_differentiable(place)
            ctx.set_materialize_grads(False)
            return y, place

        @staticmethod
        def backward(ctx, g, unused):
            assert unused is None
            return g * 2

    x = torch.ones(2, requires_grad=True)
    y, place = Sorted.apply(x)
    assert not place.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_an_input_that_is_returned_keeps_its_own_place(torch):
    class Reversed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = torch.ones(2, requires_grad=True)
    y = Reversed.apply(x)
    y.sum().backward()
    assert y is not x and x.is_leaf and x.grad.tolist() == [-1, -1]


def test_once_differentiable(torch):
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = torch.tensor(3.0, requires_grad=True)
    (g,) = torch.autograd.grad(Once.apply(x), x, create_graph=True)
    assert g.item() == 6
    with pytest.raises(NotDifferentiableError):
        torch.autograd.grad(g, x)


def test_mistakes_are_errors(torch):
    class Few(Cube):
        @staticmethod
        def backward(ctx, g):
            return g, g, None

    class None_(Cube):
        @staticmethod
        def backward(ctx, g):
            return ()

    x = torch.tensor(2.0, requires_grad=True)
    for kind in (Few, None_):
        with pytest.raises(ArgumentError, match="gradients"):
            kind.apply(x).backward()
    z = Cube.apply(x)
    z.backward()
    with pytest.raises(GradientError, match="freed"):
        z.backward()


def test_what_was_saved_keeps_the_numbers_it_had(torch):
    x = torch.tensor(2.0, requires_grad=True)
    y = Cube.apply(x)
    with torch.no_grad():
        x.mul_(10)
    y.backward()
    assert x.grad.item() == 12


def test_its_saved_tensors_are_freed_with_the_result(torch):
    gc.collect()
    gc.disable()
    try:
        x = torch.ones(3, requires_grad=True)
        y = Cube.apply(x)
        watched = weakref.ref(y)
        del y
        assert watched() is None  # the node holds its output by place, so there is no cycle
    finally:
        gc.enable()


def test_backward_and_grad_by_keywords(torch):
    x, y = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    z = x * y
    torch.autograd.backward([z], grad_tensors=[torch.ones(2)], retain_graph=True, inputs=[x])
    assert x.grad.tolist() == [1, 2] and y.grad is None
    found = torch.autograd.grad(
        outputs=z, inputs=[x], grad_outputs=torch.ones(2), retain_graph=True, only_inputs=True
    )
    assert found[0].tolist() == [1, 2]
    w = torch.ones(1, requires_grad=True)
    assert torch.autograd.grad(z.sum(), [w], allow_unused=True) == (None,)
    z = (x * y).sum()
    assert torch.autograd.grad(z, [w], materialize_grads=True)[0].tolist() == [0]


def test_no_grad_with_and_without_parentheses(torch):
    x = torch.ones(1, requires_grad=True)
    for mode in (torch.no_grad, torch.no_grad(), torch.inference_mode, torch.inference_mode()):
        assert not mode(lambda: x * 2)().requires_grad
    with torch.no_grad(), torch.inference_mode(False):
        assert (x * 2).requires_grad


def test_variables_are_tensors(torch):
    x = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    assert isinstance(x, torch.Tensor) and x.requires_grad and x.is_leaf
    y = torch.ones(2, requires_grad=True)
    assert torch.autograd.Variable(y) is y


def test_anomalies_are_found(torch):
    with torch.autograd.set_detect_anomaly(True), pytest.raises(FloatingPointError, match="log"):
        torch.log(torch.tensor([-1.0]))
    torch.log(torch.tensor([-1.0]))
    torch.autograd.set_detect_anomaly(True)
    with pytest.raises(FloatingPointError):
        torch.log(torch.tensor([-1.0]))
    torch.autograd.set_detect_anomaly(False)


FUNCTIONS = {
    "elementwise": (lambda x: x * x * x, (3,)),
    "to one number": (lambda x: (x * x * x).sum(), (2, 2)),
    "of two": (lambda x, y: (x * y * y).sum(), (3,), (3,)),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("what", ["jacobian", "hessian", "vjp", "jvp", "hvp", "vhp"])
def test_functional_derivatives(torch, pytorch, name, what):
    function, *shapes = FUNCTIONS[name]
    if name == "elementwise" and what in ("hessian", "hvp", "vhp"):
        pytest.skip("these are of functions with one number as their result")
    rng = np.random.default_rng(0)
    arrays, tangents = ([rng.normal(size=s) for s in shapes] for _ in range(2))
    results = []
    for t in (torch, pytorch):
        points, v = (tuple(map(t.tensor, a)) for a in (arrays, tangents))
        arguments = [function, points if len(points) > 1 else points[0]]
        if what in ("jvp", "hvp", "vhp"):
            arguments.append(v if len(v) > 1 else v[0])
        if what == "vjp":
            arguments.append(t.ones_like(function(*points)))
        results.append(getattr(t.autograd.functional, what)(*arguments))
    ours, theirs = ([np.asarray(x) for x in flat(r)] for r in results)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)  # float64, a handful of operations


def flat(value):
    return [x for part in value for x in flat(part)] if isinstance(value, tuple) else [value]
