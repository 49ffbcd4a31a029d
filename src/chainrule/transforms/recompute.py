"""Checkpoints: what derivatives need is forgotten, and computed again when they ask for it.

The forward pass leaves its nodes on the tape as ever; then they let go of the numbers that they
keep. When the walk back comes to one of them, the function runs again, from the state that it began
with, and each new node hands its numbers to the node that it repeats. So the tape is the same as
without a checkpoint, and so are gradients, hooks and higher derivatives, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from chainrule import tape, tree
from chainrule.errors import CaptureError, DTypeError, GradientError, listing
from chainrule.graph import Value
from chainrule.ops.shape import barrier
from chainrule.settings import current, use
from chainrule.tape import Node
from chainrule.tensor import Tensor, wrap
from chainrule.transforms.watch import Watch


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any
) -> Any:
    """`function(*args, **kwargs)` that keeps only its arguments; the walk back runs it again.

    A net of n layers keeps n activations. In √n segments of √n layers, each a checkpoint, it keeps
    the √n starts and, on the way back, one segment: O(√n) memory for about one more forward pass,
    a third more time (Chen et al., 2016, arXiv 1604.06174). Results, gradients of arguments and of
    parameters that the function refers to, and derivatives of any order are the same bits as
    without. State is as it was when the function first ran: dropout draws the same numbers, and
    neither random state nor running statistics move on twice. Hooks on tensors run once, and
    checkpoints may be nested.

    The arguments are anything; the result is one tensor or nested tuples, lists and dicts with
    tensors. All else that the function does, such as `print` or counting calls, happens again; its
    modules run again in the mode, train or eval, in which they then are. So it must depend on
    nothing that changes meanwhile: pass a loop's variables as arguments. In a compiled function the
    second run is part of the program; there memory is less only if what the function works on are
    its arguments. `use_reentrant` is accepted for PyTorch's sake.

    Raises DTypeError when the function is none, or returns no tensor; and, on the walk back,
    GradientError when a tensor that it reads was overwritten, or when it did something else in
    its second run.

    >>> import chainrule as cr
    >>> block = cr.nn.Sequential(cr.nn.Linear(4, 64), cr.nn.Tanh(), cr.nn.Linear(64, 4))
    >>> x = cr.ones(8, 4)
    >>> for _ in range(3):
    ...     x = x + cr.checkpoint(block, x)
    >>> x.sum().backward()
    >>> block[0].weight.grad.shape
    (64, 4)
    """
    if not callable(function):
        raise DTypeError(
            "checkpoint takes a function and its arguments",
            given=type(function).__name__,
            instead="Write cr.checkpoint(block, x), not cr.checkpoint(block(x)).",
        )
    watch = Watch()
    with use(interpreter=watch):
        result = function(*args, **kwargs)
    tensors = _tensors(result)
    if not tensors:
        raise DTypeError(
            "a checkpointed function returns no tensor",
            given=type(result).__name__,
            expected="a tensor, or nested tuples, lists and dicts with tensors",
        )
    if nodes := _nodes(tensors, watch.since):
        recomputation = Recomputation((function, args, kwargs), watch, nodes, tensors)
        for number, node in enumerate(nodes):
            _forget(node, watch.since, recomputation, number)
        watch.forget_the_dead()
    return result


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree.flatten(result) if isinstance(leaf, Tensor)]


def _nodes(tensors: Sequence[Tensor], since: int) -> list[Node]:
    """The nodes recorded since a moment that lead to the tensors, the first one first."""
    return tape.reachable([y._node for y in tensors], since)[::-1]


# -- the second run ------------------------------------------------------------------------------


class Numbers(NamedTuple):
    """What a node of the second run keeps; `recall` where it lies in a checkpoint inside."""

    saved: Sequence[tape.Saved]
    outputs: Sequence[Any]
    recall: Any


class Recomputation:
    """What it takes to run a checkpointed function again, and what that gave for each node."""

    def __init__(
        self, call: Any, watch: Watch, nodes: Sequence[Node], tensors: Sequence[Tensor]
    ) -> None:
        self.call, self.watch, self.settings = call, watch, current()
        self.is_captured = _is_captured(tensors)
        self.account = _account(nodes, tensors)
        self.found: dict[int, Numbers] = {}

    def take(self, number: int) -> Numbers:
        """The numbers of one node, handed out once."""
        if number not in self.found:
            self.found = dict(enumerate(self._run()))
        found = self.found.pop(number)
        return found if found.recall is None else found.recall.take()

    def _run(self) -> list[Numbers]:
        self.watch.refuse_overwritten()
        function, args, kwargs = self.call
        gradients, dtype, _, engine = self.settings
        with use(gradients=gradients, default_dtype=dtype, engine=engine):
            again = Watch()
            with use(interpreter=again):
                try:
                    self.watch.rewind(through=_apart)
                    if self.is_captured:
                        args, kwargs = tree.map_leaves(_apart, (args, kwargs))
                    tensors = _tensors(function(*args, **kwargs))
                    nodes = _nodes(tensors, again.since)
                    self._require_same(nodes, tensors)
                    return [_numbers(node) for node in nodes]
                finally:
                    again.rewind()

    def _require_same(self, nodes: Sequence[Node], tensors: Sequence[Tensor]) -> None:
        if _is_captured(tensors) is not self.is_captured:
            raise CaptureError(
                "a checkpoint that ran outside of a compiled function is differentiated inside",
                instead="Put both inside, or both outside.",
            )
        for before, now in zip_longest(self.account, _account(nodes, tensors)):
            if before != now:
                given, expected = _words(now), _words(before)
                raise GradientError(
                    "a checkpointed function did something else when it ran again",
                    given=given if given != expected else f"{given}, of other tensors",
                    expected=expected,
                    instead="Let it depend on nothing that changes: no chance but Chainrule's, no "
                    "counting of calls; pass a loop's variables as arguments.",
                )


def _is_captured(tensors: Sequence[Tensor]) -> bool:
    return any(isinstance(y._data, Value) for y in tensors)


hidden: Any = barrier


def _apart(x: Any) -> Any:
    """What a capture computed, behind a barrier: or the two runs would be merged into one."""
    if x.__class__ is not Tensor or not isinstance(x._data, Value):
        return x
    with use(gradients=False):
        apart: Tensor = hidden(x)
    apart._node, apart._output, apart._requires_grad = x._node, x._output, x._requires_grad
    return apart


def _account(nodes: Sequence[Node], tensors: Sequence[Tensor]) -> list[tuple[Any, ...]]:
    """What a run gave and did, in a form that two runs can be compared by."""
    numbers = {id(node): number for number, node in enumerate(nodes)}

    def source(edge: tape.Edge) -> Any:
        if edge is None:
            return None
        target, position = edge
        if target.__class__ is Tensor:
            return target.spec  # it may have been made inside
        return (numbers.get(id(target)), id(target) not in numbers and id(target), position)

    results = [("result", i, [y.spec]) for i, y in enumerate(tensors)]
    return results + [
        (
            f"`{node.primitive.name}`",
            number,
            [*node.specs],
            [source(edge) for edge in node.edges],
        )
        for number, node in enumerate(nodes)
    ]


def _words(step: tuple[Any, ...] | None) -> str:
    if step is None:
        return "nothing more"
    what, number, specs = step[:3]
    return f"{what} {number} is {listing(specs)}"


def _numbers(node: Node) -> Numbers:
    """The numbers of a node, cut off from the tape: else each would keep all before it."""
    saved = [
        (x, data, edge) if x._node is None else (wrap(data), data, None)
        for x, data, edge in node.saved or ()
    ]
    return Numbers(saved, node.outputs, node.recall)


class Recall:
    """Puts the numbers of the second run back into a node of the first.

    saved: for each tensor that the node kept what it kept, where that lives on anyhow, or else the
    place on the tape, a node and which of its outputs; or no node.
    """

    __slots__ = ("number", "recomputation", "saved")

    def __init__(self, recomputation: Recomputation, number: int, saved: list[Any]) -> None:
        self.recomputation, self.number, self.saved = recomputation, number, saved

    def take(self) -> Numbers:
        return self.recomputation.take(self.number)

    def __call__(self, node: Node) -> None:
        numbers = self.take()
        node.outputs = numbers.outputs
        node.saved = [
            old
            if isinstance(old[0], Tensor)
            else new
            if old[0] is None
            else (wrap(new[1], *old), new[1], old)
            for old, new in zip(self.saved, numbers.saved, strict=True)
        ]


def _forget(node: Node, since: int, recomputation: Recomputation, number: int) -> None:
    """Let a node keep no numbers but those that came from before the checkpoint."""

    def place(saved: Any) -> Any:
        x = saved[0]
        if not isinstance(x, Tensor):
            return saved
        inside = not x._requires_grad if x._node is None else x._node.order >= since
        return (x._node, x._output) if inside else saved

    held: Any = node if node.recall is None else node.recall
    if held.saved is None:
        return
    saved = [place(x) for x in held.saved]
    forgets = any(not isinstance(x[0], Tensor) for x in saved)
    if node.recall is not None or node.outputs or forgets:
        node.recall = Recall(recomputation, number, saved)
        node.saved, node.outputs = (), ()
