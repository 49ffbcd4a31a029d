"""Gradients that are zero but for some positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.primitive import DType, Primitive, Shape

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Placed(NamedTuple):
    """The gradient of what an op reads at some positions: zero everywhere else.

    A derivative may return one in place of a tensor. The backward pass then adds it to the other
    gradients of the tensor, and touches these positions only.

    into: the op that makes the gradient alone, `into(*inputs, shape=shape, **params)`.
    onto: the op that adds it to a sum, `onto(total, *inputs, **params)`.
    """

    into: Primitive
    onto: Primitive
    inputs: tuple[Tensor, ...]
    shape: Shape
    params: dict[str, Any]

    @property
    def dtype(self) -> DType:
        return self.inputs[0].dtype

    def alone(self) -> Tensor:
        """The gradient as a tensor."""
        made: Tensor = self.into(*self.inputs, shape=self.shape, **self.params)
        return made

    def added_to(self, total: Tensor) -> Tensor:
        """The sum of a tensor and the gradient."""
        added: Tensor = self.onto(total, *self.inputs, **self.params)
        return added


def plain(gradient: Tensor | Placed | None) -> Tensor | None:
    """A gradient as a tensor, or None."""
    return gradient.alone() if isinstance(gradient, Placed) else gradient
