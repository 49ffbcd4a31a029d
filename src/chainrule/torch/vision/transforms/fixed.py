"""Deterministic transforms. Some also work on a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.primitive import Array
from chainrule.torch.vision.pictures import InterpolationMode
from chainrule.torch.vision.transforms import functional as F


class Transform:
    """A function of one picture.

    `on_batch`, if defined, does the same to uint8 or float32 pixels (N, C, H, W), so that a dataset
    in memory transforms a whole batch at once.
    """

    on_batch: Callable[[Array], Array] | None = None

    def __call__(self, img: Any) -> Any:
        """The transformed picture. Every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__")

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({inside})"


class Compose(Transform):
    """Applies transforms in sequence."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    @property
    def on_batch(self) -> Callable[[Array], Array] | None:  # type: ignore[override]
        """All transforms on a batch, if each has `on_batch`."""
        steps = [getattr(transform, "on_batch", None) for transform in self.transforms]
        if not all(steps):
            return None

        def run(pixels: Array) -> Array:
            for step in steps:
                pixels = step(pixels)  # type: ignore[misc]
            return pixels

        return run

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform!r}" for transform in self.transforms)
        return f"Compose({lines}\n)"


class Lambda(Transform):
    """Applies a given function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise ArgumentError("Lambda takes a function", given=type(lambd).__name__)
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


class ToTensor(Transform):
    """Converts a picture or an array (H, W, C) to (C, H, W). uint8 becomes float32 from 0 to 1."""

    def __call__(self, pic: Any) -> Any:
        return F.to_tensor(pic)

    def on_batch(self, pixels: Array) -> Array:
        """uint8 as float32 from 0 to 1."""
        return np.divide(pixels, 255, dtype=np.float32)


class PILToTensor(Transform):
    """Converts a picture to (C, H, W) with the same numbers."""

    def __call__(self, pic: Any) -> Any:
        return F.pil_to_tensor(pic)

    def on_batch(self, pixels: Array) -> Array:
        """The same numbers."""
        return pixels


class ToPILImage(Transform):
    """Converts a tensor (C, H, W) or an array (H, W, C) to a picture."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)


class Normalize(Transform):
    """(x − mean)/std for each channel of a tensor."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean, self.std = mean, std
        self.inplace = inplace

    def __call__(self, tensor: Any) -> Any:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def on_batch(self, pixels: Array) -> Array:
        """(x − mean)/std for each channel."""
        m, s = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (self.mean, self.std))
        return (pixels - m) / s

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Resize(Transform):
    """Resizes to (height, width), or, with one number, the shorter side to it."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        self.size, self.interpolation = size, interpolation
        self.max_size, self.antialias = max_size, antialias

    def __call__(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """Crops the center of size (height, width)."""

    def __init__(self, size: Any) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def __call__(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class Pad(Transform):
    """Adds a border."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class Grayscale(Transform):
    """Converts to grey, in one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)
