"""Layers, activations and losses as functions: `from chainrule.nn import functional as F`.

In the order in which the files build on each other: `records`, `checks`, `activation`,
`layers`, `recurrent`, `losses`.
"""

from chainrule.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    logsigmoid,
    safe_log,
    safe_softmax,
    softplus,
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
from chainrule.nn.functional.records import log_softmax, relu, sigmoid, silu, softmax, tanh

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "conv2d", "cross_entropy", "dropout", "elu", "embedding", "gelu", "huber_loss", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool2d", "mse_loss",
    "nll_loss", "one_hot", "pad", "relu", "safe_log", "safe_softmax",
    "scaled_dot_product_attention", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus",
    "tanh",
]  # fmt: skip
