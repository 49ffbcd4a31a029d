"""Layers made from functions. Options, defaults and docstring are those of the function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from chainrule.errors import DTypeError, ShapeError
from chainrule.nn.functional.checks import bound
from chainrule.nn.module import Module
from chainrule.ops.creation import zeros
from chainrule.tensor import Tensor


class FunctionLayer(Module):
    """A layer without state: y = f(x; options).

    `class Name(FunctionLayer, of=f)` defines a complete layer. Its options are the parameters of
    `f` after the first, and are attributes of the layer. A parameter `training` is not an option:
    it gets the mode of the layer. For functions of several tensors, see SeveralInputs.

    The constructor checks the options by calling `f` with tensors of `_probe` zeros. (Errors about
    shapes and dtypes are ignored.) Options of functions with a `dim` are checked when the layer is
    called.

    >>> import chainrule as cr
    >>> class Power(FunctionLayer, of=cr.pow): ...
    >>> Power(exponent=3)(cr.tensor([1.0, 2.0]))
    tensor([1., 8.])
    """

    function: ClassVar[Callable[..., Tensor]]
    __signature__: ClassVar[inspect.Signature]
    _inputs: ClassVar[int]
    _probe: ClassVar[int] = 0
    _has_mode: ClassVar[bool]
    options: dict[str, Any]
    _apart = (*Module._apart, "options")

    def __init_subclass__(cls, of: Callable[..., Tensor] | None = None, inputs: int = 1) -> None:
        if of is None:  # a subclass of a complete layer
            return
        options = list(inspect.signature(of).parameters.values())[inputs:]
        cls.function = staticmethod(of)
        cls._inputs = inputs
        cls._has_mode = any(p.name == "training" for p in options)
        cls.__signature__ = inspect.Signature([p for p in options if p.name != "training"])
        cls.__doc__ = _documented(cls, of)

    def __init__(self, *args: Any, **options: Any) -> None:
        given = bound(type(self), args, options)
        given.apply_defaults()
        self.options = given.arguments
        if "dim" not in self.options:
            with suppress(ShapeError, DTypeError):
                self.function(*[zeros(self._probe)] * self._inputs, **self.options)

    def __getattr__(self, name: str) -> Any:
        options = vars(self).get("options", {})
        return options[name] if name in options else super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("options", ()):
            self.options[name] = value
        else:
            super().__setattr__(name, value)

    def _reads_mode(self) -> bool:
        return self._has_mode

    def forward(self, input: Tensor) -> Tensor:
        if self._has_mode:
            return self.function(input, training=self.training, **self.options)
        return self.function(input, **self.options)


class SeveralInputs(FunctionLayer):
    """A layer that computes a function of several tensors, the first `inputs` parameters of `f`.

    >>> import chainrule as cr
    >>> class Distance(SeveralInputs, of=cr.dist, inputs=2): ...
    >>> Distance(p=1)(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return self.function(*inputs, **named, **self.options)


def _documented(layer: type, function: Callable[..., Any]) -> str:
    """The docstring of the function, with the layer's docstring in place of its examples.

    If the layer has none, examples `f(tensor, options)` are rewritten to `Layer(options)(tensor)`.
    """
    text = inspect.getdoc(function) or ""
    if own := vars(layer).get("__doc__"):
        return f"{text.partition('>>>')[0].rstrip()}\n\n{inspect.cleandoc(own)}"
    call = rf">>> {function.__name__}\((cr\.\w+\([^()]*\))(?:, )?([^()]*)\)"
    return re.sub(call, rf">>> {layer.__name__}(\2)(\1)", text)
