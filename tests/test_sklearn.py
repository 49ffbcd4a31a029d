"""Estimators do what scikit-learn asks of its own, and learn as its networks do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

pytest.importorskip("sklearn", reason="the extra `sklearn`")

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
