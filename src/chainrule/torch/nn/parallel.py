"""`torch.nn.parallel`: the wrapper for several GPUs; what needs processes refuses calls."""

from __future__ import annotations

from chainrule.torch.adapter import names
from chainrule.torch.nn import DataParallel as DataParallel

__getattr__, __dir__ = names.facade(__name__)
