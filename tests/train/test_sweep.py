"""Sweeps: settings, trials, successive halving, folds, resuming, and the same bits for any jobs."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import nn, optim
from chainrule.cli import main
from chainrule.errors import ArgumentError, CheckpointError, MissingDependencyError
from chainrule.train import LogUniform
from chainrule.train.sweeps import search, trial
from chainrule.train.sweeps.command import values_of
from chainrule.train.sweeps.page import write_sweep_page
from chainrule.train.sweeps.search import Plan
from chainrule.train.sweeps.settings import settings_of
from chainrule.train.sweeps.trial import fold_of

DATA = cr.data.blobs(60)
SPACE = {"lr": [0.1, 1e-3, 1e-2], "width": [4]}
BUILT = []


def build(lr, width, seed):
    BUILT.append((lr, seed))
    model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 3))
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False, compiled=False), DATA


def records(found):
    """All that a sweep computed, without times."""
    kept = [[{**r, "seconds": 0} for r in t.records] for t in found.trials]
    return kept, [t.error for t in found.trials], [row.scores for row in found.rows]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    return cr.sweep(build, SPACE, seeds=2, epochs=4, halving=2, out=out)


# -- settings ------------------------------------------------------------------------------------


def test_draws_depend_on_the_space_alone():
    space = {"lr": LogUniform(1e-4, 1e-1), "p": cr.distributions.Uniform(0.0, 1.0), "n": [1, 2]}
    before = cr.default_generator.state.numpy().tolist()
    drawn = settings_of(space, 200)
    assert drawn == settings_of(space, 200) and drawn[:50] == settings_of(space, 50)
    assert cr.default_generator.state.numpy().tolist() == before
    # 200 draws of a uniform logarithm: the mean of 4 decades has a standard error of 0.06.
    assert abs(np.mean([math.log10(s["lr"]) for s in drawn]) + 2.5) < 0.25
    assert {s["n"] for s in drawn} == {1, 2} and all(0 <= s["p"] <= 1 for s in drawn)


@pytest.mark.parametrize(
    "space, options, words",
    [
        ({"lr": "0.1"}, {}, "no values to choose from"),
        ({"lr": []}, {}, "no values to choose from"),
        ({"lr": LogUniform(1, 2)}, {}, "samples=20"),
        ({"lr": [1.0]}, {"seeds": [1, 1]}, "a seed occurs twice"),
        ({"lr": [1.0]}, {"halving": 1}, "halving is too small"),
        ({"lr": [object()]}, {}, "cannot be written as JSON|not JSON"),
    ],
)
def test_sweeps_that_make_no_sense_are_refused(space, options, words):
    with pytest.raises((ArgumentError, TypeError), match=words):
        cr.sweep(build, space, **options)


# -- trials --------------------------------------------------------------------------------------


def test_a_sweep_trains_all_and_ranks_the_settings(found):
    assert found.best == {"lr": 0.1, "width": 4}
    assert found.monitor == "loss"
    assert [row.epochs for row in found.rows] == [4, 2, 1]  # halved after 1 and after 2 epochs
    assert [len(t.records) for t in found.trials] == [4, 4, 1, 1, 2, 2]
    row = found.rows[0]
    assert row.mean == np.mean(row.scores) and row.std == np.std(row.scores)
    first = [min(r["loss"] for r in t.records) for t in found.trials if t.setting == 0]
    assert row.scores == first and len({*first}) == 2  # seeds differ


def test_a_trial_is_the_training_that_one_would_write(found):
    """Continuing over the rungs gives the bits of an unbroken training with this seed."""
    cr.manual_seed(1)
    trainer, data = build(0.1, 4, 1)
    trainer.seed = 1
    history = trainer.fit(data, epochs=4)
    assert history["loss"] == [r["loss"] for r in found.trials[1].records]
    model = found.models()[1]
    for name, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())


def test_the_ensemble_is_the_mean_of_the_models(found):
    x = cr.from_numpy(DATA.arrays[0][:5])
    models = found.models()
    wanted = (models[0](x) + models[1](x)) / 2
    np.testing.assert_array_equal(found.ensemble()(x).detach().numpy(), wanted.detach().numpy())


def test_any_number_of_jobs_gives_the_same_bits(found):
    pytest.importorskip("joblib", reason="needs joblib")
    again = cr.sweep(build, SPACE, seeds=2, epochs=4, halving=2, jobs=2)
    assert records(again) == records(found)


def test_jobs_need_joblib(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(search, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"chainrule\[sweep\]"):
        cr.sweep(build, SPACE, epochs=1, jobs=2, out=tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("survived", [0, 1, 4, 7])
def test_a_sweep_that_was_killed_continues(found, monkeypatch, tmp_path, survived):
    """Killed after some trials were written; what was written is not trained again."""
    calls = []

    def run(work):
        if len(calls) == survived:
            raise KeyboardInterrupt
        calls.append(work.path)
        return trial.run(work)

    options = {"seeds": 2, "epochs": 4, "halving": 2, "out": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(search, "run", run)
        with pytest.raises(KeyboardInterrupt):
            cr.sweep(build, SPACE, **options)
    BUILT.clear()
    again = cr.sweep(build, SPACE, **options)
    assert records(again) == records(found)
    assert len(BUILT) == 1 + 6 + 4 + 2 - survived  # one look at what is monitored, three rungs
    with pytest.raises(CheckpointError, match="differs in epochs"):
        cr.sweep(build, SPACE, **{**options, "epochs": 5})


def test_random_state_and_threads_are_as_before(found):
    before = cr.default_generator.state.numpy().tolist(), cr.engine.num_threads()
    cr.sweep(build, {"lr": [0.1], "width": [4]}, seeds=[7], epochs=1)
    assert (cr.default_generator.state.numpy().tolist(), cr.engine.num_threads()) == before


def test_a_setting_that_diverges_is_last_and_other_errors_are_raised():
    found = cr.sweep(build, {"lr": [1e30, 0.1], "width": [4]}, epochs=3, halving=2)
    assert found.best["lr"] == 0.1
    assert math.isnan(found.rows[1].mean) and "the loss is nan" in found.trials[0].error
    with pytest.raises(TypeError, match="wrong"):
        cr.sweep(build, {"wrong": [1]})
    with pytest.raises(ArgumentError, match="build gave no training"):
        cr.sweep(lambda lr: 3, {"lr": [1]})


def test_early_stopping_keeps_its_best_weights_and_its_place():
    def stopping(lr):
        trainer, data = build(lr, 4, 0)
        trainer.callbacks = [*trainer.callbacks, cr.train.EarlyStopping(patience=1)]
        return trainer, data, data

    space = {"lr": [0.3, 1e-4]}
    halved = cr.sweep(stopping, space, epochs=6, halving=2)
    whole = cr.sweep(stopping, {"lr": [0.3]}, epochs=6)
    assert halved.best == {"lr": 0.3}
    assert records(halved)[0][0] == records(whole)[0][0]


@pytest.mark.parametrize(
    "settings, epochs, halving, rungs",
    [
        (9, 10, 3, [(2, 9), (4, 3), (10, 1)]),
        (5, 4, 2, [(1, 5), (1, 3), (2, 2), (4, 1)]),
        (1, 4, 2, [(4, 1)]),
        (5, 4, None, [(4, 5)]),
    ],
)
def test_rungs(settings, epochs, halving, rungs):
    assert Plan([{}] * settings, [0], None, epochs, 32, halving, "loss", "min").rungs() == rungs


# -- folds ---------------------------------------------------------------------------------------


def test_folds_are_parts_with_the_same_share_of_each_class():
    data = cr.data.ArrayDataset(np.zeros(31), np.arange(31) % 3)
    parts = [fold_of(data, fold, 4) for fold in range(4)]
    assert sorted(np.concatenate([valid for _, valid in parts])) == [*range(31)]
    for train, valid in parts:
        assert sorted([*train, *valid]) == [*range(31)]
        counts = np.bincount(data.arrays[1][valid])
        assert counts.max() - counts.min() <= 1
    with pytest.raises(ArgumentError, match="folds is out of range"):
        fold_of(data, 0, 32)


def test_cross_validation_trains_on_all_parts_but_one():
    seen = []

    def pairs(lr):
        trainer, data = build(lr, 4, 0)
        fit = trainer.fit
        trainer.fit = lambda train, valid, *a, **k: (
            seen.append((len(train), len(valid))),
            fit(train, valid, *a, **k),
        )[1]
        return trainer, data.arrays

    found = cr.sweep(pairs, {"lr": [0.1]}, folds=5, epochs=1)
    assert found.monitor == "valid_loss" and len(found.rows[0].scores) == 5
    assert seen == [(48, 12)] * 5


# -- page and command ----------------------------------------------------------------------------


def test_the_page_is_one_file_that_shows_the_settings(found, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    page = Path(write_sweep_page(found, str(tmp_path / "p.html"), "<b>")).read_text()
    assert page.count("<svg") == 2 and "&lt;b&gt;" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page.replace('xlink:href="#', 'href="#'))
    for row in found.rows:
        assert f"{row.mean:.4g}" in page
    lines = Path(found.write_csv(str(tmp_path / "t.csv"))).read_text().splitlines()
    assert lines[0] == "lr,width,seed,fold,epochs,loss,error" and len(lines) == 7
    assert str(found).splitlines()[1].split()[:2] == ["0.1", "4"]


def test_values_of_the_command_line():
    assert values_of("lr=1e-3, 0.1") == ("lr", [1e-3, 0.1])
    assert values_of("weight-decay=0.1")[0] == "weight_decay"
    for text, words in (("lr", "NAME=VALUE"), ("lrr=1", "NAME=VALUE"), ("lr=a", "could not")):
        with pytest.raises(ArgumentError, match=words):
            values_of(text)


def test_the_command_prints_the_table_and_the_next_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "sweep moons --set lr=1e-1,1e-4 --set hidden=4 --seeds 2 --epochs 2 --batch-size 200"
    done = CliRunner().invoke(main, words.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Next: chainrule train moons --lr 0.1 --hidden 4" in done.stdout
    assert (tmp_path / "sweeps/moons/sweep.html").exists()
    again = CliRunner().invoke(main, [*words.split(), "--json"], catch_exceptions=False)
    assert json.loads(again.stdout)["best"] == {"lr": 0.1, "hidden": [4]}


# -- an ensemble as one batched program ----------------------------------------------------------


def test_seeds_side_by_side_are_the_trainings_one_by_one():
    """A compiled step under vmap trains five networks at once."""
    x, y = (cr.from_numpy(array) for array in DATA.arrays)

    def network(seed):
        cr.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))

    models = [network(seed) for seed in range(5)]
    params, _ = nn.stack_module_state(models)
    optimizer = optim.Adam(params.values(), lr=0.05)

    def loss(params, x, y):
        return nn.functional.cross_entropy(nn.functional_call(models[0], params, x), y)

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        losses = cr.vmap(loss, in_dims=(0, None, None))(params, x, y)
        losses.sum().backward()
        optimizer.step()
        return losses

    together = [step(x, y).detach().numpy().copy() for _ in range(5)][-1]
    alone = []
    for model in models:
        own = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(5):
            own.zero_grad()
            value = nn.functional.cross_entropy(model(x), y)
            value.backward()
            own.step()
        alone.append(value.item())
    # Products of one network and of five sum in another order: float32 rounding over five steps.
    np.testing.assert_allclose(together, alone, rtol=1e-5)
