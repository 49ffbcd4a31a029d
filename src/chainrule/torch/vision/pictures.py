"""Converts between Pillow's pictures and tensors, and applies Pillow's operations to tensors."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError, missing_dependency
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy

_CHANNELS = {"1": np.bool_, "L": np.uint8, "I": np.int32, "I;16": np.int16, "F": np.float32}
"""Mode of a picture with one channel → its dtype. Other modes have eight bits per channel."""


class InterpolationMode(Enum):
    """The method of interpolation between pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def pillow() -> ModuleType:
    """The module Pillow. Raises MissingDependencyError without it."""
    try:
        from PIL import Image
    except ImportError:
        raise missing_dependency("Pillow", "images", "transforming pictures") from None
    return Image


def resampling(mode: Any) -> Any:
    """Pillow's filter for a mode or for Pillow's number of it."""
    kinds = pillow().Resampling
    if not isinstance(mode, InterpolationMode):
        return kinds(mode)
    return kinds[mode.name.removesuffix("_EXACT")]


def size_of(image: Any) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(image, Tensor):
        if image.ndim < 2:
            raise ShapeError("a picture is (..., H, W)", given=image.shape)
        return image._data.shape[-2:]
    require_picture(image)
    width, height = image.size
    return height, width


def require_picture(image: Any) -> None:
    """Raise an error for anything but a tensor or a picture of Pillow's."""
    if not isinstance(image, (Tensor, pillow().Image)):
        raise DTypeError(
            "a transform takes a picture of Pillow's, or a tensor",
            given=type(image).__name__,
            instead="Put ToTensor() or ToPILImage() before it.",
        )


def to_array(image: Any) -> Array:
    """The pixels (H, W, C) of a picture, or an array unchanged."""
    pixels = (
        image
        if isinstance(image, np.ndarray)
        else np.array(image, _CHANNELS.get(image.mode, np.uint8))
    )
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def from_array(pixels: Array, mode: str | None = None) -> Any:
    """A picture of pixels (H, W, C), C = 1 to 4."""
    image = pillow()
    channels = pixels.shape[2]
    if channels == 1:
        kinds = {np.dtype(kind): name for name, kind in _CHANNELS.items() if name != "1"}
        if pixels.dtype not in kinds:
            raise DTypeError("no picture has such numbers", given=pixels.dtype)
        picture = image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    elif channels in (2, 3, 4) and pixels.dtype == np.uint8:
        picture = image.fromarray(np.ascontiguousarray(pixels))
    else:
        raise ShapeError(
            "a picture has 1 channel, or 2 to 4 of eight bits",
            given=f"{pixels.dtype}{pixels.shape}",
        )
    return picture if mode is None else picture.convert(mode)


def by_channel(x: Tensor, change: Callable[[Any], Any]) -> Tensor:
    """Apply a function of pictures to each plane (H, W) of a tensor, and keep the dtype."""
    image = pillow()
    planes = np.asarray(x.detach(), np.float32).reshape(-1, *size_of(x))
    changed = [np.asarray(change(image.fromarray(plane))) for plane in planes]
    height, width = changed[0].shape
    numbers = np.stack(changed).reshape(*x._data.shape[:-2], height, width)
    dtype = x._data.dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        numbers = np.clip(np.rint(numbers), limits.min, limits.max)
    return from_numpy(numbers.astype(dtype))
