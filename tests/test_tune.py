"""`chainrule tune`: a measured size of the cache is kept for this processor, and changes no bit."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import engine
from chainrule.cli import doctor, main, tune
from chainrule.engine import tuning

pytestmark = pytest.mark.skipif(not engine.available(), reason="needs the native engine")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "settings" / "tuning.txt"
    monkeypatch.setenv("CHAINRULE_TUNING", str(path))
    before = tuning.second_cache()
    yield path
    tuning.use_second_cache(before)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["tune", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def stated() -> int:
    tuning.use_second_cache(0)
    return tuning.second_cache()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_have_the_same_bits_with_any_size(dtype):
    rng = np.random.default_rng(0)
    for m, k, n in ((300, 700, 200), (33, 5000, 70)):
        a, b = (cr.from_numpy(rng.standard_normal(s).astype(dtype)) for s in ((m, k), (k, n)))
        found = []
        for size in (tuning.SMALLEST, 2**18, 2**21, tuning.LARGEST):
            tuning.use_second_cache(size)
            found.append((a @ b).numpy().tobytes())
        assert len(set(found)) == 1


def test_a_faster_size_is_kept_and_forgotten(file, monkeypatch):
    size = stated()
    monkeypatch.setattr(tune, "rates", lambda sizes: {s: 100.0 + (s == size // 2) for s in sizes})
    assert "follow from the stated" in run()  # 1 % is noise
    assert not file.exists()
    monkeypatch.setattr(tune, "rates", lambda sizes: {s: 100.0 + 9 * (s < size) for s in sizes})
    assert f"{size // 4 // 1024:,} kB is used" in run()
    assert tuning.second_cache() == tuning.stored() == size // 4
    assert "measured by chainrule tune" in doctor.examine()["engine"]["L2 cache"]
    run("--reset")
    assert not file.exists()
    assert tuning.second_cache() == size
    assert "as the processor states" in doctor.examine()["engine"]["L2 cache"]


def test_the_measurement_covers_every_size(monkeypatch):
    monkeypatch.setattr(tune, "SHAPES", ((64, 64, 64), (32, 128, 16)))
    found = tune.rates([2**18, 2**20])
    assert set(found) == {2**18, 2**20}
    assert all(rate > 0 for rate in found.values())


def test_a_file_of_another_processor_is_not_used(file):
    tuning.store(2**18)
    file.write_text(file.read_text().replace("processor = ", "processor = another "))
    assert tuning.stored() == 0


@pytest.mark.parametrize(
    "text", ["", "second_cache = 5\nprocessor = x\n", "a b", "second_cache = x"]
)
def test_a_file_that_was_not_written_by_tune_is_named(file, text):
    file.parent.mkdir()
    file.write_text(text)
    with pytest.warns(RuntimeWarning, match=r"tuning\.txt is not used.*--reset"):
        assert tuning.stored() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run("--reset")
    assert not file.exists()
