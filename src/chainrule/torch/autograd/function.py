"""`torch.autograd.Function`: a custom op with forward and backward in tensors.

Each call is one node on the tape, whose derivative is `backward`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from chainrule import tape
from chainrule.errors import ArgumentError, DTypeError, GradientError
from chainrule.ops.creation import zeros_like
from chainrule.primitive import Primitive, same_spec
from chainrule.settings import current, use
from chainrule.tensor import Tensor
from chainrule.torch.adapter import names


class FunctionCtx:
    """The context that `forward` prepares for `backward`: saved tensors, marks, any attribute."""

    def __init__(self, args: Sequence[Any]) -> None:
        self.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        self.materialize_grads = True
        self._to_save: tuple[Tensor | None, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._fixed: tuple[Tensor, ...] = ()
        self._places: list[int | None] = []

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors; `backward` finds them in `saved_tensors`."""
        self._to_save = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Name the inputs that `forward` wrote into and returns."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Name the outputs that have no gradient."""
        self._fixed = args

    def set_materialize_grads(self, value: bool) -> None:
        """Set whether `backward` gets zeros, or None, for an output without a gradient."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that were saved, as they were then."""
        return self._to_save

    def _hand_over(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """The tensors for the tape to keep. For an output it is the index, which avoids a cycle."""
        places = {id(y): -1 - place for place, y in enumerate(outputs)}
        kept = [x for x in self._to_save if x is not None and id(x) not in places]
        supply = iter(range(len(kept)))
        self._places = [
            None if x is None else places[id(x)] if id(x) in places else next(supply)
            for x in self._to_save
        ]
        self._to_save = ()
        return kept

    def _take_back(self, kept: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Restore `saved_tensors` from what the tape kept, and from the outputs."""
        self._to_save = tuple(
            [
                None if place is None else kept[place] if place >= 0 else outputs[-1 - place]
                for place in self._places
            ]
        )


class Function:
    """An op with a custom derivative. Subclass it and call `apply`.

    `forward(ctx, *args)` computes without gradients. `backward(ctx, *grad_outputs)` returns a
    gradient or None for each argument. If `setup_context(ctx, inputs, output)` is defined, it saves
    what backward needs, and forward takes no `ctx`.

    >>> import chainrule as cr
    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> x = cr.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    _primitive: ClassVar[Primitive]

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the output. Every subclass defines it."""
        raise NotImplementedError("a Function needs a forward")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs, if forward takes no ctx."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the arguments. Every subclass defines it."""
        raise NotImplementedError("a Function needs a backward to be differentiated")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward, and record a node on the tape if an input requires gradients."""
        context = FunctionCtx(args)
        with use(gradients=False):
            if cls.setup_context is Function.setup_context:
                result = cls.forward(context, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(context, args, result)
        several = isinstance(result, tuple)
        results = [_own(y, args, context) for y in (result if several else (result,))]
        outputs = tuple([y for y in results if isinstance(y, Tensor)])
        if current().gradients and any(context.needs_input_grad):
            _record(cls, context, args, results, outputs)
        return tuple(results) if several else results[0]


def _are_tensors(values: Sequence[Any]) -> tuple[bool, ...]:
    return tuple([isinstance(value, Tensor) for value in values])


def _own(y: Any, args: Sequence[Any], context: FunctionCtx) -> Any:
    """A new tensor for an output that is an unmodified input."""
    written = any(y is d for d in context._dirty)
    if isinstance(y, Tensor) and any(y is a for a in args) and not written:
        with use(gradients=False):
            return y.clone()
    return y


def _record(
    kind: type[Function],
    context: FunctionCtx,
    args: Sequence[Any],
    results: Sequence[Any],
    outputs: tuple[Tensor, ...],
) -> None:
    """Record a node that keeps the saved tensors and points to the arguments."""
    edges = [
        (a._node or a, a._output) if a._requires_grad else None
        for a in args
        if isinstance(a, Tensor)
    ]
    layout = _are_tensors(args), _are_tensors(results)
    kept = context._hand_over(outputs)
    tape.record(_primitive(kind), kept, {"context": context, "layout": layout}, outputs)
    nodes = [y._node for y in outputs if y._node is not None]
    if nodes:
        nodes[0].edges = edges
    for y in context._fixed:
        y._node, y._requires_grad = None, False


def _primitive(kind: type[Function]) -> Primitive:
    """The primitive of a Function, whose derivative calls `backward`. It is not registered."""
    if "_primitive" in vars(kind):
        return kind._primitive

    def forward(*saved: Any, context: FunctionCtx, layout: Any) -> Any:
        raise GradientError(f"{kind.__name__} is computed by its forward alone")

    def vjp(gs: Any, saved: Any, ys: Any, context: FunctionCtx, layout: Any) -> Any:
        context._take_back(saved, ys)
        try:
            return _pulled_back(kind, context, gs if len(ys) > 1 else [gs], ys, layout)
        finally:
            context._to_save = ()

    fields = {
        "__doc__": kind.__doc__,
        "infer": same_spec,
        "forward": forward,
        "vjp": vjp,
        "partial": True,
    }
    kind._primitive = Primitive(type(kind.__name__, (), fields))
    return kind._primitive


def _pulled_back(
    kind: type[Function],
    context: FunctionCtx,
    gradients: Sequence[Any],
    ys: Sequence[Tensor],
    layout: tuple[tuple[bool, ...], tuple[bool, ...]],
) -> list[Any]:
    """The gradients of the inputs that are tensors."""
    if context.materialize_grads:
        gradients = [
            zeros_like(y.detach()) if g is None else g for g, y in zip(gradients, ys, strict=True)
        ]
    of_inputs, of_outputs = layout
    supply = iter(gradients)
    given = [next(supply) if is_tensor else None for is_tensor in of_outputs]
    returned = kind.backward(context, *given)
    found = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    extra = found[len(of_inputs) :]
    if len(found) < len(of_inputs) or any(g is not None for g in extra):
        raise ArgumentError(
            f"{kind.__name__}.backward returned {len(found)} gradients",
            expected=f"one, or None, for each of the {len(of_inputs)} arguments of forward",
        )
    pairs = [(g, is_tensor) for g, is_tensor in zip(found, of_inputs, strict=False)]
    if any(g is not None and not isinstance(g, Tensor) for g, _ in pairs):
        raise DTypeError(f"{kind.__name__}.backward returns tensors or None")
    return [g for g, is_tensor in pairs if is_tensor]


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` that is not differentiable itself: a second derivative raises an error."""

    @functools.wraps(backward)
    def call(ctx: Any, *gradients: Any) -> Any:
        with use(gradients=False):
            returned = backward(ctx, *gradients)
        found = returned if isinstance(returned, tuple) else (returned,)
        used = (x for x in (*gradients, *ctx.saved_tensors) if isinstance(x, Tensor))
        if inputs := [x for x in used if x.requires_grad and current().gradients]:
            tape.record(_once, inputs, {}, tuple([y for y in found if isinstance(y, Tensor)]))
        return found

    return call


class _OnceDifferentiable:
    """A backward marked with `once_differentiable`."""

    name = "once_differentiable"
    infer = same_spec

    def forward(*xs: Any) -> Any:
        return xs[0]


_once = Primitive(_OnceDifferentiable)

InplaceFunction = Function

__getattr__, __dir__ = names.facade(__name__)
