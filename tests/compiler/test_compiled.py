"""Compiled functions are functions: keywords, methods, modules, gradients, copies, threads."""

from __future__ import annotations

import copy
import cProfile
import functools
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, settings
from chainrule.compiler import compiled as compiled_module
from chainrule.errors import CaptureError, GradientError, NotDifferentiableError


def bits(*tensors):
    return [x.detach().numpy().tobytes() for x in tensors]


def test_keywords_and_defaults():
    @cr.compile
    def f(x, y=2.0, *, scale=1.0):
        return x * y + scale

    x = cr.ones(3)
    assert f(x).tolist() == [3.0] * 3
    assert f(x, y=cr.ones(3) * 4).tolist() == [5.0] * 3
    assert f(x, scale=0.5, y=3.0).tolist() == f(x, y=3.0, scale=0.5).tolist() == [3.5] * 3
    assert f.captures == 3
    assert f(y=cr.ones(3), x=x).tolist() == [2.0] * 3


def test_a_method_of_each_object():
    class Scaled:
        def __init__(self, k):
            self.k = k

        @cr.compile
        def run(self, x):
            return x * self.k

    a, b = Scaled(2.0), Scaled(3.0)
    for _ in range(2):
        assert a.run(cr.ones(1)).item() == 2 and b.run(cr.ones(1)).item() == 3
    a.k = 5.0
    assert a.run(cr.ones(1)).item() == 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x, scale=1.0):
        return self.body(x) * scale


def trained(compiled):
    cr.manual_seed(0)
    net = Net()
    model = cr.compile(net) if compiled else net
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, y = cr.randn(16, 4), cr.randint(0, 2, (16,))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x, scale=0.5), y)
        loss.backward()
        optimizer.step()
        losses.append(loss)
    model.eval()
    with cr.no_grad():
        losses.append(model(x))
    return net, model, losses


def test_a_module_trains_in_an_eager_loop():
    (_, _, eager), (net, model, losses) = trained(False), trained(True)
    assert bits(*eager) == bits(*losses)
    assert isinstance(model, Net) and model is not net and not net.training
    assert list(model.state_dict()) == list(net.state_dict())
    assert [id(p) for p in model.parameters()] == [id(p) for p in net.parameters()]
    assert type(net).forward is Net.forward


def test_copies_of_a_compiled_module():
    _, model, _ = trained(True)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        x = cr.randn(3, 4)
        assert bits(other(x)) == bits(model(x))
        with cr.no_grad():
            other.body[0].weight.zero_()
        assert bits(other(x)) != bits(model(x))


def test_hooks_of_a_compiled_module():
    model = cr.compile(nn.Linear(2, 2))
    seen = []
    handle = model.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    model(cr.ones(1, 2))
    handle.remove()
    model(cr.ones(1, 2))
    assert seen == [(1, 2)]


def test_several_calls_before_backward():
    w = cr.randn(3, 3).requires_grad_()

    def f(x):
        return (x @ w).tanh(), (x * w[0]).sum()

    def gradient(g):
        w.grad = None
        a, b = g(cr.ones(2, 3))
        c, _ = g(a.detach() * 0.5)
        (a.sum() + b * 2 + (c * c).sum()).backward()
        return w.grad

    cr.manual_seed(1)
    assert bits(gradient(f)) == bits(gradient(cr.compile(f)))


PARTLY_USED = {
    "a derivative that is infinite": lambda x: (x.sqrt(), x * 2),
    "weights of one result": lambda x: (x * A, x * 3 * B),
    "a difference": lambda x: (x - A, A - x * B),
    "parts of one tensor": lambda x: (*x.flatten().split(3), x.sum() * A),
    "joined": lambda x: (cr.cat([x, x * A]), x.T @ B),
    "recurrence": lambda x: nn.functional.gelu(LSTM(x)[0]).unbind(0),
    "rounded": lambda x: (x, x.round() @ -B.T + x.relu().sum(0)),
}
A, B = cr.randn(3, 3).requires_grad_(), cr.randn(3, 3).requires_grad_()
LSTM = nn.LSTM(3, 3)


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("name", PARTLY_USED)
def test_gradients_of_some_results(name, engine):
    """Results that are not used contribute nothing, not zeros: no gradient, and no 0·∞."""

    def f(x):
        return PARTLY_USED[name](x * 1.0)

    with settings.use(engine=engine):
        step = cr.compile(f)
        for used in [(0,), (1,), (0, 1), (1,)]:
            found = []
            for g in (f, step):
                x = cr.tensor([[0, 0, -0.0], [1, 2, 3], [1, 2, 4]], requires_grad=True)
                leaves = [x, A, B, *LSTM.parameters()]
                for leaf in leaves:
                    leaf.grad = None
                results = g(x)
                sum(results[i].sum() for i in used).backward()
                found.append([p.grad is not None and p.grad.numpy().tobytes() for p in leaves])
            assert found[0] == found[1]


def test_gradients_of_arguments():
    def f(x, y):
        return (x * y).exp().sum(0)

    step = cr.compile(f)
    for _ in range(2):
        found = []
        for g in (f, step):
            x, y = cr.tensor([[0.1, 0.2]], requires_grad=True), cr.tensor([[1.0, 2.0]])
            (g(x, y) * 3).sum().backward()
            found.append(x.grad)
        assert bits(found[0]) == bits(found[1])


def test_results_without_a_common_history_have_backward_passes_of_their_own():
    w = cr.ones(2, requires_grad=True)

    def losses(x):
        return (x * w).exp().sum(), (x * w * w).sin().sum(), (x * w).sum()

    found = []
    for function in (losses, cr.compile(losses)):
        for x in (cr.ones(2), cr.tensor([1.0, 2.0])):
            w.grad = None
            first, second, third = function(x)
            first.backward()
            (second + third).backward()
            with pytest.raises(GradientError, match="freed"):
                third.backward()
            found.append(w.grad.tolist())
    assert found[:2] == found[2:]


def test_hooks_of_leaves_run_once():
    w = cr.ones(2, requires_grad=True)
    w.register_hook(lambda g: g * 3)
    cr.compile(lambda x: (x * w).sum())(cr.ones(2)).backward()
    assert w.grad.tolist() == [3, 3]


def test_a_second_derivative_from_outside_is_refused():
    w = cr.tensor([2.0], requires_grad=True)
    y = cr.compile(lambda x: (x * w) ** 3)(cr.ones(1))
    (g,) = cr.gradients(y.sum(), [w])
    assert g.tolist() == [12.0]
    y = cr.compile(lambda x: (x * w) ** 3)(cr.ones(1))
    with pytest.raises(NotDifferentiableError, match="inside"):
        cr.gradients(y.sum(), [w], create_graph=True)


def test_nested():
    inner = cr.compile(lambda x: x * 2)
    outer = cr.compile(lambda x: inner(x) + inner(x + 1))
    assert outer(cr.ones(2)).tolist() == outer(cr.ones(2)).tolist() == [6.0, 6.0]


def test_arguments_that_are_written():
    def f(x, y):
        x.add_(y)
        y[0] = 0.0
        return x.sum()

    step = cr.compile(f)
    a = [cr.ones(3), cr.ones(3) * 2]
    b = [x.clone() for x in a]
    for _ in range(3):
        assert f(*a).item() == step(*b).item()
        assert bits(*a) == bits(*b)
    same = cr.ones(3)
    alias = cr.ones(3)
    assert f(same, same).item() == step(alias, alias).item()
    assert bits(same) == bits(alias)
    base, other = cr.ones(4), cr.ones(4)
    assert f(base[:3], base[1:]).item() == step(other[:3], other[1:]).item()
    assert bits(base) == bits(other)


def test_state_made_by_the_first_call():
    class Running:
        total = None

        def __call__(self, x):
            if self.total is None:
                self.total = cr.zeros(())
            self.total.add_(x.sum())
            return self.total.clone()

    eager, other = Running(), Running()
    step = cr.compile(other)
    for _ in range(3):
        assert eager(cr.ones(2)).item() == step(cr.ones(2)).item()


def test_buffers_that_are_set_to_new_values():
    class Averaged(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", cr.zeros(3))
            self.register_buffer("n", cr.zeros((), dtype=cr.int64))
            self.last = cr.zeros(3)

        def forward(self, x):
            self.mean = self.mean * 0.9 + x.mean(0) * 0.1
            self.n += 1
            before = self.last
            self.last = x.detach()[0] * 2
            return x - self.mean + before

    eager, model = Averaged(), Averaged()
    compiled = cr.compile(model)
    for i in range(4):
        x = cr.randn(5, 3)
        if i == 2:
            eager.mean.add_(1)
            model.mean.add_(1)
        assert bits(eager(x)) == bits(compiled(x))
        assert bits(eager.mean, eager.n, eager.last) == bits(model.mean, model.n, model.last)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ("kept.append(1)", "kept"),
        ("box['n'] += 1", r"box\['n'\]"),
        ("thing.count += 1", "count"),
        ("x = x * random.random()", "random"),
        ("x = x + float(np.random.normal())", "np.random"),
        ("x = x * next(stream)", "stream"),
        ("x = x + float(rng.normal())", "rng"),
        ("seen.add(len(seen))", "seen"),
    ],
)
def test_what_python_would_do_anew_is_refused(effect, words):
    scope = {}
    exec(
        "import itertools, random\nimport numpy as np\nimport chainrule as cr\n"
        "kept, box, seen = [], {'n': 0}, set()\nclass Thing: count = 0\nthing = Thing()\n"
        "thing.count = 0\nstream, rng = itertools.count(1), np.random.default_rng(0)\n"
        f"def f(x):\n    {effect}\n    return x + box['n'] + thing.count\n",
        scope,
    )
    with pytest.raises(CaptureError, match=words):
        cr.compile(scope["f"])(cr.ones(2))


def test_a_capture_that_fails_restores_what_python_holds():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.calls, self.last = nn.Linear(2, 1), 0, None

        def forward(self, x):
            self.calls += 1
            self.last = self.linear(x)
            return self.last * self.last.sum().item()

    net = Net()
    with pytest.raises(CaptureError, match="item"):
        cr.compile(net)(cr.ones(1, 2))
    assert net.calls == 0 and net.last is None


def test_a_thread_that_looks_at_frames_is_no_leak():
    stop, frames = threading.Event(), []

    def look():
        while not stop.is_set():
            frames.extend(sys._current_frames().values())
            for frame in frames[-5:]:
                frame.f_locals  # noqa: B018
            del frames[:-50]

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for i in range(10):
            model = nn.Linear(3, 3)
            step = cr.compile(lambda x, model=model: model(x).relu().sum())
            assert step(cr.ones(2, 3)).requires_grad, i
    finally:
        stop.set()
        thread.join()


def test_threads_share_a_compiled_function():
    w = cr.randn(8, 8)
    step = cr.compile(lambda x: (x @ w).tanh().sum(1))
    given = [cr.randn(4, 8) for _ in range(8)]
    expected = [(x @ w).tanh().sum(1).tolist() for x in given]
    step(given[0])
    found = [None] * 8

    def work(i):
        for _ in range(20):
            found[i] = step(given[i]).tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == expected


def test_an_error_of_the_compiler_runs_eagerly_with_one_warning(monkeypatch):
    def broken(*args):
        raise KeyError("a bug")

    monkeypatch.setattr(compiled_module, "executable_of", broken)
    monkeypatch.setenv("CHAINRULE_STRICT", "0")
    step = cr.compile(lambda x: x * 2)
    with pytest.warns(UserWarning, match=r"KeyError.*report"):
        assert step(cr.ones(1)).item() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step(cr.ones(1)).item() == 2
    monkeypatch.setenv("CHAINRULE_STRICT", "1")
    with pytest.raises(KeyError):
        step(cr.ones(1))


def test_the_users_own_error_is_the_users():
    def f(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        cr.compile(f)(cr.ones(1))


def test_shapes_that_alternate_are_told_apart_by_the_engine(monkeypatch):
    model, mode = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), cr.ones(1)
    step = cr.compile(lambda x: model(x).sum() * mode)
    model.eval()
    batches = [cr.ones(n, 3) for n in (4, 1, 4, 2)]
    before = [bits(step(x)) for x in batches]
    assert step.captures == 3
    monkeypatch.setattr(type(step), "_find", None)
    assert [bits(step(x)) for x in batches] == before
    model.train()
    with pytest.raises(TypeError, match="not callable"):
        step(batches[0])


def test_a_capture_inside_a_profile():
    step, profile = cr.compile(lambda x: (x * 2).sum()), cProfile.Profile()

    def later():
        return step(cr.ones(3))

    profile.enable()
    before = step(cr.ones(3))
    assert later().item() == before.item() == 6 and step.captures == 1
    profile.disable()
    names = {getattr(entry.code, "co_name", "") for entry in profile.getstats()}
    assert "later" in names


def test_a_generator_of_batches_outside():
    def batches():
        for i in range(3):
            yield cr.full((2,), float(i))

    step = cr.compile(lambda x: x.sum())
    assert [step(x).item() for x in batches()] == [0.0, 2.0, 4.0]


def test_arrays_that_could_change():
    small, large = np.ones(4, np.float32), np.ones(100_000, np.float32)
    step = cr.compile(lambda x: x + cr.tensor(small).sum())
    assert step(cr.zeros(())).item() == 4
    small[0] = 5.0
    assert step(cr.zeros(())).item() == 8
    with pytest.raises(CaptureError, match="argument"):
        cr.compile(lambda x: x + cr.tensor(large).sum())(cr.zeros(()))


def test_guards_leave_out_what_a_compiled_function_keeps_for_itself():
    """And nothing else: not what the user has set on the function."""
    plain = lambda x: x + 1  # noqa: E731
    plain.k = 2.0
    compiled = cr.compile(plain)
    compiled(cr.ones(2))
    taken_over = {*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "k"}
    assert vars(compiled).keys() - taken_over == type(compiled).unguarded
