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
from chainrule.primitive import SCALARS, Spec, SpecLike, primitive, supported
from chainrule.samples import cases, pairs, uniform
from chainrule.tensor import Tensor

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
    def forward(x): return np.isnan(x)


@primitive
class isinf:
    """y = (x is ±∞)."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
    def forward(x): return np.isinf(x)


@primitive
class isfinite:
    """y = (x is neither NaN nor ±∞)."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
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

    def arguments(condition: Tensor, a: Any, b: Any) -> Any:
        return (condition, *aligned("where", a, b)), {}

    def infer(condition: SpecLike, a: SpecLike, b: SpecLike) -> SpecLike:
        if condition.dtype.kind != "b":
            raise DTypeError(
                "the condition of `where` is boolean", given=condition.dtype,
                instead="Compare first, e.g. cr.where(x > 0, a, b).",
            )  # fmt: skip
        return Spec(broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)

    def forward(condition, a, b): return np.where(condition, a, b)

    def vjp(g, condition):
        return None, where(condition, g, 0.0), where(condition, 0.0, g)


@primitive
class clamp:
    """y = x limited to [min, max]; NaN stays.   ∂y/∂x = 1 inside the limits, else 0."""
    kind = elementwise
    samples = cases(
        lambda rng: (np.array([-2.0, -0.5, 0.5, 2.0]), {"min": -1.0, "max": 1.0}),
        lambda rng: (np.array([-2.0, -0.5, 0.5, 2.0]), {"min": None, "max": 1.0}),
    )

    def arguments(x: Tensor, min: Any = None, max: Any = None) -> Any:
        return (x,), {"min": min, "max": max}

    def infer(x: SpecLike, *, min: Any, max: Any) -> SpecLike:
        limits = [limit for limit in (min, max) if limit is not None]
        if not limits:
            raise ArgumentError("clamp needs a limit", expected="min, max or both")
        for limit in limits:
            if not isinstance(limit, SCALARS):
                raise DTypeError(
                    "the limits of clamp are numbers", given=type(limit).__name__,
                    instead="Use cr.maximum and cr.minimum with tensors.",
                )  # fmt: skip
            if x.dtype.kind != "f" and isinstance(limit, (float, np.floating)):
                raise DTypeError(
                    f"integers cannot be limited to {limit}", given=x.dtype,
                    instead="Convert with x.float() first.",
                )  # fmt: skip
        return numeric(x)

    def forward(x, *, min, max): return np.clip(x, min, max).astype(x.dtype, copy=False)

    def vjp(g, x, min, max):
        inside = (x >= min if min is not None else x == x)
        return where(inside & (x <= max) if max is not None else inside, g, 0.0),


@primitive
class astype:
    """y = x in another dtype; floats are cut towards 0 on the way to integers.   ∂y/∂x = 1.

    NaN, and numbers outside an integer dtype's range, raise ArgumentError: nothing would be right.
    """
    kind = elementwise
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
