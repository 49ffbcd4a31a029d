"""The framework's own source, for lessons that read it: records, functions, lines of C++."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import chainrule

PACKAGE = Path(chainrule.__file__).parent
CPP = PACKAGE / "engine" / "cpp"


def record(op: Any) -> str:
    """The text of the class that describes an op, as it stands in its file."""
    text = inspect.getsource(sys.modules[op.__module__])
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == op.__qualname__:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise LookupError(f"{op.__module__} does not define {op.__qualname__} at its top level.")


def cpp(file: str, first: str, last: str) -> str:
    """Lines of a file of the engine: from the first that starts with `first` to the next that
    starts with `last`. Empty where the C++ is not beside the package (it is in every clone)."""
    path = CPP / file
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    end = next(i for i, line in enumerate(lines) if i >= start and line.startswith(last))
    return "\n".join(lines[start : end + 1])


def imports_between(floors: Sequence[str]) -> NDArray[Any]:
    """Entry (i, j): how many imports lead from a module of floor i to one of floor j.

    Each floor is a string of module or folder names, separated by spaces. A module that none names
    stands on the highest floor from which it imports.
    """
    targets: dict[str, list[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE).with_suffix("").parts[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        targets[own] = targets.get(own, []) + [t for t in _imported(tree) if t]
    floor = {name: i for i, names in enumerate(floors) for name in names.split()}
    for _ in targets:
        for module in targets.keys() - floor.keys():
            known = [floor.get(target) for target in {*targets[module]} - {module}]
            if None not in known:
                floor[module] = max(known, default=0)
    counts = np.zeros((len(floors), len(floors)), int)
    for module, imported in targets.items():
        for target in imported:
            if module in floor and target in floor:
                counts[floor[module], floor[target]] += 1
    return counts


def _imported(tree: ast.AST) -> Iterator[str]:
    """The parts of the package that a file imports when it runs: `chainrule.ops.shape` → ops."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "chainrule":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == "chainrule":
                yield rest.partition(".")[0]
        yield from _imported(node)
