"""The default model for tables, from the file to the prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.data import read_csv
from chainrule.errors import ArgumentError
from chainrule.nn import functional as F
from chainrule.train.runs.config import DataConfig
from chainrule.train.runs.configure import configure
from chainrule.train.runs.predictions import input_table, remarks, write_predictions
from chainrule.train.runs.run import Run, load_run
from chainrule.train.runs.tabular import EmbedCategories, ResidualBlock, embedded, tabular


def test_categories_become_rows_of_a_matrix() -> None:
    """As `nn.Embedding` of the place of the 1; numbers and small categories stay."""
    layer = EmbedCategories(15, [(1, 9), (10, 14)])
    x = np.zeros((3, 15), np.float32)
    x[:, 0], x[:, 9], x[:, 14] = [1, 2, 3], [4, 5, 6], [7, 8, 9]
    x[[0, 1, 2], [1, 4, 8]] = 1
    x[[0, 1, 2], [10, 11, 13]] = 1
    y = layer(cr.from_numpy(x)).detach().numpy()
    table = layer.embeddings[0].weight.detach().T
    wanted = F.embedding(cr.tensor([0, 3, 7]), table).numpy()
    np.testing.assert_array_equal(y[:, 1:5], wanted)
    np.testing.assert_array_equal(y[:, 0], x[:, 0])
    np.testing.assert_array_equal(y[:, 5:], x[:, 9:])
    assert not y[0, 1:5].any()  # what training did not know
    assert [embedded(kinds) for kinds in (2, 4, 5, 9, 31, 500)] == [2, 4, 3, 5, 16, 16]


def test_without_large_categories_nothing_changes() -> None:
    x = cr.randn(2, 4)
    assert EmbedCategories(4, [(1, 4)])(x) is x
    for bad in ([(2, 1)], [(0, 9)], [(0, 3), (2, 4)], [(1,)]):
        with pytest.raises(ArgumentError, match="apart and in order"):
            EmbedCategories(4, bad)


def test_gradients_reach_the_embeddings() -> None:
    layer = nn.Sequential(EmbedCategories(7, [(1, 7)]), nn.Linear(4, 1)).double()
    x = np.eye(7)[[1, 3, 6]]
    assert cr.gradcheck(lambda *_: layer(cr.from_numpy(x)).sum(), [*layer.parameters()])


def test_a_block_adds_to_its_input() -> None:
    block = ResidualBlock(3).eval()
    x = cr.randn(2, 3)
    for parameter in block.second.parameters():
        parameter.data.zero_()
    np.testing.assert_array_equal(block(x).detach().numpy(), x.numpy())


def test_records_build_the_model() -> None:
    records = tabular(9, [(1, 9)], 3, blocks=2)
    kinds = [record["layer"] for record in records]
    assert kinds == ["EmbedCategories", "Linear", "ResidualBlock", "ResidualBlock", "Linear"]
    assert records[1]["in_features"] == 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("tables")
    draw = np.random.default_rng(0)
    rows = ["size,colour,when,price"]
    for size, colour, day in zip(
        draw.normal(5, 2, 300), draw.integers(0, 9, 300), draw.integers(0, 700, 300), strict=True
    ):
        price = 3 * size + (colour % 3) * 4
        when = np.datetime64("2019-01-01") + int(day)
        rows.append(f"{size:.2f},c{colour},{when},{price:.2f}")
    (folder / "shop.csv").write_text("\n".join(rows))
    config = configure(DataConfig(str(folder / "shop.csv"), label="price"), epochs=60)
    run = Run.create(folder / "run", config)
    run.train(progress=False)
    return run


def test_a_run_on_a_table_learns_and_reads_other_tables(run: Run, tmp_path: Path) -> None:
    assert (run.config.model.kind, run.config.training.patience) == ("table", 20)
    assert run.evaluate(run.data[1])["r2"] > 0.9
    again = load_run(run.folder)
    (tmp_path / "new.csv").write_text("when,colour,size\n2019-05-05,c1,6\n2019-05-06,new,\n")
    first, second = again.predict(tmp_path / "new.csv")
    assert first == pytest.approx(3 * 6 + 4, abs=3)
    assert np.isfinite(second)
    columns = {"colour": ["c1", "new"], "when": ["2019-05-05", "2019-05-06"], "size": [6, None]}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for source in (columns, rows, [[6, "c1", "2019-05-05"], [None, "new", "2019-05-06"]]):
        np.testing.assert_array_equal(again.predict(source), [first, second])
    with pytest.raises(ArgumentError, match="no probabilities"):
        again.predict_proba(columns)
    assert again.evaluate(rows[:1], [first])["loss"] == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="lacks the label's column 'price'"):
        again.evaluate(columns)


def test_predictions_go_beside_the_rows_of_the_input(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "new.csv", tmp_path / "out.csv"
    path.write_text('size,prediction,when,colour\n6.5,"a, b",2019-05-05,c1\n1,x,2019-05-06,mauve\n')
    table = input_table(run, [path])
    found = [{"file": str(path), "row": i, **r} for i, r in enumerate(run.records(path))]
    assert remarks(run.schema, table) == [
        "not used, for training had no such columns: prediction",
        "1 rows of colour are of kinds that training seldom saw: line 3: 'mauve'",
    ]
    write_predictions(out, found, table, proba=False)
    lines = out.read_text().splitlines()
    assert lines[0] == "size,prediction,when,colour,prediction 2"
    assert lines[1].startswith('6.5,"a, b",2019-05-05,c1,')
    values = read_csv(out, columns=["prediction 2"]).values[:, 0]
    np.testing.assert_allclose(values, [r["value"][0] for r in found], rtol=1e-8)  # nine digits


def test_predictions_of_classes_with_probabilities(tmp_path: Path) -> None:
    found = [
        {
            "file": "a.png",
            "row": 0,
            "class": "cat",
            "probability": 0.75,
            "probabilities": {"cat": 0.75, "dog": 0.25},
        }
    ]
    write_predictions(tmp_path / "out.csv", found, None, proba=True)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "file,row,prediction,probability of cat,probability of dog",
        "a.png,0,cat,0.75,0.25",
    ]
    write_predictions(tmp_path / "out.csv", found, None, proba=False)
    assert (tmp_path / "out.csv").read_text() == "file,row,prediction\na.png,0,cat\n"


def test_a_model_can_be_chosen(run: Run) -> None:
    data = run.config.data
    assert configure(data, model="mlp").model.kind == "mlp"
    assert configure(data, hidden=[8]).model.kind == "mlp"
    assert configure(DataConfig("moons")).model.kind == "mlp"
    with pytest.raises(ArgumentError, match="`table` takes tables"):
        configure(DataConfig("moons"), model="table")
