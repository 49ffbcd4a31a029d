"""The layers without recurrence, a row each: what the tests of layers run through.

A row is the name, the arguments, the options, and the inputs: a shape, or a function of a random
generator that returns arrays. `spatial` makes a row for each number of dimensions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """A layer with its arguments, and its inputs."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    inputs: Any

    def make(self, library: Any) -> Any:
        """The layer, of ours or of PyTorch's module `nn`."""
        return getattr(library, self.name)(*self.args, **self.options)

    def arrays(self, rng: np.random.Generator, dtype: Any = np.float64) -> list[np.ndarray]:
        """The inputs. Floating ones have a dtype."""
        drawn = self.inputs(rng) if callable(self.inputs) else [rng.normal(size=self.inputs)]
        return [a.astype(dtype) if a.dtype.kind == "f" else a for a in drawn]

    def __str__(self) -> str:
        options = [*map(str, self.args), *[f"{k}={v}" for k, v in self.options.items()]]
        return f"{self.name}({', '.join(options)})"


def real(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """Several floating inputs."""
    return lambda rng: [rng.normal(size=shape) for shape in shapes]


def integers(
    high: int, *shape: int, offsets: list[int] | None = None
) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """Integers below `high`, perhaps with the offsets of bags."""
    more = [] if offsets is None else [np.array(offsets)]
    return lambda rng: [rng.integers(0, high, shape), *more]


def spatial(
    name: str,
    *args: Any,
    inputs: Callable[[int], Any] | None = None,
    dimensions: tuple[int, ...] = (1, 2, 3),
    **options: Any,
) -> list[Row]:
    """A row for each number of dimensions n: the layer `name` + `nd`. The input is `inputs(n)`, by
    default (3, 4, ...)."""
    found = []
    for n in dimensions:
        shape = (3, 4, 7, 6, 5)[: n + 2] if inputs is None else inputs(n)
        own = [value(n) if callable(value) else value for value in args]
        found.append(Row(f"{name}{n}d", tuple(own), options, shape))
    return found


def pooled(side: int) -> Callable[[int], Callable[[np.random.Generator], list[np.ndarray]]]:
    """The inputs of an unpooling to `side` elements along each dimension: numbers and positions."""

    def draw(n: int, rng: np.random.Generator) -> list[np.ndarray]:
        positions = [rng.permutation(side**n)[: 2**n] for _ in range(6)]
        shape = (2, 3, *[2] * n)
        return [rng.normal(size=shape), np.array(positions).reshape(shape)]

    return lambda n: functools.partial(draw, n)


LAYERS = [
    # linear, reshaping
    Row("Linear", (3, 4), {}, (5, 3)),
    Row("Linear", (3, 4), {"bias": False}, (2, 5, 3)),
    Row("Identity", (), {}, (5, 3)),
    Row("Flatten", (), {}, (2, 3, 4)),
    Row("Flatten", (0, 1), {}, (2, 3, 4)),
    Row("Unflatten", (1, (2, 3)), {}, (4, 6)),
    Row("Unflatten", (1, (-1, 2)), {}, (4, 6)),
    Row("PixelShuffle", (2,), {}, (2, 8, 3, 4)),
    Row("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)),
    Row("ChannelShuffle", (3,), {}, (2, 6, 3, 4)),
    Row("Unfold", (2,), {}, (2, 3, 5, 4)),
    Row("Unfold", ((3, 2),), {"dilation": 2, "padding": 1, "stride": (2, 1)}, (2, 3, 5, 4)),
    Row("Fold", ((4, 5), 2), {}, (2, 12, 12)),
    Row("Fold", (5, 3), {"padding": 1, "stride": 2}, (2, 18, 9)),
    # resizing
    Row("Upsample", (), {"scale_factor": 2}, (2, 3, 4)),
    Row("Upsample", ((3, 7),), {"mode": "bilinear"}, (2, 3, 4, 5)),
    Row("Upsample", (), {"scale_factor": (1.5, 2.0), "mode": "bicubic"}, (2, 3, 4, 5)),
    Row("Upsample", (5,), {"mode": "trilinear", "align_corners": True}, (1, 2, 3, 4, 2)),
    Row("Upsample", (), {"scale_factor": 0.7, "mode": "area"}, (2, 3, 4, 5)),
    Row("UpsamplingNearest2d", (), {"scale_factor": 3}, (2, 3, 4, 5)),
    Row("UpsamplingBilinear2d", ((3, 9),), {}, (2, 3, 4, 5)),
    # several inputs, integers
    Row("Bilinear", (2, 3, 4), {}, real((5, 2), (5, 3))),
    Row("Bilinear", (2, 3, 4), {"bias": False}, real((5, 1, 2), (5, 1, 3))),
    Row(
        "AdaptiveLogSoftmaxWithLoss",
        (8, 10, [2, 5]),
        {"div_value": 2.0, "head_bias": True},
        lambda rng: [rng.normal(size=(6, 8)), np.array([0, 1, 2, 4, 5, 9])],
    ),
    Row("Embedding", (5, 3), {}, integers(5, 2, 4)),
    Row("Embedding", (5, 3), {"padding_idx": 1}, integers(5, 2, 4)),
    Row("Embedding", (5, 3, -1, 1.0, 1.0), {}, integers(5, 2, 4)),
    Row("Embedding", (5, 3), {"scale_grad_by_freq": True}, integers(5, 2, 4)),
    Row("EmbeddingBag", (5, 3), {}, integers(5, 2, 4)),
    Row("EmbeddingBag", (5, 3, 1.0), {"mode": "sum", "padding_idx": 2}, integers(5, 4, 3)),
    Row("EmbeddingBag", (5, 3), {"mode": "max"}, integers(5, 6, offsets=[0, 2, 2, 5])),
    Row(
        "EmbeddingBag", (5, 3), {"mode": "mean", "padding_idx": -1}, integers(5, 6, offsets=[0, 3])
    ),
    Row(
        "EmbeddingBag",
        (5, 3),
        {"mode": "max", "include_last_offset": True, "padding_idx": 0},
        integers(2, 6, offsets=[0, 1, 2, 4, 6]),
    ),
    # convolutions
    *spatial("Conv", 4, 6, 3),
    *spatial("Conv", 4, 6, 3, 2, 1, bias=False, groups=2),
    *spatial("Conv", 4, 6, 3, padding="same", dilation=2),
    *spatial("Conv", 4, 6, 3, padding=1, padding_mode="reflect"),
    *spatial("Conv", 4, 6, 2, padding=2, padding_mode="replicate", stride=2),
    *spatial("Conv", 4, 6, 3, padding="same", padding_mode="circular"),
    *spatial("ConvTranspose", 4, 6, 3),
    *spatial("ConvTranspose", 4, 6, 3, 2, 1, 1, groups=2, bias=False),
    *spatial("ConvTranspose", 4, 6, 2, dilation=2, padding=1),
    # padding
    *spatial("ZeroPad", lambda n: (1, 2, 0, 3, 2, 0)[: 2 * n]),
    *spatial("ConstantPad", 2, 3.5),
    *spatial("ConstantPad", lambda n: (1, -1, -2, 3, 2, 0)[: 2 * n], -1.0),
    *spatial("ReflectionPad", 2),
    *spatial("ReflectionPad", lambda n: (1, 2, 0, 3, 2, 0)[: 2 * n]),
    *spatial("ReplicationPad", 2),
    *spatial("ReplicationPad", lambda n: (1, -1, -2, 3, 2, 0)[: 2 * n]),
    *spatial("CircularPad", 2),
    *spatial("CircularPad", lambda n: (1, 2, 0, 3, 2, 0)[: 2 * n]),
    # pools
    *spatial("MaxPool", 2),
    *spatial("MaxPool", 3, 2, 1, 2, ceil_mode=True),
    *spatial("AvgPool", 2),
    *spatial("AvgPool", 3, 2, 1, True, False),
    *spatial("AdaptiveAvgPool", 3),
    *spatial("AdaptiveMaxPool", 2),
    *spatial("LPPool", 2, 3, stride=2),
    *spatial("LPPool", 4.0, 2, ceil_mode=True),
    *spatial("LPPool", float("inf"), 2),
    *spatial("MaxUnpool", 2, inputs=pooled(4)),
    *spatial("MaxUnpool", 3, 2, 1, inputs=pooled(3)),
    # norms
    Row("BatchNorm1d", (3,), {}, (5, 3)),
    *spatial("BatchNorm", 4),
    *spatial("BatchNorm", 4, 1e-3, None),
    *spatial("BatchNorm", 4, affine=False),
    *spatial("BatchNorm", 4, track_running_stats=False, bias=False),
    *spatial("InstanceNorm", 4),
    *spatial("InstanceNorm", 4, 1e-3, 0.2, True, True),
    *spatial("InstanceNorm", 4, affine=True, bias=False),
    Row("LayerNorm", (4,), {}, (2, 3, 4)),
    Row("LayerNorm", ((3, 4),), {"eps": 1e-3, "bias": False}, (2, 3, 4)),
    Row("LayerNorm", (4,), {"elementwise_affine": False}, (2, 3, 4)),
    Row("GroupNorm", (2, 4), {}, (3, 4, 5)),
    Row("GroupNorm", (4, 4, 1e-3), {}, (3, 4, 2)),
    Row("GroupNorm", (1, 4), {"affine": False}, (3, 4, 5, 2)),
    Row("GroupNorm", (2, 4), {"bias": False}, (3, 4, 5, 2, 1)),
    Row("RMSNorm", (4,), {}, (2, 3, 4)),
    Row("RMSNorm", ((3, 4), 1e-3), {}, (2, 3, 4)),
    Row("RMSNorm", (4,), {"elementwise_affine": False}, (2, 4)),
    Row("LocalResponseNorm", (2,), {}, (2, 3, 4)),
    Row("LocalResponseNorm", (3, 0.5, 0.3, 2.0), {}, (2, 5, 4, 3)),
    Row("LocalResponseNorm", (4, 1.0), {}, (2, 5, 4, 3, 2)),
    # dropout
    Row("Dropout", (0.0,), {}, (2, 3)),
    *spatial("Dropout", 0.0),
    Row("AlphaDropout", (0.0,), {}, (2, 3)),
    Row("FeatureAlphaDropout", (0.0,), {}, (2, 3, 4)),
]
BATCHED_ONLY = (
    "BatchNorm",
    "Linear",
    "Flatten",
    "Unflatten",
    "GroupNorm",
    "LocalResponseNorm",
    "ChannelShuffle",
    "Embedding",
    "Feature",
    "Upsampl",
    "Dropout2d",
)
"""The beginnings of names of layers that take no single example."""
