"""Optimizers: each one update rule, over parameters in groups, with all state in tensors."""

from chainrule.optim.adam import Adam as Adam
from chainrule.optim.adam import AdamW as AdamW
from chainrule.optim.group import ParamGroup as ParamGroup
from chainrule.optim.optimizer import Optimizer as Optimizer
from chainrule.optim.sgd import SGD as SGD
