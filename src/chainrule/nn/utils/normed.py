"""Weight norm and spectral norm with PyTorch's older names of parameters.

`nn.utils.parametrizations` has the newer forms, which can be combined.
"""

from __future__ import annotations

from typing import Any

from chainrule.nn import computed
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.nn.utils.parametrizations import (
    PowerIteration,
    norm_except,
    spectral_dim,
    weight_normed,
)
from chainrule.settings import use
from chainrule.tensor import Tensor


class _WeightNorm(computed.Computed):
    """w = g·v/‖v‖ of the parameters `name_g` and `name_v`."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def compute(self, module: Any) -> Tensor:
        g, v = (getattr(module, f"{self.name}_{part}") for part in "gv")
        return weight_normed(g, v, self.dim)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """`parametrizations.weight_norm` with the parameters `weight_g` and `weight_v` of the module.

    >>> from chainrule import nn
    >>> [name for name, _ in weight_norm(nn.Linear(20, 40)).named_parameters()]
    ['bias', 'weight_g', 'weight_v']
    """
    weight = computed.own_tensor(module, name)
    v = weight.detach()
    computed.replace(module, name, _WeightNorm(name, dim))
    module.register_parameter(f"{name}_g", Parameter(norm_except(v, dim)))
    module.register_parameter(f"{name}_v", Parameter(v))
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value, and return the module.

    Raises UnknownNameError if it has no weight norm.

    >>> from chainrule import nn
    >>> [*remove_weight_norm(weight_norm(nn.Linear(20, 40))).state_dict()]
    ['bias', 'weight']
    """
    computed.found(module, name, _WeightNorm)
    weight = Parameter(getattr(module, name).detach())
    for part in "gv":
        delattr(module, f"{name}_{part}")
    computed.restore(module, name, weight)
    return module


class _SpectralNorm(computed.Computed):
    """w = W/σ(W) of the parameter `name_orig`; `name_u` and `name_v` estimate σ.

    A call of the module in training mode improves the estimate. Before the first call w is W.
    """

    def __init__(self, name: str, power: PowerIteration) -> None:
        self.name, self.power, self.called = name, power, False

    def parts(self, module: Any) -> list[Tensor]:
        """W, u and v."""
        return [getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v")]

    def compute(self, module: Any) -> Tensor:
        weight, u, v = self.parts(module)
        return self.power.divided(weight, u.clone(), v.clone()) if self.called else weight.detach()

    def __call__(self, module: Any, args: Any) -> None:
        """Improve the estimate: a hook before each call."""
        self.called = True
        if module.training:
            weight, u, v = self.parts(module)
            with use(gradients=False):
                matrix = self.power.matrix(weight.detach())
                for _ in range(self.power.n_power_iterations):
                    v.assign(self.power.unit(matrix.mT @ u))
                    u.assign(self.power.unit(matrix @ v))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """`parametrizations.spectral_norm` with the parameter `weight_orig` and the buffers `weight_u`
    and `weight_v` of the module. The estimate improves once in each call, in training mode.

    >>> from chainrule import nn
    >>> [*spectral_norm(nn.Linear(20, 40)).state_dict()]
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = computed.own_tensor(module, name)
    power = PowerIteration(n_power_iterations, eps, spectral_dim(module, dim))
    u, v = power.start(weight)
    new = _SpectralNorm(name, power)
    computed.replace(module, name, new)
    module.register_parameter(f"{name}_orig", Parameter(weight, weight.requires_grad))
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(new)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value, and return the module.

    Raises UnknownNameError if it has no spectral norm.

    >>> from chainrule import nn
    >>> [*remove_spectral_norm(spectral_norm(nn.Linear(20, 40))).state_dict()]
    ['bias', 'weight']
    """
    old = computed.found(module, name, _SpectralNorm)
    weight = Parameter(old.power.divided(*old.parts(module)).detach())
    module._remove_hook("forward_pre", old)
    for part in ("orig", "u", "v"):
        delattr(module, f"{name}_{part}")
    computed.restore(module, name, weight)
    return module
