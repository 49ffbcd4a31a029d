"""Parameters and buffers: the tensors that a module finds among its attributes."""

from __future__ import annotations

from typing import Any

from chainrule import aliases
from chainrule.ops.creation import tensor
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Parameter(Tensor):
    """A tensor that training changes: it requires gradients, and its module finds it.

    Made of a tensor it is an alias: a write to one is a write to both. Other data are copied.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(_numbers_of(data, "Parameter"), requires_grad)
        _share(self, data)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not trained, such as a running mean.

    With `persistent=False` it is no part of a state dict. Made of a tensor it is an alias.
    """

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(_numbers_of(data, "Buffer"))
        self.persistent = persistent
        _share(self, data)


def _numbers_of(data: Any, purpose: str) -> Array:
    """The numbers of a tensor, or a copy of an array or nested list."""
    if not isinstance(data, Tensor):
        data = tensor(data)
    return data._numbers(purpose)


def _share(own: Tensor, data: Any) -> None:
    if isinstance(data, Tensor):
        aliases.pair(own, data)
