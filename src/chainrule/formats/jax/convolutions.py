"""Convolution and its gradients by `lax.conv_general_dilated` and its transpose."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from chainrule.ops.window import Geometry


def _correlated(x: Any, w: Any, geometry: Geometry) -> Any:
    y = lax.conv_general_dilated(
        x,
        w,
        geometry.stride,
        [(before, max(after, 0)) for before, after in geometry.padding],
        rhs_dilation=geometry.dilation,
        feature_group_count=geometry.groups,
    )
    return y[(..., *map(slice, geometry.positions(x.shape, w.shape)))]


def _with_bias(y: Any, bias: tuple[Any, ...]) -> Any:
    for b in bias:
        y = y + b.reshape(len(b), *(1,) * (y.ndim - 2))
    return y


def convolution(x: Any, w: Any, *bias: Any, geometry: Geometry) -> Any:
    return _with_bias(_correlated(x, w, geometry), bias)


def convolution_input(u: Any, w: Any, *bias: Any, shape: Any, geometry: Geometry) -> Any:
    x = jnp.zeros(shape, u.dtype)
    (y,) = jax.linear_transpose(lambda x: _correlated(x, w, geometry), x)(u)
    return _with_bias(y, bias)


def convolution_weight(x: Any, u: Any, *, shape: Any, geometry: Geometry) -> Any:
    w = jnp.zeros(shape, x.dtype)
    (y,) = jax.linear_transpose(lambda w: _correlated(x, w, geometry), w)(u)
    return y
