"""One training step and one evaluation step as functions of tensors, which `cr.compile`
compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule import engine
from chainrule.compiler import compile
from chainrule.errors import CaptureError, NonFiniteError, ShapeError
from chainrule.gateway import require
from chainrule.nn.module import Module
from chainrule.ops.reduce import all_finite
from chainrule.optim import Optimizer
from chainrule.optim.clip import clip_grad_norm_
from chainrule.settings import current
from chainrule.tensor import Tensor
from chainrule.train.arrays import fitted, forward
from chainrule.train.notices import say

Step = Callable[..., Any]


class TrainingStep:
    """One update: forward, loss, backward, clip, step, schedule. Returns (loss, outputs).

    Besides its arguments, it reads and writes only tensors. If the loss or a gradient is NaN or
    infinite, NonFiniteError is raised before anything is written.
    """

    def __init__(
        self,
        model: Module,
        loss: Module,
        optimizer: Optimizer,
        scheduler: Any = None,
        clip_norm: float | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.scheduler, self.clip_norm = scheduler, clip_norm

    def __call__(self, inputs: Sequence[Tensor], targets: Any) -> tuple[Tensor, Any]:
        self.optimizer.zero_grad()
        loss, outputs = loss_of(self.model, self.loss, inputs, targets)
        loss.backward()
        self._update(loss)
        return loss, outputs

    def _update(self, loss: Tensor) -> None:
        """Check and clip the gradients, and make one step of the optimizer and the schedule."""
        weights = [p for group in self.optimizer.param_groups for p in group.params]
        gradients = [p.grad for p in weights if p.grad is not None]
        finite = all_finite(loss, *gradients)
        require(finite, NonFiniteError("the loss or a gradient is NaN or infinite"))
        if self.clip_norm is not None:
            clip_grad_norm_(weights, self.clip_norm)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()


class EvaluationStep:
    """Computes the loss and the outputs of a batch; writes nothing."""

    def __init__(self, model: Module, loss: Module) -> None:
        self.model, self.loss = model, loss

    def __call__(self, inputs: Sequence[Tensor], targets: Any) -> tuple[Tensor, Any]:
        return loss_of(self.model, self.loss, inputs, targets)


def loss_of(
    model: Module, loss: Module, inputs: Sequence[Tensor], targets: Any
) -> tuple[Tensor, Any]:
    """(loss, outputs) of a batch, with targets in the form that the loss declares."""
    outputs = forward(model, inputs)
    targets = fitted(getattr(loss, "predicts", None), outputs, targets)
    return one_number(loss(outputs, targets)), outputs


def one_number(loss: Tensor) -> Tensor:
    """The loss of a batch; ShapeError unless it is one number."""
    if loss.spec.size != 1:
        raise ShapeError(
            "the loss of a batch is one number",
            given=loss.spec,
            instead="Give the loss reduction='mean' or 'sum'.",
        )
    return loss.reshape(()) if loss.shape else loss


class CompiledStep:
    """A compiled step. If the step cannot be captured, it runs eagerly and prints the reason."""

    def __init__(self, step: Step) -> None:
        self.eager = step
        self.run: Step = compile(step)

    @property
    def is_compiled(self) -> bool:
        """Whether no capture has failed so far."""
        return self.run is not self.eager

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.run(*arguments)
        except CaptureError as error:
            if self.run is self.eager:
                raise
            say(f"steps run eagerly, not compiled: {error}")
            self.run = self.eager
            return self.run(*arguments)


def how_steps_run(compiled: bool) -> str:
    """A line that says whether steps are compiled, and on which engine they run."""
    if not compiled:
        return "each step eagerly, op by op"
    if engine.available() and current().engine == "native":
        facts = engine.describe()
        return f"compiled, one call each ({facts['instruction_set']}, {facts['threads']} threads)"
    reason = engine.why_not() or "switched off"
    return f"compiled, on NumPy, without the native engine ({reason})"
