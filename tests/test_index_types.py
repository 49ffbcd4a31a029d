"""Where the index type has 32 bits, as in browsers: positions are int64 there too.

NumPy finds positions in its index type, and integers without a declared dtype have that type. So
positions are cast before they become a tensor or the result of an op, and indices before NumPy
takes them. `make narrow` runs the sweep of ops with a NumPy of that kind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule

PACKAGE = Path(chainrule.__file__).parent

MADE = {
    "arange",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "argwhere",
    "bincount",
    "diag_indices",
    "digitize",
    "flatnonzero",
    "indices",
    "lexsort",
    "nonzero",
    "searchsorted",
    "tril_indices",
    "triu_indices",
    "unravel_index",
}
"""The functions of NumPy whose result has the index type."""
TENSORS = {"Tensor", "constant", "from_numpy", "over_array", "wrap"}
"""What makes a tensor of an array."""
KEEPING = {"copy", "reshape", "ravel", "transpose", "flatten"}
"""The methods of an array whose result has its dtype."""


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def of_numpy(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "np"


def keywords(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


class Function:
    """What a function does with positions."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.node = node
        self.uncast: set[str] = set()
        self.indices: set[str] = set()
        for part in ast.walk(node):
            match part:
                case ast.Assign(targets=[target], value=value):
                    self.read(target, value)
                case ast.comprehension(target=target, iter=value):
                    self.read(target, value)

    def read(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values):
                for pair in zip(targets, values, strict=False):
                    self.read(*pair)
            case ast.Tuple(elts=targets), _:
                for each in targets:
                    self.read(each, value)
            case ast.Name(id=name), _:
                self.uncast |= {name} if self.is_uncast(value) else set()
                self.indices |= {name} if self.is_index(value) else set()

    def is_uncast(self, node: ast.AST) -> bool:
        """Whether an array has the index type since nothing gave it another."""
        match node:
            case ast.Name(id=name):
                return name in self.uncast
            case ast.Call() if "dtype" in keywords(node) or "np.int64" in map(
                ast.unparse, node.args
            ):
                return False
            case ast.Call(args=args) if of_numpy(node):
                return called(node) in MADE or any(map(self.is_uncast, args))
            case ast.Call(func=ast.Attribute(value=array)):
                by_axis = called(node) in MADE and "axis" in keywords(node)  # ours say `dim`
                return by_axis or (called(node) in KEEPING and self.is_uncast(array))
            case ast.Subscript(value=array):
                return self.is_uncast(array)
            case ast.BinOp(left=left, right=right, op=op):
                floating = isinstance(op, ast.Div) or "float" in ast.unparse(node)
                return not floating and (self.is_uncast(left) or self.is_uncast(right))
            case ast.Tuple() | ast.List() | ast.Starred() | ast.IfExp() | ast.UnaryOp():
                return any(map(self.is_uncast, ast.iter_child_nodes(node)))
        return False

    def is_index(self, node: ast.AST) -> bool:
        """Whether an array has been given the index type."""
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in self.indices
            case ast.Call() if called(node) == "as_indices":
                return True
            case ast.Call(args=args):
                cast = "np.intp" in map(ast.unparse, args)
                return cast or self.is_uncast(node) or any(map(self.is_index, args))
        return False

    def takes_indices(self, node: ast.Call) -> bool:
        if called(node) == "take":
            return len(node.args) == 1 and "axis" in keywords(node)  # else it is ours, or of JAX
        return called(node) == "bincount" and of_numpy(node)

    def faults(self) -> Iterator[int]:
        for node in ast.walk(self.node):
            match node:
                case ast.Call(args=args) if not of_numpy(node) and called(node) in TENSORS:
                    if any(map(self.is_uncast, args)):
                        yield node.lineno
                case ast.Call(args=[places, *_]) if self.takes_indices(node):
                    if not self.is_index(places):
                        yield node.lineno
                case ast.Return(value=ast.expr() as value) if self.node.name in PROMISING:
                    if self.is_uncast(value):
                        yield node.lineno


PROMISING = {"forward", "decide", "labels"}
"""The functions of the package that promise arrays of int64: references of ops, predictions."""


def faults(code: str) -> list[int]:
    functions = [x for x in ast.walk(ast.parse(code)) if isinstance(x, ast.FunctionDef)]
    return sorted({line for x in functions for line in Function(x).faults()})


def test_positions_are_cast() -> None:
    found = {str(path.relative_to(PACKAGE)): faults(path.read_text()) for path in FILES}
    assert not {path: lines for path, lines in found.items() if lines}


FILES = sorted(PACKAGE.rglob("*.py"))
FAULTS = [
    "return Tensor(np.arange(n))",
    "places = np.argsort(x) + 1; return from_numpy(places[:, None])",
    "return tuple(from_numpy(p) for p in np.nonzero(x))",
    "return Tensor(np.repeat(np.arange(n).reshape(1, n), 2))",
    "y = x.argmax(axis=1); return wrap(y.copy())",
    "return x.take(places, axis=0)",
    "return np.bincount(labels)",
]
FINE = [
    "return Tensor(np.arange(n, dtype=np.int64))",
    "return Tensor(np.argsort(x).astype(np.int64))",
    "return Tensor(np.arange(n) / n), Tensor(x[np.arange(n)]), Tensor(np.arange(n) == x)",
    "return x.take(as_indices(places), axis=0), x.take(np.argsort(y), axis=0)",
    "places = y.astype(np.intp); return np.bincount(places)",
]


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_found(code: str) -> None:
    assert faults(f"def f(x):\n    {code}") == [2]


@pytest.mark.parametrize("code", FINE)
def test_what_is_fine_is_not_found(code: str) -> None:
    assert faults(f"def f(x):\n    {code}") == []
