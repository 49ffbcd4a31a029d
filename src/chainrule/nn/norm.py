"""Normalization: to mean 0 and variance 1, then scale and shift by learned numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional
from chainrule.nn.functional.checks import check_counts, check_positive, check_tensors, sizes_of
from chainrule.nn.module import Buffer, Module, Parameter
from chainrule.ops.creation import ones, zeros
from chainrule.settings import use
from chainrule.tensor import Tensor


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share; they differ in the inputs they accept."""

    accepts: tuple[int, ...] = ()
    layout = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
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
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if affine else None
        tracked = track_running_stats
        self.running_mean = Buffer(zeros(num_features, dtype=dtype)) if tracked else None
        self.running_var = Buffer(ones(num_features, dtype=dtype)) if tracked else None
        self.num_batches_tracked = Buffer(zeros((), dtype=np.int64)) if tracked else None

    def forward(self, input: Tensor) -> Tensor:
        check_tensors(type(self).__name__, input=input)
        shape = input.shape
        if len(shape) not in self.accepts or shape[1] != self.num_features:
            self._refuse(shape)
        if not self.training or self.running_mean is None or self.num_batches_tracked is None:
            training = self.training or self.running_mean is None
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias,
                training, 0.0, self.eps,
            )  # fmt: skip
        seen = self.num_batches_tracked.detach() + 1
        # Without momentum, the running statistics are the plain mean over all batches.
        share = 1.0 / seen.astype(input.dtype) if self.momentum is None else self.momentum
        y = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            True, share, self.eps,
        )  # fmt: skip
        with use(gradients=False):
            self.num_batches_tracked.assign(seen)
        return y

    def _refuse(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in self.accepts:
            raise ShapeError(
                f"{type(self).__name__} works on {self.layout}", given=shape, expected=self.layout
            )
        n = self.num_features
        raise ShapeError(
            f"the input has {shape[1]} channels, this layer expects {n}", given=shape,
            expected=self.layout.replace("C", str(n)),
            instead=f"Did you mean {type(self).__name__}({shape[1]})?",
        )  # fmt: skip

    def short_repr(self) -> str:
        return str(self.num_features)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x − m)/√(v + ε)·w + b for each of C features: (N, C) or (N, C, L) → the same.

    In training m and v are of the batch (Ioffe & Szegedy, 2015), and the running ones move:
    r ← (1 − momentum)·r + momentum·m, with the unbiased v; with momentum None they are the mean
    over all batches. In evaluation the running ones are used. Raises ArgumentError for a batch
    of 1 in training.

    >>> import chainrule as cr
    >>> BatchNorm1d(1)(cr.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.], [ 1.]])
    """

    accepts, layout = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """y = (x − m)/√(v + ε)·w + b for each of C channels: (N, C, H, W) → the same.

    Statistics as in BatchNorm1d, over N, H and W.

    >>> import chainrule as cr
    >>> BatchNorm2d(3)(cr.zeros(8, 3, 5, 5)).shape
    (8, 3, 5, 5)
    """

    accepts, layout = (4,), "(N, C, H, W)"


class LayerNorm(Module):
    """y = (x − m)/√(v + ε)·w + b over the last dimensions of each example (Ba et al., 2016).

    `normalized_shape` is the sizes of those dimensions: (..., *normalized_shape) → the same.

    >>> import chainrule as cr
    >>> LayerNorm(2)(cr.tensor([[1.0, 3.0]])).detach()
    tensor([[-1.,  1.]])
    """

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
        return functional.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )

    def short_repr(self) -> str:
        return " × ".join(map(str, self.normalized_shape))

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )
