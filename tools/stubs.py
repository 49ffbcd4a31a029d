"""Writes the type stubs of the files of ops and of Tensor's methods: `make stubs`.

A record is written as a class, and a type checker takes it for one. In a stub it is what it is: a
Primitive that is called as its op is. The names come from the source, signatures and results from
the records. `--check` fails where a stub is not what would be written.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule.op_methods import OpMethods
from chainrule.primitive import Primitive, Spec

PACKAGE = Path(chainrule.__file__).parent
HEADER = "# Written by tools/stubs.py, from the records.\n"
NUMBERS = "Tensor | float"
COMMON = {
    "Any": "typing",
    "Primitive": "chainrule.primitive",
    "Tensor": "chainrule.tensor",
    "overload": "typing",
}
"""The names that this file writes itself, and their homes."""


class Stub:
    """The blocks of one stub, and the names that it needs, each with the module that knows it."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.blocks: list[str] = []
        self.needed: dict[str, str] = {}

    def add(self, text: str, home: str | None = None) -> None:
        """Add a block whose names are those of the module `home`."""
        self.blocks.append(text)
        self.need(text, home or self.module)

    def need(self, text: str, home: str) -> None:
        """Note the names that a text uses as the module `home` does."""
        nodes = [*ast.walk(ast.parse(text))]
        bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
        for node in nodes:
            if isinstance(node, ast.Name) and node.id not in bound:
                self.needed.setdefault(node.id, home)

    def text(self) -> str:
        return formatted("\n".join([HEADER, *self.imports(), *self.blocks]))

    def imports(self) -> list[str]:
        """The lines that import what the blocks use and do not define."""
        own = {name for block in self.blocks for name in defined(ast.parse(block))}
        wanted = {name: home for name, home in self.needed.items() if name not in own}
        return sorted({line for n, home in wanted.items() if (line := import_of(n, home))})


def formatted(text: str) -> str:
    """The text as `ruff format` has it, with its imports in order."""
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format"]):
        call = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "stub.pyi", "-"]
        text = subprocess.run(call, input=text, capture_output=True, text=True, check=True).stdout
    return text


def tree_of(module: str) -> ast.Module:
    return ast.parse(Path(inspect.getfile(sys.modules[module])).read_text())


def defined(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines itself."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            parts = (part for target in node.targets for part in ast.walk(target))
            yield from (part.id for part in parts if isinstance(part, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def import_of(name: str, home: str) -> str | None:
    """The line that imports what the module `home` calls `name`; None for Python's own names."""
    if name in COMMON:
        return f"from {COMMON[name]} import {name}"
    tree = tree_of(home)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if (alias.asname or alias.name).partition(".")[0] == name:
                    source = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                    return f"{source}import {ast.unparse(alias)}"
    return f"from {home} import {name}" if name in defined(tree) else None


# -- signatures ----------------------------------------------------------------------------------


def result_of(op: Any) -> str:
    """The type that an op returns: of a record, as many tensors as its spec rule has specs."""
    if not isinstance(op, Primitive):
        return str(inspect.signature(op).return_annotation)
    counts = set()
    for inputs, params in op.samples(np.random.default_rng(0)) if op.samples else ():
        specs = op.infer(*[Spec(np.shape(x), np.asarray(x).dtype) for x in inputs], **params)
        counts.add(len(specs) if isinstance(specs, (tuple, list)) else None)
    if counts == {None}:
        return "Tensor"
    count = counts.pop() if len(counts) == 1 else None
    return f"tuple[{', '.join(['Tensor'] * count) if count else 'Tensor, ...'}]"


def home_of(op: Any) -> str:
    """The module in which the annotations of an op's signature are written."""
    function = (op.arguments or op.infer) if isinstance(op, Primitive) else op
    return function.__module__


def signature_of(op: Any, without: str = "") -> str:
    """`(self, input: Tensor, dim: int = -1) -> Tensor`, without one of the parameters."""
    parameters = [p for p in inspect.signature(op).parameters.values() if p.name != without]
    typed = [p.replace(annotation=Text(annotation_of(op, p))) for p in parameters]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = inspect.Parameter("self", min([kind, *[p.kind for p in typed]]))
    return f"{inspect.Signature([first, *typed])} -> {result_of(op)}"


class Text(str):
    """An annotation that a signature shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def annotation_of(op: Any, parameter: inspect.Parameter) -> str:
    """The type of a parameter, as it is written, or as the place of the parameter implies."""
    if parameter.annotation is not parameter.empty:
        return str(parameter.annotation)
    if isinstance(op, Primitive) and op.arguments is None:
        known = inspect.signature(op.infer).parameters.get(parameter.name)
        if parameter.kind is parameter.KEYWORD_ONLY:
            has_type = known is not None and known.annotation is not known.empty
            return str(known.annotation) if known is not None and has_type else "Any"
        return NUMBERS
    return NUMBERS if parameter.name in ("input", "other") else "Any"


def summary(text: str | None) -> str:
    """The first line of a docstring, as the docstring of a stub."""
    line = inspect.cleandoc(text or "").partition("\n")[0]
    return f'    """{line}"""' if line else "    ..."


# -- files ---------------------------------------------------------------------------------------


def records_in(tree: ast.Module) -> set[str]:
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {node.name for node in classes if "primitive" in map(ast.unparse, node.decorator_list)}


def stub_of(module: str) -> str:
    """The stub of a file: its records, and what else is public in it."""
    stub, tree = Stub(module), tree_of(module)
    records = records_in(tree)
    for node in without_overloaded(tree):
        for name in defined(ast.Module([node], [])):
            if name in records:
                add_record(stub, getattr(sys.modules[module], name))
            elif name == OpMethods.__name__:
                add_methods(stub)
            elif isinstance(node, ast.Assign) and name != "__all__":
                add_value(stub, name, node)
            elif not name.startswith("_") or name == "__all__":
                stub.add(ast.unparse(outline(node)))
    return stub.text()


def without_overloaded(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, but functions for which overloads stand."""
    overloaded = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            if "overload" in map(ast.unparse, node.decorator_list):
                overloaded.add(node.name)
            elif node.name in overloaded:
                continue
        yield node


def add_value(stub: Stub, name: str, node: ast.Assign) -> None:
    """A constant: a number or a text by its type, anything else as it is written."""
    value = getattr(sys.modules[stub.module], name)
    if name.startswith("_"):
        return
    if isinstance(value, (bool, int, float, str)):
        stub.add(f"{name}: {type(value).__name__}")
    else:
        has_lambda = any(isinstance(part, ast.Lambda) for part in ast.walk(node))
        stub.add(f"{name}: Any" if has_lambda else ast.unparse(node))


def add_record(stub: Stub, record: Primitive, body: str = "") -> None:
    """A record as an instance of a class of its own, which is called as the op is."""
    name = record.__name__
    lines = [
        f"class _{name}(Primitive):",
        f"    def __call__{signature_of(record)}:",
        f"    {body or summary(record.__doc__)}",
        f"{name}: _{name}",
    ]
    stub.add("\n".join(lines), home_of(record))


def outline(node: ast.stmt) -> ast.stmt:
    """A function without its body, a class with its methods so."""
    if isinstance(node, ast.FunctionDef):
        text = (ast.get_docstring(node) or "...").partition("\n")[0]
        body: list[ast.stmt] = [ast.Expr(ast.Constant(text if text != "..." else ...))]
        keep = ("property", "staticmethod", "classmethod", "overload")
        decorators = [d for d in node.decorator_list if ast.unparse(d) in keep]
        return ast.FunctionDef(
            node.name, node.args, body, decorators, node.returns, lineno=node.lineno
        )
    if isinstance(node, ast.ClassDef):
        node.body = [outline(part) for part in node.body]
    return node


def add_methods(stub: Stub) -> None:
    """The methods of Tensor that are ops."""
    lines = ["class OpMethods:", summary(OpMethods.__doc__)]
    for name, method in sorted(vars(OpMethods).items()):
        if not name.startswith("__"):
            op = inspect.unwrap(method)
            forms = [f for f in forms_of(op) if "input" in inspect.signature(f).parameters]
            for form in forms:
                text = ["@overload"] * (len(forms) > 1)
                text += [f"def {name}{signature_of(form, without='input')}:"]
                stub.need("\n".join([*text, "    ..."]), home_of(op))
                lines += [*(f"    {line}" for line in text), f"    {summary(method.__doc__)}"]
    stub.blocks.append("\n".join(lines))


def forms_of(op: Any) -> list[Any]:
    """The overloads of a composition, or the op itself."""
    return [op] if isinstance(op, Primitive) else [*typing.get_overloads(op)] or [op]


def files() -> Iterator[tuple[Path, str]]:
    """The files that have a stub, those with records and that of Tensor's methods; as modules."""
    for source in sorted(PACKAGE.rglob("*.py"), key=lambda file: file.parts[-2] != "ops"):
        if source.stem == "op_methods" or "\n@primitive\nclass " in source.read_text():
            module = ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts)
            importlib.import_module(module)
            yield source, module


def main(check: bool) -> int:
    texts = {source.with_suffix(".pyi"): stub_of(module) for source, module in files()}
    orphans = set(PACKAGE.rglob("*.pyi")) - set(texts)
    stale = [p for p, text in texts.items() if not p.exists() or p.read_text() != text]
    if check and (stale or orphans):
        names = ", ".join(sorted(path.name for path in {*stale, *orphans}))
        print(f"not as the records are: {names}; write them with `make stubs`")
        return 1
    for path in orphans:
        path.unlink()
    for path in stale:
        path.write_text(texts[path])
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
