"""The methods of Tensor that are ops: `x.exp()` is `cr.exp(x)`, and `x.exp_()` assigns the result.

No list names them. A public op or composition with a parameter `input` is a method, in which the
tensor takes the place of `input`. Where the result has the spec of `input` (an elementwise op, or
one that says so by `in_place_form`), there is the method `name_` too. Where the result is a view,
`name_` (of a composition that says so by `in_place_view`) turns the tensor into that view. What is
no function but a method alone, such as `x.normal_()`, is marked with `method`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chainrule.engine import shortcut
from chainrule.errors import DTypeError
from chainrule.primitive import RANK, Primitive, operations
from chainrule.signatures import called_names, parameters_of

Method = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])


class OpMethods:
    """The methods that `install` makes of ops; `op_methods.pyi` shows them to type checkers."""

    __slots__ = ()


def install(public: Mapping[str, Any]) -> None:
    """Make methods of all public ops that have a parameter `input`."""
    for name, op in operations.items():
        if public.get(name) is not op:
            continue
        names = _parameters(op)
        if "input" not in names:
            continue
        if names[0] != "input":
            setattr(OpMethods, name, _at_input(op))
            continue
        method = op if inspect.isfunction(op) else _of_record(op)
        setattr(OpMethods, name, method)
        if getattr(op, "in_place_form", False):
            setattr(OpMethods, f"{name}_", _in_place(name, op))
        elif getattr(op, "in_place_view", False):
            setattr(OpMethods, f"{name}_", _in_place_view(name, op))


def method(function: F) -> F:
    """Make a function a method of Tensor only: its first parameter is `input`."""
    setattr(OpMethods, function.__name__, function)
    return function


def in_place_view(function: F) -> F:
    """Give Tensor the method `name_`, which makes the tensor a view of what it was."""
    function.__dict__["in_place_view"] = True
    return function


def _parameters(op: Method) -> list[str]:
    """The names of the parameters of an op, as its callers see them."""
    if not isinstance(op, Primitive):
        return [name for part in parameters_of(op) for name in part]
    names = [name for part in parameters_of(op.arguments or op.forward) for name in part]
    called = called_names(names)
    return [called.get(name, name) for name in names]


def _of_record(record: Primitive) -> Method:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return record(self, *args, **kwargs)

    return shortcut("method", _described(method, record.__name__, record.__doc__, record), record)


def _at_input(op: Method) -> Method:
    """The method of an op whose first argument is another one: `x.where(condition, other)`."""
    parameters = dict(inspect.signature(op).parameters)
    tensor = parameters.pop("input").replace(default=inspect.Parameter.empty)
    others = inspect.Signature([*parameters.values()])

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return op(input=self, **others.bind(*args, **kwargs).arguments)

    method.__dict__["__signature__"] = inspect.Signature([tensor, *parameters.values()])
    return _described(method, op.__name__, op.__doc__, op)


def _in_place(name: str, op: Method) -> Method:
    def in_place(self: Any, *args: Any, **kwargs: Any) -> Any:
        y = op(self, *args, **kwargs)
        if y.dtype is not self.dtype:
            y = _converted(f"{name}_", y, self.dtype)
        return self.assign(y)

    text = f"Assign the result of `x.{name}(...)` to `x`, which keeps its shape and dtype."
    return _described(in_place, f"{name}_", text, op)


def _in_place_view(name: str, op: Method) -> Method:
    def in_place(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.become(lambda x: op(x, *args, **kwargs))

    text = f"Make `x` the view `x.{name}(...)` of what it was."
    return _described(in_place, f"{name}_", text, op)


def _converted(name: str, y: Any, dtype: Any) -> Any:
    """The result in the tensor's dtype, as in PyTorch, unless floats or integers would be lost."""
    if RANK[y.dtype.kind] > RANK[dtype.kind]:
        raise DTypeError(
            f"`{name}` keeps the dtype of the tensor",
            given=f"a result of {y.dtype} for {dtype}",
            instead=f"Use the op that returns a new tensor, `{name[:-1]}`.",
        )
    return y.astype(dtype)


def _described(method: Method, name: str, text: str | None, op: Method) -> Method:
    """The method with its name and docstring; its signature is that of `op`."""
    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__module__, method.__doc__ = op.__module__, text
    method.__dict__["__wrapped__"] = op
    return method
