"""The parameters of functions that describe ops, by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Sequence
from types import FunctionType
from typing import Any, TypeVar

from chainrule.errors import DTypeError

F = TypeVar("F", bound=Callable[..., Any])


def parameters_of(function: Callable[..., Any]) -> tuple[Sequence[str], ...]:
    """The names of a function's parameters: the positional ones, that of `*args`, if any, and the
    keyword-only ones.

    >>> parameters_of(lambda x, *rest, dim: x)
    (('x',), ('rest',), ('dim',))
    """
    function = inspect.unwrap(function)
    if isinstance(function, FunctionType):  # `inspect.signature` takes 20 times as long
        code = function.__code__
        names, count = code.co_varnames, code.co_argcount
        end = count + code.co_kwonlyargcount
        starred = end + bool(code.co_flags & inspect.CO_VARARGS)
        return names[:count], names[end:starred], names[count:end]
    parameters = inspect.signature(function).parameters.values()
    return (
        [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)],
        [p.name for p in parameters if p.kind is p.VAR_POSITIONAL],
        [p.name for p in parameters if p.kind is p.KEYWORD_ONLY],
    )


def output_position(name: str) -> int | None:
    """The output that a parameter of a derivative means: 0 for `y`, -1 (all of them) for `ys`, i
    for `yi`; None if it means none.

    >>> output_position("ys"), output_position("y2"), output_position("x")
    (-1, 2, None)
    """
    if name in ("y", "ys"):
        return 0 if name == "y" else -1
    return int(name[1:]) if name[0] == "y" and name[1:].isdecimal() else None


def called_names(names: Container[str]) -> dict[str, str]:
    """From the names of a record's inputs to those of its callers, which are PyTorch's."""
    return {"a": "input", "b": "other"} if "a" in names else {"x": "input"}


def as_called(signature: inspect.Signature) -> inspect.Signature:
    """The signature of a record as its callers see it: `exp(input)`, `add(input, other)`."""
    called = called_names(signature.parameters)
    return inspect.Signature(
        [
            p.replace(name=called.get(p.name, p.name)) if p.kind is p.POSITIONAL_OR_KEYWORD else p
            for p in signature.parameters.values()
        ]
    )


def of_tensor(name: str, function: F) -> F:
    """A function whose first parameter is a tensor, `input` or `x`, which refuses other values.

    Raises DTypeError for a list, an array or a number in its place; a parameter that is declared to
    be more than a tensor (`input: Any`) takes them.
    """
    first, *_ = (*parameters_of(function)[0], "")
    declared = getattr(function, "__annotations__", {}).get(first, "Tensor")
    if first not in ("input", "x") or declared != "Tensor":
        return function

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else kwargs.get(first, checked)
        if not hasattr(x, "requires_grad") and x is not checked:
            kind = type(x).__name__
            raise DTypeError(
                f"`{name}` expected a Tensor",
                given=kind,
                instead=f"Convert the {kind} with cr.tensor(x).",
            )
        return function(*args, **kwargs)

    made: Any = checked
    return made
