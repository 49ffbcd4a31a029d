"""References without writes into arrays: the source of a function, rewritten for JAX.

Arrays of JAX's cannot be written, and their numbers are not known while a function is traced.

- `y[i] = v` becomes `y = put(y, i, v)`; `y[i] += v` and `np.add.at(y, i, v)` likewise.
- A branch that only raises is a check of numbers: `if bad.any(): raise ...` becomes
  `if is_refused(lambda: bad.any()): raise ...`, which passes where the numbers are not known.

Writes through a second name of an array (a view) are not followed: such a reference needs a
translation in the table.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import CodeType, FunctionType
from typing import Any

_PUT, _PUT_BY, _REFUSED, _PARTS = "put", "put_by", "is_refused", "parts of the right-hand side"


def rewritten(function: FunctionType) -> CodeType | None:
    """Code that defines the function anew under its name; None if its source is not at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    found = tree.body[0]
    if not isinstance(found, ast.FunctionDef) or found.name != function.__name__:
        return None  # a lambda
    found.decorator_list = []
    changed = ast.fix_missing_locations(_Pure().visit(tree))
    flags = annotations.compiler_flag  # hints may name what only type checkers import
    return compile(changed, inspect.getfile(function), "exec", flags, dont_inherit=True)


def _name(name: str, stored: bool = False) -> ast.Name:
    return ast.Name(name, ast.Store() if stored else ast.Load())


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(_name(name), list(args), [])


def _index(node: ast.expr) -> ast.expr:
    """An index as an expression: a:b as slice(a, b)."""
    if isinstance(node, ast.Slice):
        parts = (node.lower, node.upper, node.step)
        return _call("slice", *[ast.Constant(None) if p is None else p for p in parts])
    if isinstance(node, ast.Tuple):
        return ast.Tuple([_index(part) for part in node.elts], ast.Load())
    return node


def _is_place(node: ast.expr) -> bool:
    """Whether a target is an element of an array that has a name."""
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)


def _only_checks(node: ast.stmt) -> bool:
    """Whether a branch does nothing but raise, perhaps after a further test."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    *before, last = node.body
    raises = isinstance(last, ast.Raise) or _only_checks(last)
    return raises and all(isinstance(x, (ast.Assign, ast.Raise)) or _only_checks(x) for x in before)


class _Pure(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.stmt:
        self.generic_visit(node)
        if _only_checks(node):
            none = ast.arguments([], [], None, [], [], None, [])
            node.test = _call(_REFUSED, ast.Lambda(none, node.test))
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        target = node.targets[0]
        if _is_place(target):
            return self._put(target, node.value)
        if isinstance(target, ast.Tuple) and any(map(_is_place, target.elts)):
            # A name that no program can have, so it hides none.
            first: list[ast.stmt] = [ast.Assign([_name(_PARTS, True)], node.value)]
            for place, part in enumerate(target.elts):
                value = ast.Subscript(_name(_PARTS), ast.Constant(place), ast.Load())
                is_place = _is_place(part)
                first.append(self._put(part, value) if is_place else ast.Assign([part], value))
            return first
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        target: Any = node.target
        if not _is_place(target):
            return node
        before = ast.Subscript(_name(target.value.id), target.slice, ast.Load())
        return self._put(target, ast.BinOp(before, node.op, node.value))

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        self.generic_visit(node)
        match node.value:
            case ast.Call(ast.Attribute(function, "at"), [ast.Name(name), *rest], []):
                changed = _call(_PUT_BY, function, _name(name), *rest)
                return ast.Assign([_name(name, True)], changed)
        return node

    def _put(self, target: Any, value: ast.expr) -> ast.stmt:
        name = target.value.id
        put = _call(_PUT, _name(name), _index(target.slice), value)
        return ast.Assign([_name(name, True)], put)
