"""Modules whose weights are set later."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.errors import DTypeError
from chainrule.nn.init import write
from chainrule.nn.module import Module
from chainrule.ops.random import default_generator

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, device: Any = None, **kwargs: Any) -> M:
    """The module `module_cls(*args, **kwargs)` with zeros as parameters and buffers.

    No random numbers are used. `device` has no effect. Raises DTypeError if the class is no Module.

    >>> from chainrule import nn
    >>> skip_init(nn.Linear, 2, 1).weight.tolist()
    [[0.0, 0.0]]
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise DTypeError("skip_init takes a class of modules", given=module_cls)
    state = default_generator.state.clone()
    module = module_cls(*args, **kwargs)
    default_generator.state.assign(state)
    for tensor in [*module.parameters(), *module.buffers()]:
        write(tensor, 0)
    return module
