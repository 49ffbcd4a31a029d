"""Compiled functions and tensors that share numbers: arguments, state, results, gradients.

Each row is a program that defines `f` and `ARG()`, its arguments, and changes between calls. After
each call, all tensors of the program have the bits that they have in eager code.
"""

import pytest
from tests.compiler.random_programs import bits, load

import chainrule as cr
from chainrule import engine, nn, settings
from chainrule.errors import CaptureError, GradientError

HEADER = """
import collections
import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
w = cr.ones(3, requires_grad=True)
T, B = cr.ones(3), cr.ones(2, 3)
def ARG(): return (cr.tensor([1.0, -2.0, 3.0]),)
def start(): (w * 20).sum().backward()
m = nn.Module(); m.register_buffer("h", cr.ones(3))
"""
EQUAL = {
    "state as an argument": "def ARG(): return (T,)\ndef f(x):\n    T.add_(1)\n    return x * 2",
    "a view of state": "def ARG(): return (T[:2],)\ndef f(x):\n    T.add_(1)\n    return x * 2",
    "one tensor twice": "def ARG(): return T, T\ndef f(x, y):\n    x.add_(1)\n    return y * 2",
    "a tensor and its alias": (
        "def ARG(): return T, T.detach()\ndef f(x, y):\n    x.add_(1)\n    return y * 2"
    ),
    "overlapping views": (
        "def ARG(): return B[0, :2], B[0, 1:]\ndef f(x, y):\n    x.add_(y)\n    return y * 2"
    ),
    "whether arguments are the same": (
        "def ARG(): return T, T\ndef f(x, y): return x * 2 if x is y else x",
        "def ARG(): return T, B[0]",
    ),
    "whether an argument is state": (
        "L = [T]\ndef ARG(): return (T,)\ndef f(x): return x * 2 if x is L[0] else x",
        "def ARG(): return (cr.ones(3),)",
    ),
    "the gradient of an argument": (
        "def ARG(): return (w,)\ndef f(x):\n    (x * x).sum().backward()\n    return x.grad * 2",
        "w.grad = None",
    ),
    "an argument in another order": (
        "def ARG(): return (B.T,)\ndef f(x):\n    y = x.reshape(-1); y[0] = 9.0\n    return x * 2",
        "def ARG(): return (cr.ones(3, 2),)",
    ),
    "a kept gradient grows": (
        "start(); K = w.grad; V = w.grad[:2]\n"
        "def f(x):\n    (w * x).sum().backward()\n    return x",
    ),
    "a kept gradient is clipped": (
        "start(); K = w.grad\ndef f(x):\n    optim.clip_grad_norm_([w], 1.0)\n    return x",
    ),
    "a kept gradient is replaced": (
        "start(); K = w.grad\ndef f(x):\n    w.grad = w.grad * 2\n    return x",
    ),
    "a gradient kept between calls": (
        "o = optim.SGD([w], 0.1)\ndef f(x):\n    o.zero_grad()\n    (w * x * w).sum().backward()\n"
        "    o.step()\n    return x",
        "K = w.grad",
        "K.zero_()",
    ),
    "data is set, then written": (
        "def f(x):\n    t = x * 2\n    w.data = t\n    t.add_(1)\n    return t"
    ),
    "a detached view": (
        "D = w[1:].detach()\ndef f(x):\n    with cr.no_grad(): w.add_(x)\n    return x",
        "D.zero_()",
    ),
    "a buffer is set": (
        "K = m.h\ndef f(x):\n    m.h = m.h * 0.5 + x\n    return m.h * 2",
        "K2 = m.h",
        "m.h.zero_()",
        "m.h = cr.zeros(3)",
    ),
    "a buffer is set to an argument": (
        "def ARG(): return (T,)\ndef f(x):\n    y = m.h + x\n    m.h = x\n    return y",
        "T.add_(1)",
        "T = cr.zeros(3)",
    ),
    "a buffer is written": ("K = m.h\ndef f(x):\n    m.h += x\n    return x", "K.zero_()"),
    "an argument is returned": ("def ARG(): return (T,)\ndef f(x): return x", "OUT.add_(1)"),
    "a view of an argument is returned": (
        "def ARG(): return (B,)\ndef f(x):\n    x.mul_(2)\n    return x.T[1]",
        "OUT.add_(1)",
    ),
    "state is returned": ("def f(x):\n    T.add_(x)\n    return T", "OUT.zero_()"),
    "a detached view of state is returned": (
        "def f(x):\n    return w.detach()[:2]",
        "OUT.zero_()",
    ),
    "one result twice": ("def f(x):\n    y = x * 2\n    return y, y", "OUT[0].add_(1)"),
    "a result and its view": (
        "def f(x):\n    y = x * 2\n    return y[1:], {'y': y, 'z': y.detach()}",
        "OUT[0].add_(1)",
        "OUT[1]['z'].mul_(2)",
    ),
    "views of what is not returned": (
        "def f(x):\n    y = x * w\n    return y[:2], y[1:]",
        "OUT[0].add_(1)",
        "with cr.enable_grad(): OUT[1].sum().backward()",
    ),
    "a result in another order": (
        "def ARG(): return (B,)\ndef f(x): return (x * 2).T",
        "OUT.reshape(-1).zero_()",
    ),
    "a view of a parameter": (
        "def f(x): return w[1:], x",
        "OUT[0].add_(1)",
        "with cr.enable_grad(): OUT[0].sum().backward()",
    ),
    "gradients of an argument that come and go": (
        "def ARG(): return (cr.ones(3, requires_grad=True),)\ndef f(x): return x * 2",
        "def ARG(): return (cr.ones(3),)",
        "def ARG(): return (cr.ones(3, requires_grad=True),)",
    ),
    "state that shares numbers later": (
        "v = cr.zeros(3, requires_grad=True); o = optim.SGD([w, v], 0.5, momentum=0.9)\n"
        "def f(x):\n    o.zero_grad()\n    (w * x + v * v).sum().backward()\n    o.step()\n"
        "    return x",
        "v.data = w.data",
        "v.data = w.data.clone()",
    ),
    "state that is set and shares numbers later": (
        "U = cr.zeros(3)\ndef f(x):\n    T.copy_(x)\n    return U * 2",
        "U.data = T",
        "U.data = cr.ones(3)",
    ),
    "columns that an index chooses": (
        "def ARG(): return (B,)\n"
        "def f(x):\n    y = x[:, cr.tensor([1, 0])]\n    y.T.reshape(-1)[0] = 9.0\n    return y"
    ),
    "data of state that shares numbers later": (
        "def f(x):\n    w.data = x * 2\n    return x * 1",
        "w.data = T",
        "pass",
    ),
    "a parameter that is a view": (
        "p = nn.Parameter(B[0])\ndef f(x):\n    with cr.no_grad(): p.add_(x)\n    return x",
        "B.zero_()",
    ),
    "other dicts": (
        "def ARG(): return (collections.OrderedDict(a=T),)\n"
        "def f(d): return collections.OrderedDict(b=d['a'] * len(type(d).__name__))",
    ),
}
REFUSED = {
    "a dict that is an argument": (
        "def ARG(): return ({'n': 1, 't': T},)\ndef f(d):\n    d['n'] += 1\n    return d['t']",
        "list or a dict",
    ),
    "a list that is an argument": (
        "def ARG(): return ([T],)\ndef f(x):\n    x[0] = x[0] * 2\n    return x[0]",
        "list or a dict",
    ),
    "data of a tensor that others share": (
        "D = w.detach()\ndef f(x):\n    w.data = x * 2\n    return x",
        "separate",
    ),
    "data of an argument": ("def f(x):\n    x.data = x * 2\n    return x", "separate"),
    "gradients in an argument": ("def f(x):\n    x.add_(w)\n    return x * 2", "carry gradients"),
    "gradients in state": ("def f(x):\n    T.add_(w)\n    return x * 2", "carry gradients"),
    "a freed history in state": (
        "def f(x):\n    y = w * x\n    y.sum().backward()\n    T.copy_(y)\n    return x",
        "carry gradients",
    ),
    "a gradient that is written under another name": (
        "start()\nK = w.grad\ndef f(x):\n    K.add_(x)\n    (w * x).sum().backward()\n    return x",
        "tensor of its own",
    ),
    "a gradient that is cleared and read under another name": (
        "start()\nK = w.grad.detach()\ndef f(x):\n    w.grad.zero_()\n    return x + K",
        "tensor of its own",
    ),
    "a leaf made inside": (
        "def f(x):\n    t = cr.zeros(3, requires_grad=True)\n    return (t * x).sum(), t[1:]",
        "that it made",
    ),
    "gradients in a buffer": ("def f(x):\n    m.h = m.h + w\n    return x * 2", "carry gradients"),
    "a buffer that is reached in two ways": (
        "K = m.h\ndef f(x):\n    m.h = m.h * 0.5 + K\n    return x",
        "in another way",
    ),
}


def tensors(program):
    """The bytes of all tensors of a program, and of their gradients."""
    found = {}
    for name, value in vars(program).items():
        named = {"": value} if isinstance(value, cr.Tensor) else {}
        if isinstance(value, nn.Module):
            named = dict(value.named_buffers())
        for path, x in named.items():
            g = x.grad
            numbers = x.detach().numpy().tobytes()
            found[name, path] = numbers, None if g is None else g.numpy().tobytes()
    return found


ENGINES = ["numpy", *(["native"] if engine.available() else [])]


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize("kind", ENGINES)
def test_writes_are_seen_as_in_eager_code(name, kind):
    rows = EQUAL[name]
    source, *changes = (rows,) if isinstance(rows, str) else rows
    eager, compiled = (load(HEADER + source, f"{kind}_program") for kind in ("eager", "compiled"))
    with settings.use(engine=kind):
        step = cr.compile(compiled.f)
        for change in [*changes, "pass", "pass"]:
            eager.OUT, compiled.OUT = eager.f(*eager.ARG()), step(*compiled.ARG())
            assert tensors(eager) == tensors(compiled), change
            for program in (eager, compiled):
                with cr.no_grad():
                    exec(change, vars(program))
            assert bits(eager.OUT) == bits(compiled.OUT), change
            assert tensors(eager) == tensors(compiled), change


FREED = {
    "a loss": "def f(x):\n    y = (w * x).sum()\n    y.backward()\n    return y",
    "of an argument alone": (
        "def ARG(): return (cr.ones(3, requires_grad=True),)\n"
        "def f(x):\n    y = (x * x).sum()\n    y.backward()\n    return y"
    ),
    "of a leaf made inside": (
        "def f(x):\n    t = (x * 2).requires_grad_()\n    y = (t * t).sum()\n    y.backward()\n"
        "    return y"
    ),
    "a view of state": "def f(x):\n    y = w[1:]\n    y.sum().backward()\n    return y",
    "a view of a result": (
        "def f(x):\n    t = w * x\n    y = t[1:]\n    y.sum().backward()\n    return y, t.detach()"
    ),
    "one that depends on it": (
        "def f(x):\n    t = w.exp()\n    t.sum().backward()\n    return t * x"
    ),
}


@pytest.mark.parametrize("name", FREED)
@pytest.mark.parametrize("kind", ENGINES)
def test_a_result_whose_graph_was_freed_inside_raises_as_in_eager_code(name, kind):
    program = load(HEADER + FREED[name], "program")
    with settings.use(engine=kind):
        step = cr.compile(program.f)
        for function in (program.f, step, step):
            result = function(*program.ARG())
            y = result[0] if isinstance(result, tuple) else result
            assert y.requires_grad and not y.is_leaf
            with pytest.raises(GradientError, match="freed"):
                (y.sum() + program.w.sum()).backward()


def test_a_write_into_an_argument_that_repeats_its_elements_is_refused():
    step = cr.compile(lambda x: x.detach().add_(1))
    with pytest.raises(GradientError, match="expand"):
        step(cr.ones(1, 3).expand(2, 3))


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_shared_is_refused(name):
    source, words = REFUSED[name]
    program = load(HEADER + source, "compiled_program")
    with pytest.raises(CaptureError, match=words):
        cr.compile(program.f)(*program.ARG())
