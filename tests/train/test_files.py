"""`cr.save` and `cr.load`: what comes back, and F11 to F13, F15, F17, F19 to F21 of the faults."""

from __future__ import annotations

import io
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
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
        "empty": {},
        "int": cr.tensor([[1, 2]]),
        "scalar": cr.tensor(3.0),
        "none": cr.zeros(0, 3),
    }
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


def test_a_state_comes_back(path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save(model.state_dict(), path)
    other.load_state_dict(load(path))
    assert (other.weight.detach().numpy() == model.weight.detach().numpy()).all()


@pytest.mark.parametrize("inside", [False, True])
def test_of_a_module_or_an_optimizer_the_state_is_saved(path: Path, inside: bool) -> None:
    model = nn.Linear(3, 2)
    for value in (model, optim.SGD(model.parameters(), lr=0.1)):
        with pytest.raises(DTypeError, match=r"cr\.save\(x\.state_dict\(\), path\)"):
            save({"x": value} if inside else value, path)
    assert not path.exists()


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
        save(model.state_dict(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    order = {"b": np.ones(2), "a": np.zeros(3)}
    save(order, tmp_path / "three")
    assert list(load(tmp_path / "three")) == ["b", "a"]


# -- what cannot be saved ----------------------------------------------------------------------


def test_the_path_comes_second_and_the_error_says_so(path: Path) -> None:
    with pytest.raises(DTypeError, match=r"cr\.save\(model\.state_dict"):
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


def cyclic() -> Any:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


UNREADABLE: dict[str, tuple[Any, str]] = {
    "cyclic": (cyclic(), "100 deep, or holds itself"),
    "deep": (deep(5000), "100 deep"),
    "half a character": ({"text": "a\ud800"}, r"'\\ud800'"),
    "half a character in a name": ({"a\ud800": np.ones(1)}, r"'\\ud800'"),
    "a long number": ({"n": 10**5000}, "4300 digits"),
    "many values": ({"list": [1] * 1001}, "too many plain values.*into a tensor"),
    "many tensors": ({str(i): np.ones(0) for i in range(60)}, "too many tensors.*cr.stack"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_could_not_be_read_again_is_not_saved(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainrule.train.io.files._MOST_PARTS", 1000)
    monkeypatch.setattr("chainrule.train.io.safetensors.MOST_PARTS", 500)
    save({"step": 1}, path)
    value, words = UNREADABLE[name]
    with pytest.raises(ArgumentError, match=words):
        save(value, path)
    assert load(path) == {"step": 1} and os.listdir(path.parent) == [path.name]


def test_text_of_any_size_and_nesting_up_to_the_limit_come_back(path: Path) -> None:
    value = {"text": '"' * 5_000_000, "deep": deep(99), "n": 10**4000, "NUL": "\0"}
    save(value, path)
    assert load(path) == value


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

    class Failing(io.FileIO):
        def close(self) -> None:
            open_before = not self.closed
            super().close()
            if open_before:
                fails()

    if call == "close":
        monkeypatch.setattr(
            "chainrule.train.io.atomic.open", lambda fd, *_, **__: Failing(fd, "wb"), raising=False
        )
    else:
        monkeypatch.setattr(os, call, fails)
    with pytest.raises(OSError, match=r"Input/output error: writing .* bytes failed.*unchanged"):
        save({"x": np.zeros(3)}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_F12_an_error_after_the_rename_says_that_the_new_file_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save({"x": 1}, path)
    fsync = os.fsync

    def fails_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fails_for_folders)
    with pytest.raises(OSError, match="the new file is in place, but a power failure"):
        save({"x": 2}, path)
    assert load(path)["x"] == 2


def test_F13_the_order_is_write_flush_rename_flush(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("flush"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))
    save({"x": np.ones(3)}, path)
    assert done == ["flush", "rename", "flush"]


def test_saves_of_several_threads_to_one_path_leave_one_whole_file(path: Path) -> None:
    save({"x": np.zeros(200_000)}, path)
    problems = []

    def write(number: int) -> None:
        try:
            for _ in range(15):
                save({"x": np.full(200_000, number)}, path)
                found = load(path)["x"].numpy()
                assert (found == found[0]).all()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and os.listdir(path.parent) == [path.name]


UNFINISHED = """
import sys, time
from chainrule.train.io.atomic import _temporary
with _temporary(sys.argv[1]) as (file, path):
    file.write(b"half")
    print(path, flush=True)
    time.sleep(600)
"""


def test_F15_only_temporary_files_that_nobody_writes_go(path: Path) -> None:
    code = [sys.executable, "-c", UNFINISHED, str(path.parent)]
    writers = [subprocess.Popen(code, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    dead, alive = (Path(w.stdout.readline().strip()) for w in writers if w.stdout)
    theirs = path.parent / ".a.other-1.tmp"
    theirs.write_bytes(b"x")
    writers[0].kill()
    writers[0].wait()
    assert dead.exists() and alive.exists()
    save({"x": np.ones(3)}, path)
    assert not dead.exists() and alive.exists() and theirs.exists()
    writers[1].kill()
    writers[1].wait()
    assert remove_leftovers(path.parent) == [alive.name]
    for writer in writers:
        writer.communicate()


def test_a_new_file_that_is_taken_for_a_leftover_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainrule.train.io import atomic

    removed = []

    def hold(descriptor: int, wait: bool = False) -> bool:
        if wait and not removed:
            removed.extend(p.unlink() for p in path.parent.glob(".chainrule-*"))
        return True

    monkeypatch.setattr(atomic, "hold", hold)
    save({"x": 1}, path)
    assert removed and load(path)["x"] == 1 and os.listdir(path.parent) == [path.name]


def test_a_name_as_long_as_the_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    save({"x": 1}, path)
    assert load(path)["x"] == 1


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_or_socket_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    with pytest.raises(CheckpointError, match="a pipe, a device or a socket"):
        save({"x": 1}, path)
    assert not stat.S_ISREG(path.stat().st_mode) and os.listdir(tmp_path) == ["odd"]


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
