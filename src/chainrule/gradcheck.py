"""Compare derivatives with finite differences, in float64, along random directions.

For a function f and random directions u and v, ⟨u, (f(x + εv) − f(x − εv)) / 2ε⟩ must equal
⟨Jᵀu, v⟩, where J = ∂f/∂x. One such number tests all entries of J at once, as `check_grads` of the
library Autograd does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.autograd import gradients
from chainrule.errors import GradientError
from chainrule.grad_mode import no_grad
from chainrule.primitive import Array
from chainrule.tensor import Tensor

EPSILON = 1e-6
"""Near the cube root of float64's precision, where truncation and rounding errors are equal."""


def gradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = EPSILON,
    atol: float = 1e-6,
    rtol: float = 1e-4,
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """Compare the derivative of `function` with finite differences.

    For each of `directions` random directions u, v, drawn from `seed`:

        |⟨Jᵀu, v⟩ − ⟨u, f(x + εv) − f(x − εv)⟩ / 2ε| ≤ atol + rtol · |the second term|

    Floating inputs are converted to float64; other inputs are passed unchanged. Returns True.
    Raises GradientError with both numbers if they differ, or if no output depends on a floating
    input. It may also fail close to a point where the function is not differentiable.

    >>> import chainrule as cr
    >>> cr.gradcheck(cr.exp, cr.tensor([0.0, 1.0]))
    True
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    values = [_in_float64(x) for x in arguments]
    active = [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    if not active:
        raise GradientError("there is no floating input to differentiate by")
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    for _ in range(directions):
        outputs = _outputs(function(*values))
        if not outputs:
            raise GradientError("the function returned nothing that depends on its inputs")
        u = [rng.standard_normal(y.shape) for y in outputs]
        v = [rng.standard_normal(values[i].shape) for i in active]
        found = gradients(
            outputs,
            [values[i] for i in active],
            [Tensor(np.asarray(a)) for a in u],
            allow_unused=True,
        )
        products = [g.detach().numpy() * d for g, d in zip(found, v, strict=True) if g is not None]
        analytic = sum(float(np.sum(product)) for product in products)
        numeric = _difference(function, values, active, u, v, eps)
        if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
            raise GradientError(
                "the derivative differs from finite differences",
                given=f"{analytic:.10g} along a random direction",
                expected=f"{numeric:.10g} ± {atol + rtol * abs(numeric):.1g}",
            )
    return True


def gradgradcheck(
    function: Callable[..., Any], inputs: Tensor | Sequence[Any], **options: Any
) -> bool:
    """As `gradcheck`, for the second derivative: checks the gradient of `function` as a function.

    >>> import chainrule as cr
    >>> cr.gradgradcheck(cr.exp, cr.tensor([0.0, 1.0]))
    True
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    values = [_in_float64(x) for x in arguments]
    rng = np.random.Generator(np.random.Philox(key=[1, 0]))
    outputs = _outputs(function(*values))
    u = [Tensor(np.asarray(rng.standard_normal(y.shape))) for y in outputs]

    def gradient(*point: Any) -> Any:
        active = [x for x in point if isinstance(x, Tensor) and x.requires_grad]
        weights = list(point[len(values) :])
        found = gradients(
            _outputs(function(*point[: len(values)])),
            active[: len(active) - len(weights)],
            weights,
            create_graph=True,
            allow_unused=True,
        )
        return [g for g in found if g is not None]

    return gradcheck(gradient, [*values, *u], **options)


def _in_float64(x: Any) -> Any:
    if isinstance(x, Tensor) and x.dtype.kind == "f":
        return Tensor(x.detach().numpy().astype(np.float64), requires_grad=True)
    return x


def _outputs(value: Any) -> list[Tensor]:
    return [y for y in tree.flatten(value) if isinstance(y, Tensor) and y.requires_grad]


def _difference(
    function: Callable[..., Any],
    values: list[Any],
    active: list[int],
    u: list[Array],
    v: list[Array],
    eps: float,
) -> float:
    """⟨u, f(x + εv) − f(x − εv)⟩ / 2ε."""

    def at(step: float) -> list[Array]:
        moved = list(values)
        for i, d in zip(active, v, strict=True):
            point = values[i].detach().numpy() + step * d
            moved[i] = Tensor(np.asarray(point), requires_grad=True)
        # Gradients are recorded, so that `_outputs` leaves out what does not depend on the inputs.
        return [y.detach().numpy() for y in _outputs(function(*moved))]

    pairs = zip(u, at(eps), at(-eps), strict=True)
    with no_grad():
        return sum(float(np.sum(w * (plus - minus))) for w, plus, minus in pairs) / (2 * eps)
