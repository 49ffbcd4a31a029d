"""Transforms of parts: along one dimension, each part with a transform of its own."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.distributions import constraints
from chainrule.distributions.transform import Transform
from chainrule.distributions.utils import sum_rightmost
from chainrule.ops.rearrange import select
from chainrule.ops.shape import cat, stack
from chainrule.tensor import Tensor


class Joined(Transform):
    """The base class: the parts along `dim`, which a subclass takes apart and puts together."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.bijective = all(t.bijective for t in self.transforms)

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    def _apart(self, x: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def _together(self, parts: list[Tensor], dim: int) -> Tensor:
        raise NotImplementedError

    def _call(self, x: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._apart(x), strict=True)
        return self._together([t(part) for t, part in pairs], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._apart(y), strict=True)
        return self._together([t.inv(part) for t, part in pairs], self.dim)

    def _volumes(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The change of volume of each part."""
        triples = zip(self.transforms, self._apart(x), self._apart(y), strict=True)
        return [t.log_abs_det_jacobian(a, b) for t, a, b in triples]


class CatTransform(Joined):
    """Parts of `lengths` elements along `dim`, by default of 1.

    >>> import chainrule as cr
    >>> from chainrule.distributions.transforms import ExpTransform, identity_transform
    >>> t = CatTransform([ExpTransform(), identity_transform], lengths=[1, 2])
    >>> t(cr.tensor([0.0, 1.0, 2.0]))
    tensor([1., 1., 2.])
    """

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    @property
    def length(self) -> int:
        """The number of elements along `dim`."""
        return sum(self.lengths)

    def _apart(self, x: Tensor) -> list[Tensor]:
        return constraints.parts_of(x, self.dim, self.lengths)

    def _together(self, parts: list[Tensor], dim: int) -> Tensor:
        return cat(parts, dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._volumes(x, y), strict=True)
        own = [sum_rightmost(v, self.event_dim - t.event_dim) for t, v in pairs]
        dim = (self.dim - x.ndim if self.dim >= 0 else self.dim) + self.event_dim
        return cat(own, dim) if dim < 0 else sum(own[1:], own[0])


class StackTransform(Joined):
    """One part for each place along `dim`.

    >>> import chainrule as cr
    >>> from chainrule.distributions.transforms import ExpTransform, identity_transform
    >>> StackTransform([ExpTransform(), identity_transform])(cr.zeros(2, 3))
    tensor([[1., 1., 1.],
            [0., 0., 0.]])
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _apart(self, x: Tensor) -> list[Tensor]:
        return [select(x, self.dim, i) for i in range(x.shape[self.dim])]

    def _together(self, parts: list[Tensor], dim: int) -> Tensor:
        return stack(parts, dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return stack(self._volumes(x, y), self.dim)


__all__ = ["CatTransform", "StackTransform"]
