"""Parameters and buffers: tensors that are parts of a module when set as its attributes."""

from __future__ import annotations

from typing import Any

from chainrule import aliases
from chainrule.ops.creation import tensor
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Parameter(Tensor):
    """A trainable tensor. As an attribute of a module, it is one of the module's parameters.

    If `data` is a tensor, the parameter shares its numbers: a write to one reaches both. Other data
    is copied. Raises DTypeError if it requires gradients and its dtype is not floating.

    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(_numbers_of(data, "Parameter"), requires_grad)
        _share(self, data)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor of a module's state that is not trained, such as a running mean.

    With `persistent=False` it is not part of state dicts. If `data` is a tensor, the buffer shares
    its numbers. Other data is copied.

    >>> Buffer([1.0, 2.0])
    tensor([1., 2.])
    """

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(_numbers_of(data, "Buffer"))
        self.persistent = persistent
        _share(self, data)


def _numbers_of(data: Any, purpose: str) -> Array:
    """The array of a tensor, or a copy of an array or nested list."""
    if not isinstance(data, Tensor):
        data = tensor(data)
    return data._numbers(purpose)


def _share(own: Tensor, data: Any) -> None:
    if isinstance(data, Tensor):
        aliases.pair(own, data)
