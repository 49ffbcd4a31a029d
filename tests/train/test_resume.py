"""A training that is killed and resumed gives the same bits: H1 to H3, F9, F11, F12, F14, F16 to
F18."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import small_data, small_trainer, weights
from strange import GONE, places, replaced

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import ArrayDataset, Compose, RandomShift
from chainrule.errors import ArgumentError, ChainruleError, CheckpointError, FormatError
from chainrule.train import Callback, EarlyStopping, LayerStatistics, ModelCheckpoint, Trainer
from chainrule.train.io.checkpoints import CheckpointFolder
from chainrule.train.io.files import load
from chainrule.train.io.lock import locked

HERE = Path(__file__).parent
EPOCHS, BATCH, STEPS = 5, 8, 12

TRAIN = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from test_resume import train
train(sys.argv[1], int(sys.argv[2]), resume=True)
"""


class KillAt(Callback):
    """Ends the process the hard way after a step, as a power failure would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def train(out: Any, kill_at: int = -1, resume: bool = False, every: int = 3) -> Trainer:
    """A training with every kind of state: shuffling, augmentation, dropout, batch norm, Adam, a
    schedule, early stopping that remembers weights, statistics, and metrics in mid-epoch."""
    cr.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.random((96, 1, 6, 6)).astype(np.float32)
    y = (x[:, 0, :3].mean(axis=(1, 2)) > x[:, 0, 3:].mean(axis=(1, 2))).astype(np.int64)
    data = ArrayDataset(x[:96], y[:96], transform=Compose([RandomShift(1)]))
    valid = ArrayDataset(x[:40], y[:40])
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(48, 2),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        out=out,
        checkpoint_every=every,
        clip_norm=1.0,
        scheduler=optim.OneCycleLR(optimizer, 0.02, total_steps=EPOCHS * STEPS),
        callbacks=[EarlyStopping(3), LayerStatistics(4), KillAt(kill_at)],
        seed=4,
        progress=False,
    )
    trainer.fit(data, valid, epochs=EPOCHS, batch_size=BATCH, resume=resume)
    return trainer


def without_time(trainer: Trainer) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in trainer.history]


def assert_same_bits(out: Path, whole: Trainer) -> None:
    """The folder's run, finished, is the uninterrupted one: weights, history, best, files."""
    finished = train(out, resume=True)
    assert weights(finished) == weights(whole)
    assert without_time(finished) == without_time(whole)
    lines = (out / "history.jsonl").read_text().splitlines()
    assert len(lines) == len(finished.history)
    for one, two in zip(finished.callbacks, whole.callbacks, strict=True):
        if isinstance(one, EarlyStopping) and isinstance(two, EarlyStopping):
            assert (one.best.value, one.waited) == (two.best.value, two.waited)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return train(tmp_path_factory.mktemp("whole"))


def killed(out: Path, step: int) -> None:
    process = subprocess.run([sys.executable, "-c", TRAIN, str(out), str(step)], timeout=120)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", [2, 12, 31, 47])
def test_H1_H2_killed_at_a_step_and_resumed_gives_the_same_bits(
    tmp_path: Path, whole: Trainer, step: int
) -> None:
    killed(tmp_path, step)
    assert_same_bits(tmp_path, whole)


@pytest.mark.slow
def test_H1_F11_twenty_kills_at_random_times_give_the_same_bits(
    tmp_path: Path, whole: Trainer
) -> None:
    rng = np.random.default_rng(5)
    for trial in range(20):
        out = tmp_path / str(trial)
        process = subprocess.Popen([sys.executable, "-c", TRAIN, str(out), "-1"])
        while process.poll() is None and not (out / "checkpoints").exists():
            time.sleep(0.01)
        time.sleep(float(rng.random()) * 0.5)
        process.kill()
        process.wait()
        assert_same_bits(out, whole)


def test_H1_killed_twice(tmp_path: Path, whole: Trainer) -> None:
    killed(tmp_path, 17)
    killed(tmp_path, 40)
    assert_same_bits(tmp_path, whole)


def test_resuming_a_finished_training_changes_nothing(tmp_path: Path, whole: Trainer) -> None:
    train(tmp_path)
    assert_same_bits(tmp_path, whole)


def test_checkpoints_after_epochs_alone_resume_too(tmp_path: Path, data: ArrayDataset) -> None:
    def run(epochs: int, **options: Any) -> Trainer:
        trainer = small_trainer(out=tmp_path, callbacks=[ModelCheckpoint(tmp_path / "c")])
        trainer.fit(data, epochs=epochs, **options)
        return trainer

    run(2)
    resumed = run(5, resume=True)
    whole = small_trainer()
    whole.fit(data, epochs=5)
    assert weights(resumed) == weights(whole)


# -- H3, F9, F16, F17: what does not fit -------------------------------------------------------


def started(out: Path, data: ArrayDataset) -> None:
    small_trainer(out=out, checkpoint_every=1).fit(data, epochs=1, batch_size=16)


def test_H3_other_batches_data_or_rates_are_an_error(tmp_path: Path, data: ArrayDataset) -> None:
    started(tmp_path, data)
    faults: list[tuple[Any, dict[str, Any], str]] = [
        (small_trainer(out=tmp_path), {"batch_size": 8}, "batch_size was 16 and is 8"),
        (small_trainer(out=tmp_path, lr=0.5), {}, r"lr was 0\.01 and is 0\.5"),
        (small_trainer(out=tmp_path, clip_norm=1.0), {}, "clip_norm was None and is 1.0"),
    ]
    for trainer, options, words in faults:
        before = weights(trainer)
        with pytest.raises(CheckpointError, match=words):
            trainer.fit(data, epochs=2, resume=True, **{"batch_size": 16, **options})
        assert weights(trainer) == before and trainer.step == 0
    trainer = small_trainer(out=tmp_path)
    with pytest.raises(CheckpointError, match="length was 96 and is 90"):
        trainer.fit(data.take(np.arange(90)), epochs=2, batch_size=16, resume=True)


def test_H3_with_override_the_new_setup_holds(tmp_path: Path, data: ArrayDataset) -> None:
    started(tmp_path, data)
    trainer = small_trainer(out=tmp_path, lr=0.5)
    trainer.fit(data, epochs=2, batch_size=8, resume=True, override=True)
    assert trainer.step == 6 + 12 and trainer.history["lr"] == [0.01, 0.5]


def test_F9_another_kind_class_or_version_loads_nothing(tmp_path: Path, data: ArrayDataset) -> None:
    started(tmp_path, data)
    state = CheckpointFolder(tmp_path / "checkpoints").newest()[0]  # type: ignore[index]
    trainer = small_trainer()
    before = weights(trainer)
    for change, words in (
        ({"version": 2}, "version 2.*version 1"),
        ({"kind": "other"}, "not the state"),
        ({"setup": {**state["setup"], "optimizer": "Shampoo"}}, "Shampoo and is Adam"),
        ({"setup": {**state["setup"], "model": "GPT"}}, "GPT and is Sequential"),
    ):
        with pytest.raises(CheckpointError, match=words):
            trainer.load_state_dict({**state, **change})
    assert weights(trainer) == before and trainer.step == 0
    other = small_trainer(width=9)
    before = weights(other)
    with pytest.raises(ArgumentError, match="shape"):
        other.load_state_dict(state)
    assert weights(other) == before


STRANGE: list[Any] = [GONE, None, -1, 0.5, "x", [[]], {"x": 1}, cr.ones(3)]


def test_whatever_a_state_holds_is_taken_or_explained(data: ArrayDataset) -> None:
    """Each value of a state replaced by another: an error of ours, and nothing has changed."""
    options: Any = {"callbacks": [EarlyStopping(3), LayerStatistics(2)], "metrics": ["f1"]}
    trainer = small_trainer(**options)
    trainer.scheduler = optim.ExponentialLR(trainer.optimizer, 0.9)
    trainer.fit(data, epochs=1)
    whole, before, explained = trainer.state_dict(), weights(trainer), 0
    for place in list(places(whole))[1:]:
        for strange in STRANGE:
            try:
                trainer.load_state_dict(replaced(whole, place, strange))
            except ChainruleError:
                explained += 1
                assert weights(trainer) == before and trainer.epoch == 1, (place, strange)
            except Exception as error:
                raise AssertionError(f"{place} = {strange!r:.60}") from error
            trainer.load_state_dict(whole)
    assert explained > 300


def test_a_callback_whose_state_would_be_lost_is_missed(tmp_path: Path, data: Any) -> None:
    trainer = small_trainer(callbacks=[EarlyStopping(3)])
    trainer.fit(data, epochs=1)
    with pytest.raises(CheckpointError, match="EarlyStopping"):
        small_trainer().load_state_dict(trainer.state_dict())


def test_another_run_is_not_overwritten(tmp_path: Path, data: ArrayDataset) -> None:
    started(tmp_path, data)
    before = sorted(p.read_bytes() for p in (tmp_path / "checkpoints").iterdir())
    with pytest.raises(CheckpointError, match="resume=True"):
        small_trainer(out=tmp_path).fit(data)
    assert sorted(p.read_bytes() for p in (tmp_path / "checkpoints").iterdir()) == before
    with pytest.raises(ArgumentError, match="out="):
        small_trainer().fit(data, resume=True)


def test_F16_a_second_process_is_refused_at_the_start(tmp_path: Path, data: ArrayDataset) -> None:
    code = (
        "import sys, time\nfrom chainrule.train.io.lock import locked\n"
        "with locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        trainer = small_trainer(out=tmp_path)
        with pytest.raises(CheckpointError, match=f"process {holder.pid} on"):
            trainer.fit(data)
        assert trainer.step == 0
    finally:
        holder.kill()
        holder.communicate()
    with locked(tmp_path):
        pass
    trainer.fit(data)


def test_F16_two_trainings_do_not_share_a_folder_of_checkpoints(
    tmp_path: Path, data: ArrayDataset
) -> None:
    """Without `out`, and from one process as from two."""
    link = tmp_path / "link"
    (tmp_path / "real").mkdir()
    link.symlink_to(tmp_path / "real")
    refused: list[str] = []

    class Second(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            for folder in (tmp_path / "real", link):
                other = small_trainer(callbacks=[ModelCheckpoint(folder)])
                with pytest.raises(CheckpointError, match=f"in use by process {os.getpid()}"):
                    other.fit(data)
                refused.append(str(folder))

    callbacks = [ModelCheckpoint(tmp_path / "real"), Second(), ModelCheckpoint(link)]
    small_trainer(callbacks=callbacks).fit(data)
    assert len(refused) == 2
    again = small_trainer(callbacks=[ModelCheckpoint(link), ModelCheckpoint(link)])
    assert len(again.fit(data, epochs=2, resume=True)) == 2


def test_F17_a_folder_deleted_while_training_is_a_warning(
    tmp_path: Path, data: ArrayDataset
) -> None:
    import shutil

    class Delete(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    trainer = small_trainer(out=tmp_path / "run", callbacks=[Delete()])
    with pytest.warns(UserWarning, match="no longer writes|no checkpoint"):
        assert len(trainer.fit(data, epochs=3)) == 3


# -- F12, F14, F18: the folder of checkpoints --------------------------------------------------


def test_keep_last_and_best(tmp_path: Path, data: ArrayDataset) -> None:
    keep = ModelCheckpoint(tmp_path, every=1, keep_last=2)
    trainer = small_trainer(callbacks=[keep])
    trainer.fit(data, valid=data, epochs=4, batch_size=32)
    names = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    assert names == ["best.safetensors", "step-000000011.safetensors", "step-000000012.safetensors"]
    best = load(tmp_path / "best.safetensors")
    assert best["value"] == min(trainer.history["valid_loss"])
    assert trainer.history[best["epoch"] - 1]["valid_loss"] == best["value"]


def test_F12_a_full_disk_is_a_warning_and_the_old_checkpoint_stays(
    tmp_path: Path, data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(tmp_path, data)
    files = sorted((tmp_path / "checkpoints").iterdir())
    before = [f.read_bytes() for f in files]

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "checkpoints")

    monkeypatch.setattr("chainrule.train.io.checkpoints.save", full)
    trainer = small_trainer(out=tmp_path, checkpoint_every=1)
    with pytest.warns(UserWarning, match="No space left"):
        trainer.fit(data, epochs=2, batch_size=16, resume=True)
    assert trainer.epoch == 2 and [f.read_bytes() for f in files] == before
    strict = small_trainer(callbacks=[ModelCheckpoint(tmp_path / "c", every=1, on_error="raise")])
    with pytest.raises(OSError, match="No space left"):
        strict.fit(data, epochs=1)


def test_F14_F18_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, whole: Trainer
) -> None:
    killed(tmp_path, 20)
    newest = CheckpointFolder(tmp_path / "checkpoints").files()[-1]
    with open(newest, "r+b") as file:
        file.truncate(1000)
    with pytest.warns(UserWarning, match="damaged"):
        assert_same_bits(tmp_path, whole)


def test_F18_nothing_is_deleted_before_the_new_one_is_verified(
    tmp_path: Path, data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(tmp_path, data)
    before = CheckpointFolder(tmp_path / "checkpoints").files()

    def rotten(*_: Any) -> None:
        raise FormatError("read back wrong")

    monkeypatch.setattr("chainrule.train.io.checkpoints.read", rotten)
    folder = CheckpointFolder(tmp_path / "checkpoints", keep_last=1)
    with pytest.raises(FormatError):
        folder.save({"x": 1}, 999)
    assert set(before) <= set(folder.files())


def test_all_damaged_is_an_error(tmp_path: Path, data: ArrayDataset) -> None:
    started(tmp_path, data)
    for path in (tmp_path / "checkpoints").glob("step-*"):
        path.write_bytes(b"x")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(CheckpointError, match="all 3"),
    ):
        small_trainer(out=tmp_path).fit(data, epochs=2, batch_size=16, resume=True)


def test_weights_that_are_not_finite_never_replace_a_checkpoint(
    tmp_path: Path, data: ArrayDataset
) -> None:
    class Poison(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            with cr.no_grad():
                trainer.model[0].bias.assign(float("nan"))

    trainer = small_trainer(out=tmp_path, callbacks=[Poison()])
    with pytest.raises(FloatingPointError, match=r"0\.bias.*not saved"):
        trainer.fit(data, epochs=1)
    assert CheckpointFolder(tmp_path / "checkpoints").files() == []


def test_the_data_of_these_tests_are_the_same_everywhere() -> None:
    assert (small_data().arrays[0] == small_data().arrays[0]).all()
