"""PyTorch's attributes of Module: devices, and errors for names that only PyTorch's modules
have."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.nn.state import KeyReport
from chainrule.nn.utils.rnn import PackedSequence
from chainrule.torch.adapter import texts
from chainrule.torch.adapter.absent import missing_name, public_names
from chainrule.torch.adapter.attributes import add, add_all
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.dtypes import by_name
from chainrule.torch.adapter.placement import require_cpu, target_dtype
from chainrule.torch.adapter.tensors import dtype_of

_OWN_TO = Module.to


class ModuleAttributes:
    """Attributes that Module has while PyTorch's attributes are active."""

    def to(self: Any, *args: Any, **keywords: Any) -> Any:
        """Convert floating parameters and buffers to another dtype. The device `cpu` has no
        effect."""
        wanted = target_dtype(args, keywords)
        return self if wanted is None else _OWN_TO(self, np.dtype(wanted))

    def type(self: Any, dst_type: Any) -> Any:
        """Convert floating parameters and buffers to another dtype."""
        return self.to(dtype_of(dst_type))

    def cpu(self: Any) -> Any:
        """Return the module."""
        return self

    def cuda(self: Any, device: Any = None) -> Any:
        """Raise an error: there is no GPU."""
        require_cpu("cuda")

    def half(self: Any) -> Any:
        """Convert to float16."""
        return self.to(by_name("float16"))

    def bfloat16(self: Any) -> Any:
        """Convert to bfloat16, which is stored as float32."""
        return self.to(by_name("bfloat16"))

    def __getattr__(self: Any, name: str) -> Any:
        kind = type(self)
        own = kind.__module__.startswith("chainrule.")
        if not name.startswith("_") and (own or name in public_names()["torch.nn.Module"]):
            raise missing_name(f"torch.nn.{kind.__name__}" if own else "torch.nn.Module", name)
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    def to_empty(self: Any, *, device: Any, recurse: bool = True) -> Any:
        """Return the module, whose numbers stay as they are."""
        require_cpu(device)
        return self

    def share_memory(self: Any) -> Any:
        """Return the module."""
        return self


class PackedAttributes:
    """Attributes that PackedSequence has while PyTorch's attributes are active."""

    is_cuda = False

    def cuda(self: Any, device: Any = None) -> Any:
        """Raise an error: there is no GPU."""
        require_cpu("cuda")

    def pin_memory(self: Any) -> Any:
        """Return the sequences."""
        return self


def install() -> None:
    """Add PyTorch's attributes to Module and PackedSequence, and its keywords to the methods."""
    for name, value in list(vars(Module).items()):
        if inspect.isfunction(value) and not name.startswith("_") and name != "forward":
            add(Module, name, adapted(value))
    add_all(Module, ModuleAttributes)
    add(Module, "__repr__", texts.text)
    add_all(PackedSequence, PackedAttributes)
    add(KeyReport, "__repr__", texts.key_report)
