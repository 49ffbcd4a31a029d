"""The command line: what each command prints, exit codes, signals, odd places; K4, K7, K8, H4."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import chainrule_command
from chainrule.cli import main
from chainrule.cli.show import listed
from chainrule.data import table as table_parts
from chainrule.train import load

QUICK = ("--epochs", "3", "--hidden", "16", "--no-report")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    code = [sys.executable, "-c", "from chainrule.cli import main; main()", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(code, **{**pipes, **options})


def finished(*arguments: str, **options: Any) -> tuple[int, str, str]:
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    result = call("train", "digits", *QUICK, "--out", str(folder), "--quiet")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# -- what the commands do ----------------------------------------------------------------------


def test_train_writes_a_run_and_says_what_to_try_next(run: Path) -> None:
    result = call("train", *QUICK)
    assert result.exit_code == 0
    assert "accuracy" in result.stdout and "epoch 3" in result.stderr
    for command in ("chainrule evaluate", "chainrule predict", "chainrule summary"):
        assert f"{command} runs/digits-mlp" in result.stdout
    assert {p.name for p in Path("runs/digits-mlp").iterdir()} >= {
        "config.json",
        "history.jsonl",
        "checkpoints",
        "model.safetensors",
        "results.json",
    }
    again = call("train", *QUICK, "--quiet", "--json")
    assert json.loads(again.stdout)["run"] == "runs/digits-mlp-2"


@pytest.mark.parametrize("dataset", ["digits", "breast_cancer"])
def test_the_main_job_reaches_97_percent(dataset: str) -> None:
    result = json.loads(call("train", dataset, "--no-report", "--json").stdout)
    assert result["test"]["accuracy"] >= 0.97 and result["seconds"] < 60


@pytest.mark.slow
def test_real_mnist_from_one_command() -> None:
    if not Path(os.environ.get("CHAINRULE_DATA", "/nowhere"), "mnist").is_dir():
        pytest.skip("$CHAINRULE_DATA holds no mnist")
    options = ("--epochs", "1", "--schedule", "constant", "--lr", "0.001", "--no-report", "--json")
    assert json.loads(call("train", "mnist", *options).stdout)["test"]["accuracy"] > 0.93


def test_the_same_command_gives_the_same_bits(run: Path) -> None:
    call("train", "digits", *QUICK, "--out", "again", "--quiet")
    assert Path("again/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_the_commands_that_are_printed_work(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())["test"]
    evaluated = json.loads(call("evaluate", run, "--json").stdout)
    assert evaluated["accuracy"] == results["accuracy"] and evaluated["samples"] == 359
    assert json.loads(call("evaluate", run, "digits", "--json").stdout) == evaluated
    assert "accuracy" in call("evaluate", run).stdout
    assert "Linear 64 → 16" in call("summary", run).stdout
    rows = json.loads(call("summary", run, "--json").stdout)["layers"]
    assert sum(row["parameters"] for row in rows) == 64 * 16 + 16 + 16 * 10 + 10


def test_report_is_written(run: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    result = call("report", run)
    assert result.exit_code == 0 and Path(result.stdout.strip()).stat().st_size > 20_000


def test_predict_reads_pictures_arrays_and_tables(run: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="the extra `images` is not installed")
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 12:16] = 255
    pillow.fromarray(pixels).save("Ziffer ähnlich 1.png")
    np.save("two.npy", np.zeros((2, 8, 8), np.float32))
    header = ",".join(f"pixel{i}" for i in range(64))
    Path("three.csv").write_text(header + "\n" + "\n".join([",".join(["0"] * 64)] * 3) + "\n")
    files = ("Ziffer ähnlich 1.png", "two.npy", "three.csv")
    found = json.loads(call("predict", run, *files, "--json").stdout)
    assert [f["file"] for f in found] == [files[0], *[files[1]] * 2, *[files[2]] * 3]
    assert all(0 <= f["probability"] <= 1 and len(f["probabilities"]) == 10 for f in found)
    assert found[1]["probabilities"] == found[3]["probabilities"]
    lines = call("predict", run, files[0]).stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Ziffer ähnlich 1.png[0]  ")


@pytest.mark.parametrize(
    "options",
    [
        ("digits", "--model", "cnn", "--epochs", "1", "--schedule", "cosine"),
        ("breast_cancer", "--epochs", "3", "--optimizer", "sgd", "--lr", "0.1"),
        ("moons", "--epochs", "2", "--patience", "1", "--schedule", "constant"),
        ("sine", "--epochs", "2", "--weight-decay", "0.1", "--clip-norm", "1"),
        ("digits", "--epochs", "0"),
        ("digits", "--epochs", "1", "--valid-fraction", "0"),
    ],
)
def test_other_data_models_and_options(options: tuple[str, ...]) -> None:
    result = call("train", *options, "--out", "run", "--no-report", "--json")
    assert result.exit_code == 0, result.output
    assert "test" in json.loads(result.stdout)
    assert json.loads(call("evaluate", "run", "--json").stdout)["samples"] > 50


def test_a_csv_with_its_label(run: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'up' if a > b else 'down'}" for a, b in rng.normal(size=(90, 2))]
    Path("my data.csv").write_text("\n".join(["a,b,direction", *rows]) + "\n")
    options = ("--label", "direction", "--epochs", "30", "--no-report", "--json")
    result = json.loads(call("train", "my data.csv", *options).stdout)
    assert result["run"] == "runs/my-data.csv-table" and result["test"]["accuracy"] > 0.8
    Path("new.csv").write_text("b,a,other\n-2,2,x\n2,-2,y\n")
    found = json.loads(call("predict", result["run"], "new.csv", "--json").stdout)
    assert [f["class"] for f in found] == ["up", "down"]
    told = call("predict", result["run"], "new.csv", "--out", "predictions.csv", "--proba")
    assert told.stdout == "" and "not used, for training had no such columns: other" in told.stderr
    assert "2 predictions in predictions.csv" in told.stderr
    header, first, _ = Path("predictions.csv").read_text().splitlines()
    assert header == "b,a,other,prediction,probability of down,probability of up"
    assert first.startswith("-2,2,x,up,")
    scored = call("evaluate", result["run"], "my data.csv", "--json")
    assert json.loads(scored.stdout)["samples"] == 90


def test_a_table_of_any_delimiter_header_and_task(run: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f}#{b:.3f}#{int(a > b)}" for a, b in rng.normal(size=(90, 2))]
    Path("t.csv").write_text("\n".join(rows) + "\n")
    table = ("--delimiter", "#", "--no-header")
    options = ("--label", "column2", "--epochs", "1", "--no-report", "--json")
    trained = json.loads(call("train", "t.csv", *table, *options, "--out", "hash").stdout)
    assert "accuracy" in trained["test"]
    assert json.loads(call("evaluate", "hash", "t.csv", "--json").stdout)["samples"] == 90
    assert len(json.loads(call("predict", "hash", "t.csv", "--json").stdout)) == 90
    Path("u.csv").write_text("x\ty\n" + "\n".join(r.rpartition("#")[0] for r in rows))
    Path("u.csv").write_text(Path("u.csv").read_text().replace("#", "\t"))
    result = call("predict", "hash", "u.csv", "--delimiter", "tab", "--header")
    assert result.exit_code == 1 and "lacks columns: column0, column1" in result.stderr
    found = call("predict", "hash", "u.csv", "--delimiter", "tab", "--json")
    assert found.exit_code == 1 and "line 1" in found.stderr
    regression = ("--task", "regression", "--out", "values")
    trained = json.loads(call("train", "t.csv", *table, *options, *regression).stdout)
    assert "r2" in trained["test"]
    resumed = call("train", "--resume", "hash", "--task", "regression")
    assert resumed.exit_code == 2 and "--task: fixed by the run" in resumed.stderr


def test_a_label_of_one_class_is_an_error(run: Path) -> None:
    Path("one.csv").write_text("a,y\n" + "".join(f"{i},1\n" for i in range(50)))
    result = call("train", "one.csv", "--label", "y", "--epochs", "1", "--no-report")
    assert result.exit_code == 1 and "y, the label: every row is '1'" in result.stderr


def test_doctor_says_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = json.loads(call("doctor", "--json").stdout)
    assert "native" in facts["engine"] and facts["versions"]["numpy"] == np.__version__
    text = call("doctor").stdout
    for word in ("versions", "threads", "blas", "CHAINRULE_DATA", "extras", "engine"):
        assert word in text
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("CHAINRULE_DATA", "/nowhere")
    assert "does not exist" in call("doctor").stdout


def test_the_help_of_every_option_has_its_meaning_and_its_default() -> None:
    for name, command in main.commands.items():
        for option in command.params:
            if isinstance(option, click.Option):
                text = str(option.help)
                meaning, _, default = text.partition("[default")
                assert meaning.strip().endswith((".", ")")), (name, option.name, text)
                assert default or option.show_default, (name, option.name, text)


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_and_comes_once() -> None:
    Path("t.csv").write_text(
        "Sales of 2020\n\na,y\n" + "".join(f"{i},{i * i}.5\n" for i in range(9))
    )
    told = call("train", "t.csv", "--label", "y", "--epochs", "1", "--quiet", "--no-report").stderr
    assert re.fullmatch(r"Warning: \S+: the table begins in line 3, .* left out\n", told)


@pytest.mark.parametrize("width", [40, 80])
def test_help_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for arguments in ([], *([name] for name in main.commands)):
        assert max(map(len, call(*arguments, "--help").stdout.splitlines())) <= width, arguments


@pytest.mark.parametrize("width", [40, 80])
def test_commands_have_their_whole_sentence(width: int) -> None:
    shown = CliRunner().invoke(main, ["--help"], terminal_width=width).output
    assert "..." not in shown.partition("Commands:")[2]
    for command in main.commands.values():
        sentence = str(command.help).partition("\n\n")[0]
        assert " ".join(sentence.split()) in " ".join(shown.split())


@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_terminal(run: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but paths, which are not broken."""
    monkeypatch.setenv("COLUMNS", str(width))
    told = call("train", *QUICK, "--out", "r")
    lines = [
        *told.stdout.splitlines(),
        *told.stderr.splitlines(),
        *call("summary", "r").stdout.splitlines(),
    ]
    shown = [line for line in lines if not line.startswith(("epoch", "  chainrule"))]
    assert max(map(len, shown)) <= width and "128" not in shown
    assert not any(line.rstrip().endswith("-") for line in shown)


@pytest.mark.parametrize("width", [40, 80])
def test_the_columns_of_a_table_fit_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are shortened, and reasons are whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    name, rows = "a name that is longer than a column", range(60)
    table = {name: [i % 7 for i in rows], "day": [f"0{i % 9 + 1}/0{i % 7 + 1}/2020" for i in rows]}
    schema = table_parts({**table, "y": [i % 2 for i in rows]})[0].schema
    assert schema is not None
    shown = "\n".join(listed(schema.lines()))
    assert max(map(len, shown.splitlines())) <= width
    assert all(" ".join(c.reason.split()) in " ".join(shown.split()) for c in schema.columns)


def test_a_regression_of_five_rows_ends_well() -> None:
    rows = ["a,b,price", "1,2,3", "2,3,5.5", "3,4,7", "4,5,9", "5,7,11.5"]
    Path("five.csv").write_text("\n".join(rows))
    result = call("train", "five.csv", "--label", "price", "--epochs", "3")
    assert result.exit_code == 0 and "r2 undefined (too few samples)" in result.stdout
    folder = Path("runs/five.csv-table")
    for file in (folder / "results.json", folder / "config.json"):
        json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert json.loads(call("evaluate", folder, "--json").stdout)["r2"] is None
    assert len(json.loads(call("predict", folder, "five.csv", "--json").stdout)) == 5


# -- K8: wrong usage, errors, pipes ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--nonsense"), "nonsense"),
        (("fly",), "fly"),
        (("train", "--epochs", "many"), "many"),
        (("train", "--epochs", "-1"), "-1"),
        (("train", "--hidden", "1,x"), "128,64"),
        (("train", "--hidden", "0"), "at least 1"),
        (("train", "--optimizer", "magic"), "adamw"),
        (("train", "--lr", "-1"), "-1"),
        (("train", "--valid-fraction", "1"), "1"),
        (("predict",), "RUN"),
        *(
            (("train", option, bad), "not a finite number")
            for bad in ("nan", "inf")
            for option in ("--lr", "--weight-decay", "--clip-norm")
        ),
        (("train", "--valid-fraction", "nan"), "not a finite number"),
    ],
)
def test_K8_wrong_usage_is_exit_2(arguments: tuple[str, ...], words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and words in result.stderr and result.stdout == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "digitz"), "digits"),
        (("train", "gone.csv"), "gone.csv"),
        (("evaluate", "nowhere"), "config.json"),
        (("train", "--model", "resnet"), "FILE.py"),
        (("train", "--model", "gone.py:f"), "gone.py"),
        (("train", "--resume", "no"), "no run"),
        (("train", "breast_cancer", "--model", "cnn"), "cnn takes images"),
    ],
)
def test_K8_errors_are_exit_1_without_a_traceback(arguments: tuple[str, ...], words: str) -> None:
    for as_json in ((), ("--json",)):
        result = call(*arguments, *as_json)
        assert result.exit_code == 1 and words in result.stderr and result.stdout == ""
        assert "Traceback" not in result.stderr and result.stderr.startswith("Error: ")


def test_K8_debug_shows_the_traceback() -> None:
    for arguments in (("--debug", "evaluate", "nowhere"), ("evaluate", "nowhere", "--debug")):
        code, out, err = finished(*arguments)
        assert code == 1 and out == "" and "Traceback" in err and "CheckpointError" in err


def test_errors_of_a_run_that_is_there_are_exit_1(run: Path) -> None:
    assert "holds a run" in call("train", "--out", run).stderr
    assert "gone.png" in call("predict", run, "gone.png").stderr
    Path("bad.csv").write_text("a,b\n1,2\n")
    result = call("predict", run, "bad.csv", "--json")
    assert result.exit_code == 1 and result.stdout == "" and "bad.csv" in result.stderr


def test_K8_a_broken_pipe_is_silent(run: Path) -> None:
    Path("x.csv").write_text(
        ",".join(f"pixel{i}" for i in range(64)) + "\n" + ("0," * 63 + "0\n") * 3000
    )
    process = start("predict", str(run), "x.csv")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert not {"Error", "Traceback"} & {*re.findall(r"\w+", said)}
    assert process.wait(timeout=60) in (0, 1)
    process.stderr.close()


# -- a run that names a Python file ------------------------------------------------------------

OWN = """
from pathlib import Path
from chainrule import nn

def make(shape, outputs):
    Path("canary").touch()
    return nn.Linear(shape[0], outputs)
"""


def test_a_runs_own_python_file_is_run_only_if_the_user_says_so() -> None:
    Path("own.py").write_text(OWN)
    options = ("--epochs", "1", "--valid-fraction", "0", "--out", "run", "--quiet", "--no-report")
    assert call("train", "digits", "--model", "own.py:make", *options).exit_code == 0
    np.save("x.npy", np.zeros((1, 64), np.float32))
    commands = (
        ("summary", "run"),
        ("evaluate", "run"),
        ("predict", "run", "x.npy"),
        ("report", "run"),
        ("train", "--resume", "run", "--quiet", "--no-report"),
    )
    Path("canary").unlink()
    for command in commands:
        result = call(*command)
        assert result.exit_code == 1 and "own.py:make" in result.stderr, command
        assert "--trust" in result.stderr and result.stdout == ""
        assert not Path("canary").exists(), command
    for command in commands:
        assert call(*command, "--trust").exit_code == 0, command
        Path("canary").unlink()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_the_user_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    Path("own.py").write_text(OWN)
    options = ("--epochs", "1", "--out", "run", "--quiet", "--no-report")
    call("train", "digits", "--model", "own.py:make", *options)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = CliRunner().invoke(main, ["summary", "run"], input=f"{answer}\n")
    assert "own.py:make" in result.stderr and "Run this file?" in result.stderr
    assert (result.exit_code == 0) == (answer == "y") == ("Linear" in result.stdout)


# -- H4, H5, resume ----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_H4_H5_a_signal_saves_and_resume_gives_the_same_bits(
    number: signal.Signals, code: int
) -> None:
    options = ("digits", "--epochs", "60", "--hidden", "12", "--no-report")
    process = start("train", *options, "--out", "run")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "chainrule train --resume run" in err and "Traceback" not in err and out == ""
    assert not Path("run/model.safetensors").exists()
    assert call("train", "--resume", "run", "--quiet", "--no-report").exit_code == 0
    assert call("train", *options, "--out", "whole", "--quiet").exit_code == 0
    same = [Path(name, "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert same[0] == same[1]


def test_ctrl_c_while_chainrule_is_imported_is_one_line_and_130(tmp_path: Path) -> None:
    """A module of NumPy's that Python finds first presses Ctrl-C where NumPy imports it."""
    (tmp_path / "early" / "numpy").mkdir(parents=True)
    interrupt = "import os, signal; os.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "early" / "numpy" / "__init__.py").write_text(interrupt)
    source = str(Path(chainrule_command.__file__).parents[1])
    path = os.pathsep.join([str(tmp_path / "early"), source])
    done = subprocess.run(
        [sys.executable, "-c", "from chainrule_command import main; main()", "doctor"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_the_command_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from chainrule_command import main; main()", "evaluate", "nowhere"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "config.json" in done.stderr and done.stdout == ""


def test_H3_resume_with_other_options_needs_override(run: Path) -> None:
    call("train", *QUICK, "--out", "run", "--quiet")
    result = call("train", "--resume", "run", "--lr", "0.5")
    assert result.exit_code == 2 and "lr was 0.01, now 0.5" in result.stderr
    assert call("train", "moons", "--resume", "run").exit_code == 2
    assert call("train", "--resume", "run", "--lr", "0.01", "--quiet", "--no-report").exit_code == 0
    more = ("--epochs", "5", "--batch-size", "64", "--override", "--no-report", "--quiet")
    assert call("train", "--resume", "run", *more).exit_code == 0
    assert len(Path("run/history.jsonl").read_text().splitlines()) == 5
    assert json.loads(Path("run/config.json").read_text())["training"]["batch_size"] == 64


# -- K4, K7: odd places ------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [["-O"], ["-W", "error"], ["-OO", "-W", "error", "-E"]])
def test_K7_it_works_with_python_flags(flags: list[str], run: Path) -> None:
    code = [sys.executable, *flags, "-c", "from chainrule.cli import main; main()"]
    arguments = ["train", *QUICK, "--out", "run", "--quiet"]
    done = subprocess.run([*code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert Path("run/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    bad = subprocess.run([*code, "train", "digitz"], capture_output=True, text=True, timeout=120)
    assert bad.returncode == 1 and "did you mean 'digits'" in bad.stderr.lower()


def test_K7_paths_with_spaces_unicode_and_200_characters() -> None:
    folder = "ein Lauf – 数字 " + "x" * 150
    environment = {**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    arguments = ("train", *QUICK, "--out", folder)
    code, _, err = finished(*arguments, env=environment)
    assert code == 0, err
    assert call("evaluate", folder).exit_code == 0
    assert load(Path(folder, "model.safetensors"))


def test_K7_a_deleted_working_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = f"import os; os.chdir({str(tmp_path / 'gone')!r}); os.rmdir(os.getcwd())\n"
    code += "from chainrule.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "train", *QUICK], capture_output=True, text=True
    )
    assert done.returncode == 1 and "Error: " in done.stderr and "Traceback" not in done.stderr


def test_K4_no_home_and_a_read_only_one(tmp_path: Path) -> None:
    for home in (None, "/proc"):
        environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        if home:
            environment["HOME"] = home
        out = tmp_path / f"run-{home is None}"
        code, _, err = finished("train", *QUICK, "--out", str(out), "--quiet", env=environment)
        assert code == 0, err


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = "import sys; from chainrule import cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "PIL", "rich", "tensorboardX"} & set(done.stdout.split())
    code = "import sys, chainrule.train; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {"click", "rich", "safetensors", "matplotlib", "PIL", "pooch", "tensorboardX"}
    assert not others & set(done.stdout.split())
    started = time.perf_counter()
    assert "train" in call("--help").stdout and call("--version").exit_code == 0
    assert time.perf_counter() - started < 1.0
