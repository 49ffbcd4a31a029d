"""A loss given as a function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.nn import functional
from chainrule.nn.losses import Loss
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

Function = Callable[[Tensor, Tensor], Tensor]


class FunctionLoss(Module):
    """loss(outputs, targets) by a plain function, whose attributes may declare what a loss
    declares: `predicts`, `metrics` and `divisor`."""

    def __init__(self, function: Function) -> None:
        self.function = function
        for name in ("predicts", "metrics", "divisor"):
            if hasattr(function, name):
                setattr(self, name, getattr(function, name))

    def forward(self, input: Any, target: Any) -> Any:
        return self.function(input, target)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def as_loss(value: Any) -> Any:
    """A loss module for a function; other values unchanged.

    A function of `nn.functional` becomes the module that calls it, with what it declares.

    >>> as_loss(functional.cross_entropy)
    CrossEntropyLoss()
    """
    if isinstance(value, (Module, type)) or not callable(value):
        return value
    function, options = (value.func, value.keywords) if isinstance(value, partial) else (value, {})
    name = getattr(function, "__name__", "")
    if getattr(functional, name, None) is not function:
        return FunctionLoss(value)
    for kind in vars(nn).values():
        is_loss = isinstance(kind, type) and issubclass(kind, Loss)
        if is_loss and getattr(kind, "function", None) is function:
            return kind(**options)
    raise ArgumentError(f"`{name}` is no loss", expected="a loss such as nn.MSELoss()")
