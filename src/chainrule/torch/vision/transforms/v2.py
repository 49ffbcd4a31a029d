"""`torchvision.transforms.v2`: the names of `transforms`, and two that split `ToTensor`."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.tensor import Tensor
from chainrule.torch.adapter import names
from chainrule.torch.vision import transforms
from chainrule.torch.vision.transforms import functional as F
from chainrule.torch.vision.transforms.fixed import Transform

_find, __dir__ = names.facade(__name__)


class ToImage(Transform):
    """Converts a picture to (C, H, W) with the same numbers. Returns a tensor unchanged."""

    def __call__(self, img: Any) -> Any:
        return img if isinstance(img, Tensor) else F.pil_to_tensor(img)


class ToDtype(Transform):
    """Converts a tensor to another dtype. `scale` maps uint8 to the range 0 to 1, and back."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = dtype, scale

    def __call__(self, x: Any) -> Any:
        target = np.dtype(self.dtype)
        now = x._data.dtype
        if self.scale and now.kind != "f" and target.kind == "f":
            return x.to(target) / np.iinfo(now).max
        if self.scale and now.kind == "f" and target.kind != "f":
            return (x * (np.iinfo(target).max + 1 - 1e-3)).to(target)
        return x.to(target)


def __getattr__(name: str) -> Any:
    return getattr(transforms, name) if hasattr(transforms, name) else _find(name)
