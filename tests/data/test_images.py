"""Images through Pillow, and class folders; every fault of E12 is refused with the file's name."""

import builtins
import os
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


def png(width, height, depth=8, colour=0, pixels=b""):
    """A PNG with a valid header, by default without pixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


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


def test_transparent_pixels_are_put_onto_white(tmp_path):
    layered = np.dstack([COLOUR, np.full((5, 7), 255, np.uint8)])
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "o.png", layered)), COLOUR.transpose(2, 0, 1)
    )
    assert read_image(save(tmp_path / "la.png", GREY, "LA")).shape == (1, 5, 7)
    layered[2, 2, 3] = 0
    white = COLOUR.copy()
    white[2, 2] = 255
    found = read_image(save(tmp_path / "t.png", layered))
    np.testing.assert_array_equal(found, white.transpose(2, 0, 1))
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "pt.png", transparency=int(GREY[0, 0]))
    assert read_image(tmp_path / "pt.png")[:, 0, 0].tolist() == [255] * 3


def test_unsupported_modes(tmp_path):
    deep = Image.fromarray(GREY.astype(np.uint16) * 256)
    deep.save(tmp_path / "deep.png")
    with pytest.raises(FormatError, match=r"deep\.png: 16 bits per channel.*8-bit"):
        read_image(tmp_path / "deep.png")
    with pytest.raises(FormatError, match="mode CMYK"):
        read_image(save(tmp_path / "k.jpg", COLOUR, "CMYK"))


@pytest.mark.parametrize("colour, channels", [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_png_of_16_bits_is_refused_whatever_its_colours(tmp_path, colour, channels):
    line = zlib.compress(b"\0" + struct.pack(f">{channels}H", *[2600] * channels))
    (tmp_path / "deep.png").write_bytes(png(1, 1, 16, colour, line))
    with pytest.raises(FormatError, match=r"deep\.png: 16 bits per channel.*8-bit"):
        read_image(tmp_path / "deep.png")


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(GREY + shade) for shade in (0, 9)]
    for name in ("x.gif", "x.webp", "x.png", "x.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(FormatError, match="holds several frames"):
            read_image(tmp_path / name)


def test_a_phones_jpeg_with_a_preview_is_its_first_picture(tmp_path):
    frames = [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in (50, 200)]
    frames[0].save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=frames[1:])
    # JPEG rounds a flat picture by a level or two.
    np.testing.assert_allclose(read_image(tmp_path / "x.jpg"), 50, atol=3)


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


LOSSLESS = {"PNG": {}, "BMP": {}, "GIF": {}, "TIFF": {}, "WEBP": {"lossless": True}}
END_MARKS = {"PNG": 4, "JPEG": 2, "GIF": 2}
"""Bytes at the end after which no picture is missing: an end mark, or its checksum."""


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_format_reads_the_same_pixels(tmp_path, kind):
    path = tmp_path / "no_suffix_that_tells"
    Image.fromarray(COLOUR).save(path, kind, **LOSSLESS[kind])
    np.testing.assert_array_equal(read_image(path, "RGB"), COLOUR.transpose(2, 0, 1))


# Pillow says of some damaged files what it found odd, before it refuses them.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_truncated_anywhere(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "g", kind, **LOSSLESS.get(kind, {}))
    data, bad = (tmp_path / "g").read_bytes(), tmp_path / "bad"
    for length in range(len(data) - END_MARKS.get(kind, 0)):
        bad.write_bytes(data[:length])
        with pytest.raises(FormatError, match="not a sound image"):
            read_image(bad)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"<html>404</html>")
    with pytest.raises(FormatError, match="web page"):
        read_image(tmp_path / "x.png")
    save(tmp_path / "x.ppm", GREY)
    with pytest.raises(FormatError, match=r"not a sound image.*expected: PNG, JPEG"):
        read_image(tmp_path / "x.ppm")


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
    assert known.targets.tolist() == [1, 1, 1, 2, 2]
    with pytest.raises(FormatError, match="'dog' is no class of training"):
        ImageFolder(folder, classes=("bird", "cat"))
    assert ImageFolder(folder, transform=RandomShift(1)).random


def test_image_folder_faults(folder):
    (folder / "dog" / "odd.png").write_text("no image")
    with pytest.raises(FormatError, match=r"odd\.png: not a sound image") as caught:
        ImageFolder(folder).gather([0, 5])
    assert "sample 5 of ImageFolder" in caught.value.__notes__[0]
    (folder / "empty").mkdir()
    with pytest.raises(FormatError, match="empty holds no image"):
        ImageFolder(folder)
    with pytest.raises(FormatError, match="no class folders"):
        ImageFolder(folder / "empty")
    with pytest.raises(FileNotFoundError):
        ImageFolder(folder / "absent")


def test_no_image_of_a_folder_is_left_out(folder):
    """Told by the ending, by the content, or in a folder below: it is a sample, or an error."""
    for name in ("a.bmp", "b.webp", "c.tif", "d.gif", "e.JPG", "f.jfif"):
        Image.fromarray(GREY).convert("RGB").save(folder / "cat" / name)
    save(folder / "cat" / "g.png", GREY).rename(folder / "cat" / "without_ending")
    (folder / "cat" / "more" / "deep").mkdir(parents=True)
    save(folder / "cat" / "more" / "deep" / "h.png", GREY)
    data = ImageFolder(folder, mode="L")
    assert len(data) == 5 + 8
    assert len(data.to_memory()) == 13


@pytest.mark.parametrize("name", ["x.svg", "x.ico", "x.heic", "x.png"])
def test_an_image_that_cannot_be_read_is_an_error(folder, name):
    (folder / "cat" / name).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    with pytest.raises(FormatError, match=r"x\.\w+: not a sound image"):
        ImageFolder(folder).to_memory()


def test_images_beside_the_class_folders_are_an_error(folder):
    save(folder / "outside.png", GREY)
    with pytest.raises(FormatError, match=r"beside its class folders; given: outside\.png"):
        ImageFolder(folder)


def test_links_are_followed_but_not_in_circles(folder):
    (folder / "cat" / "linked").symlink_to(folder / "dog")
    assert len(ImageFolder(folder)) == 7
    (folder / "cat" / "circle").symlink_to(folder / "cat")
    with pytest.raises(FormatError, match="is a link back to"):
        ImageFolder(folder)


def test_images_of_several_sizes_or_colours_get_one(folder):
    assert ImageFolder(folder).image == (1, 5, 7, 255.0)
    save(folder / "dog" / "9.png", COLOUR)
    grey = ImageFolder(folder).to_memory().arrays[0][0]
    np.testing.assert_array_equal(grey, np.broadcast_to(GREY, (3, 5, 7)))
    assert ImageFolder(folder, mode="L").to_memory().input_shape == (1, 5, 7)
    save(folder / "cat" / "turned.png", GREY.T.copy())
    assert ImageFolder(folder).to_memory().input_shape == (3, 64, 64)
    assert ImageFolder(folder, size=(9, 9)).to_memory().input_shape == (3, 9, 9)


def test_large_images_become_small(folder):
    for file in folder.glob("*/*.png"):
        save(file, np.zeros((300, 200), np.uint8))
    assert ImageFolder(folder).to_memory().input_shape == (1, 64, 64)


def test_a_pipe_in_a_folder_is_an_error(folder):
    os.mkfifo(folder / "cat" / "pipe.png")
    with pytest.raises(FormatError, match="not a regular file"):
        ImageFolder(folder).to_memory()
    os.mkfifo(folder / "cat" / "pipe")  # neither its name nor its content says that it is an image
    (folder / "cat" / "pipe.png").unlink()
    assert len(ImageFolder(folder)) == 5
