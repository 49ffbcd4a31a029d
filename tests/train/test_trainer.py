"""The Trainer: what fit, evaluate and predict promise; B5, B9, B10, C20, D10, H9, H11, H12."""

from __future__ import annotations

import gc
import math
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from small_training import small_data, small_trainer, weights

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import ArrayDataset, DataLoader
from chainrule.errors import ArgumentError, DTypeError, NonFiniteError
from chainrule.train import Callback, Metric, Trainer

# -- what it does ------------------------------------------------------------------------------


@pytest.mark.usefixtures("references")
def test_it_does_what_the_plain_loop_does(data: ArrayDataset) -> None:
    trainer = small_trainer(seed=5)
    trainer.fit(data, epochs=2, batch_size=20)
    plain = small_trainer(seed=5)
    loader = DataLoader(data, batch_size=20, shuffle=True, seed=0)
    for _ in range(2):
        for x, y in loader:
            plain.optimizer.zero_grad()
            plain.loss(plain.model(x), y).backward()
            plain.optimizer.step()
    assert weights(trainer) == weights(plain)


def test_the_first_page_of_the_readme() -> None:
    train, test = cr.data.digits()
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    trainer = Trainer(
        model, loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(model.parameters(), lr=1e-3)
    )
    trainer.fit(train, valid=test, epochs=20)
    assert trainer.evaluate(test)["accuracy"] > 0.94


def test_an_interrupted_epoch_goes_on_or_starts_again(data: ArrayDataset) -> None:
    class StopAt(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.step == 5:
                trainer.stop("enough")

    trainer = small_trainer(callbacks=[StopAt()])
    history = trainer.fit(data, epochs=3, batch_size=32)
    assert history.stopped == "enough" and (trainer.epoch, trainer.batch) == (1, 2)
    trainer.fit(data, epochs=1, batch_size=32)
    whole = small_trainer()
    whole.fit(data, epochs=2, batch_size=32)
    assert weights(trainer) == weights(whole) and trainer.history["step"] == [3, 6]
    trainer.batch = 2
    trainer.fit(data, epochs=1, batch_size=16)
    assert trainer.step == 6 + 6


def test_the_history_holds_what_evaluate_says(trainer: Trainer, data: ArrayDataset) -> None:
    history = trainer.fit(data, valid=data, epochs=3, batch_size=32)
    assert len(history) == 3 and history["epoch"] == [1, 2, 3] and history["step"] == [3, 6, 9]
    after = trainer.evaluate(data)
    assert after["loss"] == history[-1]["valid_loss"]
    assert after["accuracy"] == history[-1]["valid_accuracy"]
    assert {"loss", "accuracy", "lr", "seconds"} <= history[-1].keys()
    with pytest.raises(ArgumentError, match="valid_loss"):
        history["val_loss"]


def test_modes_are_set_and_restored(trainer: Trainer, data: ArrayDataset) -> None:
    dropout = trainer.model[3]
    trainer.model.eval()
    dropout.train()
    trainer.fit(data, epochs=1)
    trainer.evaluate(data)
    first, second = trainer.predict_proba(data), trainer.predict_proba(data)
    assert (first == second).all()
    assert dropout.training and not trainer.model[0].training


def test_evaluate_and_predict_leave_everything_as_it_is(trainer: Trainer, data: Any) -> None:
    trainer.fit(data, epochs=1)
    before = weights(trainer)
    trainer.evaluate(data)
    trainer.predict(data)
    assert weights(trainer) == before


def test_predictions_of_classes(trainer: Trainer, data: ArrayDataset) -> None:
    trainer.fit(data, epochs=1)
    x = data.arrays[0]
    shares = trainer.predict_proba(x)
    assert shares.shape == (96, 2) and np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (trainer.predict(x) == shares.argmax(axis=1)).all()
    assert (trainer.predict(cr.tensor(x)) == trainer.predict(data)).all()
    assert trainer.evaluate(data)["accuracy"] == (trainer.predict(x) == data.arrays[1]).mean()


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nn.BCELoss()])
def test_predictions_of_one_output(loss: nn.Module) -> None:
    data = small_data()
    target = data.arrays[1][:, None].astype(np.float32)
    cr.manual_seed(0)
    layers = [nn.Linear(6, 1)] + ([nn.Sigmoid()] if isinstance(loss, nn.BCELoss) else [])
    model = nn.Sequential(*layers)
    trainer = Trainer(model, loss, optim.SGD(model.parameters(), lr=0.5), progress=False)
    trainer.fit((data.arrays[0], target), epochs=20)
    shares = trainer.predict_proba(data.arrays[0])
    assert shares.shape == (96, 2) and (shares.argmax(1) == trainer.predict(data.arrays[0])).all()
    right = (trainer.predict(data.arrays[0]) == data.arrays[1]).mean()
    assert trainer.evaluate((data.arrays[0], target))["accuracy"] == right > 0.6


def test_predictions_of_numbers() -> None:
    model = nn.Linear(6, 2)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), progress=False)
    x = small_data().arrays[0]
    assert trainer.predict(x).shape == (96, 2)
    with pytest.raises(ArgumentError, match="no probabilities"):
        trainer.predict_proba(x)


def test_schedules_move_with_steps_or_epochs(data: ArrayDataset) -> None:
    for every, steps in (("step", 6), ("epoch", 2)):
        trainer = small_trainer(lr=1.0)
        schedule = optim.ExponentialLR(trainer.optimizer, gamma=0.5)
        trainer = Trainer(
            trainer.model,
            trainer.loss,
            trainer.optimizer,
            scheduler=schedule,
            schedule_every=every,
            progress=False,
        )
        trainer.fit(data, epochs=2, batch_size=32)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.5**steps)


def test_the_plateau_schedule_sees_the_validation_loss(data: ArrayDataset) -> None:
    trainer = small_trainer(lr=0.0)
    schedule = optim.ReduceLROnPlateau(trainer.optimizer, patience=0)
    trainer = Trainer(
        trainer.model,
        trainer.loss,
        trainer.optimizer,
        scheduler=schedule,
        schedule_every="epoch",
        progress=False,
    )
    trainer.fit(data, valid=data, epochs=2)


def test_parts_that_do_not_fit_are_refused() -> None:
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    good = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DTypeError, match=r"nn\.MSELoss\(\)"):
        Trainer(model, nn.MSELoss, good)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="not the model's"):
        Trainer(model, nn.MSELoss(), optim.SGD(other.parameters(), lr=0.1))
    for options in ({"clip_norm": 0.0}, {"on_nonfinite": "ignore"}, {"schedule_every": "batch"}):
        with pytest.raises(ArgumentError):
            Trainer(model, nn.MSELoss(), good, **options)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="DataLoader"):
        Trainer(model, nn.MSELoss(), good).fit([1, 2, 3])


def test_B10_lengths_and_batch_sizes_are_checked(trainer: Trainer, data: ArrayDataset) -> None:
    for batch_size in (0, -1, 2.5):
        with pytest.raises(ArgumentError, match="batch_size"):
            trainer.fit(data, batch_size=batch_size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="length"):
        trainer.fit((np.ones((3, 6), np.float32), np.zeros(4, np.int64)))


def test_H11_fit_twice_after_load_and_zero_epochs(trainer: Trainer, data: ArrayDataset) -> None:
    before = weights(trainer)
    assert len(trainer.fit(data, epochs=0)) == 0 and weights(trainer) == before
    trainer.fit(data, epochs=2)
    trainer.fit(data, epochs=1)
    whole = small_trainer()
    whole.fit(data, epochs=3)
    assert weights(trainer) == weights(whole) and trainer.history["epoch"] == [1, 2, 3]
    state, loaded = trainer.state_dict(), small_trainer(seed=9)
    for one in (trainer, loaded):
        one.load_state_dict(state)  # the random state of dropout is one for all, and part of it
        one.fit(data, epochs=1)
    for epochs in (-1, 1.5, True):
        with pytest.raises(ArgumentError, match="epochs"):
            trainer.fit(data, epochs=epochs)  # type: ignore[arg-type]
    assert weights(trainer) == weights(loaded)


# -- H9: what is not finite --------------------------------------------------------------------


class Root(nn.Module):
    """√x, whose value and derivative are not finite for x <= 0."""

    def forward(self, x: Any) -> Any:
        return x.sqrt()


def root_trainer(**options: Any) -> Trainer:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), Root(), nn.Linear(3, 2))
    with cr.no_grad():
        model[0].weight.assign(np.eye(3, dtype=np.float32))
        model[0].bias.assign(0.0)
    optimizer = optim.Adam(model.parameters(), lr=1e-4)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False, **options)


def positive_but(bad: float, at: int = 9) -> ArrayDataset:
    x = np.random.default_rng(0).uniform(1, 2, (16, 3)).astype(np.float32)
    x[at, 0] = bad
    return ArrayDataset(x, np.zeros(16, np.int64))


def fit(trainer: Trainer, data: ArrayDataset) -> Any:
    return trainer.fit(data, epochs=1, batch_size=4, shuffle=False)


def test_H9_the_error_names_step_samples_rate_and_layer_before_the_update() -> None:
    good = root_trainer()
    good.fit(positive_but(1.0).take(np.arange(8)), epochs=1, batch_size=4, shuffle=False)
    trainer = root_trainer()
    with pytest.raises(NonFiniteError) as caught:
        fit(trainer, positive_but(-1.0))
    text = str(caught.value)
    for part in (
        "loss is nan",
        "epoch 1, step 3",
        "samples 8, 9, 10, 11",
        "lr 0.0001",
        "model.1 (Root",
        "`sqrt`",
        "clip_norm",
    ):
        assert part in text, (part, text)
    assert weights(trainer) == weights(good)


def test_H9_a_gradient_alone_can_be_the_fault() -> None:
    trainer = root_trainer()
    before = weights(trainer)
    with pytest.raises(NonFiniteError, match=r"gradient.*step 1.*backward"):
        fit(trainer, positive_but(0.0, at=0))
    assert weights(trainer) == before


def test_H9_skip_and_stop(recwarn: Any) -> None:
    warnings.simplefilter("always")
    skipping = root_trainer(on_nonfinite="skip")
    history = fit(skipping, positive_but(-1.0))
    assert skipping.step == 3 and history[0]["step"] == 3 and math.isfinite(history[0]["loss"])
    stopping = root_trainer(on_nonfinite="stop")
    history = fit(stopping, positive_but(-1.0))
    assert stopping.step == 2 and len(history) == 0 and "loss is nan" in str(history.stopped)
    assert len([w for w in recwarn if "loss is nan" in str(w.message)]) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_B9_a_bad_input_is_named(bad: float) -> None:
    with pytest.raises(NonFiniteError, match="the input holds it already: sample 9"):
        fit(root_trainer(), positive_but(bad))


def test_B9_a_bad_target_is_named() -> None:
    model = nn.Linear(3, 1)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), progress=False)
    y = np.zeros((4, 1), np.float32)
    y[2] = math.nan
    with pytest.raises(NonFiniteError, match="the target holds it already: sample 2"):
        trainer.fit((np.ones((4, 3), np.float32), y), shuffle=False)


def test_B5_labels_that_are_all_ignored_stop_training() -> None:
    trainer = small_trainer()
    data = ArrayDataset(small_data().arrays[0][:8], np.full(8, -100), classes=None)
    before = weights(trainer)
    with pytest.raises(NonFiniteError, match="every label of the batch is -100"):
        trainer.fit(data, epochs=1)
    assert weights(trainer) == before


def test_C20_a_gradient_that_is_not_finite_is_not_clipped_away() -> None:
    trainer = root_trainer(clip_norm=1.0)
    before = weights(trainer)
    with pytest.raises(NonFiniteError, match="gradient"):
        fit(trainer, positive_but(0.0, at=0))
    assert weights(trainer) == before


def test_clip_norm_bounds_the_step(data: ArrayDataset) -> None:
    cr.manual_seed(0)
    model = nn.Linear(6, 2)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, clip_norm=1e-3, progress=False)
    trainer.fit(data, epochs=1, batch_size=96)
    moved = [p.detach().numpy() - b for p, b in zip(model.parameters(), before, strict=True)]
    # 1e-5 relative: the ε of the clipping formula and the rounding of w − g.
    assert math.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(1e-3, rel=1e-3)


def test_H12_only_monotonic_clocks_are_read(
    data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    def never() -> float:
        raise AssertionError("time.time() jumps when the clock is set")

    monkeypatch.setattr(time, "time", never)
    history = small_trainer().fit(data, epochs=2)
    assert all(seconds >= 0 for seconds in history["seconds"])


def test_D10_memory_stays_flat_over_a_thousand_steps(data: ArrayDataset) -> None:
    trainer = small_trainer()
    trainer.fit(data, epochs=5, batch_size=8)
    tracemalloc.start()
    trainer.fit(data, epochs=10, batch_size=8)
    gc.collect()
    first = tracemalloc.get_traced_memory()[0]
    trainer.fit(data, epochs=80, batch_size=8)
    gc.collect()  # what waits for the collector is not kept
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    # The history grows by 80 records of a few hundred bytes; a kept graph would be megabytes.
    assert grown < 200_000


def test_a_metric_of_ones_own(data: ArrayDataset) -> None:
    class Count(Metric):
        name = "count"

        def __init__(self) -> None:
            self.state = np.zeros(1)

        def update(self, outputs: Any, targets: Any) -> None:
            self.state += len(targets)

        def compute(self) -> float:
            return float(self.state[0])

    history = small_trainer(metrics=[Count()]).fit(data, valid=data, epochs=2, batch_size=7)
    assert history["count"] == [96.0, 96.0] and history["valid_count"] == [96.0, 96.0]
