"""`torch.autograd`: gradients, custom functions, and the detection of NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import autograd, settings
from chainrule.errors import ArgumentError
from chainrule.ops.creation import tensor, zeros_like
from chainrule.tensor import Tensor, differentiate, seed_for
from chainrule.torch.adapter import names
from chainrule.torch.adapter.facts import inference_mode as inference_mode
from chainrule.torch.autograd import function as function
from chainrule.torch.autograd.function import Function as Function
from chainrule.torch.autograd.function import FunctionCtx as FunctionCtx

Tensors = Tensor | Sequence[Tensor]


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
    only_inputs: bool = True,
) -> tuple[Tensor | None, ...]:
    """∂ Σ outputs / ∂ input for each input. `.grad` does not change.

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> grad(outputs=x**3, inputs=x)
    (tensor(12.),)
    """
    if is_grads_batched:
        raise ArgumentError("is_grads_batched is not offered", instead="Use torch.vmap.")
    unused = materialize_grads if allow_unused is None else allow_unused
    found = autograd.gradients(outputs, inputs, grad_outputs, retain_graph, create_graph, unused)
    if not materialize_grads:
        return found
    xs = [inputs] if isinstance(inputs, Tensor) else inputs
    return tuple(
        [zeros_like(x.detach()) if g is None else g for g, x in zip(found, xs, strict=True)]
    )


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add ∂ Σ tensors / ∂x to `x.grad` for every leaf, or for the given inputs only."""
    ys = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    given = [grad_tensors] if isinstance(grad_tensors, Tensor) else grad_tensors
    seeds = [(y, seed_for(y, g)) for y, g in zip(ys, given or [None] * len(ys), strict=True)]
    targets = [inputs] if isinstance(inputs, Tensor) else inputs
    for leaf, g in differentiate(seeds, retain_graph, create_graph, targets):
        if g is not None:
            leaf.grad = g if leaf.grad is None else leaf.grad + g


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """Return the tensor. Since PyTorch 0.4 every tensor is a variable."""
    x = data if isinstance(data, Tensor) else tensor(np.asarray(data))
    return x.detach().requires_grad_() if requires_grad and not x.requires_grad else x


class set_detect_anomaly:
    """Raise an error at the first op that gives NaN or infinity, from now on or in a `with` block.

    >>> with set_detect_anomaly(True):
    ...     pass
    """

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self._before = settings.current().interpreter
        settings.change(interpreter=autograd.AnomalyDetector() if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        settings.change(interpreter=self._before)


detect_anomaly = set_detect_anomaly

__getattr__, __dir__ = names.facade(__name__)
