"""Attributes of modules that are computed from other parts whenever they are read.

Parametrizations, weight norm, spectral norm and pruning replace a weight by such an attribute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NoReturn

from chainrule.errors import ArgumentError, UnknownNameError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor


class Computed(ABC):
    """The computation of one attribute of a module."""

    @abstractmethod
    def compute(self, module: Any) -> Tensor:
        """The value of the attribute."""

    def assign(self, module: Any, name: str, value: Any) -> None:
        """Set the attribute: change the parts so that they give this value. By default refused."""
        raise ArgumentError(
            f"{type(module).__name__}.{name} is computed from other parameters",
            instead="Set those, or remove the computation first.",
        )


def own_tensor(module: Module, name: str) -> Tensor:
    """A parameter or buffer of a module. Raises UnknownNameError if there is none of that name."""
    value = vars(module).get(name)
    if not isinstance(value, Tensor) or module._kinds.get(name) not in ("parameter", "buffer"):
        _refuse(module, name, "no parameter or buffer")
    return value


def replace(module: Module, name: str, computed: Computed) -> None:
    """Compute an attribute from now on. A parameter or buffer of that name is no longer a part."""
    vars(module).pop(name, None)
    vars(module)["_kinds"] = {k: kind for k, kind in module._kinds.items() if k != name}
    vars(module)["_computed"] = {**module._computed, name: computed}


def restore(module: Module, name: str, value: Tensor) -> None:
    """Set an attribute that was computed to a parameter, or to another tensor as a buffer."""
    vars(module)["_computed"] = {k: c for k, c in module._computed.items() if k != name}
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def found(module: Module, name: str, kind: type[Computed]) -> Any:
    """What computes an attribute. Raises UnknownNameError if that is not of the given kind."""
    computed = module._computed.get(name)
    if not isinstance(computed, kind):
        _refuse(module, name, f"no attribute that {kind.__name__} computes")
    return computed


def _refuse(module: Module, name: str, what: str) -> NoReturn:
    raise UnknownNameError(f"{type(module).__name__} has {what} {name!r}")
