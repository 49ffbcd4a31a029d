"""`torchvision.transforms.functional`: the transforms as functions with explicit parameters.

Every function takes a picture of Pillow's or a tensor (..., H, W), and returns the same type.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn import functional
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter import names
from chainrule.torch.vision import pictures
from chainrule.torch.vision.pictures import InterpolationMode as InterpolationMode
from chainrule.torch.vision.pictures import by_channel, resampling, size_of

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


# -- kinds -------------------------------------------------------------------------------------


def to_tensor(pic: Any) -> Tensor:
    """Convert a picture or an array (H, W, C) to (C, H, W). uint8 becomes float32 from 0 to 1."""
    pixels = _planes(pic)
    if pixels.dtype == np.uint8:
        return from_numpy(np.divide(pixels, 255, dtype=np.float32))
    return from_numpy(pixels.astype(np.float32) if pixels.dtype == np.bool_ else pixels)


def pil_to_tensor(pic: Any) -> Tensor:
    """Convert a picture to (C, H, W) with the same numbers."""
    return from_numpy(_planes(pic))


def _planes(pic: Any) -> Any:
    if not isinstance(pic, np.ndarray):
        pictures.require_picture(pic)
    elif pic.ndim not in (2, 3):
        raise ShapeError("a picture is an array (H, W) or (H, W, C)", given=pic.shape)
    return np.ascontiguousarray(pictures.to_array(pic).transpose(2, 0, 1))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Convert a tensor (C, H, W) or an array (H, W, C) to a picture. Floats are from 0 to 1."""
    if isinstance(pic, np.ndarray):
        return pictures.from_array(pic[:, :, None] if pic.ndim == 2 else pic, mode)
    if not isinstance(pic, Tensor) or pic.ndim not in (2, 3):
        raise ShapeError("to_pil_image takes (C, H, W) or (H, W)", given=getattr(pic, "shape", pic))
    planes = np.asarray(pic.detach()).reshape(-1, *size_of(pic))
    if planes.dtype.kind == "f" and mode != "F":
        planes = (planes * 255).astype(np.uint8)
    return pictures.from_array(planes.transpose(1, 2, 0), mode)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """(x − mean)/std for each channel of (..., C, H, W)."""
    if not isinstance(tensor, Tensor) or tensor.dtype.kind != "f":
        raise DTypeError(
            "normalize takes a floating tensor",
            given=getattr(tensor, "dtype", type(tensor)),
            instead="Put ToTensor() before it.",
        )
    m, s = (np.asarray(v, tensor.dtype).reshape(-1, 1, 1) for v in (mean, std))
    if not np.all(s):
        raise ArgumentError("a standard deviation is 0", given=std)
    y = (tensor - from_numpy(m)) / from_numpy(s)
    return tensor.copy_(y) if inplace else y


# -- places ------------------------------------------------------------------------------------


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Crop (height, width) at (top, left). Pixels outside of the picture are 0."""
    if not isinstance(img, Tensor):
        pictures.require_picture(img)
        return img.crop((left, top, left + width, top + height))
    h, w = size_of(img)
    bottom, right = top + height, left + width
    if top >= 0 and left >= 0 and bottom <= h and right <= w:
        return img[..., top:bottom, left:right]
    inner = img[..., max(top, 0) : bottom, max(left, 0) : right]
    border = (max(-left, 0), max(right - w, 0), max(-top, 0), max(bottom - h, 0))
    return functional.pad(inner, border)


def center_crop(img: Any, output_size: Any) -> Any:
    """Crop the center of size (height, width). A smaller picture is padded with 0 first."""
    height, width = _pair(output_size)
    h, w = size_of(img)
    if height > h or width > w:
        top, left = max(height - h, 0), max(width - w, 0)
        img = pad(img, [left // 2, top // 2, (left + 1) // 2, (top + 1) // 2])
        h, w = size_of(img)
    return crop(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Crop, then resize."""
    return resize(crop(img, top, left, height, width), size, interpolation, None, antialias)


def resize(
    img: Any,
    size: Any,
    interpolation: Any = BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resize to (height, width), or, with one number, the shorter side to it."""
    height, width = _target(size_of(img), size, max_size)
    if (height, width) == size_of(img):
        return img
    chosen = resampling(interpolation)
    if not isinstance(img, Tensor):
        return img.resize((width, height), chosen)
    return by_channel(img, lambda plane: plane.resize((width, height), chosen))


def _target(now: tuple[int, int], size: Any, max_size: int | None) -> tuple[int, int]:
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) == 2:
        return int(sizes[0]), int(sizes[1])
    short, long = min(now), max(now)
    new_short, new_long = int(sizes[0]), int(sizes[0] * long / short)
    if max_size is not None and new_long > max_size:
        new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if now[0] <= now[1] else (new_long, new_short)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a border: one width, (left and right, top and bottom), or (left, top, right, bottom).

    `padding_mode` is "constant" with `fill`, "edge", "reflect" or "symmetric".
    """
    widths = [padding] if isinstance(padding, int) else list(padding)
    left, top, right, bottom = (widths * 4)[:4] if len(widths) < 4 else widths
    if not isinstance(img, Tensor):
        pixels = pictures.to_array(img)
        mode = img.mode
        padded = _padded(pixels, (top, bottom), (left, right), (0, 0), fill, padding_mode)
        return pictures.from_array(padded.astype(pixels.dtype), mode if mode == "1" else None)
    array = np.asarray(img.detach())
    front = np.moveaxis(array, (-2, -1), (0, 1))
    rest = ((0, 0),) * (array.ndim - 2)
    padded = _padded(front, (top, bottom), (left, right), *rest, fill, padding_mode)
    return from_numpy(np.ascontiguousarray(np.moveaxis(padded, (0, 1), (-2, -1))))


def _padded(pixels: Any, *rest: Any) -> Any:
    *borders, fill, mode = rest
    if mode != "constant":
        return np.pad(pixels, borders, mode=mode)
    if not isinstance(fill, (tuple, list)):
        return np.pad(pixels, borders, constant_values=fill or 0)
    inside = np.pad(np.ones(pixels.shape[:2], bool), borders[:2])[:, :, None]
    return np.where(inside, np.pad(pixels, borders), np.asarray(fill, pixels.dtype))


def hflip(img: Any) -> Any:
    """Exchange left and right."""
    if isinstance(img, Tensor):
        return img.flip(-1)
    pictures.require_picture(img)
    return img.transpose(pictures.pillow().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Exchange top and bottom."""
    if isinstance(img, Tensor):
        return img.flip(-2)
    pictures.require_picture(img)
    return img.transpose(pictures.pillow().Transpose.FLIP_TOP_BOTTOM)


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Rotate counter-clockwise by an angle in degrees. New pixels are `fill`, or 0."""
    options = dict(resample=resampling(interpolation), expand=expand, center=center)
    if isinstance(img, Tensor):
        color = fill[0] if isinstance(fill, (tuple, list)) else fill
        return by_channel(img, lambda plane: plane.rotate(angle, fillcolor=color, **options))
    pictures.require_picture(img)
    color = tuple(fill) if isinstance(fill, list) else fill
    return img.rotate(angle, fillcolor=color, **options)


# -- colours -----------------------------------------------------------------------------------


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """0.2989·R + 0.587·G + 0.114·B, in one channel or three equal ones."""
    if num_output_channels not in (1, 3):
        raise ArgumentError("a grey picture has 1 or 3 channels", given=num_output_channels)
    if not isinstance(img, Tensor):
        grey = img.convert("L")
        bands = (grey,) * 3
        return grey if num_output_channels == 1 else pictures.pillow().merge("RGB", bands)
    array = np.asarray(img.detach())
    if array.shape[-3] not in (1, 3):
        raise ShapeError("a picture has 1 or 3 channels", given=img.shape)
    if array.shape[-3] == 1:
        return img.clone()
    return from_numpy(np.repeat(_grey(array), num_output_channels, axis=-3))


to_grayscale = rgb_to_grayscale


def _grey(array: Any) -> Any:
    red, green, blue = (array[..., i : i + 1, :, :] for i in range(3))
    return (0.2989 * red + 0.587 * green + 0.114 * blue).astype(array.dtype)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Change brightness: 0 gives black, 1 the same picture, 2 twice the brightness."""
    if not isinstance(img, Tensor):
        return _enhanced("Brightness", img, brightness_factor)
    return _blended(img, np.zeros(()), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Change contrast: 0 gives uniform grey, 1 the same picture, 2 twice the contrast."""
    if not isinstance(img, Tensor):
        return _enhanced("Contrast", img, contrast_factor)
    array = np.asarray(img.detach())
    grey = _grey(array) if array.shape[-3] == 3 else array
    return _blended(img, grey.mean((-3, -2, -1), np.float32, keepdims=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Change saturation: 0 gives grey, 1 the same picture, 2 twice the saturation."""
    if not isinstance(img, Tensor):
        return _enhanced("Color", img, saturation_factor)
    array = np.asarray(img.detach())
    return img if array.shape[-3] == 1 else _blended(img, _grey(array), saturation_factor)


def _enhanced(kind: str, img: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    pictures.require_picture(img)
    return getattr(ImageEnhance, kind)(img).enhance(factor)


def _blended(img: Tensor, other: Any, ratio: float) -> Tensor:
    array = np.asarray(img.detach())
    bound = 1.0 if array.dtype.kind == "f" else 255.0
    mixed = np.clip(ratio * array.astype(np.float32) + (1.0 - ratio) * other, 0, bound)
    return from_numpy(mixed.astype(array.dtype))


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Shift the hue by a fraction of the colour circle, from −0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ArgumentError("hue_factor", given=hue_factor, expected="−0.5 to 0.5")
    if not isinstance(img, Tensor):
        pictures.require_picture(img)
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        turned = (np.array(hue, np.int32) + int(hue_factor * 255)).astype(np.uint8)
        bands = (pictures.pillow().fromarray(turned), saturation, value)
        return pictures.pillow().merge("HSV", bands).convert(img.mode)
    array = np.asarray(img.detach())
    if array.shape[-3] == 1:
        return img
    is_float = array.dtype.kind == "f"
    planes = np.moveaxis(array if is_float else array / np.float32(255), -3, 0)
    turned = np.stack(np.vectorize(_turned)(*planes, hue_factor), -3)
    return from_numpy((turned if is_float else turned * 255.999).astype(array.dtype))


def _turned(red: float, green: float, blue: float, by: float) -> tuple[float, float, float]:
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    return colorsys.hsv_to_rgb((hue + by) % 1.0, saturation, value)


def invert(img: Any) -> Any:
    """Invert the brightness of all channels."""
    if isinstance(img, Tensor):
        return (1 if img.dtype.kind == "f" else 255) - img
    from PIL import ImageOps

    return ImageOps.invert(img)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """Replace the part (h, w) at (i, j) of a tensor by v."""
    target = img if inplace else img.clone()
    target[..., i : i + h, j : j + w] = v
    return target


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return list(size_of(img))[::-1]


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    channels = (
        img._data.shape[-3]
        if isinstance(img, Tensor) and img.ndim > 2
        else (1 if isinstance(img, Tensor) else len(img.getbands()))
    )
    return [channels, *size_of(img)]


def _pair(size: Any) -> tuple[int, int]:
    sizes = [size] if isinstance(size, int) else list(size)
    return int(sizes[0]), int(sizes[-1])


__getattr__, __dir__ = names.facade(__name__)
