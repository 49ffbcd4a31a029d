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

from chainrule import tape
from chainrule.errors import BatchError, ChainruleError, GraphError
from chainrule.gateway import apply
from chainrule.graph import StandIn, as_tuple
from chainrule.interpreters import EVALUATE, Interpreter
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
from chainrule.settings import current, use
from chainrule.tensor import Tensor

Params = dict[str, Any]


class Lifted(StandIn):
    """What a tensor that was made inside stands for: a tensor of the level below."""

    __slots__ = ("batch", "tensor")

    def __init__(self, like: Spec, batch: Batch, tensor: Tensor) -> None:
        super().__init__(like)
        self.batch, self.tensor = batch, tensor

    def refusal(self, purpose: str) -> ChainruleError:
        return BatchError(
            f"{purpose} needs the numbers of a tensor {self.spec} that was made under vmap",
            instead="Return it from the function, and use what vmap returns.",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal(f"`.{name}` of an array")  # an op after the function has returned

    def __repr__(self) -> str:
        return f"{self.spec} in each of {self.batch.size} examples"


class Shared(Lifted):
    """The same in all examples."""

    __slots__ = ()


class Batched(Lifted):
    """Other numbers in each example: `tensor` has a dimension for the examples in front."""

    __slots__ = ()

    def refusal(self, purpose: str) -> ChainruleError:
        return BatchError(
            f"{purpose} needs the numbers of one tensor, and under vmap there are those of "
            f"{self.batch.size} examples (each {self.spec})",
            instead="Choose with cr.where in place of `if`, or return the tensor and look outside.",
        )


class Batch(Interpreter):
    """Runs each op for all examples at once, on the interpreter below.

    size: the number of examples. randomness: what a draw of random numbers gives, "error",
    "different" numbers in each example, or the "same". looped: the ops that had no rule.
    """

    def __init__(self, size: int, randomness: str) -> None:
        super().__init__()
        self.size, self.randomness = size, randomness
        self.gradients = current().gradients
        self.looped: dict[str, None] = {}

    @property
    def draws(self) -> int:
        return self.below.draws * (self.size if self.randomness == "different" else 1)

    # -- the level below ---------------------------------------------------------------------------

    def of_examples(self, tensor: Tensor) -> Batched:
        """What stands for a tensor with the examples in its first dimension."""
        return Batched(Spec(tensor.shape[1:], tensor.dtype), self, tensor)

    def of_all(self, tensor: Tensor) -> Shared:
        """What stands for a tensor that is the same in all examples."""
        return Shared(tensor.spec, self, tensor)

    def owns(self, x: Tensor) -> bool:
        """Whether a tensor was made inside; else it is from outside, and the same below."""
        return isinstance(x._data, Lifted) and x._data.batch is self

    def differs(self, x: Tensor) -> bool:
        """Whether a tensor has other numbers in each example."""
        return isinstance(x._data, Batched) and x._data.batch is self

    def physical(self, x: Tensor) -> Tensor:
        """The tensor of the level below."""
        tensor: Tensor = x._data.tensor if self.owns(x) else x
        return tensor

    def level_below(self) -> use:
        """Run a block on the interpreter below, with its gradients unless none are recorded."""
        gradients = False if current().gradients is False else self.gradients
        below = None if self.below is EVALUATE else self.below
        return use(gradients=gradients, interpreter=below)

    # -- ops ---------------------------------------------------------------------------------------

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: Params) -> Any:
        batched = [self.differs(x) for x in inputs]
        own_draw = isinstance(primitive.kind, Random) and self.randomness != "same"
        if own_draw and self.randomness == "error":
            raise BatchError(
                f"`{primitive.name}` draws random numbers under vmap",
                instead='Write cr.vmap(f, randomness="different") for other numbers in each '
                'example, or randomness="same".',
            )
        xs = [self.physical(x) for x in inputs]
        if True not in batched and not own_draw:
            with self.level_below():
                outputs = apply(primitive, *xs, **params)
            shared = tuple([self.of_all(y) for y in as_tuple(outputs)])
            return shared if isinstance(outputs, tuple) else shared[0]
        specs = primitive.infer(*[x._data for x in inputs], **params)
        shapes = [(self.size, *spec.shape) for spec in as_tuple(specs)]
        with self.level_below():
            if self.size:
                rule = self._draw if own_draw else self._for_all
                outputs = as_tuple(rule(primitive, xs, batched, params))
            else:
                each = zip(shapes, as_tuple(specs), strict=True)
                outputs = tuple([Tensor(np.zeros(shape, spec.dtype)) for shape, spec in each])
        if [y.shape for y in outputs] != shapes:
            raise GraphError(
                f"the batching rule of `{primitive.name}` gives other shapes than its spec rule",
                given=[y.shape for y in outputs], expected=shapes,
            )  # fmt: skip
        found = tuple([self.of_examples(y) for y in outputs])
        return found if isinstance(specs, tuple) else found[0]

    def _for_all(
        self, primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params
    ) -> Any:
        """The outputs for all examples, by the rule of the record or of its kind."""
        outputs = NotImplemented
        if primitive.batch is not None:
            outputs = primitive.batch(xs, batched, params)
        elif type(primitive.kind) in RULES:
            outputs = RULES[type(primitive.kind)](primitive, xs, batched, params)
        if outputs is NotImplemented:
            self.looped[primitive.name] = None
            outputs = one_by_one(primitive, xs, batched, params, self.size)
        return outputs

    def _draw(
        self, primitive: Primitive, xs: list[Tensor], batched: list[bool], params: Params
    ) -> Any:
        """One draw with the numbers of all examples, or each example's own where states differ."""
        if True in batched:
            return self._for_all(primitive, xs, batched, params)
        return apply(primitive, *xs, **{**params, "shape": (self.size, *params["shape"])})

    # -- state -------------------------------------------------------------------------------------

    def read(self, tensor: Tensor) -> Any:
        return tensor._data if self.owns(tensor) else self.below.read(tensor)

    def detached(self, tensor: Tensor) -> Any:
        if not self.owns(tensor):
            return self.below.detached(tensor)
        with self.level_below():
            below = self.physical(tensor).detach()
        return type(tensor._data)(tensor._data, self, below)

    def lifted(self, tensor: Tensor) -> Any:
        return tensor._data if self.owns(tensor) else self.of_all(tensor)

    def adopt(self, tensor: Tensor, data: Any) -> Any:
        if isinstance(data, StandIn):
            return data
        with self.level_below():
            return self.of_all(Tensor(data))

    def known(self, data: Any) -> Any:
        if isinstance(data, Shared) and data.batch is self:
            with self.level_below():
                return data.tensor._numbers("a number")
        return None if isinstance(data, Lifted) and data.batch is self else self.below.known(data)

    def write(self, tensor: Tensor, value: Tensor) -> None:
        if self.owns(tensor):
            tensor._data = self.lifted(value)
        elif self.differs(value):
            raise _outside("a tensor", tensor, "Return the value from the function instead.")
        else:
            self.below.write(tensor, self.physical(value))

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        return tensor._grad if self.owns(tensor) else self.below.read_grad(tensor)

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        if self.owns(tensor):
            tensor._grad = g
        elif g is not None and self.differs(g):
            raise _outside("the gradient", tensor, "Use cr.grad inside, which returns gradients.")
        else:
            self.below.write_grad(tensor, None if g is None else self.physical(g))

    def require(self, condition: Tensor, error: Exception) -> None:
        holds = self.physical(condition)
        with self.level_below():
            self.below.require(holds.all() if self.differs(condition) else holds, error)


def _outside(what: str, tensor: Tensor, instead: str) -> BatchError:
    return BatchError(
        f"{what} from outside of vmap, of {tensor.spec}, would be written with other numbers in "
        f"each example (at {tape.describe(tape.caller())})",
        instead=f"{instead} Or pass the tensor as an argument that is batched.",
    )


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
