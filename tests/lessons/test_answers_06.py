"""The answers of lesson 6, and the race itself on a few images."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from lessons import race
from lessons.answers import lesson_06 as answers

import chainrule as cr
from chainrule import nn, optim


@pytest.fixture
def few() -> race.Race:
    """A race on the digits that ship, 8 × 8."""
    x, y = cr.data.digits()[0][:]
    return race.prepare(x, y, 640, 320, threads=1)


def all_steps(one: race.Race, name: str, rule: str, count: int) -> list[np.ndarray]:
    contestant = race.CONTESTANTS[name](one, rule)
    for batch in one.batches(0)[:count]:
        contestant.train(batch)
    return [np.array(w) for w in contestant.weights()]


@pytest.mark.parametrize("rule", list(race.RATES))
@pytest.mark.parametrize(
    "name",
    [
        "Chainrule eager",
        "Chainrule compiled",
        pytest.param("PyTorch", marks=pytest.mark.parity),
        pytest.param("PyTorch fused", marks=pytest.mark.parity),
    ],
)
def test_contestants_compute_the_same(few, name, rule):
    if name.startswith("PyTorch"):
        pytest.importorskip("torch")
    by_hand = all_steps(few, "NumPy by hand", rule, 10)
    for w, v in zip(all_steps(few, name, rule, 10), by_hand, strict=True):
        np.testing.assert_allclose(w, v, rtol=1e-3, atol=1e-5)


def test_training_does_not_change_the_start(few):
    before = [w.copy() for w in few.start]
    for name in race.contestants():
        all_steps(few, name, "Adam", 2)
    for w, v in zip(few.start, before, strict=True):
        np.testing.assert_array_equal(w, v)


def test_batches_are_of_different_images_and_differ_by_epoch(few):
    first, second = few.batches(0), few.batches(1)
    assert first.shape == (20, 32) and len(np.unique(first)) == 640
    assert (first != second).any() and (first == few.batches(0)).all()


@pytest.mark.slow
def test_a_race_in_processes(few):
    names = ["NumPy by hand", "Chainrule compiled"]
    result = race.run(few, 2, names, ["SGD", "Adam"])
    assert json.loads(json.dumps(result)) == result
    for curves in result.values():
        assert list(curves) == names
        for curve in curves.values():
            assert {key: len(values) for key, values in curve.items()} == {
                "seconds": 2,
                "train": 2,
                "valid": 2,
            }
        assert "Chainrule compiled" in race.table(curves)
    contestant = race.by_hand(few, "SGD")
    here = [race.train_epoch(contestant, few, epoch)["valid"] for epoch in range(2)]
    assert result["SGD"]["NumPy by hand"]["valid"] == pytest.approx(here, abs=0.01)


def test_a_contestant_that_fails_is_reported(few):
    with pytest.raises(RuntimeError, match="has ended"):
        race.run(few, 1, ["nobody"], ["SGD"])


@pytest.mark.parametrize("gradient", [1e-4, 1.0, -3.0, 1e4])
def test_first_adam_step(gradient):
    w = cr.tensor([0.0], requires_grad=True)
    optimizer = optim.Adam([w], lr=1e-3)
    (w * gradient).sum().backward()
    optimizer.step()
    assert answers.first_adam_step(gradient, 1e-3) == pytest.approx(w.item(), rel=1e-4)


def test_standard_error_is_the_deviation_of_many_counts():
    shares = np.random.default_rng(0).binomial(8_400, 0.97, size=20_000) / 8_400
    assert answers.standard_error(0.97, 8_400) == pytest.approx(shares.std(), rel=0.02)


def test_chance_is_rarely_called_a_difference():
    first, second = np.random.default_rng(0).binomial(8_400, 0.97, size=(2, 2_000)) / 8_400
    called = [answers.clearly_different(p, q, 8_400) for p, q in zip(first, second, strict=True)]
    assert 0.02 < np.mean(called) < 0.07  # Two standard errors: 4.6 %.
    assert answers.clearly_different(0.9065, 0.9717, 8_400)


@pytest.mark.parity
@pytest.mark.parametrize("sizes", [(784, 64, 10), (5, 4, 3, 2)])
def test_operations_as_pytorch_counts_them(sizes):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    with FlopCounterMode(display=False) as counter:
        torch.nn.Sequential(*layers)(torch.ones(32, sizes[0])).sum().backward()
    assert answers.operations(32, sizes) == counter.get_total_flops()


def test_operations_counted_by_walking_the_products():
    count = 0
    for n, inputs, outputs in ((32, 784, 64), (32, 64, 10)):  # Forward, and by the weights.
        count += 2 * (2 * n * inputs * outputs)
    assert answers.operations(32) == count + 2 * 32 * 64 * 10  # By the hidden layer.
    assert answers.operations(1) == 204_544


def test_starts_as_chainrule_trains_them(few):
    draw = np.random.default_rng(0)
    wide = [draw.uniform(-0.5, 0.5, w.shape).astype(np.float32) for w in few.start]
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    with cr.no_grad():
        for parameter, w in zip(model.parameters(), wide, strict=True):
            parameter.assign(cr.tensor(w.T))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for batch in np.concatenate([few.batches(0), few.batches(1)]):
        optimizer.zero_grad()
        scores = model(cr.from_numpy(few.x[batch]))
        nn.functional.cross_entropy(scores, cr.from_numpy(few.y[batch])).backward()
        optimizer.step()
    with cr.no_grad():
        right = model(cr.from_numpy(few.x_valid)).numpy().argmax(1) == few.y_valid
    _, reached = answers.compare_starts(few, epochs=2)
    assert reached == pytest.approx(right.mean(), abs=0.01)
