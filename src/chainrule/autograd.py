"""Derivatives of functions.

`grad`, `value_and_grad`, `vjp` and `jacobian` take a function of tensors (or of nested tuples,
lists and dicts of them) and differentiate it by the arguments `argnums`, in reverse mode. Forward
mode is in transforms/forward.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import aliases, settings, tree
from chainrule.errors import ArgumentError, GradientError, NonFiniteError, ShapeError
from chainrule.grad_mode import enable_grad, is_grad_enabled
from chainrule.graph import as_tuple
from chainrule.interpreters import Interpreter, top
from chainrule.ops.creation import ones_like, zeros_like
from chainrule.ops.shape import stack
from chainrule.primitive import Primitive
from chainrule.settings import not_here
from chainrule.tape import leaves
from chainrule.tensor import Tensor, differentiate, seed_for, wrap

Function = Callable[..., Any]
ArgNums = int | Sequence[int]


class AnomalyDetector(Interpreter):
    """An interpreter that stops at the first result that is not finite."""

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        result = super().run(primitive, inputs, params)
        for y in as_tuple(result):
            if isinstance(y, np.ndarray) and y.dtype.kind == "f" and not np.all(np.isfinite(y)):
                raise NonFiniteError(
                    f"`{primitive.name}` gave NaN or infinity",
                    given="; ".join(_range(x) for x in inputs),
                    instead="Look at the inputs' ranges: is a logarithm, root or quotient at 0?",
                )
        return result


def _range(x: Tensor) -> str:
    data = x._data
    return f"{x.spec} in [{data.min():g}, {data.max():g}]" if data.size else f"{x.spec}"


def detect_anomaly() -> Any:
    """Inside this context, NonFiniteError names the first op that gives NaN or infinity.

    The walk back is covered too. Every result is checked, so it is slower.
    """
    return settings.use(interpreter=AnomalyDetector())


# -- transformations of functions ------------------------------------------------------------------


def grad(
    function: Function | Tensor | Sequence[Tensor],
    argnums: ArgNums | Tensor | Sequence[Tensor] = 0,
    *more: Any,
    **options: Any,
) -> Any:
    """∇f as a function: `grad(f)(x)` has the shape of x, for f that returns a scalar.

    Called with tensors, `grad(outputs, inputs, ...)` is `gradients(outputs, inputs, ...)`, the
    form that PyTorch has.

    >>> import chainrule as cr
    >>> cr.grad(lambda x: x**3)(cr.tensor(2.0))
    tensor(12.)
    >>> cr.grad(cr.grad(lambda x: x**3))(cr.tensor(2.0))
    tensor(12.)
    """
    if not callable(function):
        return gradients(function, argnums, *more, **options)  # type: ignore[arg-type]
    has_aux = options.pop("has_aux", False)
    if more or options:
        raise ArgumentError(
            "of a function, grad takes the function, argnums and has_aux", given=[*more, *options]
        )
    both = value_and_grad(function, argnums, has_aux)  # type: ignore[arg-type]

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def value_and_grad(function: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """(f(x), ∇f(x)) in one pass, for f that returns a scalar.

    With `has_aux` f returns (scalar, aux), and the result is ((scalar, aux), ∇f(x)).
    """

    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        result, targets, wanted = _evaluate(function, args, kwargs, argnums)
        value, aux = parts(result, has_aux)
        if not isinstance(value, Tensor) or value.shape != ():
            raise GradientError(
                "grad differentiates functions that return a scalar tensor",
                given=getattr(value, "shape", type(value).__name__),
                instead="Reduce with .sum() or .mean(), or use cr.vjp or cr.jacobian.",
            )
        outer = _leads_beyond([value], targets)
        gradient = pull_back([value], [ones_like(value)], targets, create_graph=outer)
        value = value if outer else _ended(value)
        return (value, _ended_all(aux)) if has_aux else value, tree.unflatten(wanted, gradient)

    return both


def parts(result: Any, has_aux: bool) -> tuple[Any, Any]:
    """The value of a function that is differentiated, and what it returns beside."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError("with has_aux a function returns (value, aux)", given=result)
    return result


def _evaluate(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: ArgNums
) -> tuple[Any, list[Tensor], Any]:
    """f at arguments of which those of `argnums` are made to require gradients."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if any(not -len(args) <= p < len(args) for p in positions):
        raise ArgumentError(f"argnums {argnums}", expected=f"positions among {len(args)} arguments")
    replaced = list(args)
    with enable_grad():
        for position in positions:
            replaced[position] = tree.map_leaves(_variable, args[position])
        wanted = tuple(replaced[p] for p in positions)
        value = function(*replaced, **kwargs)
    return value, tree.flatten(wanted), wanted[0] if isinstance(argnums, int) else wanted


def _variable(leaf: Any) -> Any:
    """A tensor to differentiate by: it still leads back to the caller's own, for higher order."""
    if not isinstance(leaf, Tensor):
        raise GradientError(
            "derivatives are by tensors", given=type(leaf).__name__, instead="Use cr.tensor(x)."
        )
    return leaf.clone() if leaf.requires_grad else _cut(leaf).requires_grad_()


def _cut(x: Tensor) -> Tensor:
    """As `detach`, but at this level alone: what derivatives below go through is left as it is."""
    apart = wrap(top().lifted(x))
    aliases.pair(x, apart)
    return apart


def _ended(value: Tensor) -> Tensor:
    """A value whose own derivative is done; where nothing is to be recorded, at no level."""
    return value.detach() if not_here() is False else _cut(value)


def _ended_all(values: Any) -> Any:
    """The tensors of a structure as values whose derivative is done."""
    return tree.map_leaves(lambda y: _ended(y) if isinstance(y, Tensor) else y, values)


def _leads_beyond(outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> bool:
    """Whether the outputs depend on more than the targets, so that an outer derivative may follow.

    Only then are derivatives themselves recorded.
    """
    own = {id(t) for t in targets}
    reached = leaves([y for y in outputs if isinstance(y, Tensor)])
    return is_grad_enabled() and any(id(leaf) not in own for leaf in reached)


def pull_back(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    targets: Sequence[Tensor],
    create_graph: bool,
    retain_graph: bool | None = None,
) -> list[Tensor]:
    """Σ gᵢ·∂yᵢ/∂x for each target; zeros where nothing depends on it."""
    seeds = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
    found = differentiate(seeds, retain_graph, create_graph, targets)
    return [zeros_like(t.detach()) if g is None else g for t, g in found]


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """∂ Σ outputs / ∂ input for each input, without touching `.grad`; as torch.autograd.grad."""
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs
    upstream: Sequence[Tensor | None] = given or [None] * len(ys)
    seeds = [(y, seed_for(y, g)) for y, g in zip(ys, upstream, strict=True)]
    if any(not x.requires_grad for x in xs):
        raise GradientError("an input does not require gradients", instead="x.requires_grad_()")
    found = [g for _, g in differentiate(seeds, retain_graph, create_graph, xs)]
    if not allow_unused and any(g is None for g in found):
        raise GradientError(
            f"input {[g is None for g in found].index(True)} was not used to compute the outputs",
            instead="Pass allow_unused=True to get None for it.",
        )
    return tuple(found)


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(f(x), g ↦ gᵀ·∂f/∂x): the vector-Jacobian product of f at the primals.

    With `has_aux` f returns (value, aux), and aux is a third result.

    >>> import chainrule as cr
    >>> y, pull = cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]))
    >>> pull(cr.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    result, targets, wanted = _evaluate(function, primals, {}, tuple(range(len(primals))))
    value, aux = parts(result, has_aux)
    outputs = tree.flatten(value)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        cotangents = tree.flatten(cotangent)
        require_same_specs(cotangents, outputs, "cotangent")
        outer = _leads_beyond([*outputs, *cotangents], targets)
        result = pull_back(outputs, cotangents, targets, outer, retain_graph=True)
        return tree.unflatten(wanted, result)

    outer = _leads_beyond(outputs, targets)
    value = value if outer else tree.map_leaves(_ended, value)
    return (value, pull, _ended_all(aux)) if has_aux else (value, pull)


def require_same_specs(given: list[Tensor], wanted: list[Tensor], what: str) -> None:
    if [x.spec for x in given] != [x.spec for x in wanted]:
        raise ShapeError(
            f"a {what} has the specs of what it belongs to",
            given=[x.spec for x in given],
            expected=[x.spec for x in wanted],
        )


def jacobian(function: Function, argnums: int = 0) -> Function:
    """∂f/∂x as a function, of shape (*output, *input): one vjp for each element of the output."""

    @functools.wraps(function)
    def matrix(*args: Any) -> Tensor:
        value, targets, _ = _evaluate(function, args, {}, argnums)
        outer = _leads_beyond([value], targets)
        rows = [
            pull_back([value], [g], targets, create_graph=outer, retain_graph=True)[0]
            for g in _basis(value)
        ]
        x = targets[0]
        if not rows:
            return zeros_like(x).expand(*value.shape, *x.shape)
        return stack(rows).reshape(*value.shape, *x.shape)

    return matrix


def _basis(like: Tensor) -> Iterator[Tensor]:
    for position in np.ndindex(like.shape):
        unit = np.zeros(like.shape, like.dtype)
        unit[position] = 1
        yield Tensor(unit)
