"""Utilities of models: sequences of several lengths, weights that are functions of others, pruning.

The files, in the order of their imports: `rnn`, `vectors`, `fusion`, `uninitialized`,
`parametrize`, `parametrizations`, `normed`, `pruning_methods`, `prune`.
"""

from chainrule.nn.utils import parametrizations, parametrize, prune, rnn
from chainrule.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from chainrule.nn.utils.normed import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from chainrule.nn.utils.uninitialized import skip_init
from chainrule.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "prune",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
