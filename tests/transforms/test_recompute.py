"""Checkpoints: less memory, and the same bits as without, whatever the function does."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, settings, tape
from chainrule.autograd import AnomalyDetector
from chainrule.compiler.passes import optimize
from chainrule.errors import CaptureError, GradientError, ShapeError


class Block(nn.Module):
    """A residual block with state: running statistics, and random numbers for dropout."""

    def __init__(self, width: int = 6) -> None:
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.norm, self.drop = nn.BatchNorm1d(width), nn.Dropout(0.5)

    def forward(self, x):
        return x + self.drop(self.outer(self.norm(self.inner(x)).tanh()))


def plain(function, *args, **kwargs):
    return function(*args, **kwargs)


def results(program):
    """What a program gives without and with checkpoints, from the same random state."""
    both = []
    for run in (plain, cr.checkpoint):
        cr.manual_seed(7)
        found = program(run)
        found.append(cr.default_generator.state)
        both.append([None if y is None else y.detach().numpy() for y in found])
    return both


def agree(program):
    """The program gives the same bits without and with checkpoints; returns them."""
    without, with_them = results(program)
    for a, b in zip(without, with_them, strict=True):
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and np.array_equal(a, b))
    return without


def state(*modules):
    """Gradients of the parameters, and the buffers."""
    found = [p.grad for module in modules for p in module.parameters()]
    return found + [b for module in modules for b in module.buffers()]


# -- the same bits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("engine_name", ["numpy", "native"])
def test_values_gradients_statistics_and_random_state(training, engine_name):
    def program(run):
        blocks = [Block().train(training) for _ in range(3)]
        x = cr.randn(16, 6).requires_grad_()
        h = x
        for block in blocks:
            h = run(block, h)
        loss = (h * h).mean()
        loss.backward()
        return [h, loss, x.grad, *state(*blocks)]

    with settings.use(engine=engine_name):
        agree(program)


def test_data_that_needs_no_gradient_still_trains_the_parameters():
    def program(run):
        block = Block()
        run(block, cr.randn(8, 6)).sum().backward()
        return state(block)

    assert any(np.any(g) for g in agree(program)[:4])


def test_a_function_of_several_arguments_plain_ones_and_keywords():
    def scaled(pair, k, shift=None, *, power):
        return (pair["a"] * k + pair["b"]) ** power if shift is None else pair["a"] - shift

    def program(run):
        a, b = cr.randn(3, 4).requires_grad_(), cr.randn(4).requires_grad_()
        y = run(scaled, {"a": a, "b": b}, 2.5, power=3)
        z = run(scaled, {"a": a, "b": b}, 2.5, b, power=3)
        (y.sum() + (z * z).sum()).backward()
        return [y, z, a.grad, b.grad]

    agree(program)


def test_results_in_any_structure():
    def parts(x):
        top, where = x.exp().max(dim=1)
        return {"both": (x.tanh(), [x.sin() * top.unsqueeze(1)]), "where": where, "none": None}

    def program(run):
        x = cr.randn(3, 4).requires_grad_()
        y = run(parts, x)
        assert y["none"] is None and not y["where"].requires_grad
        (first, [second]) = y["both"]
        (first.sum() + (second * second).sum()).backward()
        return [first, second, y["where"], x.grad]

    agree(program)


def test_one_result_of_two_is_used():
    def program(run):
        x = cr.randn(3).requires_grad_()
        a, _ = run(lambda x: (x.exp(), x.sin()), x)
        a.sum().backward()
        return [x.grad]

    agree(program)


def test_a_tensor_that_the_function_refers_to_and_weights_shared_with_the_outside():
    """Gradients add up in the order of the tape, so even the rounding is the same."""

    def program(run):
        w = cr.randn(6, 6).requires_grad_()
        h = cr.randn(5, 6).requires_grad_().tanh() @ w
        y = run(lambda x: (x @ w).relu() @ w + h, h.exp())
        loss = (y @ w).sum() + (h * y).mean()
        loss.backward()
        return [loss, w.grad]

    agree(program)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_checkpoints_inside_checkpoints(depth):
    def program(run):
        blocks = [Block() for _ in range(4)]

        def segment(blocks, x, depth):
            if len(blocks) == 1:
                return blocks[0](x).sin()
            half = len(blocks) // 2
            for part in (blocks[:half], blocks[half:]):
                x = run(segment, part, x, depth - 1) if depth else segment(part, x, 0)
            return x * x

        x = cr.randn(8, 6).requires_grad_()
        y = run(segment, blocks, x, depth)
        y.sum().backward()
        return [y, x.grad, *state(*blocks)]

    agree(program)


def test_an_inner_checkpoint_of_a_tensor_that_it_refers_to():
    def program(run):
        block, x = Block(), cr.randn(8, 6).requires_grad_()

        def outer(x):
            h = x.exp()
            return run(lambda: block(h) * h) + h

        outer_of = run(outer, x)
        (outer_of * outer_of).sum().backward()
        return [x.grad, *state(block)]

    agree(program)


def test_several_walks_back():
    def program(run):
        block, x = Block(), cr.randn(8, 6).requires_grad_()
        loss = run(block, x).square().sum()
        loss.backward(retain_graph=True)
        loss.backward(retain_graph=True)
        first = x.grad.clone()
        loss.backward()
        with pytest.raises(GradientError, match="freed"):
            loss.backward()
        return [first, x.grad, *state(block)]

    agree(program)


def test_functional_gradients_and_chosen_targets():
    def program(run):
        block, x = Block(), cr.randn(8, 6).requires_grad_()
        middle = block.inner(x)
        y = run(lambda m: m.tanh() * block.outer(m), middle)
        loss = (y * y).sum()
        inner = cr.grad(loss, [middle, block.outer.bias], retain_graph=True)
        outer = cr.grad(loss, [x, y])
        value, g = cr.value_and_grad(lambda x: run(block, x).square().sum())(x.detach())
        y, pull = cr.vjp(lambda x: run(block.outer, x), x.detach())
        twice = [*pull(cr.ones(8, 6)), *pull(cr.ones(8, 6) * 2)]
        assert all(p.grad is None for p in block.parameters())
        return [*inner, *outer, value, g, y, *twice]

    agree(program)


def test_derivatives_of_higher_order():
    def f(x, w):
        return ((x @ w).tanh() ** 3).sin()

    def program(run):
        x, w = cr.randn(2, 3).requires_grad_(), cr.randn(3, 3).requires_grad_()
        y = run(f, x, w)
        gx, gw = cr.grad(y.square().sum(), [x, w], create_graph=True)
        (y_again,) = cr.grad(gx.sum(), y, retain_graph=True, allow_unused=True)
        penalty = gx.square().sum() + gw.square().sum()
        penalty.backward()
        third = cr.grad(cr.grad(cr.grad(lambda x: run(lambda x: x**5, x).sum())))(cr.tensor(2.0))
        v = cr.tensor([[1.0, 2.0, 3.0]])
        _, forward = cr.jvp(lambda x: run(f, x, w), [v], [v * 0.5])
        return [gx, gw, y_again, x.grad, w.grad, third, forward]

    agree(program)
    h = cr.hessian(lambda x: cr.checkpoint(lambda x: (x**3).sum(), x))(cr.tensor([1.0, 2.0]))
    assert h.tolist() == [[6, 0], [0, 12]]
    assert cr.gradgradcheck(lambda x: cr.checkpoint(cr.sin, x), cr.rand(3, dtype=cr.float64))


def test_derivatives_inside_the_function():
    def program(run):
        w = cr.randn(4).requires_grad_()

        def penalized(x):
            slope = cr.grad(lambda x: (x * w).sin().sum())(x)
            return (x * w).exp() + slope**2

        x = cr.randn(4).requires_grad_()
        run(penalized, x).sum().backward()
        return [x.grad, w.grad]

    agree(program)


def test_hooks_run_once_and_kept_gradients_are_there():
    def program(run):
        seen = []
        x = cr.randn(3).requires_grad_()
        x.register_hook(seen.append)

        def watched(x):
            h = x.exp()
            h.register_hook(lambda g: g * 2)
            return h * h

        y = run(watched, x)
        y.retain_grad()
        y.sum().backward()
        assert len(seen) == 1
        return [x.grad, y.grad]

    agree(program)


def test_without_gradients_it_is_a_plain_call():
    def program(run):
        block = Block()
        with cr.no_grad():
            y = run(block, cr.randn(8, 6))
        assert not y.requires_grad
        return [y, *state(block)]

    agree(program)
    x = cr.ones(2).requires_grad_()
    assert cr.checkpoint(lambda x: x, x) is x


def test_state_that_carries_a_gradient():
    """Truncated backpropagation through time with the hidden state kept in a tensor."""

    def program(run):
        w, hidden = cr.randn(4, 4).requires_grad_(), cr.zeros(3, 4)

        def cell(x):
            hidden.assign((x + hidden @ w).tanh())
            return hidden * 1.0

        total = run(cell, cr.randn(3, 4)).sum()
        total = total + run(cell, cr.randn(3, 4)).sum()
        total.backward()
        return [total, hidden.clone(), w.grad]

    agree(program)


def test_state_written_in_between_by_another_call_of_the_function():
    """The second run begins from what the first found, not from what is there now."""

    def program(run):
        count, w = cr.zeros(2), cr.ones(2).requires_grad_()

        def counted(x):
            with cr.no_grad():
                count.assign(count + 1)
            return (x * w).exp() * count.clone()

        y = run(counted, cr.ones(2)) + run(counted, cr.ones(2) * 2)
        y.sum().backward()
        return [y, w.grad, count]

    agree(program)


def test_a_walk_back_inside_the_function_adds_gradients_once():
    def program(run):
        w = cr.ones(3).requires_grad_()

        def adapted(x):
            inner = (x.detach() * w).square().sum()
            inner.backward()
            return (x * (w - 0.1 * w.grad)).exp()

        x = cr.randn(3).requires_grad_()
        run(adapted, x).sum().backward()
        return [x.grad, w.grad]

    agree(program)


def test_tensors_made_and_filled_inside():
    def filled(x):
        y = cr.zeros(2, 3)
        y[0] = x.exp()
        h = x.sin()
        h[1] = 0.0
        y[1] = h * h
        return y

    def program(run):
        x = cr.randn(3).requires_grad_()
        y = run(filled, x)
        y.square().sum().backward()
        return [y, x.grad]

    agree(program)


def test_the_second_run_has_the_settings_of_the_first():
    x = cr.ones(4, dtype=cr.float64).requires_grad_()
    with settings.use(default_dtype=np.dtype(np.float64)):
        y = cr.checkpoint(lambda x: x.exp() * cr.rand(4), x)
    assert y.dtype == cr.float64
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())
    with cr.detect_anomaly(), cr.no_grad():
        assert isinstance(settings.current().interpreter, AnomalyDetector)
        x.grad = None
        y = cr.enable_grad()(cr.checkpoint)(lambda x: x.log(), x)
        y.backward(cr.ones(4, dtype=cr.float64))
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_recurrent_layers_and_attention():
    def program(run):
        lstm = nn.LSTM(4, 5, batch_first=True)
        attention = nn.MultiheadAttention(5, 1, batch_first=True)
        x = cr.randn(2, 3, 4).requires_grad_()
        h, (_, c) = run(lstm, x)
        y, none = run(attention, h, h, h, need_weights=False)
        assert none is None
        (y.square().sum() + c.sum()).backward()
        return [y, c, x.grad, *state(lstm, attention)]

    agree(program)


# -- memory ----------------------------------------------------------------------------------------


ACTIVATION = 1000 * 64 * 4
"""Bytes of float32(1000, 64)."""


@contextmanager
def traced():
    """Memory is counted inside: a function that says how many bytes there are now, and at most."""
    gc.collect()
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


def peak(run, walk=lambda loss: loss.backward()):
    """Bytes at the highest point of a forward pass of 16 blocks and the walk back."""
    with settings.use(engine="numpy"):
        blocks = [
            nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
            for _ in range(16)
        ]
        for p in [p for block in blocks for p in block.parameters()]:
            p.requires_grad = False  # else the gradients of the weights are the larger part
        x = cr.randn(1000, 64).requires_grad_()
        with traced() as memory:
            h = x
            for block in blocks:
                h = run(block, h)
            loss = h.sum()
            del h
            kept = memory()[0]
            walk(loss)
            return kept / ACTIVATION, memory()[1] / ACTIVATION


def test_memory_falls_to_one_activation_a_block():
    kept, highest = peak(plain)
    assert kept > 2 * 16
    kept, highest_with = peak(cr.checkpoint)
    assert kept < 16 + 2
    assert highest_with < 16 + 8 < highest


def test_what_a_second_walk_needs_is_forgotten_in_between():
    left = []

    def walk(loss):
        for _ in range(2):
            loss.backward(retain_graph=True)
            left.append(tracemalloc.get_traced_memory()[0] / ACTIVATION)

    assert peak(cr.checkpoint, walk)[1] < 16 + 8
    assert max(left) < 16 + 4


def test_what_a_tensor_made_inside_was_before_it_was_written_is_forgotten():
    def filled(x):
        y = cr.zeros(1000, 64)
        y.assign(x.exp())
        return (y * y).sum()

    x = cr.randn(1000, 64).requires_grad_()
    with settings.use(engine="numpy"), traced() as memory:
        y = cr.checkpoint(filled, x)
        assert memory()[0] < 0.1 * ACTIVATION
    y.backward()
    assert np.allclose(x.grad.numpy(), 2 * np.exp(2 * x.detach().numpy()))


def test_nested_checkpoints_keep_less():
    """A checkpoint around four others keeps one activation of theirs until it is walked."""
    blocks = [nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64)) for _ in range(4)]

    def segment(x):
        for block in blocks:
            x = cr.checkpoint(block, x)
        return x

    with settings.use(engine="numpy"):
        x = cr.randn(1000, 64).requires_grad_()
        with traced() as memory:
            y = cr.checkpoint(segment, x)
            assert memory()[0] < 1.5 * ACTIVATION
    assert y.shape == x.shape


def test_nothing_is_left_when_the_graph_goes():
    block, x = Block(), cr.randn(8, 6)

    def written_into(x):
        h = block(x)
        h[0] = 0.0
        return h.sin() + h, h

    gc.collect()
    gc.disable()
    try:
        y, h = cr.checkpoint(written_into, x)
        nodes = [weakref.ref(node) for node in tape.reachable([y._node, h._node])]
        del y, h
        assert not any(node() for node in nodes), "a cycle of references keeps the graph"
    finally:
        gc.enable()


# -- compiled --------------------------------------------------------------------------------------


def compiled_step(run, blocks):
    @cr.compile
    def step(x):
        h = x
        for block in blocks:
            h = run(block, h)
        loss = h.square().mean()
        loss.backward()
        return loss

    return step


@pytest.mark.skipif(not engine.available(), reason="the arena is the engine's")
def test_the_arena_of_a_compiled_step_is_smaller():
    """Also with dropout, whose random numbers are drawn again."""
    blocks = [
        nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.1))
        for _ in range(12)
    ]
    x = cr.randn(512, 32)
    sizes = []
    for run in (plain, cr.checkpoint):
        step = compiled_step(run, blocks)
        cr.manual_seed(3)
        loss = step(x)
        (program,) = step.executables
        sizes.append((program.plan.program.arena_bytes, loss.item()))
        assert "barrier" not in program.plan.describe(), "a barrier costs nothing"
    activation = 512 * 32 * 4
    (without, a), (with_them, b) = sizes
    assert a == b
    assert with_them < 0.6 * without
    assert with_them < (12 + 10) * activation


def test_a_compiled_program_on_the_references_frees_what_it_computes_again(references):
    blocks = [
        nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU()) for _ in range(12)
    ]
    x = cr.randn(512, 32)
    peaks = []
    for run in (plain, cr.checkpoint):
        step = compiled_step(run, blocks)
        step(x)
        with traced() as memory:
            step(x)
            peaks.append(memory()[1])
    assert peaks[1] < 0.7 * peaks[0]


def test_a_trace_shows_the_second_run():
    w = cr.ones(3).requires_grad_()

    def step(x):
        loss = cr.checkpoint(lambda h: h.sin() * h, x * w).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return loss.detach()

    graph = cr.trace(step)(cr.spec(3)).graph
    for text in (str(graph), str(optimize(graph))):
        assert text.count("= sin(") == 3, "each walk back has a run of its own"
        assert "barrier" in text


def test_outside_and_inside_of_a_compiled_function():
    x = cr.ones(3).requires_grad_()
    loss = cr.checkpoint(lambda x: (x * x).sin(), x).sum()

    @cr.compile
    def back():
        loss.backward()

    with pytest.raises(CaptureError, match="outside"):
        back()


# -- errors ----------------------------------------------------------------------------------------


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"given: Tensor.*checkpoint\(block, x\)"):
        cr.checkpoint(cr.ones(2))


@pytest.mark.parametrize("result", [None, 3.0, np.ones(2), (), {"a": "b"}])
def test_a_function_without_tensors_is_refused(result):
    with pytest.raises(TypeError, match=f"no tensor; given: {type(result).__name__}"):
        cr.checkpoint(lambda x: result, cr.ones(2).requires_grad_())


class Fickle:
    """A function that does one thing at its first call and another at its second."""

    def __init__(self, *functions):
        self.functions = iter(functions)

    def __call__(self, x):
        return next(self.functions)(x)


DIFFERENT = {
    "shape": (lambda x: x.exp(), lambda x: x[:2].exp(), r"result 0 is float32\(2,\).*\(3,\)"),
    "dtype": (lambda x: x.exp(), lambda x: x.double().exp(), r"given: result 0 is float64"),
    "fewer": (lambda x: (x.exp(), x), lambda x: x.exp(), r"given: .*expected: result 1"),
    "more": (lambda x: x.exp(), lambda x: (x.exp(), x), r"given: result 1"),
    "op": (lambda x: x.exp(), lambda x: x.sin(), r"given: `sin`.*expected: `exp`"),
    "length": (lambda x: x.exp(), lambda x: x.exp().exp(), r"`exp` 1.*expected: nothing more"),
    "nothing": (lambda x: x.exp(), lambda x: None, r"expected: result 0"),
    "order": (lambda x: x.exp() - x, lambda x: x - x.exp(), r"of other tensors"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_second_run_that_differs_is_refused(name):
    first, second, message = DIFFERENT[name]
    x = cr.ones(3).requires_grad_()
    y = cr.checkpoint(Fickle(first, second), x)
    y = y[0] if isinstance(y, tuple) else y
    with pytest.raises(GradientError, match=f"something else.*{message}.*arguments"):
        y.sum().backward()
    assert x.grad is None


def test_a_layer_chosen_by_chance_is_refused():
    layers = [nn.Linear(3, 3), nn.Linear(3, 3)]
    order = iter([0, 1])
    y = cr.checkpoint(lambda x: layers[next(order)](x).exp(), cr.ones(1, 3))
    with pytest.raises(GradientError, match="other tensors"):
        y.sum().backward()


def test_a_variable_of_a_loop_is_refused():
    """The closure finds the last value of h, which is not what the first run found."""
    h = cr.ones(3).requires_grad_().exp()
    for _ in range(2):
        h = cr.checkpoint(lambda: h.sin() * h)  # noqa: B023 (this is the mistake)
    with pytest.raises(GradientError, match=r"other tensors.*loop's variables"):
        h.sum().backward()


def test_a_changed_mode_is_refused():
    block = Block()
    y = cr.checkpoint(block, cr.randn(8, 6)).sum()
    block.eval()
    with pytest.raises(GradientError, match="something else"):
        y.backward()


def test_an_overwritten_parameter_is_refused_with_its_place():
    """Also a bias, which no derivative needs: the second run would use the new one."""
    layer, x = nn.Linear(3, 3), cr.ones(2, 3).requires_grad_()
    y = cr.checkpoint(lambda x: layer(x).exp(), x)
    with cr.no_grad():
        layer.bias.assign(layer.bias + 1)
    with pytest.raises(GradientError, match=r"overwritten at test_recompute.py.*x.clone\(\)"):
        y.sum().backward()


def test_an_overwritten_argument_is_refused():
    x, w = cr.ones(3), cr.ones(3).requires_grad_()
    y = cr.checkpoint(lambda x: (x * w).exp(), x)
    x[0] = 5.0
    with pytest.raises(GradientError, match="overwritten"):
        y.sum().backward()


def test_an_error_in_either_run_leaves_the_state():
    block = Block()
    before = [b.numpy() for b in block.buffers()]
    with pytest.raises(ShapeError):
        cr.checkpoint(block, cr.ones(2, 5).requires_grad_())

    def fails_later(x):
        y = block(x)
        if len(calls) > 1:
            raise ValueError("later")
        return y

    calls = [1]
    y = cr.checkpoint(fails_later, cr.randn(8, 6))
    now, seed = [b.numpy() for b in block.buffers()], cr.default_generator.state.tolist()
    calls.append(2)
    with pytest.raises(ValueError, match="later"):
        y.sum().backward()
    for a, b in zip(now, block.buffers(), strict=True):
        assert np.array_equal(a, b.numpy())
    assert cr.default_generator.state.tolist() == seed
    assert not all(np.array_equal(a, b) for a, b in zip(before, now, strict=True))


# -- parity ----------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("nested", [False, True])
def test_the_same_gradients_as_pytorch(nested):
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint as theirs

    def net(lib):
        return lib.Sequential(lib.Linear(6, 6), lib.BatchNorm1d(6), lib.Tanh(), lib.Linear(6, 6))

    mine = [net(nn) for _ in range(3)]
    other = [net(torch.nn) for _ in range(3)]
    for a, b in zip(mine, other, strict=True):
        b.load_state_dict({k: torch.tensor(v.numpy().copy()) for k, v in a.state_dict().items()})
    data = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)

    def loss_of(run, blocks, x):
        def segment(x):
            for block in blocks:
                x = x + run(block, x, use_reentrant=False)
            return x

        y = run(segment, x, use_reentrant=False) if nested else segment(x)
        return (y * y).mean()

    loss = loss_of(cr.checkpoint, mine, cr.tensor(data))
    loss.backward()
    expected = loss_of(theirs, other, torch.tensor(data))
    expected.backward()
    # float32, about twenty roundings deep; the gradients are of size 1.
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    for a, b in zip(mine, other, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=2e-4, atol=2e-6)
