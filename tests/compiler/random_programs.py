"""Functions made at random, as text: run eagerly and compiled, they do the same, or are refused.

A program is a module with state of every kind that Python has (globals, classes, slots, sets,
closures, defaults, arrays, layers, tensors), a function `f(x, y)`, and changes of the state between
calls. Eager and compiled runs have a copy of the module each.

`python -m tests.compiler.random_programs 20000` runs as many and prints how they ended.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections import Counter
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import engine, settings
from chainrule.errors import CaptureError

HEADER = """
import collections, dataclasses, functools, itertools, random
import numpy as np
import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F

G = 1.5
class CFG:
    k, flag = 0.5, True
class Slots:
    __slots__ = ("k",)
SLOTS = Slots(); SLOTS.k = 2.0
@dataclasses.dataclass
class Options:
    gain: float = 1.25
    steps: int = 2
OPTIONS = Options()
class Thing: pass
OBJ = Thing(); OBJ.k = 0.75
BOX, LIST, SET, DEQUE = {"f": 1.5}, [1.0, 2.0], {"a"}, collections.deque([0.5, 1.0])
ARR = np.array([1.0, 2.0], np.float32)
W = (cr.arange(36.0).reshape(6, 6) / 50 - 0.3).detach().clone().requires_grad_()
BUF, COUNT = cr.zeros(4, 6), cr.zeros(())
ROW, FLAT = BUF[1], BUF.reshape(-1)
GEN, STREAM, RNG = cr.Generator(seed=3), itertools.count(1), np.random.default_rng(0)
cr.manual_seed(11)
MODEL = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(6))
MODEL[2].p = 0.0
LAYERS = nn.ModuleList([nn.Tanh(), nn.Linear(6, 6)])
class Net(nn.Module):
    scale = 1.5
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("b", cr.zeros(6))
    def forward(self, t):
        return self.fc(t) * self.scale
NET = Net()
def helper(t, gain=1.1, *, shift=0.25):
    return t * gain + shift
def other(t):
    return t - 0.5
helper.k = 3.0
CHOSEN = helper
PART = functools.partial(helper, gain=0.9)
def make(c):
    def inner(t):
        return t * c
    return inner
CLOSED = make(0.8)
"""

NUMBERS = (
    "G", "CFG.k", "SLOTS.k", "OPTIONS.gain", "OBJ.k", "BOX['f']", "LIST[0]", "LIST[-1]",
    "len(LIST)", "float(len(SET))", "DEQUE[0]", "helper.k", "getattr(OBJ, 'late', 0.5)",
    "NET.scale", "sum(LIST)", "float(ARR[0])", "(2.0 if 'b' in SET else 0.5)", "max(BOX.values())",
)  # fmt: skip
UNARY = (
    "{t}.relu()", "{t}.sigmoid()", "{t}.tanh()", "-{t}", "{t}.abs()", "{t}.clamp(-1.0, 1.0).exp()",
    "F.gelu({t})", "F.softplus({t})", "F.leaky_relu({t}, 0.1)", "{t} * {t}", "{t}.sin()",
    "helper({t})", "helper({t}, shift={n})", "CHOSEN({t})", "PART({t})", "CLOSED({t})",
    "MODEL({t})", "NET({t})", "{t} @ W", "{t}.softmax(1)", "{t}.flip(0)", "{t}.roll(1, 1)",
    "{t} * cr.tensor(ARR)[0]", "cr.where({t} > 0, {t}, {n})", "{t} + GEN.uniform(4, 6)",
    "{t} / (1 + {t}.abs())", "F.layer_norm({t}, (6,))", "{t}.tril()", "{t}.cumsum(1)",
    "F.dropout({t}, 0.0)",
)  # fmt: skip
BINARY = (
    "{t} + {u}", "{t} - {u}", "{t} * {u}", "cr.maximum({t}, {u})", "{t} + {n}", "{n} * {t}",
    "{t} / {n}", "{t} + {u}[0]", "{t} * {u}[:, :1]", "cr.where({t} > {u}, {t}, {u})", "{t} + BUF",
    "{t} * COUNT", "{t} + {u}.T.T",
)  # fmt: skip
REDUCED = (
    "{t}.sum()", "{t}.mean(1, keepdim=True)", "{t}.relu().sum(0)", "{t}.amax()", "{t}.var()",
    "{t}.relu().mean()", "{t}[0].sum()", "{t}.max(1, keepdim=True)[0]", "{t}.reshape(-1)[3]",
    "{t}[1, 2]", "{t}[-1]", "{t}[[0, 2]].sum(0)", "{t}[cr.tensor([1, 1, 3])].mean(0)",
    "{t}[1:3, ::2].sum()", "{t}[..., None].sum()", "{t}.T[2].sum()",
    "sum(row.sum() for row in {t})", "{t}.split(2)[1].mean()",
    "{t}[:, cr.tensor([0, 5])].sum(1, keepdim=True)", "{t}.norm()", "{t}.flatten()[:6]",
    "{t}.unsqueeze(0).squeeze(0)", "{t}.expand(2, 4, 6).sum(0)",
)  # fmt: skip
WRITES = (
    "{t}.add_({n})", "{t}.mul_({u})", "{t}[0] = {n}", "{t}[1, 2:4] = {u}[0, :2]", "{t} += {u}",
    "{t} *= {n}", "{t}[0].add_(1.0)", "{t}[0][1] = 5.0", "{t}.T[1].zero_()",
    "{t}.reshape(-1)[3:7].fill_({n})", "{t}.copy_({u})", "{t}[cr.tensor([0, 2])] = {n}",
    "{t}.detach().mul_(0.5)", "{t}.data.add_(0.25)", "{t}[..., ::2] -= 1.0",
)  # fmt: skip
EFFECTS = (
    "LIST.append(1.0)", "BOX['n'] = BOX.get('n', 0) + 1",
    "OBJ.count = getattr(OBJ, 'count', 0) + 1", "{t}.add_(random.random())",
    "{t}.mul_(next(STREAM))", "{t}.add_(float(np.random.normal()))",
    "{t}.add_(float(RNG.normal()))", "OBJ.kept = {t} * 2", "SET.add(len(SET))",
)  # fmt: skip
STATE = (
    "BUF.add_({t}.detach())", "BUF[2] = {t}.detach()[0]", "COUNT.add_(1)", "ROW.mul_({n})",
    "NET.b = NET.b * 0.5 + {t}.detach()[0]", "NET.b += 1", "FLAT[:6].copy_({t}.detach()[3])",
    "BUF.mul_(0.5)", "COUNT.assign({t}.detach().mean())",
)  # fmt: skip
CHANGES = (
    "G = {v}", "CFG.k = {v}", "CFG.flag = not CFG.flag", "SLOTS.k = {v}", "OPTIONS.gain = {v}",
    "OPTIONS.steps = 3", "OBJ.k = {v}", "OBJ.late = {v}", "BOX['f'] = {v}", "BOX['g'] = {v}",
    "LIST.append({v})", "LIST[0] = {v}", "SET.add('b')", "SET.discard('a')",
    "DEQUE.appendleft({v})", "ARR[0] = {v}", "helper.k = {v}", "helper.__defaults__ = ({v},)",
    "CHOSEN = other", "helper.__kwdefaults__ = {{'shift': {v}}}", "CLOSED = make({v})",
    "MODEL.eval()", "MODEL.train()", "MODEL.append(nn.Tanh())", "LAYERS.append(nn.Sigmoid())",
    "Net.scale = {v}", "NET.scale = {v}", "PART = functools.partial(helper, gain={v})",
    "NET.forward = lambda t: t * {v}", "BUF.zero_()", "ROW.add_({v})", "W.data.mul_(0.9)",
    "MODEL[0] = nn.Identity()", "NET.fc.weight.requires_grad_(False)", "COUNT.fill_({v})", "pass",
)  # fmt: skip
TESTS = (
    "CFG.flag", "G > 1", "'b' in SET", "hasattr(OBJ, 'late')", "len(LIST) > 2", "MODEL.training",
    "OPTIONS.steps == 2",
)  # fmt: skip
LOOPS = (
    ("for layer in LAYERS:", "layer({0})"),
    ("for _ in range(OPTIONS.steps):", "{0}.tanh()"),
    ("for c in LIST:", "{0} * c"),
)


class Writer:
    """Writes one program from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = ["x", "y"]
        self.own: list[str] = []

    def pick(self, choices: Any) -> str:
        return str(choices[int(self.rng.integers(len(choices)))])

    def value(self) -> str:
        return f"{self.rng.uniform(0.3, 2.0):.3f}"

    def filled(self, text: str, target: str | None = None) -> str:
        number = self.pick(NUMBERS) if self.rng.random() < 0.6 else self.value()
        t = target or self.pick(self.names)
        return text.format(t=t, u=self.pick(self.names), n=number)

    def statement(self) -> list[str]:
        kind = self.rng.random()
        new = f"t{len(self.names)}"
        if kind < 0.35:
            lines = [f"{new} = {self.filled(self.pick(UNARY + BINARY))}"]
        elif kind < 0.5:
            lines = [f"{new} = {self.pick(self.names)} + {self.filled(self.pick(REDUCED))}"]
        elif kind < 0.58:
            fresh = self.pick(("cr.zeros(4, 6)", "cr.ones(4, 6)", "cr.full((4, 6), 0.5)"))
            lines = [f"{new} = {fresh}", self.filled(self.pick(WRITES), new)]
        elif kind < 0.66:
            test = self.pick(TESTS)
            a, b = self.filled(self.pick(UNARY)), self.filled(self.pick(BINARY))
            lines = [f"if {test}:", f"    {new} = {a}", "else:", f"    {new} = {b}"]
        elif kind < 0.74:
            loop, body = LOOPS[int(self.rng.integers(len(LOOPS)))]
            lines = [f"{new} = {self.pick(self.names)}", loop, f"    {new} = {body.format(new)}"]
        elif kind < 0.76:
            return [self.filled(self.pick(EFFECTS))]
        elif kind < 0.9:
            target = self.pick(self.own or self.names)
            return [self.filled(self.pick(WRITES), target)]
        else:
            return [self.filled(self.pick(STATE))]
        self.names.append(new)
        self.own.append(new)
        return lines

    def source(self) -> str:
        body = [line for _ in range(int(self.rng.integers(2, 7))) for line in self.statement()]
        results = [self.pick(self.names) for _ in range(2)]
        if self.rng.random() < 0.4:
            loss = f"({results[0]} @ W).tanh().sum()"
            body += [
                f"loss = {loss}", "loss.backward()", "with cr.no_grad():",
                "    W.sub_(0.01 * W.grad)", "W.grad = None",
                "for p in [*MODEL.parameters(), *NET.parameters(), *LAYERS.parameters()]:",
                "    p.grad = None",
            ]  # fmt: skip
        returned = ", ".join(f"{r}.detach().clone()" for r in results)
        lines = ["def f(x, y):", *[f"    {line}" for line in body], f"    return {returned}"]
        return HEADER + "\n".join(lines)

    def changes(self, calls: int) -> list[str]:
        return [self.pick(CHANGES).format(v=self.value()) for _ in range(calls)]


def bits(module: types.ModuleType) -> list[bytes]:
    """The numbers of all tensors of a program's state."""
    names = ("W", "BUF", "COUNT", "ROW", "FLAT")
    tensors = [getattr(module, name) for name in names]
    for part in (module.MODEL, module.NET, module.LAYERS):
        tensors += [*part.parameters(), *part.buffers()]
    return [x.detach().numpy().tobytes() for x in tensors]


def load(source: str, name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses look for the module of a class
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def run(seed: int, calls: int = 4) -> str:
    """ "equal", "refused", "error" (both raise), or what differs."""
    writer = Writer(seed)
    source, changes = writer.source(), writer.changes(calls)
    eager, other = load(source, "eager_program"), load(source, "compiled_program")
    step = cr.compile(other.f)
    rng = np.random.default_rng(seed)
    for change in changes:
        x, y = (rng.normal(size=(4, 6)).astype(np.float32) for _ in range(2))
        given = [[cr.tensor(x), cr.tensor(y)] for _ in range(2)]
        try:
            expected = eager.f(*given[0])
        except Exception as error:
            expected = error
        try:
            got = step(*given[1])
        except CaptureError:
            return "error" if isinstance(expected, Exception) else "refused"
        except Exception as error:
            same = isinstance(expected, Exception) and type(error) is type(expected)
            return "error" if same else f"{type(error).__name__}: {error}\n{source}"
        if isinstance(expected, Exception):
            return f"compiled gives a result where eager raises {expected!r}\n{source}"
        pairs = [*zip(expected, got, strict=True), *zip(*given, strict=True)]
        if any(a.detach().numpy().tobytes() != b.detach().numpy().tobytes() for a, b in pairs):
            return f"other results\n{source}\n{changes}"
        if bits(eager) != bits(other):
            return f"other state\n{source}\n{changes}"
        for module in (eager, other):
            exec(change, vars(module))
    return "equal"


def main(count: int, first: int = 0) -> int:
    ends: Counter[str] = Counter()
    wrong = []
    for seed in range(first, first + count):
        names = ("native", "numpy") if engine.available() else ("numpy",)
        with settings.use(engine=names[seed % len(names)]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            end = run(seed)
        ends[end if end in ("equal", "refused", "error") else "wrong"] += 1
        if end not in ("equal", "refused", "error"):
            wrong.append(seed)
            if len(wrong) <= 3:
                print(f"seed {seed}: {end}")
    print(dict(ends), "wrong seeds:", wrong[:50])
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(1, main(*map(int, sys.argv[1:]))))
