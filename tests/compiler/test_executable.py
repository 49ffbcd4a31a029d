"""A compiled step writes its state in place, and nobody who looks can tell."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.compiler.native_executable import NativeExecutable
from chainrule.nn import functional as F

pytestmark = pytest.mark.skipif(not engine.available(), reason="needs the native engine")


def trained():
    """(model, optimizer, a compiled step)."""
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


@pytest.fixture
def training():
    """(model, optimizer, a compiled step, its batch)."""
    cr.manual_seed(0)
    model, optimizer, step = trained()
    x, y = cr.randn(8, 6), cr.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    step(x, y), step(x, y)
    return model, optimizer, step, (x, y)


ARRANGED = {
    "transposed": lambda x: x.T,
    "every second": lambda x: x[:, ::2],
    "a column": lambda x: x[:, 1],
    "from behind": lambda x: cr.tensor(x.numpy()[::-1]).detach(),
    "expanded": lambda x: x[:, None, :].expand(4, 3, 6),
    "diagonal": lambda x: x.diagonal(),
    "permuted": lambda x: x.view(2, 2, 6).permute(2, 0, 1),
}


def moved(step, batch, array):
    """Whether a step changes what this array shows."""
    before = array.copy()
    step(*batch)
    return not np.array_equal(before, array)


def test_weights_and_gradients_stay_where_they_are(training):
    model, _, step, batch = training
    places = [(p._data.ctypes.data, p.grad._data.ctypes.data) for p in model.parameters()]
    for _ in range(5):
        step(*batch)
    assert places == [(p._data.ctypes.data, p.grad._data.ctypes.data) for p in model.parameters()]


@pytest.mark.parametrize(
    "hold",
    [
        lambda p: p.detach().numpy(),
        lambda p: np.asarray(p.detach()),
        lambda p: p.detach(),
        lambda p: p.data[:2],
        lambda p: p.detach().T,
        lambda p: np.from_dlpack(p.detach()),
        lambda p: memoryview(p.detach().numpy()),
    ],
    ids=["numpy", "asarray", "detach", "slice", "transpose", "dlpack", "memoryview"],
)
def test_what_somebody_holds_keeps_its_numbers(training, hold):
    model, _, step, batch = training
    held = hold(model[0].weight)
    array = np.asarray(held)
    assert not moved(step, batch, array)
    assert not moved(step, batch, array)
    assert not np.array_equal(model[0].weight.detach().numpy()[: len(array)], array)


def test_a_gradient_that_somebody_holds_keeps_its_numbers(training):
    model, _, step, batch = training
    tensor, array = model[0].weight.grad, model[2].weight.grad.numpy()
    before = tensor.numpy().copy()
    assert not moved(step, batch, array)
    assert not moved(step, batch, array)
    np.testing.assert_array_equal(tensor.numpy(), before)
    assert model[0].weight.grad is not tensor


def test_memory_that_came_from_outside_is_not_written():
    given = np.ones((4, 4), np.float32)
    rows = given[:2]
    w = nn.Parameter(cr.from_numpy(rows))
    del rows
    optimizer = optim.SGD([w], lr=0.5)

    @cr.compile
    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    step(), step()
    np.testing.assert_array_equal(given, np.ones((4, 4)))
    np.testing.assert_array_equal(w.detach().numpy(), np.zeros((2, 4)))


def test_tensors_that_share_an_array_part():
    a = cr.ones(3, requires_grad=True)
    b = cr.zeros(3)
    b.assign(a.detach())
    optimizer = optim.SGD([a], lr=0.5)

    @cr.compile
    def step():
        optimizer.zero_grad()
        (a * b).sum().backward()
        optimizer.step()

    step(), step()
    np.testing.assert_array_equal(b.numpy(), np.ones(3))
    np.testing.assert_array_equal(a.detach().numpy(), np.zeros(3))


def test_a_gradient_that_is_another_tensor_itself():
    """∂(w·x)/∂w = x: the gradient is the array of an argument, or of state, as it is."""
    w, x, y = cr.ones(3, requires_grad=True), cr.full((3,), 7.0), cr.full((3,), 5.0)

    @cr.compile
    def step(x):
        w.grad = None
        (w * x + w * y).sum().backward()
        return x * 2.0

    @cr.compile
    def plain(x):
        w.grad = None
        (w * x).sum().backward()
        return x * 2.0

    for _ in range(3):
        assert step(x).tolist() == plain(x).tolist() == [14.0] * 3
        assert w.grad.tolist() == x.tolist() == [7.0] * 3
        assert y.tolist() == [5.0] * 3


def test_an_argument_that_shares_numbers_with_written_state_sees_the_write():
    w = cr.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    @cr.compile
    def step(old):
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        return old * 1.0

    for expected in (0.5, 0.0, -0.5):
        np.testing.assert_array_equal(step(w.detach()).numpy(), np.full(3, expected))


def test_the_old_value_can_be_returned():
    w = cr.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    @cr.compile
    def step():
        old = w.detach().clone()
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()
        return old, w.detach()

    for expected in (1.0, 0.5, 0.0):
        old, new = step()
        np.testing.assert_array_equal(old.numpy(), np.full(3, expected))
        np.testing.assert_array_equal(new.numpy(), np.full(3, expected - 0.5))


def test_a_step_that_fails_changes_no_state(training):
    model, optimizer, _, (x, y) = training

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        cr.require(loss.isfinite(), ArithmeticError("not finite"))
        optimizer.step()

    step(x, y), step(x, y)
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    moments = [
        t.numpy().copy()
        for t in cr.tree.flatten(optimizer.state_dict())
        if isinstance(t, cr.Tensor)
    ]
    with pytest.raises(ArithmeticError, match="not finite"):
        step(x * float("nan"), y)
    with pytest.raises(IndexError):
        step(x, y + 7)
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), state[k])
    for old, t in zip(
        moments,
        [t for t in cr.tree.flatten(optimizer.state_dict()) if isinstance(t, cr.Tensor)],
        strict=True,
    ):
        np.testing.assert_array_equal(t.numpy(), old)
    step(x, y)


def test_a_step_allocates_nothing(training):
    _, _, step, batch = training
    for _ in range(3):
        loss = step(*batch)
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        for _ in range(50):
            loss = step(*batch)
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    grown = sum(
        x.size_diff for x in after.compare_to(before, "filename") if "chainrule" in str(x.traceback)
    )
    assert grown < 1024, f"{grown} bytes in 50 steps"
    assert loss.item() > 0


def test_the_engine_does_the_whole_call(training, monkeypatch):
    """No call of a program that fits goes the long way round, in train mode or in eval mode."""
    model, _, step, batch = training
    predict = cr.compile(model.eval())
    with cr.no_grad():
        predict(batch[0])
    monkeypatch.setattr("chainrule.compiler.compiled._signature", None)
    with cr.no_grad():
        predict(batch[0])
    model.train()
    monkeypatch.undo()
    step(*batch)
    monkeypatch.setattr("chainrule.compiler.compiled._signature", None)
    step(*batch)


def test_a_repeated_call_leaves_every_check_to_the_engine(monkeypatch):
    """Fresh weights, and arrays of the user's as arguments, cost no Python code in each call."""
    calls = []

    def counted(run):
        return lambda self, x: calls.append(run) or run(self, x)

    for name in ("_own", "is_apart"):
        monkeypatch.setattr(NativeExecutable, name, counted(getattr(NativeExecutable, name)))
    model, _, step = trained()
    x, y = cr.from_numpy(np.ones((2, 6), np.float32)), cr.from_numpy(np.array([0, 2]))
    predict = cr.compile(lambda x: model(x))
    for run in (lambda: step(x, y), lambda: predict(x)):
        for _ in range(3):
            run()
        calls.clear()
        run()
        assert calls == []
    assert all(not executable.guards.checks for executable in step.executables)


def test_zero_and_minus_zero_are_two_programs():
    reciprocal = cr.compile(lambda x, zero: x / (x * zero))
    x = cr.ones(2)
    assert reciprocal(x, 0.0).tolist() == [float("inf")] * 2
    assert reciprocal(x, -0.0).tolist() == [float("-inf")] * 2


def test_arguments_may_lie_in_any_order(training):
    model = training[0]
    run = cr.compile(lambda x: model(x).detach())
    x = cr.randn(6, 8)
    np.testing.assert_allclose(run(x.T).numpy(), model(x.T).detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(x.T).numpy(), model(x.T).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("arrange", ARRANGED.values(), ids=ARRANGED)
def test_state_may_lie_in_any_order(arrange):
    """Views that a function reads from outside, of every memory layout, before and after writes."""
    base = cr.randn(4, 6)
    state = arrange(base)
    step = cr.compile(lambda x: (x * state).sum())
    for _ in range(3):
        assert step(cr.tensor(2.0)).item() == (2 * state).sum().item()
        base.mul_(0.5)


def test_nested_arguments_are_matched():
    run = cr.compile(lambda batch, scale: batch["x"] * scale + batch["y"][0])
    one, two = cr.ones(2), cr.ones(2) * 2
    for scale in (2, 2, 3, 2):
        assert run({"x": one, "y": [two]}, scale).tolist() == [scale + 2.0] * 2
    assert run({"y": [two], "x": one}, 2).tolist() == [4.0] * 2
    assert run({"x": one, "y": (two,)}, 2).tolist() == [4.0] * 2


def test_weights_kept_transposed_follow_every_change():
    """In inference, layers read a transposed copy of their weights; a stale one would be a lie."""
    layer = nn.Linear(6, 5).eval()
    given = np.ones((5, 6), np.float32)
    x = cr.randn(2, 6)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    @cr.compile
    def step():
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    def agree():
        with cr.no_grad():
            got, expected = predict(x).numpy(), layer(x).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)

    predict = cr.compile(layer)
    agree()
    step(), step()
    agree()
    with cr.no_grad():
        layer.weight.assign(layer.weight * 2)
    agree()
    held = layer.weight.detach().numpy()
    agree(), step(), agree()
    assert held is not None
    layer.load_state_dict({"weight": cr.ones(5, 6), "bias": cr.zeros(5)})
    agree()
    layer.weight = nn.Parameter(cr.from_numpy(given))
    agree()
    given[:] = 3.0  # the memory is shared: a change from outside is seen
    agree()
    given[:] = 4.0
    agree()
