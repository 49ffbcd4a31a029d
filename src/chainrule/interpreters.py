"""What gives an op its meaning: a stack of interpreters, of which the top one is asked.

The lowest, :class:`Evaluate`, computes numbers. An interpreter above it overrides what it changes
(capture writes equations down, `vmap` adds a dimension, anomaly detection looks at results) and
hands everything else to the one below. It is put on the stack for a block of code:

    with use(interpreter=Interpreter()):
        ...

State passes the interpreters too: whoever reads a tensor's numbers or gradient, or writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.primitive import Primitive
from chainrule.settings import current

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Evaluate:
    """Computes at once: what is done where no other interpreter is on the stack."""

    @property
    def draws(self) -> int:
        """How many draws of random numbers one draw stands for."""
        return 1

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        """The data of the outputs: one, or a tuple of them."""
        return primitive.evaluate(*[x._data for x in inputs], **params)

    def read(self, tensor: Tensor) -> Any:
        """The data of a tensor now."""
        return tensor._data

    def detached(self, tensor: Tensor) -> Any:
        """The data of a tensor now, cut off from derivatives that are computed below too."""
        return self.read(tensor)

    def lifted(self, tensor: Tensor) -> Any:
        """The data of a tensor now, as that of a tensor of this level's own: that it requires
        gradients is no matter of the levels below."""
        return self.read(tensor)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        """Give a tensor the data of another of its spec."""
        tensor._put(value._data)

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        """The data for a tensor that is made from numbers."""
        return data

    def replace(self, attributes: dict[str, Any], name: str, old: Tensor) -> None:
        """Hear that an attribute of a module, a tensor, is about to be another tensor."""

    def known(self, data: Any) -> Any:
        """The numbers behind data that is no array, where they are known: of a constant, say."""
        return None

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        """The gradient of a tensor now."""
        return tensor._grad

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        """Give a tensor a gradient, or take it away."""
        tensor._grad = g

    def require(self, condition: Tensor, error: Exception) -> None:
        """Raise the error unless a boolean scalar is true."""
        if not condition._data:
            raise error


EVALUATE = Evaluate()


def top() -> Evaluate:
    """The interpreter that is asked now."""
    return current().interpreter or EVALUATE


class Interpreter(Evaluate):
    """Base of what stands above another interpreter; as it is, it hands everything on.

    below: the interpreter that was on top when this one was made.
    """

    def __init__(self) -> None:
        self.below = top()

    @property
    def draws(self) -> int:
        return self.below.draws

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        return self.below.run(primitive, inputs, params)

    def read(self, tensor: Tensor) -> Any:
        return self.below.read(tensor)

    def detached(self, tensor: Tensor) -> Any:
        return self.below.detached(tensor)

    def lifted(self, tensor: Tensor) -> Any:
        return self.below.lifted(tensor)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        self.below.write(tensor, value)

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        return self.below.adopt(tensor, data)

    def replace(self, attributes: dict[str, Any], name: str, old: Tensor) -> None:
        self.below.replace(attributes, name, old)

    def known(self, data: Any) -> Any:
        return self.below.known(data)

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        return self.below.read_grad(tensor)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        self.below.write_grad(tensor, g)

    def require(self, condition: Tensor, error: Exception) -> None:
        self.below.require(condition, error)
