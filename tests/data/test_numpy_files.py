"""`.npy` and `.npz`: no pickle (F1), no bombs (E6), no trust in headers."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from chainrule.data import read_npy, read_npz
from chainrule.errors import FormatError


def npy_bytes(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def header(text, length=None):
    body = text.encode()
    size = len(body) if length is None else length
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + body


def write(path, data):
    path.write_bytes(data)
    return path


class Canary:
    """Unpickling this creates the file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


ARRAYS = [
    np.arange(12, dtype=np.float32).reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(5, dtype=">i4"),
    np.array(3.5),
    np.zeros((0, 4), np.int8),
    np.array([True, False]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_reads_what_numpy_wrote(tmp_path, array):
    got = read_npy(write(tmp_path / "a.npy", npy_bytes(array)))
    np.testing.assert_array_equal(got, array)
    assert got.dtype == array.dtype.newbyteorder("=")
    assert got.shape == array.shape
    assert got.flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_archives(tmp_path, save):
    save(tmp_path / "a.npz", x=ARRAYS[0], y=ARRAYS[2])
    got = read_npz(tmp_path / "a.npz")
    assert list(got) == ["x", "y"]
    np.testing.assert_array_equal(got["x"], ARRAYS[0])
    np.testing.assert_array_equal(got["y"], ARRAYS[2])


def test_pickle_is_refused_and_never_run(tmp_path):
    canary = tmp_path / "canary"
    objects = npy_bytes(np.array([Canary(canary)], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="could run code"):
        read_npy(write(tmp_path / "a.npy", objects))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", objects)
    with pytest.raises(FormatError, match=r"x.npy.*could run code"):
        read_npz(tmp_path / "a.npz")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = write(tmp_path / "b.npy", pickle.dumps(Canary(canary), protocol))
        with pytest.raises(FormatError, match="pickle" if protocol >= 2 else "not a .npy"):
            read_npy(path)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Canary(canary)))
    with pytest.raises(FormatError, match="could run code"):
        read_npz(tmp_path / "c.npz")
    assert not canary.exists()


D = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "an empty file"),
        (b"\x93NUMPX\x01\x00", "magic number at offset 0-7"),
        (b"\x93NUMPY\x09\x00", "magic number"),
        (b"<html>not found</html>", "web page"),
        (b"\x93NUMPY\x01\x00\xff", "header length at offset 8"),
        (header(D % "(3,)", length=60000), "header length"),
        (header(D % "(3,)") + bytes(11), "given: 11 bytes.*expected: 12"),
        (header(D % "(3,)") + bytes(13), "given: 13 bytes.*expected: 12"),
        (header(D % "(1000000000000,)") + bytes(12), "expected: 4,000,000,000,000"),
        (header(D % "(-3, -1)") + bytes(12), "bad header"),
        (header(D % f"({2**40}, {2**40}, 0)"), "impossible dimensions"),
        (header(D % "(True,)") + bytes(4), "bad header"),
        (header(D % ("(" + "1," * 33 + ")")) + bytes(4), "impossible dimensions"),
        (header(D % "(3.0,)") + bytes(12), "bad header"),
        (header(D % "[3]") + bytes(12), "bad header"),
        (header("{'descr': '<f4'}") + bytes(12), "bad header"),
        (header("__import__('os').getcwd()"), "bad header"),
        (header("(" * 5000), "bad header"),
        (header("nonsense \xff"), "bad header"),
        (header(D.replace("<f4", "<U9") % "(1,)") + bytes(36), "no numbers"),
        (header(D.replace("<f4", "<c8") % "(1,)") + bytes(8), "no numbers"),
        (header(D.replace("'<f4'", "[('a', '<f4')]") % "(1,)") + bytes(4), "no numbers"),
    ],
)
def test_malformed_headers(tmp_path, data, words):
    path = write(tmp_path / "bad.npy", data)
    with pytest.raises(FormatError, match=words) as caught:
        read_npy(path)
    assert "bad.npy" in str(caught.value)


def test_truncated_at_every_byte(tmp_path):
    data = npy_bytes(np.arange(6, dtype=np.int16))
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read_npy(write(tmp_path / "a.npy", data[:length]))


def test_archive_truncated_or_damaged_anywhere(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, 64, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x)
    data = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"
    for length in range(0, len(data), 3):
        with pytest.raises(FormatError):
            read_npz(write(path, data[:length]))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            got = read_npz(write(path, bytes(damaged)))
        except FormatError:
            continue
        # Fields without meaning for the content: times, versions, attributes.
        assert list(got) == ["x"]
        np.testing.assert_array_equal(got["x"], x)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_flipped_bit_loses_or_renames_an_array(tmp_path, save):
    arrays = {"x": np.ones(3), "y": np.arange(3), "z": np.zeros(2, np.uint8)}
    save(tmp_path / "a.npz", **arrays)
    data = (tmp_path / "a.npz").read_bytes()
    for place in range(0, 8 * len(data), 5):  # each bit of a byte in turn
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            got = read_npz(write(tmp_path / "b.npz", bytes(damaged)))
        except FormatError:
            continue
        assert list(got) == list(arrays), place
        assert all(np.array_equal(got[name], arrays[name]) for name in arrays), place


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name in members:
            archive.writestr(name, npy_bytes(np.zeros(1)))
    return path


@pytest.mark.parametrize(
    "names",
    [["x.npy", "x"], ["x"], ["x.npy", "readme.txt"], ["x.npy/"], ["../x.npy"], ["/etc/x.npy"]],
)  # E16
def test_members_that_are_no_arrays_are_refused(tmp_path, names):
    with pytest.raises(FormatError, match="which is no array"):
        read_npz(zipped(tmp_path / "a.npz", names))


def test_bytes_that_belong_to_no_array_are_refused(tmp_path):
    data = zipped(tmp_path / "a.npz", ["x.npy"]).read_bytes()
    with pytest.raises(FormatError, match="belong to no array"):
        read_npz(write(tmp_path / "b.npz", b"MZ a program" + data))


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_written_to_a_pipe_have_sizes_behind_the_members(tmp_path, kind):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.parts = []

        def writable(self):
            return True

        def write(self, part):
            self.parts.append(bytes(part))
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", kind) as archive:
        for name in ("x.npy", "y.npy"):
            with archive.open(name, "w", force_zip64=name == "x.npy") as member:
                member.write(npy_bytes(np.arange(4)))
    got = read_npz(write(tmp_path / "a.npz", b"".join(pipe.parts)))
    assert [value.tolist() for value in got.values()] == [[0, 1, 2, 3]] * 2


def test_zip_bomb_is_refused_before_it_unpacks(tmp_path, small_memory):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", header(D % f"({25 * 2**20},)") + bytes(100 * 2**20))
    with (
        small_memory(),
        pytest.raises(FormatError, match=r"bomb.npz: the archive would unpack to 104,857,6"),
    ):
        read_npz(path)
    assert read_npz(path, max_bytes=2**27)["x"].shape == (25 * 2**20,)


def test_zip_that_lies_about_its_size_stops_there(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header(D % "(4,)") + bytes(80 * 2**20))
    data = path.read_bytes()
    true = (80 * 2**20 + len(header(D % "(4,)"))).to_bytes(4, "little")
    lie = (16 + len(header(D % "(4,)"))).to_bytes(4, "little")
    assert data.count(true) == 2
    with pytest.raises(FormatError, match="CRC"):
        read_npz(write(path, data.replace(true, lie)))


def test_odd_archives(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FormatError, match="web page"):
        read_npz(write(path, b"<!DOCTYPE html><title>404</title>"))
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(FormatError, match="no arrays"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", npy_bytes(np.zeros(1)))
        archive.writestr("x.npy", npy_bytes(np.ones(1)))
    with pytest.raises(FormatError, match="twice"):
        read_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", npy_bytes(np.zeros(1)))
    with pytest.raises(FormatError, match="unusual"):
        read_npz(path)
