"""Layers, activations and losses as functions: `from chainrule.nn import functional as F`.

In the order in which the files build on each other: `records`, `checks`, `activation`, `softmax`,
`layers`, `recurrent`, `losses`.
"""

from chainrule.nn.functional.activation import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    safe_log,
    selu,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from chainrule.nn.functional.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    embedding,
    layer_norm,
    linear,
    max_pool2d,
    one_hot,
    pad,
    scaled_dot_product_attention,
)
from chainrule.nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from chainrule.nn.functional.records import sigmoid, tanh
from chainrule.nn.functional.softmax import log_softmax, safe_softmax, softmax, softmin

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "celu", "conv2d", "cross_entropy", "dropout", "elu", "embedding", "gelu", "glu",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "huber_loss", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool2d", "mish", "mse_loss",
    "nll_loss", "one_hot", "pad", "prelu", "relu", "relu6", "rrelu", "safe_log", "safe_softmax",
    "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip
