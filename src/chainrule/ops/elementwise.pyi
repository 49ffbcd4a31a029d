# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "abs",
    "add",
    "arctan",
    "ceil",
    "clone",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pow",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "trunc",
]

class _add(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """y = a + b; called, a + α·b.   ∂y/∂a = 1, ∂y/∂b = 1."""

add: _add

class _sub(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float, *, alpha: Any = 1) -> Tensor:
        """y = a − b; called, a − α·b.   ∂y/∂a = 1, ∂y/∂b = −1."""

sub: _sub

class _mul(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a·b.   ∂y/∂a = b, ∂y/∂b = a."""

mul: _mul

class _div(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a / b; integers divide to the default floating dtype.   ∂y/∂a = 1/b, ∂y/∂b = −y/b."""

div: _div

class _rescale(Primitive):
    def __call__(self, input: Tensor | float, *, divisor: Any, dtype: Any) -> Tensor:
        """y = x / divisor, as floats of `dtype`: the pixels of images.   ∂y/∂x = 1/divisor."""

rescale: _rescale

class _power(Primitive):
    def __call__(self, input: Tensor | float, *, exponent: Any) -> Tensor:
        """y = xⁿ for a number n.   ∂y/∂x = n·xⁿ⁻¹."""

power: _power

class _power_of_tensor(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = aᵇ.   ∂y/∂a = b·aᵇ⁻¹ (0 where b = 0), ∂y/∂b = y·ln a (0 where a = 0 and b ≥ 0)."""

power_of_tensor: _power_of_tensor

def pow(input: Any, exponent: Any) -> Tensor:
    """xᵉ, of tensors or a tensor and a number."""

class _floor_divide(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = ⌊a / b⌋. Integer division by zero raises ArgumentError.   Piecewise constant."""

floor_divide: _floor_divide

class _remainder(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a − b·⌊a / b⌋, with the sign of b.   ∂y/∂a = 1, ∂y/∂b = −⌊a / b⌋."""

remainder: _remainder

class _maximum(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = max(a, b); NaN wins.   The gradient goes to the larger, half to each where equal."""

maximum: _maximum

class _minimum(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = min(a, b); NaN wins.   The gradient goes to the smaller, half to each where equal."""

minimum: _minimum

def of_larger(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The part of a's in the gradient of max(a, b): chosen, not multiplied by 0, as g may be ∞."""

class _clone(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x, in memory of its own.   ∂y/∂x = 1."""

clone: _clone

class _neg(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = −x.   ∂y/∂x = −1."""

neg: _neg

class _abs(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = |x|.   ∂y/∂x = sign x."""

abs: _abs

class _sign(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = −1, 0 or 1, with the sign of x.   Piecewise constant."""

sign: _sign

class _square(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x².   ∂y/∂x = 2x."""

square: _square

class _floor(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ⌊x⌋.   Piecewise constant."""

floor: _floor

class _ceil(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ⌈x⌉.   Piecewise constant."""

ceil: _ceil

class _round_to_whole(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = the nearest integer, ties to even.   Piecewise constant."""

round_to_whole: _round_to_whole

def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, ties to even; tens, hundreds, ... if negative."""

class _trunc(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x without its fraction.   Piecewise constant."""

trunc: _trunc

class _exp(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = eˣ.   ∂y/∂x = y."""

exp: _exp

class _expm1(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = eˣ − 1, accurate near 0.   ∂y/∂x = y + 1."""

expm1: _expm1

class _log(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ln x.   ∂y/∂x = 1/x."""

log: _log

class _log1p(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ln(1 + x), accurate near 0.   ∂y/∂x = 1/(1 + x)."""

log1p: _log1p

class _sqrt(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = √x.   ∂y/∂x = 1/(2y)."""

sqrt: _sqrt

class _rsqrt(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = 1/√x.   ∂y/∂x = −y³/2."""

rsqrt: _rsqrt

class _sin(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = sin x.   ∂y/∂x = cos x."""

sin: _sin

class _cos(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = cos x.   ∂y/∂x = −sin x."""

cos: _cos

class _tan(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = tan x.   ∂y/∂x = 1 + y²."""

tan: _tan

class _arctan(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = arctan x.   ∂y/∂x = 1/(1 + x²)."""

arctan: _arctan

class _sinh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = sinh x.   ∂y/∂x = cosh x."""

sinh: _sinh

class _cosh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = cosh x.   ∂y/∂x = sinh x."""

cosh: _cosh

class _tanh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = tanh x.   ∂y/∂x = 1 − y²."""

tanh: _tanh
