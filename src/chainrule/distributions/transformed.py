"""Distributions of the samples of others, passed through transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.multivariate import Independent
from chainrule.distributions.transforms import (
    ComposeTransform,
    Transform,
)
from chainrule.distributions.utils import sum_rightmost
from chainrule.tensor import Tensor


class TransformedDistribution(Distribution):
    """Samples of a distribution, passed through transforms one after the other.

    >>> import chainrule as cr
    >>> from chainrule.distributions import ExpTransform, Normal
    >>> TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()]).log_prob(cr.tensor(1.0))
    tensor(-0.9189)
    """

    def __init__(
        self,
        base_distribution: Any,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        whole = ComposeTransform(self.transforms)
        base_shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        shape = whole.forward_shape(base_shape)
        widened = whole.inverse_shape(shape)
        base_dims, needed = len(base_distribution.event_shape), whole.domain.event_dim
        if widened != base_shape:
            base_distribution = base_distribution.expand(widened[: len(widened) - base_dims])
        if needed > base_dims:
            base_distribution = Independent(base_distribution, needed - base_dims)
        self.base_dist = base_distribution
        dims = whole.codomain.event_dim + max(base_dims - needed, 0)
        cut = len(shape) - dims
        super().__init__(shape[:cut], shape[cut:], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        shape = ComposeTransform(self.transforms).inverse_shape(new._extended_shape())
        dims = len(self.base_dist.event_shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - dims])
        new.transforms = self.transforms
        return new

    @property
    def has_rsample(self) -> bool:
        return bool(self.base_dist.has_rsample)

    @property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self._event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._through(self.base_dist.rsample(sample_shape))

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self._through(self.base_dist.sample(sample_shape))

    def _through(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def _back(self, y: Tensor) -> tuple[Tensor, Any]:
        """x of the base, and whether y rises (+1) or falls (−1) with it."""
        sign: Any = 1
        for transform in reversed(self.transforms):
            sign = sign * transform.sign
            y = transform.inv(y)
        return y, sign

    def _log_prob(self, value: Tensor) -> Tensor:
        dims, y = len(self._event_shape), value
        volume: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            own = transform.log_abs_det_jacobian(x, y)
            volume = sum_rightmost(own, dims - transform.domain.event_dim) + volume
            y = x
        log_p = self.base_dist.log_prob(y)
        return sum_rightmost(log_p, dims - len(self.base_dist.event_shape)) - volume

    def _cdf(self, value: Tensor) -> Tensor:
        x, sign = self._back(value)
        return sign * (self.base_dist.cdf(x) - 0.5) + 0.5

    def _icdf(self, value: Tensor) -> Tensor:
        sign = ComposeTransform(self.transforms).sign
        return self._through(self.base_dist.icdf(sign * (value - 0.5) + 0.5))


__all__ = ["TransformedDistribution"]
