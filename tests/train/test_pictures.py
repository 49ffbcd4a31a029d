"""Pictures as people have them: drawings framed as the training pictures, and inputs far from
training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import chainrule as cr
from chainrule.cli import main
from chainrule.cli.show import shades
from chainrule.data import ArrayDataset
from chainrule.data.framing import Framing
from chainrule.errors import ArgumentError, CheckpointError, FormatError
from chainrule.train.runs.config import DataConfig, load_config
from chainrule.train.runs.configure import configure
from chainrule.train.runs.neighbours import Neighbours
from chainrule.train.runs.run import Run

Image = pytest.importorskip("PIL.Image", reason="the extra `images` is not installed")

from drawings import DIGITS, LETTERS, PENS, Pen, drawn, write  # noqa: E402  (it needs Pillow)


def pixels(picture: Any) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).transpose(2, 0, 1)


def training_pictures(ink: int = 255, paper: int = 0) -> np.ndarray:
    """Figures as in MNIST: 20 of 28 pixels high, the centre of mass in the middle."""
    pictures = []
    for place in range(60):
        width = 1 + place % 3
        pen = Pen((28, 28), 20 - width, width, (ink,) * 3, (paper,) * 3, tilt=place % 5 - 2)
        x = np.asarray(drawn(DIGITS[place % 10], pen).convert("L")) / 255
        share = np.abs(x - paper / 255)
        rows, columns = np.indices(x.shape)
        shift = [13.5 - (part * share).sum() / share.sum() for part in (rows, columns)]
        pictures.append(np.roll(x, np.rint(shift).astype(int), (0, 1)))
    return np.array(pictures)


# -- framing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 255)])
def test_the_framing_of_pictures_is_found(ink: int, paper: int) -> None:
    found = Framing.fit(training_pictures(ink, paper))
    assert found is not None and (found.ink, found.background) == (ink // 255, paper // 255)
    assert found.by_mass and found.size == pytest.approx(20, abs=1)
    # Whole shifts leave the centres within half a pixel.
    assert (found.row, found.column) == pytest.approx((13.5, 13.5), abs=0.5)


def test_the_framing_of_mnist_is_that_of_its_paper() -> None:
    """LeCun et al. (1998): fitted into 20 × 20 pixels, centre of mass in the middle of 28 × 28."""
    if not Path(os.environ.get("CHAINRULE_DATA", "/nowhere"), "mnist").is_dir():
        pytest.skip("$CHAINRULE_DATA holds no mnist")
    images = cr.data.MNIST()[0].arrays[0][:500, 0] / 255
    found = Framing.fit(images)
    assert found is not None and (found.size, found.by_mass) == (20, True)
    assert (found.row, found.column) == pytest.approx((14, 14), abs=0.1)


def test_pictures_without_a_plain_background_have_no_framing() -> None:
    noise = np.random.default_rng(0).random((50, 16, 16))
    assert Framing.fit(noise) is None and Framing.fit(np.zeros((9, 16, 16))) is None


FRAMING = Framing(0.0, 1.0, 20.0, 2.4, 14.0, 14.0, True)


@pytest.mark.parametrize("digit", DIGITS)
def test_every_pen_gives_the_same_picture(digit: int) -> None:
    seen = [FRAMING(pixels(_opaque(drawn(DIGITS[digit], pen))), (28, 28)).pixels for pen in PENS]
    upright = [p.ravel() for p, pen in zip(seen, PENS, strict=True) if not pen.tilt]
    # A pen of 2 and one of 24 pixels, for 120 pixels of height, draw corners differently.
    assert np.corrcoef(upright)[0].min() > 0.88
    for picture in seen:
        assert picture.shape == (28, 28) and picture.min() >= 0 and picture.max() <= 1
        rows, columns = np.indices((28, 28))
        mass = [(part * picture).sum() / picture.sum() for part in (rows, columns)]
        assert mass == pytest.approx([14, 14], abs=0.5)


def _opaque(picture: Any) -> Any:
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture.convert("RGBA"))
    return white


def test_training_on_dark_ink_gives_dark_ink() -> None:
    light = Framing(1.0, 0.0, 20.0, 2.4, 14.0, 14.0, True)
    drawing = pixels(drawn(DIGITS[3], PENS[0]))
    np.testing.assert_allclose(
        light(drawing, (28, 28)).pixels, 1 - FRAMING(drawing, (28, 28)).pixels, atol=1e-12
    )


def test_a_picture_of_the_right_size_stays_in_place() -> None:
    small = drawn(DIGITS[5], Pen((28, 28), 20, 2)).convert("L")
    x = np.asarray(small)[None]
    np.testing.assert_array_equal(FRAMING(x, (28, 28)).pixels, 1 - x[0] / 255)
    np.testing.assert_array_equal(FRAMING(255 - x, (28, 28)).pixels, 1 - x[0] / 255)
    np.testing.assert_array_equal(FRAMING(x, (28, 28), invert=False).pixels, x[0] / 255)


def test_light_and_dark_can_be_told() -> None:
    """A frame that the border takes for background: the flag says which colour is ink."""
    drawing = pixels(drawn(DIGITS[3], PENS[0])).copy()
    plain = FRAMING(drawing, (28, 28)).pixels
    drawing[:, :6], drawing[:, -6:] = 0, 0
    drawing[:, :, :6], drawing[:, :, -6:] = 0, 0
    inside = drawing[:, 12:-12, 12:-12]
    np.testing.assert_allclose(FRAMING(inside, (28, 28), invert=True).pixels, plain, atol=0.1)
    with pytest.raises(FormatError, match=r"x\.png shows no figure.*white ink"):
        FRAMING(np.full((3, 50, 50), 255, np.uint8), (28, 28), name="x.png")


# -- neighbours --------------------------------------------------------------------------------


def test_what_is_far_is_measured_in_what_is_usual(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = ArrayDataset(draw.normal(size=(2500, 3)).astype(np.float32))
    near = Neighbours.fit(data)
    assert near.samples.shape == (2000, 3)
    new = draw.normal(size=(4000, 3))
    # 1 % of normal inputs are unusual; of 4,000, the standard deviation of the share is 0.2 %.
    assert 0.003 < (near.distances(new) > 1).mean() < 0.02
    assert near.distances(np.full((1, 3), 9.0))[0] > 5
    near.save(tmp_path / "n.safetensors")
    again = Neighbours.load(tmp_path / "n.safetensors")
    # Half precision: 2⁻¹¹ relative, of coordinates up to 4 and distances of about 0.1.
    np.testing.assert_allclose(again.distances(new), near.distances(new), atol=0.02)
    cr.save({"samples": 3.0}, tmp_path / "bad.safetensors")
    with pytest.raises(FormatError, match="holds no samples"):
        Neighbours.load(tmp_path / "bad.safetensors")
    same = Neighbours.fit(ArrayDataset(np.ones((5, 2), np.float32)))
    assert same.distances(np.ones((1, 2))) == 0


# -- a run on pictures -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(tmp_path_factory.mktemp("pictures") / "run", configure(DataConfig("digits")))
    run.train(progress=False)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawings")


@pytest.fixture(scope="module")
def labels(folder: Path) -> dict[str, int]:
    return write(folder)


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


def test_drawings_of_other_pens_and_colours_are_read(
    run: Run, folder: Path, labels: dict[str, int]
) -> None:
    paths = [folder / name for name in labels]
    right = run.predict(paths) == np.array([*labels.values()])
    far = run.distances(paths) > 1
    assert right.sum() >= 16 and far[~right].all()
    plain = np.concatenate([run.outputs(path, crop=False).argmax(axis=1) for path in paths])
    assert (plain == np.array([*labels.values()])).sum() < 8
    assert run.predict(Image.open(paths[0])) == run.predict(paths[0])
    (folder / "letter.png").unlink(missing_ok=True)
    drawn(LETTERS["#"], PENS[0]).save(folder / "letter.png")
    assert run.distances(folder / "letter.png") > 1.5


def test_predict_explains_warns_and_goes_on(run: Run, folder: Path, labels: dict[str, int]) -> None:
    bad, good, letter = folder / "bad.png", folder / "drawing03.png", folder / "letter.png"
    bad.write_text("no picture")
    drawn(LETTERS["#"], PENS[0]).save(letter)
    result = call("predict", run.folder, bad, good, letter, "--explain")
    assert result.exit_code == 1 and "bad.png: not a sound image" in result.stderr
    assert "light background, inverted" in " ".join(result.stdout.split())
    picture = shades(run.picture(good).pixels)
    assert len(picture) == 8 and all(f"  {line}".rstrip() in result.stdout for line in picture)
    assert "letter.png[0]" in result.stdout and "far from the training data (" in result.stdout
    assert "1 of 2 inputs are far" in result.stderr
    found = json.loads(call("predict", run.folder, good, "--json").stdout)
    assert found[0]["distance"] < 1 and found[0]["class"] == "3"
    assert call("predict", run.folder, bad).exit_code == 1


def test_options_of_pictures(run: Run, folder: Path, labels: dict[str, int]) -> None:
    good = folder / "drawing03.png"
    small, large = run.picture(good, size=5).pixels, run.picture(good).pixels
    # Five rows of ink may touch six rows of pixels.
    assert np.count_nonzero(small.max(axis=2)) <= 6 and large.max(axis=2).all()
    whole = run.picture(good, crop=False)
    assert whole.steps == ["resized to 8 × 8 pixels"] and whole.pixels.min() > 0.5
    np.testing.assert_array_equal(
        run.picture(good, crop=False, invert=True).pixels, 1 - whole.pixels
    )
    for options in (("--size", "5"), ("--no-crop",), ("--invert",), ("--no-invert", "--crop")):
        assert call("predict", run.folder, good, *options).exit_code == 0


def test_runs_on_other_data_take_no_pictures(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", configure(DataConfig("moons"), epochs=1))
    run.train(progress=False)
    with pytest.raises(ArgumentError, match="no pictures"):
        run.picture("x.png")
    with pytest.raises(ArgumentError, match="--crop"):
        run.inputs([[0.0, 1.0]], crop=True)
    assert run.distances([[0.0, 1.0], [90.0, 1.0]])[1] > 1
    Path(run.path("neighbours.safetensors")).unlink()
    older = cr.load_run(run.folder)
    assert "distance" not in older.records([[0.0, 1.0]])[0]
    with pytest.raises(CheckpointError, match="Train the run again"):
        older.distances([[0.0, 1.0]])


def test_a_folder_of_mixed_pictures_trains_with_a_stated_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in range(24):
        pen = PENS[place % len(PENS)]
        path = Path("shapes", "HX"[place % 2], f"{place}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(LETTERS["HX"[place % 2]], pen, place).save(path)
    options = ("--epochs", "1", "--no-report", "--valid-fraction", "0")
    result = call("train", "shapes", *options)
    assert result.exit_code == 0 and "64 × 64 pixels, in colour; --size" in result.stderr
    assert call("train", "shapes", *options, "--size", "20x30", "--out", "small").exit_code == 0
    assert load_config("small").inputs.input_shape == [3 * 20 * 30]
    assert call("predict", "small", "shapes/H/0.png").exit_code == 0
    wrong = call("train", "shapes", "--size", "1x2x3")
    assert wrong.exit_code == 2 and "48x64" in wrong.stderr


def test_shades_of_large_and_narrow_pictures() -> None:
    assert shades(np.ones((3, 100, 200)), 50) == ["█" * 50] * 12
    assert shades(np.zeros((1, 28, 28)), 76) == [" " * 56] * 28
    assert shades(np.zeros((1, 28, 28)), 36) == [" " * 28] * 14
