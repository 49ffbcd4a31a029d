"""Comparison, logic, choice and conversion, elementwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.gateway import aligned
from chainrule.kinds import elementwise
from chainrule.ops.rules import (
    boolean,
    broadcast_shapes,
    comparison,
    converted,
    logical,
    numeric,
    same_specs,
)
from chainrule.primitive import (
    SCALARS,
    Spec,
    SpecLike,
    composition,
    in_place_form,
    primitive,
    supported,
)
from chainrule.samples import cases, pairs, uniform
from chainrule.settings import current
from chainrule.tensor import Tensor

__all__ = [
    "astype", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "clamp",
    "clamp_max", "clamp_min", "eq", "ge", "gt", "isfinite", "isinf", "isnan", "le", "lt", "ne",
]

# -- comparison and logic ------------------------------------------------------------------------


@primitive
class eq:
    """y = (a = b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a == b


@primitive
class ne:
    """y = (a ≠ b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a != b


@primitive
class lt:
    """y = (a < b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a < b


@primitive
class le:
    """y = (a ≤ b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a <= b


@primitive
class gt:
    """y = (a > b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a > b


@primitive
class ge:
    """y = (a ≥ b)."""
    kind, infer, samples, promote = elementwise, comparison, pairs(), "common"
    def forward(a, b): return a >= b


@primitive
class bitwise_and:
    """y = a and b, of booleans or bit by bit of integers."""
    kind, infer, promote = elementwise, logical, "common"
    samples = cases(lambda rng: (np.array([True, False]), np.array([True, True])))
    def forward(a, b): return a & b


@primitive
class bitwise_or:
    """y = a or b, of booleans or bit by bit of integers."""
    kind, infer, promote = elementwise, logical, "common"
    samples = cases(lambda rng: (np.array([True, False]), np.array([True, True])))
    def forward(a, b): return a | b


@primitive
class bitwise_xor:
    """y = either a or b, of booleans or bit by bit of integers."""
    kind, infer, promote = elementwise, logical, "common"
    samples = cases(lambda rng: (np.array([True, False]), np.array([True, True])))
    def forward(a, b): return a ^ b


@primitive
class bitwise_not:
    """y = not x, of booleans or bit by bit of integers."""
    kind, infer = elementwise, logical
    involution = True
    samples = cases(lambda rng: (np.array([True, False]),))
    def forward(x): return ~x


@primitive
class isnan:
    """y = (x is not a number)."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
    in_place_form = False
    def forward(x): return np.isnan(x)


@primitive
class isinf:
    """y = (x is ±∞)."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
    in_place_form = False
    def forward(x): return np.isinf(x)


@primitive
class isfinite:
    """y = (x is neither NaN nor ±∞)."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
    in_place_form = False
    def forward(x): return np.isfinite(x)


# -- choice and conversion ----------------------------------------------------------------------


@primitive
class where:
    """y = a where the condition holds, else b.   The gradient goes to the one chosen.

    What is not chosen has gradient 0 · ∂, which is NaN when ∂ is not finite (as of ln x at 0):
    make the unchosen branch safe first, where(c, ln(where(c, x, 1)), 0); `safe_log` does so.
    """
    kind = elementwise
    samples = cases(
        lambda rng: (rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)), rng.normal(size=4)),
        lambda rng: (np.array([True, False]), rng.normal(size=()), rng.normal(size=2)),
    )

    def arguments(condition: Tensor, a: Tensor | float, b: Tensor | float) -> Any:
        return (condition, *aligned("where", a, b)), {}

    def infer(condition: SpecLike, a: SpecLike, b: SpecLike) -> SpecLike:
        if condition.dtype.kind != "b":
            raise DTypeError(
                "the condition of `where` is boolean", given=condition.dtype,
                instead="Compare first, e.g. cr.where(x > 0, a, b).",
            )
        return Spec(broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)

    def forward(condition, a, b): return np.where(condition, a, b)

    def vjp(g, condition):
        return None, where(condition, g, 0.0), where(condition, 0.0, g)


@primitive
class clamp_to_numbers:
    """y = x limited to [min, max]; NaN stays.   ∂y/∂x = 1 inside the limits, else 0."""
    kind, name = elementwise, "clamp"
    samples = cases(
        lambda rng: (np.array([-2.0, -0.5, 0.5, 2.0]), {"min": -1.0, "max": 1.0}),
        lambda rng: (np.array([-2.0, -0.5, 0.5, 2.0]), {"min": None, "max": 1.0}),
    )

    def infer(x: SpecLike, *, min: Any, max: Any) -> SpecLike:
        return numeric(x)

    def forward(x, *, min, max): return np.clip(x, min, max).astype(x.dtype, copy=False)

    def vjp(g, x, min, max):
        inside = (x >= min if min is not None else x == x)
        return where(inside & (x <= max) if max is not None else inside, g, 0.0),


@in_place_form
@composition
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max], numbers or tensors; NaN stays. Where min > max, it is max.

    The gradient goes to x inside the limits, else to the limit that is reached.

    >>> import chainrule as cr
    >>> clamp(cr.tensor([-2.0, 0.5, 2.0]), -1, cr.tensor([3.0, 0.0, 1.0]))
    tensor([-1.,  0.,  1.])
    """
    (y,) = aligned("clamp", input)
    limits = [limit for limit in (min, max) if limit is not None]
    if not limits:
        raise ArgumentError("clamp needs a limit", expected="min, max or both")
    for limit in limits:
        if not isinstance(limit, (Tensor, *SCALARS)):
            raise DTypeError("a limit is a number or a tensor", given=type(limit).__name__)
        if y.dtype.kind != "f" and isinstance(limit, (float, np.floating)):
            y = y.to(current().default_dtype)
    if not any(isinstance(limit, Tensor) for limit in limits):
        return clamp_to_numbers(y, min=min, max=max)
    if min is not None:
        y, low = aligned("clamp", y, min)
        y = where((y >= low) | (y != y), y, low)
    if max is not None:
        y, high = aligned("clamp", y, max)
        y = where((y <= high) | (y != y), y, high)
    return y


@in_place_form
@composition
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """x, at least `min`."""
    return clamp(input, min=min)


@in_place_form
@composition
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """x, at most `max`."""
    return clamp(input, max=max)


@primitive
class astype:
    """y = x in another dtype; floats are cut towards 0 on the way to integers.   ∂y/∂x = 1.

    NaN, and numbers outside an integer dtype's range, raise ArgumentError: nothing would be right.
    """
    kind, in_place_form = elementwise, False
    unchanged = same_specs
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dtype": np.dtype(np.float64)}),
        lambda rng: (np.array([1, 2]), {"dtype": np.dtype(np.float32)}),
    )

    def arguments(x: Tensor, dtype: Any) -> Any:
        return (x,), {"dtype": supported(dtype)}

    def infer(x: SpecLike, *, dtype: Any) -> Spec:
        return Spec(x.shape, dtype)

    def forward(x, *, dtype): return converted(x, dtype)
    def steps(m, x, *, dtype): return m.cast(x, dtype)
    def vjp(g, x_spec): return g.astype(x_spec.dtype),
