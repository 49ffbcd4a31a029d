"""Interpreters that compute on the level below: what `vmap` and `jvp` have in common.

A tensor that is made inside does not hold numbers but what stands for it: a tensor of the level
below, and what the interpreter knows beside. An op becomes ops on those. So levels nest, and each
has its own tape. A tensor from outside is the same tensor on both levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import tape
from chainrule.errors import ChainruleError, LevelError, NotDifferentiableError
from chainrule.graph import StandIn, as_tuple
from chainrule.interpreters import EVALUATE, Interpreter
from chainrule.primitive import Primitive, SpecLike
from chainrule.settings import current, not_here, use
from chainrule.tensor import Tensor


class Lifted(StandIn):
    """What stands for a tensor that was made inside: `tensor`, of the level below."""

    __slots__ = ("level", "tensor")

    def __init__(self, like: SpecLike, level: Level, tensor: Tensor) -> None:
        super().__init__(like)
        self.level, self.tensor = level, tensor

    def refusal(self, purpose: str) -> ChainruleError:
        return LevelError(
            f"{purpose} needs the numbers of a tensor {self.spec} that was made under "
            f"{self.level.name}",
            instead=f"Return it from the function, and use what {self.level.name} returns.",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal(f"`.{name}` of an array")  # an op after the function has returned

    def __repr__(self) -> str:
        return f"{self.spec} under {self.level.name}"


class Level(Interpreter):
    """Base of the interpreters that compute on the level below.

    gradients: whether the level below records, as it was set when this one was made.
    """

    name = ""
    """The function that makes such a level, as errors name it."""
    cannot = ""
    """What a tensor from outside cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.gradients = current().gradients

    def lift(self, tensor: Tensor) -> Lifted:
        """What stands for a tensor of the level below, with nothing beside it."""
        raise NotImplementedError

    def has_more(self, x: Tensor) -> bool:
        """Whether a tensor is more than one of the level below can be."""
        raise NotImplementedError

    def owns(self, x: Tensor) -> bool:
        """Whether a tensor was made inside."""
        return isinstance(x._data, Lifted) and x._data.level is self

    def physical(self, x: Tensor) -> Tensor:
        """The tensor of the level below."""
        tensor: Tensor = x._data.tensor if self.owns(x) else x
        return tensor

    def level_below(self) -> use:
        """Run a block on the interpreter below, which records as it is set, unless none does."""
        gradients = False if current().gradients is False else self.gradients
        below = None if self.below is EVALUATE else self.below
        return use(gradients=gradients, interpreter=below)

    def compose(
        self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]
    ) -> Any:
        """The data of an op's outputs, by the ops that it is composed of."""
        if primitive.composed is None:
            raise NotDifferentiableError(f"`{primitive.name}` is not composed of other ops")
        with use(gradients=not_here()):
            outputs = primitive.composed(*inputs, **params)
        data = tuple([self.lifted(y) for y in as_tuple(outputs)])
        return data if isinstance(outputs, tuple) else data[0]

    # -- state -------------------------------------------------------------------------------------

    def read(self, tensor: Tensor) -> Any:
        return tensor._data if self.owns(tensor) else self.below.read(tensor)

    def lifted(self, tensor: Tensor) -> Any:
        return tensor._data if self.owns(tensor) else self.lift(tensor)

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        if isinstance(data, StandIn):
            return data
        with self.level_below():
            return self.lift(Tensor(data))

    def known(self, data: Any) -> Any:
        if not isinstance(data, Lifted) or data.level is not self:
            return self.below.known(data)
        with self.level_below():
            return data.tensor._numbers("a number")

    def write(self, tensor: Tensor, value: Tensor) -> None:
        if self.owns(tensor):
            tensor._data = self.lifted(value)
        elif self.has_more(value):
            raise self._outside("a tensor", tensor, "Return the value from the function instead.")
        else:
            self.below.write(tensor, self.physical(value))

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        return tensor._grad if self.owns(tensor) else self.below.read_grad(tensor)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        if self.owns(tensor):
            tensor._grad = g
        elif g is not None and self.has_more(g):
            what = "the gradient of a tensor"
            raise self._outside(what, tensor, "Use cr.grad inside, which returns gradients.")
        else:
            self.below.write_grad(tensor, None if g is None else self.physical(g))

    def require(self, condition: Tensor, error: Exception) -> None:
        with self.level_below():
            self.below.require(self.physical(condition), error)

    def _outside(self, what: str, tensor: Tensor, instead: str) -> LevelError:
        return LevelError(
            f"{what} from outside of {self.name}, of {tensor.spec}, would be written with "
            f"{self.cannot} (at {tape.describe(tape.caller())})",
            instead=f"{instead} Or pass the tensor as an argument of the function.",
        )
