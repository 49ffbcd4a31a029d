"""Activations and the error function, computed so that they neither overflow nor cancel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.kinds import Elementwise, elementwise
from chainrule.ops.compare import where
from chainrule.ops.elementwise import exp, tanh
from chainrule.ops.rules import numeric
from chainrule.primitive import Array, SpecLike, floating, primitive, same_spec
from chainrule.samples import cases, uniform
from chainrule.tensor import Tensor

__all__ = ["erf", "normal_cdf", "relu", "sigmoid"]

TWO_ALIKE = cases(lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))))


@primitive
class relu:
    """y = max(x, 0); NaN stays.   ∂y/∂x = 1 where x > 0, else 0."""
    kind, infer, samples = elementwise, numeric, uniform(0.1, 3)
    idempotent = True
    def forward(x): return np.maximum(x, 0)
    def steps(m, x): return m.relu(x)
    def vjp(g, y): return gate(g, y),


def spec_of_gradient(g: SpecLike, x: SpecLike) -> SpecLike:
    """The spec rule of g·f′(x), where g is the gradient of f(x)."""
    if g.shape != x.shape or g.dtype != x.dtype:
        raise ShapeError("a gradient has the spec of what it belongs to", given=f"{g} and {x}")
    return g


@primitive
class gate:
    """y = g·[x > 0]: the gradient of relu.   ∂y/∂g = 1 where x > 0, else 0."""
    kind, infer, samples = Elementwise(alike=True), spec_of_gradient, TWO_ALIKE
    def forward(g, x): return np.where(x > 0, g, g.dtype.type(0))
    def steps(m, g, x): return m.gate(g, x)
    def vjp(u, x): return gate(u, x), None


@primitive
class sigmoid:
    """y = 1 / (1 + e⁻ˣ).   ∂y/∂x = y·(1 − y)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x):
        decay = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, decay).astype(x.dtype, copy=False) / (1 + decay)
    def steps(m, x): return m.sigmoid(x)
    def vjp(g, y): return g * (y * (1 - y)),


@primitive
class softplus:
    """y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|).   ∂y/∂x = sigmoid(x)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    def steps(m, x): return m.softplus(x)
    def vjp(g, x): return g * sigmoid(x),


@primitive
class silu:
    """y = x·sigmoid(x), also called swish (Ramachandran et al., 2017).   ∂y/∂x = σ + y·(1 − σ)."""
    kind, infer, samples = elementwise, floating, uniform(-3, 3)
    def forward(x): return x * sigmoid.forward(x)
    def steps(m, x): return m.silu(x)
    def vjp(g, x):
        s = sigmoid(x)
        return g * (s + x * s * (1 - s)),


@primitive
class leaky_relu:
    """y = x where x > 0, else s·x with slope s (Maas et al., 2013).   ∂y/∂x = 1, or s."""
    kind, infer = elementwise, floating
    samples = cases(lambda rng: (rng.uniform(0.1, 3, (3, 4)) * [1, -1, 1, -1], {"slope": 0.2}))
    def arguments(x: Tensor, slope: float = 0.01) -> Any: return (x,), {"slope": slope}
    def forward(x, *, slope): return np.where(x > 0, x, x * x.dtype.type(slope))
    def vjp(g, x, slope): return where(x > 0, g, g * slope),


@primitive
class elu:
    """y = x where x > 0, else α·(eˣ − 1) (Clevert et al., 2015).   ∂y/∂x = 1, or y + α."""
    kind, infer = elementwise, floating
    samples = cases(lambda rng: (rng.uniform(0.1, 3, (3, 4)) * [1, -1, 1, -1], {"alpha": 0.5}))
    def arguments(x: Tensor, alpha: float = 1.0) -> Any: return (x,), {"alpha": alpha}
    def forward(x, *, alpha):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * x.dtype.type(alpha))
    def vjp(g, x, alpha): return where(x > 0, g, g * exp(x.clamp(max=0.0)) * alpha),


@primitive
class erf:
    """y = 2/√π · ∫₀ˣ e^−t² dt.   ∂y/∂x = 2/√π · e^−x²."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return erf_reference(x).astype(x.dtype)
    def steps(m, x): return m.erf(x)
    def vjp(g, x): return g * (exp(-(x * x)) * (2 / math.sqrt(math.pi))),


@primitive
class gelu:
    """y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel, 2016).

    ∂y/∂x = Φ(x) + x·φ(x).
    """
    kind, infer, samples = elementwise, floating, uniform(-3, 3)
    def forward(x): return (x * normal_cdf_reference(x)).astype(x.dtype)
    def steps(m, x): return m.gelu(x)
    def vjp(g, x): return gelu_gradient(g, x),


@primitive
class gelu_gradient:
    """y = g·(Φ(x) + x·φ(x)): the gradient of gelu.   ∂y/∂x = g·φ(x)·(2 − x²)."""
    kind, infer, samples = Elementwise(alike=True), spec_of_gradient, TWO_ALIKE
    def forward(g, x):
        density = gaussian(x, 0.5) / math.sqrt(2 * math.pi)
        return (g * (normal_cdf_reference(x) + x * density)).astype(x.dtype)
    def steps(m, g, x): return m.gelu_gradient(g, x)
    def vjp(u, g, x): return gelu_gradient(u, x), u * g * (normal_pdf(x) * (2 - x * x))


@primitive
class gelu_tanh:
    """y = ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), an approximation of gelu."""
    kind, infer, samples = elementwise, floating, uniform(-3, 3)
    def forward(x):
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return (0.5 * x * (1 + np.tanh(inner))).astype(x.dtype, copy=False)
    def vjp(g, x):
        c = math.sqrt(2 / math.pi)
        t = tanh((x + x * x * x * 0.044715) * c)
        return g * ((1 + t) * 0.5 + x * 0.5 * (1 - t * t) * (1 + x * x * (3 * 0.044715)) * c),


@primitive
class normal_cdf:
    """y = Φ(x) = ½·(1 + erf(x/√2)).   ∂y/∂x = φ(x)."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    in_place_form = False
    def forward(x): return normal_cdf_reference(x).astype(x.dtype)
    def steps(m, x): return m.normal_cdf(x)
    def vjp(g, x): return g * normal_pdf(x),


@primitive
class normal_pdf:
    """y = φ(x) = e^(−x²/2) / √(2π).   ∂y/∂x = −x·y."""
    kind, infer, samples, promote = elementwise, same_spec, uniform(-3, 3), "float"
    def forward(x): return (gaussian(x, 0.5) / math.sqrt(2 * math.pi)).astype(x.dtype)
    def steps(m, x): return np.exp(x * -0.5 * x) / math.sqrt(2 * math.pi)
    def vjp(g, x, y): return -g * x * y,


# Rational approximations of erf and erfc in float64, after S. L. Moshier, Cephes (1992).
_ERF = (
    (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3,
     7.00332514112805075473e3, 5.55923013010394962768e4),
    (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
     2.26290000613890934246e4, 4.92673942608635921086e4),
)
_ERFC_NEAR = (
    (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
     4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
     9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2),
    (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
     9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
     1.65666309194161350182e3, 5.57535340817727675546e2),
)
_ERFC_FAR = (
    (5.64189583547755073984e-1, 1.27536670759978104416e0, 5.01905042251180477414e0,
     6.16021097993053585195e0, 7.40974269950448939160e0, 2.97886665372100240670e0),
    (1.0, 2.26052863220117276590e0, 9.39603524938001434673e0, 1.20489539808096656605e1,
     1.70814450747565897222e1, 9.60896809063285878198e0, 3.36907645100081516050e0),
)


def gaussian(x: Array, scale: float) -> Array:
    """exp(−scale·x²) in float64, of x² in two parts: its rounding would be magnified by the power.

    x = h + r with h a multiple of 1/128 has h² exactly, and x² − h² = (x + h)·r.
    """
    x = np.clip(np.asarray(x, np.float64), -64, 64)
    h = np.round(x * 128) / 128
    return np.exp(-scale * h * h) * np.exp(-scale * (x + h) * (x - h))


def erf_reference(x: Array) -> Array:
    """erf(x) in float64: by its own rational function for |x| ≤ 1, where 1 − erfc would cancel."""
    x = np.asarray(x, np.float64)
    small = np.clip(x, -1, 1)
    near = small * np.polyval(_ERF[0], small**2) / np.polyval(_ERF[1], small**2)
    return np.where(np.abs(x) <= 1, near, 1 - erfc_reference(x, gaussian(x, 1.0)))


def erfc_reference(x: Array, decay: Array) -> Array:
    """1 − erf(x) in float64, given e^−x²: rational functions for |x| ≤ 1, ≤ 8 and beyond."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    small = np.where(size <= 1, x, 0)
    center = 1 - small * np.polyval(_ERF[0], small**2) / np.polyval(_ERF[1], small**2)
    tail = decay * erfc_tail(size)
    result = np.where(size <= 1, center, np.where(x > 0, tail, 2 - tail))
    return np.where(np.isnan(x), x, result)


def erfc_tail(x: Array) -> Array:
    """e^x²·erfc(x) in float64 for x ≥ 1."""
    near, far = np.clip(x, 1, 8), np.clip(x, 8, 1e40)  # beyond, powers would overflow
    tail_near = np.polyval(_ERFC_NEAR[0], near) / np.polyval(_ERFC_NEAR[1], near)
    tail_far = np.polyval(_ERFC_FAR[0], far) / np.polyval(_ERFC_FAR[1], far)
    return np.where(x <= 8, tail_near, tail_far)


def normal_cdf_reference(x: Array) -> Array:
    """Φ(x) = ½·erfc(−x/√2) in float64, accurate in the lower tail too, where 1 − erf cancels."""
    return 0.5 * erfc_reference(np.asarray(x, np.float64) * -math.sqrt(0.5), gaussian(x, 0.5))
