"""The watch: an interpreter that notes which state a function touches, and can put it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import ref

from chainrule import tape
from chainrule.errors import GradientError
from chainrule.interpreters import Interpreter, top
from chainrule.primitive import Primitive
from chainrule.tape import Node
from chainrule.tensor import Tensor, wrap


class State(NamedTuple):
    """A tensor's numbers, place on the tape and version at a moment; or its gradient."""

    tensor: ref[Tensor]
    value: Any
    place: tuple[Node | None, int, bool, int]


class Watch(Interpreter):
    """An interpreter that notes what state is touched, and leaves the work to the one below.

    since: the moment when it began.
    read_at: the version that each tensor had when it was first read.
    written: what was written, as it was before; by tensor, and whether it is its gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.since = tape.tick()
        self.read_at: dict[int, tuple[ref[Tensor], int]] = {}
        self.written: dict[tuple[int, bool], State] = {}

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        for x in inputs:
            self._note_reading(x)
        return super().run(primitive, inputs, params)

    def read(self, tensor: Tensor) -> Any:
        self._note_reading(tensor)
        return super().read(tensor)

    def detached(self, tensor: Tensor) -> Any:
        self._note_reading(tensor)
        return super().detached(tensor)

    def lifted(self, tensor: Tensor) -> Any:
        self._note_reading(tensor)
        return super().lifted(tensor)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        if self._is_new(tensor, False):
            self._note(tensor, False, super().read(tensor))
        super().write(tensor, value)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        if self._is_new(tensor, True):
            self._note(tensor, True, super().read_grad(tensor))
        super().write_grad(tensor, g)

    def _note_reading(self, x: Tensor) -> None:
        known = self.read_at.get(id(x))
        if (known is None or known[0]() is not x) and not self._is_own(x._node):
            self.read_at[id(x)] = (ref(x), x._version)

    def _is_new(self, tensor: Tensor, is_grad: bool) -> bool:
        known = self.written.get((id(tensor), is_grad))
        return known is None or known.tensor() is not tensor

    def _is_own(self, node: Node | None) -> bool:
        return node is not None and node.order >= self.since

    def _note(self, tensor: Tensor, is_grad: bool, value: Any) -> None:
        if self._is_own(tensor._node):
            return  # made inside, and made again by a second run
        version = tensor._version - (not is_grad)  # a write comes after the version was raised
        place = (tensor._node, tensor._output, tensor._requires_grad, version)
        self.written[id(tensor), is_grad] = State(ref(tensor), value, place)

    def forget_the_dead(self) -> None:
        """Drop the notes on tensors that nobody holds any more."""
        self.read_at = {k: v for k, v in self.read_at.items() if v[0]() is not None}
        self.written = {k: v for k, v in self.written.items() if v.tensor() is not None}

    def rewind(self, through: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        """Put back what was written as it was before."""
        interpreter = top()
        for (_, is_grad), (reference, value, place) in list(self.written.items()):
            tensor = reference()
            if tensor is None:
                continue
            if is_grad:
                interpreter.write_grad(tensor, value)
                continue
            tensor._version += 1
            interpreter.write(tensor, through(wrap(value)))
            tensor._node, tensor._output, tensor._requires_grad, tensor._version = place

    def refuse_overwritten(self) -> None:
        """Raise when something that was read has other numbers now, and cannot be rewound."""
        for key, (reference, version) in self.read_at.items():
            x = reference()
            if x is not None and x._version != version and (key, False) not in self.written:
                at = f" at {tape.describe(x._written)}" if x._written else ""
                raise GradientError(
                    f"a checkpoint needs a tensor of shape {tuple(x.shape)} to run its function "
                    f"again, and it was overwritten{at}",
                    instead="Call backward before the write, or pass a copy: x.clone().",
                )
