"""Capture: the interpreter that records what a function computes, as a graph.

Every op, every write to state and every gradient goes through it. So forward pass, backward pass
and the update of an optimizer become one graph. A tensor that the function makes belongs to the
capture: a write to it only changes which value stands for it. A tensor that existed before is
state: it is read when the graph runs, and written at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from weakref import ref

from chainrule import aliases
from chainrule.compiler.shared import refuse_new_leaf
from chainrule.errors import CaptureError
from chainrule.graph import Equation, Graph, Value, as_tuple
from chainrule.interpreters import Evaluate
from chainrule.ops.elementwise import clone
from chainrule.primitive import Array, Primitive
from chainrule.settings import current
from chainrule.tape import caller, describe
from chainrule.tensor import Tensor, wrap


@dataclass(frozen=True, eq=False)
class Slot:
    """One piece of state: the numbers of a tensor, or its gradient.

    in_place: whether the tensor that is the gradient is written, and not replaced by another one.
    """

    tensor: Tensor
    is_grad: bool = False
    in_place: bool = False

    @property
    def key(self) -> tuple[int, bool]:
        return (id(self.tensor), self.is_grad)

    def load(self) -> Array:
        """The current array. Raises CaptureError if the gradient no longer exists."""
        tensor = self.tensor._grad if self.is_grad else self.tensor
        if tensor is None:
            raise CaptureError(
                "a gradient that was there during the capture is gone",
                instead="Capture again, in the state in which the function will run.",
            )
        return tensor._data

    def store(self, array: Array) -> None:
        """Replace the array."""
        written = self.tensor._grad if self.is_grad else self.tensor
        if written is None or (self.is_grad and not self.in_place):
            self.tensor._grad = wrap(array)
            return
        written._version += 1
        written._put(array)
        if written._alias is not None:
            aliases.spread(written)


class Read(NamedTuple):
    """A read of a tensor that existed before the capture: its data, and the value for it."""

    tensor: ref[Tensor]
    value: Value
    data: Array


@dataclass(eq=False)
class Gradient:
    """The gradient, during a capture, of a tensor that existed before.

    was_read: whether it was read before it was first written.
    before: the value of the first read, or None if there was no gradient.
    now: the current gradient. first: the one that stands for the gradient that was read.
    """

    slot: Slot
    was_read: bool
    before: Value | None
    now: Tensor | None
    first: Tensor | None = None


def refuse_history(tensor: Tensor) -> None:
    """Refuse values with a history in a tensor that exists outside, and outlives the call."""
    if tensor._node is not None:
        raise CaptureError(
            f"a captured function writes values that carry gradients into a tensor {tensor.spec} "
            "that exists outside of it",
            instead="Write them detached, x.copy_(value.detach()), or end with x.detach_().",
        )


class Capture(Evaluate):
    """The interpreter that records equations instead of computing them.

    arguments: the numbers of the arguments of the function, by the ids of the tensors that stand
        for them. with_grad: those whose gradients are read or written.
    """

    def __init__(self, labels: dict[int, str]) -> None:
        self.arguments: dict[int, int] = {}
        self.with_grad: set[int] = set()
        self.graph = Graph()
        self.reads: dict[tuple[int, bool], Read] = {}
        self.made: list[tuple[ref[Tensor], Array]] = []
        self.writes: dict[int, tuple[Slot, Value]] = {}
        self.gradients: dict[int, Gradient] = {}
        self.replaced: dict[tuple[int, str], tuple[dict[str, Any], str, Tensor]] = {}
        self.places: dict[int, tuple[Tensor, Any]] = {}
        self.requirements: list[tuple[Value, Exception]] = []
        self.separated: list[Tensor] = []
        self._labels = labels

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        if current().gradients:
            for x in inputs:
                self._refuse_computed_outside(x)
        values = tuple([self.read(x) for x in inputs])
        derived = primitive.infer(*values, **params)
        outputs = tuple(Value(spec) for spec in as_tuple(derived))
        place = describe(caller())
        self.graph.equations.append(Equation(primitive, values, params, outputs, place))
        return outputs if isinstance(derived, tuple) else outputs[0]

    def read(self, tensor: Tensor) -> Value:
        """The value of a tensor: that of its last write in the capture, or that of its state."""
        if isinstance(tensor._data, Value):
            return tensor._data
        if id(tensor) in self.writes:
            return self.writes[id(tensor)][1]
        return self._read(Slot(tensor), tensor._data)

    def _refuse_computed_outside(self, tensor: Tensor) -> None:
        """Refuse a tensor that was computed, with gradients, before the capture: gradients cannot
        flow back from the graph to its history."""
        inside = isinstance(tensor._data, Value) or id(tensor) in self.writes
        if tensor._node is not None and not inside:
            raise CaptureError(
                f"a tensor {tensor.spec} that was computed outside is used at {describe(caller())}",
                instead="Pass it as an argument, compute it inside, or .detach() it.",
            )

    def write(self, tensor: Tensor, value: Tensor) -> None:
        if isinstance(tensor._data, Value):  # made inside
            layout = tensor._data.layout
            tensor._data = self.read(value)
            if layout is not None:
                written = Value(tensor._data, layout=layout)
                self.graph.equations.append(Equation(clone, (tensor._data,), {}, (written,)))
                tensor._data = written
            return
        self.places.setdefault(
            id(tensor), (tensor, (tensor._node, tensor._output, tensor._requires_grad))
        )
        self.writes[id(tensor)] = (Slot(tensor), self.read(value))

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        if isinstance(tensor._data, Value):  # made inside
            self._note_gradient(tensor)
            return tensor._grad
        if id(tensor) not in self.gradients:
            slot, g = Slot(tensor, is_grad=True), tensor._grad
            before = None if g is None else self._read(slot, g._data)
            now = None if before is None else wrap(before)
            self.gradients[id(tensor)] = Gradient(slot, True, before, now, now)
        return self.gradients[id(tensor)].now

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        if isinstance(tensor._data, Value):
            self._note_gradient(tensor)
            tensor._grad = g
        elif id(tensor) in self.gradients:
            self.gradients[id(tensor)].now = g
        else:
            self.gradients[id(tensor)] = Gradient(Slot(tensor, is_grad=True), False, None, g)

    def _note_gradient(self, tensor: Tensor) -> None:
        """Note that the gradient of an argument is used."""
        if id(tensor) in self.arguments:
            self.with_grad.add(self.arguments[id(tensor)])

    def written(self) -> list[tuple[Slot, Value | None]]:
        """The state that the function has changed, with its new value (None: cleared)."""
        for slot, _ in self.writes.values():
            refuse_history(slot.tensor)
        changed: list[tuple[Slot, Value | None]] = list(self.writes.values())
        for g in self.gradients.values():
            after = None if g.now is None else self.read(g.now)
            if not g.was_read or after is not g.before:
                in_place = g.now is not None and g.now is g.first
                changed.append((replace(g.slot, in_place=in_place), after))
        self._refuse_kept_gradients([slot for slot, _ in changed])
        return changed

    def _refuse_kept_gradients(self, changed: Sequence[Slot]) -> None:
        """Refuse a gradient that the function also uses as a tensor of its own (`kept = p.grad`),
        if it writes to it: each of both would have to see the writes to the other."""
        read = [read.tensor() for (_, is_grad), read in self.reads.items() if not is_grad]
        used = {id(aliases.storage(x)) for x in read if x is not None}
        written = {id(aliases.storage(slot.tensor)) for slot, _ in self.writes.values()}
        in_place = {id(slot.tensor) for slot in changed if slot.in_place}
        for owner in (g.slot.tensor for g in self.gradients.values()):
            home = None if owner._grad is None else id(aliases.storage(owner._grad))
            if home in written or (home in used and id(owner) in in_place):
                raise CaptureError(
                    f"a captured function writes to a gradient {owner.spec}, and uses it as a "
                    "tensor of its own, too",
                    instead="Keep a copy: p.grad.clone().",
                )

    def replace(self, attributes: dict[str, Any], name: str, old: Tensor) -> None:
        if not isinstance(old._data, Value):
            self.replaced.setdefault((id(attributes), name), (attributes, name, old))

    def put_back(self) -> list[tuple[dict[str, Any], str, Tensor, Tensor]]:
        """Put back the tensors of attributes that the function has set to new tensors, and write
        those instead. Returns (attributes, name, old tensor, new tensor)."""
        found = []
        for attributes, name, old in self.replaced.values():
            new = attributes.get(name)
            if not isinstance(new, Tensor) or not isinstance(new._data, Value):
                continue
            refuse_history(new)
            refuse_new_leaf(new)
            if new.spec == old.spec:
                self.places.setdefault(id(old), (old, (old._node, old._output, old._requires_grad)))
                self.writes[id(old)] = (Slot(old), self.read(new))
                attributes[name] = old
                found.append((attributes, name, old, new))
        return found

    def separate(self, tensor: Tensor) -> None:
        is_state = not isinstance(tensor._data, Value)
        self.separated += [tensor] if is_state else []
        if id(tensor) in self.arguments or (is_state and aliases.is_shared(tensor)):
            raise CaptureError(
                "a captured function cannot separate a tensor from others that share its numbers, "
                "by `x.data = value`",
                instead="Write into it: x.data.copy_(value).",
            )

    def known(self, data: Any) -> Array | None:
        return self.graph.constants.get(data)

    def require(self, condition: Tensor, error: Exception) -> None:
        self.requirements.append((self.read(condition), error))

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        """A tensor that is made from an array during the capture is a constant of the graph."""
        if isinstance(data, Value):
            return data
        value = Value(data)
        self.graph.constants[value] = data
        self.made.append((ref(tensor), data))
        return value

    def let_go(self) -> None:
        """Restore tensors after the capture. State gets its place on the tape back. A tensor that
        was made from an array gets that array, so that the next capture finds it as state."""
        for tensor, place in self.places.values():
            tensor._node, tensor._output, tensor._requires_grad = place
        for reference, data in self.made:
            made = reference()
            if made is not None:
                made._data = data

    def _read(self, slot: Slot, data: Any) -> Value:
        known = self.reads.get(slot.key)
        if known is not None and known.tensor() is slot.tensor:
            return known.value
        if known is not None:  # of a temporary tensor that no longer exists
            self.graph.constants[known.value] = known.data
        label = self._labels.get(id(slot.tensor), "")
        value = Value(data, f"grad({label})" if slot.is_grad else label)
        self.reads[slot.key] = Read(ref(slot.tensor), value, data)
        return value

    def settle(self) -> None:
        """Count what was read from temporary tensors, which are gone, as constants."""
        for reference, value, data in self.reads.values():
            if reference() is None:
                self.graph.constants[value] = data

    def label(self, slot: Slot) -> str:
        """The name of a piece of state in the text of the graph."""
        name = self._labels.get(id(slot.tensor), "state")
        return f"grad({name})" if slot.is_grad else name
