"""PyTorch's attributes of Module: devices, and errors for names that only PyTorch's modules
have."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.nn.state import KeyReport, renamed
from chainrule.nn.utils.rnn import PackedSequence
from chainrule.tensor import Tensor
from chainrule.torch.adapter import texts
from chainrule.torch.adapter.absent import missing_name, public_names
from chainrule.torch.adapter.attributes import add, add_all, teach
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.dtypes import by_name
from chainrule.torch.adapter.internals import InternalAttributes
from chainrule.torch.adapter.placement import require_cpu, target_dtype
from chainrule.torch.adapter.tensors import dtype_of

_OWN_TO, _OWN_STATE_DICT, _OWN_LOAD = Module.to, Module.state_dict, Module.load_state_dict


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
        if name in vars(self):  # a subclass overrides this method, and calls it for all names
            return vars(self)[name]
        if name in self._computed:
            return self._computed[name].compute(self)
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

    def register_module(self: Any, name: str, module: Any) -> None:
        """Set a submodule, as `add_module`."""
        self.add_module(name, module)

    def compile(self: Any, *args: Any, **options: Any) -> None:
        """Compile the `forward` of this module. The arguments are those of `torch.compile`."""
        compiled = import_module(f"{__package__}.compiled")  # loaded where it is used: it is large
        vars(self)["forward"] = compiled.compile(type(self).forward.__get__(self), *args, **options)

    def state_dict(self: Any, *args: Any, **keywords: Any) -> Any:
        """A dict of all parameters and persistent buffers, by path, with `_metadata`."""
        names = ("destination", "prefix", "keep_vars")
        keywords |= dict(zip(names, args, strict=False))
        if keywords.get("destination") is not None:
            return _OWN_STATE_DICT(self, **keywords)
        found = OrderedDict(_OWN_STATE_DICT(self, **keywords))
        versions = {path: {"version": m._version} for path, m in self._walk()}
        found._metadata = OrderedDict(versions)  # type: ignore[attr-defined]
        return found

    def load_state_dict(
        self: Any, state_dict: Any, strict: bool = True, assign: bool = False, rename: Any = None
    ) -> Any:
        """Assign a state dict. Numbers of another dtype are converted."""
        if isinstance(state_dict, Mapping):
            state_dict = state_dict if rename is None else renamed(state_dict, rename)
            state_dict = state_dict if assign else _converted(state_dict, self)
        return _OWN_LOAD(self, state_dict, strict, assign)


def _converted(state: Mapping[str, Any], root: Any) -> dict[str, Any]:
    """The entries of a state dict, tensors in the dtype of the tensor that they replace."""
    found = dict(state)
    for path, module in root._walk(unique=False):
        for name in module._own_entries():
            own, key = vars(module).get(name), f"{path}.{name}" if path else name
            if isinstance(own, Tensor) and isinstance(found.get(key), Tensor):
                found[key] = found[key].detach().to(own.dtype)
    return found


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
    add_all(Module, InternalAttributes)
    add(Module, "__repr__", texts.text)
    add_all(PackedSequence, PackedAttributes)
    teach(PackedSequence, "torch.nn.utils.rnn.PackedSequence")
    add(KeyReport, "__repr__", texts.key_report)
