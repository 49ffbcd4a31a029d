"""`einops.layers.torch`: `Rearrange` and `Reduce` as layers."""

from __future__ import annotations

from typing import Any

from chainrule.nn.module import Module
from chainrule.torch import einops


class Rearrange(Module):
    """A layer that rearranges its input by a pattern."""

    def __init__(self, pattern: str, **axes_lengths: int) -> None:
        super().__init__()
        self.pattern, self.axes_lengths = pattern, axes_lengths

    def forward(self, input: Any) -> Any:
        return einops.rearrange(input, self.pattern, **self.axes_lengths)

    def extra_repr(self) -> str:
        return ", ".join([repr(self.pattern), *(f"{k}={v}" for k, v in self.axes_lengths.items())])


class Reduce(Module):
    """A layer that reduces its input by a pattern."""

    def __init__(self, pattern: str, reduction: Any, **axes_lengths: int) -> None:
        super().__init__()
        self.pattern, self.reduction, self.axes_lengths = pattern, reduction, axes_lengths

    def forward(self, input: Any) -> Any:
        return einops.reduce(input, self.pattern, self.reduction, **self.axes_lengths)

    def extra_repr(self) -> str:
        lengths = (f"{k}={v}" for k, v in self.axes_lengths.items())
        return ", ".join([repr(self.pattern), repr(self.reduction), *lengths])
