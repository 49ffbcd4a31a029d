"""An interpreter for tensors that hold other numbers in each example of a batch: see `vmap`.

To the function that runs, a batched tensor has the shape of one example. It holds the tensor of all
examples, one level below, with a further dimension in front. An op on such tensors runs below, once
for all examples, by the rule of its record or of its kind. For a kind the rule follows from what
the names of parameters mean (see primitive.py). Where there is no rule, the op runs once for each
example, and the results are stacked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, GraphError, LevelError
from chainrule.gateway import apply
from chainrule.graph import as_tuple
from chainrule.kinds import (
    Along,
    Elementwise,
    Indexing,
    Kind,
    Moving,
    Random,
    Reduction,
    View,
    Window,
)
from chainrule.ops.batched import aligned, apart, everywhere, merged
from chainrule.ops.shape import stack
from chainrule.primitive import Primitive, Spec
from chainrule.tensor import Tensor
from chainrule.transforms.levels import Level, Lifted

Params = dict[str, Any]


class Shared(Lifted):
    """The same numbers in all examples."""

    __slots__ = ()


class Batched(Lifted):
    """Other numbers in each example: `tensor` has a dimension for the examples in front."""

    __slots__ = ()

    def refusal(self, purpose: str) -> ChainruleError:
        examples = self.tensor.shape[0]
        return LevelError(
            f"{purpose} needs the numbers of one tensor, and under vmap there are those of "
            f"{examples} examples (each {self.spec})",
            instead="Choose with cr.where in place of `if`, or return the tensor and look outside.",
        )

    def __repr__(self) -> str:
        return f"{self.spec} in each of {self.tensor.shape[0]} examples"


class Batch(Level):
    """Runs each op for all examples at once, on the level below.

    size: the number of examples. randomness: what a draw of random numbers gives, "error",
    "different" numbers in each example, or the "same". looped: the ops that had no rule.
    """

    name, cannot = "vmap", "other numbers in each example"

    def __init__(self, size: int, randomness: str) -> None:
        super().__init__()
        self.size, self.randomness = size, randomness
        self.looped: dict[str, None] = {}

    @property
    def draws(self) -> int:
        return self.below.draws * (self.size if self.randomness == "different" else 1)

    def lift(self, tensor: Tensor) -> Shared:
        return Shared(tensor.spec, self, tensor)

    def of_examples(self, tensor: Tensor) -> Batched:
        """What stands for a tensor with the examples in its first dimension."""
        return Batched(Spec(tensor.shape[1:], tensor.dtype), self, tensor)

    def has_more(self, x: Tensor) -> bool:
        """Whether a tensor has other numbers in each example."""
        return self.owns(x) and isinstance(x._data, Batched)

    # -- ops ---------------------------------------------------------------------------------------

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: Params) -> Any:
        batched = [self.has_more(x) for x in inputs]
        own_draw = isinstance(primitive.kind, Random) and self.randomness != "same"
        if own_draw and self.randomness == "error":
            raise LevelError(
                f"`{primitive.name}` draws random numbers under vmap",
                instead='Write cr.vmap(f, randomness="different") for other numbers in each '
                'example, or randomness="same".',
            )
        xs = [self.physical(x) for x in inputs]
        if True not in batched and not own_draw:
            with self.level_below():
                outputs = apply(primitive, *xs, **params)
            shared = tuple([self.lift(y) for y in as_tuple(outputs)])
            return shared if isinstance(outputs, tuple) else shared[0]
        specs = primitive.infer(*[x._data for x in inputs], **params)
        shapes = [(self.size, *spec.shape) for spec in as_tuple(specs)]
        with self.level_below():
            found = self._for_all(primitive, xs, batched, params)
        if found is NotImplemented and primitive.composed is not None:
            return self.compose(primitive, inputs, params)
        if found is NotImplemented:
            self.looped[primitive.name] = None
            with self.level_below():
                found = one_by_one(primitive, xs, batched, params, self.size)
        outputs = as_tuple(found)
        states = len(shapes) - 1 if own_draw else 0  # after a draw, which all examples share
        each = outputs[: len(shapes) - states]
        if [y.shape for y in each] != shapes[: len(each)]:
            raise GraphError(
                f"the batching rule of `{primitive.name}` gives other shapes than its spec rule",
                given=[y.shape for y in each],
                expected=shapes[: len(each)],
            )
        after = [self.lift(y) for y in outputs[len(each) :]]
        data = (*[self.of_examples(y) for y in each], *after)
        return data if isinstance(specs, tuple) else data[0]

    def _for_all(
        self, primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params
    ) -> Any:
        """The outputs for all examples, by the rule of the record or of its kind, if there is one.

        A draw of random numbers is one draw of those of all examples.
        """
        if not self.size:
            return self._of_none(primitive, xs, batched, params)
        if isinstance(primitive.kind, Random) and True not in batched:
            return apply(primitive, *xs, **{**params, "shape": (self.size, *params["shape"])})
        if primitive.batch is not None:
            return primitive.batch(xs, batched, params)
        rule = RULES.get(type(primitive.kind))
        return NotImplemented if rule is None else rule(primitive, xs, batched, params)

    def _of_none(
        self, primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params
    ) -> Any:
        """The outputs where there are no examples."""
        pairs = zip(xs, batched, strict=True)
        example = [Spec(x.shape[is_batched:], x.dtype) for x, is_batched in pairs]
        specs = as_tuple(primitive.infer(*example, **params))
        return tuple([Tensor(np.zeros((0, *spec.shape), spec.dtype)) for spec in specs])

    # -- state -------------------------------------------------------------------------------------

    def detached(self, tensor: Tensor) -> Any:
        if not self.owns(tensor):
            return self.below.detached(tensor)
        with self.level_below():
            below = self.physical(tensor).detach()
        return self.of_examples(below) if self.has_more(tensor) else self.lift(below)

    def known(self, data: Any) -> Any:
        is_batched = isinstance(data, Batched) and data.level is self
        return None if is_batched else super().known(data)

    def require(self, condition: Tensor, error: Exception) -> None:
        holds = self.physical(condition)
        with self.level_below():
            self.below.require(holds.all() if self.has_more(condition) else holds, error)


# -- rules ---------------------------------------------------------------------------------------


def one_by_one(
    primitive: Primitive, xs: Sequence[Tensor], batched: Sequence[bool], params: Params, size: int
) -> Any:
    """The op on each example, and the results stacked."""
    rows = []
    for i in range(size):
        example = [x[i] if is_batched else x for x, is_batched in zip(xs, batched, strict=True)]
        rows.append(apply(primitive, *example, **params))
    if isinstance(rows[0], tuple):
        return tuple([stack(column) for column in zip(*rows, strict=True)])
    return stack(rows)


def of_elements(primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params) -> Any:
    """The inputs of all examples broadcast as those of one do, once they have equal dimensions."""
    if isinstance(primitive.kind, Elementwise) and primitive.kind.alike:
        return apply(primitive, *everywhere(xs, batched), **params)
    ndim = max(x.ndim - is_batched for x, is_batched in zip(xs, batched, strict=True))
    return apply(primitive, *aligned(xs, batched, ndim), **params)


IN_FRONT: dict[str, Callable[[Any, int], Any]] = {
    "dim": lambda dim, size: dim + 1,
    "dims": lambda dims, size: tuple([d + 1 for d in dims]),
    "shape": lambda shape, size: (size, *shape),
    "index": lambda index, size: (slice(None), *index),
    "widths": lambda widths, size: ((0, 0), *widths),
}
"""Parameters that speak of dimensions, when there is a further one, of a size, in front."""


def of_dimensions(
    primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params
) -> Any:
    """The parameters speak of one dimension more, in front: by what their names mean."""
    kind = primitive.kind
    if not kind.trailing and not params.keys() & IN_FRONT.keys():
        return NotImplemented
    if isinstance(kind, Indexing) and "index" in params:
        return NotImplemented  # where the dimensions of index tensors stand is not known here
    if isinstance(kind, View) and kind.repeats and "shape" in params:
        xs = aligned(xs, batched, len(params["shape"]))
    xs = everywhere(xs, batched)
    size, *shape = xs[0].shape
    named = {"dim", "dims"} & params.keys()
    if named and (not shape or params.get("dim", 0) is None):
        return _as_rows(primitive, xs, params)
    lifted = {name: IN_FRONT[name](params[name], size) for name in IN_FRONT.keys() & params.keys()}
    return apply(primitive, *xs, **{**params, **lifted})


def _as_rows(primitive: Primitive, xs: list[Tensor], params: Params) -> Any:
    """An op along all dimensions of each example, or along the only element there is."""
    specs = primitive.infer(*[Spec(x.shape[1:], x.dtype) for x in xs], **params)
    rows = [x.reshape(x.shape[0], math.prod(x.shape[1:])) for x in xs]
    of_rows = {name: 1 if name == "dim" else (1,) for name in {"dim", "dims"} & params.keys()}
    outputs = as_tuple(apply(primitive, *rows, **{**params, **of_rows}))
    pairs = zip(outputs, as_tuple(specs), strict=True)
    found = tuple([y.reshape(y.shape[0], *spec.shape) for y, spec in pairs])
    return found if isinstance(specs, tuple) else found[0]


def of_images(primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params) -> Any:
    """The examples are further images (N), where the images are the only input."""
    if len(xs) > 1:
        return NotImplemented
    size = xs[0].shape[0]
    if "shape" in params:
        n, *rest = params["shape"]
        params = {**params, "shape": (n * size, *rest)}
    return apart(apply(primitive, merged(xs[0]), **params), size)


Rule = Callable[[Primitive, list[Tensor], list[bool], Params], Any]
RULES: dict[type[Kind], Rule] = {
    Elementwise: of_elements,
    View: of_dimensions,
    Moving: of_dimensions,
    Reduction: of_dimensions,
    Along: of_dimensions,
    Indexing: of_dimensions,
    Window: of_images,
}
"""How ops of a kind run for all examples; NotImplemented where that depends on more."""
