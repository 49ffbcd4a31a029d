"""`cr.save` and `cr.load`: what comes back, and F11 to F13, F15, F17, F19 to F21 of the faults."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import (
    ArgumentError,
    CheckpointError,
    DTypeError,
    FormatError,
)
from chainrule.train import load, save
from chainrule.train.io.atomic import remove_leftovers, write_atomic


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


# -- round trips -------------------------------------------------------------------------------


def test_a_tree_comes_back_as_it_was(path: Path) -> None:
    tree = {
        "numbers": {0: cr.tensor([1.5, 2.5]), 1: (1, 2.5, None, True)},
        "list": [{"name": "Δ", "nan": float("nan")}, float("-inf")],
        "empty": {}, "int": cr.tensor([[1, 2]]), "scalar": cr.tensor(3.0),
        "none": cr.zeros(0, 3),
    }  # fmt: skip
    save(tree, path)
    back = load(path)
    assert list(back) == list(tree)
    assert back["numbers"][0].numpy().tolist() == [1.5, 2.5]
    assert back["numbers"][1] == (1, 2.5, None, True)
    assert np.isnan(back["list"][0]["nan"]) and back["list"][1] == float("-inf")
    assert back["int"].dtype == np.int64 and back["int"].shape == (1, 2)
    assert back["scalar"].shape == () and back["none"].shape == (0, 3)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "?", "i8", "i4", "i2", "i1", "u1"])
def test_every_dtype_keeps_its_bits(path: Path, dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (3, 5)).astype(dtype)
    save({"x": array, "swapped": array.astype(array.dtype.newbyteorder(">")).T}, path)
    back = load(path)
    assert back["x"].dtype == array.dtype and back["x"].numpy().tobytes() == array.tobytes()
    assert (back["swapped"].numpy() == array.T).all()


def test_a_module_is_saved_as_its_state(path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save(model, path)
    other.load_state_dict(load(path))
    assert (other.weight.detach().numpy() == model.weight.detach().numpy()).all()


def test_the_safetensors_library_reads_ours_and_we_read_its(path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(3, np.float32), "c": np.array(1)}
    save(tensors, path)
    theirs = library.load_file(path)
    assert theirs.keys() == tensors.keys()
    assert all((theirs[k] == v).all() and theirs[k].shape == v.shape for k, v in tensors.items())
    path.write_bytes(library.save(tensors))
    ours = load(path, verify=False)
    assert all((ours[k].numpy() == v).all() for k, v in tensors.items())


def test_F21_the_same_value_gives_the_same_bytes(tmp_path: Path) -> None:
    cr.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    for name in ("one", "two"):
        save(model, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    order = {"b": np.ones(2), "a": np.zeros(3)}
    save(order, tmp_path / "three")
    assert list(load(tmp_path / "three")) == ["b", "a"]


# -- what cannot be saved ----------------------------------------------------------------------


def test_the_path_comes_second_and_the_error_says_so(path: Path) -> None:
    with pytest.raises(DTypeError, match=r"cr\.save\(model"):
        save(str(path), {"x": np.ones(1)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [{"f": print}, {"x": np.array(["a"])}, {"o": object()}, {(1, 2): 1.0}, {"c": 1j}]
)
def test_what_is_neither_tensor_nor_plain_is_refused(path: Path, value: Any) -> None:
    with pytest.raises(DTypeError):
        save(value, path)
    assert not path.exists()


def test_two_tensors_of_one_name_are_refused(path: Path) -> None:
    with pytest.raises(ArgumentError, match="a/b"):
        save({"a/b": np.ones(1), "a": {"b": np.ones(1)}}, path)


# -- F11 to F20: writing -----------------------------------------------------------------------

WRITER = """
import sys, numpy as np
from chainrule.train import save
number = 0
while True:
    number += 1
    save({"number": number, "x": np.full(20000, number)}, sys.argv[1])
"""


@pytest.mark.parametrize(
    "header",
    [
        b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(1_000_001)) + b"}}",
        b'{"x":[' + b"[]," * 1_000_000 + b"[]]}",
        b'{"x":[' + b"1," * 2_000_000 + b"1]}",
    ],
    ids=["names", "lists", "numbers"],
)
def test_a_header_that_would_fill_the_memory_is_refused_unread(path: Path, header: bytes) -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"the header holds 2,0.* names and items"):
        cr.load(path, verify=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(header)  # the text and what is left of it, not the values in it


def test_what_could_not_be_read_again_is_not_saved(path: Path) -> None:
    cr.save({"step": 1}, path)
    with pytest.raises(ArgumentError, match=r"too many tensors and plain values.*into a tensor"):
        cr.save({"numbers": list(range(2_000_001))}, path)
    assert cr.load(path) == {"step": 1}


def test_F11_a_kill_while_saving_leaves_a_whole_file(path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(float(rng.random()) * 0.05)
        process.kill()
        process.wait()
        found = load(path)
        assert (found["x"].numpy() == found["number"]).all()
    write_atomic(path.parent / "other", [b"x"])
    remove_leftovers(path.parent)
    assert sorted(p.name for p in path.parent.iterdir()) == ["file.safetensors", "other"]


def test_F12_a_full_disk_keeps_the_old_file(path: Path) -> None:
    save({"x": np.ones(10)}, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"80,\d{3} bytes") as caught:
            save({"x": np.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("call", ["fsync", "replace", "close"])
def test_F12_an_error_of_the_disk_keeps_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save({"x": np.ones(3)}, path)
    before = path.read_bytes()

    def fails(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    if call == "close":
        monkeypatch.setattr("chainrule.train.io.atomic._new_file", lambda _: _Failing(fails))
    else:
        monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError, match="Input/output error"):
        save({"x": np.zeros(3)}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


class _Failing:
    def __init__(self, fails: Any) -> None:
        self.fails = fails

    def __enter__(self) -> Any:
        self.file = open(os.devnull, "wb")
        return self.file

    def __exit__(self, *error: object) -> None:
        self.file.close()
        self.fails()


def test_F13_the_order_is_write_flush_rename_flush(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("flush"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))
    save({"x": np.ones(3)}, path)
    assert done == ["flush", "rename", "flush"]


def test_F15_only_temporary_files_of_dead_processes_go(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = tmp_path / f".a.chainrule-{process.pid}.tmp"
    alive = tmp_path / f".a.chainrule-{os.getppid()}.tmp"
    theirs = tmp_path / f".a.other-{process.pid}.tmp"
    for file in (dead, alive, theirs):
        file.write_bytes(b"x")
    assert remove_leftovers(tmp_path) == [dead.name]
    assert alive.exists() and theirs.exists()


def test_F17_odd_places_are_refused(tmp_path: Path) -> None:
    value = {"x": np.ones(1)}
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    with pytest.raises(CheckpointError, match="symbolic link"):
        save(value, link)
    assert target.read_bytes() == b"precious" and link.is_symlink()
    with pytest.raises(CheckpointError, match="folder"):
        save(value, tmp_path)
    with pytest.raises(FileNotFoundError, match="gone"):
        save(value, tmp_path / "gone" / "x")
    with pytest.raises(FormatError, match="folder"):
        load(tmp_path)


def test_F19_changing_the_file_later_changes_nothing(path: Path) -> None:
    save({"x": np.ones(1000)}, path)
    loaded = load(path)["x"]
    with open(path, "r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert (loaded.numpy() == 1).all()


def test_F20_permissions_follow_the_umask(path: Path) -> None:
    old = os.umask(0o027)
    try:
        save({"x": np.ones(1)}, path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640
