"""Callbacks: their moments and order, early stopping, history, progress, statistics; H14."""

from __future__ import annotations

import io
import json
import math
import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_training import small_trainer

from chainrule.data import ArrayDataset
from chainrule.errors import ArgumentError, MissingDependencyError
from chainrule.train import (
    Accuracy,
    Callback,
    EarlyStopping,
    History,
    LayerStatistics,
    Metric,
    ModelCheckpoint,
    Progress,
    TensorBoard,
    TopK,
    Trainer,
)
from chainrule.train.callbacks import Log
from chainrule.train.history import Best
from chainrule.train.metrics import direction
from chainrule.train.progress import Standing, laid_out


class Recorder(Callback):
    def __init__(self, name: str, order: int, seen: list[str]) -> None:
        self.name, self.order, self.seen = name, order, seen

    def on_fit_begin(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name} fit")

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name} epoch {trainer.epoch}")

    def on_step_end(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name} step {trainer.step}")

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name} end {trainer.record['epoch']}")

    def on_fit_end(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name} done")


class Scores(Callback):
    """Replaces the loss of each epoch by a given one."""

    order = -50

    def __init__(self, *scores: float) -> None:
        self.scores = scores

    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.record["loss"] = self.scores[trainer.epoch - 1]


def test_the_moments_come_in_order(data: ArrayDataset) -> None:
    seen: list[str] = []
    callbacks = [Recorder("late", 9, seen), Recorder("early", -9, seen)]
    small_trainer(callbacks=callbacks).fit(data, epochs=2, batch_size=48)
    wanted = [
        "fit",
        "epoch 0",
        "step 1",
        "step 2",
        "end 1",
        "epoch 1",
        "step 3",
        "step 4",
        "end 2",
        "done",
    ]
    assert seen == [f"{name} {moment}" for moment in wanted for name in ("early", "late")]


def test_early_stopping_waits_and_restores_the_best(data: ArrayDataset) -> None:
    stopping = EarlyStopping(patience=2)
    kept: list[Any] = []

    class Keep(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            kept.append(deepcopy(trainer.model.state_dict()))

    trainer = small_trainer(callbacks=[Scores(3, 1, 2, 1, 9, 9), stopping, Keep()])
    history = trainer.fit(data, epochs=6)
    assert len(history) == 4 and stopping.best_epoch == 2
    assert history.stopped is not None and "for 2 epochs" in history.stopped
    now = trainer.model.state_dict()
    assert all((now[k].numpy() == kept[1][k].numpy()).all() for k in now)


def test_H14_nan_is_never_best(data: ArrayDataset, tmp_path: Path) -> None:
    for mode in ("min", "max"):
        best = Best(mode)
        assert [best.update(v) for v in (math.nan, 1.0, math.nan)] == [False, True, False]
    stopping, saved = EarlyStopping(patience=3), ModelCheckpoint(tmp_path)
    scores = Scores(math.nan, 2.0, math.nan, math.nan, math.nan)
    trainer = small_trainer(callbacks=[scores, stopping, saved])
    history = trainer.fit(data, epochs=5)
    assert stopping.best_epoch == 2 and saved.best is not None and saved.best.value == 2.0
    assert history.best("loss")["epoch"] == 2


class Regret(Metric):
    """A metric of one's own, of which less is better: the share of wrong answers."""

    name, rises = "regret", False

    def __init__(self) -> None:
        self.state = np.zeros(2)

    def update(self, outputs: Any, targets: Any) -> None:
        self.state += (np.sum(outputs.argmax(axis=1) != targets), len(targets))

    def compute(self) -> float:
        return float(self.state[0] / max(self.state[1], 1))


class Added(Callback):
    """A number of the epoch that is no metric."""

    order = -1

    def on_epoch_end(self, trainer: Any) -> None:
        trainer.record["speed"] = float(trainer.epoch)


def test_metrics_say_whether_they_rise(data: ArrayDataset) -> None:
    assert {n: direction(n) for n in ("valid_loss", "accuracy", "valid_r2", "mae")} == {
        "valid_loss": "min",
        "accuracy": "max",
        "valid_r2": "max",
        "mae": "min",
    }
    for name, better in (("regret", "min"), ("valid_top2", "max")):
        stopping = EarlyStopping(3, monitor=name)
        trainer = small_trainer(callbacks=[stopping], metrics=[Regret(), TopK(2)])
        history = trainer.fit(data, data, epochs=3)
        pick = min if better == "min" else max
        assert stopping.best.mode == better
        assert stopping.best.value == pick(history[name]) == history.best(name)[name]
    with pytest.raises(ArgumentError, match=r"speed should rise or fall.*mode"):
        small_trainer(callbacks=[Added(), EarlyStopping(3, "speed")]).fit(data)
    stopping = EarlyStopping(3, "speed", mode="max")
    small_trainer(callbacks=[Added(), stopping]).fit(data, epochs=2)
    assert stopping.best.value == 2.0
    with pytest.raises(ArgumentError, match="up"):
        Best("up")


@pytest.mark.parametrize("bad", [0, -1, 1.5, math.nan, math.inf, "x", True])
def test_counts_are_whole_numbers(bad: Any, tmp_path: Path) -> None:
    for make in (
        lambda: EarlyStopping(bad),
        lambda: LayerStatistics(bad),
        lambda: TopK(bad),
        lambda: ModelCheckpoint(tmp_path, every=bad),
        lambda: ModelCheckpoint(tmp_path, keep_last=bad),
        lambda: small_trainer(out=tmp_path, checkpoint_every=bad),
    ):
        with pytest.raises(ArgumentError, match="integer ≥ 1"):
            make()
    for make in (
        lambda: EarlyStopping(min_delta=math.nan),
        lambda: Accuracy(threshold=math.nan),
        lambda: small_trainer(clip_norm=math.nan),
    ):
        with pytest.raises(ArgumentError):
            make()


def test_H10_a_log_that_fails_is_one_warning(data: ArrayDataset, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    class Failing(Log):
        def on_epoch_end(self, trainer: Any) -> None:
            self.attempt(lambda: (tmp_path / "folder").write_text("x"))

    with pytest.warns(UserWarning, match="Failing no longer writes") as caught:
        assert len(small_trainer(callbacks=[Failing()]).fit(data, epochs=3)) == 3
    assert len(caught) == 1


def test_a_quantity_that_is_not_there_is_named(data: ArrayDataset) -> None:
    trainer = small_trainer(callbacks=[EarlyStopping(monitor="val_loss")])
    with pytest.raises(ArgumentError, match=r"val_loss.*accuracy"):
        trainer.fit(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(0),
        lambda: LayerStatistics(0),
        lambda: ModelCheckpoint("x", every=0),
        lambda: ModelCheckpoint("x", on_error="ignore"),
    ],
)
def test_nonsense_is_refused(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


def test_the_history_file_has_a_line_for_each_epoch(tmp_path: Path, data: ArrayDataset) -> None:
    trainer = small_trainer(out=tmp_path, callbacks=[LayerStatistics(1)])
    trainer.fit(data, valid=data, epochs=3)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == list(trainer.history)


def test_the_history_file_holds_no_nan(tmp_path: Path, data: ArrayDataset) -> None:
    trainer = small_trainer(out=tmp_path, callbacks=[Scores(math.nan)])
    trainer.fit(data)
    assert json.loads((tmp_path / "history.jsonl").read_text())["loss"] is None


def test_statistics_are_those_of_the_gradients_and_steps(data: ArrayDataset) -> None:
    trainer = small_trainer(callbacks=[LayerStatistics(1)])
    before = trainer.model[0].weight.detach().numpy().copy()
    record = trainer.fit(data, batch_size=96)[0]
    g = trainer.model[0].weight.grad.numpy()
    after = trainer.model[0].weight.detach().numpy()
    # 1e-6: both are float32 sums of 48 squares.
    assert record["gradient"]["0.weight"] == pytest.approx(np.sqrt((g**2).mean()), rel=1e-6)
    moved = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert record["update"]["0.weight"] == pytest.approx(moved, rel=1e-5)
    assert list(record["gradient"]) == [name for name, _ in trainer.model.named_parameters()]


def test_progress_without_a_terminal_is_plain_lines(data: ArrayDataset, capsys: Any) -> None:
    small_trainer(progress=True).fit(data, valid=data, epochs=60)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and 20 <= len(lines) <= 30 and lines[-1].startswith("epoch 60  loss 0.")
    assert "valid_accuracy" in lines[0] and "\x1b" not in err


NUMBERS = {"loss": 0.5, "valid_accuracy": 0.91, "valid_loss": 1234.5}
STANDINGS = [
    Standing(3, 40, 0.07, NUMBERS, 7.0),
    Standing(12345, 99999, 0.12, NUMBERS, 40_000.0),
    Standing(1, 1, 0.0, {"loss": math.nan}, 0.0),
]


@pytest.mark.parametrize("standing", STANDINGS)
@pytest.mark.parametrize("width", [*range(0, 130, 7), 40, 80])
def test_the_line_of_a_bar_fits_and_cuts_no_text(standing: Standing, width: int) -> None:
    before, after, bar = laid_out(standing, width)
    line = "  ".join(filter(None, [before, "━" * bar, after]))
    assert len(line) <= max(width, len(before)) and bar >= 0
    whole = {*standing.texts, *standing.times, ""}
    assert set(after.split("  ")) <= whole and before.endswith(f"/{standing.epochs}")


def test_at_80_columns_the_line_has_both_times_and_at_40_what_is_left() -> None:
    wide, narrow = laid_out(STANDINGS[0], 77)[1], laid_out(STANDINGS[0], 37)[1]
    assert wide == "loss 0.5000  valid accuracy 0.9100  elapsed 0:07  left 1:32"
    assert narrow == "loss 0.5000  left 1:32"


def test_fit_can_show_or_hide_the_bar_once(data: ArrayDataset, capsys: Any) -> None:
    trainer = small_trainer(progress=True)
    trainer.fit(data, progress=False)
    assert capsys.readouterr().err == ""
    trainer.fit(data)
    assert "epoch 2" in capsys.readouterr().err
    quiet = small_trainer()
    quiet.fit(data, progress=True)
    assert "epoch 1" in capsys.readouterr().err
    quiet.fit(data)
    assert capsys.readouterr().err == ""


def test_in_a_notebook_the_bar_is_one_display(
    data: ArrayDataset, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPython as a kernel has it: each state of the bar replaces the one before."""
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda page: shown.append(page))
    display = ModuleType("IPython.display")
    display.HTML = str  # type: ignore[attr-defined]
    display.display = lambda page, display_id: shown.append(page) or handle  # type: ignore
    shell = ModuleType("IPython")
    shell.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    small_trainer(progress=True).fit(data, valid=data, epochs=3)
    assert capsys.readouterr().err == "" and len(shown) >= 1
    assert '<progress value="1.0000" max="1">' in shown[-1] and "epoch 3/3" in shown[-1]
    assert all(page.startswith("<span>epoch") for page in shown)


def test_progress_on_a_terminal_is_one_bar(
    data: ArrayDataset, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    small_trainer(callbacks=[Progress()]).fit(data, epochs=3)
    err = capsys.readouterr().err
    assert "epoch 3/3" in err and "loss 0." in err


class Gone(io.StringIO):
    """A stream whose reader is gone."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: dict[str, Any] = {
    "none": lambda: None,
    "closed": closed,
    "broken pipe": lambda: Gone(False),
    "a terminal that is gone": lambda: Gone(True),
}


@pytest.mark.parametrize("name", STREAMS)
def test_no_state_of_standard_error_stops_training(
    data: ArrayDataset, monkeypatch: pytest.MonkeyPatch, name: str, capsys: Any
) -> None:
    class Stop(Callback):
        def on_step_end(self, trainer: Any) -> None:
            trainer.stop("enough")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", STREAMS[name]())
    assert len(small_trainer(progress=True).fit(data, epochs=3)) == 3
    assert small_trainer(progress=True, callbacks=[Stop()]).fit(data).stopped == "enough"
    monkeypatch.undo()
    assert capsys.readouterr().out == ""


def test_tensorboard_gets_every_number(tmp_path: Path, data: ArrayDataset) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `logs` is not installed")
    callbacks = [TensorBoard(tmp_path), LayerStatistics(1)]
    small_trainer(callbacks=callbacks).fit(data, valid=data, epochs=2)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for name in (b"valid_accuracy", b"loss", b"gradient/0.weight"):
        assert name in content


def test_K10_a_missing_library_names_its_extra(
    tmp_path: Path, data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependencyError, match=r"chainrule\[logs\]"):
        small_trainer(callbacks=[TensorBoard(tmp_path)]).fit(data)


def test_history_is_read_by_name_and_by_epoch() -> None:
    history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "accuracy": 0.5}])
    assert history["accuracy"] == [None, 0.5] and history[-1]["epoch"] == 2
    assert history[:1] == [{"epoch": 1, "loss": 2.0}] and "epoch 2" in repr(history)
    with pytest.raises(ArgumentError, match="finite"):
        History([{"loss": math.nan}]).best("loss")
