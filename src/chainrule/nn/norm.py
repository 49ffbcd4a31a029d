"""Normalization: scale to mean 0 and variance 1, then multiply and add learned numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_counts, check_positive, check_tensors, sizes_of
from chainrule.nn.functional.normalization import batch_norm, instance_norm, layer_norm
from chainrule.nn.module import Module
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.nn.spatial import Spatial
from chainrule.ops.creation import ones, zeros
from chainrule.ops.window import layout
from chainrule.settings import use
from chainrule.tensor import Tensor


class _ChannelNorm(Spatial):
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
        self.weight = Parameter(ones(num_features, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if affine and bias else None
        tracked = track_running_stats
        self.running_mean = Buffer(zeros(num_features, dtype=dtype)) if tracked else None
        self.running_var = Buffer(ones(num_features, dtype=dtype)) if tracked else None
        self.num_batches_tracked = Buffer(zeros((), dtype=np.int64)) if tracked else None

    def _check(self, input: Tensor, layouts: dict[int, str], dim: int) -> None:
        """Raise ShapeError for a number of dimensions without a layout, or of channels."""
        name, shape, n = type(self).__name__, input.shape, self.num_features
        if len(shape) not in layouts:
            expected = " or ".join(layouts.values())
            raise ShapeError(f"{name} works on {expected}", given=shape, expected=expected)
        if shape[dim] != n:
            raise ShapeError(
                f"the input has {shape[dim]} channels, this layer expects {n}",
                given=shape,
                expected=layouts[len(shape)].replace("C", str(n)),
                instead=f"Did you mean {name}({shape[dim]})?",
            )

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
    number of channels, and ArgumentError for a channel with one value.

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


class LayerNorm(Module):
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
        sizes = sizes_of(normalized_shape)
        if not sizes:
            raise ArgumentError("LayerNorm needs at least one dimension", given=normalized_shape)
        for size in sizes:
            check_counts("LayerNorm", normalized_shape=size)
        check_positive("LayerNorm", eps=eps)
        self.normalized_shape = sizes
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(sizes, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(zeros(sizes, dtype=dtype)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def short_repr(self) -> str:
        return " × ".join(map(str, self.normalized_shape))
