"""Jacobians and Hessians, whole: `vmap` over the vectors of a basis."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.autograd import ArgNums, Function, vjp
from chainrule.errors import ArgumentError
from chainrule.tensor import Tensor
from chainrule.transforms.forward import jvp
from chainrule.transforms.vmap import vmap


def jacrev(function: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """∂f/∂x as a function, of shape (*output, *input), in reverse mode: f runs once, then one walk
    back for all elements of the output together.

    For f with fewer outputs than inputs; `jacfwd` for the other. Outputs and arguments may be
    nested: the structure of the output has, in place of each tensor, that of the argument. For
    several `argnums` that is a tuple. With `has_aux` f returns (y, aux), and the result is
    (Jacobian, aux).

    >>> import chainrule as cr
    >>> jacrev(lambda x: x[:2] * x[1:])(cr.tensor([1.0, 2.0, 3.0]))
    tensor([[2., 1., 0.],
            [0., 3., 2.]])
    """

    @functools.wraps(function)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        part, chosen = _of_arguments(function, args, kwargs, argnums)
        value, pull, *aux = vjp(part, *chosen, has_aux=has_aux)
        outputs = tree.flatten(value)

        def rows(*gs: Tensor) -> Any:
            return tree.flatten(pull(tree.unflatten(value, list(gs))))

        pulled, inputs = vmap(rows)(*_basis(outputs)), tree.flatten(tuple(chosen))
        blocks = []
        for y, place in zip(outputs, _places(outputs), strict=True):
            pairs = zip(pulled, inputs, strict=True)
            own = [g[place].reshape(*y.shape, *x.shape) for g, x in pairs]
            blocks.append(_for_arguments(chosen, own, argnums))
        found = tree.unflatten(value, blocks)
        return (found, *aux) if has_aux else found

    return jacobian


def jacfwd(
    function: Function, argnums: ArgNums = 0, has_aux: bool = False, randomness: str = "error"
) -> Function:
    """∂f/∂x as a function, of shape (*output, *input), in forward mode: f runs once, with a tangent
    for each element of the input.

    For f with fewer inputs than outputs; `jacrev`, which has the same structure, for the other.
    `randomness` is that of `vmap`.

    >>> import chainrule as cr
    >>> jacfwd(lambda x: cr.stack([x, x**2, x**3]))(cr.tensor(2.0))
    tensor([ 1.,  4., 12.])
    """

    @functools.wraps(function)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        part, chosen = _of_arguments(function, args, kwargs, argnums)
        inputs = tree.flatten(tuple(chosen))

        def column(*ts: Tensor) -> Any:
            _, moved, *aux = jvp(part, chosen, tree.unflatten(chosen, list(ts)), has_aux)
            return (moved, *aux)

        out_dims = (-1, None) if has_aux else (-1,)
        moved, *aux = vmap(column, 0, out_dims, randomness)(*_basis(inputs))
        blocks = []
        for columns in tree.flatten(moved):
            own = [
                columns[..., place].reshape(*columns.shape[:-1], *x.shape)
                for x, place in zip(inputs, _places(inputs), strict=True)
            ]
            blocks.append(_for_arguments(chosen, own, argnums))
        found = tree.unflatten(moved, blocks)
        return (found, *aux) if has_aux else found

    return jacobian


def hessian(function: Function, argnums: ArgNums = 0) -> Function:
    """∂²f/∂x² as a function, of shape (*output, *input, *input): forward mode over reverse mode.

    >>> import chainrule as cr
    >>> hessian(lambda x: (x**3).sum())(cr.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(function, argnums), argnums)


def _of_arguments(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: ArgNums
) -> tuple[Callable[..., Any], list[Any]]:
    """f as a function of the arguments at `argnums`, and these."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if any(not -len(args) <= p < len(args) for p in positions):
        raise ArgumentError(f"argnums {argnums}", expected=f"positions among {len(args)} arguments")

    def part(*chosen: Any) -> Any:
        given = list(args)
        for position, x in zip(positions, chosen, strict=True):
            given[position] = x
        return function(*given, **kwargs)

    return part, [args[p] for p in positions]


def _for_arguments(chosen: list[Any], blocks: list[Tensor], argnums: ArgNums) -> Any:
    """One block for each tensor in the arguments, in their structure."""
    found = tree.unflatten(tuple(chosen), blocks)
    return found[0] if isinstance(argnums, int) else found


def _sizes(xs: Sequence[Tensor]) -> list[int]:
    return [math.prod(x.shape) for x in xs]


def _places(xs: Sequence[Tensor]) -> list[slice]:
    """Which vectors of the basis move each tensor."""
    ends = np.cumsum([0, *_sizes(xs)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def _basis(xs: Sequence[Tensor]) -> list[Tensor]:
    """For each tensor its part of the unit vectors of all elements together, vectors in front."""
    total = sum(_sizes(xs))
    found = []
    for x, place in zip(xs, _places(xs), strict=True):
        units = np.zeros((total, math.prod(x.shape)), x.dtype)
        units[place] = np.eye(math.prod(x.shape), dtype=x.dtype)
        found.append(Tensor(units.reshape(total, *x.shape)))
    return found
