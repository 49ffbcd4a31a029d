"""Estimators do what scikit-learn asks of its own, and learn as its networks do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

pytest.importorskip("sklearn", reason="the extra `sklearn`")

from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_multilabel_classification,
)
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.sklearn import NeuralClassifier, NeuralRegressor

pytestmark = pytest.mark.filterwarnings("ignore")  # of scikit-learn's own checks


@parametrize_with_checks(
    [NeuralClassifier((16,), epochs=20, lr=0.01), NeuralRegressor((16,), epochs=20, lr=0.01)]
)
def test_scikit_learns_checks(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize(
    ("load", "ours", "theirs"),
    [
        (load_digits, NeuralClassifier, MLPClassifier),
        (load_breast_cancer, NeuralClassifier, MLPClassifier),
        (load_diabetes, NeuralRegressor, MLPRegressor),
    ],
)
def test_the_score_is_that_of_scikit_learns_networks(load, ours, theirs) -> None:
    x, y = load(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=0)
    scaler = StandardScaler().fit(train_x)
    train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)
    model = ours((64,), epochs=30, random_state=0).fit(train_x, train_y)
    peer = theirs(hidden_layer_sizes=(64,), max_iter=30, batch_size=32, random_state=0)
    peer.fit(train_x, train_y)
    # Two standard errors of a share of about 0.97 among 143 samples.
    assert model.score(test_x, test_y) > peer.score(test_x, test_y) - 0.03


def test_a_search_in_two_processes_finds_what_one_finds() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    steps = make_pipeline(StandardScaler(), NeuralClassifier(epochs=3, random_state=0))
    grid = {"neuralclassifier__hidden": [(4,), (16,)]}
    one, two = (GridSearchCV(steps, grid, cv=2, n_jobs=jobs).fit(x, y) for jobs in (1, 2))
    assert (
        one.cv_results_["mean_test_score"].tolist() == two.cv_results_["mean_test_score"].tolist()
    )


def test_several_labels_and_outputs() -> None:
    x, y = make_multilabel_classification(300, n_classes=4, random_state=0)
    model = NeuralClassifier(epochs=40, lr=0.01, random_state=0).fit(x, y)
    assert model.predict(x).shape == y.shape and (model.predict(x) == y).mean() > 0.85
    assert ((model.predict_proba(x) > 0.5) == model.predict(x)).all()
    x = np.random.default_rng(0).normal(size=(200, 2))
    targets = np.stack([x.sum(1), 1000 * x[:, 0]], 1)
    found = NeuralRegressor(epochs=80, lr=0.01, random_state=0).fit(x, targets)
    assert found.score(x, targets) > 0.98


def test_weights_stop_resume_and_copies() -> None:
    x, y = load_digits(return_X_y=True)
    x = x / 16
    options = {"epochs": 4, "random_state": 0, "dropout": 0.1, "batch_norm": True}
    model = NeuralClassifier(class_weight="balanced", schedule="onecycle", **options).fit(x, y)
    assert (pickle.loads(pickle.dumps(model)).predict_proba(x) == model.predict_proba(x)).all()
    before = cr.default_generator.state.tolist()
    again = NeuralClassifier(class_weight="balanced", schedule="onecycle", **options).fit(x, y)
    assert cr.default_generator.state.tolist() == before
    assert again.loss_curve_ == model.loss_curve_ and model.n_iter_ == 4
    stopped = NeuralClassifier(epochs=200, early_stopping=True, patience=2, lr=0.01).fit(x, y)
    assert stopped.n_iter_ < 200 and len(stopped.validation_curve_) == stopped.n_iter_
    warm = NeuralClassifier(epochs=2, warm_start=True, random_state=0).fit(x, y).fit(x, y)
    assert warm.n_iter_ == 4 and warm.loss_curve_[2] < warm.loss_curve_[0]


def test_fits_of_one_kind_share_a_compiled_step_and_nothing_else(monkeypatch) -> None:
    x, y = load_digits(return_X_y=True)
    model = NeuralClassifier(
        epochs=3, early_stopping=True, dropout=0.1, batch_norm=True, batch_size=100
    )
    alone, together = [], []
    for fits, fresh in ((alone, True), (together, False), (together, False)):
        for seed, rows in ((0, 500), (1, 500), (0, 400)):
            if fresh:
                monkeypatch.setattr("chainrule.sklearn.kept._kept", {})
            fits.append(clone(model).set_params(random_state=seed).fit(x[:rows], y[:rows]))
        if not fresh:
            monkeypatch.setattr("chainrule.compiler.compiled.executable_of", None)
    for one, *others in zip(alone, together[:3], together[3:], strict=True):
        for other in others:
            assert other.loss_curve_ == one.loss_curve_
            assert other.validation_curve_ == one.validation_curve_
            assert (other.predict_proba(x) == one.predict_proba(x)).all()
    with pytest.raises(TypeError, match="not callable"):
        clone(model).set_params(lr=0.1).fit(x, y)


def test_a_network_that_the_user_has_changed_is_trained_itself() -> None:
    x, y = load_digits(return_X_y=True)
    model = NeuralClassifier(hidden=(4,), epochs=1, warm_start=True, random_state=0).fit(x, y)
    weight = next(model.module_.parameters()).requires_grad_(False)
    before = weight.tolist()
    assert next(model.fit(x, y).module_.parameters()).tolist() == before
    assert next(clone(model).fit(x, y).fit(x, y).module_.parameters()).tolist() != before


def test_a_network_whose_steps_run_eagerly_is_not_kept(monkeypatch) -> None:
    monkeypatch.setattr("chainrule.sklearn.kept._kept", kept := {})
    x, y = load_digits(return_X_y=True)
    NeuralClassifier(epochs=1).fit(x, y)
    (lent,) = kept.values()
    step = lent.steps["training_step"]
    monkeypatch.setattr(step, "run", step.eager)
    NeuralClassifier(epochs=1).fit(x, y)
    assert not kept


def test_a_module_of_ones_own_and_options_that_do_not_exist() -> None:
    x, y = load_digits(return_X_y=True)
    own = NeuralClassifier(epochs=2, module=lambda n, k: nn.Sequential(nn.Linear(n, k)))
    assert [*own.fit(x, y).module_.state_dict()] == ["0.weight", "0.bias"]
    with pytest.raises(ValueError, match="unknown activation 'swish2'"):
        NeuralClassifier(activation="swish2").fit(x, y)
    with pytest.raises(ValueError, match="unknown optimizer"):
        NeuralClassifier(optimizer="newton").fit(x, y)
    with pytest.raises(ValueError, match="names the classes"):
        NeuralClassifier().partial_fit(x, y)


def test_estimators_in_files(tmp_path) -> None:
    x, y = load_digits(return_X_y=True)
    path = tmp_path / "model.safetensors"
    names = np.array([f"digit {n}" for n in range(10)])[y]
    options = {"epochs": 2, "random_state": 0, "batch_norm": True, "hidden": (8, 4)}
    model = NeuralClassifier(**options).fit(x, names)
    model.save(path)
    found = NeuralClassifier.load(path)
    np.testing.assert_array_equal(found.predict_proba(x), model.predict_proba(x))
    assert found.get_params() == model.get_params() and (found.classes_ == model.classes_).all()
    assert found.loss_curve_ == model.loss_curve_ and found.predict(x[:1])[0] in names
    with pytest.raises(ValueError, match="no NeuralRegressor; given: NeuralClassifier"):
        NeuralRegressor.load(path)
    with pytest.raises(ValueError, match="of a trained estimator"):
        NeuralClassifier().save(path)
    own = NeuralRegressor(epochs=1, module=lambda n, k: nn.Linear(n, k)).fit(x, y)
    own.save(path)
    again = NeuralRegressor.load(path, module=own.module)
    np.testing.assert_array_equal(again.predict(x), own.predict(x))


def frame(rows=200):
    """Text, categories with a rare one, bools, numbers of any size and gaps; and a label."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    color, shape = rng.choice(["red", "blue", "tan", None], rows), rng.choice([*"abcdef"], rows)
    color[0], size = "gold", rng.normal(1e9, 1e3, rows)
    label = (color == "red") ^ np.isin(shape, [*"abc"])
    table = {"color": color, "size": size, "shape": shape, "hot": rng.random(rows) > 0.5}
    x = pandas.DataFrame(table).astype({"shape": "category"})
    x["gaps"] = pandas.array([1, None] * (rows // 2), "Int64")
    return x, label


@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor])
def test_tables_with_categories_and_gaps(kind, tmp_path) -> None:
    x, label = frame()
    options = {"missing": "median", "epochs": 40, "lr": 0.01, "early_stopping": True}
    options["categorical_features"] = x.columns[[0, 2]]
    model = kind(random_state=0, **options).fit(x, label)
    assert model.score(x, label) > 0.9 and [*model.feature_names_in_] == [*x.columns]
    new = x.head(9).assign(color="violet", shape="z")
    wanted = model.predict(new)
    assert (wanted == model.predict(new.assign(color="gold"))).all()  # once in training
    assert (pickle.loads(pickle.dumps(model)).predict(new) == wanted).all()
    counts = (np.arange(len(x)) + 1) % 3
    weighted = kind(random_state=0, missing="median", epochs=2).fit(x, label, counts)
    repeated = x.loc[x.index.repeat(counts)], label.repeat(counts)
    again = kind(random_state=0, missing="median", epochs=2).fit(*repeated)
    assert (weighted.predict(x) == again.predict(x)).all()  # statistics and categories too
    model.save(tmp_path / "model")
    assert (kind.load(tmp_path / "model").predict(x) == model.predict(x)).all()
    with pytest.raises(ValueError, match="embeds categories"):
        model.to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(x.drop(columns="size"))
    with pytest.raises(ValueError, match="NaN"):
        kind(epochs=1).fit(x, label)


def test_columns_that_are_named_categories() -> None:
    x, label = frame()
    x = x[["color", "size", "shape"]].assign(size=np.arange(len(x)) % 7)
    grid = {"categorical_features": [[0, 1, 2], ["size", "shape", "color"], [True] * 3]}
    search = GridSearchCV(NeuralClassifier(epochs=3, random_state=0), grid, cv=2).fit(x, label)
    assert len({*search.cv_results_["mean_test_score"]}) == 1
    model = NeuralClassifier(categorical_features=[1], epochs=2, random_state=0)
    codes = np.stack([np.arange(60.0), np.arange(60) % 5], 1)
    found = model.fit(codes, codes[:, 1] > 2).predict_proba(codes)
    assert model.module_[0].categories == [(1, 7)]  # five, and the unknown one
    assert (found == model.predict_proba(codes.astype(object))).all()
    for wanted, message in (
        ("all", "from_dtype"),
        (["size"], "no column size"),
        ([5], "below 2"),
        ([True], "no column True"),
    ):
        with pytest.raises(ValueError, match=message):
            NeuralClassifier(categorical_features=wanted).fit(codes, codes[:, 1])
    with pytest.raises(ValueError, match="could not convert string"):
        NeuralClassifier(categorical_features=None).fit(x, label)
    with pytest.raises(ValueError, match="unknown missing 'mean'"):
        NeuralClassifier(missing="mean").fit(codes, codes[:, 1])


def test_weights_are_routed_through_pipelines_and_searches() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    doubted = np.random.default_rng(0).random(len(y)) < 0.3
    labels, weights = np.where(doubted, 1 - y, y), np.where(doubted, 0.0, 0.5)
    with config_context(enable_metadata_routing=True):
        network = NeuralClassifier((8,), epochs=3, random_state=0)
        network.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), network)
        search = GridSearchCV(steps, {"neuralclassifier__lr": [0.01]}, cv=2)
        search.fit(x, labels, sample_weight=weights)
        assert search.best_score_ > 0.9  # the score without weights is about 0.7
    scaler = search.best_estimator_[0]
    again = NeuralClassifier((8,), epochs=3, random_state=0, lr=0.01)
    again.fit(scaler.transform(x), labels, weights)
    assert again.loss_curve_ == search.best_estimator_[1].loss_curve_


def test_scikit_learns_own_callbacks_see_each_epoch(tmp_path) -> None:
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    x, label = frame()
    options = {"epochs": 3, "random_state": 0, "missing": "median", "lr": 0.01}
    model = NeuralClassifier(**options)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model.set_callbacks(monitor).fit(x, label)
    whole, *epochs = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(epochs) == 3 and epochs[0] < epochs[2] == whole == model.score(x, label)
    plain = NeuralClassifier(**options).fit(x, label)
    assert plain.loss_curve_ == model.loss_curve_

    class Stop(callback.ScoringMonitor):
        def on_fit_task_end(self, estimator, context):
            return context.task_name == "epoch" and context.task_id == 1

    assert model.set_callbacks(Stop(scoring="accuracy")).fit(x, label).n_iter_ == 2
    model.save(tmp_path / "model")
    assert (NeuralClassifier.load(tmp_path / "model").predict(x) == model.predict(x)).all()


@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor])
def test_networks_as_onnx_and_c(kind, tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x, y = load_digits(return_X_y=True)
    model = kind(epochs=2, random_state=0).fit(x, y * 100)
    model.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]
    wanted = model.predict_proba(x) if kind is NeuralClassifier else model.predict(x)[:, None]
    # float32, whose sums are in another order; the predictions are up to 900.
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    report = model.to_c(tmp_path / "model.c")
    assert "int main" in (tmp_path / "model.c").read_text() and "multiply-adds" in str(report)
