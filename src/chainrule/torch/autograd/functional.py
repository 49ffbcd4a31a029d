"""`torch.autograd.functional`: derivatives of functions at points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule import autograd, tree
from chainrule.ops.creation import ones_like
from chainrule.tensor import Tensor
from chainrule.torch.adapter import names
from chainrule.transforms import forward

Function = Callable[..., Any]


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """∂func/∂input at the inputs, of shape (*output, *input); nested as outputs and inputs are.

    >>> import chainrule as cr
    >>> jacobian(lambda x: x * x, cr.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    points = inputs if isinstance(inputs, tuple) else (inputs,)

    def rows(position: int | None) -> Any:
        def part(*xs: Tensor) -> Any:
            y = func(*xs)
            return y if position is None else y[position]

        found = tuple(autograd.jacobian(part, i)(*points) for i in range(len(points)))
        kept = tree.map_leaves(lambda m: m if create_graph else m.detach(), found)
        return kept if isinstance(inputs, tuple) else kept[0]

    shape = func(*points)
    return tuple(map(rows, range(len(shape)))) if isinstance(shape, tuple) else rows(None)


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """∂²func/∂input² at the inputs, for a func that returns one number.

    >>> import chainrule as cr
    >>> hessian(lambda x: (x**3).sum(), cr.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    places = tuple(range(len(points)))

    def gradient(*xs: Tensor) -> Any:
        return autograd.grad(func, places)(*xs)

    found = jacobian(gradient, points, create_graph)
    return found if isinstance(inputs, tuple) else found[0][0]


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), vᵀ·∂func/∂inputs); v is 1 where there is one output number."""
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    value, pull = autograd.vjp(func, *points)
    found = pull(tree.map_leaves(ones_like, value) if v is None else v)
    return value, found if isinstance(inputs, tuple) else found[0]


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), ∂func/∂inputs·v); v is 1 where there is one input number."""
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    given = tuple(map(ones_like, points)) if v is None else v
    return forward.jvp(func, points, given if isinstance(given, tuple) else (given,))


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), ∂²func/∂inputs²·v): the Hessian times a vector, without the Hessian."""
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    given = tuple(map(ones_like, points)) if v is None else v
    tangents = given if isinstance(given, tuple) else (given,)
    places = tuple(range(len(points)))
    found = forward.jvp(autograd.grad(func, places), points, tangents)[1]
    return func(*points), found if isinstance(inputs, tuple) else found[0]


vhp = hvp

__getattr__, __dir__ = names.facade(__name__)
