"""`chainrule check SCRIPT.py`: finds PyTorch's names and keywords in a script that do not exist
here.

The script is parsed, not run. Names are traced to their imports (`import torch.nn as nn`,
`from torch.utils.data import DataLoader`) and resolved as at run time. A method of an object of
unknown class, `x.name(...)`, is reported if PyTorch's tensors have it, Chainrule's do not, and no
class of the script, of Python or of NumPy that was considered has a method of that name.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError
from chainrule.nn.module import Module
from chainrule.optim import Optimizer
from chainrule.tensor import Tensor
from chainrule.torch.adapter import absent, tensors
from chainrule.torch.adapter.calls import takes
from chainrule.torch.script import STANDS_FOR


class Finding(NamedTuple):
    """A name or keyword that does not exist here: its line, its name, and advice.

    certain: whether the line fails, and not only a call of the name.
    """

    line: int
    name: str
    advice: str
    certain: bool = True


def check(path: str) -> list[Finding]:
    """The findings in a script, by line.

    Raises ArgumentError for a file that cannot be read or parsed.
    """
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError) as error:
        raise ArgumentError(f"cannot read the script {path!r}: {error}") from None
    reader = _Reader(tree)
    reader.visit(tree)
    return sorted({f.name: f for f in reversed(sorted(reader.findings))}.values())


_FAMILIAR = (str, bytes, list, dict, set, tuple, float, int, np.ndarray, np.random.Generator)


class _Reader(ast.NodeVisitor):
    """Visits a script, resolves its names and collects findings."""

    def __init__(self, tree: ast.Module) -> None:
        self.findings: list[Finding] = []
        self._names: dict[str, str] = {}
        self._own = {
            n.name
            for n in ast.walk(tree)
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        }
        stored = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute))
        self._own |= {n.attr for n in stored if isinstance(n.ctx, ast.Store)}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in STANDS_FOR:
                self._module(node, alias.name)
                first = alias.name.split(".")[0]
                self._names[alias.asname or first] = alias.name if alias.asname else first

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module.split(".")[0] not in STANDS_FOR or not self._module(node, module):
            return
        for alias in node.names:
            dotted = f"{module}.{alias.name}"
            self._names[alias.asname or alias.name] = dotted
            if alias.name != "*":
                self._look_up(node, dotted)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self._dotted(node)
        if dotted is not None:
            if isinstance(node.ctx, ast.Load):
                self._look_up(node, dotted)
            return
        self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            self._judge_member(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        dotted = self._dotted(node.func)
        value = None if dotted is None else _found(dotted)
        if dotted is None or value is None or isinstance(value, ChainruleError):
            return
        function = inspect.unwrap(vars(value)["__init__"]) if _is_made(value) else value
        if not callable(function) or isinstance(value, absent.Unavailable):
            return
        for keyword in node.keywords:
            if keyword.arg is not None and not _takes(function, keyword.arg):
                self._note(node, f"{dotted}({keyword.arg}=)", "it has no such keyword here")

    def _dotted(self, node: ast.expr) -> str | None:
        """The dotted name that an expression refers to, such as `torch.nn.Linear`."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def _module(self, node: ast.stmt, name: str) -> bool:
        value = _found(name)
        if isinstance(value, Exception):
            self._note(node, name, str(value))
        return not isinstance(value, Exception)

    def _look_up(self, node: Any, dotted: str) -> None:
        value = _found(dotted)
        if isinstance(value, ChainruleError):
            self._note(node, dotted, str(value))
        elif isinstance(value, absent.Unavailable):
            advice = absent.advice_on(value.dotted) or ""
            words = f"it can be imported, and refuses when it is called. {advice}"
            self.findings.append(Finding(node.lineno, dotted, words, certain=False))

    def _judge_member(self, node: ast.Attribute) -> None:
        """Report a method of an object of unknown class."""
        name = node.attr
        if name in self._own or name.startswith("_") or any(hasattr(k, name) for k in _FAMILIAR):
            return
        is_tensors = name in absent.public_names()["torch.Tensor"]
        others = {"torch.nn.Module": Module, "torch.optim.Optimizer": Optimizer}
        if any(hasattr(kind, name) for kind in others.values()):
            return
        owners = [o for o in others if name in absent.public_names()[o]]
        if is_tensors and (hasattr(Tensor, name) or tensors.lookup(name) is not None):
            return
        for owner in (["torch.Tensor"] if is_tensors else []) + owners:
            problem, advice = absent.explain(owner, name)
            self._note(node, f"{owner}.{name}", f"{problem}. {advice or ''}".strip())
            return

    def _note(self, node: Any, name: str, advice: str) -> None:
        self.findings.append(Finding(node.lineno, name, advice))


def _is_made(value: Any) -> bool:
    """Whether a value is a class with an `__init__` of its own."""
    return isinstance(value, type) and "__init__" in vars(value)


def _takes(function: Any, keyword: str) -> bool:
    try:
        return takes(function, keyword)
    except (TypeError, ValueError):  # a builtin without a signature
        return True


def _found(dotted: str) -> Any:
    """The object of a dotted name, or the error that it would raise."""
    first, *rest = dotted.split(".")
    value: Any = importlib.import_module(STANDS_FOR[first])
    for place, name in enumerate(rest):
        try:
            value = getattr(value, name)
        except ChainruleError as error:
            if not inspect.ismodule(value):
                return error
            try:
                path = ".".join([STANDS_FOR[first], *rest[: place + 1]])
                value = importlib.import_module(path)
            except ChainruleError:
                return error
        except AttributeError as error:
            return absent.missing_name(".".join([first, *rest[:place]]), name) if error else None
    return value


def lines(path: str, findings: list[Finding]) -> Iterator[str]:
    """The findings as text, one line each."""
    width = max([len(f"{path}:{f.line}") for f in findings], default=0)
    for finding in findings:
        yield f"{f'{path}:{finding.line}':<{width}}  {finding.name}: {finding.advice}"
