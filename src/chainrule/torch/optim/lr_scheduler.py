"""`torch.optim.lr_scheduler`: the package's schedules, and the legacy name of their base class."""

from chainrule.optim import LRScheduler as _LRScheduler
from chainrule.torch.adapter import names

__all__ = ["_LRScheduler"]

__getattr__, __dir__ = names.facade(__name__)
