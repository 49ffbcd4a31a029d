"""What losses declare, and what follows it: predictions, metrics, the loss of a whole set."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from small_training import small_data, small_trainer, weights

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.data import ArrayDataset
from chainrule.errors import ArgumentError, DTypeError
from chainrule.nn.predictions import PROBABILITIES, YesOrNo
from chainrule.train import Callback, EarlyStopping, LayerStatistics, Trainer


class Pass(nn.Module):
    """Gives its input; the one weight is there for an optimizer."""

    def __init__(self) -> None:
        self.factor = nn.Parameter(cr.ones(1))

    def forward(self, x: Any) -> Any:
        return x * self.factor


def passing(loss: nn.Module, **options: Any) -> Trainer:
    """A trainer whose model's outputs are its inputs, and that learns nothing."""
    model = Pass()
    return Trainer(model, loss, optim.SGD(model.parameters(), lr=0.0), progress=False, **options)


# -- predictions and metrics -------------------------------------------------------------------


class Focal(nn.CrossEntropyLoss):
    """A subclass with a loss of its own."""

    def forward(self, input: Any, target: Any) -> Any:
        loss = nn.functional.cross_entropy(input, target, reduction="none")
        return ((1 - (-loss).exp()) ** 2 * loss).mean()


class Brier(nn.Module):
    """A loss that is no subclass of ours and declares the same."""

    predicts, metrics = PROBABILITIES, ("accuracy", "f1")

    def forward(self, input: Any, target: Any) -> Any:
        return (input - target).square().mean()


class Silent(nn.Module):
    def forward(self, input: Any, target: Any) -> Any:
        return (input - target).square().mean()


def test_a_subclass_of_a_loss_predicts_as_the_loss_does() -> None:
    x = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], np.float32)
    trainer = passing(Focal())
    assert trainer.predict(x).tolist() == [1, 0]
    assert np.allclose(trainer.predict_proba(x).sum(axis=1), 1)
    assert trainer.evaluate((x, np.array([1, 1])))["accuracy"] == 0.5


def test_a_loss_of_ones_own_declares_what_it_predicts() -> None:
    x = np.array([[0.2], [0.7], [0.4]], np.float32)
    results = passing(Brier()).evaluate((x, np.array([[0.0], [1.0], [1.0]], np.float32)))
    assert passing(Brier()).predict(x).tolist() == [0, 1, 0]
    assert results["accuracy"] == 2 / 3 and 0 < results["f1"] < 1
    assert passing(Silent()).evaluate((x, x)).keys() == {"loss"}
    assert (passing(Silent()).predict(x) == x).all()


CLASS_METRICS: list[Any] = [
    train.Accuracy,
    train.F1,
    train.Precision,
    train.Recall,
    train.ConfusionMatrix,
]


@pytest.mark.parametrize("kind", CLASS_METRICS)
def test_metrics_read_probabilities_and_logits_as_the_loss_does(kind: Any) -> None:
    logits = np.linspace(-2, 2, 12, dtype=np.float32)[:, None]
    target = (np.arange(12) % 3 > 0).astype(np.float32)[:, None]
    shares = 1 / (1 + np.exp(-logits))
    by_logits = passing(nn.BCEWithLogitsLoss(), metrics=[kind()]).evaluate((logits, target))
    by_shares = passing(nn.BCELoss(), metrics=[kind()]).evaluate((shares, target))
    alone = kind()
    alone.update(logits, target)
    assert by_shares[alone.name] == by_logits[alone.name] == np.asarray(alone.compute()).tolist()
    strict = passing(nn.BCELoss(), metrics=[kind(threshold=0.6)]).evaluate((shares, target))
    assert strict[alone.name] != by_shares[alone.name]


def test_margins_signs_and_rates_are_read_as_their_losses_mean_them() -> None:
    scores = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], np.float32)
    margins = passing(nn.MultiMarginLoss())
    assert margins.predict(scores).tolist() == [1, 0]
    assert margins.evaluate((scores, np.array([1, 1])))["accuracy"] == 0.5
    with pytest.raises(ArgumentError, match="no probabilities"):
        margins.predict_proba(scores)
    signs = passing(nn.SoftMarginLoss())
    x, t = np.array([[0.5], [-2.0], [3.0]], np.float32), np.array([[1], [-1], [-1]], np.float32)
    assert signs.predict(x).tolist() == [1, 0, 1]
    assert signs.evaluate((x, t))["accuracy"] == 2 / 3
    assert passing(nn.PoissonNLLLoss()).predict(x).tolist() == pytest.approx(np.exp(x))
    assert passing(nn.PoissonNLLLoss(log_input=False)).predict(x).tolist() == x.tolist()


def test_several_questions_are_each_answered_by_themselves() -> None:
    p = np.array([[0.9, 0.8, 0.1], [0.2, 0.6, 0.7]], np.float32)
    target = np.array([[1, 1, 0], [0, 0, 1]], np.float32)
    trainer = passing(nn.BCELoss())
    assert trainer.predict(p).tolist() == [[1, 1, 0], [0, 1, 1]]
    assert trainer.evaluate((p, target))["accuracy"] == 5 / 6
    assert (trainer.predict_proba(p) == p).all()


@pytest.mark.parametrize("ignored", [-100, -1, 2])
@pytest.mark.parametrize("kind", [*CLASS_METRICS, lambda: train.TopK(1)])
def test_no_metric_counts_the_labels_that_the_loss_ignores(kind: Any, ignored: int) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    x[:, 2] -= 9
    y = np.random.default_rng(1).integers(0, 2, 30)
    y[::4] = ignored
    trainer = passing(nn.CrossEntropyLoss(ignore_index=ignored), metrics=[kind()])
    (name,) = trainer.evaluate((x, y)).keys() - {"loss"}
    kept = y != ignored
    assert trainer.evaluate((x, y))[name] == trainer.evaluate((x[kept], y[kept]))[name]


def test_metrics_by_name() -> None:
    trainer = passing(nn.CrossEntropyLoss(), metrics=["f1", train.TopK(2)])
    x = np.eye(3, dtype=np.float32)
    assert trainer.evaluate((x, np.arange(3))).keys() == {"loss", "f1", "top2"}
    with pytest.raises(ArgumentError, match="accuracy"):
        passing(nn.CrossEntropyLoss(), metrics=["acuracy"]).evaluate((x, np.arange(3)))


def test_one_class_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="one class"):
        passing(nn.CrossEntropyLoss()).evaluate((np.ones((4, 1), np.float32), np.zeros(4, int)))


# -- the loss of a whole set -------------------------------------------------------------------

rng = np.random.default_rng(3)
LOGITS = rng.normal(size=(23, 4)).astype(np.float32)
LABELS = rng.integers(0, 4, 23)
SOME = np.where(np.arange(23) < 6, -100, LABELS)
SHARES = rng.random((23, 4)).astype(np.float32)
SOFT = (SHARES / SHARES.sum(axis=1, keepdims=True)).astype(np.float32)
IMAGES, MAPS = rng.normal(size=(23, 4, 5)).astype(np.float32), rng.integers(0, 4, (23, 5))
MAPS[rng.random((23, 5)) < 0.3] = -100
WEIGHT, RATIO = [1.0, 5.0, 0.1, 0.0], [1.0, 5.0, 0.1, 2.0]
SETS: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "classes": ("CrossEntropyLoss", {}, LOGITS, LABELS),
    "ignored": ("CrossEntropyLoss", {}, LOGITS, SOME),
    "weights": ("CrossEntropyLoss", {"weight": WEIGHT}, LOGITS, LABELS),
    "both": ("CrossEntropyLoss", {"weight": WEIGHT, "ignore_index": 1}, LOGITS, LABELS),
    "smoothing": ("CrossEntropyLoss", {"weight": RATIO, "label_smoothing": 0.2}, LOGITS, SOME),
    "soft": ("CrossEntropyLoss", {"weight": WEIGHT}, LOGITS, SOFT),
    "maps": ("CrossEntropyLoss", {"weight": WEIGHT}, IMAGES, MAPS),
    "nll": ("NLLLoss", {"weight": WEIGHT}, LOGITS, SOME),
    "bce": ("BCELoss", {}, SHARES, SOFT),
    "logits": ("BCEWithLogitsLoss", {"pos_weight": WEIGHT}, LOGITS, SHARES),
    "squares": ("MSELoss", {}, LOGITS, SHARES),
    "huber": ("HuberLoss", {"delta": 0.5}, LOGITS, SHARES),
}


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", SETS)
def test_the_loss_of_a_set_is_pytorchs_for_any_batch_size(name: str, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    kind, options, x, y = SETS[name]
    ours = {k: cr.tensor(v) if k.endswith("weight") else v for k, v in options.items()}
    theirs = {k: torch.tensor(v) if k.endswith("weight") else v for k, v in options.items()}
    loss = getattr(torch.nn, kind)(**theirs, reduction=reduction)
    wanted = float(loss(torch.from_numpy(x), torch.from_numpy(y)))
    trainer = passing(getattr(nn, kind)(**ours, reduction=reduction))
    for batch_size in (23, 10, 4, 1):
        # Each batch's loss is a float32 sum in another order: 1e-5 relative.
        assert trainer.evaluate((x, y), batch_size)["loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_of_an_epoch_is_that_of_the_whole_set(reduction: str) -> None:
    loss = nn.CrossEntropyLoss(cr.tensor(WEIGHT), ignore_index=2, reduction=reduction)
    trainer = passing(loss)
    whole = trainer.evaluate((LOGITS, LABELS), 23)
    (record,) = trainer.fit((LOGITS, LABELS), (LOGITS, LABELS), epochs=1, batch_size=5)
    # float32 sums in another order: 1e-5 relative.
    assert record["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert record["valid_loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert record["accuracy"] == record["valid_accuracy"] == whole["accuracy"]


def test_a_loss_for_each_example_is_refused_with_the_way_out() -> None:
    for act in (Trainer.evaluate, Trainer.fit):
        with pytest.raises(ValueError, match=r"one number.*mean"):
            act(passing(nn.CrossEntropyLoss(reduction="none")), (LOGITS, LABELS))


# -- parts that are set later ------------------------------------------------------------------


def trained(change: Any, **options: Any) -> Trainer:
    """A small training whose parts were changed before its second `fit`."""
    trainer = small_trainer(**options)
    trainer.fit(small_data(), epochs=1)
    change(trainer)
    trainer.fit(small_data(), epochs=1)
    return trainer


CHANGES: dict[str, Any] = {
    "clip_norm": lambda t: setattr(t, "clip_norm", 1e-3),
    "loss": lambda t: setattr(t, "loss", nn.CrossEntropyLoss(label_smoothing=0.5)),
    "optimizer": lambda t: setattr(t, "optimizer", optim.SGD(t.model.parameters(), lr=0.5)),
    "scheduler": lambda t: setattr(t, "scheduler", optim.ExponentialLR(t.optimizer, 0.5)),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("compiled", [True, False])
def test_a_part_that_is_set_later_holds_as_if_given_at_the_start(name: str, compiled: bool) -> None:
    changed = trained(CHANGES[name], compiled=compiled)

    def make_anew(trainer: Trainer) -> None:
        CHANGES[name](trainer)
        parts = trainer.model, trainer.loss, trainer.optimizer
        again = Trainer(
            *parts, scheduler=trainer.scheduler, clip_norm=trainer.clip_norm, progress=False
        )
        again.epoch = 1
        again.fit(small_data(), epochs=1)
        trainer.loader, trainer.epoch = again.loader, 2

    whole = small_trainer()
    whole.fit(small_data(), epochs=1)
    make_anew(whole)
    assert weights(changed) == weights(whole)
    assert weights(changed) != weights(trained(lambda _: None))


def test_a_callback_can_change_a_part_in_mid_epoch(data: ArrayDataset) -> None:
    class Freeze(Callback):
        def on_step_end(self, trainer: Any) -> None:
            if trainer.step == 2:
                trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.0)
                self.kept = trainer.model[0].weight.detach().numpy().copy()

    freeze = Freeze()
    trainer = small_trainer(callbacks=[freeze])
    trainer.fit(data, epochs=1, batch_size=16)
    assert (trainer.model[0].weight.detach().numpy() == freeze.kept).all() and trainer.step == 6


def test_parameters_that_join_the_optimizer_later_are_trained_and_clipped(
    data: ArrayDataset,
) -> None:
    found = []
    for compiled in (True, False):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
        optimizer = optim.SGD(model[2].parameters(), lr=1.0)
        trainer = Trainer(
            model,
            nn.CrossEntropyLoss(),
            optimizer,
            clip_norm=1e-2,
            compiled=compiled,
            progress=False,
        )
        trainer.fit(data, epochs=1)
        optimizer.add_param_group({"params": model[0].parameters()})
        before = [p.detach().numpy().copy() for p in model.parameters()]
        trainer.fit(data, epochs=1, batch_size=96)
        now = [p.detach().numpy() for p in model.parameters()]
        moved = [n - b for n, b in zip(now, before, strict=True)]
        # 1e-3 relative: the rounding of w − g, for steps this much smaller than the weights.
        assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(1e-2, rel=1e-3)
        assert all(m.any() for m in moved)
        found.append([n.tobytes() for n in now])
    assert found[0] == found[1]


def test_another_model_needs_another_optimizer(data: ArrayDataset) -> None:
    trainer = small_trainer()
    trainer.fit(data, epochs=1)
    trainer.model = small_trainer(seed=8).model
    shares = trainer.predict_proba(data)[np.arange(96), data.arrays[1]]
    # evaluate computes the logarithm in float32, from logits: 1e-5 relative.
    assert trainer.evaluate(data)["loss"] == pytest.approx(-np.log(shares).mean(), rel=1e-5)
    with pytest.raises(ArgumentError, match="not the model's"):
        trainer.fit(data)
    trainer.optimizer = optim.Adam(trainer.model.parameters())
    trainer.fit(data)
    trainer.scheduler = optim.ExponentialLR(small_trainer().optimizer, 0.5)
    with pytest.raises(ArgumentError, match="another optimizer"):
        trainer.fit(data)


def test_metrics_follow_a_loss_that_is_set_later() -> None:
    x = np.array([[0.2], [0.7]], np.float32)
    y = np.array([[0.0], [1.0]], np.float32)
    trainer = passing(nn.MSELoss())
    assert trainer.evaluate((x, y)).keys() == {"loss", "r2"}
    trainer.loss = nn.BCELoss()
    assert trainer.evaluate((x, y))["accuracy"] == 1.0 and trainer.predict(x).tolist() == [0, 1]
    trainer.metrics = ["f1"]
    assert trainer.evaluate((x, y)).keys() == {"loss", "f1"}


def test_what_cannot_be_set_later_is_refused(data: ArrayDataset) -> None:
    trainer = small_trainer()
    for name, value in (("out", "x"), ("checkpoint_every", 3), ("progress", True)):
        with pytest.raises(ArgumentError, match="fixed"):
            setattr(trainer, name, value)
    for name, value in (("clip_norm", -1.0), ("on_nonfinite", "ignore"), ("schedule_every", "x")):
        with pytest.raises(ArgumentError):
            setattr(trainer, name, value)
    with pytest.raises(DTypeError, match="no Module"):
        trainer.model = "model"  # type: ignore[assignment]
    assert len(trainer.fit(data)) == 1


@pytest.mark.parametrize("way", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_of_a_trainer_trains_on_by_itself(way: Any, data: ArrayDataset) -> None:
    trainer = small_trainer(metrics=["f1"], callbacks=[EarlyStopping(5), LayerStatistics()])
    trainer.fit(data, epochs=1)
    twin = way(trainer)
    for one in (twin, trainer):
        cr.manual_seed(1)
        one.fit(data, epochs=1)
    assert twin.epoch == trainer.epoch == 2 and weights(twin) == weights(trainer)


def test_questions_have_a_threshold_of_their_own() -> None:
    strict = YesOrNo(0.9, lambda p: p)
    assert strict.decide(np.array([[0.8], [0.95]])).tolist() == [0, 1]
