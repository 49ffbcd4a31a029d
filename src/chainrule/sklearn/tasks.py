"""scikit-learn's own callbacks, where the installed version has them (1.9): an epoch is a task."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

from chainrule.train.training import Callback, Training

M = TypeVar("M", bound=Callable[..., Any])

try:
    from sklearn import callback
except ImportError:  # scikit-learn before 1.9
    callback = None


class NoCallbacks:
    """What the estimators inherit where scikit-learn has no callbacks: nothing."""


CallbackSupport: Any = NoCallbacks if callback is None else callback.CallbackSupportMixin


def with_callbacks(method: M) -> M:
    """A method that trains, after which scikit-learn's callbacks end, also after an error."""
    managed: M = method if callback is None else callback.with_callbacks(method)
    return managed


def given(X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """What `fit` received, as the callbacks take it."""
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"X": X, "y": y, "metadata": metadata}


class EpochTasks(Callback):
    """Tells scikit-learn's callbacks of an estimator about `fit` and its epochs.

    data: see :func:`given`.
    """

    def __init__(self, estimator: Any, epochs: int, data: dict[str, Any]) -> None:
        self.told = {"estimator": estimator, **data}
        self.whole = estimator._init_callback_context(max_subtasks=epochs)

    def on_fit_begin(self, trainer: Training) -> None:
        self.whole.call_on_fit_task_begin(**self.told)

    def on_epoch_begin(self, trainer: Training) -> None:
        self.task = self.whole.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(**self.told, **_fitted(trainer))

    def on_epoch_end(self, trainer: Training) -> None:
        if self.task.call_on_fit_task_end(**self.told, **_fitted(trainer)):
            trainer.stop("a callback of scikit-learn stopped the training")

    def on_fit_end(self, trainer: Training) -> None:
        self.whole.call_on_fit_task_end(**self.told, **_fitted(trainer))


def _fitted(trainer: Training) -> dict[str, Any]:
    """What makes a copy of the estimator one whose training ended here."""
    return {"reconstruction_attributes": lambda: {"module_": deepcopy(trainer.model).eval()}}
