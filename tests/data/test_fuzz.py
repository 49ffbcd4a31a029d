"""Every reader under mutated files: the right data, or an error that names the file."""

import os

import pytest

pytest.importorskip("PIL.Image", reason="needs the extra `images`")

from tests.data import fuzz

COUNT = int(os.environ.get("CHAINRULE_FUZZ", "200"))
KINDS = fuzz.kinds()


@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_file_is_read_right_or_refused(name, tmp_path, small_memory):
    """Memory too stays in proportion: these files are of a few hundred bytes."""
    with small_memory(8 * 2**20):
        found, _ = fuzz.run(KINDS[name], tmp_path, COUNT)
    assert sum(found.values()) == COUNT
    assert found.total() > found["read"] > 0 or COUNT < 50


def test_a_sound_file_of_every_kind_is_read(tmp_path):
    for kind in KINDS.values():
        assert fuzz.outcome(kind, tmp_path / f"sound{kind.suffix}", kind.content) == "read"
