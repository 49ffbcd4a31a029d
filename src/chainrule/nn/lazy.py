"""Layers whose number of inputs is that of their first input."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from chainrule.errors import ShapeError, UninitializedError
from chainrule.graph import StandIn
from chainrule.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from chainrule.nn.functional.checks import bound, check_tensors
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from chainrule.nn.parameter import Uninitialized, UninitializedBuffer, UninitializedParameter
from chainrule.settings import use
from chainrule.tensor import Tensor


class Lazy(Module):
    """Base class of layers with an option that is known after the first input.

    `class LazyLinear(Lazy, Linear, inferred="in_features", dim=-1)` defines a complete layer: an
    input has `in_features` elements in its last dimension. The first call initializes the
    parameters and makes the layer a `Linear`. Until then, the parameters have no shape. Further
    keywords of the class are other defaults of options.

    >>> import chainrule as cr
    >>> layer = LazyLinear(3)
    >>> layer(cr.zeros(5, 2)).shape, layer
    ((5, 3), Linear(in_features=2, out_features=3, bias=True))
    """

    complete: ClassVar[type[Module]]
    inferred: ClassVar[str]
    dim: ClassVar[int]
    __signature__: ClassVar[inspect.Signature]
    _arguments: dict[str, Any]

    def __init_subclass__(cls, inferred: str, dim: int, **defaults: Any) -> None:
        super().__init_subclass__()
        cls.complete, cls.inferred, cls.dim = cls.__bases__[1], inferred, dim
        options = [
            option.replace(default=defaults.get(name, option.default))
            for name, option in inspect.signature(cls.complete).parameters.items()
            if name != inferred
        ]
        cls.__signature__ = inspect.Signature(options)
        cls.__doc__ = _documented(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        given = bound(type(self), args, options)
        given.apply_defaults()
        self._arguments = given.arguments
        least = self._arguments.get("groups", 1)
        super().__init__(**{self.inferred: least}, **self._arguments)
        setattr(self, self.inferred, 0)
        for name, parameter in [*self._named("parameter")]:
            setattr(self, name, UninitializedParameter(dtype=parameter.dtype))
        for name, buffer in [*self._named("buffer")]:
            if buffer.ndim:
                setattr(self, name, UninitializedBuffer(dtype=buffer.dtype))

    def reset_parameters(self) -> None:
        """Do nothing: the first call initializes the parameters."""

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(self._uninitialized())

    def _uninitialized(self) -> Iterator[tuple[str, Uninitialized]]:
        for name, part in [*self._named("parameter"), *self._named("buffer")]:
            if isinstance(part, Uninitialized):
                yield name, part

    def initialize_parameters(self, input: Tensor) -> None:
        """Initialize the parameters for inputs like this one. The layer becomes complete."""
        check_tensors(type(self).__name__, input=input)
        n = getattr(self, "dimensions", None)
        if input.ndim < -self.dim or (n and input.ndim not in (n + 1, n + 2)):
            raise ShapeError(
                f"{type(self).__name__} has no dimension {self.dim} to read here",
                given=input.shape,
            )
        if isinstance(input._data, StandIn):
            raise UninitializedError(
                f"{type(self).__name__} has no parameters yet",
                instead="Call the model once on an example before it is compiled or transformed.",
            )
        size, waiting = input.shape[self.dim], [*self._uninitialized()]
        if waiting:
            options = {**self._arguments, "dtype": waiting[0][1].dtype}
            made = self.complete(**{self.inferred: size}, **options)
            with use(gradients=False):
                for name, part in waiting:
                    part.assign(getattr(made, name))
        setattr(self, self.inferred, size)
        del self._arguments
        self.__class__ = self.complete  # type: ignore[assignment]

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.initialize_parameters(input)
        y: Tensor = self.forward(input, *args, **kwargs)
        return y

    def _options(self) -> Iterator[tuple[str, Any, Any]]:
        yield self.inferred, 0, inspect.Parameter.empty
        yield from super()._options()


def _documented(layer: type[Lazy]) -> str:
    """The docstring of a lazy layer, with the example of the complete one."""
    name = layer.complete.__name__
    example = (inspect.getdoc(layer.complete) or "").partition(">>>")[2].rstrip()
    return (
        f"A `{name}` whose `{layer.inferred}` is the size of dimension {layer.dim} of its first "
        f"input.\n\nThe other options are those of `{name}`. The first call initializes the "
        f"parameters and makes the layer a `{name}`. Until then, the parameters have no shape.\n\n"
        f">>>{re.sub(rf'{name}[(][0-9]+(, )?', f'{layer.__name__}(', example)}"
    )


class LazyLinear(Lazy, Linear, inferred="in_features", dim=-1): ...


class LazyConv1d(Lazy, Conv1d, inferred="in_channels", dim=-2): ...


class LazyConv2d(Lazy, Conv2d, inferred="in_channels", dim=-3): ...


class LazyConv3d(Lazy, Conv3d, inferred="in_channels", dim=-4): ...


class LazyConvTranspose1d(Lazy, ConvTranspose1d, inferred="in_channels", dim=-2): ...


class LazyConvTranspose2d(Lazy, ConvTranspose2d, inferred="in_channels", dim=-3): ...


class LazyConvTranspose3d(Lazy, ConvTranspose3d, inferred="in_channels", dim=-4): ...


class LazyBatchNorm1d(Lazy, BatchNorm1d, inferred="num_features", dim=1): ...


class LazyBatchNorm2d(Lazy, BatchNorm2d, inferred="num_features", dim=1): ...


class LazyBatchNorm3d(Lazy, BatchNorm3d, inferred="num_features", dim=1): ...


TRACKED = {"affine": True, "track_running_stats": True}
"""Defaults of PyTorch's lazy instance norms, unlike those of the complete ones."""


class LazyInstanceNorm1d(Lazy, InstanceNorm1d, inferred="num_features", dim=-2, **TRACKED): ...


class LazyInstanceNorm2d(Lazy, InstanceNorm2d, inferred="num_features", dim=-3, **TRACKED): ...


class LazyInstanceNorm3d(Lazy, InstanceNorm3d, inferred="num_features", dim=-4, **TRACKED): ...
