"""`torch.cuda.amp`: the older path of `torch.amp`, for a GPU."""

from __future__ import annotations

from typing import Any

from chainrule.torch import amp
from chainrule.torch.adapter import names


class autocast(amp.autocast):
    """As `torch.amp.autocast("cuda")`: without a GPU it has no effect."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled)


class GradScaler(amp.GradScaler):
    """As `torch.amp.GradScaler("cuda")`: without a GPU the scale is 1."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__("cuda", *args, **keywords)


custom_fwd, custom_bwd = amp.custom_fwd, amp.custom_bwd

__getattr__, __dir__ = names.facade(__name__)
