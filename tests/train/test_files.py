"""`cr.save` and `cr.load`: F1, F3 to F8, F12, F13, F15, F17, F19 to F21 of the faults."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import time
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
    NonFiniteError,
)
from chainrule.train import load, save
from chainrule.train.atomic import remove_leftovers, write_atomic


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


def foreign(header: Any, data: bytes = b"", pad: bytes = b"") -> bytes:
    """A safetensors file with this header, well formed or not."""
    text = (header if isinstance(header, bytes) else json.dumps(header).encode()) + pad
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


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


# -- F1, F3 to F8: malformed files -------------------------------------------------------------


def test_F1_a_pickle_is_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(canary), "w"))

    for name, content in (
        ("a.pt", pickle.dumps(Bomb())), ("b.pkl", pickle.dumps(Bomb(), protocol=2)),
        ("c.pt", b"PK\x03\x04" + pickle.dumps(Bomb())),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        for verify in (True, False):
            with pytest.raises(FormatError, match="pickle"):
                load(tmp_path / name, verify=verify)
    assert not canary.exists()


two = {"a": entry(), "b": entry(offsets=(8, 16))}
MALFORMED = {
    "empty": b"",
    "7 bytes": b"\x02\0\0\0\0\0\0",
    "header length 2^63": (2**63).to_bytes(8, "little") + b"{}",
    "header over the limit": (100_000_001).to_bytes(8, "little") + b"{}",
    "header longer than the file": (100).to_bytes(8, "little") + b"{}",
    "not UTF-8": foreign(b'{"\xff": 1}'),
    "not JSON": foreign(b"{nonsense}"),
    "a JSON array": foreign(b"[]"),
    "leading space": foreign(b" {}"),
    "junk after the header": foreign(b"{}", pad=b"x"),
    "truncated data": foreign({"a": entry()}, b"\0" * 7),
    "extra data": foreign({"a": entry()}, b"\0" * 9),
    "overlap": foreign({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12),
    "hole": foreign({"a": entry(), "b": entry(offsets=(9, 17))}, b"\0" * 17),
    "first offset not 0": foreign({"a": entry(offsets=(1, 9))}, b"\0" * 9),
    "reversed offsets": foreign({"a": entry(offsets=(8, 0))}, b"\0" * 8),
    "three offsets": foreign({"a": entry(offsets=(0, 8, 8))}, b"\0" * 8),
    "negative shape": foreign({"a": entry(shape=(-2,))}, b"\0" * 8),
    "float shape": foreign({"a": entry(shape=(2.0,))}, b"\0" * 8),
    "bool shape": foreign({"a": entry(shape=(True, 2))}, b"\0" * 8),
    "product overflow": foreign({"a": entry(shape=(2**63, 2**63))}, b"\0" * 8),
    "overflow, then 0": foreign({"a": entry(shape=(2**63, 2**63, 0), offsets=(0, 0))}),
    "bytes other than shape": foreign({"a": entry(shape=(3,))}, b"\0" * 8),
    "unknown dtype": foreign({"a": entry("F33")}, b"\0" * 8),
    "dtype that tensors lack": foreign({"a": entry("F8_E4M3", (8,))}, b"\0" * 8),
    "dtype is no text": foreign({"a": entry(32)}, b"\0" * 8),
    "non-string metadata": foreign({"__metadata__": {"a": 1}}),
    "metadata is a list": foreign({"__metadata__": []}),
    "missing dtype": foreign({"a": {"shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "unknown key": foreign({"a": {**entry(), "x": 1}}, b"\0" * 8),
    "nested 100,000 deep": foreign(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "rank over 64": foreign({"a": entry(shape=(1,) * 65, offsets=(0, 4))}, b"\0" * 4),
    "a long number": foreign(b'{"a": ' + b"9" * 5000 + b"}"),
    "NaN": foreign(b'{"a": NaN}'),
    "a bool of 2": foreign({"a": entry("BOOL", (1,), (0, 1))}, b"\2"),
}


@pytest.mark.parametrize("fault", MALFORMED)
@pytest.mark.parametrize("verify", [True, False])
def test_F3_malformed_files_are_refused(path: Path, fault: str, verify: bool) -> None:
    path.write_bytes(MALFORMED[fault])
    with pytest.raises(FormatError, match=path.name):
        load(path, verify=verify)


@pytest.mark.parametrize(
    "content",
    [
        foreign({"a": entry()}, b"\0" * 8, pad=b"   "),
        foreign({"a": entry(shape=(2, 0), offsets=(0, 0))}),
        foreign({"a": entry(shape=(), offsets=(0, 4))}, b"\0" * 4),
        foreign({}),
        foreign({"b": entry(offsets=(8, 16)), "a": entry()}, b"\0" * 16),
    ],
    ids=["trailing spaces", "size 0", "0-d", "no tensors", "any order"],
)
def test_F3_sound_files_of_others_are_read_on_request(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert all(isinstance(x, cr.Tensor) for x in load(path, verify=False).values())
    with pytest.raises(FormatError, match="verify=False"):
        load(path)


def sample(path: Path) -> bytes:
    values = np.random.default_rng(0).random((6, 8), np.float32)
    save({"w": values, "b": np.arange(3), "flag": np.array([True]), "epoch": 3}, path)
    return path.read_bytes()


def test_F4_a_file_cut_anywhere_is_refused(path: Path) -> None:
    whole = sample(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load(path)


def test_F4_every_flipped_byte_is_found(path: Path) -> None:
    whole = sample(path)
    rng = np.random.default_rng(1)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            load(path)
    path.write_bytes(whole)
    assert load(path)["epoch"] == 3


def test_F5_duplicate_names_are_refused(path: Path) -> None:
    one = json.dumps(entry()).encode()
    path.write_bytes(foreign(b'{"a":' + one + b',"a":' + one + b"}", b"\0" * 8))
    with pytest.raises(FormatError, match="twice"):
        load(path, verify=False)


def test_F6_a_huge_declaration_is_refused_at_once(path: Path) -> None:
    path.write_bytes(foreign({"a": entry(shape=(2**40,), offsets=(0, 2**42))}, b"\0" * 8))
    load_fails = []
    for _ in range(5):
        start = time.perf_counter()
        with pytest.raises(FormatError, match="truncated"):
            load(path, verify=False)
        load_fails.append(time.perf_counter() - start)
    assert min(load_fails) < 1e-3


def test_F7_nan_is_loaded_and_refused_on_request(path: Path) -> None:
    save({"good": np.ones(2), "bad": np.array([1.0, np.nan])}, path)
    assert np.isnan(load(path)["bad"].numpy()[1])
    with pytest.raises(NonFiniteError, match="bad"):
        load(path, strict_finite=True)


def test_F8_another_dtype_needs_an_explicit_cast(path: Path) -> None:
    model = nn.Linear(2, 2)
    save({k: v.numpy().astype(np.float64) for k, v in model.state_dict().items()}, path)
    before = model.weight.detach().numpy().copy()
    with pytest.raises(ArgumentError, match="float64"):
        model.load_state_dict(load(path))
    assert (model.weight.detach().numpy() == before).all()
    model.load_state_dict(load(path, dtype=np.float32))
    bf16 = np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16
    path.write_bytes(foreign({"a": entry("BF16", (2,), (0, 4))}, bf16.astype("<u2").tobytes()))
    with pytest.raises(DTypeError, match="bfloat16"):
        load(path, verify=False)
    assert load(path, verify=False, dtype=np.float32)["a"].numpy().tolist() == [1.5, -2.0]


def test_F9_a_newer_format_names_both_versions(path: Path) -> None:
    ours = json.dumps({"format": 99, "checksums": {}, "tree": {}})
    path.write_bytes(foreign({"__metadata__": {"chainrule": ours}}))
    for verify in (True, False):
        with pytest.raises(FormatError, match=r"99.*at most 1"):
            load(path, verify=verify)


# -- F11 to F20: writing -----------------------------------------------------------------------

WRITER = """
import sys, numpy as np
from chainrule.train import save
number = 0
while True:
    number += 1
    save({"number": number, "x": np.full(20000, number)}, sys.argv[1])
"""


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
        monkeypatch.setattr("chainrule.train.atomic._new_file", lambda _: _Failing(fails))
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
