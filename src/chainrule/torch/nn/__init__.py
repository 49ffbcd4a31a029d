"""`torch.nn`: the package's layers, and the wrapper for several devices."""

from __future__ import annotations

from typing import Any

from chainrule.nn.losses import NLLLoss
from chainrule.nn.module import Module
from chainrule.torch.adapter import names


class DataParallel(Module):
    """PyTorch's wrapper for several GPUs. Without a GPU it calls the module in `.module`."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


NLLLoss2d = NLLLoss

__getattr__, __dir__ = names.facade(__name__)
