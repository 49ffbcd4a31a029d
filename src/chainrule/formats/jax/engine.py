"""The Trainer's steps by JAX, on the device that JAX has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from chainrule import tree
from chainrule.errors import ArgumentError
from chainrule.formats.jax.step import JaxStep, State, to_jax
from chainrule.tensor import Tensor, wrap
from chainrule.train.step import EvaluationStep, Step, TrainingStep
from chainrule.train.training import Callback, Training


class JaxEngine(Callback):
    """A callback that makes a Trainer compute its steps by JAX.

    The state stays on the device from step to step, and its numbers are copied to the tensors after
    each step, where metrics, checkpoints and callbacks read them.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> data, model = cr.data.blobs(60), nn.Linear(2, 3)
    >>> trainer = cr.Trainer(
    ...     model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1),
    ...     callbacks=[JaxEngine()], progress=False)
    >>> len(trainer.fit(data, epochs=2))
    2
    """

    order = -100

    def on_fit_begin(self, trainer: Training) -> None:
        if trainer.shards is not None:
            raise ArgumentError(
                "JAX computes whole batches, on one rank",
                given=f"{trainer.shards} shards",
                instead="Leave out shards and ranks, or train without JAX.",
            )
        schedule = trainer.scheduler if trainer.schedule_every == "step" else None
        step = TrainingStep(
            trainer.model, trainer.loss, trainer.optimizer, schedule, trainer.clip_norm
        )
        trainer.training_step = _ByJax(step)
        trainer.evaluation_step = _ByJax(EvaluationStep(trainer.model, trainer.loss))


class _ByJax:
    """A step of the Trainer: a program for each spec of its inputs, captured again if a value that
    Python code reads has changed."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.programs: dict[Any, _Program] = {}

    def __call__(self, inputs: Sequence[Tensor], targets: Any) -> tuple[Tensor, Any]:
        key = tuple(leaf.spec for leaf in tree.flatten((inputs, targets)))
        if key not in self.programs or self.programs[key].step.guards.broken():
            self.programs[key] = _Program(to_jax(self.step, inputs, targets))
        found: tuple[Tensor, Any] = self.programs[key](inputs, targets)
        return found


class _Program:
    def __init__(self, step: JaxStep) -> None:
        self.step = step
        self.run = jax.jit(step.run)
        self.state: State = {}
        self.stored: dict[str, Any] = {}

    def __call__(self, *inputs: Any) -> Any:
        arrays = [leaf.detach().numpy() for leaf in tree.flatten(inputs)]
        state, result, conditions = self.run(self._current(), *arrays)
        for holds, error in zip(conditions, self.step.requirements, strict=True):
            if not holds:
                raise error
        self.step.store(state)
        self.state, self.stored = state, {n: s.load() for n, s in self.step.slots.items()}
        return tree.map_leaves(
            lambda y: wrap(np.asarray(y)) if isinstance(y, jax.Array) else y, result
        )

    def _current(self) -> State:
        """The state: what is still on the device, and from the tensors what changed since."""
        fresh = {
            name: slot.load()
            for name, slot in self.step.slots.items()
            if slot.load() is not self.stored.get(name)
        }
        with jax.enable_x64(True):
            return {**self.state, **{n: jax.numpy.asarray(x) for n, x in fresh.items()}}
