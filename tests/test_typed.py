"""Typed programs: mypy checks this file strictly (`make check`), as it would check a user's."""

import ast
from pathlib import Path
from typing import assert_type, cast

import chainrule as cr
from chainrule.nn import functional as F
from chainrule.primitive import Primitive


def positive(x: cr.Tensor) -> cr.Tensor:
    """Records are called as functions are."""
    y: cr.Tensor = cr.where(x > 0, x, cr.zeros(1))
    return y


def test_a_record_is_a_primitive_to_a_type_checker() -> None:
    assert_type(cr.exp, Primitive)
    assert_type(F.sigmoid, Primitive)
    assert positive(cr.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    total = cr.sum(F.relu(cr.tensor([-1.0, 2.0])), dim=0) + 1
    assert total.item() == 3


def test_the_stub_lists_just_the_records_of_the_face() -> None:
    tree = ast.parse((Path(cr.__file__).parent / "records.pyi").read_text())
    chains = [node for node in tree.body if isinstance(node, ast.Assign)]
    listed = [cast(ast.Name, target).id for chain in chains for target in chain.targets]
    face = [name for name in dir(cr) if isinstance(getattr(cr, name), Primitive)]
    assert listed == face
