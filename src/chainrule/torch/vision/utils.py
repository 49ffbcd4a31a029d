"""`torchvision.utils`: grids of pictures, and picture files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter import names
from chainrule.torch.vision import pictures


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Join pictures (N, C, H, W), or a list of (C, H, W): `nrow` in a row, with `padding` pixels
    between.

    `normalize` maps the range of the numbers, or `value_range`, to 0 … 1, with `scale_each` for
    each picture separately. Grey pictures get three channels.

    >>> import chainrule as cr
    >>> make_grid(cr.ones(5, 1, 4, 4), nrow=3).shape
    torch.Size([3, 14, 20])
    """
    images = _batch(tensor)
    if normalize:
        parts = [images[i : i + 1] for i in range(len(images))] if scale_each else [images]
        images = np.concatenate([_normalized(part, value_range) for part in parts])
    if len(images) == 1:
        return from_numpy(images[0])
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    h, w = height + padding, width + padding
    rows = math.ceil(count / columns)
    grid = np.full((channels, h * rows + padding, w * columns + padding), pad_value, images.dtype)
    for i, image in enumerate(images):
        top, left = i // columns * h + padding, i % columns * w + padding
        grid[:, top : top + height, left : left + width] = image
    return from_numpy(grid)


def _batch(tensor: Any) -> Array:
    """The pictures as one array (N, C, H, W) with C = 3 for grey ones."""
    if isinstance(tensor, (list, tuple)):
        images = np.stack([np.asarray(x.detach()) for x in tensor])
    else:
        images = np.array(tensor.detach())
    images = images[None] if images.ndim == 2 else images
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4:
        raise ShapeError("pictures are (N, C, H, W)", given=images.shape)
    return np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images


def _normalized(images: Array, value_range: Sequence[float] | None) -> Array:
    low, high = value_range or (images.min(), images.max())
    return ((np.clip(images, low, high) - low) / max(high - low, 1e-5)).astype(images.dtype)


def save_image(tensor: Any, fp: Any, format: str | None = None, **options: Any) -> None:
    """Write pictures with numbers from 0 to 1 to a file, joined by `make_grid`."""
    grid = np.asarray(make_grid(tensor, **options))
    pixels = np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8)
    pictures.from_array(pixels.transpose(1, 2, 0)).save(fp, format=format)


__getattr__, __dir__ = names.facade(__name__)
