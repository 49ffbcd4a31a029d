"""Image files, read with Pillow (the extra `images`), and folders with one subfolder per class."""

from __future__ import annotations

import mimetypes
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, ImageFormat
from chainrule.data.files import PathLike, looks_like_html, open_regular
from chainrule.data.stored import StoredDataset
from chainrule.data.transforms import Array, Rescale, Transform
from chainrule.errors import (
    ArgumentError,
    FormatError,
    listing,
    missing_dependency,
)

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_MAX_PIXELS = 2**26
_KEPT, _DEFAULT, _ORIENTATION = 128, (64, 64), 0x0112
# Pillow's names of raw modes with 16-bit samples; its 8-bit modes would drop the lower 8 bits.
_SIXTEEN_BITS = re.compile(r";16[BLN]")


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise missing_dependency("Pillow", "images", "reading image files") from None
    return Image


def read_image(
    path: PathLike,
    mode: str | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = _MAX_PIXELS,
) -> Array:
    """The image in a file: uint8 (C, H, W), with C = 1 (grey) or 3 (RGB).

    Reads PNG, JPEG, BMP, GIF, TIFF and WebP. The contents decide the format, not the name.

    Parameters
    ----------
    mode: "L" (grey) or "RGB"; by default the mode of the file. Palettes become RGB, and the EXIF
        orientation is applied.
    size: (height, width) to resize to, with Lanczos filtering.
    max_pixels: the limit of width · height, checked before decoding.

    Transparent pixels are put onto white. Raises FormatError for other formats, damaged or
    truncated files, and too many pixels. Images that cannot be represented without loss are refused
    too: 16 bits per channel, several frames.
    """
    return pixels_of(_decode(_pillow(), path, max_pixels), mode, size)


def pixels_of(picture: Any, mode: str | None = None, size: tuple[int, int] | None = None) -> Array:
    """The pixels of an image of Pillow: uint8 (C, H, W). Options as of :func:`read_image`."""
    if mode not in (None, "L", "RGB"):
        raise ArgumentError("unknown image mode", given=mode, expected="'L' or 'RGB'")
    picture = _opaque(picture)
    picture = picture.convert(mode or ("L" if picture.mode in ("1", "L") else "RGB"))
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), _pillow().Resampling.LANCZOS)
    pixels = np.array(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _decode(pillow: ModuleType, path: PathLike, max_pixels: int) -> Any:
    broken = (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        IndexError,
        RuntimeError,
        OverflowError,
        MemoryError,
        struct.error,
        zlib.error,
        Warning,
    )
    bombs = (pillow.DecompressionBombError, pillow.DecompressionBombWarning)
    with open_regular(path) as (file, _):
        try:
            picture = pillow.open(file, formats=FORMATS)
            _check_header(picture, path, max_pixels)
            # Decoding does not check the checksums. `verify` does, but the image is then unusable.
            picture.verify()
            file.seek(0)
            picture = pillow.open(file, formats=FORMATS)
            picture.load()
            return _upright(picture)
        except FormatError:
            raise
        except bombs as error:
            raise FormatError(f"{os.fspath(path)}: too many pixels: {error}") from None
        except broken as error:
            file.seek(0)
            raise FormatError(
                f"{os.fspath(path)}: not a sound image: {error}",
                expected=f"{', '.join(FORMATS)}",
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
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise FormatError(
            f"{os.fspath(path)}: the file holds several frames",
            expected="one picture",
            instead="Save each frame as a file.",
        )
    deep = "I" in picture.mode or any(map(_is_deep, picture.tile))
    if deep or picture.mode not in ("1", "L", "RGB", "P", "LA", "RGBA", "PA"):
        what = "16 bits per channel" if deep else f"mode {picture.mode}"
        raise FormatError(
            f"{os.fspath(path)}: {what} is not supported",
            given=picture.mode,
            expected="grey or RGB with 8 bits per channel",
            instead="Save a copy as 8-bit grey or RGB.",
        )


def _is_deep(tile: Any) -> bool:
    """Whether a part of an image is stored with 16 bits per channel."""
    arguments = tile[3] if isinstance(tile[3], (tuple, list)) else (tile[3],)
    return any(isinstance(raw, str) and _SIXTEEN_BITS.search(raw) for raw in arguments)


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def _opaque(picture: Any) -> Any:
    """The image without its alpha channel, put onto white."""
    if picture.mode not in ("LA", "RGBA", "PA") and "transparency" not in picture.info:
        return picture
    layered = picture.convert("RGBA")
    white = _pillow().new("RGBA", layered.size, "white")
    white.alpha_composite(layered)
    return white.convert("L" if picture.mode == "LA" else "RGB")


def _survey(paths: Sequence[str]) -> tuple[set[tuple[int, int]], bool]:
    """The sizes (height, width) of images by their headers, and whether all of them are grey.

    An image without a sound header is left out; it is an error when it is read.
    """
    pillow, sizes, grey = _pillow(), set(), True
    for path in paths:
        with suppress(Exception), open_regular(path) as (file, _), pillow.open(file) as picture:
            lying = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = picture.size
            sizes.add((width, height) if lying else (height, width))
            grey &= picture.mode in ("1", "L", "LA")
    return sizes, grey


class ImageFolder(StoredDataset):
    """Images in one subfolder per class: `root/cat/1.png`, `root/dog/7.jpg`, ...

    Sample i is (image, label): float32 (C, H, W) in [0, 1] and an integer. Classes are the sorted
    names of the subfolders. Files are read on access; `to_memory` reads all. Every file that is an
    image by its name or its contents is a sample, also in nested folders. An image that cannot be
    read is an error. Hidden files are skipped.

    Parameters
    ----------
    size: (height, width) to resize all images to; by default, images of one size up to 128 × 128
        keep it, and others become 64 × 64.
    mode: "L" or "RGB"; by default "L" if all images are grey.
    transform: applied to uint8 batches (N, C, H, W); by default `Rescale(255)`.
    classes: the names of the classes in label order, if known from training.

    Raises FormatError if there is no class folder, if one contains no image, or if images lie
    beside the class folders.
    """

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
        names = tuple(found) if classes is None else tuple(classes)
        if unknown := sorted(set(found) - set(names)):
            raise FormatError(
                f"{self.root}: folder {unknown[0]!r} is no class of training",
                expected=f"{', '.join(names)}",
            )
        self.paths = [path for paths in found.values() for path in paths]
        places = [names.index(name) for name, paths in found.items() for _ in paths]
        if size is None or mode is None:
            sizes, grey = _survey(self.paths)
            mode = mode or ("L" if grey else "RGB")
            if size is None and (len(sizes) != 1 or max(max(size) for size in sizes) > _KEPT):
                size = _DEFAULT
            size = size or sizes.pop()
        self._size, self._mode = size, mode
        super().__init__(
            np.array(places, np.int64),
            classes=names,
            task=CLASSIFICATION,
            image=ImageFormat(1 if mode == "L" else 3, *size),
            transform=Rescale(255) if transform is None else transform,
        )

    def read(self, places: Array) -> Array:
        """The images at these places, uint8 (N, C, H, W)."""
        channels = 1 if self._mode == "L" else 3
        raw = np.empty((len(places), channels, *self._size), np.uint8)
        for place, index in enumerate(places.tolist()):
            try:
                raw[place] = read_image(self.paths[index], self._mode, self._size)
            except Exception as error:
                error.add_note(f"while reading sample {index} of ImageFolder")
                raise
        return raw


def class_folders(root: PathLike) -> dict[str, list[str]]:
    """The image files of each class folder, both sorted by name; hidden files are skipped."""
    folders: dict[str, list[str]] = {}
    beside = []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            beside += [entry.name] if is_image(entry.path) else []
            continue
        folders[entry.name] = list(_images_below(entry.path))
        if not folders[entry.name]:
            raise FormatError(f"{entry.path} holds no image")
    if not folders:
        raise FormatError(
            f"{os.fspath(root)} holds no class folders", expected="one sub-folder per class"
        )
    if beside:
        raise FormatError(
            f"{os.fspath(root)} holds images beside its class folders",
            given=listing(beside),
            expected="each image in the folder of its class",
        )
    return folders


def _images_below(folder: str) -> Iterator[str]:
    """All images in a folder and its subfolders, sorted by name within each folder."""
    seen = set()
    for path, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            raise FormatError(f"{path} is a link back to {real}", expected="a tree of folders")
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and is_image(os.path.join(path, name)):
                yield os.path.join(path, name)


def is_image(path: str) -> bool:
    """Whether a file is an image, by the extension of its name or else by its contents."""
    kind = mimetypes.guess_type(path)[0]
    if kind is not None and kind.startswith("image/"):
        return True
    try:
        with open_regular(path) as (file, _), _pillow().open(file):
            return True
    except Exception:  # Pillow raises various errors for other files and pipes.
        return False
