"""The answers of lesson 7 against independent truths."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from lessons.answers import lesson_07 as answers

import chainrule as cr
from chainrule import nn, optim


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 1.0])
def test_leaky_gain_keeps_the_size_of_the_activations(slope):
    assert answers.leaky_gain(slope) == pytest.approx(nn.init.calculate_gain("leaky_relu", slope))
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 1500))
    z = a @ (rng.standard_normal((1500, 1500)) * answers.leaky_gain(slope) / np.sqrt(1500))
    passed = np.where(z > 0, z, slope * z)
    assert (passed**2).mean() == pytest.approx((a**2).mean(), rel=0.02)


def test_softplus_is_right_for_every_float32():
    x = [-80, -50, -16.7, -3, -1e-3, 0, 1e-3, 1, 16.7, 88, 89, 200, 1e10, 1e30]
    x = np.array(x, np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = answers.softplus(x)
    assert found.dtype == np.float32
    with mpmath.workdps(60):
        truth = [
            float(v if v > 1000 else mpmath.log(1 + mpmath.exp(mpmath.mpf(float(v))))) for v in x
        ]
    np.testing.assert_allclose(found, truth, rtol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e4])
def test_one_pass_agrees_with_float64(mean):
    x = (mean + np.random.default_rng(1).standard_normal(5000)).astype(np.float32)
    found = answers.mean_and_variance(iter(x))
    truth = x.astype(np.float64)
    assert found[0] == pytest.approx(truth.mean(), rel=1e-5, abs=1e-5)
    assert found[1] == pytest.approx(truth.var(), rel=5e-3)


def test_adagrad_walks_the_frameworks_path():
    rng = np.random.default_rng(2)
    start, gradients = rng.standard_normal(4), rng.standard_normal((30, 4))
    w = cr.tensor(start, requires_grad=True)
    optimizer = optim.Adagrad([w], lr=0.3)
    x, state = start, {}
    for g in gradients:
        x = x - answers.adagrad(g, state, lr=0.3)
        optimizer.zero_grad()
        (w * cr.tensor(g)).sum().backward()
        optimizer.step()
        np.testing.assert_allclose(x, w.detach().numpy(), rtol=1e-12)


class _Script(cr.train.Callback):
    """Writes given validation losses into the record, before early stopping reads it."""

    order = -100

    def __init__(self, losses):
        self.losses = losses

    def on_epoch_end(self, trainer):
        trainer.record["script"] = self.losses[trainer.epoch - 1]


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_early_stopping_decides_as_the_trainer_does(patience, seed):
    losses = np.random.default_rng(seed).permutation(12).astype(float).tolist()
    stopped, kept = answers.early_stopping(losses, patience)
    assert losses[kept] == min(losses[: stopped + 1])
    model = nn.Linear(1, 1)
    stopping = cr.train.EarlyStopping(patience, "script", mode="min")
    trainer = cr.Trainer(
        model,
        nn.MSELoss(),
        optim.SGD(model.parameters(), lr=0.0),
        callbacks=[_Script(losses), stopping],
        progress=False,
    )
    data = cr.data.ArrayDataset([[0.0], [1.0]], [[0.0], [1.0]])
    history = trainer.fit(data, epochs=len(losses), batch_size=2)
    assert (len(history["loss"]) - 1, stopping.best_epoch - 1) == (stopped, kept)


def test_early_stopping_without_a_stop():
    assert answers.early_stopping([3.0, 2.0, 1.0], patience=5) == (2, 2)
