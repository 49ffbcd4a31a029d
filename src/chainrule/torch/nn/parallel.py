"""`torch.nn.parallel`: a model whose gradients are the means over all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule.distributed import Replicated
from chainrule.nn.module import Module
from chainrule.torch.adapter import names
from chainrule.torch.adapter.placement import require_cpu
from chainrule.torch.nn import DataParallel as DataParallel


class DistributedDataParallel(Replicated):
    """PyTorch's wrapper for training on several ranks. `module` is the model.

    Each rank computes the loss of its own samples; after `backward`, `p.grad` is the mean over
    ranks. The options of PyTorch that are about devices, buckets and unused parameters have no
    effect: gradients travel in one message, and a parameter without gradient counts as 0. Buffers
    are those of rank 0 at the start, and then those of each rank.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, **options: Any
    ) -> None:
        for place in (*(device_ids or ()), output_device):
            require_cpu(place)
        super().__init__(module)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, gradients are those of this rank, and add up until the next backward pass of a
        call outside."""
        before, self.is_shared = self.is_shared, False
        try:
            yield
        finally:
            self.is_shared = before


__getattr__, __dir__ = names.facade(__name__)
