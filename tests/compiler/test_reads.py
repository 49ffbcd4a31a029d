"""What a compiled function may read, and how it may change: equal to eager code, or refused.

Each row is a program that defines `f(x)`, and changes that are made between its calls.
"""

import gc
import sys
import weakref
from unittest import mock

import numpy as np
import pytest
from tests.compiler.random_programs import load

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.native_executable import NativeExecutable as Executable
from chainrule.errors import CaptureError

HEADER = """
import abc, array, collections, contextlib, contextvars, copy, dataclasses, decimal, enum
import functools, io, itertools, json, locale, logging, math, operator, os, random, secrets, sys
import threading, time, types, typing, weakref
import numpy as np
import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
cr.manual_seed(0)
class C:
    k = 2.0
c, D, L, K = C(), {"k": 2.0}, [2.0, 3.0], 2.0
M = types.ModuleType("M"); M.k = 2.0; sys.modules["own_module"] = M
"""
EQUAL = {
    "a computed name": ("c.k_1 = 2.0\ndef f(x): return x * getattr(c, f'k_{1}')", "c.k_1 = 3.0"),
    "a name in a value": ("N = 'k'\ndef f(x): return x * getattr(c, N)", "c.k = 3.0"),
    "a computed name of a class": ("def f(x): return x * getattr(C, 'kk'[1:])", "C.k = 3.0"),
    "a computed name of a module": ("def f(x): return x * getattr(M, 'kk'[1:])", "M.k = 3.0"),
    "an attribute of a function that does not run": (
        "def g(): pass\ng.k = 2.0\ndef f(x): return x * g.k",
        "g.k = 3.0",
        "g.k = 4.0; g.__dict__.update(j=1)",
    ),
    **{
        f"an attribute of {name} that comes later": (
            f"o = {source}\no.a = 1\ndef f(x): return x * getattr(o, 'z', 2.0)",
            "o.z = 3.0",
            "del o.z",
            *([] if "module" in name or "layer" in name else ["del o.a; o.z = 4.0"]),
        )
        for name, source in {
            "a module": "types.ModuleType('o')",
            "a module of Python": "types.ModuleType('o')\no.__file__ = json.__file__",
            "a function": "lambda: 1",
            "a partial": "functools.partial(sum)",
            "a static method": "staticmethod(sum)",
            "an array": "type('A', (np.ndarray,), {})(2)",
            "a generator": "type('R', (random.Random,), {})(0)",
            "a list": "type('L', (list,), {})()",
            "a layer": "nn.Linear(1, 1)",
            "an object": "type('O', (), {})()",
        }.items()
    },
    "a tuple in a closure": (
        "T = (2.0, 3.0)\ndef g(t):\n    def f(x): return x * t[0] + len(t)\n    return f\nf = g(T)",
        "f.__closure__[0].cell_contents = (4.0,)",
    ),
    "a computed global": ("def f(x): return x * globals()['KK'[1:]]", "K = 3.0"),
    "vars": ("c.a = 2.0\ndef f(x): return x * sum(vars(c).values())", "c.a = 3.0", "c.b = 1.0"),
    "vars of a module": ("def f(x): return x * vars(M)['k']", "M.k = 3.0"),
    "__dict__": ("c.a = 2.0\ndef f(x): return x * c.__dict__['aa'[1:]]", "c.a = 3.0"),
    "attrgetter": ("get = operator.attrgetter('k')\ndef f(x): return x * get(c)", "c.k = 3.0"),
    "itemgetter": ("get = operator.itemgetter('k')\ndef f(x): return x * get(D)", "D['k'] = 3.0"),
    "a method in C": ("get = D.get\ndef f(x): return x * get('k')", "D['k'] = 3.0"),
    "a pattern": (
        "class P:\n    __match_args__ = ('z',)\np = P(); p.z = 2.0\n"
        "def f(x):\n    match p:\n        case P(v): return x * v",
        "p.z = 3.0",
    ),
    "an attribute of the class that comes later": (
        "def f(x): return x * (3.0 if hasattr(c, 'late') else 1.0)",
        "C.late = 1",
        "del C.late",
    ),
    "a method that comes later": (
        "class E(C): pass\nC.g = lambda self, x: x\nc = E()\ndef f(x): return c.g(x)",
        "E.g = lambda self, x: x * 4",
    ),
    "an attribute of a subclass that comes later": (
        "class E(C): pass\ndef f(x): return x * E.k",
        "C.k = 3.0",
        "E.k = 4.0",
    ),
    "a metaclass": (
        "class T(type): z = 2.0\nclass E(metaclass=T): pass\ndef f(x): return x * E.z",
        "T.z = 3.0",
        "E.z = 4.0",
    ),
    "another class": ("class E(C): k = 5.0\ndef f(x): return x * c.k", "c.__class__ = E"),
    "another code": (
        "def g(x): return x\ndef f(x): return g(x)",
        "g.__code__ = f.__code__; g = abs",
    ),
    "a global that comes later": (
        "def f(x):\n    try: return x * LATE\n    except NameError: return x",
        "LATE = 5.0",
    ),
    "a global that hides a builtin": ("def f(x): return x * sum(L)", "sum = lambda x: 10.0"),
    "the order of a dict": (
        "D['j'] = 3.0\ndef f(x):\n    for k in D: x = (x + D[k]) * D[k]\n    return x",
        "D['k'] = D.pop('k')",
    ),
    "the order of an ordered dict": (
        "D = collections.OrderedDict(j=2.0, k=3.0)\n"
        "def f(x):\n    for k in D: x = (x + D[k]) * D[k]\n    return x",
        "D.move_to_end('j')",
    ),
    "a default factory": (
        "D = collections.defaultdict(lambda: 2.0)\ndef f(x): return x * D.copy()[0]",
        "D.default_factory = lambda: 7.0",
    ),
    "a deque": (
        "Q = collections.deque([[1.0], [2.0]])\ndef f(x): return x * Q[0][0]",
        "Q[0][0] = 3.0",
        "Q.rotate(1)",
    ),
    "a bytearray": ("B = bytearray([2, 3])\ndef f(x): return x * B[0]", "B[0] = 5"),
    "an array of Python's": ("B = array.array('d', [2])\ndef f(x): return x * B[0]", "B[0] = 5"),
    "a memoryview": (
        "B = bytearray([2])\nV = memoryview(B)\ndef f(x): return x * V[0]",
        "B[0] = 5",
    ),
    "a view of a dict": (
        "V = D.values()\ndef f(x): return x * sum(V)",
        "D['k'] = 3.0",
        "D['j'] = 1",
    ),
    "a proxy": ("V = types.MappingProxyType(D)\ndef f(x): return x * V['k']", "D['k'] = 3.0"),
    "a weak reference": (
        "r = weakref.ref(c)\ndef f(x): return x * r().k",
        "c.k = 3.0",
        "C.k = 4.0",
    ),
    "a cache": (
        "@functools.lru_cache\ndef g(): return K\ndef f(x): return x * g()",
        "K = 3.0",
        "g.cache_clear()",
    ),
    "the environment": (
        "os.environ['CR'] = '2'\ndef f(x): return x * float(os.environ['CR'])",
        "os.environ['CR'] = '3'",
    ),
    "getenv": (
        "os.environ['CR'] = '2'\ndef f(x): return x * float(os.getenv('CR'))",
        "os.environ['CR'] = '3'",
    ),
    "a value of a library's module": (
        "sys.cr_k = 2.0\ndef f(x): return x * sys.cr_k",
        "sys.cr_k = 3.0",
    ),
    "a function of a library's module": (
        "json.cr_f = F.relu\ndef f(x): return json.cr_f(x)",
        "json.cr_f = F.tanh",
    ),
    "a method of a library's class": (
        "class E(nn.Linear): pass\nm = E(3, 3)\nold = nn.Linear.forward\ndef f(x): return m(x)",
        "nn.Linear.forward = lambda self, x: x * 2",
        "nn.Linear.forward = old",
    ),
    "an import inside": (
        "def f(x):\n    import own_module\n    return x * own_module.k",
        "M.k = 3.0",
    ),
    "a from-import inside": (
        "def f(x):\n    from own_module import k\n    return x * k",
        "M.k = 3.0",
    ),
    "exec": (
        "src = 'y = x * 2'\ndef f(x):\n    ns = {'x': x}; exec(src, ns); return ns['y']",
        "src = 'y = x * 3'",
    ),
    "a copy": ("c.d = {'k': 2.0}\ndef f(x): return x * copy.deepcopy(c).d['k']", "c.d['k'] = 3.0"),
    "a dataclass as a dict": (
        "@dataclasses.dataclass\nclass P: z: float = 2.0\np = P()\n"
        "def f(x): return x * dataclasses.asdict(p)['z']",
        "p.z = 3.0",
    ),
    "a text": ("def f(x): return x * float('{0.k}'.format(c))", "c.k = 3.0"),
    "the name of a function": (
        "def g(): 'ab'\ndef f(x): return x * len(g.__doc__)",
        "g.__doc__ = 'abcd'",
    ),
    "an attribute of a number": (
        "class I(int): z = 2.0\ni = I(3)\ndef f(x): return x * i * i.z",
        "i.z = 3.0",
    ),
    "an attribute of a tensor": (
        "class T(cr.Tensor): pass\nt = T(np.ones(3, np.float32)); t.z = 2.0\n"
        "def f(x): return x * t.z",
        "t.z = 3.0",
    ),
    **{
        f"{name} of a tensor that no op reads": (
            f"t = cr.ones(3)\nc.t, L[0] = t, t\ndef f(x): return x * (2 if {test} else 3)",
            "t.add_(1)",
            change,
        )
        for name, test, change in (
            ("requires_grad", "t.requires_grad", "t.requires_grad_()"),
            ("requires_grad, as an attribute,", "c.t.requires_grad", "t.requires_grad_()"),
            ("requires_grad, as an element,", "L[0].requires_grad", "t.requires_grad_()"),
            ("the shape", "len(t) == 3", "t.data = cr.ones(4)"),
            ("the dtype", "t.dtype == cr.float32", "t.data = cr.ones(3, dtype='float64')"),
            ("is_leaf", "t.is_leaf", "t.mul_(cr.ones(3, requires_grad=True))"),
        )
    },
    "an attribute of the compiled function": (
        "@cr.compile\ndef g(x): return x\ng.k = 2.0\n"
        "def f(x): return g(x) * g.k * getattr(g, 'late', 1.0)",
        "g.k = 3.0",
        "g.late = 2.0",
    ),
    "an attribute of a layer in the place of another": (
        "m = nn.Linear(3, 3); m.weight.data.fill_(1.0); m.bias.data.fill_(0.5); m.k = 1\n"
        "def f(x): return m(x) * getattr(m, 'late', 2.0)",
        "del m.k; m.late = 3.0",
        "del m.late; m.k = 1",
    ),
    "__getattr__ that raises KeyError": (
        "class E:\n    def __getattr__(self, name): return D[name]\nc = E()\n"
        "def f(x): return x * c.k",
        "D['k'] = 3.0",
    ),
    "NumPy's reaction to errors": (
        "def f(x): return x * len(np.geterr()['divide'])",
        "old = np.seterr(divide='ignore')",
        "np.seterr(**old)",
    ),
    "NumPy's options of printing": (
        "def f(x): return x * len(repr(np.ones(1) / 3))",
        "np.set_printoptions(precision=3)",
        "np.set_printoptions(precision=8)",
    ),
    "the precision of decimal numbers": (
        "D = decimal.Decimal(1)\ndef f(x): return x * float(D / 3)",
        "decimal.getcontext().prec = 3",
        "decimal.setcontext(decimal.Context(prec=28))",
    ),
    "a closure beside another of the same code": (
        "def maker(o):\n    def g(x): return x * o.k\n    return g\n"
        "first, second = maker(c), maker(C())\ndef f(x): return L[-1](x)\nL.append(first)",
        "c.k = 3.0",
        "L[-1] = second",
        "L[-1] = first; c.k = 4.0",
    ),
    "a closure that is assigned in the call, beside one with the values of before": (
        "def maker(o):\n    def g(x):\n        nonlocal o\n        o = last\n"
        "        return x * o.k\n    return g\n"
        "last = C()\nfirst, second = maker(c), maker(c)\ndef f(x): return L[-1](x)\n"
        "L.append(first)",
        "last.k = 3.0",
        "L[-1] = second",
        "c.k = 5.0",
    ),
    "a limit of Python": (
        "def f(x): return x * sys.getrecursionlimit()",
        "sys.setrecursionlimit(sys.getrecursionlimit() + 1)",
        "sys.setrecursionlimit(sys.getrecursionlimit() - 2)",
    ),
    "what only the first call does": (
        "c.first = True\n"
        "def f(x):\n    if c.first:\n        c.first = False\n        return x * 2\n"
        "    return x",
        "pass",
    ),
    "state that the first call makes": (
        "class E:\n    __slots__ = ('h',)\nc = E()\ndef f(x):\n"
        "    if not hasattr(c, 'h'): c.h = cr.zeros(3)\n    c.h += x\n    return c.h * 2",
        "pass",
        "del c.h",
        "pass",
    ),
    "an object that lives as long as the call": (
        "class E:\n    __slots__ = ('t',)\ndef g(e): return e.t * 2\n"
        "def f(x):\n    e = E(); e.t = x * 3\n    return g(e)",
        "pass",
    ),
    "a named tuple of tensors": (
        "P = collections.namedtuple('P', 't')\ndef g(p): return p.t * 2\n"
        "def f(x): return g(P(x * 3))",
        "pass",
    ),
    "output": (
        "log = logging.getLogger('compiled'); log.propagate = False\n"
        "log.addHandler(logging.StreamHandler(io.StringIO()))\n"
        "def f(x):\n    print(end='')\n    log.warning('here')\n    return x * 2",
        "pass",
    ),
}
REFUSED = {
    "an iterator": (
        "I = zip([2.0], [3.0])\ndef f(x):\n    for a, b in I: x = x * a * b\n    return x",
        "the state of I",
    ),
    "an iterator of equal values": (
        "I = itertools.cycle([2.0])\ndef f(x): return x * next(I)",
        "I",
    ),
    "a generator": (
        "def g():\n    while True: yield 2.0\nI = g()\ndef f(x): return x * next(I)",
        "I",
    ),
    "a text stream": (
        "S = io.StringIO('2\\n' * 9)\ndef f(x): return x * float(S.readline())",
        "the state of S",
    ),
    "a context variable": (
        "V = contextvars.ContextVar('V', default=2.0)\ndef f(x): return x * V.get()",
        "reads V",
    ),
    "an object in C whose state raises an error of its own": (
        "class E(itertools.count):\n    def __reduce_ex__(self, _): raise RuntimeError\n"
        "I = E()\ndef f(x): return x * (2.0 if I else 3.0)",
        "reads I",
    ),
    "values of a thread": ("T = threading.local(); T.k = 2.0\ndef f(x): return x * T.k", "reads T"),
    "a list that shrinks": ("L = [2.0] * 9\ndef f(x): return x * L.pop()", "the length of L"),
    "a clock": ("def f(x): return x * (2.0 if time.time() > 0 else 1.0)", "calls time"),
    "a file": ("def f(x):\n    with open(os.devnull): return x * 2", "calls open"),
    "the locale": (
        "def f(x): return x * len(locale.setlocale(locale.LC_ALL))",
        "calls setlocale",
    ),
    "whether a file exists": ("def f(x): return x * (1.0 + os.path.exists('a'))", "calls stat"),
    "the system's random numbers": ("def f(x): return x * (secrets.randbelow(9) > 9)", "sysrand"),
    "a large array that is made writable": (
        "A = np.ones(9**5)\nA.flags.writeable = False\ndef f(x): return x * float(A[0])",
        "the array A",
        "A.flags.writeable = True",
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_what_has_changed_is_seen(name):
    source, *changes = EQUAL[name]
    eager, compiled = (load(HEADER + source, f"{kind}_program") for kind in ("eager", "compiled"))
    step = cr.compile(compiled.f)
    for change in [*changes, "pass"]:
        x = np.random.default_rng(0).normal(size=3).astype(np.float32)
        expected, got = eager.f(cr.tensor(x)), step(cr.tensor(x))
        assert got.detach().numpy().tobytes() == expected.detach().numpy().tobytes(), change
        for program in (eager, compiled):
            exec(change, vars(program))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_watched_is_refused(name):
    source, words, *changes = REFUSED[name]
    program = load(HEADER + source, "compiled_program")
    step = cr.compile(program.f)
    for change in changes:
        step(cr.ones(3))
        exec(change, vars(program))
    with pytest.raises(CaptureError, match=words):
        step(cr.ones(3))


def test_functions_of_the_same_code_do_not_depend_on_each_other():
    """A function that makes steps of training can be used again and again: a step neither keeps
    the models of the others alive, nor is it checked anew after theirs."""

    def step_of(model):
        optimizer = optim.Adam(model.parameters())

        def step(x):
            loss = model(x).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return cr.compile(step)

    x, model = cr.ones(2, 3), nn.Linear(3, 1)
    first, kept = step_of(model), weakref.ref(model)
    first(x), first(x)
    del model
    second = step_of(nn.Linear(3, 1))
    second(x)
    executable = second.executables[0]
    assert kept() is not None
    assert not first.executables[0].known.keys() & executable.known.keys()
    first(x)
    with mock.patch.object(Executable, "on", side_effect=AssertionError("checked anew")):
        second(x)
    del first
    gc.collect()
    assert kept() is None


def test_hooks_of_imports_are_not_part_of_the_function(monkeypatch):
    """A module that is imported for the first time in a capture, under a hook with state."""

    class Hook:
        state = (i for i in range(3))

        def find_spec(self, name, path, target=None):
            return self.state and None

    @cr.compile
    def twice(x):
        import colorsys

        return x * len(colorsys.__name__[:2])

    monkeypatch.setattr(sys, "meta_path", [Hook(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert twice(cr.ones(2)).tolist() == [2, 2]
    assert len(twice.executables) == 1
