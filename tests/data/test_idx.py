"""IDX files: what is right reads right, and every fault of E1-E5 ends in a FormatError."""

import gzip
import os
import struct

import numpy as np
import pytest

from chainrule.data.idx import find_idx, read_idx, read_idx_folder, read_idx_pair
from chainrule.errors import FormatError

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx_bytes(array, dtype="u1"):
    array = np.asarray(array)
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[dtype], array.ndim, *array.shape)
    return head + array.astype(dtype).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 7, 5))
GOOD = idx_bytes(IMAGES)


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_every_dtype(tmp_path, dtype, pack):
    values = (
        np.arange(-12, 12).reshape(2, 3, 4) if dtype != "u1" else np.arange(24).reshape(2, 3, 4)
    )
    got = read_idx(write(tmp_path / "x", pack(idx_bytes(values, dtype))))
    np.testing.assert_array_equal(got, values)
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    assert got.flags.writeable


def test_reads_an_empty_set(tmp_path):
    assert read_idx(write(tmp_path / "x", idx_bytes(np.zeros((0, 3))))).shape == (0, 3)


@pytest.mark.parametrize(
    "head, words",
    [
        (b"\x00\x01\x08\x03", "offset 0-3; given: 00 01 08 03"),
        (b"\x00\x00\x07\x03", "offset 0-3; given: 00 00 07 03"),
        (b"\x00\x00\x08\x00", "rank at offset 3.*given: 0"),
        (b"\x00\x00\x08\xff", "rank at offset 3.*given: 255"),
        (b"<!DOCTYPE html>", "web page"),
        (b"", "header ends early, at offset 0"),
        (b"\x00\x00\x08", "header ends early, at offset 3"),
        (b"\x00\x00\x08\x02\x00\x00", "header ends early, at offset 6"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_bad_headers(tmp_path, head, words, pack):
    with pytest.raises(FormatError, match=words) as caught:
        read_idx(write(tmp_path / "x.idx", pack(head)))
    assert "x.idx" in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("rank", [1, 3])
def test_huge_dimensions_are_refused_before_memory_is_taken(tmp_path, small_memory, pack, rank):
    head = struct.pack(f">BBBB{rank}I", 0, 0, 8, rank, *[2**32 - 1] * rank)
    path = write(tmp_path / "x", pack(head + b"123"))
    with small_memory(), pytest.raises(FormatError, match=f"{(2**32 - 1) ** rank:,}"):
        read_idx(path)


def test_a_zero_does_not_hide_impossible_dimensions(tmp_path):
    head = struct.pack(">BBBB4I", 0, 0, 8, 4, 2**31, 2**31, 2**31, 0)
    with pytest.raises(FormatError, match="impossible dimensions at offset 4"):
        read_idx(write(tmp_path / "x", head))


@pytest.mark.parametrize("cut", [1, 17, 699])
def test_truncated_and_trailing(tmp_path, cut):
    with pytest.raises(
        FormatError, match=f"given: {700 - cut} bytes from offset 16; expected: 700"
    ):
        read_idx(write(tmp_path / "x", GOOD[:-cut]))
    with pytest.raises(FormatError, match=f"given: {700 + cut:,} bytes"):
        read_idx(write(tmp_path / "x", GOOD + bytes(cut)))
    with pytest.raises(FormatError, match=f"ends early; given: {700 - cut} bytes; expected: 700"):
        read_idx(write(tmp_path / "x", gzip.compress(GOOD[:-cut])))
    with pytest.raises(FormatError, match="too long; given: more than 700 bytes"):
        read_idx(write(tmp_path / "x", gzip.compress(GOOD + bytes(cut))))


def test_gzip_truncated_at_every_byte(tmp_path):
    packed = gzip.compress(GOOD)
    for length in range(len(packed)):
        with pytest.raises(FormatError):
            read_idx(write(tmp_path / "x", packed[:length]))


def test_gzip_with_any_flipped_byte_fails_or_reads_the_same(tmp_path):
    packed = gzip.compress(GOOD, mtime=0)
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 0xFF
        path = write(tmp_path / "x", bytes(damaged))
        # Bytes 4-9 hold the time, the compressor's level and the system: no content.
        if 4 <= place <= 9:
            np.testing.assert_array_equal(read_idx(path), IMAGES)
        else:
            with pytest.raises(FormatError):
                read_idx(path)


@pytest.mark.parametrize("field", [-8, -4], ids=["CRC", "size"])
def test_gzip_checksums_are_compared(tmp_path, field):
    packed = bytearray(gzip.compress(GOOD))
    packed[field] ^= 1
    with pytest.raises(FormatError, match="damaged"):
        read_idx(write(tmp_path / "x", bytes(packed)))


def test_gzip_bomb_stops_at_the_declared_size(tmp_path, small_memory):
    bomb = gzip.compress(idx_bytes(np.zeros(10)) + bytes(200 * 2**20), compresslevel=1)
    path = write(tmp_path / "x", bomb)
    with small_memory(), pytest.raises(FormatError, match="more than 10 bytes"):
        read_idx(path)


def test_gzip_bomb_with_an_honest_header_is_capped(tmp_path):
    head = struct.pack(">BBBBI", 0, 0, 8, 1, 100 * 2**20)
    path = write(tmp_path / "x", gzip.compress(head + bytes(100 * 2**20)))
    with pytest.raises(FormatError, match=r"104,857,600 bytes.*max_bytes"):
        read_idx(path)
    assert read_idx(path, max_bytes=2**27).shape == (100 * 2**20,)
    with pytest.raises(FormatError, match="at most 500"):
        read_idx(write(tmp_path / "y", gzip.compress(GOOD)), max_bytes=500)


def test_not_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="regular"):
        read_idx(tmp_path / "pipe")
    with pytest.raises(FormatError, match="folder"):
        read_idx(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


def test_pairs(tmp_path):
    images = write(tmp_path / "i", GOOD)
    x, y = read_idx_pair(images, write(tmp_path / "l", idx_bytes(np.arange(20) % 10)))
    assert (x.shape, x.dtype) == ((20, 1, 7, 5), np.uint8)
    assert y.dtype == np.int64
    with pytest.raises(FormatError, match="20 images and 19 labels"):
        read_idx_pair(images, write(tmp_path / "l", idx_bytes(np.zeros(19))))
    with pytest.raises(FormatError, match=r"uint8 \(20, 7, 5\)"):
        read_idx_pair(images, images)
    with pytest.raises(FormatError, match="float32"):
        read_idx_pair(images, write(tmp_path / "l", idx_bytes(np.zeros(20), ">f4")))


@pytest.mark.parametrize("stem", ["train-{}-idx{}-ubyte", "train-{}.idx{}-ubyte.gz"])
def test_folders(tmp_path, stem):
    pack = gzip.compress if stem.endswith("gz") else bytes
    write(tmp_path / stem.format("images", 3), pack(GOOD))
    with pytest.raises(FormatError, match="lacks the train labels"):
        read_idx_folder(tmp_path, "train")
    write(tmp_path / stem.format("labels", 1), pack(idx_bytes(np.zeros(20))))
    assert read_idx_folder(tmp_path, "train")[0].shape == (20, 1, 7, 5)
    assert read_idx_folder(tmp_path, "t10k") is None
    assert find_idx(tmp_path, "train", "images").endswith(stem.format("images", 3))
