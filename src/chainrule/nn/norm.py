"""Normalization: scale to mean 0 and variance 1, then multiply and add learned numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional, init
from chainrule.nn.function_layer import FunctionLayer
from chainrule.nn.functional.checks import check_counts, check_positive, check_tensors, sizes_of
from chainrule.nn.functional.normalization import (
    batch_norm,
    check_groups,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)
from chainrule.nn.module import Module
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.nn.spatial import Spatial
from chainrule.ops.creation import ones, zeros
from chainrule.ops.rules import channels_hint
from chainrule.ops.window import layout
from chainrule.primitive import Shape
from chainrule.settings import use
from chainrule.tensor import Tensor


class _Norm(Module):
    """Base class of norms: the learned weight and bias."""

    def _learn(self, shape: int | Shape, weight: bool, bias: bool | None, dtype: Any) -> None:
        """Set weight and bias, or None where they are not wanted. `bias` None: there is no such
        attribute."""
        self.weight = Parameter(ones(shape, dtype=dtype)) if weight else None
        if bias is not None:
            self.bias = Parameter(zeros(shape, dtype=dtype)) if weight and bias else None

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        for parameter, value in ((self.weight, 1.0), (getattr(self, "bias", None), 0.0)):
            if parameter is not None:
                init.constant_(parameter, value)


class _ChannelNorm(_Norm, Spatial):
    """Base class of batch and instance norm: weight, bias and running statistics per channel."""

    shown = "num_features eps= momentum= affine= bias= track_running_stats="

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        check_counts(name, num_features=num_features)
        check_positive(name, eps=eps)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(f"momentum of {name} is not in [0, 1]", given=momentum)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._learn(num_features, affine, bias, dtype)
        tracked = track_running_stats
        self.running_mean = Buffer(zeros(num_features, dtype=dtype)) if tracked else None
        self.running_var = Buffer(ones(num_features, dtype=dtype)) if tracked else None
        self.num_batches_tracked = Buffer(zeros((), dtype=np.int64)) if tracked else None

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1, and the counter to 0."""
        starts = ((self.running_mean, 0.0), (self.running_var, 1.0), (self.num_batches_tracked, 0))
        for buffer, value in starts:
            if buffer is not None:
                init.constant_(buffer, value)

    def reset_parameters(self) -> None:
        """Reset the running statistics, and set the weight to 1 and the bias to 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor, layouts: dict[int, str], dim: int) -> None:
        """Raise ShapeError for a number of dimensions without a layout, or of channels."""
        name, shape, n = type(self).__name__, input.shape, self.num_features
        if len(shape) not in layouts:
            expected = " or ".join(layouts.values())
            fits = len(shape) + 1 in layouts and (n == 1 or shape[:1] == (n,))
            hint = f"Use x.unsqueeze({1 if n == 1 else 0})." if fits else None
            raise ShapeError(
                f"{name} works on {expected}", given=shape, expected=expected, instead=hint
            )
        if shape[dim] != n:
            error = ShapeError(
                f"the input has {shape[dim]} channels, this layer expects {n}",
                given=shape,
                expected=layouts[len(shape)].replace("C", str(n)),
                instead=channels_hint(shape, n, f"Did you mean {name}({shape[dim]})?"),
            )
            if self.weight is not None or self.running_mean is not None:
                raise error
            warnings.warn(f"{error}", stacklevel=4)  # nothing depends on the number of channels

    def short_repr(self) -> str:
        return str(self.num_features)


class _BatchNorm(_ChannelNorm):
    """Base class of BatchNorm1d, BatchNorm2d and BatchNorm3d."""

    text = """y = (x − m)/√(v + ε)·w + b for each channel of (N, C, {sizes}); 1d takes (N, C) too.

    In training, m and v are the mean and variance of the batch (Ioffe & Szegedy, 2015), and the
    running statistics are updated: r ← (1 − momentum)·r + momentum·m, and the same with the
    unbiased variance. With momentum None they are the mean over all batches. In evaluation, m and v
    are the running statistics. Raises ShapeError for another number of channels, and ArgumentError
    for a channel with one value in training.

    >>> import chainrule as cr
    >>> BatchNorm{n}d(3)(cr.zeros(8, 3, {sizes:5})).shape
    (8, 3, {sizes:5})
    """

    def forward(self, input: Tensor) -> Tensor:
        check_tensors(type(self).__name__, input=input)
        n = self.dimensions
        layouts = {2: "(N, C)", 3: layout(1)} if n == 1 else {n + 2: layout(n)}
        self._check(input, layouts, 1)
        training = self.training or self.running_mean is None
        counter = self.num_batches_tracked if self.training else None
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if counter is not None and self.momentum is None:  # the mean over all batches
            momentum = 1.0 / (counter.detach() + 1).astype(input.dtype)
        running = self.running_mean, self.running_var
        y = batch_norm(input, *running, self.weight, self.bias, training, momentum, self.eps)
        if counter is not None:
            with use(gradients=False):
                counter.assign(counter.detach() + 1)
        return y


class BatchNorm1d(_BatchNorm, dimensions=1): ...


class BatchNorm2d(_BatchNorm, dimensions=2): ...


class BatchNorm3d(_BatchNorm, dimensions=3): ...


class _InstanceNorm(_ChannelNorm):
    """Base class of InstanceNorm1d, InstanceNorm2d and InstanceNorm3d."""

    text = """y = (x − m)/√(v + ε)·w + b for each channel of each example of (N, C, {sizes}).

    m and v are the mean and variance of that channel (Ulyanov et al., 2016). With
    `track_running_stats`, running statistics are updated in training with their means over the
    batch, and used in evaluation. An input without N is accepted. Raises ShapeError for another
    number of channels (only a warning if the layer has no weights and no statistics), and
    ArgumentError for a channel with one value.

    >>> import chainrule as cr
    >>> InstanceNorm{n}d(3)(cr.zeros(8, 3, {sizes:5})).shape
    (8, 3, {sizes:5})
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        check_tensors(type(self).__name__, input=input)
        n = self.dimensions
        layouts = {n + 1: layout(n).replace("N, ", ""), n + 2: layout(n)}
        self._check(input, layouts, input.ndim - n - 1)
        batch = input if input.ndim > n + 1 else input.unsqueeze(0)
        from_input = self.training or self.running_mean is None
        running, momentum = (self.running_mean, self.running_var), self.momentum or 0.0
        y = instance_norm(batch, *running, self.weight, self.bias, from_input, momentum, self.eps)
        return y if batch is input else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm, dimensions=1): ...


class InstanceNorm2d(_InstanceNorm, dimensions=2): ...


class InstanceNorm3d(_InstanceNorm, dimensions=3): ...


class GroupNorm(_Norm):
    """y = (x − m)/√(v + ε)·w + b, with m and v of each group of channels of each example.

    (N, C, ...) → the same shape. The C = `num_channels` channels are divided into `num_groups`
    groups (Wu & He, 2018). weight and bias (C) scale each channel. Raises ArgumentError for groups
    that do not divide the channels, ShapeError for another number of channels.

    >>> import chainrule as cr
    >>> GroupNorm(1, 2)(cr.tensor([[[1.0], [3.0]]])).detach()
    tensor([[[-1.], [ 1.]]])
    """

    shown = "num_groups num_channels eps= affine= bias="

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        check_counts("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        check_positive("GroupNorm", eps=eps)
        check_groups(num_groups, num_channels)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._learn(num_channels, affine, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("GroupNorm", input=input)
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(
                f"this layer expects {self.num_channels} channels",
                given=input.shape,
                expected=f"(N, {self.num_channels}, ...)",
            )
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def short_repr(self) -> str:
        return f"{self.num_groups} groups of {self.num_channels}"


class _LastDimensions(_Norm):
    """Base class of norms over the last dimensions, whose sizes are `normalized_shape`."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        elementwise_affine: bool,
        bias: bool | None,
        dtype: Any,
    ) -> None:
        name, sizes = type(self).__name__, sizes_of(normalized_shape)
        if not sizes:
            raise ArgumentError(f"{name} needs at least one dimension", given=normalized_shape)
        for size in sizes:
            check_counts(name, normalized_shape=size)
        self.normalized_shape = sizes
        self.elementwise_affine = elementwise_affine
        self._learn(sizes, elementwise_affine, bias, dtype)

    def short_repr(self) -> str:
        return " × ".join(map(str, self.normalized_shape))


class LayerNorm(_LastDimensions):
    """y = (x − m)/√(v + ε)·w + b over the last dimensions of each example (Ba et al., 2016).

    `normalized_shape` gives the sizes of those dimensions: (..., *normalized_shape) → the same
    shape. Raises ShapeError for an input whose last dimensions have other sizes.

    >>> import chainrule as cr
    >>> LayerNorm(2)(cr.tensor([[1.0, 3.0]])).detach()
    tensor([[-1.,  1.]])
    """

    shown = "normalized_shape eps= elementwise_affine= bias="

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        check_positive("LayerNorm", eps=eps)
        self.eps = eps
        super().__init__(normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_LastDimensions):
    """y = x/√(mean of x² + ε)·w over the last dimensions of each example (Zhang & Sennrich, 2019).

    `normalized_shape` gives the sizes of those dimensions: (..., *normalized_shape) → the same
    shape. The default ε is the smallest step of the input's dtype at 1. There is no bias. Raises
    ShapeError for an input whose last dimensions have other sizes.

    >>> import chainrule as cr
    >>> RMSNorm(2)(cr.tensor([[1.0, 7.0]])).detach()
    tensor([[0.2, 1.4]])
    """

    shown = "normalized_shape eps= elementwise_affine="

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        if eps is not None:
            check_positive("RMSNorm", eps=eps)
        self.eps = eps
        super().__init__(normalized_shape, elementwise_affine, None, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)


class LocalResponseNorm(FunctionLayer, of=functional.local_response_norm):
    shown = "size alpha= beta= k="
