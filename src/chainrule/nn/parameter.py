"""Parameters and buffers: tensors that are parts of a module when set as its attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from chainrule import aliases
from chainrule.errors import UninitializedError
from chainrule.graph import StandIn
from chainrule.ops.creation import tensor
from chainrule.primitive import SCALARS, Array
from chainrule.settings import current
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

    def convert(self, function: Callable[[Tensor], Tensor]) -> None:
        """Apply a conversion to the numbers and the gradient. The parameter keeps its identity."""
        grad, self.grad = self.grad, None
        aliases.leave(self)
        self._data = function(self.detach())._numbers("to")
        self._version += 1
        self.grad = None if grad is None else function(grad)

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


class Pending(StandIn):
    """What an uninitialized parameter holds: a dtype, and no shape yet."""

    __slots__ = ()

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    @property
    def shape(self) -> NoReturn:  # type: ignore[override]
        """No shape is known: raises UninitializedError."""
        raise self.refusal("its shape")

    def refusal(self, purpose: str) -> UninitializedError:
        return UninitializedError(
            f"{purpose} needs a parameter with a shape, and this one has none yet",
            instead="Call the model once on an example first.",
        )


class Uninitialized(Tensor):
    """Base class of parameters and buffers whose shape is not known yet.

    `assign` and `materialize` give it numbers, and make it an ordinary parameter or buffer. Other
    uses of its numbers or its shape raise UninitializedError.
    """

    ordinary: ClassVar[type[Tensor]]

    def materialize(self, shape: Sequence[int]) -> None:
        """Give it a shape, with zeros."""
        self._data = np.zeros(tuple(shape), self.dtype)
        self._version += 1
        self.__class__ = self.ordinary  # type: ignore[assignment]

    def assign(self, value: Any) -> Tensor:
        self.materialize(self.shape if isinstance(value, SCALARS) else value.shape)
        return self.assign(value)

    def detach(self) -> Tensor:
        """Another one without a shape: there are no numbers to share."""
        return type(self)(False, dtype=self.dtype)  # type: ignore[call-arg]

    def convert(self, function: Callable[[Tensor], Tensor]) -> None:
        """Take the dtype that a conversion gives."""
        self._data = Pending(function(Tensor(np.zeros(0, self.dtype))).dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = type(self)(self.requires_grad, dtype=self.dtype)  # type: ignore[call-arg]
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad, self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter whose shape is not known before the first call of its layer.

    >>> parameter = UninitializedParameter()
    >>> parameter.materialize((2,))
    >>> parameter
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    ordinary = Parameter

    def __init__(self, requires_grad: bool = True, dtype: Any = None) -> None:
        Tensor.__init__(self, Pending(dtype or current().default_dtype), requires_grad)


class UninitializedBuffer(Uninitialized, Buffer):
    """A buffer whose shape is not known before the first call of its layer.

    >>> buffer = UninitializedBuffer()
    >>> buffer.materialize((2,))
    >>> buffer
    tensor([0., 0.])
    """

    ordinary = Buffer

    def __init__(self, requires_grad: bool = False, dtype: Any = None) -> None:
        Tensor.__init__(self, Pending(dtype or current().default_dtype), requires_grad)
        self.persistent = True


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, Uninitialized)


def _numbers_of(data: Any, purpose: str) -> Array:
    """The array of a tensor, or a copy of an array or nested list."""
    if not isinstance(data, Tensor):
        data = tensor(data)
    return data._numbers(purpose)


def _share(own: Tensor, data: Any) -> None:
    if isinstance(data, Tensor):
        aliases.pair(data, own)
        if own._requires_grad:
            aliases.mark_own(own)
