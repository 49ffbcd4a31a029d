"""Eager mode in C++ does what the Python code does: the gateway, the tape, the backward pass, the
step of an optimizer. The Python code is `__wrapped__` of each shortcut."""

from __future__ import annotations

import copy
import gc
import importlib
import inspect
import pickle
import pkgutil
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.engine.helpers import same_bits

import chainrule as cr
import chainrule.ops
from chainrule import nn, optim, tape
from chainrule.aliases import Alias
from chainrule.graph import as_tuple
from chainrule.kinds import View
from chainrule.optim import rule
from chainrule.optim.rule import RuleOptimizer
from chainrule.primitive import Primitive, Spec, operations, registry, same_spec
from chainrule.tensor import Tensor

for _module in pkgutil.iter_modules(chainrule.ops.__path__):
    importlib.import_module(f"chainrule.ops.{_module.name}")


@contextmanager
def recorded_calls(function: Callable[..., Any]) -> Iterator[list[Any]]:
    """The calls of the Python code of a shortcut inside the block."""
    code = inspect.unwrap(function).__code__
    calls: list[Any] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is code:
            calls.append(frame.f_code)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def samples() -> Iterator[Any]:
    for name in sorted(registry):
        make = registry[name].samples
        cases = list(make(np.random.Generator(np.random.Philox(key=[1, 0])))) if make else []
        for i, (inputs, params) in enumerate(cases):
            yield pytest.param(name, inputs, params, id=f"{name}-{i}")


def tensors(inputs: Any) -> list[Tensor]:
    arrays = [np.asarray(x) for x in inputs]
    arrays = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in arrays]
    return [Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]


def same_alias(a: Alias | None, b: Alias | None) -> bool:
    if a is None or b is None:
        return a is b
    parts = ("primitive", "params", "base", "recorded", "group")
    return all(getattr(a, part) is getattr(b, part) for part in parts[2:]) and all(
        getattr(a, part) == getattr(b, part) for part in parts[:2]
    )


def same_node(a: tape.Node | None, b: tape.Node | None) -> bool:
    if a is None or b is None:
        return a is b
    assert (a.primitive, a.params, a.hooks, a.recall) == (b.primitive, b.params, None, None)
    assert (a.place is None) == (b.place is None)
    assert [*a.specs] == [*b.specs] and [*a.input_specs] == [*b.input_specs]
    pairs = zip(a.edges, b.edges, strict=True)
    assert all(p is q is None or (p[0] is q[0] and p[1] == q[1]) for p, q in pairs)
    assert all(p[1] is q[1] for p, q in zip(a.saved, b.saved, strict=True))
    assert all(same_bits(p, q) for p, q in zip(a.outputs, b.outputs, strict=True))
    return a.order < b.order


@pytest.mark.parametrize(("name", "inputs", "params"), [*samples()])
def test_the_gateway(name: str, inputs: Any, params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call of an op runs in C++; results, tape and aliases are those of Python."""
    xs = tensors(inputs)
    expected = as_tuple(cr.apply.__wrapped__(name, *xs, **params))
    with recorded_calls(cr.apply) as calls:
        found = as_tuple(cr.apply(name, *xs, **params))
    assert not calls or not all(isinstance(v, (int, float, str, tuple)) for v in params.values())
    for a, b in zip(expected, found, strict=True):
        assert b.__class__ is Tensor and same_bits(a._data, b._data)
        assert (a.requires_grad, a._output) == (b.requires_grad, b._output)
        assert same_alias(a._alias, b._alias)
        assert same_node(a._node, b._node) or a._node is None
    if registry[name].vjp is None or not any(y.requires_grad for y in found):
        return
    wanted = [x for x in xs if x.requires_grad]
    with monkeypatch.context() as patched:
        patched.setattr(tape, "walk", tape.walk.__wrapped__)
        by_python = _gradients(expected, wanted)
    with recorded_calls(tape.walk) as calls:
        by_engine = _gradients(found, wanted)
    assert not calls
    for p, q in zip(by_python, by_engine, strict=True):
        assert p is q is None or same_bits(p._data, q._data)


def _gradients(outputs: Any, inputs: list[Tensor]) -> Any:
    ys = [y for y in outputs if y.requires_grad]
    return cr.gradients(ys, inputs, [cr.ones_like(y) for y in ys], allow_unused=True)


def same_error(a: Callable[[], Any], b: Callable[[], Any]) -> bool:
    errors = []
    for call in (a, b):
        with pytest.raises(Exception) as caught:
            call()
        errors.append((type(caught.value), str(caught.value)))
    return errors[0] == errors[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", cr.ones(2), cr.ones(3)),
        ("add", cr.ones(2), "text"),
        ("add", cr.ones(2), np.ones(2)),
        ("add", cr.ones(2), cr.ones(2, dtype="float64")),
        ("add", cr.ones(2), 10**400),
        ("add", cr.ones(2, dtype="uint8"), 300),
        ("add", cr.ones(2)),
        ("nonsense", cr.ones(2)),
        (None, cr.ones(2)),
        ("embedding", cr.tensor([7]), cr.ones(5, 2)),
    ],
)
def test_errors_are_those_of_the_python_code(arguments: Any) -> None:
    assert same_error(lambda: cr.apply(*arguments), lambda: cr.apply.__wrapped__(*arguments))
    assert same_error(lambda: cr.apply(), lambda: cr.apply.__wrapped__())


@contextmanager
def op(**fields: Any) -> Iterator[Primitive]:
    """A record that is registered inside the block."""
    name = fields.setdefault("name", "eager_demo")
    try:
        yield cr.primitive(type(name, (), fields))
    finally:
        registry.pop(name, None), operations.pop(name, None)


class Pair(NamedTuple):
    a: Any
    b: Any


class Other(NamedTuple):
    a: Any
    b: Any


def test_parameters_are_told_apart() -> None:
    """What a call does is noted with its parameters, so that 1, True and 1.0 are three."""
    values = [1, True, 1.0, -0.0, 0.0, 0, False, None, "1", (1,), (True,), Pair(1, 2), (1, 2)]
    values += [Other(1, 2), slice(1), slice(None, 1, 1), ..., np.dtype("f4"), np.dtype("f8")]
    values += [np.float32(1), np.float64(1), np.int8(1), "", "a", "abcdefghi", float("nan")]
    values += [2**62, 2**64]
    seen = []

    def rule(x: Any, *, value: Any) -> Any:
        seen.append(value)
        return x

    with op(infer=rule, forward=lambda x, *, value: x + 0) as record:
        for _ in range(3):
            for value in values:
                record(cr.ones(2), value=value)
    first = seen[: 2 * len(values)]
    assert [repr(v) for v in first[::2]] == [repr(v) for v in values], "each asks the rule"
    assert {repr(v) for v in seen[2 * len(values) :]} == {repr(2**64)}, "and once"


def test_a_rule_that_refuses_is_asked_again() -> None:
    with op(infer=cr.primitive.__globals__["floating"], forward=lambda x: x + 0) as record:
        for _ in range(3):
            with pytest.raises(TypeError, match="real numbers"):
                record(cr.ones(2, dtype="int64"))


def test_a_result_of_another_spec_than_the_rule_says() -> None:
    with op(infer=same_spec, forward=lambda x: x[:1] + 0.0, vjp=lambda g: (g,)) as record:
        for _ in range(3):
            y = record(cr.ones(3, requires_grad=True))
            assert y.shape == (1,) and [*y._node.specs] == [y.spec]


def test_a_view_of_more_than_its_input_is_made_anew() -> None:
    base = np.arange(8.0, dtype=np.float32)
    with op(infer=lambda x: Spec((8,), x.dtype), forward=lambda x: x.base, kind=View()) as record:
        for _ in range(3):
            assert record(Tensor(base[2:4])).tolist() == base.tolist()


def test_impure_references_run_every_time() -> None:
    numbers = iter(range(10))
    with op(infer=same_spec, forward=lambda x: x * 0 + next(numbers)) as record:
        assert [record(cr.ones(1)).item() for _ in range(4)] == [0, 1, 2, 3]


def test_a_record_that_nothing_refers_to_is_freed() -> None:
    with op(infer=same_spec, forward=lambda x: x + 0) as record:
        for _ in range(3):
            record(cr.ones(2, requires_grad=True))
        gone = weakref.ref(record)
    del record
    gc.collect()
    assert gone() is None


def test_shortcuts_are_functions() -> None:
    for shortcut in (cr.apply, tape.walk):
        assert pickle.loads(pickle.dumps(shortcut)) is shortcut
        assert copy.deepcopy(shortcut) is shortcut
        assert shortcut.__name__ == shortcut.__wrapped__.__name__ and shortcut.__doc__
    assert cr.tensor([1.0]).exp.__self__.tolist() == [1.0]
    with pytest.raises(AttributeError):
        cr.apply.nonsense  # noqa: B018


def test_a_subclass_of_tensor() -> None:
    class Named(Tensor):
        def __add__(self, other: Any) -> Any:
            return "named"

    a, b = Named(np.ones(2, np.float32)), cr.ones(2)
    for _ in range(3):
        assert a + b == "named" and (b - a).__class__ is Tensor
        assert (b + a).tolist() == [2, 2]


def test_an_interpreter_sees_every_op_that_is_known() -> None:
    x = cr.ones(2, requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
    with pytest.raises(cr.errors.NonFiniteError, match="`div`"), cr.detect_anomaly():
        x / (x * 0.0)


def test_an_error_in_a_hook_leaves_the_tape_as_it_was() -> None:
    x = cr.ones(2, requires_grad=True)
    for _ in range(3):
        y = x.exp()
        z = (y * x).sum()
        handle = y.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            z.backward(retain_graph=True)
        assert x.grad is None
        handle.remove()
        (g,) = cr.gradients(z, x)
        assert same_bits(g.numpy(), (x.exp() * (1 + x)).detach().numpy())


def test_a_backward_pass_inside_another() -> None:
    x = cr.ones(2, requires_grad=True)
    y = x * 3.0
    inner = []

    def hook(g: Tensor) -> Tensor:
        with cr.enable_grad():
            (found,) = cr.gradients((x * x * x).sum(), x)
        inner.append(found.tolist())
        return g * 2

    y.register_hook(hook)
    y.sum().backward()
    assert x.grad.tolist() == [6, 6] and inner == [[3, 3]]


def test_two_threads() -> None:
    x = cr.randn(64, 64)
    w = cr.randn(64, 64, requires_grad=True)
    (expected,) = cr.gradients((x @ w).exp().sum(), w)
    wrong = []

    def work() -> None:
        for _ in range(50):
            (g,) = cr.gradients((x @ w).exp().sum(), w)
            wrong.extend([1] * (not same_bits(g.numpy(), expected.numpy())))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- memory ----------------------------------------------------------------------------------------


def test_memory_for_results_is_bounded() -> None:
    """Sizes that change all the time leave no trail of arrays: at most 256 MB are kept."""
    x = np.zeros(2**21 + 64, np.float32)
    tracemalloc.start()
    try:
        for n in range(2**21, 2**21 + 64):
            registry["neg"].native(x[:n])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2**28 + 2**20


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
        lambda p: optim.AdamW(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.1, centered=True, momentum=0.9),
        lambda p: optim.Adagrad(p, lr=0.1),
    ],
)
def test_the_step_of_an_optimizer(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, state and versions are those of the Python code, bit for bit."""
    results = []
    in_cpp = rule.update_each
    for update_each in (in_cpp.__wrapped__, in_cpp):
        monkeypatch.setattr(rule, "update_each", update_each)
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
        optimizer = make(model.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            model(cr.ones(4, 3)).square().sum().backward()
            with recorded_calls(RuleOptimizer.update) as calls:
                optimizer.step()
        assert len(calls) == (0 if update_each is in_cpp else 4)
        states = [x for kept in optimizer.state.values() for x in kept.values()]
        results.append([*model.parameters(), *states])
    for a, b in zip(*results, strict=True):
        assert same_bits(a.detach()._data, b.detach()._data) and a._version == b._version


def test_a_step_writes_in_place_where_nothing_else_knows_the_array() -> None:
    w = cr.randn(5, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    def step() -> bool:
        """Whether the weights are in the same array afterwards."""
        w.grad = cr.ones(5)
        before = id(w._data)
        optimizer.step()
        return id(w._data) == before

    assert [step() for _ in range(4)][2:] == [True, True]
    view, copied = w.detach().numpy(), w.detach().numpy().copy()
    assert not step() and same_bits(view, copied)
    assert step() and same_bits(view, copied)
    y, copied = (w * w).sum(), w.detach().numpy().copy()
    assert not step()
    (g,) = cr.gradients(y, w)
    assert same_bits(g.numpy(), 2 * copied)
    shared = w.detach()
    del y, g
    assert not step() and same_bits(shared.numpy(), w.detach().numpy())
    user = np.ones(5, np.float32)
    w = cr.from_numpy(user).requires_grad_()
    optimizer = optim.SGD([w], lr=0.5)
    assert not step() and user.tolist() == [1] * 5


def test_a_reshape_that_must_copy_takes_memory_that_is_kept() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4")
    for dtype in ("f4", "f2", "i8", "?"):
        a = x.astype(dtype)
        for _ in range(3):
            assert same_bits(cr.tensor(a).mT.reshape(12, 5).numpy(), a.mT.reshape(12, 5))
