"""Files that are not what they should be: F1 and F3 to F9 of the faults."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, FormatError, NonFiniteError
from chainrule.train import load, save


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.safetensors"


def foreign(header: Any, data: bytes = b"", pad: bytes = b"") -> bytes:
    """A safetensors file with this header, well formed or not."""
    text = (header if isinstance(header, bytes) else json.dumps(header).encode()) + pad
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_F1_a_pickle_is_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(canary), "w"))

    for name, content in (
        ("a.pt", pickle.dumps(Bomb())),
        ("b.pkl", pickle.dumps(Bomb(), protocol=2)),
        ("c.pt", b"PK\x03\x04" + pickle.dumps(Bomb())),
    ):
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
