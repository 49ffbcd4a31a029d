"""What a report says of scores and columns, against scikit-learn."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.data import ArrayDataset
from chainrule.nn.predictions import Values
from chainrule.train.drawing import INK
from chainrule.train.runs.config import DataConfig
from chainrule.train.runs.configure import configure
from chainrule.train.runs.curves import calibration, precision_over_recall, roc
from chainrule.train.runs.importance import permutation_importance
from chainrule.train.runs.page import write_report
from chainrule.train.runs.plots import WIDTH
from chainrule.train.runs.run import Run

DRAW = np.random.default_rng(0)
SCORES = {
    "floats": DRAW.random(200),
    "ties": DRAW.integers(0, 5, 200) / 4,
    "all equal": np.ones(200),
}


@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_curves_are_scikit_learns(scores: np.ndarray) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    positive = DRAW.random(200) < 0.3
    found = roc(scores, positive)
    x, y, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.x, x, rtol=1e-12)
    np.testing.assert_allclose(found.y, y, rtol=1e-12)
    # Sums of a few hundred float64 numbers in another order.
    assert found.area == pytest.approx(metrics.roc_auc_score(positive, scores), rel=1e-12)
    found = precision_over_recall(scores, positive)
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(found.x[::-1], recall, rtol=1e-12)
    np.testing.assert_allclose(found.y[::-1], precision, rtol=1e-12)
    wanted = metrics.average_precision_score(positive, scores)
    assert found.area == pytest.approx(wanted, rel=1e-12)


def test_calibration_of_one_who_is_right_as_often_as_sure() -> None:
    shares = np.array([[0.75, 0.25]] * 4 + [[0.05, 0.95]] * 20)
    labels = np.array([0, 0, 0, 1] + [1] * 19 + [0])
    found = calibration(shares, labels)
    np.testing.assert_allclose(found.confidence, [0.75, 0.95])
    np.testing.assert_allclose(found.right, [0.75, 0.95])
    assert found.samples.tolist() == [4, 20] and found.error == pytest.approx(0, abs=1e-12)
    assert calibration(shares, 1 - labels).error > 0.4
    assert calibration(np.array([[1.0, 0.0]]), np.array([0])).samples.tolist() == [1]


def test_importance_is_that_of_the_column_that_decides() -> None:
    """y = 3a + b: shuffling a column costs 2·w²·var/var(y) of R²; c costs nothing."""
    x = DRAW.normal(size=(3000, 3)).astype(np.float32)
    y = (3 * x[:, :1] + x[:, 1:2]).astype(np.float32)
    model = nn.Linear(3, 1)
    model.weight.data.copy_(cr.tensor([[3.0, 1.0, 0.0]]))
    model.bias.data.zero_()
    data = ArrayDataset(x, y, feature_names=("a", "b", "c"))
    found = permutation_importance(model, Values(), data)
    assert [importance.name for importance in found] == ["a", "b", "c"]
    # 2,000 rows: the sampling error of a variance is about 3 %.
    np.testing.assert_allclose([i.mean for i in found], [2 * 9 / 10, 2 * 1 / 10, 0], rtol=0.1)
    assert found[2].std == 0 < found[1].std < found[0].std
    assert permutation_importance(model, Values(), data) == found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    folder = tmp_path_factory.mktemp("tables")
    n = 120
    kinds, day = np.array(["a", "b", "<c>"])[DRAW.integers(0, 3, n)], np.datetime64("2015-01-01")
    size = DRAW.normal(size=n).round(2)
    rows = [
        f"{s},{k},{day + 9 * i},{s * 2:.2f},{'yes' if s + DRAW.normal() > 0 else 'no'}"
        for i, (s, k) in enumerate(zip(size, kinds, strict=True))
    ]
    (folder / "t.csv").write_text("\n".join(["size,kind,day,price,sold", *rows]))
    return folder


OF_CLASSES = ["Confusion", "Each class", "Thresholds", "Calibration", "What matters", "Columns"]


@pytest.mark.parametrize(
    "label, titles",
    [
        ("sold", OF_CLASSES),
        ("price", ["Predictions", "Largest misses", "Residuals", "What matters", "Columns"]),
        ("kind", OF_CLASSES),
    ],
)
def test_a_report_of_a_table(folder: Path, label: str, titles: list[str]) -> None:
    config = configure(DataConfig(str(folder / "t.csv"), label=label), epochs=2)
    run = Run.create(folder / label, config)
    run.train(progress=False)
    page = Path(write_report(run)).read_text()
    shown = re.findall(r"<h2>([^<]*)</h2>", page)
    assert [title for title in shown if title in titles] == titles
    assert "<c>" not in re.sub(r"(?s)<svg.*?</svg>", "", page)
    assert "0 to" not in page or "<td>number</td>" in page
    # 96 rows to train, of which 10 % validate.
    assert "86 samples to learn from, 10 to validate on, 24 to test on" in page
    assert "<td>batch_size</td><td>32</td>" in page and "<td>optimizer</td><td>adamw</td>" in page
    plots = re.findall(r"(?s)<svg.*?</svg>", page)
    widths = {float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1]) for svg in plots}
    assert len(plots) >= 6 and widths == {72 * WIDTH}
    assert "prefers-color-scheme: dark" in page and INK not in "".join(plots)


def test_scores_of_each_class_are_scikit_learns(folder: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    run = Run.create(
        folder / "again", configure(DataConfig(str(folder / "t.csv"), label="kind"), epochs=2)
    )
    run.train(progress=False)
    test = run.data[1]
    names, true = run.predict(test), np.array(run.classes)[test.arrays[-1].reshape(-1)]
    rows = zip(*metrics.precision_recall_fscore_support(true, names, zero_division=0), strict=True)
    page = Path(write_report(run)).read_text()
    for name, (*scores, samples) in zip(run.classes or (), rows, strict=True):
        shown = [str(samples), *(f"{score:.3f}" for score in scores)]
        cells = "".join(f'<td class="number">{cell}</td>' for cell in shown)
        assert f"<td>{html.escape(name)}</td>{cells}" in page
    confusion = metrics.confusion_matrix(true, names)
    shown = re.findall(r'<td class="[^"]*" style="--share: \d+%">(\d*)</td>', page)
    assert [int(cell or 0) for cell in shown] == confusion.ravel().tolist()


def test_a_report_of_other_data_has_its_curves_too(folder: Path) -> None:
    run = Run.create(folder / "moons", configure(DataConfig("moons"), epochs=1))
    run.train(progress=False)
    page = Path(write_report(run)).read_text()
    assert "<h2>Thresholds</h2>" in page and "<h2>What matters</h2>" not in page
