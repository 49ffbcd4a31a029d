"""The modified Bessel functions of the first kind of orders 0 and 1.

`Iₙ(x) = Σₖ (x/2)²ᵏ⁺ⁿ / (k!·(k + n)!)` grows as eˣ/√(2πx); `i0e` and `i1e` are without that growth.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.kinds import elementwise
from chainrule.ops.compare import where
from chainrule.ops.elementwise import sign
from chainrule.primitive import Array, primitive, same_spec
from chainrule.samples import uniform

__all__ = ["i0", "i0e", "i1", "i1e"]

_FAR = 20.0


def scaled_reference(x: Array, order: int) -> Array:
    """e^−|x|·Iₙ(x) in float64.

    By the series up to |x| = 20, whose terms are all positive; beyond by the asymptotic one
    (Abramowitz & Stegun, 1964, 9.7.1), whose smallest term is below e⁻⁴⁰ there.
    """
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    near, far = np.minimum(size, _FAR), np.maximum(size, _FAR)
    term = total = (near / 2) ** order
    for k in range(1, 60):
        term = term * (near / 2) ** 2 / (k * (k + order))
        total = total + term
    step = tail = np.ones_like(far)
    for k in range(1, 30):
        step = step * ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k * far)
        tail = tail + step
    y = np.where(size <= _FAR, np.exp(-near) * total, tail / np.sqrt(2 * math.pi * far))
    y = np.where(np.isnan(x), x, y)
    return np.copysign(y, x) if order else y


@primitive
class i0:
    """y = I₀(x).   ∂y/∂x = I₁(x)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x):
        size = np.abs(np.asarray(x, np.float64))
        return (np.exp(size) * scaled_reference(x, 0)).astype(x.dtype)
    def vjp(g, x): return g * i1(x),


@primitive
class i0e:
    """y = e^−|x|·I₀(x).   ∂y/∂x = e^−|x|·I₁(x) − sign x·y."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return scaled_reference(x, 0).astype(x.dtype)
    def vjp(g, x, y): return g * (i1e(x) - sign(x) * y),


@primitive
class i1:
    """y = I₁(x).   ∂y/∂x = I₀(x) − y/x, and ½ at 0."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x):
        size = np.abs(np.asarray(x, np.float64))
        return (np.exp(size) * scaled_reference(x, 1)).astype(x.dtype)
    def vjp(g, x, y): return g * where(x == 0, 0.5, i0(x) - y / where(x == 0, 1.0, x)),


@primitive
class i1e:
    """y = e^−|x|·I₁(x).   ∂y/∂x = e^−|x|·I₀(x) − y·(sign x + 1/x), and ½ at 0."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return scaled_reference(x, 1).astype(x.dtype)
    def vjp(g, x, y):
        safe = where(x == 0, 1.0, x)
        return g * where(x == 0, 0.5, i0e(x) - y * (sign(x) + 1 / safe)),
