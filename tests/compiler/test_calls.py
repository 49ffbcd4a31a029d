"""Calls of a compiled function that runs: what the engine checks and does alone.

Each test calls a function until nothing but the engine runs it, and then changes what surrounds the
call: the settings, the thread, the hooks of the module, the data.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, settings
from chainrule.nn import functional as F
from chainrule.nn.module import watch

X = cr.tensor([[1.0, 2.0], [3.0, 4.0]])


@pytest.fixture
def scaled():
    """A compiled function that is ready to run. Its result tells the settings."""
    w = cr.tensor([1.0, 2.0], requires_grad=True)

    @cr.compile
    def scaled(x):
        return x * w + cr.tensor([0.5, 0.5]).astype(x.dtype), cr.zeros(2)

    for _ in range(3):
        scaled(X)
    return scaled


@pytest.fixture
def default_dtype():
    yield
    cr.set_default_dtype("float32")


def facts(results):
    return [(y.dtype, y.requires_grad) for y in results]


CHANGES = {
    "no gradients": {"gradients": False},
    "not on this level": {"gradients": None},
    "another default dtype": {"default_dtype": np.dtype(np.float64)},
    "the references": {"engine": "numpy"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_call_under_other_settings_gives_what_the_function_gives(scaled, change):
    before = facts(scaled(X))
    for _ in range(3):
        with settings.use(**change):
            assert facts(scaled(X)) == facts(scaled.function(X))
        assert facts(scaled(X)) == before


def test_each_settings_are_captured_once(scaled):
    for _ in range(3):
        for change in CHANGES.values():
            with settings.use(**change):
                scaled(X)
        scaled(X)
    assert scaled.captures == 1 + len(CHANGES)


def test_a_call_follows_the_default_dtype_of_the_process(scaled, default_dtype):
    for name in ("float64", "float32", "float64"):
        cr.set_default_dtype(name)
        assert scaled(X)[1].dtype == name
    assert scaled.captures == 2


def test_another_thread_has_its_own_settings(scaled):
    found = []
    with settings.use(gradients=False, default_dtype=np.dtype(np.float64)):
        inside = facts(scaled(X))
        thread = threading.Thread(target=lambda: found.extend(facts(scaled(X))))
        thread.start(), thread.join()
        assert facts(scaled(X)) == inside
    assert found == facts(scaled(X)) != inside


def test_an_interpreter_runs_the_function_itself(scaled):
    assert "mul" in str(cr.trace(lambda x: scaled(x)[0])(X))
    with cr.no_grad():
        each = cr.vmap(lambda x: scaled(x)[0])(X)
        assert each.tolist() == scaled(X)[0].tolist()
    assert scaled.captures == 2  # also without gradients


def test_arguments_of_other_shapes_and_kinds_are_captured_and_run_by_turns():
    add = cr.compile(lambda x, y=1: x + y)
    for _ in range(3):
        assert add(X).shape == (2, 2)
        assert add(X[0]).shape == (2,)
        assert add(X, 2)[0, 0].item() == 3.0
        assert add(X, y=2)[0, 0].item() == 3.0
        assert add(X, X)[1, 1].item() == 8.0
    assert add.captures == 5


def test_a_step_that_fails_raises_its_error_and_leaves_no_other_gradient():
    w = cr.ones(2, 3, requires_grad=True)

    @cr.compile
    def step(x):
        w.grad = None
        loss = (x @ w).sum()
        loss.backward()
        cr.require((x > 0).all(), ValueError("not positive"))
        return loss

    for _ in range(3):
        assert step(X).item() == 30.0
    for _ in range(2):
        with pytest.raises(ValueError, match="not positive"):
            step(-X)
        assert w.grad is None or w.grad.tolist() == [[4.0] * 3, [6.0] * 3]
        assert step(X).item() == 30.0


@pytest.fixture
def model():
    """A compiled module that is ready to run, inside another module."""
    model = nn.Sequential(cr.compile(nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2))), nn.ReLU())
    for _ in range(3):
        model(cr.tensor([0, 1]))
    return model


def test_an_error_in_a_compiled_module_names_it(model):
    for _ in range(2):
        with pytest.raises(IndexError) as raised:
            model(cr.tensor([0, 9]))
        assert raised.value.trail.path == ["0"]
        assert raised.value.trail.steps[0] == ("input", "(2,)")
        assert model(cr.tensor([0, 1])).shape == (2, 2)


def test_hooks_and_watchers_see_the_calls_of_a_compiled_module(model):
    class Watcher:
        def enter(self, module):
            entered.append(type(module).__name__)

        def leave(self, module, output):
            entered.append(output.shape)

    entered, x = [], cr.tensor([0, 1])
    with watch(Watcher()):
        model(x)
    assert entered == ["Sequential", "Sequential", (2, 2), "ReLU", (2, 2), (2, 2)]
    handle = model[0].register_forward_hook(lambda module, args, y: y * 0)
    for _ in range(3):
        assert model(x).sum().item() == 0
    handle.remove()
    assert model(x).shape == (2, 2)


@pytest.mark.skipif(not engine.available(), reason="needs the native engine")
def test_the_engine_alone_answers_a_call(scaled, monkeypatch):
    """No code of the compiler runs, unless something has changed."""
    plain = cr.compile(lambda x: F.relu(x))
    for _ in range(3):
        plain(X)
    monkeypatch.setattr(type(plain.executables[0]), "__call__", None)
    np.testing.assert_array_equal(plain(X), X)
    with pytest.raises(TypeError), cr.no_grad():
        plain(X)
