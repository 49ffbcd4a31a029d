"""Gradients of several ranks: their mean, before an update or in the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from chainrule.distributed.ranks import broadcast
from chainrule.errors import DTypeError
from chainrule.gateway import apply
from chainrule.nn.module import Module
from chainrule.nn.stateless import functional_call
from chainrule.ops.backward import gradients_through
from chainrule.ops.collectives import sum_of_shards
from chainrule.ops.creation import zeros_like
from chainrule.optim import Optimizer
from chainrule.settings import use
from chainrule.tensor import Tensor
from chainrule.world import world

O = TypeVar("O", bound=Optimizer)  # noqa: E741


def wrap(optimizer: O) -> O:
    """Let each step use the mean of the gradients of all ranks. Returns the optimizer.

    The parameters start from those of rank 0. `step` first replaces each `p.grad` by its mean over
    ranks, in one message for all parameters; a parameter without gradient counts as 0. So gradients
    add up over several backward passes as without ranks, and a loss that is a mean over equal parts
    of a batch gives the gradient of the mean over the batch. In a compiled step it is an
    instruction of the program. Works for one process, too.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0], requires_grad=True)
    >>> optimizer = wrap(cr.optim.SGD([w], lr=0.5))
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([-0.5], requires_grad=True)
    """
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(
            "wrap takes an optimizer",
            given=type(optimizer).__name__,
            instead="For a model, use cr.distributed.Replicated(model).",
        )
    weights = [p for group in optimizer.param_groups for p in group.params]
    for p in weights:
        broadcast(p)

    def share(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        learned = [p for group in optimizer.param_groups for p in group.params if p.requires_grad]
        with use(gradients=False):
            for p, g in zip(
                learned, mean_of_ranks([p.grad for p in learned], learned), strict=True
            ):
                p.grad = g

    if world().size > 1:
        optimizer.register_step_pre_hook(share)
    return optimizer


def mean_of_ranks(gradients: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """The mean over ranks of several gradients; None counts as 0."""
    size = world().size
    full = [
        zeros_like(x) if g is None else g.detach() for g, x in zip(gradients, like, strict=True)
    ]
    dtype = np.result_type(*[g.dtype for g in full])
    sums = sum_of_shards([[g.to(dtype) for g in full]], size)
    return [(s / size).to(x.dtype) for s, x in zip(sums, like, strict=True)]


class Replicated(Module):
    """A model whose backward pass gives the mean of the gradients of all ranks.

    The parameters and buffers start from those of rank 0. The gradients of all parameters travel in
    one message, at the end of the backward pass of each call. `module` is the model. While
    `is_shared` is False, gradients are those of this rank.

    >>> import chainrule as cr
    >>> Replicated(cr.nn.Linear(2, 3))(cr.ones(5, 2)).shape
    (5, 3)
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.is_shared = True
        for x in (*module.parameters(), *module.buffers()):
            broadcast(x)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        learned = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        if world().size == 1 or not self.is_shared or not learned:
            return self.module(*args, **kwargs)
        seen = apply(gradients_through, *learned.values(), function=self._share)
        own = dict(zip(learned, seen, strict=True))
        return functional_call(self.module, own, args, kwargs)

    def _share(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        learned = [p for p in self.module.parameters() if p.requires_grad]
        return mean_of_ranks(gradients, learned)
