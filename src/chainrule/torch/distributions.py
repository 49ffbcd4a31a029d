"""`torch.distributions`: the package's distributions, whose shapes are `torch.Size` here."""

from __future__ import annotations

from typing import Any

from chainrule.distributions.discrete import OfProbsOrLogits
from chainrule.distributions.distribution import Distribution
from chainrule.torch.adapter import names
from chainrule.torch.adapter.attributes import add, asked_by_package, teach
from chainrule.torch.adapter.dtypes import Size

__getattr__, __dir__ = names.facade(__name__)


def _size(name: str) -> property:
    def get(self: Any) -> Any:
        shape = getattr(self, f"_{name}")
        return shape if asked_by_package() else Size(shape)

    return property(get)


def _param_shape(self: Any) -> Any:
    """The shape of probs or logits."""
    return Size(self._param.shape)


for _name in ("batch_shape", "event_shape"):
    add(Distribution, _name, _size(_name))
add(OfProbsOrLogits, "param_shape", property(_param_shape))
teach(Distribution, "torch.distributions.Distribution")
