"""What befalls a training from outside: signals (H4, H5), errors of others (H7), full disks (H10),
memory that runs out (H13)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import small_trainer, weights

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import ArrayDataset, Dataset
from chainrule.train import Accuracy, Callback, JSONLHistory, Trainer


class At(Callback):
    """Does something after one step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            self.action()


# -- H4, H5: signals ---------------------------------------------------------------------------


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_H4_H5_a_signal_finishes_the_step_saves_and_returns(
    tmp_path: Path, data: ArrayDataset, number: int, capsys: Any
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    whole = small_trainer()
    whole.fit(data, epochs=4, batch_size=16)
    trainer = small_trainer(out=tmp_path, callbacks=[At(9, lambda: interrupt(number))])
    history = trainer.fit(data, epochs=4, batch_size=16)
    assert trainer.step == 9 and history.interrupted == signal.Signals(number).name
    assert "resume=True" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    again = small_trainer(seed=7, out=tmp_path)
    history = again.fit(data, epochs=4, batch_size=16, resume=True)
    assert weights(again) == weights(whole) and history.interrupted is None
    assert history["loss"] == whole.history["loss"]


def test_H4_the_second_interrupt_stops_now(data: ArrayDataset) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def twice() -> None:
        interrupt()
        interrupt()

    trainer = small_trainer(callbacks=[At(2, twice)])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data, epochs=4, batch_size=16)
    assert trainer.step == 2 and signal.getsignal(signal.SIGINT) is handler


def test_H4_an_interrupt_during_validation_is_resumed_before_it(
    tmp_path: Path, data: ArrayDataset, capsys: Any
) -> None:
    class Ringing(ArrayDataset):
        def gather(self, indices: Any, generator: Any = None) -> Any:
            interrupt()
            return super().gather(indices, generator)

    whole = small_trainer()
    whole.fit(data, valid=data, epochs=2)
    trainer = small_trainer(out=tmp_path)
    history = trainer.fit(data, valid=Ringing(*data.arrays), epochs=2)
    assert history.interrupted == "SIGINT" and trainer.step == 3 and len(history) == 0
    assert "saved to" in capsys.readouterr().err
    again = small_trainer(out=tmp_path)
    again.fit(data, valid=data, epochs=2, resume=True)
    assert weights(again) == weights(whole) and again.history["epoch"] == [1, 2]


def test_H4_other_threads_change_no_handlers(data: ArrayDataset) -> None:
    handler, seen = signal.getsignal(signal.SIGINT), []
    look = At(1, lambda: seen.append(signal.getsignal(signal.SIGINT)))
    trainer = small_trainer(callbacks=[look])
    thread = threading.Thread(target=lambda: trainer.fit(data, epochs=1))
    thread.start()
    thread.join()
    assert seen == [handler] and len(trainer.history) == 1


# -- H7, H10, H13: what others break -----------------------------------------------------------


class Broken(Dataset):
    def __init__(self, bad: int = 37) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        if index == self.bad:
            raise KeyError("no such patient")
        return np.full(6, index / 64, np.float32), index % 2


class BrokenMetric(Accuracy):
    def update(self, outputs: Any, targets: Any) -> None:
        raise ZeroDivisionError("metric")


def fail() -> None:
    raise LookupError("callback")


@pytest.mark.parametrize(
    ("error", "options", "where"),
    [
        (KeyError, {}, "__getitem__"),
        (ZeroDivisionError, {"metrics": [BrokenMetric()]}, "update"),
        (LookupError, {"callbacks": [At(3, fail)]}, "fail"),
    ],
)
def test_H7_errors_of_others_keep_their_traceback_and_the_state_is_saved(
    tmp_path: Path, error: type[Exception], options: Any, where: str
) -> None:
    trainer = small_trainer(out=tmp_path, checkpoint_on_error=True, **options)
    data = Broken(37 if error is KeyError else -1)
    with pytest.raises(error) as caught:
        trainer.fit(data, epochs=30, batch_size=8)
    assert caught.traceback[-1].name == where
    notes = "\n".join(caught.value.__notes__)
    assert "epoch 1" in notes and "after step" in notes
    if error is KeyError:
        assert "sample 37" in notes
        again = small_trainer(out=tmp_path)
        again.fit(Broken(-1), epochs=2, batch_size=8, resume=True)
        whole = small_trainer()
        whole.fit(Broken(-1), epochs=2, batch_size=8)
        assert weights(again) == weights(whole)


def test_H10_a_history_that_cannot_be_written_is_one_warning(
    tmp_path: Path, data: ArrayDataset
) -> None:
    path = tmp_path / "gone" / "history.jsonl"
    trainer = small_trainer(callbacks=[JSONLHistory(path)])
    with pytest.warns(UserWarning, match="training goes on") as caught:
        history = trainer.fit(data, epochs=3)
    assert len(caught) == 1 and len(history) == 3


class Hungry(nn.Module):
    """Runs out of memory for batches larger than 16, after it has drawn random numbers."""

    def forward(self, x: Any) -> Any:
        noise = cr.rand(2)
        if len(x) > 16:
            raise MemoryError("Unable to allocate 9 TiB for an array with shape (1234, 5678)")
        return x + noise.sum()


def test_H13_out_of_memory_leaves_the_state_and_a_smaller_batch_works(data: ArrayDataset) -> None:
    cr.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(6), Hungry(), nn.Linear(6, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)
    before = weights(trainer)
    with pytest.raises(MemoryError, match=r"shape \(1234, 5678\)"):
        trainer.fit(data, batch_size=32)
    assert weights(trainer) == before
    assert len(trainer.fit(data, batch_size=16)) == 1
