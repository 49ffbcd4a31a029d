"""Pruning: elements of a parameter are fixed at 0 by a mask.

A pruned parameter `weight` is `weight_orig·weight_mask`, a parameter and a buffer of the module.
Pruning a parameter again prunes what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule.errors import ArgumentError, UnknownNameError
from chainrule.nn.module import Module
from chainrule.nn.utils.pruning_methods import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
)
from chainrule.ops.creation import ones_like
from chainrule.ops.shape import cat
from chainrule.settings import use
from chainrule.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def identity(module: Module, name: str) -> Module:
    """Make a parameter a pruned one, of which nothing is pruned yet, and return the module.

    >>> from chainrule import nn
    >>> [*identity(nn.Linear(2, 3), "bias").state_dict()]
    ['weight', 'bias_orig', 'bias_mask']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune an amount of the elements at random, and return the module.

    >>> from chainrule import nn
    >>> layer = random_unstructured(nn.Linear(4, 4), "weight", amount=3)
    >>> (layer.weight == 0).sum().item()
    3
    """
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the elements of least size, an amount of them, and return the module.

    `amount` is a number of elements, or a share in [0, 1]. (Han et al., 2015.)

    >>> from chainrule import nn
    >>> layer = l1_unstructured(nn.Linear(4, 4), "weight", amount=0.25)
    >>> (layer.weight == 0).sum().item()
    4
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune an amount of the slices along a dimension at random, and return the module.

    >>> from chainrule import nn
    >>> layer = random_structured(nn.Linear(4, 4), "weight", amount=1, dim=0)
    >>> (layer.weight == 0).all(1).sum().item()
    1
    """
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: float,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the slices along a dimension that have the least n-norm, and return the module.

    >>> from chainrule import nn
    >>> layer = ln_structured(nn.Linear(4, 4), "weight", amount=0.5, n=2, dim=0)
    >>> (layer.weight == 0).all(1).sum().item()
    2
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters (module, name) as if they were one.

    Raises ArgumentError for a method that is not unstructured.

    >>> from chainrule import nn
    >>> layers = [nn.Linear(4, 4), nn.Linear(4, 2)]
    >>> global_unstructured([(layer, "weight") for layer in layers], L1Unstructured, amount=6)
    >>> sum((layer.weight == 0).sum().item() for layer in layers)
    6
    """
    given = [*parameters]
    scores = importance_scores or {}
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise ArgumentError("only unstructured methods prune globally", given=method.PRUNING_TYPE)
    with use(gradients=False):
        tensors = [getattr(module, name).detach() for module, name in given]
        masks = [
            getattr(module, f"{name}_mask", ones_like(t))
            for (module, name), t in zip(given, tensors, strict=True)
        ]
        importance = cat(
            [scores.get(key, t).flatten() for key, t in zip(given, tensors, strict=True)]
        )
        container = PruningContainer()
        container._tensor_name = method._tensor_name = "temp"
        container.add_pruning_method(method)
        mask = container.compute_mask(importance, cat([m.flatten() for m in masks]))
    start = 0
    for (module, name), t in zip(given, tensors, strict=True):
        custom_from_mask(module, name, mask[start : start + t.numel()].reshape(t.shape))
        start += t.numel()


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune a parameter where a mask is 0, and return the module.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = custom_from_mask(nn.Linear(2, 1), "weight", cr.tensor([[0, 1]]))
    >>> (layer.weight == 0).tolist()
    [[True, False]]
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter a plain one, with its zeros, and return the module.

    Raises UnknownNameError if it is not pruned.

    >>> from chainrule import nn
    >>> [*remove(l1_unstructured(nn.Linear(2, 3), "weight", 2), "weight").state_dict()]
    ['bias', 'weight']
    """
    method = module._computed.get(name)
    if not isinstance(method, BasePruningMethod):
        raise UnknownNameError(f"{type(module).__name__} has no pruned parameter {name!r}")
    method.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module or of a submodule is pruned.

    >>> from chainrule import nn
    >>> is_pruned(nn.Linear(2, 3)), is_pruned(identity(nn.Linear(2, 3), "bias"))
    (False, True)
    """
    return any(
        isinstance(method, BasePruningMethod)
        for part in module.modules()
        for method in part._computed.values()
    )
