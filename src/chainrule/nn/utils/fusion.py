"""Linear layers and convolutions with the batch norm after them in their weights."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from chainrule.errors import ArgumentError
from chainrule.nn.module import Module
from chainrule.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import ones_like, zeros_like
from chainrule.settings import use
from chainrule.tensor import Tensor

M = TypeVar("M", bound=Module)
Norm = BatchNorm1d | BatchNorm2d | BatchNorm3d
Weights = tuple[Parameter, Parameter]


def fuse_conv_bn_eval(conv: M, bn: Norm, transpose: bool = False) -> M:
    """A copy of a convolution that computes bn(conv(x)), in evaluation mode.

    `transpose` is for transposed convolutions. Raises ArgumentError for a module in training mode,
    or a batch norm without running statistics.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> conv, bn = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval()
    >>> x = cr.randn(1, 1, 5, 5)
    >>> bool(cr.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6))
    True
    """
    return _fused(conv, bn, transpose=transpose)


def fuse_linear_bn_eval(linear: M, bn: Norm) -> M:
    """A copy of a linear layer that computes bn(linear(x)), in evaluation mode.

    Raises ArgumentError as `fuse_conv_bn_eval`.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> linear, bn = nn.Linear(3, 2).eval(), nn.BatchNorm1d(2).eval()
    >>> x = cr.randn(4, 3)
    >>> bool(cr.allclose(fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-6))
    True
    """
    return _fused(linear, bn, transpose=False)


def _fused(layer: Any, bn: Norm, transpose: bool) -> Any:
    if layer.training or bn.training:
        raise ArgumentError("layers are fused in evaluation mode", instead="Call .eval() first.")
    mean, var = bn.running_mean, bn.running_var
    if mean is None or var is None:
        raise ArgumentError("a batch norm without running statistics cannot be fused")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, mean, var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> Weights:
    """W·s and (b − μ)·s + β, s = γ/√(σ² + ε): the weights of a convolution and the norm after it.

    μ and σ² are the running statistics `bn_rm` and `bn_rv`, γ and β the weights of the norm. With
    `transpose`, the outputs are dimension 1 of W, else 0.

    >>> import chainrule as cr
    >>> zero, one = cr.zeros(1), cr.ones(1)
    >>> w, b = fuse_conv_bn_weights(cr.ones(1, 1), zero, one, one, 0.0, 2 * one, zero)
    >>> w.tolist(), b.tolist()
    ([[2.0]], [-2.0])
    """
    with use(gradients=False):
        scale = (ones_like(bn_rm) if bn_w is None else bn_w) / (bn_rv + bn_eps).sqrt()
        shift = zeros_like(bn_rm) if conv_b is None else conv_b
        shape = [1] * conv_w.ndim
        shape[int(transpose)] = -1
        weight = conv_w * scale.to(conv_w.dtype).reshape(shape)
        bias = (shift - bn_rm) * scale + (zeros_like(bn_rm) if bn_b is None else bn_b)
    trained = conv_b is not None and conv_b.requires_grad
    return Parameter(weight, conv_w.requires_grad), Parameter(bias.to(conv_w.dtype), trained)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> Weights:
    """The weights of a linear layer and the norm after it, as `fuse_conv_bn_weights`.

    >>> import chainrule as cr
    >>> zero, one = cr.zeros(1), cr.ones(1)
    >>> fuse_linear_bn_weights(cr.ones(1, 1), zero, one, one, 0.0, one, zero)[1].tolist()
    [-1.0]
    """
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
