"""Arithmetic made of the elementwise ops: rounded quotients, limits, mixtures, signs."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.kinds import elementwise
from chainrule.op_methods import method
from chainrule.ops.compare import where
from chainrule.ops.elementwise import abs, floor_divide, maximum, minimum, trunc
from chainrule.ops.elementwise import div as quotient
from chainrule.ops.rules import arithmetic, boolean, broadcast, logical, nonzero_divisor, numeric
from chainrule.primitive import Spec, composition, floating, in_place_form, primitive
from chainrule.samples import cases, uniform
from chainrule.tensor import Tensor

__all__ = [
    "addcdiv", "addcmul", "copysign", "deg2rad", "div", "float_power", "fmax", "fmin", "fmod",
    "frac", "frexp", "gcd", "heaviside", "lcm", "ldexp", "lerp", "nan_to_num", "nextafter",
    "positive", "rad2deg", "reciprocal", "rsub", "signbit",
]

Rounding = Literal["floor", "trunc"]


@in_place_form
@composition
def div(
    input: Tensor | float, other: Tensor | float, *, rounding_mode: Rounding | None = None
) -> Tensor:
    """a / b, or that quotient rounded down ("floor") or towards 0 ("trunc").

    Integers divide to the default floating dtype; rounded quotients of integers are integers, and
    a zero among the divisors raises ArgumentError. A rounded quotient has gradient 0.

    >>> import chainrule as cr
    >>> div(cr.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        return quotient(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ArgumentError(
            "unknown rounding mode", given=rounding_mode, expected='None, "floor" or "trunc"'
        )
    whole = (input - fmod(input, other)) if _are_integers(input, other) else input
    return floor_divide(whole, other) if whole is not input else trunc(quotient(input, other))


def _are_integers(*values: Any) -> bool:
    return all(
        x.dtype.kind in "iub" if isinstance(x, Tensor) else isinstance(x, int) for x in values
    )


@primitive
class fmod:
    """y = a − b·trunc(a / b), with the sign of a.   ∂y/∂a = 1, ∂y/∂b = −trunc(a / b)."""
    kind, infer, promote = elementwise, arithmetic, "common"
    samples = cases(lambda rng: (np.array([7.5, -7.3]), np.array([2.0, 2.2])))
    def forward(a, b): return np.fmod(a, nonzero_divisor(a, b))
    def vjp(g, a, b, needs): return g, -g * trunc(a / b) if needs[1] else None


@primitive
class gcd:
    """y = the greatest common divisor of integers."""
    kind, promote = elementwise, "common"
    samples = cases(lambda rng: (np.array([12, 18, 0]), np.array([8, -12, 5])))
    def infer(a, b): return logical(numeric(a), b)
    def forward(a, b): return np.gcd(a, b)


@primitive
class lcm:
    """y = the least common multiple of integers."""
    kind, promote = elementwise, "common"
    samples = cases(lambda rng: (np.array([12, 18, 0]), np.array([8, -12, 5])))
    def infer(a, b): return logical(numeric(a), b)
    def forward(a, b): return np.lcm(a, b)


@primitive
class signbit:
    """y = whether x carries a minus sign, as −0 does."""
    kind, infer, samples = elementwise, boolean, uniform(-3, 3)
    in_place_form = False
    def forward(x): return np.signbit(x) if x.dtype.kind == "f" else x < 0


@primitive
class nextafter:
    """y = the float after a in the direction of b.   No derivative."""
    kind, infer, promote = elementwise, broadcast, "float"
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(4,))))
    def forward(a, b): return np.nextafter(a, b)


@primitive
class frexp:
    """(m, e) with x = m·2ᵉ, ½ ≤ |m| < 1.   ∂m/∂x = 2⁻ᵉ; e is constant."""
    samples = uniform(0.3, 5)
    def infer(x): return floating(x), Spec(x.shape, np.dtype("int32"))
    def forward(x): return tuple(np.frexp(x))
    def vjp(gs, ys): return gs[0] * 2.0 ** -ys[1].to(gs[0].dtype),


@in_place_form
@composition
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """x·2ⁿ.

    >>> import chainrule as cr
    >>> ldexp(cr.tensor([1.0, 3.0]), cr.tensor([2, -1]))
    tensor([4. , 1.5])
    """
    x = input * 1.0
    return x * 2.0 ** other.to(x.dtype)


@in_place_form
@composition
def reciprocal(input: Tensor) -> Tensor:
    """1/x; of integers in the default floating dtype."""
    return quotient(1.0, input)


@in_place_form
@composition
def frac(input: Tensor) -> Tensor:
    """x without its whole part, with the sign of x.

    >>> import chainrule as cr
    >>> frac(cr.tensor([1.5, -1.25]))
    tensor([ 0.5 , -0.25])
    """
    return input - trunc(input)


@composition
def positive(input: Tensor) -> Tensor:
    """x itself; booleans have no sign."""
    arithmetic(input)
    return input


@composition
def rsub(input: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """b − α·a: the difference of the two in the other order."""
    return other - (input if alpha == 1 else input * alpha)


@in_place_form
@composition
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians, x·π/180."""
    return input * (math.pi / 180)


@in_place_form
@composition
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees, x·180/π."""
    return input * (180 / math.pi)


@composition
def float_power(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """xᵉ in float64.

    >>> import chainrule as cr
    >>> float_power(cr.tensor([2]), -1)
    tensor([0.5], dtype=float64)
    """
    base, power = (v.double() if isinstance(v, Tensor) else float(v) for v in (input, exponent))
    return base**power


@method
def float_power_(input: Tensor, exponent: Tensor | float) -> Tensor:
    """Assign xᵉ to x, which is of float64."""
    if input.dtype != np.float64:
        raise DTypeError(
            "`float_power_` computes in float64", given=input.dtype, instead="Use x.pow_(exponent)."
        )
    return input.assign(float_power(input, exponent))


@in_place_form
@composition
def copysign(input: Tensor, other: Tensor | float) -> Tensor:
    """|a| with the sign of b, of zeros too.   ∂y/∂a = ±1, and 0 where a = 0.

    >>> import chainrule as cr
    >>> copysign(cr.tensor([1.0, -2.0]), cr.tensor([-0.0, 3.0]))
    tensor([-1.,  2.])
    """
    negative = signbit(other) if isinstance(other, Tensor) else math.copysign(1, other) < 0
    size = abs(input if input.dtype.kind == "f" else input.float())
    sign = where(negative, -1.0, 1.0) if isinstance(negative, Tensor) else 1 - 2.0 * negative
    return size * (sign.to(size.dtype) if isinstance(sign, Tensor) else sign)


@in_place_form
@composition
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where x < 0, `values` where x = 0, 1 where x > 0; constant, without a gradient."""
    step = (input.detach() > 0).to(input.dtype)
    return where(input.detach() == 0, values.detach(), step)


@in_place_form
@composition
def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """a + w·(b − a): exactly a for w = 0 and exactly b for w = 1.

    >>> import chainrule as cr
    >>> lerp(cr.tensor([0.0, 10.0]), cr.tensor([1.0, 20.0]), 0.5)
    tensor([ 0.5, 15. ])
    """
    gap = end - input
    if not isinstance(weight, Tensor):
        return input + gap * weight if -0.5 < weight < 0.5 else end - gap * (1 - weight)
    return where(weight.abs() < 0.5, input + weight * gap, end - gap * (1 - weight))


@in_place_form
@composition
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + v·a·b."""
    return input + tensor1 * tensor2 * value


@in_place_form
@composition
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + v·a/b."""
    return input + tensor1 / tensor2 * value


@composition
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of a and b; where one is NaN, the other."""
    return where(other.isnan(), input, where(input.isnan(), other, maximum(input, other)))


@composition
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of a and b; where one is NaN, the other."""
    return where(other.isnan(), input, where(input.isnan(), other, minimum(input, other)))


@in_place_form
@composition
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with numbers in place of NaN and ±∞: by default 0, and the dtype's largest and smallest.

    >>> import chainrule as cr
    >>> nan_to_num(cr.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0)
    tensor([0., 9., 1.])
    """
    if input.dtype.kind != "f":
        return input.clone()
    limits = np.finfo(input.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x: Any = where(input.isnan(), nan or 0.0, input)
    return where(x == math.inf, high, where(x == -math.inf, low, x))
