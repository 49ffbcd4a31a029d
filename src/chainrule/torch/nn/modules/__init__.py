"""`torch.nn.modules`: the layers, also by the files in which PyTorch has them."""

from __future__ import annotations

from chainrule.torch.adapter import names

__getattr__, __dir__ = names.facade(__name__)
