"""Optimizers, schedules of the learning rate, and clipping of gradients.

An optimizer is one update rule for parameters in groups, with all state in tensors. The schedules
are also in `lr_scheduler`, as in PyTorch.
"""

from chainrule.optim import lr_scheduler as lr_scheduler
from chainrule.optim.adam import Adam as Adam
from chainrule.optim.adam import AdamW as AdamW
from chainrule.optim.adam_variants import LAMB as LAMB
from chainrule.optim.adam_variants import Adamax as Adamax
from chainrule.optim.adam_variants import NAdam as NAdam
from chainrule.optim.adam_variants import RAdam as RAdam
from chainrule.optim.adaptive import Adadelta as Adadelta
from chainrule.optim.adaptive import Adagrad as Adagrad
from chainrule.optim.adaptive import RMSprop as RMSprop
from chainrule.optim.averaging import ASGD as ASGD
from chainrule.optim.clip import clip_grad_norm_ as clip_grad_norm_
from chainrule.optim.clip import clip_grad_value_ as clip_grad_value_
from chainrule.optim.clip import clip_grads_with_norm_ as clip_grads_with_norm_
from chainrule.optim.clip import get_total_norm as get_total_norm
from chainrule.optim.combined import ChainedScheduler as ChainedScheduler
from chainrule.optim.combined import SequentialLR as SequentialLR
from chainrule.optim.cycles import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from chainrule.optim.cycles import CyclicLR as CyclicLR
from chainrule.optim.cycles import OneCycleLR as OneCycleLR
from chainrule.optim.factored import Adafactor as Adafactor
from chainrule.optim.formula import FormulaOptimizer as FormulaOptimizer
from chainrule.optim.group import ParamGroup as ParamGroup
from chainrule.optim.lbfgs import LBFGS as LBFGS
from chainrule.optim.muon import Muon as Muon
from chainrule.optim.optimizer import Optimizer as Optimizer
from chainrule.optim.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from chainrule.optim.scheduler import LRScheduler as LRScheduler
from chainrule.optim.schedules import SWALR as SWALR
from chainrule.optim.schedules import ConstantLR as ConstantLR
from chainrule.optim.schedules import CosineAnnealingLR as CosineAnnealingLR
from chainrule.optim.schedules import ExponentialLR as ExponentialLR
from chainrule.optim.schedules import LambdaLR as LambdaLR
from chainrule.optim.schedules import LinearLR as LinearLR
from chainrule.optim.schedules import MultiplicativeLR as MultiplicativeLR
from chainrule.optim.schedules import MultiStepLR as MultiStepLR
from chainrule.optim.schedules import PolynomialLR as PolynomialLR
from chainrule.optim.schedules import StepLR as StepLR
from chainrule.optim.sgd import SGD as SGD
from chainrule.optim.signs import Lion as Lion
from chainrule.optim.signs import Rprop as Rprop
