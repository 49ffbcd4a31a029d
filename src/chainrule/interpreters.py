"""The stack of interpreters: the one on top decides what running an op means.

The lowest, :class:`Evaluate`, computes numbers. An interpreter above it overrides the methods that
it changes, and passes all other calls to the one below: a capture records equations, `vmap` adds a
dimension, anomaly detection checks results. An interpreter is on the stack during a `with` block:

    with use(interpreter=Interpreter()):
        ...

State goes through the interpreters, too: every read or write of a tensor's numbers or gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chainrule.primitive import Primitive
from chainrule.settings import current

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Evaluate:
    """Eager evaluation: the interpreter at the bottom of the stack."""

    @property
    def draws(self) -> int:
        """The number of draws of random numbers that one draw in the program stands for."""
        return 1

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        """Run an op. Returns the data of its output, or a tuple for several outputs."""
        return primitive.evaluate(*[x._data for x in inputs], **params)

    def read(self, tensor: Tensor) -> Any:
        """The current data of a tensor."""
        return tensor._data

    def detached(self, tensor: Tensor) -> Any:
        """The data for `tensor.detach()`: without derivatives, on the levels below too."""
        return self.read(tensor)

    def lifted(self, tensor: Tensor) -> Any:
        """The current data of a tensor, for a new tensor of this level. The levels below do not
        record gradients for it."""
        return self.read(tensor)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        """Replace the data of a tensor by that of another tensor with the same spec."""
        tensor._put(value._data)

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        """The data for a new tensor that is made from an array."""
        return data

    def replace(self, attributes: dict[str, Any], name: str, old: Tensor) -> None:
        """Hear that an attribute of a module, a tensor, is about to be another tensor."""

    def separate(self, tensor: Tensor) -> None:
        """Hear that a tensor is about to stop sharing numbers with others: `x.data = value`."""

    def known(self, data: Any) -> Any:
        """The array that symbolic data stands for, if it is known (as for a constant), else
        None."""
        return None

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        """The current gradient of a tensor, or None."""
        return tensor._grad

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        """Set the gradient of a tensor, or clear it with None."""
        tensor._grad = g

    def require(self, condition: Tensor, error: Exception) -> None:
        """Raise the error unless a boolean scalar is true."""
        if not condition._data:
            raise error


EVALUATE = Evaluate()


def top() -> Evaluate:
    """The interpreter on top of the stack."""
    return current().interpreter or EVALUATE


class Interpreter(Evaluate):
    """Base class of interpreters that stand above another one. It passes every call to that one.

    below: the interpreter that was on top of the stack when this one was made.
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

    def separate(self, tensor: Tensor) -> None:
        self.below.separate(tensor)

    def known(self, data: Any) -> Any:
        return self.below.known(data)

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        return self.below.read_grad(tensor)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        self.below.write_grad(tensor, g)

    def require(self, condition: Tensor, error: Exception) -> None:
        self.below.require(condition, error)


@contextmanager
def unrecorded(seeds: Sequence[tuple[Tensor, Any]]) -> Iterator[None]:
    """Inside, nothing is recorded on the level where these (output, gradient) were computed.

    A walk back over its tape needs no record of itself, also where it runs on a level above, such
    as that of `vmap`: the ops of the lowest one above run there.
    """
    home = getattr(seeds[0][0]._data, "level", None) if seeds else None
    above: Any = None
    place: Any = top() if seeds else EVALUATE
    while isinstance(place, Interpreter) and place is not home:
        above = place if hasattr(place, "gradients") else above
        place = place.below
    if above is None or not above.gradients:
        yield
        return
    above.gradients = None
    try:
        yield
    finally:
        above.gradients = True
