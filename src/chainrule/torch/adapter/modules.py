"""The face of Module: devices, and errors for what PyTorch's modules have and these have not."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.nn.state import KeyReport
from chainrule.torch.adapter import texts
from chainrule.torch.adapter.absent import missing_name, public_names
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.dtypes import by_name
from chainrule.torch.adapter.face import put, put_all
from chainrule.torch.adapter.placement import require_cpu, target_dtype
from chainrule.torch.adapter.tensors import dtype_of

_OWN_TO = Module.to


class ModuleFace:
    """Attributes that Module has while the face is shown."""

    def to(self: Any, *args: Any, **keywords: Any) -> Any:
        """With floating parameters and buffers of another dtype; `cpu` changes nothing."""
        wanted = target_dtype(args, keywords)
        return self if wanted is None else _OWN_TO(self, np.dtype(wanted))

    def type(self: Any, dst_type: Any) -> Any:
        """With floating parameters and buffers of another dtype."""
        return self.to(dtype_of(dst_type))

    def cpu(self: Any) -> Any:
        """The module itself: it is there."""
        return self

    def cuda(self: Any, device: Any = None) -> Any:
        """Refused: there is no GPU."""
        require_cpu("cuda")

    def half(self: Any) -> Any:
        """In float16."""
        return self.to(by_name("float16"))

    def bfloat16(self: Any) -> Any:
        """In bfloat16, which is kept as float32."""
        return self.to(by_name("bfloat16"))

    def __getattr__(self: Any, name: str) -> Any:
        kind = type(self)
        own = kind.__module__.startswith("chainrule.")
        if not name.startswith("_") and (own or name in public_names()["torch.nn.Module"]):
            raise missing_name(f"torch.nn.{kind.__name__}" if own else "torch.nn.Module", name)
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    def share_memory(self: Any) -> Any:
        """The module itself."""
        return self


def wear() -> None:
    """Put the face on, and PyTorch's keywords on the methods of Module."""
    for name, value in list(vars(Module).items()):
        if inspect.isfunction(value) and not name.startswith("_") and name != "forward":
            put(Module, name, adapted(value))
    put_all(Module, ModuleFace)
    put(Module, "__repr__", texts.text)
    put(KeyReport, "__repr__", texts.key_report)
