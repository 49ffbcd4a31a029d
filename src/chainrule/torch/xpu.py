"""`torch.xpu` on a machine without one."""

from __future__ import annotations

from chainrule.torch.adapter import names
from chainrule.torch.cuda import device_count as device_count
from chainrule.torch.cuda import empty_cache as empty_cache
from chainrule.torch.cuda import is_available as is_available
from chainrule.torch.cuda import manual_seed as manual_seed

__getattr__, __dir__ = names.facade(__name__)
