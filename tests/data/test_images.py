"""Images through Pillow, and class folders; every fault of E12 is refused with the file's name."""

import builtins
import struct
import zlib

import numpy as np
import pytest

from chainrule.data import DataLoader, ImageFolder, RandomShift, read_image
from chainrule.errors import (
    ArgumentError,
    FormatError,
    MissingDependencyError,
    OutOfRangeError,
)

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")

GREY = np.arange(35, dtype=np.uint8).reshape(5, 7)
COLOUR = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)


def save(path, pixels, mode=None, **options):
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def png(width, height, depth=8, colour=0):
    """A PNG with a valid header and no pixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_reads_grey_and_colour(tmp_path):
    grey = read_image(save(tmp_path / "g.png", GREY))
    np.testing.assert_array_equal(grey, GREY[None])
    assert grey.dtype == np.uint8
    colour = read_image(save(tmp_path / "c.png", COLOUR))
    np.testing.assert_array_equal(colour, COLOUR.transpose(2, 0, 1))
    assert colour.flags.c_contiguous
    assert colour.flags.writeable
    assert read_image(save(tmp_path / "c.jpg", COLOUR)).shape == (3, 5, 7)


def test_mode_and_size(tmp_path):
    path = save(tmp_path / "c.png", COLOUR)
    assert read_image(path, mode="L").shape == (1, 5, 7)
    assert read_image(path, size=(10, 4)).shape == (3, 10, 4)
    flat = save(tmp_path / "flat.png", np.full((9, 9), 77, np.uint8))
    assert (read_image(flat, size=(4, 6)) == 77).all()
    assert read_image(save(tmp_path / "g.png", GREY), mode="RGB").shape == (3, 5, 7)
    with pytest.raises(ArgumentError, match="mode"):
        read_image(path, mode="CMYK")


def test_one_bit_and_palette(tmp_path):
    bits = np.array([[0, 255], [255, 0]], np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", bits, "1"))[0], bits)
    red = np.zeros((3, 3, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "p.png", red, "P")), red.transpose(2, 0, 1)
    )


def test_alpha_must_be_opaque(tmp_path):
    layered = np.dstack([COLOUR, np.full((5, 7), 255, np.uint8)])
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "o.png", layered)), COLOUR.transpose(2, 0, 1)
    )
    assert read_image(save(tmp_path / "la.png", GREY, "LA")).shape == (1, 5, 7)
    layered[2, 2, 3] = 254
    with pytest.raises(FormatError, match=r"t\.png: the image has transparent pixels"):
        read_image(save(tmp_path / "t.png", layered))
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "pt.png", transparency=0)
    with pytest.raises(FormatError, match="transparent"):
        read_image(tmp_path / "pt.png")


def test_unsupported_modes(tmp_path):
    deep = Image.fromarray(GREY.astype(np.uint16) * 256)
    deep.save(tmp_path / "deep.png")
    with pytest.raises(FormatError, match=r"deep\.png: 16 bits per channel.*8-bit"):
        read_image(tmp_path / "deep.png")
    with pytest.raises(FormatError, match="mode CMYK"):
        read_image(save(tmp_path / "k.jpg", COLOUR, "CMYK"))


def test_declared_size_is_capped_before_unpacking(tmp_path, small_memory):
    Image.init()
    for side in (10_000, 20_000, 2**31 - 1):
        (tmp_path / "huge.png").write_bytes(png(side, side))
        with small_memory(), pytest.raises(FormatError, match=r"huge\.png: .*pixels"):
            read_image(tmp_path / "huge.png")
    path = save(tmp_path / "g.png", GREY)
    with pytest.raises(FormatError, match="7 × 5 pixels; expected: at most 34"):
        read_image(path, max_pixels=34)
    assert read_image(path, max_pixels=35).shape == (1, 5, 7)


@pytest.mark.parametrize("name", ["g.png", "g.jpg"])
def test_truncated_anywhere(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    data = save(tmp_path / name, noise).read_bytes()
    bad = tmp_path / ("bad" + name)
    # A PNG ends in the checksum of its end mark, a JPEG in the mark: no picture is missing there.
    for length in range(len(data) - (4 if name.endswith("png") else 2)):
        bad.write_bytes(data[:length])
        with pytest.raises(FormatError, match="not a sound PNG or JPEG"):
            read_image(bad)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"<html>404</html>")
    with pytest.raises(FormatError, match="web page"):
        read_image(tmp_path / "x.png")
    save(tmp_path / "x.gif", GREY)
    with pytest.raises(FormatError, match="not a sound PNG or JPEG"):
        read_image(tmp_path / "x.gif")


def test_a_png_with_any_flipped_byte_is_refused(tmp_path):
    data = save(tmp_path / "g.png", GREY).read_bytes()
    for place in range(len(data) - 12):  # the end mark is 12 bytes
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        (tmp_path / "bad.png").write_bytes(bytes(damaged))
        with pytest.raises(FormatError, match=r"bad\.png"):
            read_image(tmp_path / "bad.png")


def test_missing_pillow_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_pillow(name, *rest):
        if name.split(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(MissingDependencyError, match=r"Pillow.*chainrule\[images\]"):
        read_image(tmp_path / "x.png")


@pytest.fixture
def folder(tmp_path):
    for name, count in (("dog", 2), ("cat", 3)):
        (tmp_path / name).mkdir()
        for place in range(count):
            save(tmp_path / name / f"{place}.png", GREY + place)
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_image_folder(folder):
    data = ImageFolder(folder)
    assert data.classes == ("cat", "dog")
    assert data.task == "classification"
    assert len(data) == 5
    x, y = data.gather([4, 0])
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[0, 0], (GREY + 1) / np.float32(255))
    assert y.tolist() == [1, 0]
    assert data[-1][1] == 1
    assert data.input_shape == (1, 5, 7)
    with pytest.raises(OutOfRangeError, match="of 5"):
        data[5]
    loader = DataLoader(data, 2)
    assert loader.prefetch > 0
    assert [batch.shape for batch, _ in loader] == [(2, 1, 5, 7), (2, 1, 5, 7), (1, 1, 5, 7)]


def test_image_folder_in_memory_is_the_same(folder):
    data = ImageFolder(folder)
    memory = data.to_memory()
    assert memory.arrays[0].dtype == np.uint8
    for left, right in zip(data.gather(range(5)), memory[:], strict=True):
        np.testing.assert_array_equal(left, right)
    assert memory.describe() == data.describe()


def test_image_folder_options(folder):
    assert ImageFolder(folder, size=(4, 4), mode="RGB").input_shape == (3, 4, 4)
    known = ImageFolder(folder, classes=("bird", "cat", "dog"))
    assert known.labels.tolist() == [1, 1, 1, 2, 2]
    with pytest.raises(FormatError, match="'dog' is no class of training"):
        ImageFolder(folder, classes=("bird", "cat"))
    assert ImageFolder(folder, transform=RandomShift(1)).random


def test_image_folder_faults(folder):
    save(folder / "dog" / "odd.png", GREY.T.copy())
    data = ImageFolder(folder)
    with pytest.raises(FormatError, match=r"odd\.png is of another size.*\(1, 7, 5\)") as caught:
        data.gather([0, 5])
    assert "sample 5 of ImageFolder" in caught.value.__notes__[0]
    (folder / "empty").mkdir()
    with pytest.raises(FormatError, match="empty holds no PNG"):
        ImageFolder(folder)
    with pytest.raises(FormatError, match="no class folders"):
        ImageFolder(folder / "empty")
    with pytest.raises(FileNotFoundError):
        ImageFolder(folder / "absent")
