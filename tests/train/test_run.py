"""Runs: configs read strictly (F9, F10, K9), models as data, files of one's own, reports."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strange import GONE, places, replaced

import chainrule as cr
from chainrule import nn
from chainrule.data import digits
from chainrule.errors import ArgumentError, ChainruleError, CheckpointError, FormatError
from chainrule.train import save
from chainrule.train.runs.architecture import LAYERS, build, cnn, mlp
from chainrule.train.runs.config import DataConfig, load_config
from chainrule.train.runs.configure import configure, safe_name
from chainrule.train.runs.page import summary_rows, write_report
from chainrule.train.runs.run import Run, load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = configure(DataConfig("digits"), hidden=[16], epochs=4)
    run = Run.create(tmp_path_factory.mktemp("runs") / "digits", config)
    run.train(progress=False)
    return run


def changed(folder: Path, run: Run, change: Any) -> Path:
    """A copy of the run's config with one change, in a folder of its own."""
    config = json.loads(Path(run.path("config.json")).read_text())
    change(config)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# -- the config --------------------------------------------------------------------------------


def test_a_config_comes_back_as_it_was(run: Run) -> None:
    assert load_config(run.folder) == run.config
    assert run.config.inputs.transform["name"] == "Compose"
    assert run.config.versions["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(colour="red"), "unknown key colour"),
        (lambda c: c["training"].update(momentum=1), r"unknown key training\.momentum"),
        (lambda c: c["training"].update(lr="0.1"), r"training\.lr has the wrong type"),
        (lambda c: c["training"].update(epochs=True), r"training\.epochs has the wrong type"),
        (lambda c: c["training"].pop("lr"), r"missing key training\.lr"),
        (lambda c: c.update(data=[]), r"data has the wrong type.*an object"),
        (lambda c: c.update(format=99), "format 99.*at most 1"),
    ],
)
def test_K9_F9_a_config_is_read_strictly(tmp_path: Path, run: Run, change: Any, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        load_config(changed(tmp_path / "run", run, change))


STRANGE: list[Any] = [GONE, None, True, 5, -1, 10**400, 1e300, "x", [], [[]], {}, {"x": {}}]


def test_K9_whatever_a_config_holds_is_read_or_explained(tmp_path: Path) -> None:
    """Each value of a config gone, or another: a run that works, or an error of ours."""
    config = configure(DataConfig("moons"), hidden=[3], epochs=1, batch_size=200)
    run = Run.create(tmp_path / "run", config)
    run.train(progress=False)
    x = tmp_path / "x.npy"
    np.save(x, np.zeros((2, 2), np.float32))
    whole = json.loads((tmp_path / "run" / "config.json").read_text())
    explained = 0
    for place in list(places(whole))[1:]:
        for strange in STRANGE:
            changed_config = replaced(whole, place, strange)
            (tmp_path / "run" / "config.json").write_text(json.dumps(changed_config))
            try:
                opened = load_run(tmp_path / "run")
                summary_rows(opened)
                opened.predict(x)
                opened.evaluate(opened.data[1])
                opened.trainer(3, progress=False)
            except (ChainruleError, OSError):
                explained += 1
            except Exception as error:
                raise AssertionError(f"{place} = {strange!r:.40}") from error
    assert explained > 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1, column 2"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[]", "no object"),
        ("!!python/object/apply:os.system ['true']", "not JSON"),
        ("\xff", "UTF-8"),
        ("[" * 100_000, "deep"),
    ],
)
def test_K9_what_is_no_json_is_refused_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=words):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "layers",
    [
        [{"layer": "os.system", "command": "touch canary"}],
        [{"layer": "Lambda", "function": "__import__('os')"}],
        [{"layer": "Linear", "in_features": 2, "out_features": "__import__('os')"}],
        [{"layer": "Linear", "in_features": 2}],
        [{"layer": "Linear", "nonsense": 3}],
        [{"layer": "Linear", "in_features": -1, "out_features": 2}],
        [{"layer": ["Linear"]}],
        ["Linear"],
        [],
        "Linear",
        None,
    ],
)
def test_F10_only_our_own_layers_are_built(tmp_path: Path, layers: Any) -> None:
    os.chdir(tmp_path)
    with pytest.raises(FormatError):
        build(layers)
    assert list(tmp_path.iterdir()) == []


def test_F10_a_run_of_unknown_loss_or_transform_is_refused(tmp_path: Path, run: Run) -> None:
    folder = changed(tmp_path / "a", run, lambda c: c.update(loss="os.system"))
    with pytest.raises(FormatError, match=r"unknown loss 'os\.system'"):
        _ = load_run(folder).loss
    with pytest.raises(CheckpointError, match="no run"):
        load_run(tmp_path)


def test_K12_names_of_runs_are_safe() -> None:
    for name in ("../../etc/passwd", "a b;rm -rf $HOME", ".hidden", "~", "", "x" * 500, "数字"):
        safe = safe_name(name)
        assert re.fullmatch(r"[\w.-]{1,80}", safe) and not safe.startswith((".", "-"))


# -- models ------------------------------------------------------------------------------------


def test_the_models_have_the_shapes_they_promise() -> None:
    assert build(mlp(4, [8, 6], 3))(cr.ones(2, 4)).shape == (2, 3)
    for shape in ((1, 8, 8), (3, 28, 28), (1, 5, 7)):
        assert build(cnn(shape, 10))(cr.ones(2, *shape)).shape == (2, 10)
    with pytest.raises(ArgumentError, match="too small"):
        cnn((1, 3, 3), 10)
    assert all(issubclass(layer, nn.Module) for layer in LAYERS.values())


MODEL = """
from chainrule import nn

def make(input_shape, outputs):
    return nn.Sequential(nn.Linear(input_shape[0], 5), nn.Tanh(), nn.Linear(5, outputs))

def fixed():
    return nn.Linear(64, 10)

def wrong(shape, outputs):
    return "a model"
"""


def test_a_model_of_ones_own_file(tmp_path: Path) -> None:
    file = tmp_path / "my model.py"
    file.write_text(MODEL)
    for function in ("make", "fixed"):
        config = configure(DataConfig("digits"), model=f"{file}:{function}", epochs=1)
        run = Run.create(tmp_path / function, config)
        run.train(progress=False)
        with pytest.raises(CheckpointError, match=r"my model\.py:.*--trust"):
            _ = load_run(run.folder).model
        assert load_run(run.folder, trust=True).evaluate(run.data[1])["accuracy"] > 0.1
        assert sum(row["parameters"] for row in summary_rows(run)) in (385, 650)
    with pytest.raises(TypeError, match="no Module"):
        Run.create(tmp_path / "w", configure(DataConfig("digits"), model=f"{file}:wrong"))
    assert not (tmp_path / "w").exists()
    file.write_text(MODEL + "# changed")
    with pytest.raises(ArgumentError, match="changed"):
        _ = load_run(tmp_path / "make", trust=True).model
    with pytest.raises(ArgumentError, match=r"FILE\.py:function"):
        configure(DataConfig("digits"), model="resnet")


# -- use ---------------------------------------------------------------------------------------


def test_an_opened_run_says_what_the_trained_one_said(run: Run) -> None:
    results = json.loads(Path(run.path("results.json")).read_text())["test"]
    opened = load_run(run.folder)
    again = opened.evaluate(opened.data[1])
    assert again["accuracy"] == results["accuracy"] > 0.8
    assert opened.evaluate(opened.open_like("digits")) == again
    _, test = digits()
    records = opened.records(test[:3][0])
    assert all(r["class"] == max(r["probabilities"], key=r["probabilities"].get) for r in records)
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("flat", [False, True], ids=["cnn", "mlp"])
def test_a_loaded_run_takes_what_its_training_data_was_made_of(
    tmp_path: Path, run: Run, flat: bool
) -> None:
    if not flat:
        config = configure(DataConfig("digits"), model="cnn", epochs=1)
        run = Run.create(tmp_path / "cnn", config)
        run.train(progress=False)
    loaded = cr.load_run(run.folder)
    _, test = digits(flat)
    raw, labels = test.arrays
    wanted = loaded.predict(test)
    assert wanted.dtype == np.int64 and (wanted == labels).mean() > 0.6
    np.save(tmp_path / "raw.npy", raw)
    shares = loaded.predict_proba(test)
    assert shares.shape == (359, 10) and loaded.classes == tuple("0123456789")
    for x in (
        raw,
        raw.astype(np.float64),
        raw[:, 0],
        raw.reshape(-1, 64).tolist(),
        cr.tensor(test[:][0]),  # floats up to 1: shares of the maximum
        tmp_path / "raw.npy",
    ):
        # The division by 16 and the product with it are exact; the batches are the same.
        np.testing.assert_array_equal(loaded.predict_proba(x), shares)
    assert loaded.predict(raw[3]) == loaded.predict(raw[3, 0]) == wanted[3]
    scores = loaded.evaluate()
    assert scores == loaded.evaluate(test) == loaded.evaluate(raw, labels)
    assert scores == loaded.evaluate((raw, [str(label) for label in labels]))
    with pytest.raises(ValueError, match=r"expected: \(n, \(1, 8, 8\)\)"):
        loaded.predict(np.zeros((3, 7), np.uint8))


def test_a_loaded_run_tells_its_story_and_trains_on(run: Run) -> None:
    loaded = cr.load_run(run.folder)
    assert len(loaded.history) == 4 and loaded.history.best("valid_accuracy")["epoch"] <= 4
    assert loaded.results["test"] == loaded.evaluate()
    assert repr(loaded).startswith(f"Run({run.folder!r}): mlp, digits, 4 epochs, loss 0.")
    assert np.array_equal(loaded.transform(np.full((1, 1, 8, 8), 8)), np.full((1, 64), 0.5))
    before = loaded.evaluate()["loss"]
    optimizer = cr.optim.Adam(loaded.model.parameters(), lr=1e-3)
    trainer = cr.Trainer(loaded.model, nn.CrossEntropyLoss(), optimizer, progress=False)
    trainer.fit(loaded.data[0], epochs=5)
    assert loaded.evaluate()["loss"] < 0.9 * before
    assert cr.load_run(run.folder).evaluate()["loss"] == before


def test_a_folder_of_a_trainer_is_no_run_and_says_how_to_load_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=r"cr\.load\(.*best\.safetensors"):
        cr.load_run(tmp_path)


def test_F9_weights_of_another_model_are_refused(tmp_path: Path, run: Run) -> None:
    folder = changed(tmp_path / "run", run, lambda c: None)
    save(nn.Linear(3, 3).state_dict(), folder / "model.safetensors")
    with pytest.raises(ArgumentError, match="does not fit"):
        _ = load_run(folder).model
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="--resume"):
        _ = load_run(folder).model


def table(path: Path, rows: int = 80) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2)) * [3, 50] + [10, -400]
    lines = [f"{a:.4f},{b:.4f},{1000 + 7 * a - b / 2:.4f}" for a, b in x]
    path.write_text("\n".join(["width,height,price", *lines]) + "\n")
    return path


def test_regression_learns_and_answers_in_the_units_of_the_table(tmp_path: Path) -> None:
    csv = table(tmp_path / "houses.csv")
    config = configure(DataConfig(str(csv), label="price"), epochs=150)
    run = Run.create(tmp_path / "run", config)
    _, results = run.train(progress=False)
    assert results is not None and results["test"]["r2"] > 0.9
    predicted = run.predict(csv)
    true = [float(line.split(",")[2]) for line in csv.read_text().splitlines()[1:]]
    assert np.corrcoef(predicted, true)[0, 1] > 0.95
    assert abs(np.mean(predicted) - np.mean(true)) < 0.3 * np.std(true)
    assert "R²" in Path(write_report(run)).read_text()


def test_bad_fractions_and_choices_are_refused(tmp_path: Path) -> None:
    for fraction in (1.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="valid_fraction"):
            DataConfig("digits", valid_fraction=fraction)
    config = configure(DataConfig("digits"), epochs=1)
    Run.create(tmp_path / "a", config)
    odd = dataclasses.replace(config.training, optimizer="magic")
    with pytest.raises(ArgumentError, match=r"magic.*adamw"):
        Run(tmp_path / "b", dataclasses.replace(config, training=odd)).trainer(1)
    with pytest.raises(CheckpointError, match="holds a run already"):
        Run.create(tmp_path / "a", config)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="no folder"):
        Run.create(tmp_path / "file", config)


# -- the report --------------------------------------------------------------------------------


def test_the_report_is_one_page_that_needs_no_network(run: Run) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    page = Path(write_report(run)).read_text()
    for part in (
        "How it learned",
        "Confusion",
        "Worst mistakes",
        "Inside the layers",
        "The model",
        "config.json",
        "<svg",
        "data:image/png",
    ):
        assert part in page, part
    outside = re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|url\((?!#|data:)[^)]*\)', page)
    assert outside == [] and "<script" not in page
    assert page == Path(write_report(run)).read_text()


def test_K10_without_matplotlib_the_report_says_what_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = Path(write_report(run)).read_text()
    assert "chainrule[plot]" in page and "The model" in page and "<svg" not in page


def test_names_from_files_are_escaped_in_the_report(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    rng = np.random.default_rng(0)
    lines = [f"{a:.3f},{evil if rng.random() < 0.5 else 'b'}" for a in rng.normal(size=60)]
    csv = tmp_path / "evil.csv"
    csv.write_text("\n".join([f'"{evil}x",label', *lines]) + "\n")
    config = configure(DataConfig(str(csv)), epochs=1, name=evil)
    run = Run.create(tmp_path / "run", config)
    run.train(progress=False)
    assert "<script" not in Path(write_report(run)).read_text()


def test_a_history_line_cut_short_is_left_out(tmp_path: Path, run: Run) -> None:
    folder = changed(tmp_path / "run", run, lambda c: None)
    opened = load_run(folder)
    assert opened.history.records == []
    (folder / "history.jsonl").write_text('{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "lo')
    assert opened.history.records == [{"epoch": 1, "loss": 2.0}]
    (folder / "history.jsonl").write_text("nonsense\n")
    with pytest.raises(FormatError, match="line 1"):
        _ = opened.history
