"""Transforms: functions of a whole batch of NumPy arrays, from `x` (N, ...) to `y` (N, ...).

Random transforms draw from the generator that the caller passes, so that augmentation depends only
on (seed, epoch, batch). Chainrule's own transforms can be written to JSON and read back: a run
stores the preprocessing of its model.

>>> prepare = Compose([Rescale(255), Flatten()])
>>> prepare(np.full((2, 1, 3, 3), 51, np.uint8)).shape
(2, 9)
>>> transform_from_config(prepare.to_config()) == prepare
True
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    NonFiniteError,
    OutOfRangeError,
    ShapeError,
    listing,
)
from chainrule.ops.elementwise import rescale

Array = np.ndarray[Any, Any]
Generator = np.random.Generator


class Transform(ABC):
    """A function of a batch. Subclass it and define `__call__` and `parameters`.

    random: whether `__call__` draws from the generator, and so needs one.
    at_rest: the transform that replaces a random one in prediction; None to leave it out.
    """

    random: bool = False
    at_rest: Transform | None = None

    @abstractmethod
    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        """The transformed batch. `x` (N, ...) is not modified."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The arguments of the constructor as values for JSON."""

    def to_config(self) -> dict[str, Any]:
        """A record for JSON, which :func:`transform_from_config` reads back."""
        name = type(self).__name__
        if _REGISTRY.get(name) is not type(self):
            raise ArgumentError(
                f"{name} cannot be saved: it is not one of Chainrule's own transforms",
                instead="Apply it to the arrays beforehand, or save without a transform.",
            )
        return {"name": name, **self.parameters()}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.parameters() == other.parameters()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.parameters())))

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.parameters().items())
        return f"{type(self).__name__}({inside})"


_REGISTRY: dict[str, type[Transform]] = {}
_DEEPEST = 16


def register(kind: type[Transform]) -> type[Transform]:
    """Class decorator: allow a config to name this transform."""
    _REGISTRY[kind.__name__] = kind
    return kind


def transform_from_config(config: Mapping[str, Any], _depth: int = 0) -> Transform:
    """The transform from a record of :meth:`Transform.to_config`.

    Nothing is imported by name. Raises FormatError for unknown names and for invalid arguments.

    >>> transform_from_config({"name": "Rescale", "divisor": 16})
    Rescale(divisor=16.0, dtype=None)
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("name"), str):
        raise FormatError("not a transform's record", given=repr(config)[:80], expected="a name")
    name = config["name"]
    if name not in _REGISTRY:
        raise FormatError(
            f"unknown transform {name[:80]!r}", expected=listing(sorted(_REGISTRY), limit=20)
        )
    arguments = {key: value for key, value in config.items() if key != "name"}
    try:
        if name == "Compose":
            if _depth >= _DEEPEST:
                raise ArgumentError(f"transforms nested more than {_DEEPEST} deep")
            parts = arguments.pop("transforms")
            arguments["transforms"] = [transform_from_config(part, _depth + 1) for part in parts]
        return _REGISTRY[name](**arguments)
    except FormatError:
        raise
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise FormatError(f"the record of {name} does not fit: {error}") from error


def deterministic(transform: Transform | None) -> Transform | None:
    """`transform` without its random parts, for prediction; None if nothing remains."""
    return transform.at_rest if transform is not None and transform.random else transform


def check_count(value: object, name: str, least: int) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name} is out of range", given=repr(value), expected=f">= {least}")
    return int(value)


def check_numbers(value: object, name: str) -> Array:
    """`value` as a float64 array of finite numbers."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} is not numeric", given=repr(value)[:80]) from None
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{name} holds NaN or infinity", expected="finite numbers")
    return array


def _float_dtype(x: Array, dtype: str | None) -> np.dtype[Any]:
    """The given dtype; by default the dtype of a floating input, and float32 for integers."""
    if dtype is not None:
        return np.dtype(dtype)
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)


def _checked_dtype(dtype: object) -> str | None:
    if dtype is None:
        return None
    name = np.dtype(dtype).name  # type: ignore[call-overload]
    if name not in ("float16", "float32", "float64"):
        raise DTypeError("a transform's dtype is floating", given=name, expected="float32")
    return str(name)


@register
class Compose(Transform):
    """One transform after another: y = tₖ(… t₂(t₁(x)))."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        for item in transforms:
            if not isinstance(item, Transform):
                raise DTypeError("Compose takes transforms", given=repr(item), expected="Transform")
        self.transforms = tuple(transforms)
        self.random = any(item.random for item in transforms)
        kept = [rest for item in transforms if (rest := deterministic(item)) is not None]
        self.at_rest = Compose(kept) if self.random else None

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        for transform in self.transforms:
            x = transform(x, generator)
        return x

    def parameters(self) -> dict[str, Any]:
        return {"transforms": [item.to_config() for item in self.transforms]}

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


@register
class Rescale(Transform):
    """y = x / divisor, as floats. `Rescale(255)` maps pixels from 0 to 255 to [0, 1].

    >>> Rescale(255)(np.array([[0, 51, 255]], np.uint8)).tolist() == [[0, np.float32(0.2), 1]]
    True
    """

    def __init__(self, divisor: float, dtype: str | None = None) -> None:
        self.divisor = float(check_numbers(divisor, "divisor"))
        if self.divisor == 0:
            raise ArgumentError("a divisor of 0 leaves no number", given=0)
        self.dtype = _checked_dtype(dtype)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        return rescale.native(x, divisor=self.divisor, dtype=_float_dtype(x, self.dtype))

    def parameters(self) -> dict[str, Any]:
        return {"divisor": self.divisor, "dtype": self.dtype}


@register
class Normalize(Transform):
    """y = (x − mean) / std per channel, which is axis 1 of (N, C, H, W) and of (N, C).

    mean, std: one number, or C of them. `std` must be positive.

    >>> Normalize([1.0, 2.0], [1.0, 4.0])(np.array([[3.0, 10.0]]))
    array([[2., 2.]])
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = check_numbers(mean, "mean"), check_numbers(std, "std")
        if self.mean.ndim > 1 or self.std.ndim > 1:
            raise ShapeError("mean and std hold one number per channel", given=self.mean.shape)
        if (self.std <= 0).any():
            raise ArgumentError("std must be positive", given=self.std.min())

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        if x.dtype.kind != "f":
            raise DTypeError(
                "Normalize takes floats", given=x.dtype, instead="Put Rescale(255) before it."
            )
        return (x - self._shaped(self.mean, x)) / self._shaped(self.std, x)

    def _shaped(self, values: Array, x: Array) -> Array:
        if values.ndim and (x.ndim < 2 or values.size != x.shape[1]):
            raise ShapeError(
                f"Normalize holds {values.size} channels", given=x.shape, expected="axis 1 equal"
            )
        return values.astype(x.dtype).reshape((-1,) + (1,) * max(x.ndim - 2, 0))

    def parameters(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}


@register
class Standardize(Transform):
    """y = (x − mean) / std per feature, with statistics of the training part.

    `Standardize.fit(x_train)` computes them. A constant feature gets std 1. The arithmetic runs in
    float64, so that large offsets (years, areas) lose no precision.

    >>> Standardize.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[2.0, 6.0]]))
    array([[0., 1.]])
    """

    def __init__(self, mean: Any, std: Any, dtype: str | None = None) -> None:
        self.mean, self.std = check_numbers(mean, "mean"), check_numbers(std, "std")
        self.dtype = _checked_dtype(dtype)
        if self.mean.shape != self.std.shape:
            raise ShapeError(
                "mean and std differ in shape", given=self.std.shape, expected=self.mean.shape
            )
        if (self.std <= 0).any():
            raise ArgumentError("std must be positive", given=self.std.min())

    @classmethod
    def fit(cls, x: Array, dtype: str | None = None) -> Standardize:
        """Standardize with the mean and the population standard deviation of each feature."""
        return cls.of_blocks([x], dtype)

    @classmethod
    def of_blocks(cls, blocks: Iterable[Array], dtype: str | None = None) -> Standardize:
        """The same from the samples of one block after the other.

        Source: T. F. Chan, G. H. Golub and R. J. LeVeque (1983), Algorithms for computing the
        sample variance, The American Statistician 37.
        """
        count, mean, std, largest = 0, np.zeros(()), np.zeros(()), np.zeros(())
        for block in blocks:
            values = check_numbers(block, "the training part")
            if values.ndim < 1 or len(values) == 0:
                raise ArgumentError("statistics of no samples", given=values.shape)
            own_mean, own_std, own_largest = _moments(values)
            count += len(values)
            share, apart = len(values) / count, own_mean - mean
            within = np.hypot(np.sqrt(1 - share) * std, np.sqrt(share) * own_std)
            std = np.hypot(within, np.sqrt(share * (1 - share)) * apart)
            mean, largest = mean + share * apart, np.maximum(largest, own_largest)
        # The computed deviation of a constant column is only the rounding error of its mean.
        return cls(mean, np.where(std > 1e-12 * largest, std, 1.0), dtype)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        if x.shape[1:] != self.mean.shape:
            raise ShapeError(
                "Standardize was fitted on other features",
                given=x.shape,
                expected=("N", *self.mean.shape),
            )
        return ((x - self.mean) / self.std).astype(_float_dtype(x, self.dtype))

    def parameters(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "dtype": self.dtype}


def _moments(values: Array) -> tuple[Array, Array, Array]:
    """The mean, the population standard deviation, and the largest size of each feature."""
    # Scaling by a power of two is exact, and keeps all squares in the range of float64.
    largest = np.abs(values).max(axis=0, initial=0.0)
    scale = np.exp2(np.frexp(largest)[1] - 1.0)
    scaled = values / scale
    return scaled.mean(axis=0) * scale, scaled.std(axis=0) * scale, largest


@register
class Flatten(Transform):
    """(N, ...) → (N, D): each sample as one row."""

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def parameters(self) -> dict[str, Any]:
        return {}


@register
class OneHot(Transform):
    """Class labels (N,) → float32 (N, C) with a 1 at the label.

    >>> OneHot(3)(np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, classes: int) -> None:
        self.classes = check_count(classes, "the number of classes", 1)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        if x.ndim != 1 or x.dtype.kind not in "iu":
            given = f"{x.dtype} {x.shape}"
            raise DTypeError("OneHot takes class labels", given=given, expected="integers (N,)")
        wrong = np.flatnonzero((x < 0) | (x >= self.classes))
        if wrong.size:
            raise OutOfRangeError(
                f"label {x[wrong[0]]} at position {wrong[0]}", expected=f"0 to {self.classes - 1}"
            )
        y = np.zeros((len(x), self.classes), np.float32)
        y[np.arange(len(x)), x] = 1
        return y

    def parameters(self) -> dict[str, Any]:
        return {"classes": self.classes}
