"""Networks whose training steps are compiled, kept for the next fit of the same kind.

A search or a cross-validation fits many copies of one estimator. To compile a step takes as long as
some hundred steps of a small network, so the copies take turns with one network: each loads its
weights into it, trains, and takes the weights back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.optim import Optimizer
from chainrule.train.training import Training

MOST = 8
"""The most networks that are kept; the oldest is dropped first."""
_kept: dict[Hashable, Kept] = {}


class Kept(NamedTuple):
    """A network, its loss and its optimizer, with the state of the optimizer before training, and
    the steps that a trainer has compiled of them."""

    module: nn.Module
    loss: nn.Module
    optimizer: Optimizer
    before: dict[str, Any]
    steps: dict[str, Any]

    def lend(self, trainer: Training) -> None:
        """Let a trainer of these parts use the compiled steps."""
        for name in ("training_step", "evaluation_step"):
            if name in self.steps:
                setattr(trainer, name, self.steps[name])
            self.steps[name] = getattr(trainer, name)


@contextmanager
def borrowed(
    kind: Hashable, module: nn.Module, make: Callable[[nn.Module], tuple[nn.Module, Optimizer]]
) -> Iterator[Kept]:
    """A network of this kind with the weights of `module`, which has its weights after the block.

    kind: equal for networks whose training steps are the same. make: makes loss and optimizer of a
    network. Nobody else has the network during the block. It is not kept after an error, or if its
    steps could not be compiled.
    """
    kept = _kept.pop(kind, None)
    if kept is None:
        copy = deepcopy(module)
        loss, optimizer = make(copy)
        kept = Kept(copy, loss, optimizer, deepcopy(optimizer.state_dict()), {})
    else:
        kept.module.load_state_dict(module.state_dict())
        kept.optimizer.load_state_dict(kept.before)
    try:
        yield kept
    finally:
        module.load_state_dict(kept.module.state_dict())
    if all(step.is_compiled for step in kept.steps.values()):
        _kept[kind] = kept
    for old in [*_kept][:-MOST]:
        _kept.pop(old, None)
