"""No module but its own names an op: read off the string literals of the package.

A word such as "mean" is a keyword's value in one place and an op in another. So what counts is the
use: a literal names an op where it is looked up as one, is compared with the name of a record, or
stands in a table of names of ops.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.primitive import operations, registry

SOURCE = Path(cr.__file__).parent
FILES = sorted(SOURCE.glob("**/*.py"))
for part in ("nn", "optim", "compiler", "train"):
    importlib.import_module(f"chainrule.{part}")

ALLOWED = {
    "engine/lowering/": "kernels of ops",
    "methods.py": "which op each of Python's operators is, and x.T",
    "torch/": "PyTorch's second names of ops, and the reductions of einops",
    "formats/": "translations of ops",
}
"""Where ops are named, and what for. A file of ops names its own, and a pass what it fuses."""

OTHER_MEANING = {
    "nn/recurrence.py": "values of PyTorch's keyword `nonlinearity`",
    "nn/transformer_layers.py": "values of PyTorch's keyword `activation`",
    "ops/recurrent.py": "values of PyTorch's keyword `nonlinearity`",
    "ops/arithmetic.py": "values of PyTorch's keyword `rounding_mode`",
    "ops/select.py": "values of PyTorch's keyword `reduce`",
    "optim/cycles.py": "values of PyTorch's keyword `anneal_strategy`",
    "optim/schedules.py": "values of PyTorch's keyword `anneal_strategy`",
}
"""Files with tables of words that are names of ops by chance."""

LOOK_UPS = {"apply", "lookup", "gateway", "registry", "operations"}
"""What finds an op by its name."""


def called(node):
    """The last name of what is called or subscripted: `get` and `pop` are those of a table."""
    owner = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(owner, ast.Attribute) and owner.attr in ("get", "pop"):
        owner = owner.value
    return owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")


def finders(trees):
    """Functions that pass a parameter on to a look-up, or to another such function."""
    functions = [f for tree in trees for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]
    found, before = set(LOOK_UPS), set()
    while found != before:
        before = set(found)
        for function in functions:
            own = {argument.arg for argument in function.args.args}
            if own & {getattr(key, "id", "") for key in looked_up(function, before)}:
                found.add(function.name)
    return found


def looked_up(tree, finders):
    """The expressions by which ops are looked up."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in finders and node.args:
            yield node.args[0]
        elif isinstance(node, ast.Subscript) and called(node) in finders:
            yield node.slice


def compared(tree):
    """What is compared with the name of a record, or with a variable that holds one."""
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_name_of_record(node.value, ())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            patterns = [p for p in ast.walk(node) if isinstance(p, ast.MatchValue)]
            sides = [node.subject, *[p.value for p in patterns]]
        else:
            continue
        if any(is_name_of_record(side, names) for side in sides):
            for side in sides:
                yield from side.elts if isinstance(side, (ast.Tuple, ast.List, ast.Set)) else [side]


def is_name_of_record(node, names):
    """`equation.primitive.name`, `record.name`, `op.name`; or a variable assigned from one."""
    if isinstance(node, ast.Name):
        return node.id in names
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return False
    return ast.unparse(node.value).split(".")[-1] in ("primitive", "record", "op")


def tables(tree):
    """Sets, lists and keys of which all are names of records, and at least two."""
    public = [node.value for node in ast.walk(tree) if is_list_of_public_names(node)]
    for node in ast.walk(tree):
        for entries in (getattr(node, "elts", []), getattr(node, "keys", [])):
            words = [e for e in entries if isinstance(e, ast.Constant) and e.value in registry]
            if node not in public and len(words) > 1 and len(words) == len(entries):
                yield from words


def is_list_of_public_names(node):
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def names_in(tree, finders, words=False):
    """(line, op) for each literal that names an op; tables may hold `words` that only look so."""
    for node in [*looked_up(tree, finders), *compared(tree), *(() if words else tables(tree))]:
        if isinstance(node, ast.Constant) and node.value in operations:
            yield node.lineno, node.value


def makes_an_op(file, tree):
    calls = {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return file.parent.name == "passes" and "Primitive" in calls


TREES = {file: ast.parse(file.read_text()) for file in FILES}
FINDERS = finders(TREES.values())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(SOURCE).as_posix())
def test_ops_are_named_only_where_they_live(file):
    place = file.relative_to(SOURCE).as_posix()
    if any(place.startswith(allowed) for allowed in ALLOWED) or makes_an_op(file, TREES[file]):
        return
    module = ".".join(["chainrule", *file.relative_to(SOURCE).with_suffix("").parts])
    for line, name in names_in(TREES[file], FINDERS, words=place in OTHER_MEANING):
        home = getattr(registry.get(name), "forward", operations[name]).__module__
        assert home == module, f"{place}:{line} names the op `{name}`: use its record"


@pytest.mark.parametrize(
    "text",
    [
        'apply("exp", x)',
        'Primitive.gateway("exp", x)',
        'registry["exp"].forward(x)',
        'operations.get("exp")',
        'if equation.primitive.name == "exp": pass',
        'name = op.name\nif name in ("exp", "log"): pass',
        'VIEWS = {"reshape", "permute"}',
        'COST = {"exp": 10, "log": 12}',
        'match record.name:\n    case "exp":\n        pass',
        'def run(op, x):\n    return apply(op, x)\nrun("exp", x)',
        'def method(name):\n    return lambda x: registry[name](x)\nmethod("exp")',
    ],
)
def test_each_way_to_name_an_op_is_seen(text):
    tree = ast.parse(text)
    assert "exp" in [name for _, name in names_in(tree, finders([tree]))] or "reshape" in text


@pytest.mark.parametrize(
    "text", ['reduction == "mean"', 'check("exp", x)', 'x = {"mean": 1, "count": 2}', '"all"']
)
def test_words_that_are_no_names_of_ops_are_not(text):
    tree = ast.parse(text)
    assert not [*names_in(tree, finders([tree]))]


def test_the_exceptions_are_still_needed():
    for place in OTHER_MEANING:
        assert [*names_in(TREES[SOURCE / place], FINDERS)], f"{place} needs no exception"


def test_few_files_name_an_op():
    """expm1 stands in its record, in the formula of another one, and among the engine's steps.

    What calls the function imports it; a format has a table of translations.
    """
    files = [f for f in FILES if "formats" not in f.parts]
    named = [f for f in files if re.search(r"class expm1|[.\"']expm1", f.read_text())]
    assert len(named) <= 3, [f.name for f in named]
