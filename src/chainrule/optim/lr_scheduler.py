"""The schedules under PyTorch's path: `from chainrule.optim.lr_scheduler import StepLR`."""

from chainrule.optim.combined import ChainedScheduler as ChainedScheduler
from chainrule.optim.combined import SequentialLR as SequentialLR
from chainrule.optim.cycles import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from chainrule.optim.cycles import CyclicLR as CyclicLR
from chainrule.optim.cycles import OneCycleLR as OneCycleLR
from chainrule.optim.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from chainrule.optim.scheduler import LRScheduler as LRScheduler
from chainrule.optim.schedules import ConstantLR as ConstantLR
from chainrule.optim.schedules import CosineAnnealingLR as CosineAnnealingLR
from chainrule.optim.schedules import ExponentialLR as ExponentialLR
from chainrule.optim.schedules import LambdaLR as LambdaLR
from chainrule.optim.schedules import LinearLR as LinearLR
from chainrule.optim.schedules import MultiplicativeLR as MultiplicativeLR
from chainrule.optim.schedules import MultiStepLR as MultiStepLR
from chainrule.optim.schedules import PolynomialLR as PolynomialLR
from chainrule.optim.schedules import StepLR as StepLR
