"""Transforms: functions of random numbers that know their inverse and the change of volume.

For y = f(x) of x with the density p, the density of y is p(x)/|det ∂f/∂x|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule import linalg
from chainrule.distributions import constraints
from chainrule.distributions.joined import CatTransform, StackTransform
from chainrule.distributions.transform import (
    ComposeTransform,
    Increasing,
    IndependentTransform,
    Transform,
    identity_transform,
)
from chainrule.distributions.utils import limits_of, sum_rightmost
from chainrule.errors import ShapeError
from chainrule.ops.compare import clamp
from chainrule.ops.contract import matmul
from chainrule.ops.creation import arange, eye, zeros
from chainrule.ops.diagonals import tril_indices
from chainrule.ops.elementwise import abs, exp, expm1, log, log1p, sign, sqrt, tanh
from chainrule.ops.fused import softmax
from chainrule.ops.scan import cumprod
from chainrule.ops.shape import pad
from chainrule.ops.special import sigmoid, softplus
from chainrule.ops.transcendental import atanh
from chainrule.primitive import Shape
from chainrule.tensor import Tensor

# -- of numbers ------------------------------------------------------------------------------------


class ExpTransform(Increasing):
    """y = eˣ.

    >>> import chainrule as cr
    >>> ExpTransform()(cr.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return exp(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = xᵖ of positive numbers, p the exponent."""

    bijective = True
    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        p = self.exponent
        return sign(p) if isinstance(p, Tensor) else math.copysign(1, p)

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return log(abs(self.exponent * y / x))


def inner_sigmoid(x: Tensor) -> Tensor:
    """sigmoid(x), inside (0, 1) where it rounds to the ends."""
    eps, tiny = limits_of(x)
    return clamp(sigmoid(x), tiny, 1 - eps)


class SigmoidTransform(Increasing):
    """y = 1/(1 + e⁻ˣ)."""

    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        return inner_sigmoid(x)

    def _inverse(self, y: Tensor) -> Tensor:
        eps, tiny = limits_of(y)
        inner = clamp(y, tiny, 1 - eps)
        return log(inner) - log1p(-inner)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class TanhTransform(Increasing):
    """y = tanh x. Use `cache_size=1`: the inverse loses digits near ±1.

    >>> import chainrule as cr
    >>> x = cr.tensor(20.0)
    >>> squash = TanhTransform(cache_size=1)
    >>> squash.inv(squash(x))
    tensor(20.)
    """

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return tanh(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * (math.log(2) - x - softplus(-2 * x))


class SoftplusTransform(Increasing):
    """y = ln(1 + eˣ)."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return log(-expm1(-y)) + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class AffineTransform(Transform):
    """y = loc + scale·x, with the last `event_dim` dimensions as one element."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        if event_dim:
            self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        scale = self.scale
        return sign(scale) if isinstance(scale, Tensor) else (scale > 0) - (scale < 0)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        scale = self.scale
        slope = log(abs(scale)) if isinstance(scale, Tensor) else math.log(math.fabs(scale))
        return sum_rightmost(zeros(x.shape, dtype=x.dtype) + slope, self.event_dim)


class AbsTransform(Transform):
    """y = |x|, which has no inverse."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return abs(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class CumulativeDistributionTransform(Increasing):
    """y = the part of a distribution up to x: of samples of it, uniform numbers."""

    codomain = constraints.unit_interval

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution
        self.domain = distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)


# -- of vectors and matrices -----------------------------------------------------------------------


class SoftmaxTransform(Transform):
    """y = softmax x, whose inverse is not unique: ln y."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return softmax(x, -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return log(y)


class StickBreakingTransform(Transform):
    """n numbers to n + 1 probabilities: yᵢ is the part sigmoid(xᵢ − ln(n + 1 − i)) of what is left.

    >>> import chainrule as cr
    >>> StickBreakingTransform()(cr.zeros(3))
    tensor([0.25, 0.25, 0.25, 0.25])
    """

    bijective = True
    domain, codomain = constraints.real_vector, constraints.simplex

    def _offset(self, n: int, like: Tensor) -> Tensor:
        return log(arange(n, 0, -1, dtype=like.dtype))

    def _call(self, x: Tensor) -> Tensor:
        part = inner_sigmoid(x - self._offset(x.shape[-1], x))
        left = cumprod(1 - part, -1)
        return pad(part, (0, 1), 1.0) * pad(left, (1, 0), 1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        first = y[..., :-1]
        left = clamp(1 - first.cumsum(-1), limits_of(y)[1])
        return log(first) - log(left) + self._offset(first.shape[-1], y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        z = x - self._offset(x.shape[-1], x)
        return (-z - softplus(-z) + log(y[..., :-1])).sum(-1)

    def forward_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] - 1)


class LowerCholeskyTransform(Transform):
    """Matrices to lower triangular ones with a positive diagonal."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + exp(x.diagonal(dim1=-2, dim2=-1)).diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + log(y.diagonal(dim1=-2, dim2=-1)).diag_embed()


class PositiveDefiniteTransform(Transform):
    """Matrices to positive definite ones: L·Lᵀ of the matrix L of `LowerCholeskyTransform`."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return matmul(factor, factor.mT)

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """D·(D − 1)/2 numbers to a factor of correlations: lower triangular, with rows of length 1.

    zᵢⱼ = tanh xᵢⱼ is the part of what is left of the length of row i:
    yᵢⱼ = zᵢⱼ·√Πₖ(1 − zᵢₖ²), k < j; the diagonal takes the rest (Lewandowski et al., 2009).

    >>> import chainrule as cr
    >>> CorrCholeskyTransform()(cr.zeros(1))
    tensor([[1., 0.],
            [0., 1.]])
    """

    bijective = True
    domain, codomain = constraints.real_vector, constraints.corr_cholesky

    def _call(self, x: Tensor) -> Tensor:
        eps, _ = limits_of(x)
        n = self.forward_shape(x.shape)[-1]
        z = zeros(*x.shape[:-1], n, n, dtype=x.dtype)
        z[..., *tril_indices(n, n, -1)] = tanh(x).clamp(eps - 1, 1 - eps)
        left = cumprod(sqrt(1 - z * z), -1)
        return (z + eye(n, dtype=x.dtype)) * pad(left[..., :-1], (1, 0), 1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        n = y.shape[-1]
        left = pad((1 - (y * y).cumsum(-1))[..., :-1], (1, 0), 1.0)
        at = (..., *tril_indices(n, n, -1))
        return atanh(y[at] / sqrt(left[at]))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        n = y.shape[-1]
        left = (1 - (y * y).cumsum(-1))[..., *tril_indices(n, n, -2)]
        return 0.5 * log(left).sum(-1) - 2 * (x + softplus(-2 * x) - math.log(2)).sum(-1)

    def forward_shape(self, shape: Shape) -> Shape:
        n = round(0.5 + math.sqrt(0.25 + 2 * shape[-1]))
        if n * (n - 1) // 2 != shape[-1]:
            raise ShapeError("D·(D − 1)/2 numbers", given=shape[-1])
        return (*shape[:-1], n, n)

    def inverse_shape(self, shape: Shape) -> Shape:
        n = shape[-1]
        return (*shape[:-2], n * (n - 1) // 2)


class ReshapeTransform(Transform):
    """The last dimensions in another shape."""

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0):
        super().__init__(cache_size)
        if math.prod(in_shape) != math.prod(out_shape):
            raise ShapeError("shapes of unequal sizes", given=f"{in_shape} and {out_shape}")
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        self.domain = constraints.independent(constraints.real, len(in_shape))
        self.codomain = constraints.independent(constraints.real, len(out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return zeros(x.shape[: x.ndim - len(self.in_shape)], dtype=x.dtype)

    def forward_shape(self, shape: Shape) -> Shape:
        return (*shape[: len(shape) - len(self.in_shape)], *self.out_shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return (*shape[: len(shape) - len(self.out_shape)], *self.in_shape)


__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]
