"""The operators of Tensor, and its methods that are no ops. The methods that are: op_methods.py.

Only this table says which op an operator is. The op is looked up by name when the operator is used.
So the modules of ops can import Tensor, and this module imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import aliases
from chainrule.engine import shortcut
from chainrule.errors import DTypeError, ShapeError, unknown_name
from chainrule.op_methods import OpMethods
from chainrule.primitive import Primitive, operations

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Operator = Callable[[Any, Any], "Tensor"]


def _binary(name: str) -> Operator:
    return shortcut("operator", lambda self, other: Primitive.gateway(name, self, other), name)


def _reflected(name: str) -> Operator:
    return shortcut("reflected", lambda self, other: Primitive.gateway(name, other, self), name)


def _swapped(name: str) -> Operator:
    return lambda self, other: operations[name](other, self)


def _comparison(name: str) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return Primitive.gateway(name, self, other)

    return shortcut("operator", operator, name)


def _in_place(name: str) -> Operator:
    return lambda self, other: getattr(self, name)(other)


def _method(name: str) -> Callable[..., Tensor]:
    return shortcut("method", lambda self, *args: operations[name](self, *args), name)


class Methods(OpMethods):
    """The operators and methods of Tensor."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__, __radd__, __iadd__ = _binary("add"), _reflected("add"), _in_place("add_")
    __sub__, __rsub__, __isub__ = _binary("sub"), _reflected("sub"), _in_place("sub_")
    __mul__, __rmul__, __imul__ = _binary("mul"), _reflected("mul"), _in_place("mul_")
    __truediv__, __rtruediv__ = _binary("div"), _reflected("div")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __itruediv__, __ifloordiv__ = _in_place("div_"), _in_place("floor_divide_")
    __imod__, __ipow__ = _in_place("remainder_"), _in_place("pow_")
    __pow__, __rpow__ = _method("pow"), _reflected("pow")
    __and__, __rand__ = _binary("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor"), _reflected("bitwise_xor")
    __iand__, __ior__ = _in_place("bitwise_and_"), _in_place("bitwise_or_")
    __ixor__ = _in_place("bitwise_xor_")
    __eq__, __ne__ = _comparison("eq"), _comparison("ne")
    __lt__, __le__ = _comparison("lt"), _comparison("le")
    __gt__, __ge__ = _comparison("gt"), _comparison("ge")
    __lshift__, __rlshift__ = _binary("bitwise_left_shift"), _reflected("bitwise_left_shift")
    __rshift__, __rrshift__ = _binary("bitwise_right_shift"), _reflected("bitwise_right_shift")
    __ilshift__, __irshift__ = _in_place("bitwise_left_shift_"), _in_place("bitwise_right_shift_")
    __neg__, __abs__, __invert__ = _method("neg"), _method("abs"), _method("bitwise_not")
    __pos__ = _method("positive")
    __matmul__, __rmatmul__ = _method("matmul"), _swapped("matmul")
    __getitem__ = _method("getitem")

    def __reversed__(self: Any) -> Tensor:
        """The elements in reverse order along the first dimension."""
        y: Tensor = operations["flip"](self, (0,) if self.ndim else ())
        return y

    if not TYPE_CHECKING:  # a type checker knows which names there are

        def __getattr__(self, name: str) -> Any:
            raise unknown_name(self, "Tensor", name)

    @property
    def T(self: Any) -> Tensor:
        """The dimensions in reverse order."""
        return Primitive.gateway("permute", self, dims=tuple(range(self.ndim))[::-1])

    @property
    def mT(self: Any) -> Tensor:
        """The last two dimensions exchanged: each matrix transposed."""
        n = self.ndim
        if n < 2:
            raise ShapeError("only matrices are transposed", given=self.shape)
        return Primitive.gateway("permute", self, dims=(*range(n - 2), n - 1, n - 2))

    @property
    def device(self) -> str:
        """Where the numbers are: always `cpu`."""
        return "cpu"

    def size(self: Any, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self: Any) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self: Any) -> int:
        """The number of elements."""
        return self.spec.size

    def to(self: Any, *targets: Any, dtype: Any = None) -> Tensor:
        """Convert to another dtype. The device `cpu` is accepted and changes nothing.

        Returns the tensor itself if it has the dtype. Raises DTypeError for another device.
        """
        for target in (*targets, dtype):
            if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "mps"):
                if target != "cpu":
                    raise DTypeError("Chainrule computes on the CPU", given=target)
            elif target is not None:
                dtype = np.dtype(target)
        return self if dtype is None or dtype == self.dtype else self.astype(dtype)

    def cpu(self: Any) -> Tensor:
        """The tensor itself, since all tensors are on the CPU."""
        return self

    def contiguous(self: Any) -> Tensor:
        """The tensor itself if its elements are in order in memory, else a copy."""
        return self if aliases.is_in_order(self) else operations["clone"](self)

    def float(self: Any) -> Tensor:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: Any) -> Tensor:
        """Convert to float64."""
        return self.to(np.float64)

    def half(self: Any) -> Tensor:
        """Convert to float16."""
        return self.to(np.float16)

    def long(self: Any) -> Tensor:
        """Convert to int64."""
        return self.to(np.int64)

    def int(self: Any) -> Tensor:
        """Convert to int32."""
        return self.to(np.int32)

    def bool(self: Any) -> Tensor:
        """Whether each element is not zero."""
        return self != 0

    def type_as(self: Any, other: Any) -> Tensor:
        """Convert to the dtype of another tensor."""
        return self.to(other.dtype)

    def view(self: Any, *shape: Any) -> Tensor:
        """As `reshape`; `view(dtype)` reinterprets nothing and is refused."""
        if len(shape) == 1 and isinstance(shape[0], (np.dtype, type)):
            raise DTypeError("view changes the shape, not the dtype", instead="Use x.to(dtype).")
        return self.reshape(*shape)

    def view_as(self: Any, other: Any) -> Tensor:
        """Reshape to the shape of another tensor."""
        return self.reshape(other.shape)

    def zero_(self: Any) -> Tensor:
        """Assign 0 to all elements."""
        return self.assign(0)

    def fill_(self: Any, value: Any) -> Tensor:
        """Assign one value to all elements."""
        return self.assign(value)

    def copy_(self: Any, other: Any) -> Tensor:
        """Assign another tensor, converted to this dtype and broadcast to this shape."""
        return self.assign(other.to(self.dtype).expand(self.shape))
