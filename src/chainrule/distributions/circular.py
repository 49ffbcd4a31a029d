"""The distribution of angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.ops.bessel import i0e, i1e
from chainrule.ops.elementwise import cos, log
from chainrule.ops.random import default_generator
from chainrule.tensor import Tensor


class VonMises(Distribution):
    """p(x) = e^(κ·cos(x − loc))/(2π·I₀(κ)) of angles, κ the concentration, I₀ a Bessel function.

    `mean` and `variance` are those of directions: the angle loc, and 1 − I₁(κ)/I₀(κ).

    >>> import chainrule as cr
    >>> VonMises(0.0, 1.0).log_prob(cr.tensor([0.0, 3.0]))
    tensor([-1.0738, -3.0638])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }
    support = constraints.real
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        shape = self._extended_shape(sample_shape)
        kappa = self.concentration.expand(shape).double()
        angle = default_generator.von_mises(kappa) + math.pi + self.loc.double()
        return (angle % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        kappa = self.concentration
        return kappa * (cos(value - self.loc) - 1) - log(i0e(kappa)) - math.log(2 * math.pi)


__all__ = ["VonMises"]
