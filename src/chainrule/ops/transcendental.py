"""Powers of 2 and 10, inverse trigonometric and hyperbolic functions, sums of exponentials."""

from __future__ import annotations

import math

import numpy as np

from chainrule.gateway import aligned
from chainrule.kinds import elementwise
from chainrule.ops.compare import clamp, where
from chainrule.ops.elementwise import log, log1p, sin
from chainrule.ops.rules import broadcast
from chainrule.ops.special import sigmoid
from chainrule.primitive import composition, in_place_form, primitive, same_spec
from chainrule.samples import pairs, uniform
from chainrule.tensor import Tensor

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan2",
    "atanh",
    "entr",
    "exp2",
    "hypot",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logit",
    "sinc",
    "xlog1py",
    "xlogy",
]

_LN2, _LN10 = math.log(2), math.log(10)


@primitive
class exp2:
    """y = 2ˣ, exact for whole x.   ∂y/∂x = y·ln 2."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.exp2(x)
    def vjp(g, y): return g * y * _LN2,


@primitive
class log2:
    """y = log₂ x, exact for powers of 2.   ∂y/∂x = 1/(x·ln 2)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return np.log2(x)
    def vjp(g, x): return g / (x * _LN2),


@primitive
class log10:
    """y = log₁₀ x, exact for powers of 10.   ∂y/∂x = 1/(x·ln 10)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(0.5, 3), "float"
    def forward(x): return np.log10(x)
    def vjp(g, x): return g / (x * _LN10),


@primitive
class asin:
    """y = arcsin x.   ∂y/∂x = 1/√(1 − x²)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-0.9, 0.9), "float"
    def forward(x): return np.arcsin(x)
    def vjp(g, x): return g / (1 - x * x).sqrt(),


@primitive
class acos:
    """y = arccos x.   ∂y/∂x = −1/√(1 − x²)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-0.9, 0.9), "float"
    def forward(x): return np.arccos(x)
    def vjp(g, x): return -g / (1 - x * x).sqrt(),


@primitive
class asinh:
    """y = arsinh x = ln(x + √(x² + 1)).   ∂y/∂x = 1/√(x² + 1)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.arcsinh(x)
    def vjp(g, x): return g / (x * x + 1).sqrt(),


@primitive
class acosh:
    """y = arcosh x = ln(x + √(x² − 1)).   ∂y/∂x = 1/√(x² − 1)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(1.2, 3), "float"
    def forward(x): return np.arccosh(x)
    def vjp(g, x): return g / (x * x - 1).sqrt(),


@primitive
class atanh:
    """y = artanh x = ½·ln((1 + x)/(1 − x)).   ∂y/∂x = 1/(1 − x²)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-0.9, 0.9), "float"
    def forward(x): return np.arctanh(x)
    def vjp(g, x): return g / (1 - x * x),


@primitive
class atan2:
    """y = the angle of the point (b, a), in (−π, π].   ∂y/∂a = b/(a² + b²), ∂y/∂b = −a/(a² + b²).

    At the origin, where there is no angle, the gradient is 0.
    """
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "float"
    def forward(a, b): return np.arctan2(a, b)
    def vjp(g, a, b):
        square = a * a + b * b
        scaled = where(square == 0, 0.0, g / where(square == 0, 1.0, square))
        return scaled * b, -scaled * a


@primitive
class hypot:
    """y = √(a² + b²), without overflow on the way.   ∂y/∂a = a/y, ∂y/∂b = b/y."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "float"
    def forward(a, b): return np.hypot(a, b)
    def vjp(g, a, b, y): return g * (a / y), g * (b / y)


@primitive
class logaddexp:
    """y = ln(eᵃ + eᵇ), without overflow on the way.   ∂y/∂a = σ(a − b), ∂y/∂b = σ(b − a)."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "float"
    in_place_form = False
    def forward(a, b): return np.logaddexp(a, b)
    def vjp(g, a, b): return g * sigmoid(a - b), g * sigmoid(b - a)


@primitive
class logaddexp2:
    """y = log₂(2ᵃ + 2ᵇ).   ∂y/∂a = σ((a − b)·ln 2), ∂y/∂b = σ((b − a)·ln 2)."""
    kind, infer, samples, promote = elementwise, broadcast, pairs(), "float"
    in_place_form = False
    def forward(a, b): return np.logaddexp2(a, b)
    def vjp(g, a, b): return g * sigmoid((a - b) * _LN2), g * sigmoid((b - a) * _LN2)


# -- compositions ----------------------------------------------------------------------------------


@in_place_form
@composition
def xlogy(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x·ln y, and 0 where x = 0 and y is not NaN.

    >>> import chainrule as cr
    >>> xlogy(cr.tensor([0.0, 2.0]), cr.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    x, y = aligned("xlogy", input, other)
    forced = (x == 0) & ((y <= 0) | (y == math.inf))
    return x * log(where(forced, 1, y))


@composition
def entr(input: Tensor) -> Tensor:
    """−x·ln x, the part of an entropy; 0 at 0, −∞ below.

    >>> import chainrule as cr
    >>> entr(cr.tensor([0.5, -1.0]))
    tensor([0.3466,   -inf])
    """
    x = input * 1.0
    return where(x < 0, -math.inf, -xlogy(x, x.clamp(min=0.0)))


@composition
def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x·ln(1 + y), and 0 where x = 0 and y is not NaN."""
    x, y = aligned("xlog1py", input, other)
    forced = (x == 0) & ((y <= -1) | (y == math.inf))
    return x * log1p(where(forced, 0, y))


@in_place_form
@composition
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(x/(1 − x)), the inverse of sigmoid; with `eps`, of x limited to [eps, 1 − eps].

    >>> import chainrule as cr
    >>> logit(cr.tensor(0.5))
    tensor(0.)
    """
    x = input * 1.0 if eps is None else clamp(input * 1.0, eps, 1 - eps)
    return log(x / (1 - x))


@in_place_form
@composition
def sinc(input: Tensor) -> Tensor:
    """sin(πx)/(πx), and 1 at 0.

    >>> import chainrule as cr
    >>> sinc(cr.tensor([0.0, 0.5]))
    tensor([1.    , 0.6366])
    """
    x = input * math.pi
    # Near 0 by its series, so that the derivatives there are those of 1 − x²/6.
    small = x.abs() < 1e-4 if x.dtype == np.float64 else x.abs() < 1e-2
    safe = where(small, 1.0, x)
    return where(small, 1 - x * x / 6, sin(safe) / safe)
