"""`torch.func`: the package's transforms of functions, also in PyTorch's other forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd import value_and_grad
from chainrule.torch.adapter import names
from chainrule.torch.einops import rearrange as rearrange
from chainrule.transforms import jvp


def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Any:
    """The function of the same arguments that returns (gradient, value).

    >>> import chainrule as cr
    >>> grad_and_value(lambda x: x * x)(cr.tensor(3.0))
    (tensor(6.), tensor(9.))
    """
    both = value_and_grad(func, argnums, has_aux)
    return lambda *args, **keywords: both(*args, **keywords)[::-1]


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(func(*primals), the function of tangents that returns the derivative along them)."""
    return func(*primals), lambda *tangents: jvp(func, primals, tangents)[1]


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """Return the function: writes are functional here."""
    return func


__getattr__, __dir__ = names.facade(__name__)
