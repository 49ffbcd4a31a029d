"""The primitives that functions of layers and losses call, or that are such functions."""

from chainrule.ops.attention import attention
from chainrule.ops.backward import gradients_through
from chainrule.ops.compare import clamp, where
from chainrule.ops.contract import linear
from chainrule.ops.convolution import convolution, convolution_input
from chainrule.ops.elementwise import abs, expm1, tanh
from chainrule.ops.fused import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    log_softmax,
    normalize,
    softmax,
    softmax_cross_entropy,
)
from chainrule.ops.labels import class_labels, embedding, one_hot
from chainrule.ops.pooling import avg_pool, max_pool
from chainrule.ops.shape import cat, pad
from chainrule.ops.special import elu, gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu, softplus

__all__ = [
    "abs", "attention", "avg_pool", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "cat", "clamp", "class_labels", "convolution", "convolution_input", "elu", "embedding", "expm1",
    "gelu", "gelu_tanh", "gradients_through", "leaky_relu", "linear", "log_softmax", "max_pool",
    "normalize", "one_hot", "pad", "relu", "sigmoid", "silu", "softmax", "softmax_cross_entropy",
    "softplus", "tanh", "where",
]  # fmt: skip
