"""The house: floors, sizes and the public face, held by reading the code instead of by taste."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.primitive import operations, registry

SOURCE = Path(cr.__file__).parent
FILES = sorted(SOURCE.glob("**/*.py"))

FLOORS = [
    # A module imports only what stands above it here; folders of one line do not know each other.
    ["errors"],
    ["tree", "handles", "world"],
    ["settings"],
    ["kinds", "signatures"],
    ["primitive"],
    ["samples"],
    ["graph"],
    ["engine"],
    ["interpreters"],
    ["placed"],
    ["tape"],
    ["op_methods"],
    ["aliases", "methods", "conversion"],
    ["tensor"],
    ["gateway"],
    ["ops"],
    ["linalg", "grad_mode"],
    ["autograd"],
    ["gradcheck", "transforms"],
    ["nn", "optim", "compiler", "data", "distributions"],
    ["models", "distributed"],
    ["train"],
    ["torch", "formats", "sklearn"],
    ["cli"],
    ["__init__", "__main__"],
]
RANK = {module: rank for rank, modules in enumerate(FLOORS) for module in modules}
OPS = re.findall(r"`(\w+)`", cr.ops.__doc__ or "")
"""The files of ops in their order, which the docstring of the folder gives."""

MAY_KNOW = {
    ("compiler", "nn"): "a guard reads the mode, train or eval, of the modules that it meets",
}
"""Folders of one floor of which one may import the other, and why."""

COMPILED = ("engine", "_native")
"""The module that is not Python."""

TYPE_CIRCLE = {"interpreters", "placed", "tape", "aliases", "methods", "conversion", "tensor"}
"""The files that make up the tensor name each other in type hints."""

FILE_LINES, FUNCTION_LINES = 400, 40
LONG_FILES: dict[str, str] = {
    "tensor.py": "the one class that everything is about; its parts stand in six files already",
}
LONG_FUNCTIONS: dict[str, str] = {
    "cli/train.py:train": "the signature is the list of the command's options",
    "data/loader.py:__init__": "the signature is the list of the options",
    "nn/attention.py:__init__": "the signature is the list of the options",
    "optim/cycles.py:__init__": "the signature is the list of the options",
    "torch/utils/data.py:__init__": "the signature is the list of the options",
}
"""What may be longer, and why."""


def name_of(file):
    """`ops/index.py` → ("ops", "index"); `tape.py` → ("tape",)."""
    return file.relative_to(SOURCE).with_suffix("").parts


def own_imports(tree):
    """(node, imported module as parts) for each import from this package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == "chainrule" and len(parts) > 1:
                yield node, tuple(parts[1:])


def imports(file):
    """The modules of this package that a file imports, those for types alone too, as parts."""
    return [target for _, target in own_imports(ast.parse(file.read_text()))]


MODULES = {name_of(file): file for file in FILES}


def module_of(target):
    """The module that an import names: itself, the one it takes a name from, or a folder's face."""
    for parts in (target, target[:-1]):
        for module in (parts, (*parts, "__init__")):
            if parts and module in MODULES and target != COMPILED:
                return module
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda f: "/".join(name_of(f)))
def test_a_module_imports_only_lower_floors(file):
    own = name_of(file)
    assert own[0] in RANK, f"give {own[0]} a floor in FLOORS"
    for target in imports(file):
        if target[0] == own[0] or target[0] not in RANK:
            continue  # inside a folder: the next tests; or a name of the package's own face
        pair = (own[0], target[0])
        allowed = RANK[target[0]] < RANK[own[0]] or pair in MAY_KNOW or set(pair) <= TYPE_CIRCLE
        assert allowed, f"{'/'.join(own)} imports {'.'.join(target)}, which is not a lower floor"


def test_inside_ops_files_import_only_earlier_ones():
    found = {file.stem for file in (SOURCE / "ops").glob("*.py")} - {"__init__"}
    assert found == set(OPS), "the docstring of ops names its files, in their order"
    for place, name in enumerate(OPS):
        used = {t[1] for t in imports(SOURCE / "ops" / f"{name}.py") if t[0] == "ops"}
        assert used <= set(OPS[:place]), f"ops/{name}.py imports {used - set(OPS[:place])}"


def test_lowerings_stand_in_the_file_of_their_op():
    """`engine/lowering/reduce.py` has the rows of the ops of `ops/reduce.py`, and so on."""
    for file in (SOURCE / "engine" / "lowering").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("row", "lowering"):
                continue
            for name in (arg.value for arg in node.args if isinstance(arg, ast.Constant)):
                if name in registry:  # else a pass makes it
                    home = registry[name].forward.__module__
                    assert home == f"chainrule.ops.{file.stem}", f"{file.stem}.py: `{name}`"


def test_no_modules_import_each_other():
    """In no folder and across none, types included: there is an order to read the package in."""
    waits = {
        name: {module_of(target) for target in imports(file)} - {name, None}
        for name, file in MODULES.items()
    }
    left = {name for name in waits if not set(name) & TYPE_CIRCLE}
    while ready := {name for name in left if not waits[name] & left}:
        left -= ready
    assert not left, f"these import each other: {sorted('/'.join(n) for n in left)}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: "/".join(name_of(f)))
def test_no_own_import_inside_a_function(file):
    if name_of(file)[0] == "cli":
        return
    tree = ast.parse(file.read_text())
    inside = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(node)
    }
    bad = [".".join(target) for node, target in own_imports(tree) if node in inside]
    assert not bad, f"{file.name} imports {bad} inside a function"


def test_no_assert_checks_users_input():
    for file in FILES:
        asserts = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Assert)]
        assert not asserts, f"{file.name}:{asserts[0].lineno}: raise an error that teaches"


# -- sizes ---------------------------------------------------------------------------------------


def test_files_are_short():
    long = {
        "/".join(name_of(f)) + ".py": n
        for f in FILES
        if (n := len(f.read_text().splitlines())) > FILE_LINES
    }
    assert set(long) == set(LONG_FILES), f"split by idea: {long}"


def length(function):
    """The lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function):
        text = function.body[0]
        lines -= (text.end_lineno or 0) - text.lineno + 1
    return lines


def test_functions_are_short():
    long = {
        f"{'/'.join(name_of(file))}.py:{node.name}": length(node)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and length(node) > FUNCTION_LINES
    }
    assert set(long) <= set(LONG_FUNCTIONS), f"split: {long}"


def test_lines_are_at_most_100_columns():
    for file in [*FILES, *Path(__file__).parent.glob("**/*.py")]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            text = re.split(r"  # (type|noqa|fmt):", line)[0]  # as ruff counts
            assert len(text) <= 100, f"{file.name}:{number} has {len(text)} columns"


# -- the public face -----------------------------------------------------------------------------

FACES = {
    name: importlib.import_module(name)
    for name in (
        "chainrule",
        "chainrule.nn",
        "chainrule.nn.functional",
        "chainrule.nn.init",
        "chainrule.nn.utils.rnn",
        "chainrule.optim",
        "chainrule.data",
        "chainrule.distributed",
        "chainrule.distributions",
        "chainrule.train",
    )
}
TWO_HOMES = {
    "Trainer": "the first page of the README says cr.Trainer",
    "load": "cr.save and cr.load",
    "load_run": "beside cr.load",
    "save": "cr.save and cr.load",
    "sweep": "beside cr.Trainer",
}
"""Names that `chainrule` shows beside the part that they live in, and why."""


def public(face):
    names = getattr(face, "__all__", None) or [n for n in dir(face) if not n.startswith("_")]
    for name in names:
        value = getattr(face, name)
        is_own = hasattr(face, "__path__") or getattr(value, "__module__", None) == face.__name__
        if is_own and not inspect.ismodule(value) and not isinstance(value, np.dtype):
            yield name, value


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_documented(face):
    missing = []
    for name, value in public(FACES[face]):
        if callable(value) and not (getattr(value, "__doc__", None) or "").strip():
            missing.append(name)
    assert not missing, f"{face} shows {missing} without a docstring"


@pytest.mark.parametrize("face", FACES)
def test_nothing_private_or_foreign_is_shown(face):
    for name, value in public(FACES[face]):
        home = getattr(value, "__module__", "chainrule")
        assert str(home).startswith("chainrule"), f"{face}.{name} comes from {home}"


def test_one_home_per_name():
    homes = defaultdict(set)
    for face, module in FACES.items():
        for name, value in public(module):
            if callable(value):
                homes[id(value)].add((face, name))
    several = {tuple(sorted(places)) for places in homes.values() if len(places) > 1}
    strange = [
        places
        for places in several
        if not {name for _, name in places} <= set(TWO_HOMES) and not also_functional(places)
    ]
    assert not strange, f"one thing, several names: {strange}"


def also_functional(places):
    """PyTorch has relu, softmax and so on in `torch` and in `torch.nn.functional`, by one name."""
    return len({name for _, name in places}) == 1 and {face for face, _ in places} == {
        "chainrule",
        "chainrule.nn.functional",
    }


def test_every_op_that_a_method_names_is_registered():
    """Methods find their ops by name when they are called: a typing error would show late."""
    for file in ("methods.py", "conversion.py", "tensor.py", "tape.py"):
        for node in ast.walk(ast.parse((SOURCE / file).read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLERS and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    op = name.value.removesuffix("_")
                    assert op in operations, f"{file}:{node.lineno}: `{name.value}`"


CALLERS = {
    "_method",
    "_binary",
    "_reflected",
    "_swapped",
    "_comparison",
    "_in_place",
    "Primitive.gateway",
}


def test_ops_applied_by_name_are_registered():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "apply" and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    assert name.value in operations, f"{file.name}:{node.lineno}: `{name.value}`"


def test_the_face_fits_on_one_screen():
    assert len((SOURCE / "__init__.py").read_text().splitlines()) <= 120
