"""What people have: lists, DataFrames, float64, targets (n,), functions as loss and metric."""

from __future__ import annotations

import math
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
from small_training import small_data

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.data import ArrayDataset, DataLoader, Dataset
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn.predictions import CLASS_LOGITS
from chainrule.train import Callback, LearningRateFinder, Trainer

X, Y = small_data().arrays
ROW = (X[:, 0] * 2 - X[:, 1]).astype(np.float32)


def trainer(outputs: int = 2, loss: Any = None, **options: Any) -> Trainer:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = nn.CrossEntropyLoss() if loss is None else loss
    return Trainer(model, loss, optimizer, **{"progress": False, **options})


def trained(data: Any, outputs: int = 2, loss: Any = None, **options: Any) -> list[Any]:
    """The bits of the weights after one epoch, and the record of it without the time."""
    it = trainer(outputs, loss, **options)
    (record,) = it.fit(data, data, epochs=1)
    bits = [p.detach().numpy().tobytes() for p in it.model.parameters()]
    return [bits, {name: value for name, value in record.items() if name != "seconds"}]


def frame(values: Any, kind: str = "DataFrame") -> Any:
    return getattr(pytest.importorskip("pandas", reason="needs DataFrames"), kind)(values)


class Pairs(Dataset):
    """A dataset of one's own that gives float64."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index].astype(np.float64), Y[index]


GIVEN: dict[str, Any] = {
    "float64": lambda: (X.astype(np.float64), Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "frames": lambda: (frame(X), frame(Y, "Series")),
    "a frame of one column": lambda: (frame(X), frame(Y)),
    "tensors": lambda: (cr.tensor(X), cr.tensor(Y)),
    "labels of floats": lambda: (X, Y.astype(np.float64)),
    "labels of bools": lambda: (X, Y == 1),
    "labels (n, 1)": lambda: (X, Y[:, None]),
    "a dataset of float64": lambda: ArrayDataset(X.astype(np.float64), Y),
    "a dataset of one's own": Pairs,
}


@pytest.mark.parametrize("name", GIVEN)
def test_whatever_holds_the_same_numbers_trains_to_the_same_bits(name: str) -> None:
    assert trained(GIVEN[name]()) == trained((X, Y))


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.BCEWithLogitsLoss, nn.L1Loss])
@pytest.mark.parametrize("compiled", [True, False])
def test_targets_of_one_output_have_its_shape_and_never_broadcast(
    loss: Any, compiled: bool
) -> None:
    target = Y if loss is nn.BCEWithLogitsLoss else ROW
    column = target[:, None].astype(np.float32)
    wanted = trained((X, column), 1, loss(), compiled=compiled)
    for given in (target, target.tolist(), target.astype(np.float64), frame(target, "Series")):
        assert trained((X, given), 1, loss(), compiled=compiled) == wanted
    assert trained(ArrayDataset(X, target), 1, loss(), compiled=compiled) == wanted
    with pytest.raises(ShapeError, match="one shape"):
        trained((X, target), 3, loss(), compiled=compiled)


def test_integers_become_floats_only_for_a_model_that_refuses_them() -> None:
    whole = np.arange(96 * 6).reshape(96, 6) % 7
    assert trained((whole, Y)) == trained((whole.astype(np.float32), Y))
    cr.manual_seed(0)
    words = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(18, 2))
    reader = Trainer(
        words, nn.CrossEntropyLoss(), optim.SGD(words.parameters(), lr=0.1), progress=False
    )
    reader.fit((whole, Y))
    assert reader.predict(whole.tolist()).shape == (96,)
    double = trainer()
    double.model.double()
    assert double.predict_proba(X).dtype == np.float64


def test_text_is_refused_with_the_way_to_number_it() -> None:
    with pytest.raises(DTypeError, match=r"the target is text.*encode_labels"):
        trainer().fit((X, np.array(["no", "yes"])[Y]))
    with pytest.raises(DTypeError, match=r"cr\.data\.table\(frame"):
        trainer().predict(frame({"a": ["x", "y"]}))


# -- functions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (F.cross_entropy, nn.CrossEntropyLoss()),
        (partial(F.cross_entropy, label_smoothing=0.1), nn.CrossEntropyLoss(label_smoothing=0.1)),
    ],
)
def test_a_function_of_ours_is_the_loss_that_calls_it(function: Any, module: nn.Module) -> None:
    assert trained((X, Y), loss=function) == trained((X, Y), loss=module)
    assert trainer(loss=function).predict(X).dtype == np.int64
    with pytest.raises(ArgumentError, match="`relu` is no loss"):
        trainer(loss=F.relu)


def test_a_function_of_ones_own_is_a_loss() -> None:
    def squares(outputs: Any, targets: Any) -> Any:
        return (outputs - targets).square().mean()

    wanted = trained((X, ROW), 1, nn.MSELoss(), metrics=["r2"])
    assert trained((X, ROW), 1, squares, metrics=["r2"]) == wanted
    assert trained((X, ROW), 1, lambda x, y: squares(x, y), metrics=["r2"]) == wanted

    def focal(outputs: Any, labels: Any) -> Any:
        loss = F.cross_entropy(outputs, labels, reduction="none")
        return ((1 - (-loss).exp()) ** 2 * loss).mean()

    assert trainer(loss=focal).predict(X).shape == (96, 2)
    focal.predicts, focal.metrics = CLASS_LOGITS, ("accuracy",)  # type: ignore[attr-defined]
    assert trainer(loss=focal).predict(X).shape == (96,)
    assert "accuracy" in trained((X, Y), loss=focal)[1]
    assert "focal" in repr(trainer(loss=focal).loss)


def test_a_function_of_ones_own_is_a_metric_of_the_whole_set() -> None:
    def share(outputs: Any, targets: Any) -> Any:
        return (outputs.argmax(1) == targets).float().mean()

    def median(outputs: Any, targets: Any) -> float:
        return float(np.median(np.asarray(outputs)))

    it = trainer(metrics=["accuracy", share, median])
    record = it.fit((X, Y), (X, Y), epochs=1, batch_size=7)[0]
    assert record["share"] == pytest.approx(record["accuracy"]) and "valid_share" in record
    found = [it.evaluate((X, Y), batch_size) for batch_size in (5, 96)]
    assert found[0]["median"] == found[1]["median"] == np.median(it.model(cr.tensor(X)).detach())
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")

    def auc(outputs: Any, targets: Any) -> Any:
        return sklearn.roc_auc_score(targets, outputs[:, 1] - outputs[:, 0])

    assert 0 < trainer(metrics=[auc]).evaluate((X, Y))["auc"] < 1
    with pytest.raises(ArgumentError, match="needs a name"):
        trainer(metrics=[lambda x, y: 0.0]).evaluate((X, Y))
    with pytest.raises(DTypeError, match=r"Accuracy\(\)"):
        trainer(metrics=[train.Accuracy]).evaluate((X, Y))
    assert trainer(metrics="f1").evaluate((X, Y)).keys() == {"loss", "f1"}


def test_a_metric_of_a_function_is_saved_within_an_epoch() -> None:
    metric = train.FunctionMetric(math.dist)
    for part in (slice(0, 40), slice(40, 96)):
        metric.update(X[part, 0], X[part, 1])
        again = train.FunctionMetric(math.dist)
        again.load_state_dict(metric.state_dict())
    assert again.compute() == metric.compute() == math.dist(X[:, 0], X[:, 1])
    metric.reset()
    assert math.isnan(metric.compute()) and metric.state_dict() == {}
    with pytest.raises(ArgumentError, match="mode='max'"):
        train.metrics.direction("valid_dist", [metric])


# -- what callbacks see ------------------------------------------------------------------------


def test_callbacks_see_the_loss_and_the_outputs_of_a_step() -> None:
    seen: list[tuple[float, Any]] = []

    class Look(Callback):
        def on_step_end(self, trainer: Any) -> None:
            seen.append((trainer.loss_value, trainer.outputs))

    it = trainer(callbacks=[Look()])
    assert math.isnan(it.loss_value) and it.outputs is None
    it.fit((X, Y), epochs=1, batch_size=96, shuffle=False)
    ((loss, outputs),) = seen
    assert loss == it.history[0]["loss"] and outputs.shape == (96, 2) and not outputs.requires_grad
    # The loss of the step is a float32 sum in the engine's order: 1e-6 relative.
    assert F.cross_entropy(outputs, cr.tensor(Y)).item() == pytest.approx(loss, rel=1e-6)
    assert pickle.loads(pickle.dumps(trainer())).outputs is None


def test_rates_are_tried_and_everything_is_put_back() -> None:
    def bits(it: Trainer) -> Any:
        return [p.detach().numpy().tobytes() for p in it.model.parameters()]

    finder = LearningRateFinder(1e-4, 1e4, steps=40)
    it = trainer(callbacks=[finder])
    it.fit((X, Y), epochs=1)
    before, step = bits(it), it.step
    history = it.fit((X, Y), epochs=50)
    assert history.stopped == f"{len(finder.rates)} learning rates tried"
    assert bits(it) == before and it.optimizer.param_groups[0]["lr"] == 0.1
    assert it.step == step and len(it.history) == it.epoch
    np.testing.assert_allclose(np.diff(np.log(finder.rates)), np.log(1e8) / 39, rtol=1e-4)
    assert 1e-4 < finder.suggestion < finder.rates[finder.losses.argmin()] <= 1e4
    assert it.on_nonfinite == "raise"
    with pytest.raises(ArgumentError, match="schedule"):
        it.scheduler = optim.ExponentialLR(it.optimizer, 0.9)
        it.fit((X, Y))
    with pytest.raises(ArgumentError, match=r"trainer\.fit"):
        _ = LearningRateFinder().suggestion
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    assert finder.plot().startswith("<svg")


# -- rows in errors ----------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("act", ["fit", "evaluate"])
def test_an_error_names_the_sample_of_the_data(act: str, compiled: bool) -> None:
    labels = Y.copy()
    labels[61] = 9
    it = trainer(compiled=compiled)
    with pytest.raises(OutOfRangeError, match=r"sample 61 of the data .*label 9 at position"):
        getattr(it, act)((X, labels))
    loader = DataLoader(ArrayDataset(X, labels), batch_size=10, shuffle=True, seed=4)
    with pytest.raises(OutOfRangeError, match="sample 61 of the data"):
        it.evaluate(loader)
    shares = np.full((96, 2), 0.5, np.float32)
    shares[17] = 1.5
    it = trainer(2, nn.BCELoss(), compiled=compiled)
    it.model.append(nn.Sigmoid())
    with pytest.raises(ArgumentError, match="sample 17 of the data"):
        getattr(it, act)((X, shares))


def test_an_error_of_all_samples_names_none() -> None:
    with pytest.raises(ShapeError) as caught:
        trainer().fit((X[:, :5], Y))
    assert "sample" not in str(caught.value)
