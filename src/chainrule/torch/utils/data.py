"""`torch.utils.data`: the package's datasets and loader, with PyTorch's default batch size."""

from __future__ import annotations

from typing import Any

from chainrule import data
from chainrule.torch.adapter import names
from chainrule.torch.adapter.calls import adapted

_make = adapted(data.DataLoader.__init__)


class DataLoader(data.DataLoader):
    """The package's loader. A batch is of one sample unless `batch_size` says otherwise."""

    def __init__(self, dataset: Any, batch_size: Any = 1, *args: Any, **keywords: Any) -> None:
        _make(self, dataset, batch_size, *args, **keywords)


__getattr__, __dir__ = names.facade(__name__)
