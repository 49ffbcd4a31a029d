"""Functions made at random, as text: run eagerly and compiled, they do the same, or are refused.

A program is a module with state of every kind that Python has (globals, classes, slots, sets,
closures, defaults, arrays, layers, tensors, an optimizer), a function `f(x, y)`, and changes
between calls: of the state, of what the calls returned, of gradients. Its arguments may share
numbers with each other and with the state. Eager and compiled runs have a copy of the module each.

`python -m tests.compiler.random_programs 20000` runs as many and prints how they ended.
"""

from __future__ import annotations

import collections
import sys
import types
import warnings
from typing import Any

import numpy as np
from tests.compiler.program_parts import (
    ARGUMENTS,
    BINARY,
    CHANGES,
    CHECKED,
    EFFECTS,
    HEADER,
    LOOPS,
    NUMBERS,
    OPTIMIZERS,
    REDUCED,
    RESULTS,
    STATE,
    TESTS,
    TRAINING,
    UNARY,
    WRITES,
)

import chainrule as cr
from chainrule import engine, nn, optim, settings
from chainrule.compiler.shared import history
from chainrule.errors import CaptureError
from chainrule.ops.random import default_generator


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
        elif kind < 0.78:
            checked = self.filled(self.pick(CHECKED))
            if self.rng.random() < 0.5:
                return [checked]
            lines = [f"{new} = {self.pick(self.names)} + ({checked}).sum()"]
        elif kind < 0.80:
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
        names = [self.pick(self.names) for _ in range(2)]
        if self.rng.random() < 0.5:
            training = TRAINING[int(self.rng.integers(len(TRAINING)))]
            body += [line.format(*names) for line in training]
        returned = self.pick(RESULTS).format(*names)
        lines = ["def f(x, y):", *[f"    {line}" for line in body], f"    return {returned}"]
        header = HEADER.replace("OPTIMIZER", self.pick(OPTIMIZERS))
        return header + "\n".join(lines)

    def arguments(self, calls: int) -> list[str]:
        """The arguments of each call, mostly the same."""
        usual = self.pick(ARGUMENTS)
        return [usual if self.rng.random() < 0.8 else self.pick(ARGUMENTS) for _ in range(calls)]

    def changes(self, calls: int) -> list[str]:
        return [self.pick(CHANGES).format(v=self.value()) for _ in range(calls)]


def bits(value: Any) -> Any:
    """A value that consists of tensors, with their bits, and with those of their gradients."""
    if isinstance(value, cr.Tensor):
        g = value.grad if value.is_leaf else None
        history_ = value.requires_grad, value.is_leaf, history(value)
        return value.dtype, history_, value.detach().numpy().tobytes(), bits(g)
    if isinstance(value, nn.Module):
        return bits([*value.parameters(), *value.buffers()])
    if isinstance(value, (list, tuple, set, dict, collections.deque)):
        items = value.items() if isinstance(value, dict) else value
        return type(value), [
            *map(bits, sorted(items, key=str) if isinstance(value, set) else items)
        ]
    if isinstance(value, optim.Optimizer):
        return bits([value.state_dict(), [p for g in value.param_groups for p in g["params"]]])
    return value if isinstance(value, (int, float, str)) else type(value).__name__


def state_of(module: types.ModuleType) -> Any:
    """All that a program's module has, and that the function may have changed."""
    return {name: bits(value) for name, value in vars(module).items() if name.isupper()}


def load(source: str, name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses look for the module of a class
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def run(seed: int, calls: int = 5) -> str:
    """ "equal", "refused", "error" (both raise), or what differs."""
    writer = Writer(seed)
    source, changes = writer.source(), writer.changes(calls)
    arguments = writer.arguments(calls)
    cr.manual_seed(seed)
    eager, other = load(source, "eager_program"), load(source, "compiled_program")
    step = cr.compile(other.f)
    rng = np.random.default_rng(seed)
    text = source.removeprefix(HEADER.partition("OPTIMIZER")[0])
    story = f"OPT = {text}\n# arguments {arguments}\n# changes {changes}"
    for given, change in zip(arguments, changes, strict=True):
        numbers = [rng.normal(size=(4, 6)).astype(np.float32) for _ in range(2)]
        chance, ends = default_generator.state.clone(), []
        for module, function in ((eager, eager.f), (other, step)):
            default_generator.state.assign(chance)
            module.X, module.Y = map(cr.tensor, numbers)
            try:
                module.ARGS = eval(given, vars(module))
                module.OUT = function(*module.ARGS)
                ends.append(None)
            except Exception as error:
                ends.append(error)
            module.CHANCE = default_generator.state.tolist()
        if isinstance(ends[1], CaptureError):
            return "error" if ends[0] is not None else "refused"
        if ends != [None, None]:
            return "error" if type(ends[0]) is type(ends[1]) else f"{ends}\n{story}"
        for when in ("the call", change):
            if (a := state_of(eager)) != (b := state_of(other)):
                names = [name for name in a if a[name] != b[name]]
                return f"{names} differ after {when}\n{story}"
            if when == "the call":
                ends = [_change(module, change) for module in (eager, other)]
                if ends[0] is not ends[1]:
                    return f"{change}: {ends}\n{story}"
    return "equal"


def _change(module: types.ModuleType, change: str) -> type | None:
    """Make a change, without gradients unless it computes them; the type of an error it raises."""
    try:
        with settings.use(gradients="backward" in change):
            exec(change, vars(module))
    except Exception as error:
        return type(error)
    return None


def main(count: int, first: int = 0) -> int:
    ends: collections.Counter[str] = collections.Counter()
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
