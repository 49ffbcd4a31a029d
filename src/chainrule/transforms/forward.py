"""Forward mode: an interpreter that carries a tangent along with each tensor, and `jvp`.

For y = f(x) and a direction v the tangent of y is ∂f/∂x·v. Each op finds the tangents of its
outputs from those of its inputs, by the first of these that applies:

- a linear op is applied to the tangents;
- an elementwise op has a diagonal Jacobian, so its `vjp` is its own transpose: with the tangent in
  place of the gradient it gives the part of each input, and the parts add up;
- its record says how (`tangent`), or of which ops it is composed (`composed`);
- else the `vjp`, which is linear in g, is differentiated by g: that is its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.autograd import parts, pull_back, require_same_specs, vjp
from chainrule.errors import DTypeError, NotDifferentiableError
from chainrule.gateway import apply
from chainrule.grad_mode import enable_grad, is_grad_enabled
from chainrule.graph import as_tuple
from chainrule.kinds import Elementwise
from chainrule.placed import plain
from chainrule.primitive import Primitive
from chainrule.settings import current, use
from chainrule.tape import named_values, positions_saved
from chainrule.tensor import Tensor, wrap
from chainrule.transforms.levels import Level, Lifted

Params = dict[str, Any]
Tangents = Sequence[Tensor | None]


class Dual(Lifted):
    """A tensor with its tangent, if it has one, of the same spec and level."""

    __slots__ = ("tangent",)

    def __init__(self, level: Level, tensor: Tensor, tangent: Tensor | None = None) -> None:
        super().__init__(tensor.spec, level, tensor)
        self.tangent = tangent


class Forward(Level):
    """Carries tangents along; under `no_grad` there are none."""

    name, cannot = "jvp", "a number that has a tangent"

    def lift(self, tensor: Tensor) -> Dual:
        return Dual(self, tensor)

    def tangent(self, x: Tensor) -> Tensor | None:
        """The tangent of a tensor, of the level below."""
        return x._data.tangent if self.owns(x) else None

    def has_more(self, x: Tensor) -> bool:
        """Whether a tensor has a tangent."""
        return self.tangent(x) is not None

    def detached(self, tensor: Tensor) -> Any:
        if not self.owns(tensor):
            return self.below.detached(tensor)
        with self.level_below():
            return self.lift(self.physical(tensor).detach())

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: Params) -> Any:
        xs = [self.physical(x) for x in inputs]
        tangents = [self.tangent(x) for x in inputs]
        with self.level_below():
            result = apply(primitive, *xs, **params)
        ys = as_tuple(result)
        moves = current().gradients is not False and any(t is not None for t in tangents)
        found: Tangents = [None] * len(ys)
        if moves and any(y.dtype.kind == "f" for y in ys):
            if primitive.composed is not None:
                data = as_tuple(self.compose(primitive, inputs, params))
                found = [part.tangent for part in data]
            else:
                with self.level_below():
                    found = tangents_of(primitive, xs, ys, tangents, params)
        duals = tuple([Dual(self, y, t) for y, t in zip(ys, found, strict=True)])
        return duals if isinstance(result, tuple) else duals[0]


# -- rules ---------------------------------------------------------------------------------------


def tangents_of(
    primitive: Primitive,
    xs: Sequence[Tensor],
    ys: Sequence[Tensor],
    tangents: Tangents,
    params: Params,
) -> Tangents:
    """The tangents of the outputs of one op, None where one is zero."""
    if primitive.tangent is not None:
        return list(as_tuple(primitive.tangent(xs, ys, tangents, params)))
    if primitive.kind.linear == "jointly":
        pairs = zip(xs, tangents, strict=True)
        moved = [_zeros(x) if t is None and x.dtype.kind == "f" else t for x, t in pairs]
        given = [x if t is None else t for x, t in zip(xs, moved, strict=True)]
        return list(as_tuple(apply(primitive, *given, **params)))
    if primitive.kind.linear == "each":
        return [
            _sum(
                [
                    apply(primitive, *with_tangent, **params)
                    for with_tangent in _one_at_a_time(xs, tangents)
                ]
            )
        ]
    if primitive.vjp is None:
        raise NotDifferentiableError(
            f"`{primitive.name}` has no derivative",
            instead="Detach its result with .detach(), or give its record a `vjp` or `tangent`.",
        )
    if isinstance(primitive.kind, Elementwise):
        return [_of_elements(primitive, xs, ys[0], tangents, params)]
    return _transposed(primitive, xs, tangents, params)


def _one_at_a_time(xs: Sequence[Tensor], tangents: Tangents) -> list[list[Tensor]]:
    """The inputs with one of the tangents in its place, for each tangent."""
    return [[*xs[:i], t, *xs[i + 1 :]] for i, t in enumerate(tangents) if t is not None]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _zeros(x: Tensor) -> Tensor:
    return Tensor(np.zeros(x.shape, x.dtype))


def _of_elements(
    primitive: Primitive, xs: Sequence[Tensor], y: Tensor, tangents: Tangents, params: Params
) -> Tensor | None:
    """Σᵢ ∂y/∂xᵢ∘tᵢ, each part by the derivative with the tangent in place of the gradient."""
    parts = []
    for i, t in enumerate(tangents):
        if t is None:
            continue
        g = t.astype(y.dtype) if t.dtype != y.dtype else t
        g = g.expand(y.shape) if g.shape != y.shape else g
        needs = tuple([j == i for j in range(len(xs))])
        part = _derivatives(primitive, g, xs, y, params, needs)[i]
        if part is not None:
            parts.append(part.astype(y.dtype) if part.dtype != y.dtype else part)
    return _sum(parts) if parts else None


def _derivatives(
    primitive: Primitive,
    g: Tensor,
    xs: Sequence[Tensor],
    y: Tensor,
    params: Params,
    needs: tuple[bool, ...],
) -> Sequence[Tensor | None]:
    """What the `vjp` of an op with one output gives for a gradient g."""
    kept = [xs[i] for i in positions_saved(primitive, len(xs))]
    named = named_values(primitive, params, kept, [x.spec for x in xs])
    named |= {name: (y,) if name == "ys" else y for name in primitive.saved_outputs}
    if primitive.asks_needs:
        named["needs"] = needs
    return [plain(part) for part in primitive.vjp(g, **named)] if primitive.vjp else []


def _transposed(
    primitive: Primitive, xs: Sequence[Tensor], tangents: Tangents, params: Params
) -> Tangents:
    """∂y/∂x·v as the derivative by g of ⟨gᵀ·∂y/∂x, v⟩, which is linear in g."""
    active = [i for i, t in enumerate(tangents) if t is not None]
    directions = [t for t in tangents if t is not None]

    def function(*moved: Tensor) -> Any:
        given = list(xs)
        for i, x in zip(active, moved, strict=True):
            given[i] = x
        return as_tuple(apply(primitive, *given, **params))

    ys, pull = vjp(function, *[xs[i] for i in active])
    probes = [_zeros(y).requires_grad_(y.dtype.kind == "f") for y in ys]
    with enable_grad():
        pulled = pull(tuple(probes))
    moving = [probe for probe in probes if probe.requires_grad]
    outer = is_grad_enabled() and any(y.requires_grad for y in (*ys, *directions))
    found = iter(pull_back(pulled, directions, moving, create_graph=outer))
    return [next(found) if probe.requires_grad else None for probe in probes]


# -- jvp -----------------------------------------------------------------------------------------


def jvp(
    function: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool = False,
) -> Any:
    """(f(x), ∂f/∂x·v): the Jacobian-vector product, in one run of f that carries tangents along.

    The tangents have the structure and specs of the primals. Where v has more numbers than f(x),
    `vjp` needs fewer runs for a whole Jacobian; where it has fewer, this does. With `has_aux` f
    returns (y, aux), and the result is (y, tangent, aux).

    Under `no_grad` and through `detach()` in f there are no tangents. Raises ShapeError for specs
    that do not fit, DTypeError for what is no floating tensor, NotDifferentiableError for an op
    without a derivative.

    >>> import chainrule as cr
    >>> jvp(lambda x: x * x, [cr.tensor([1.0, 2.0])], [cr.tensor([1.0, 10.0])])
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    xs, directions = tree.flatten(tuple(primals)), tree.flatten(tuple(tangents))
    for x in (*xs, *directions):
        if not isinstance(x, Tensor) or x.dtype.kind != "f":
            raise DTypeError(
                "jvp takes floating tensors",
                given=x.dtype if isinstance(x, Tensor) else type(x).__name__,
                instead="Convert with cr.tensor(x) or x.float(), or bind what is no variable.",
            )
    require_same_specs(directions, xs, "tangent")
    level = Forward()
    duals = [wrap(Dual(level, x, t)) for x, t in zip(xs, directions, strict=True)]
    with use(interpreter=level, gradients=current().gradients or None):
        result = function(*tree.unflatten(tuple(primals), list(duals)))
    value, aux = parts(result, has_aux)
    outputs = tree.flatten(value)
    if not all(isinstance(y, Tensor) for y in outputs):
        raise DTypeError("a function under jvp returns tensors", given=type(value).__name__)
    ys = [level.physical(y) for y in outputs]
    moved = [level.tangent(y) for y in outputs]
    found = [_zeros(y) if t is None else t for y, t in zip(ys, moved, strict=True)]
    answer = tree.unflatten(value, list(ys)), tree.unflatten(value, list(found))
    if not has_aux:
        return answer
    beside = tree.map_leaves(lambda x: level.physical(x) if isinstance(x, Tensor) else x, aux)
    return (*answer, beside)
