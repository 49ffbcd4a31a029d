"""Normalization, softmax and dropout."""

from __future__ import annotations

import math

import numpy as np

from chainrule.formats.onnx.operators.table import Statistic, operator, refused
from chainrule.nn.functional import normalization as norms
from chainrule.ops.creation import ones_like
from chainrule.ops.select import where
from chainrule.tensor import Tensor


@operator("BatchNormalization")
def batch_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Statistic,
    var: Statistic,
    *,
    epsilon: float,
    momentum: float,
    training_mode: int = 0,
    spatial: int = 1,
) -> tuple[Tensor, ...]:
    """By running statistics; in training mode by those of the batch, which it returns mixed."""
    if not spatial:
        raise refused("statistics for each element are not supported")
    if not training_mode:
        return (norms.batch_norm(x, mean, var, scale, bias, eps=epsilon),)
    dims = (0, *range(2, x.ndim))
    now, spread = x.mean(dims), x.var(dims, correction=0)
    moved = [old * momentum + new * (1 - momentum) for old, new in ((mean, now), (var, spread))]
    return (norms.batch_norm(x, now, spread, scale, bias, eps=epsilon), *moved)


@operator("InstanceNormalization")
def instance_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float) -> Tensor:
    return norms.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@operator("LayerNormalization", since=17)
def layer_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int,
    epsilon: float,
    stash_type: int,
    outputs: int,
) -> tuple[Tensor, ...]:
    """Over the dimensions from `axis` on; float16 by way of float32."""
    shape = x.shape[axis:]
    if outputs == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
        return (norms.layer_norm(x, shape, scale, bias, epsilon),)
    wide = x.float() if x.dtype == np.float16 else x
    dims = tuple(range(x.ndim))[axis:]
    mean = wide.mean(dims, True)
    centred = wide - mean
    inverse = ((centred * centred).mean(dims, True) + epsilon).rsqrt()
    y = (centred * inverse).astype(x.dtype) * scale
    return (y if bias is None else y + bias), mean, inverse


@operator("RMSNormalization", since=23)
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int, epsilon: float, stash_type: int
) -> Tensor:
    """x / √(mean of x² + ε) · scale over the dimensions from `axis` on."""
    shape = x.shape[axis:]
    if scale.shape == shape:
        return norms.rms_norm(x, shape, scale, epsilon)
    return norms.rms_norm(x, shape, None, epsilon) * scale


@operator("GroupNormalization", since=21)
def group_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    epsilon: float,
    num_groups: int,
    stash_type: int,
) -> Tensor:
    return norms.group_norm(x, num_groups, scale, bias, epsilon)


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int, p: int) -> Tensor:
    """x / ‖x‖ₚ along a dimension; 0 where the norm is 0."""
    size = x.norm(p, axis, True)
    y: Tensor = where(size == 0, 0, x / where(size == 0, 1, size))
    return y


# -- softmax -------------------------------------------------------------------------------------


@operator("Softmax", since=13)
def softmax(x: Tensor, *, axis: int) -> Tensor:
    return x.softmax(axis)


@operator("LogSoftmax", since=13)
def log_softmax(x: Tensor, *, axis: int) -> Tensor:
    return x.log_softmax(axis)


def _rows(x: Tensor, axis: int) -> Tensor:
    """Before opset 13, all dimensions from `axis` on are one."""
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Softmax")
def softmax_of_rows(x: Tensor, *, axis: int) -> Tensor:
    return _rows(x, axis).softmax(1).reshape(x.shape)


@operator("LogSoftmax")
def log_softmax_of_rows(x: Tensor, *, axis: int) -> Tensor:
    return _rows(x, axis).log_softmax(1).reshape(x.shape)


# -- dropout -------------------------------------------------------------------------------------


@operator("Dropout")
def dropout(
    x: Tensor,
    ratio: float | None = None,
    training_mode: float | None = None,
    *,
    seed: int | None = None,
) -> tuple[Tensor, Tensor]:
    """x itself, as in evaluation. In training mode the numbers that it drops are random."""
    if training_mode and ratio != 0:
        raise refused("dropout in training mode is not supported")
    return x, ones_like(x).astype(np.bool_)
