"""The tape: what reverse mode records of each op, and the backward pass over it.

Every op whose result needs a gradient adds a :class:`Node`. Its edges lead to the nodes (or leaf
tensors) of its inputs. Its `saved` holds only the inputs that the derivative asks for by name.
:func:`walk` visits the nodes from the last to the first. It is a loop, not a recursion, so the
depth of a computation is not limited.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from types import CodeType
from typing import TYPE_CHECKING, Any

from chainrule.engine import shortcut
from chainrule.errors import DTypeError, GradientError, NotDifferentiableError, ShapeError
from chainrule.interpreters import top
from chainrule.placed import Placed
from chainrule.primitive import Primitive, Spec
from chainrule.settings import current

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Place = tuple[CodeType, int]
Edge = tuple[Any, int] | None
"""(node, which of its outputs), or (leaf tensor, 0), or None where no gradient is wanted."""
Saved = tuple[Any, Any, Edge]
"""An input that the derivative needs: the tensor, its data when the op ran, and its edge."""

PACKAGE = os.path.dirname(__file__)
tick = count().__next__
"""The next number of a counter that orders the nodes in time."""


def caller(depth: int = 2) -> Place:
    """The innermost place on the call stack outside this package: a line of the user's program.

    `depth` frames are skipped, as the caller knows that they belong to this package.
    """
    frame = sys._getframe(depth)
    while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def describe(place: Place) -> str:
    """`file.py:12`, the readable form of a place."""
    code, instruction = place
    line = next(
        (line for start, end, line in code.co_lines() if start <= instruction < end),
        code.co_firstlineno,
    )
    return f"{os.path.basename(code.co_filename)}:{line}"


class Node:
    """One op on the tape.

    primitive, params: the op's record, and its parameters.
    edges: for each input, where its gradient goes.
    saved, outputs: the inputs and the outputs that the derivative needs, None for other outputs;
        `saved` is None once the graph is freed.
    specs, input_specs: the specs of the outputs, and of the inputs where the derivative asks.
    hooks: the hooks on the gradients of outputs, by the number of the output.
    recall: computes what the node did not save, before its derivative runs, or None; see
        transforms/recompute.py.
    order: increases with time.
    place: the line of the user's program, if the node keeps a leaf that may be overwritten.
    """

    __slots__ = (
        "__weakref__",
        "edges",
        "hooks",
        "input_specs",
        "order",
        "outputs",
        "params",
        "place",
        "primitive",
        "recall",
        "saved",
        "specs",
    )

    primitive: Primitive
    params: dict[str, Any]
    edges: Sequence[Edge]
    saved: Sequence[Saved] | None
    outputs: Sequence[Any]
    specs: Sequence[Spec]
    input_specs: Sequence[Spec]
    hooks: dict[int, list[Callable[[Tensor], Tensor | None]]] | None
    recall: Callable[[Node], None] | None
    order: int
    place: Place | None

    def __repr__(self) -> str:
        return f"<{self.primitive.name} on the tape>"


def record(
    primitive: Primitive,
    inputs: Sequence[Tensor],
    params: dict[str, Any],
    outputs: tuple[Tensor, ...],
) -> None:
    """Add a node for `outputs = primitive(inputs; params)`, and attach the outputs to it."""
    node = Node()
    node.primitive = primitive
    node.params = params
    node.edges = [(x._node or x, x._output) if x._requires_grad else None for x in inputs]
    read = top().read
    positions = positions_saved(primitive, len(inputs))
    node.saved = [(inputs[i], read(inputs[i]), node.edges[i]) for i in positions]
    node.place = caller(3) if any([_is_leaf(edge) for _, _, edge in node.saved]) else None
    node.input_specs = [x.spec for x in inputs] if primitive.spec_positions else ()
    node.outputs = _kept_outputs(primitive.output_positions, outputs)
    node.specs = [y.spec for y in outputs]
    node.hooks = None
    node.recall = None
    node.order = tick()
    for position, y in enumerate(outputs):
        if y._data.dtype.kind == "f":
            y._node, y._output, y._requires_grad = node, position, True


def _kept_outputs(positions: Sequence[int], outputs: Sequence[Tensor]) -> Sequence[Any]:
    """The data of the outputs at these positions (-1: of all), None for others; () for none."""
    if not positions:
        return ()
    return [y._data if {i, -1} & {*positions} else None for i, y in enumerate(outputs)]


def freed_node(primitive: Primitive, inputs: Sequence[Tensor], spec: Spec) -> Node:
    """A node of one output whose graph is freed already: a derivative through it raises."""
    node = Node()
    node.primitive, node.params = primitive, {}
    node.edges = [(x._node or x, x._output) if x._requires_grad else None for x in inputs]
    node.saved, node.outputs, node.specs, node.input_specs = None, (), [spec], ()
    node.hooks = node.recall = node.place = None
    node.order = tick()
    return node


def _is_leaf(edge: Edge) -> bool:
    return edge is not None and edge[0].__class__ is not Node


def positions_saved(primitive: Primitive, count: int) -> Sequence[int]:
    """Which of `count` inputs the derivative asks for; those of a variadic name come last."""
    positions, star = primitive.saved_positions, primitive.variadic_from
    if star not in positions:
        return positions
    return [i for i in positions if i != star] + list(range(star, count))


def named_values(
    primitive: Primitive,
    params: dict[str, Any],
    kept: Sequence[Tensor],
    input_specs: Sequence[Spec],
) -> dict[str, Any]:
    """The saved inputs, specs and parameters, by the names of the derivative's parameters."""
    star = primitive.variadic_from
    named: dict[str, Any] = {name: params[name] for name in primitive.saved_params}
    fixed = sum(i != star for i in primitive.saved_positions)
    supply = iter(kept)
    for name, i in zip(primitive.saved_inputs, primitive.saved_positions, strict=True):
        named[name] = tuple(kept[fixed:]) if i == star else next(supply)
    for name, i in zip(primitive.saved_specs, primitive.spec_positions, strict=True):
        named[name] = tuple(input_specs[i:]) if i == star else input_specs[i]
    return named


def reachable(starts: Iterable[Any], since: int = 0) -> list[Node]:
    """All nodes recorded since `since` on which the starts depend, the last recorded first."""
    seen = {start for start in starts if isinstance(start, Node) and start.order >= since}
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if edge is None or _is_leaf(edge) or edge[0] in seen:
                continue
            if edge[0].order >= since:
                seen.add(edge[0])
                stack.append(edge[0])
    return sorted(seen, key=lambda node: node.order, reverse=True)


def leaves(outputs: Iterable[Tensor]) -> list[Tensor]:
    """The leaf tensors that require gradients and on which the outputs depend."""
    starts = [y._node or y for y in outputs if y._requires_grad]
    found = {id(s): s for s in starts if not isinstance(s, Node)}
    for node in reachable(starts):
        found.update({id(e[0]): e[0] for e in node.edges if e is not None and _is_leaf(e)})
    return list(found.values())


class _Totals:
    """The gradients accumulated so far, for outputs of nodes and for leaves."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, int], Tensor] = {}
        self.leaves: dict[int, Tensor] = {}

    def add(self, edge: tuple[Any, int], g: Tensor | Placed) -> None:
        """Add `g` to the gradient of the edge's target."""
        target, position = edge
        key = (id(target), position)
        total = self.sums.get(key)
        if total is not None and isinstance(g, Placed) and g.dtype == total.dtype:
            self.sums[key] = g.added_to(total)
        else:
            g = fitted(target, position, g.alone() if isinstance(g, Placed) else g)
            self.sums[key] = g if total is None else total + g
        if target.__class__ is not Node:
            self.leaves[id(target)] = target

    def take(self, node: Node) -> list[Tensor | None]:
        """Remove and return the complete gradients of a node's outputs, after its hooks."""
        gradients = [self.sums.pop((id(node), i), None) for i in range(len(node.specs))]
        for position, hooks in (node.hooks or {}).items():
            g = gradients[position]
            if g is not None:
                gradients[position] = run_hooks(hooks, g)
        return gradients

    def finish(self) -> None:
        """Run the hooks of the leaves on their gradients."""
        for key, leaf in self.leaves.items():
            if leaf._hooks:
                self.sums[key, 0] = run_hooks(leaf._hooks, self.sums[key, 0])


def walk(
    seeds: Sequence[tuple[Tensor, Tensor]],
    keep_graph: bool,
    wrap: Callable[..., Tensor],
    targets: Sequence[Tensor] | None,
) -> list[tuple[Tensor, Tensor | None]]:
    """Propagate gradients from `seeds` (output, its gradient) back to the leaves.

    Returns pairs (tensor, gradient) for the leaves reached, or for `targets` if given. The graph is
    freed unless `keep_graph`. `wrap(data, node, position)` makes a tensor from saved data.
    """
    totals = _Totals()
    for output, g in seeds:
        totals.add((output._node or output, output._output), g)
    nodes = reachable(output._node or output for output, _ in seeds)
    aims = {id(t._node or t) for t in targets or ()}
    wanted = None if targets is None else _leading(nodes, aims)
    kept: dict[tuple[int, int], Tensor] = {}
    for node in nodes:
        gradients = totals.take(node)
        if all(g is None for g in gradients):
            continue
        if id(node) in aims:
            kept.update({(id(node), i): g for i, g in enumerate(gradients) if g is not None})
        needs = [e is not None and (wanted is None or id(e[0]) in wanted) for e in node.edges]
        if True not in needs:
            continue
        if node.recall is not None:
            node.recall(node)
        derived = derive(node, gradients, tuple(needs), wrap)
        for edge, needed, total in zip(node.edges, needs, derived, strict=True):
            if needed and edge is not None and total is not None:
                totals.add(edge, total)
        if not keep_graph:
            node.saved, node.outputs, node.recall = None, (), None
        elif node.recall is not None:
            node.saved, node.outputs = (), ()
    totals.finish()
    if targets is None:
        return [(leaf, totals.sums[key, 0]) for key, leaf in totals.leaves.items()]
    kept.update(totals.sums)
    return [(t, kept.get((id(t._node or t), t._output))) for t in targets]


walk = shortcut("walk", walk)


def _leading(nodes: Sequence[Node], aims: set[int]) -> set[int]:
    """The ids of the aims, and of all nodes that depend on one. Other nodes need no derivative."""
    found = set(aims)
    for node in reversed(nodes):
        if any(edge is not None and id(edge[0]) in found for edge in node.edges):
            found.add(id(node))
    return found


def run_hooks(hooks: Iterable[Callable[[Tensor], Tensor | None]], g: Tensor) -> Tensor:
    """Run hooks on a gradient, one after the other; what a hook returns replaces the gradient."""
    for hook in tuple(hooks):
        replaced = hook(g)
        if replaced is None:
            continue
        if replaced.shape != g.shape or replaced.dtype != g.dtype:
            raise ShapeError(
                "a hook must return a gradient of the same spec, or None",
                given=replaced.spec,
                expected=g.spec,
            )
        g = replaced
    return g


def fitted(target: Any, position: int, g: Tensor) -> Tensor:
    """A gradient reduced to the shape of its target (the adjoint of broadcasting), and converted to
    the target's dtype."""
    spec = target.specs[position] if target.__class__ is Node else target.spec
    if g._data.shape != spec.shape:
        g = g.sum_to_size(spec.shape)
    return g if g._data.dtype == spec.dtype else g.astype(spec.dtype)


def derive(
    node: Node,
    gradients: list[Tensor | None],
    needs: tuple[bool, ...],
    wrap: Callable[..., Tensor],
) -> Sequence[Tensor | Placed | None]:
    """Call the derivative of one node with the arguments that it names."""
    primitive = node.primitive
    if primitive.vjp is None:
        raise NotDifferentiableError(
            f"`{primitive.name}` has no derivative",
            instead="Detach its result with .detach(), or give its record a `vjp`.",
        )
    if node.saved is None:
        raise GradientError(
            f"the graph was freed by an earlier backward pass (at `{primitive.name}`)",
            instead="Call the first backward with retain_graph=True, or run the forward again.",
        )
    kept = [as_saved(node, *saved, wrap) for saved in node.saved]
    named = named_values(primitive, node.params, kept, node.input_specs)
    for name, at in zip(primitive.saved_outputs, primitive.output_positions, strict=True):
        ys = [wrap(x, node, i) for i, x in enumerate(node.outputs) if at in (-1, i)]
        named[name] = tuple(ys) if at == -1 else ys[0]
    if primitive.asks_needs:
        named["needs"] = needs
    if len(gradients) == 1:
        results: Sequence[Tensor | Placed | None] = primitive.vjp(gradients[0], **named)
    else:
        if not primitive.partial:
            pairs = zip(gradients, node.specs, strict=True)
            gradients = [wrap(None, None, 0, spec) if g is None else g for g, spec in pairs]
        results = primitive.vjp(gradients, **named)
    return expect_each(node, results)


def expect_each(
    node: Node, results: Sequence[Tensor | Placed | None]
) -> Sequence[Tensor | Placed | None]:
    """What a derivative returned, if that is one gradient for each input."""
    if len(results) != len(node.edges):
        raise DTypeError(
            f"the derivative of `{node.primitive.name}` returned {len(results)} gradients",
            expected=f"a tuple with one for each of its {len(node.edges)} inputs",
        )
    return results


def as_saved(node: Node, x: Tensor, data: Any, edge: Edge, wrap: Callable[..., Tensor]) -> Tensor:
    """An input as it was when the op ran: the tensor itself, or its saved data if the tensor was
    overwritten since. Raises GradientError for an overwritten leaf in a second derivative."""
    if top().read(x) is data:
        return x
    if not _is_leaf(edge):
        return wrap(data, *(edge or (None, 0)))
    if not current().gradients:
        return wrap(data, None, 0)
    saved_at = f" at {describe(node.place)}" if node.place else ""
    written_at = f" at {describe(x._written)}" if x._written else ""
    raise GradientError(
        f"`{node.primitive.name}`{saved_at} needs a leaf of shape {tuple(x.shape)} for its second "
        f"derivative, and it was overwritten{written_at}",
        instead="Call backward before the write, or save a copy with .clone() first.",
    )
