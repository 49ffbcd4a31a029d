"""Random transforms. They draw with `chance`, `between` and `below`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.random import default_generator
from chainrule.torch.vision.pictures import InterpolationMode, size_of
from chainrule.torch.vision.transforms import functional as F
from chainrule.torch.vision.transforms.fixed import Transform

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def between(low: float, high: float) -> float:
    """A number of U[low, high)."""
    return float(default_generator.uniform(1).item()) * (high - low) + low


def chance(p: float) -> bool:
    """True with probability p."""
    return between(0.0, 1.0) < p


def below(n: int) -> int:
    """An integer of {0, …, n − 1}."""
    return int(default_generator.integers(0, n, (1,)).item())


class RandomCrop(Transform):
    """Crops the given size at a random position, after padding."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        (h, w), (height, width) = size_of(img), self.size
        if self.pad_if_needed and (w < width or h < height):
            borders = [max(width - w, 0), max(height - h, 0)]
            img = F.pad(img, borders, self.fill, self.padding_mode)
            h, w = size_of(img)
        if h < height or w < width:
            raise ShapeError(
                "the crop is larger than the picture",
                given=f"{height} × {width} of {h} × {w}",
                instead="Pass padding=..., or pad_if_needed=True.",
            )
        if (h, w) == self.size:
            return img
        top, left = below(h - height + 1), below(w - width + 1)
        return F.crop(img, top, left, height, width)


class RandomResizedCrop(Transform):
    """Crops a random area and aspect ratio, then resizes to the given size."""

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale, self.ratio, self.interpolation = tuple(scale), tuple(ratio), interpolation

    def __call__(self, img: Any) -> Any:
        top, left, height, width = self._part(*size_of(img))
        return F.resized_crop(img, top, left, height, width, self.size, self.interpolation)

    def _part(self, h: int, w: int) -> tuple[int, int, int, int]:
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(10):
            area = h * w * between(*self.scale)
            shape = math.exp(between(low, high))
            width, height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < width <= w and 0 < height <= h:
                return below(h - height + 1), below(w - width + 1), height, width
        shape = min(max(w / h, min(self.ratio)), max(self.ratio))
        width, height = min(w, round(h * shape)), min(h, round(w / shape))
        return (h - height) // 2, (w - width) // 2, height, width


class _Flip(Transform):
    """A transform with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p


class RandomHorizontalFlip(_Flip):
    """Exchanges left and right with probability p."""

    def __call__(self, img: Any) -> Any:
        return F.hflip(img) if chance(self.p) else img


class RandomVerticalFlip(_Flip):
    """Exchanges top and bottom with probability p."""

    def __call__(self, img: Any) -> Any:
        return F.vflip(img) if chance(self.p) else img


class RandomInvert(_Flip):
    """Inverts the brightness with probability p."""

    def __call__(self, img: Any) -> Any:
        return F.invert(img) if chance(self.p) else img


class RandomGrayscale(Transform):
    """Converts to grey with probability p, and keeps the number of channels."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def __call__(self, img: Any) -> Any:
        channels = F.get_dimensions(img)[0]
        return F.rgb_to_grayscale(img, channels) if chance(self.p) else img


class RandomRotation(Transform):
    """Rotates by a random angle from [−degrees, degrees), or from the given range."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = _around(degrees, 0.0, "degrees")
        self.interpolation, self.expand = interpolation, expand
        self.center, self.fill = center, fill

    def __call__(self, img: Any) -> Any:
        angle = between(*self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)


class ColorJitter(Transform):
    """Changes brightness, contrast, saturation and hue at random, in random order.

    A number f means a factor from [1 − f, 1 + f) (hue: [−f, f)). Two numbers are a range.
    """

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        self.brightness = _around(brightness, 1.0, "brightness")
        self.contrast = _around(contrast, 1.0, "contrast")
        self.saturation = _around(saturation, 1.0, "saturation")
        self.hue = _around(hue, 0.0, "hue")

    def __call__(self, img: Any) -> Any:
        order = default_generator.permutation(4).tolist()
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        drawn = [None if low == high else between(low, high) for low, high in ranges]
        steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for place in order:
            factor = drawn[place]
            if factor is not None:
                img = steps[place](img, factor)
        return img


class RandomErasing(Transform):
    """Replaces a random part of a tensor by a value with probability p (Zhong et al., 2017)."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float = 0,
        inplace: bool = False,
    ) -> None:
        self.p, self.scale, self.ratio = p, tuple(scale), tuple(ratio)
        self.value, self.inplace = value, inplace

    def __call__(self, img: Any) -> Any:
        if not chance(self.p):
            return img
        height, width = size_of(img)
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(10):
            area = height * width * between(*self.scale)
            shape = math.exp(between(low, high))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if h < height and w < width:
                top, left = below(height - h + 1), below(width - w + 1)
                return F.erase(img, top, left, h, w, self.value, self.inplace)
        return img


class RandomApply(Transform):
    """Applies all transforms with probability p, or none."""

    def __init__(self, transforms: Sequence[Any], p: float = 0.5) -> None:
        self.transforms, self.p = list(transforms), p

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms if chance(self.p) else ():
            img = transform(img)
        return img


class RandomChoice(Transform):
    """Applies one of the transforms."""

    def __init__(self, transforms: Sequence[Any], p: Sequence[float] | None = None) -> None:
        self.transforms, self.p = list(transforms), p

    def __call__(self, img: Any) -> Any:
        weights = self.p or [1.0] * len(self.transforms)
        place = between(0.0, sum(weights))
        for transform, weight in zip(self.transforms, weights, strict=True):
            place -= weight
            if place < 0:
                return transform(img)
        return self.transforms[-1](img)


class RandomOrder(Transform):
    """Applies all transforms in random order."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for place in default_generator.permutation(len(self.transforms)).tolist():
            img = self.transforms[place](img)
        return img


def _around(value: Any, middle: float, name: str) -> tuple[float, float]:
    """The range for one number or two."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ArgumentError(f"{name} is not negative", given=value)
        low = middle - value
        return (max(low, 0.0) if middle else low), middle + value
    low, high = value
    return low, high
