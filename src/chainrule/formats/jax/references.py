"""The references of ops, with `jax.numpy` in place of NumPy."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from chainrule.formats.jax.numpy import LINALG, NUMPY, is_refused, put, put_by
from chainrule.formats.jax.rewriting import rewritten
from chainrule.primitive import Primitive

_FOREIGN = {"numpy", "jax", *sys.stdlib_module_names}
_NUMPYS: dict[Any, Any] = {np: NUMPY, np.linalg: LINALG}

REPLACED: dict[Any, Any] = {}
"""Functions that references call, and what stands for them. The table fills it."""


class _Names(dict[str, Any]):
    """The globals of a function, as twins, each made when it is first used."""

    def __init__(self, function: FunctionType) -> None:
        own = {"put": put, "put_by": put_by, "is_refused": is_refused}
        super().__init__(own, __builtins__=builtins, __name__=function.__module__)
        self._home = function.__globals__
        closure = inspect.getclosurevars(function).nonlocals if function.__closure__ else {}
        self._closure = closure

    def __missing__(self, name: str) -> Any:
        value = self._closure[name] if name in self._closure else self._home[name]
        self[name] = twin(value)
        return self[name]


def twin(value: Any) -> Any:
    """What stands for a value that a reference names: NumPy and its functions become those of
    `jax.numpy`, and functions and classes that use them become such that use these."""
    try:
        if value in REPLACED:
            return REPLACED[value]
    except TypeError:  # it has no hash
        return {k: twin(v) for k, v in value.items()} if type(value) is dict else value
    if isinstance(value, ModuleType):
        return _NUMPYS.get(value, value)
    if isinstance(value, Primitive):
        return _Reference(value)
    if isinstance(value, np.ufunc) or getattr(value, "__module__", "").startswith("numpy"):
        return getattr(NUMPY, getattr(value, "__name__", ""), value)
    if isinstance(value, FunctionType):
        return _function(value)
    is_plain = isinstance(value, type) and value.__bases__ == (object,)
    if (
        is_plain
        and value.__module__.startswith("chainrule.ops.")
        and "__slots__" not in vars(value)
    ):
        return _class(value)
    return value


class _Reference:
    """A record, as references of other ops use it."""

    def __init__(self, record: Primitive) -> None:
        self.forward = reference(record)


def reference(record: Primitive) -> Callable[..., Any]:
    """The reference of an op on arrays of JAX's."""
    made: Callable[..., Any] = twin(inspect.unwrap(record.forward))
    return made


def _function(function: FunctionType) -> Any:
    plain = inspect.unwrap(function)
    if plain.__module__.split(".")[0] in _FOREIGN:
        return function
    names, code = _Names(plain), rewritten(plain)
    if code is not None:
        exec(code, names)
        made = names[plain.__name__]
    else:
        cells = tuple(CellType(twin(cell.cell_contents)) for cell in plain.__closure__ or ())
        made = FunctionType(plain.__code__, names, plain.__name__, None, cells or None)
    made.__defaults__, made.__kwdefaults__ = plain.__defaults__, plain.__kwdefaults__
    REPLACED[function] = REPLACED[plain] = made
    return made


def _class(kind: type) -> type:
    """A class whose functions are twins."""
    own = {}
    for name, value in vars(kind).items():
        if isinstance(value, staticmethod):
            own[name] = staticmethod(twin(value.__func__))
        elif name not in ("__dict__", "__weakref__"):
            own[name] = twin(value)
    made = type(kind.__name__, (), own)
    REPLACED[kind] = made
    return made
