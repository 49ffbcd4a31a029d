"""The page of differences to PyTorch says what both libraries do, and nothing else."""

from __future__ import annotations

import importlib
import re

import pytest
from tools.differences import PAGE, TABLES, libraries, outcome, page

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity
ROWS = [row for rows in TABLES.values() for row in rows]
NAMES = re.findall(r"^\| `(torch[\w.]+)` \| `([\w.]+)`", PAGE.read_text(), re.M)


def test_the_tables_are_what_the_programs_give():
    assert page(PAGE.read_text()) == PAGE.read_text(), "run: python tools/differences.py"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_row_is_a_difference(row):
    ours, theirs = libraries()
    given = outcome(row.code, theirs)
    if row.varies:
        # By chance it can be ours: memory that was not written is often zeros. An error has words
        # of its own.
        assert not re.match(r"`\w+`: ", given)
    else:
        assert outcome(row.code, ours) != given


@pytest.mark.parametrize(("theirs", "ours"), NAMES)
def test_names_in_another_place_are_there(theirs, ours):
    assert resolved(theirs) is not None
    part, *rest = ours.split(".")
    home = "chainrule" if part == "cr" else f"chainrule.{part}"
    assert resolved(".".join([home, *rest])) is not None


def resolved(path):
    """What a dotted path names: a module, or an attribute of one."""
    try:
        return importlib.import_module(path)
    except ImportError:
        module, _, name = path.rpartition(".")
        return getattr(resolved(module), name)
