"""Parameters and buffers: the tensors that a module finds among its attributes."""

from __future__ import annotations

from typing import Any

from chainrule.ops.creation import tensor
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Parameter(Tensor):
    """A tensor that training changes: it requires gradients, and its module finds it."""

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(_own_array(data, "Parameter"), requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not trained, such as a running mean.

    With `persistent=False` it is no part of a state dict.
    """

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(_own_array(data, "Buffer"))
        self.persistent = persistent


def _own_array(data: Any, purpose: str) -> Array:
    """The numbers of a tensor (never written in place), or a copy of an array or nested list."""
    if not isinstance(data, Tensor):
        data = tensor(data)
    array: Array = data._numbers(purpose)
    return array
