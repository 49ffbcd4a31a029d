"""What derives from a record's kind and facts holds for ops that nobody here has thought of."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn
from chainrule.kinds import elementwise
from chainrule.ops.rules import broadcast
from chainrule.primitive import operations, primitive, registry, same_spec

needs_engine = pytest.mark.skipif(not engine.available(), reason="the engine is not built")


@pytest.fixture
def own_ops():
    """Ops that a user defines, forgotten after the test."""
    before = set(operations)
    yield
    for name in set(operations) - before:
        operations.pop(name), registry.pop(name, None)


def bits(*tensors):
    return [x.numpy().tobytes() for x in tensors]


@needs_engine
def test_an_op_of_the_users_fuses_and_runs_natively(own_ops):
    @primitive
    class softclip:
        """y = x / (1 + |x|)."""

        kind, infer = elementwise, same_spec

        def forward(x):
            return x / (1 + np.abs(x))

        def vjp(g, x):
            return (g / (1 + x.abs()) ** 2,)

    x = cr.randn(1000)
    step = cr.compile(lambda x: (softclip(x * 2) + 1).exp())
    names = [e.primitive.name for e in step_graph(step, x).equations]
    assert names == ["chain"]
    assert bits(step(x)) == bits((softclip(x * 2) + 1).exp())
    assert engine.run_native(softclip, (x.numpy(),), {}) is not None
    assert cr.gradcheck(softclip, cr.randn(7))


def step_graph(step, *args):
    step(*args)
    return step.executables[0].graph


@needs_engine
def test_an_op_without_steps_runs_on_its_reference(own_ops):
    @primitive
    class cube_root:
        """y = ∛x."""

        kind, infer = elementwise, same_spec

        def forward(x):
            return np.cbrt(x)

    x = cr.tensor([1.0, 8.0, -27.0])
    assert engine.steps_of(cube_root, {}, [x.dtype]) is None
    f = lambda x: cube_root(x) + 0.5  # noqa: E731
    assert bits(cr.compile(f)(x)) == bits(f(x))


@needs_engine
def test_steps_of_a_branch_on_numbers_are_refused(own_ops):
    @primitive
    class halved_if_positive:
        """y = x/2 if all x are positive, else x."""

        kind, infer = elementwise, same_spec

        def forward(x):
            return x / 2 if (x > 0).all() else x.copy()

    assert engine.steps_of(halved_if_positive, {}, [np.dtype(np.float32)]) is None


def test_a_pass_keeps_to_the_rule_of_an_op():
    """A relu's gate takes operands of one shape; so no pass may narrow what an expand repeats."""
    w = cr.randn(3, 4).requires_grad_()

    def step(x):
        y = (x @ w).relu().sum()
        y.backward()
        g = w.grad
        w.grad = None
        return y.detach(), g

    x = cr.randn(2, 3)
    assert bits(*cr.compile(step)(x)) == bits(*step(x))


def test_folded_constants_have_eager_bits():
    values = np.random.default_rng(0).normal(size=200).astype(np.float32)

    def f(x):
        return x + cr.tensor(values).exp()

    x = cr.randn(200)
    assert bits(cr.compile(f)(x)) == bits(f(x))


def test_summary_of_a_model_that_requires():
    class Checked(nn.Module):
        def forward(self, x):
            cr.require((x == x).all(), ValueError("NaN"))
            return x * 2

    assert nn.summary(Checked(), (2, 3)).flops > 0


def test_laws_are_used_by_the_passes(own_ops):
    @primitive
    class negated:
        """y = −x."""

        kind, infer, involution = elementwise, same_spec, True

        def forward(x):
            return -x

    @primitive
    class scaled:
        """y = a·b."""

        kind, infer, neutral = elementwise, broadcast, (1.0, 1.0)

        def forward(a, b):
            return a * b

    step = cr.compile(lambda x: scaled(negated(negated(x)), 1.0) + 1)
    assert [e.primitive.name for e in step_graph(step, cr.randn(3)).equations] == ["add"]


def test_minus_zero_is_not_neutral():
    x = cr.tensor([0.0, -0.0])
    step = cr.compile(lambda x: x - (-0.0))
    assert bits(step(x)) == bits(x - (-0.0))
