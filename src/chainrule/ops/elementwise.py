"""Elementwise arithmetic: each element of the output depends on one element of each input.

Inputs broadcast as in NumPy; the adjoint of broadcasting is the gateway's business, not written
here. By IEEE 754, ln 0 = −∞, 1/0 = ∞ and 0/0 = NaN: defined results, without warnings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.kinds import elementwise
from chainrule.ops.compare import where
from chainrule.ops.rules import arithmetic, broadcast, nonzero_divisor, numeric, position
from chainrule.primitive import Spec, composition, in_place_form, primitive, same_spec
from chainrule.samples import cases, pairs, uniform
from chainrule.tensor import Tensor

__all__ = [
    "abs", "add", "arctan", "ceil", "clone", "cos", "cosh", "exp", "expm1", "floor",
    "floor_divide", "log", "log1p", "maximum", "minimum", "mul", "neg", "pow", "remainder",
    "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh", "trunc",
]

# -- arithmetic --------------------------------------------------------------------------------


@primitive
class add:
    """y = a + b; called, a + α·b.   ∂y/∂a = 1, ∂y/∂b = 1."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "common"
    neutral = (-0.0, -0.0)
    def arguments(a, b, *, alpha=1): return (a, b if alpha == 1 else b * alpha), {}
    def forward(a, b): return a + b
    def vjp(g): return g, g


@primitive
class sub:
    """y = a − b; called, a − α·b.   ∂y/∂a = 1, ∂y/∂b = −1."""
    kind, infer, samples, promote = elementwise, arithmetic, pairs(), "common"
    neutral = (None, 0.0)
    def arguments(a, b, *, alpha=1): return (a, b if alpha == 1 else b * alpha), {}
    def forward(a, b): return a - b
    def vjp(g, needs): return g, -g if needs[1] else None


@primitive
class mul:
    """y = a·b.   ∂y/∂a = b, ∂y/∂b = a."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "common"
    neutral = (1.0, 1.0)
    def forward(a, b): return a * b
    def vjp(g, a, b, needs): return g * b if needs[0] else None, g * a if needs[1] else None


@primitive
class div:
    """y = a / b; integers divide to the default floating dtype.   ∂y/∂a = 1/b, ∂y/∂b = −y/b."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "float"
    neutral = (None, 1.0)
    def forward(a, b): return a / b
    def vjp(g, b, y, needs):
        scaled = g / b
        return scaled, -scaled * y if needs[1] else None


@primitive
class rescale:
    """y = x / divisor, as floats of `dtype`: the pixels of images.   ∂y/∂x = 1/divisor."""
    kind, in_place_form = elementwise, False
    samples = cases(
        lambda rng: (
            rng.integers(0, 256, (3, 70), np.uint8), {"divisor": 255.0, "dtype": np.dtype("f8")},
        ),
        lambda rng: (rng.normal(size=(3, 4)), {"divisor": -16.0, "dtype": np.dtype("f8")}),
    )
    def infer(x, *, divisor, dtype): return Spec(x.shape, dtype)
    def forward(x, *, divisor, dtype): return x.astype(dtype) / divisor
    def vjp(g, x_spec, divisor): return (g / divisor).astype(x_spec.dtype),


@primitive
class power:
    """y = xⁿ for a number n.   ∂y/∂x = n·xⁿ⁻¹."""
    kind = elementwise
    samples = cases(
        lambda rng: (rng.uniform(0.5, 2, (3, 4)), {"exponent": 2}),
        lambda rng: (rng.uniform(0.5, 2, (3, 4)), {"exponent": -1.5}),
        lambda rng: (rng.uniform(-2, -1, ()), {"exponent": 3}),
    )
    def infer(x, *, exponent):
        if x.dtype.kind != "f" and (isinstance(exponent, float) or exponent < 0):
            raise DTypeError(
                f"integers to the power {exponent} are not integers", given=x.dtype,
                instead="Convert with x.float() first.",
            )
        return numeric(x)
    def forward(x, *, exponent): return x * x if exponent == 2 else x**exponent
    def vjp(g, x, exponent):
        if exponent == 0:
            return g * 0,
        slope = x if exponent == 2 else power(x, exponent=exponent - 1)
        return g * (slope * exponent),


@primitive
class power_of_tensor:
    """y = aᵇ.   ∂y/∂a = b·aᵇ⁻¹ (0 where b = 0), ∂y/∂b = y·ln a (0 where a = 0 and b ≥ 0)."""
    kind, name, infer, promote = elementwise, "pow", arithmetic, "common"
    samples = cases(
        lambda rng: (rng.uniform(0.5, 2, (3, 4)), rng.uniform(-2, 2, (3, 4))),
        lambda rng: (rng.uniform(0.5, 2, (3, 1)), rng.uniform(-2, 2, (4,))),
    )
    def forward(a, b):
        if b.dtype.kind == "i" and (b < 0).any():
            raise ArgumentError(
                "integers to negative powers are no integers", given=f"at {position(b < 0)}",
                instead="Convert with x.float() first.",
            )
        return a**b
    def vjp(g, a, b, y, needs):
        by_base = where(b == 0, 0.0, g * b * a ** (b - 1)) if needs[0] else None
        by_power = where((a == 0) & (b >= 0), 0.0, g * y * log(a)) if needs[1] else None
        return by_base, by_power


@in_place_form
@composition
def pow(input: Any, exponent: Any) -> Tensor:
    """xᵉ, of tensors or a tensor and a number.

    >>> import chainrule as cr
    >>> cr.pow(cr.tensor([1.0, 2.0]), 3)
    tensor([1., 8.])
    """
    if isinstance(input, Tensor) and isinstance(exponent, (int, float)):
        is_whole = isinstance(exponent, int)
        base = input if is_whole or input.dtype.kind == "f" else input.float()
        return power(base, exponent=exponent)
    return power_of_tensor(input, exponent)


@primitive
class floor_divide:
    """y = ⌊a / b⌋. Integer division by zero raises ArgumentError.   Piecewise constant."""
    kind, infer, promote = elementwise, arithmetic, "common"
    samples = cases(lambda rng: (np.array([7.5, -7.5]), np.array([2.0, 2.0])))
    def forward(a, b): return np.floor_divide(a, nonzero_divisor(a, b))
    def vjp(g): return g * 0, g * 0


@primitive
class remainder:
    """y = a − b·⌊a / b⌋, with the sign of b.   ∂y/∂a = 1, ∂y/∂b = −⌊a / b⌋."""
    kind, infer, promote = elementwise, arithmetic, "common"
    samples = cases(lambda rng: (np.array([7.5, -7.3]), np.array([2.0, 2.2])))
    def forward(a, b): return np.remainder(a, nonzero_divisor(a, b))
    def vjp(g, a, b, needs): return g, -g * floor_divide(a, b) if needs[1] else None


@primitive
class maximum:
    """y = max(a, b); NaN wins.   The gradient goes to the larger, half to each where equal."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "common"
    in_place_form = False
    def forward(a, b): return np.maximum(a, b)
    def vjp(g, a, b): return of_larger(g, a, b), of_larger(g, b, a)


@primitive
class minimum:
    """y = min(a, b); NaN wins.   The gradient goes to the smaller, half to each where equal."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "common"
    in_place_form = False
    def forward(a, b): return np.minimum(a, b)
    def vjp(g, a, b): return of_larger(g, b, a), of_larger(g, a, b)


def of_larger(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The part of a's in the gradient of max(a, b): chosen, not multiplied by 0, as g may be ∞."""
    return where(a < b, 0.0, where(a == b, g * 0.5, g))


@primitive
class clone:
    """y = x, in memory of its own.   ∂y/∂x = 1."""
    kind, infer, samples = elementwise, same_spec, uniform(-3, 3)
    in_place_form = False
    def forward(x): return x.copy()
    def vjp(g): return g,


@primitive
class neg:
    """y = −x.   ∂y/∂x = −1."""
    kind, infer, samples = elementwise, arithmetic, uniform(-3, 3)
    involution = True
    def forward(x): return -x
    def vjp(g): return -g,


@primitive
class abs:
    """y = |x|.   ∂y/∂x = sign x."""
    kind, infer, samples = elementwise, same_spec, uniform(0.1, 3)
    idempotent = True
    def forward(x): return np.abs(x)
    def vjp(g, x): return g * sign(x),


@primitive
class sign:
    """y = −1, 0 or 1, with the sign of x.   Piecewise constant."""
    kind, infer, samples = elementwise, numeric, uniform(0.1, 3)
    idempotent = True
    def forward(x): return np.sign(x)
    def vjp(g): return g * 0,


@primitive
class square:
    """y = x².   ∂y/∂x = 2x."""
    kind, infer, samples = elementwise, same_spec, uniform(-3, 3)
    def forward(x): return x * x
    def vjp(g, x): return g * (x * 2),


@primitive
class floor:
    """y = ⌊x⌋.   Piecewise constant."""
    kind, infer, samples = elementwise, same_spec, uniform(0.1, 0.9)
    idempotent = True
    def forward(x): return np.floor(x).astype(x.dtype, copy=False)
    def vjp(g): return g * 0,


@primitive
class ceil:
    """y = ⌈x⌉.   Piecewise constant."""
    kind, infer, samples = elementwise, same_spec, uniform(0.1, 0.9)
    idempotent = True
    def forward(x): return np.ceil(x).astype(x.dtype, copy=False)
    def vjp(g): return g * 0,


@primitive
class round_to_whole:
    """y = the nearest integer, ties to even.   Piecewise constant."""
    kind, name, infer, samples = elementwise, "round", numeric, uniform(0.1, 0.4)
    idempotent = True
    def forward(x): return np.round(x)
    def vjp(g): return g * 0,


@in_place_form
@composition
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, ties to even; tens, hundreds, ... if negative.

    >>> import chainrule as cr
    >>> cr.round(cr.tensor([1.255, -0.5]), decimals=1)
    tensor([ 1.3, -0.5])
    """
    if decimals == 0:
        return round_to_whole(input)
    tens, x = 10.0 ** abs(decimals), mul(input, 1.0)
    return round_to_whole(x * tens) / tens if decimals > 0 else round_to_whole(x / tens) * tens


@primitive
class trunc:
    """y = x without its fraction.   Piecewise constant."""
    kind, infer, samples = elementwise, same_spec, uniform(0.1, 0.9)
    idempotent = True
    def forward(x): return np.trunc(x).astype(x.dtype, copy=False)
    def vjp(g): return g * 0,


# -- exponentials and logarithms -----------------------------------------------------------------


@primitive
class exp:
    """y = eˣ.   ∂y/∂x = y."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.exp(x)
    def vjp(g, y): return g * y,


@primitive
class expm1:
    """y = eˣ − 1, accurate near 0.   ∂y/∂x = y + 1."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.expm1(x)
    def vjp(g, y): return g * (y + 1),


@primitive
class log:
    """y = ln x.   ∂y/∂x = 1/x."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return np.log(x)
    def vjp(g, x): return g / x,


@primitive
class log1p:
    """y = ln(1 + x), accurate near 0.   ∂y/∂x = 1/(1 + x)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-0.5, 3), "float"
    def forward(x): return np.log1p(x)
    def vjp(g, x): return g / (x + 1),


@primitive
class sqrt:
    """y = √x.   ∂y/∂x = 1/(2y)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return np.sqrt(x)
    def vjp(g, y): return g / (y * 2),


@primitive
class rsqrt:
    """y = 1/√x.   ∂y/∂x = −y³/2."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return 1 / np.sqrt(x)
    def steps(m, x): return m.rsqrt(x)
    def vjp(g, y): return g * (y * y * y * -0.5),


# -- trigonometric and hyperbolic ----------------------------------------------------------------


@primitive
class sin:
    """y = sin x.   ∂y/∂x = cos x."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.sin(x)
    def vjp(g, x): return g * cos(x),


@primitive
class cos:
    """y = cos x.   ∂y/∂x = −sin x."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.cos(x)
    def vjp(g, x): return -g * sin(x),


@primitive
class tan:
    """y = tan x.   ∂y/∂x = 1 + y²."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-1, 1), "float"
    def forward(x): return np.tan(x)
    def vjp(g, y): return g * (y * y + 1),


@primitive
class arctan:
    """y = arctan x.   ∂y/∂x = 1/(1 + x²)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.arctan(x)
    def vjp(g, x): return g / (x * x + 1),


@primitive
class sinh:
    """y = sinh x.   ∂y/∂x = cosh x."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.sinh(x)
    def vjp(g, x): return g * cosh(x),


@primitive
class cosh:
    """y = cosh x.   ∂y/∂x = sinh x."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.cosh(x)
    def vjp(g, x): return g * sinh(x),


@primitive
class tanh:
    """y = tanh x.   ∂y/∂x = 1 − y²."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.tanh(x)
    def vjp(g, y): return g * (1 - y * y),
