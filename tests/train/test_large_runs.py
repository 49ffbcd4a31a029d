"""Trainings on files larger than memory: `chainrule train`, and the parts that it reads."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import data
from chainrule.cli import main
from chainrule.data.catalog import open_like
from chainrule.errors import ArgumentError

N, GROUP = 300, 40

WORDS = np.array(["red", "blue", "green"])


@pytest.fixture
def small_memory(monkeypatch):
    """As if no table fitted in memory."""
    monkeypatch.setattr("chainrule.data.memory.memory", lambda: 1000)


def mixed(folder, suffix=".parquet"):
    """A table of all kinds of columns: numbers, dates, categories and rows without a label."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "size": np.where(np.arange(N) % 9, rng.normal(size=N), np.nan),
            "count": rng.integers(0, 50, N),
            "open": rng.random(N) < 0.5,
            "colour": WORDS[rng.integers(0, 3, N)],
            "day": pandas.Timestamp("2024-01-01")
            + pandas.to_timedelta(rng.integers(0, 900, N), "D"),
            "price": rng.normal(size=N).round(3),
            "kind": np.where(np.arange(N) % 50, WORDS[rng.integers(0, 2, N)], None),
        }
    )
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    path = folder / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path, row_group_size=GROUP)
    else:
        frame.to_feather(path, chunksize=GROUP)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize("label", ["kind", "price"])
def test_a_table_larger_than_memory_is_read_as_in_memory(tmp_path, small_memory, suffix, label):
    path = mixed(tmp_path, suffix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainrule.data.memory.memory", lambda: 2**40)
        whole = data.table(path, label, missing=["green"])
        again = open_like(path, whole.train.describe(), label=label)
    parts = data.table(path, label, missing=["green"])
    assert isinstance(parts.train, data.Subset) and len(parts.train.chunks) == -(-N // GROUP) + 1
    for large, small in zip(parts, whole, strict=True):
        assert large.describe() == small.describe()
        for found, wanted in zip(large.gather(range(len(large))), small[:], strict=True):
            np.testing.assert_array_equal(found, wanted)
    like = open_like(path, whole.train.describe(), label=label)
    for found, wanted in zip(like.gather(range(len(like))), again[:], strict=True):
        np.testing.assert_array_equal(found, wanted)


def arrays_in(folder):
    """x.npy and y.npy of a problem that a line solves."""
    x = np.random.default_rng(1).normal(3.0, 2.0, (N, 5))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", (x[:, 0] > x[:, 1]).astype(np.int64))
    return folder


def matrix_in(folder):
    """One array whose last column is the label."""
    x = np.random.default_rng(1).normal(3.0, 2.0, (N, 5)).astype(np.float32)
    np.save(folder / "m.npy", np.column_stack([x, 2 * x[:, 1] - x[:, 2]]))
    return folder / "m.npy"


def images_in(folder):
    """A folder of images by class."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    for name, shade in (("dark", 20), ("light", 200)):
        (folder / name).mkdir()
        for place in range(12):
            pixels = np.full((8, 8), shade + place, np.uint8)
            image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


def call(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.mark.parametrize(
    ("make", "label"), [(mixed, "price"), (arrays_in, None), (matrix_in, "-1"), (images_in, None)]
)
def test_the_command_line_trains_on_files_larger_than_memory(make, label, tmp_path, small_memory):
    (tmp_path / "d").mkdir()
    path, out = make(tmp_path / "d"), tmp_path / "run"
    named = [] if label is None else ["--label", label]
    results = call("train", path, *named, "--epochs", "2", "--out", out, "--no-report")
    run = cr.load_run(out)
    assert run.data[0].waits and isinstance(run.data[0], data.Subset)
    assert run.evaluate()["loss"] == pytest.approx(results["test"]["loss"])
    samples = call("evaluate", out, path)["samples"]
    assert samples == len(run.data[0]) + len(run.data[1])
    if make is mixed:  # for all of them alike
        call("train", "--resume", out, "--epochs", "3", "--override")
        assert len(run.history) == 3 and "What matters" in (out / "report.html").read_text()


@pytest.mark.parametrize("sign", [",", ";"])
def test_a_table_of_text_larger_than_memory_names_the_command_that_converts_it(
    sign, tmp_path, small_memory
):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    path = tmp_path / "t.csv"
    rows = [f"{i % 7}{sign}{WORDS[i % 3]}{sign}{WORDS[i % 2]}" for i in range(200)]
    path.write_text("\n".join([f"a{sign}b{sign}kind", *rows]))
    done = CliRunner().invoke(main, ["train", str(path), "--label", "kind"])
    assert done.exit_code == 1 and "is too large to be read as text" in done.output
    with pytest.raises(ArgumentError) as caught:
        data.read_csv(path)
    command = str(caught.value.instead).splitlines()[1].strip()
    assert command.startswith('python -c "')
    exec(command.removeprefix('python -c "').removesuffix('"'), {})
    train, _ = data.table(tmp_path / "t.parquet", "kind")
    assert train.classes == ("blue", "red") and len(train) == 160
