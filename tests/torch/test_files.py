"""`torch.save` and `torch.load`: files of the package, and PyTorch's own, without their pickle."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import struct
import warnings
import zipfile

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ChainruleError, DTypeError, FormatError

VALUES = {
    "epoch": 3,
    "loss": 0.5,
    "best": float("inf"),
    "name": "résumé",
    "none": None,
    "flag": True,
    "list": [1, [2.5, "x"]],
    "tuple": (1, (2, "y")),
    "by number": {0: "a", 7: [1]},
    "big": 2**80,
    "nested": {"a": {"b": {}}},
    "empty": [[], (), {}],
}
KINDS = ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


# -- files of the package ----------------------------------------------------------------------


def test_a_checkpoint_comes_back(torch, tmp_path):
    model = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    values = {k: v for k, v in VALUES.items() if k != "big"}
    checkpoint = {"model": model.state_dict(), "opt": optimizer.state_dict(), **values}
    torch.save(checkpoint, tmp_path / "c.pt")
    back = torch.load(tmp_path / "c.pt", map_location="cpu", weights_only=True)
    assert {k: back[k] for k in values} == values
    assert back["model"]["weight"].tolist() == model.weight.tolist()
    optimizer.load_state_dict(back["opt"])


@pytest.mark.parametrize("value", [[1, 2], (1, "x"), 5, True], ids=repr)
def test_anything_at_the_top(torch, value):
    file = io.BytesIO()
    torch.save(obj=value, f=file)
    file.seek(0)
    assert torch.load(f=file) == value


def test_a_tensor_at_the_top(torch, tmp_path):
    torch.save(torch.arange(3), str(tmp_path / "x.pt"))
    assert torch.load(str(tmp_path / "x.pt")).tolist() == [0, 1, 2]


def test_a_whole_model_is_refused_with_the_way_out(torch, tmp_path):
    with pytest.raises(DTypeError, match=r"model\.state_dict"):
        torch.save(nn.Linear(1, 1), tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()


# -- PyTorch's files ---------------------------------------------------------------------------


def written(pytorch, value, legacy=False):
    file = io.BytesIO()
    pytorch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def loaded(torch, content):
    return torch.load(io.BytesIO(content))


@pytest.mark.parity
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
class TestOfPyTorch:
    def test_plain_values(self, torch, pytorch, legacy):
        assert loaded(torch, written(pytorch, VALUES, legacy)) == VALUES

    def test_more_containers(self, torch, pytorch, legacy):
        value = {
            "ordered": collections.OrderedDict(b=1, a=2),
            "set": {1, 2},
            "frozen": frozenset("ab"),
            "default": collections.defaultdict(list, a=[1]),
            "bytes": b"\x00\xff",
            "number": np.float64(0.1),
            "whole": np.int32(7),
        }
        back = loaded(torch, written(pytorch, value, legacy))
        assert back == value and list(back["ordered"]) == ["b", "a"]

    @pytest.mark.parametrize("kind", KINDS)
    def test_tensors_of_every_kind(self, torch, pytorch, kind, legacy):
        array = (np.arange(12).reshape(3, 4) % 5).astype(kind)
        back = loaded(torch, written(pytorch, [pytorch.tensor(array)], legacy))[0]
        assert back.dtype == kind and back.tolist() == array.tolist()

    def test_bfloat16_becomes_float32(self, torch, pytorch, legacy):
        x = pytorch.randn(5).bfloat16()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back = loaded(torch, written(pytorch, x, legacy))
        assert back.dtype == torch.float32 and back.tolist() == x.float().tolist()

    def test_views_of_one_storage(self, torch, pytorch, legacy):
        base = pytorch.arange(12.0).reshape(3, 4)
        views = [base, base.T, base[1], base[:, ::2], base[1, 2], base[:0], pytorch.zeros(0, 3)]
        views.append(pytorch.ones(1).expand(5))
        for ours, theirs in zip(loaded(torch, written(pytorch, views, legacy)), views, strict=True):
            assert ours.tolist() == theirs.tolist() and tuple(ours.shape) == tuple(theirs.shape)

    def test_parameters_sizes_devices_dtypes(self, torch, pytorch, legacy):
        value = [
            pytorch.nn.Parameter(pytorch.ones(2)),
            pytorch.ones(2, 3).shape,
            pytorch.device("cpu"),
            pytorch.float32,
            pytorch.ones(1, requires_grad=True),
        ]
        parameter, size, device, dtype, leaf = loaded(torch, written(pytorch, value, legacy))
        assert isinstance(parameter, nn.Parameter) and parameter.requires_grad
        assert size == torch.Size([2, 3]) and device == torch.device("cpu")
        assert dtype is torch.float32 and leaf.requires_grad

    def test_a_model_and_its_optimizer_go_on(self, torch, pytorch, legacy):
        theirs = pytorch.nn.Sequential(pytorch.nn.Conv2d(1, 2, 3), pytorch.nn.BatchNorm2d(2))
        optimizer = pytorch.optim.AdamW(theirs.parameters())
        theirs(pytorch.randn(2, 1, 5, 5)).sum().backward()
        optimizer.step()
        state = {"model": theirs.state_dict(), "optimizer": optimizer.state_dict()}
        back = loaded(torch, written(pytorch, state, legacy))
        ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        ours.load_state_dict(back["model"])
        torch.optim.AdamW(ours.parameters()).load_state_dict(back["optimizer"])
        x = np.random.default_rng(0).normal(size=(2, 1, 5, 5)).astype(np.float32)
        theirs.eval(), ours.eval()
        expected = theirs(pytorch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(ours(torch.tensor(x)).detach().numpy(), expected, rtol=1e-5)

    def test_a_whole_model_is_refused_and_nothing_of_it_runs(self, torch, pytorch, legacy):
        with pytest.raises(FormatError, match="state_dict"):
            loaded(torch, written(pytorch, pytorch.nn.Linear(1, 1), legacy))


# -- hostile files -----------------------------------------------------------------------------


class Canary:
    """Unpickling it runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def archive(pickle_bytes, storages=(), folder="archive", compression=zipfile.ZIP_STORED, **other):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr(f"{folder}/data.pkl", pickle_bytes)
        for key, data in dict(storages).items():
            zipped.writestr(f"{folder}/data/{key}", data)
        for name, data in other.items():
            zipped.writestr(f"{folder}/{name}", data)
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrapped", [True, False], ids=["zip", "bare"])
def test_no_code_of_a_pickle_runs(torch, tmp_path, protocol, wrapped):
    canary = tmp_path / "canary"
    content = pickle.dumps({"x": Canary(canary)}, protocol)
    with pytest.raises(FormatError):
        loaded(torch, archive(content) if wrapped else content)
    assert not canary.exists()


def tensor_pickle(size, stride, offset=0, count=2, kind="FloatStorage", key="0"):
    """The pickle of one tensor, as PyTorch writes it, with any numbers."""

    class Storage:
        pass

    class Pickler(pickle._Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return ("storage", Name(f"torch {kind}"), key, "cpu", count)
            return None

        def save_name(self, name):
            self.write(b"c" + str(name).replace(" ", "\n").encode() + b"\n")

    class Name(str):
        pass

    Pickler.dispatch = {**pickle._Pickler.dispatch, Name: Pickler.save_name}
    file = io.BytesIO()
    pickler = Pickler(file, 2)
    pickler.proto = 2
    file.write(b"\x80\x02")
    pickler.save_name("torch._utils _rebuild_tensor_v2")
    pickler.save((Storage(), offset, size, stride, False, None))
    file.write(b"R.")
    return file.getvalue()


def test_the_tensor_that_the_hostile_ones_are_made_from_is_sound(torch):
    content = archive(tensor_pickle((2,), (1,)), {"0": struct.pack("<2f", 1.5, 2.5)})
    assert loaded(torch, content).tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"size": (2**40,), "stride": (1,)}, "larger than its storage"),
        ({"size": (2**40,), "stride": (0,)}, "far more memory"),
        ({"size": (2**62, 2**62), "stride": (0, 0)}, "far more memory"),
        ({"size": (2,), "stride": (1,), "offset": 1}, "larger than its storage"),
        ({"size": (2,), "stride": (-1,)}, "size"),
        ({"size": (-1,), "stride": (1,)}, "size"),
        ({"size": (1,), "stride": (1,), "offset": -1}, "size"),
        ({"size": (1,), "stride": (1, 1)}, "size"),
        ({"size": (1.0,), "stride": (1,)}, "size"),
        ({"size": (1,) * 65, "stride": (1,) * 65}, "65 dimensions"),
        ({"size": (2,), "stride": (1,), "count": 2**40}, "8 bytes, and should have"),
        ({"size": (2,), "stride": (1,), "count": 1}, "8 bytes, and should have"),
        ({"size": (2,), "stride": (1,), "kind": "DoubleStorage"}, "8 bytes, and should have"),
        ({"size": (2,), "stride": (1,), "kind": "OddStorage"}, "OddStorage"),
        ({"size": (2,), "stride": (1,), "key": "9"}, "data/9 is missing"),
        ({"size": (2,), "stride": (1,), "key": "../data.pkl"}, "is missing"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(torch, fields, problem):
    content = archive(tensor_pickle(**fields), {"0": struct.pack("<2f", 1.5, 2.5)})
    with pytest.raises(FormatError, match=problem):
        loaded(torch, content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04", "damaged"),
        (archive(b""), "damaged"),
        (archive(b"\x80\x02K\x01"), "damaged"),
        (archive(b"\x80\x02]q\x00}h\x00K\x01s."), "a key is a list"),
        (archive(b"\x80\x02]q\x00\x8f(h\x00\x90."), "a key is a list"),
        (archive(b"\x80\x02cos\nsystem\n."), "os.system"),
        (archive(b"\x80\x02ctorch\nFloatStorage\n."), "ends in the middle"),
        (archive(b"\x80\x02ctorch\nFloatStorage\n)R."), "no function"),
        (archive(b"\x80\x02K\x01Q."), "damaged"),
        (archive(b"\x80\x02(."), "damaged|middle"),
        (archive(b"\x80\x02N", compression=zipfile.ZIP_DEFLATED), "packed"),
        (archive(b"\x80\x02N.", version="99"), "version"),
        (archive(b"\x80\x02N.", byteorder="middle"), "byte order"),
        (archive(b"\x80\x02N.", **{"constants.pkl": ""}), "TorchScript"),
        (b"\x80\x02\x8a\n" + b"\x01" * 40, "damaged|not one of"),
        (b"\0" * 257 + b"ustar" + b"\0" * 300, "0.1.10"),
    ],
)
def test_damaged_and_hostile_files(torch, content, problem):
    with pytest.raises(FormatError, match=problem):
        loaded(torch, content)


def test_work_is_bounded_by_the_size_of_the_file(torch):
    """A set of a list of many items, made again and again: n² items from n bytes."""
    build = b"\x80\x02(" + b"K\x01" * 50_000 + b"lq\x00"
    content = build + b"c__builtin__\nset\n(h\x00tR0" * 20_000 + b"N."
    with pytest.raises(FormatError, match="far more memory"):
        loaded(torch, archive(content))


def test_deep_nesting_is_read_without_recursion(torch):
    depth = 200_000
    value = loaded(torch, archive(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."))
    levels = 0
    while value:
        value, levels = value[0], levels + 1
    assert levels == depth - 1


@pytest.fixture(scope="module")
def samples():
    pytorch = pytest.importorskip("torch")
    model = pytorch.nn.Sequential(pytorch.nn.Linear(2, 3), pytorch.nn.BatchNorm1d(3))
    optimizer = pytorch.optim.Adam(model.parameters())
    model(pytorch.randn(4, 2)).sum().backward()
    optimizer.step()
    value = {"m": model.state_dict(), "o": optimizer.state_dict(), "e": [1, (2.5, "x"), {3}]}
    return [written(pytorch, value, legacy) for legacy in (False, True)]


def mutated(content, rng):
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(max(len(data), 1))
        kind = rng.randrange(4)
        if not data or kind == 3:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice((0, 1, 2, 0x80, 0xFF, *b"(.)0RbQcotu}]"))
        else:
            del data[place : place + rng.randrange(1, 9)]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_mutated_files_load_or_are_refused(torch, samples, legacy):
    """Two thousand mutations: an exception of this package, or a value; never anything else.

    The zip's checksums are repaired, so that the mutations reach what is behind them.
    """
    rng = random.Random(0)
    outcomes = collections.Counter()
    for _ in range(1_000):
        content = samples[1] if legacy else samples[0]
        content = mutated(content, rng) if legacy or rng.random() < 0.3 else repacked(content, rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded(torch, content)
            outcomes["loaded"] += 1
        except ChainruleError:
            outcomes["refused"] += 1
    assert outcomes.total() == 1_000 and min(outcomes["loaded"], outcomes["refused"]) > 20


def repacked(content, rng):
    """The archive with one mutated member under a right checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        members = {info.filename: zipped.read(info) for info in zipped.infolist()}
    victim = rng.choice([*members, *[n for n in members if n.endswith("data.pkl")] * 20])
    members[victim] = mutated(members[victim], rng) if members[victim] else b"x"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return file.getvalue()


def test_a_file_cut_anywhere_is_refused(torch, samples):
    for content in samples:
        for length in range(4, len(content), 7):
            with pytest.raises(ChainruleError):
                loaded(torch, content[:length])


def test_a_tensor_alone_in_the_package_own_function(tmp_path):
    cr.save(cr.arange(3), tmp_path / "x.safetensors")
    assert cr.load(tmp_path / "x.safetensors").tolist() == [0, 1, 2]
