"""What transforms are, their inverses, and several of them after each other or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.utils import sum_rightmost
from chainrule.errors import ArgumentError, NotDefinedError
from chainrule.ops.creation import zeros
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


class Transform:
    """The base class: y = f(x), from one set to another.

    A subclass defines `_call`, and where f has an inverse `_inverse` and `log_abs_det_jacobian`.

    domain, codomain: the sets of x and y, whose dimensions belong together. bijective: whether f
    has an inverse. sign: +1 or −1 if f rises or falls. With `cache_size=1`, the inverse of the last
    y returns its x, without rounding.
    """

    bijective = False
    domain: constraints.Constraint = constraints.real
    codomain: constraints.Constraint = constraints.real

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ArgumentError("cache_size is 0 or 1", given=cache_size)
        self._cache_size = cache_size
        self._last: tuple[Any, Any] = (None, None)

    @property
    def event_dim(self) -> int:
        """The number of dimensions of x that belong together, if it is that of y, too."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ArgumentError("x and y have other dimensions: use domain.event_dim")

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    @property
    def sign(self) -> Any:
        """+1 where f rises, −1 where it falls."""
        raise NotDefinedError(f"{type(self).__name__} neither rises nor falls")

    def __call__(self, x: Tensor) -> Tensor:
        if self._last[0] is x:
            return self._last[1]
        return self._kept(x, self._call(x))[1]

    def _invert(self, y: Tensor) -> Tensor:
        if self._last[1] is y:
            return self._last[0]
        return self._kept(self._inverse(y), y)[0]

    def _kept(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if self._cache_size:
            self._last = x, y
        return x, y

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotDefinedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """ln |det ∂y/∂x|, of each element of the domain."""
        raise NotDefinedError(f"{type(self).__name__} has no change of volume")

    def is_same(self, other: Transform) -> bool:
        """Whether another transform is the same function: of the same class and parameters."""
        mine, theirs = self._parameters(), other._parameters()
        return type(self) is type(other) and all(_equal(mine[k], theirs[k]) for k in mine)

    def _parameters(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    def forward_shape(self, shape: Shape) -> Shape:
        """The shape of y, given that of x."""
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        """The shape of x, given that of y."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Transform) and isinstance(b, Transform):
        return a.is_same(b)
    same = a is b or a == b
    return bool(same.all()) if isinstance(same, Tensor) else bool(same)


class Increasing(Transform):
    """The base class of transforms of single numbers that rise."""

    bijective = True

    @property
    def sign(self) -> Any:
        return 1


class _Inverse(Transform):
    """x = f⁻¹(y)."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._forward = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.bijective = transform.bijective

    @property
    def inv(self) -> Transform:
        return self._forward

    @property
    def sign(self) -> Any:
        return self._forward.sign

    def __call__(self, x: Tensor) -> Tensor:
        return self._forward._invert(x)

    def _invert(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._forward.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Shape) -> Shape:
        return self._forward.inverse_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self._forward.forward_shape(shape)


class ComposeTransform(Transform):
    """Transforms after each other, the first one first.

    >>> import chainrule as cr
    >>> from chainrule.distributions.transforms import AffineTransform, ExpTransform
    >>> ComposeTransform([AffineTransform(0.0, 2.0), ExpTransform()])(cr.tensor(0.5))
    tensor(2.7183)
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(part.bijective for part in self.parts)
        if self.parts:
            self.domain = _with_dims(self.parts[0].domain, self._dims_before())
            self.codomain = _with_dims(self.parts[-1].codomain, self._dims_after())

    def _dims_before(self) -> int:
        dims = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            dims += part.domain.event_dim - part.codomain.event_dim
            dims = max(dims, part.domain.event_dim)
        return dims

    def _dims_after(self) -> int:
        dims = self.parts[0].domain.event_dim
        for part in self.parts:
            dims += part.codomain.event_dim - part.domain.event_dim
            dims = max(dims, part.codomain.event_dim)
        return dims

    @property
    def sign(self) -> Any:
        product: Any = 1
        for part in self.parts:
            product = product * part.sign
        return product

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        dims = self.domain.event_dim
        total = zeros(x.shape[: x.ndim - dims], dtype=x.dtype)
        for part in self.parts:
            z = part(x)
            own = part.log_abs_det_jacobian(x, z)
            total = total + sum_rightmost(own, dims - part.domain.event_dim)
            dims += part.codomain.event_dim - part.domain.event_dim
            x = z
        return total

    def forward_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        return f"ComposeTransform({', '.join(map(str, self.parts))})"


def _with_dims(constraint: constraints.Constraint, dims: int) -> constraints.Constraint:
    """The set with so many dimensions as one element."""
    more = dims - constraint.event_dim
    return constraints.independent(constraint, more) if more else constraint


class IndependentTransform(Transform):
    """A transform of which the last dimensions, in addition to its own, are one element."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = n = reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, n)
        self.codomain = constraints.independent(base_transform.codomain, n)
        self.bijective = base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        own = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(own, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Shape) -> Shape:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self.base_transform.inverse_shape(shape)


identity_transform = ComposeTransform([])
"""y = x."""
