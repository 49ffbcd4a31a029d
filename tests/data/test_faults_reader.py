"""Fault H8: a reading thread that raises or dies ends the loop with an error, and soon."""

import ctypes
import queue
import threading
import time
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import ArrayDataset, DataLoader, Dataset


class Failing(Dataset):
    """Reads well, up to one sample."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> Any:
        if index == 50:
            raise self.error
        return np.ones(4, np.float32), np.int64(0)


@pytest.mark.parametrize("error", [OSError("disk gone"), MemoryError("full"), KeyError("x")])
def test_h8_a_readers_error_ends_the_training(error: Exception) -> None:
    model = nn.Linear(4, 2)
    trainer = cr.Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), progress=False
    )
    began = time.monotonic()
    with pytest.raises(type(error)) as caught:
        trainer.fit(DataLoader(Failing(error), 10, prefetch=2), epochs=2)
    assert time.monotonic() - began < 5
    assert "batch 5 of epoch 0" in "".join(caught.value.__notes__)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_h8_a_reader_that_dies_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two batches: an error within seconds, no hang."""
    put = queue.Queue.put

    def deadly(self: Any, item: Any, *args: Any, **options: Any) -> None:
        if threading.current_thread().name == "DataLoader" and self.unfinished_tasks >= 2:
            raise SystemError("killed")
        put(self, item, *args, **options)

    monkeypatch.setattr(queue.Queue, "put", deadly)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="reading thread is gone"):
        for _ in DataLoader(ArrayDataset(np.arange(100)), 2, prefetch=3):
            pass
    assert time.monotonic() - began < 5


def test_h8_a_thread_that_is_ended_from_outside() -> None:
    """An exception set in the reading thread arrives in the loop."""
    loader = DataLoader(Failing(OSError()), 1, prefetch=1)
    batches = iter(loader)
    next(batches)
    (reader,) = [t for t in threading.enumerate() if t.name == "DataLoader"]
    kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert kill(ctypes.c_ulong(reader.ident), ctypes.py_object(ConnectionError)) == 1
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        for _ in batches:
            pass
    assert time.monotonic() - began < 5 and not reader.is_alive()
