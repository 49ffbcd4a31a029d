"""`torch.nn.functional`: the package's functions, also under PyTorch's other names for them."""

from __future__ import annotations

import functools
from typing import Any

from chainrule.nn.functional import interpolate
from chainrule.tensor import Tensor
from chainrule.torch.adapter import absent, names

_find, __dir__ = names.facade(__name__)
_WITH_INDICES = "_with_indices"


def __getattr__(name: str) -> Any:
    if name.endswith(_WITH_INDICES) and name in absent.public_names()["torch.nn.functional"]:
        return functools.partial(_find(name.removesuffix(_WITH_INDICES)), return_indices=True)
    return _find(name)


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The old name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The old name of `interpolate` with the nearest elements."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The old name of `interpolate` in mode "bilinear" with aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
