# Written by tools/stubs.py, from the records.

from typing import Literal

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "addcdiv",
    "addcmul",
    "copysign",
    "deg2rad",
    "div",
    "float_power",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "frexp",
    "gcd",
    "heaviside",
    "lcm",
    "ldexp",
    "lerp",
    "nan_to_num",
    "nextafter",
    "positive",
    "rad2deg",
    "reciprocal",
    "rsub",
    "signbit",
]
Rounding = Literal["floor", "trunc"]

def div(
    input: Tensor | float, other: Tensor | float, *, rounding_mode: Rounding | None = None
) -> Tensor:
    """a / b, or that quotient rounded down ("floor") or towards 0 ("trunc")."""

class _fmod(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a − b·trunc(a / b), with the sign of a.   ∂y/∂a = 1, ∂y/∂b = −trunc(a / b)."""

fmod: _fmod

class _gcd(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = the greatest common divisor of integers."""

gcd: _gcd

class _lcm(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = the least common multiple of integers."""

lcm: _lcm

class _signbit(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = whether x carries a minus sign, as −0 does."""

signbit: _signbit

class _nextafter(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = the float after a in the direction of b.   No derivative."""

nextafter: _nextafter

class _frexp(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor]:
        """(m, e) with x = m·2ᵉ, ½ ≤ |m| < 1.   ∂m/∂x = 2⁻ᵉ; e is constant."""

frexp: _frexp

def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """x·2ⁿ."""

def reciprocal(input: Tensor) -> Tensor:
    """1/x; of integers in the default floating dtype."""

def frac(input: Tensor) -> Tensor:
    """x without its whole part, with the sign of x."""

def positive(input: Tensor) -> Tensor:
    """x itself; booleans have no sign."""

def rsub(input: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """b − α·a: the difference of the two in the other order."""

def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians, x·π/180."""

def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees, x·180/π."""

def float_power(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """xᵉ in float64."""

def float_power_(input: Tensor, exponent: Tensor | float) -> Tensor:
    """Assign xᵉ to x, which is of float64."""

def copysign(input: Tensor, other: Tensor | float) -> Tensor:
    """|a| with the sign of b, of zeros too.   ∂y/∂a = ±1, and 0 where a = 0."""

def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where x < 0, `values` where x = 0, 1 where x > 0; constant, without a gradient."""

def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """a + w·(b − a): exactly a for w = 0 and exactly b for w = 1."""

def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + v·a·b."""

def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + v·a/b."""

def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of a and b; where one is NaN, the other."""

def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of a and b; where one is NaN, the other."""

def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with numbers in place of NaN and ±∞: by default 0, and the dtype's largest and smallest."""
