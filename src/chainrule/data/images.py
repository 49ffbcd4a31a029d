"""PNG and JPEG files through Pillow (the extra `images`), and folders with one class each."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, ArrayDataset, Dataset, ImageFormat
from chainrule.data.files import PathLike, looks_like_html, open_regular
from chainrule.data.transforms import Array, Generator, Rescale, Transform
from chainrule.errors import ArgumentError, FormatError, OutOfRangeError, missing_dependency

SUFFIXES = (".png", ".jpg", ".jpeg")
_MAX_PIXELS = 2**26


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise missing_dependency("Pillow", "images", "reading PNG and JPEG files") from None
    return Image


def read_image(
    path: PathLike,
    mode: str | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = _MAX_PIXELS,
) -> Array:
    """The picture in a PNG or JPEG file: uint8 (C, H, W), with C = 1 (grey) or 3 (RGB).

    Parameters
    ----------
    mode: "L" (grey) or "RGB"; by default what the file holds. Palettes become RGB, and the
        orientation that cameras note is applied.
    size: (height, width) to resize to, by area and filter (Lanczos).
    max_pixels: the largest declared width · height; checked before anything is unpacked.

    Raises FormatError for other formats, damaged or truncated files, too many pixels, 16 bits
    per channel and transparency: what is behind a transparent pixel is not in the file.
    """
    pillow = _pillow()
    if mode not in (None, "L", "RGB"):
        raise ArgumentError("unknown image mode", given=mode, expected="'L' or 'RGB'")
    picture = _opaque(_decode(pillow, path, max_pixels), path)
    picture = picture.convert(mode or ("L" if picture.mode in ("1", "L") else "RGB"))
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), pillow.Resampling.LANCZOS)
    pixels = np.array(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _decode(pillow: ModuleType, path: PathLike, max_pixels: int) -> Any:
    broken = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
    bombs = (pillow.DecompressionBombError, pillow.DecompressionBombWarning)
    with open_regular(path) as (file, _):
        try:
            picture = pillow.open(file, formats=("PNG", "JPEG"))
            _check_header(picture, path, max_pixels)
            # Decoding does not compare the checksums; this does, and spends the picture on it.
            picture.verify()
            file.seek(0)
            picture = pillow.open(file, formats=("PNG", "JPEG"))
            picture.load()
            return _upright(picture)
        except FormatError:
            raise
        except bombs as error:
            raise FormatError(f"{os.fspath(path)}: too many pixels: {error}") from None
        except broken as error:
            file.seek(0)
            raise FormatError(
                f"{os.fspath(path)}: not a sound PNG or JPEG image: {error}",
                instead=looks_like_html(file.read(16)),
            ) from error


def _check_header(picture: Any, path: PathLike, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise FormatError(
            f"{os.fspath(path)}: the header declares {width} × {height} pixels",
            expected=f"at most {max_pixels:,}",
            instead="If you trust the file, raise the cap: max_pixels=...",
        )
    if picture.mode not in ("1", "L", "RGB", "P", "LA", "RGBA", "PA"):
        what = "16 bits per channel" if "I" in picture.mode else f"mode {picture.mode}"
        raise FormatError(
            f"{os.fspath(path)}: {what} is not supported",
            given=picture.mode,
            expected="grey or RGB with 8 bits per channel",
            instead="Save a copy as 8-bit grey or RGB.",
        )


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def _opaque(picture: Any, path: PathLike) -> Any:
    """The picture without its alpha channel, which must say "opaque" everywhere."""
    if picture.mode not in ("LA", "RGBA", "PA") and "transparency" not in picture.info:
        return picture
    layered = picture.convert("RGBA")
    if layered.getextrema()[3][0] < 255:
        raise FormatError(
            f"{os.fspath(path)}: the image has transparent pixels",
            expected="an opaque image",
            instead="Save a copy on the background that the training images have.",
        )
    return layered.convert("L" if picture.mode == "LA" else "RGB")


class ImageFolder(Dataset):
    """Images in one sub-folder per class: `root/cat/1.png`, `root/dog/7.jpg`, ...

    Sample i is (image, label): float32 (C, H, W) in [0, 1] and an integer; classes are the
    sub-folders' names, sorted. Files are read when asked for; `to_memory` reads them all.

    Parameters
    ----------
    size: (height, width) to resize every image to; by default they must be of one size.
    mode: "L" or "RGB"; by default that of the first file.
    transform: applied to uint8 batches (N, C, H, W); by default `Rescale(255)`.
    classes: the class names in label order, if they are known from training.

    Raises FormatError if there is no class folder or one without images.
    """

    waits = True

    def __init__(
        self,
        root: PathLike,
        size: tuple[int, int] | None = None,
        mode: str | None = None,
        transform: Transform | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.root = os.fspath(root)
        found = class_folders(root)
        self.classes = tuple(found) if classes is None else tuple(classes)
        if unknown := sorted(set(found) - set(self.classes)):
            raise FormatError(
                f"{self.root}: folder {unknown[0]!r} is no class of training",
                expected=f"{', '.join(self.classes)}",
            )
        self.paths = [path for paths in found.values() for path in paths]
        places = [self.classes.index(name) for name, paths in found.items() for _ in paths]
        self.labels = np.array(places, np.int64)
        first = read_image(self.paths[0], mode, size)
        self._size = size
        self.image = ImageFormat(*first.shape)
        self.task = CLASSIFICATION
        self.transform = Rescale(255) if transform is None else transform
        self.random = self.transform.random

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"sample {index} of a dataset of {len(self)}")
        return tuple(field[0] for field in self.gather([index % len(self)]))

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        raw, labels = self._read(indices)
        transform = self.transform
        return (raw if transform is None else transform(raw, generator)), labels

    def _read(self, indices: Sequence[int] | Array) -> tuple[Array, Array]:
        facts = self.image
        shape = facts.shape if facts is not None else (0, 0, 0)
        raw = np.empty((len(indices), *shape), np.uint8)
        mode = "L" if shape[0] == 1 else "RGB"
        for place, index in enumerate(indices):
            path = self.paths[int(index)]
            try:
                pixels = read_image(path, mode, self._size)
                if pixels.shape != shape:
                    raise FormatError(
                        f"{path} is of another size than {self.paths[0]}",
                        given=pixels.shape,
                        expected=shape,
                        instead="Resize all images: size=(height, width).",
                    )
            except Exception as error:
                error.add_note(f"while reading sample {int(index)} of ImageFolder")
                raise
            raw[place] = pixels
        return raw, self.labels[np.asarray(indices)]

    def to_memory(self) -> ArrayDataset:
        """The same dataset with every image read once, as uint8 in memory."""
        raw, labels = self._read(range(len(self)))
        return ArrayDataset(
            raw, labels, classes=self.classes, transform=self.transform, image=self.image
        )


def class_folders(root: PathLike) -> dict[str, list[str]]:
    """The image files of each class folder, both sorted by name; hidden files are skipped."""
    folders: dict[str, list[str]] = {}
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        names = sorted(
            name
            for name in os.listdir(entry.path)
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        )
        if not names:
            raise FormatError(f"{entry.path} holds no PNG or JPEG image")
        folders[entry.name] = [os.path.join(entry.path, name) for name in names]
    if not folders:
        raise FormatError(
            f"{os.fspath(root)} holds no class folders", expected="one sub-folder per class"
        )
    return folders
