"""Schedules: their formulas in plain Python, where they start, and what they refuse."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, DTypeError


def sgd(**options):
    return optim.SGD([cr.zeros(1, requires_grad=True)], **{"lr": 0.8, **options})


FORMULAS = {
    "StepLR": ((3, 0.5), lambda t: 0.8 * 0.5 ** (t // 3)),
    "MultiStepLR": (([2, 5, 5], 0.5), lambda t: 0.8 * 0.5 ** ((t >= 2) + 2 * (t >= 5))),
    "ExponentialLR": ((0.7,), lambda t: 0.8 * 0.7**t),
    "CosineAnnealingLR": (
        (6, 0.1),
        lambda t: 0.1 + 0.7 * (1 + math.cos(math.pi * t / 6)) / 2,
    ),
    "LinearLR": ((0.25, 0.75, 4), lambda t: 0.8 * (0.25 + 0.5 * min(t, 4) / 4)),
    "LambdaLR": ((lambda t: 1 / (1 + t),), lambda t: 0.8 / (1 + t)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    arguments, formula = FORMULAS[name]
    optimizer = sgd()
    schedule = getattr(optim, name)(optimizer, *arguments)
    for t in range(15):
        assert schedule.last_epoch == t
        # The same float64 formula in another order of operations.
        assert optimizer.param_groups[0]["lr"] == pytest.approx(formula(t), rel=1e-14)
        schedule.step()


def test_one_cycle_by_hand():
    optimizer = sgd(momentum=0.9)
    schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=11, pct_start=4 / 11, div_factor=10)
    rates, momenta = [], []
    for _ in range(11):
        rates += schedule.get_last_lr()
        momenta.append(optimizer.param_groups[0]["momentum"])
        schedule.step()
    low, top, last = 0.1, 1.0, 0.1 / 1e4
    for t, rate in enumerate(rates):
        if t <= 3:
            expected = top + (low - top) * (1 + math.cos(math.pi * t / 3)) / 2
        else:
            expected = last + (top - last) * (1 + math.cos(math.pi * (t - 3) / 7)) / 2
        assert rate == pytest.approx(expected, rel=1e-12)
    assert (momenta[0], momenta[3], momenta[10]) == pytest.approx((0.95, 0.85, 0.95))


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_one_cycle_with_phases_of_no_length(share):
    schedule = optim.OneCycleLR(sgd(), 1.0, total_steps=10, pct_start=share, cycle_momentum=False)
    rates = []
    for _ in range(10):
        rates += schedule.get_last_lr()
        schedule.step()
    assert all(math.isfinite(rate) and 0 < rate <= 1 for rate in rates)
    assert max(rates) == pytest.approx(1.0, abs=0.05)


def test_rates_are_float64_whatever_the_default():
    with cr.settings.use(default_dtype=np.dtype(np.float16)):
        optimizer = sgd()
        schedule = optim.CosineAnnealingLR(optimizer, 7)
        schedule.step()
    assert schedule.get_last_lr() == [0.8 * (1 + math.cos(math.pi / 7)) / 2]


def test_a_schedule_made_second_starts_from_the_rate_that_it_finds():
    optimizer = sgd()
    optim.LinearLR(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] == 0.4
    assert optim.ExponentialLR(optimizer, 0.9).base_lrs == [0.8]
    assert optimizer.param_groups[0]["lr"] == 0.4


def test_going_on_with_a_schedule():
    optimizer = optim.SGD([{"params": cr.zeros(1, requires_grad=True), "initial_lr": 1.0}], lr=0.3)
    schedule = optim.StepLR(optimizer, 2, 0.5, last_epoch=4)
    assert schedule.last_epoch == 5 and schedule.get_last_lr() == [0.3]
    schedule.step()
    assert schedule.get_last_lr() == [0.15]
    schedule.step(9)
    assert schedule.last_epoch == 9 and schedule.get_last_lr() == [0.0625]
    schedule.last_epoch = 10
    schedule.step()
    assert schedule.last_epoch == 11 and schedule.get_last_lr() == [0.0625]
    with pytest.raises(ArgumentError, match=r"last_epoch = 3 .* no initial_lr"):
        optim.StepLR(sgd(), 2, last_epoch=3)


def test_a_step_is_no_key():
    table = {0: 1.0, 1: 0.5}
    with pytest.raises(DTypeError, match=r"dict .*list"):
        optim.LambdaLR(sgd(), lambda t: table.get(t, 0.1))
    schedule = optim.LambdaLR(sgd(), lambda t: [1.0, 0.5][t])
    schedule.step()
    assert schedule.get_last_lr() == [0.4]


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.StepLR(o, 0),
        lambda o: optim.CosineAnnealingLR(o, 0),
        lambda o: optim.LinearLR(o, start_factor=0.0),
        lambda o: optim.LinearLR(o, end_factor=1.5),
        lambda o: optim.LinearLR(o, total_iters=0),
        lambda o: optim.LambdaLR(o, [len, len]),
        lambda o: optim.OneCycleLR(o, 1.0),
        lambda o: optim.OneCycleLR(o, 1.0, total_steps=0),
        lambda o: optim.OneCycleLR(o, 1.0, total_steps=10, pct_start=1.5),
        lambda o: optim.OneCycleLR(o, 1.0, total_steps=10, anneal_strategy="square"),
        lambda o: optim.OneCycleLR(o, [1.0, 2.0], total_steps=10, cycle_momentum=False),
        lambda o: optim.OneCycleLR(optim.Adagrad(o.param_groups[0]["params"]), 1.0, 10),
        lambda o: optim.CyclicLR(o, 0.1, 1.0, mode="square"),
        lambda o: optim.CyclicLR(o, [0.1, 0.2], 1.0),
        lambda o: optim.CosineAnnealingWarmRestarts(o, 0),
        lambda o: optim.CosineAnnealingWarmRestarts(o, 4, T_mult=1.5),
        lambda o: optim.CosineAnnealingWarmRestarts(o, 4).step(-1),
        lambda o: optim.ConstantLR(o, factor=1.5),
        lambda o: optim.PolynomialLR(o, total_iters=0),
        lambda o: optim.MultiplicativeLR(o, [len, len]),
        lambda o: optim.SWALR(o, 0.1, anneal_strategy="square"),
        lambda o: optim.SWALR(o, 0.1, anneal_epochs=-1),
        lambda o: optim.ChainedScheduler([]),
        lambda o: optim.ChainedScheduler([optim.StepLR(o, 2), optim.StepLR(sgd(), 2)]),
        lambda o: optim.OneCycleLR(o, float("nan"), total_steps=10, cycle_momentum=False),
        lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2)], [3]),
        lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2), optim.StepLR(sgd(), 2)], [3]),
        lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2)] * 3, [3, 3]),
        lambda o: optim.ReduceLROnPlateau(o, factor=1.0),
        lambda o: optim.ReduceLROnPlateau(o, mode="low"),
        lambda o: optim.ReduceLROnPlateau(o, threshold_mode="both"),
        lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]),
        lambda o: optim.ReduceLROnPlateau(o).step(),
    ],
)
def test_refused(make):
    with pytest.raises(ArgumentError):
        make(sgd())


def test_refused_types():
    plateau = optim.ReduceLROnPlateau(sgd())
    with pytest.raises(DTypeError, match="without a metric"):
        optim.SequentialLR(sgd(), [plateau, plateau], [3])
    with pytest.raises(DTypeError, match="in one row"):
        chain = optim.ChainedScheduler([optim.StepLR(plateau.optimizer, 2)])
        optim.SequentialLR(plateau.optimizer, [chain, optim.StepLR(plateau.optimizer, 2)], [3])
    with pytest.raises(DTypeError, match="schedules an optimizer; given: float"):
        optim.StepLR(0.1, 3)
    with pytest.raises(DTypeError, match="schedules an optimizer; given: float"):
        optim.OneCycleLR(0.1, 1.0, total_steps=3)


def test_plateau_takes_tensors_of_any_float():
    optimizer = sgd()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for loss in (cr.tensor([3.0]), cr.tensor(3.0, dtype=cr.float64), np.float32(3)):
        schedule.step(loss)
    assert schedule.get_last_lr() == [0.2] and schedule.last_epoch == 3


def test_the_path_of_pytorch():
    assert optim.lr_scheduler.StepLR is optim.StepLR
    assert optim.lr_scheduler.OneCycleLR is optim.OneCycleLR


def test_repr():
    assert repr(optim.StepLR(sgd(), 3)) == "StepLR(step_size=3, gamma=0.1)"


def add_group(optimizer, **options):
    optimizer.add_param_group({"params": [cr.zeros(1, requires_grad=True)], **options})
    return optimizer.param_groups[-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.CosineAnnealingLR(o, 5, eta_min=0.01),
        lambda o: optim.LambdaLR(o, lambda t: 0.9**t),
        lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3), optim.ExponentialLR(o, 0.5)], [4]),
    ],
)
def test_a_group_that_is_added_later_starts_from_its_own_rate(make):
    optimizer, alone = sgd(), sgd(lr=0.4)
    schedule, expected = make(optimizer), make(alone)
    group = add_group(optimizer, lr=0.4)
    for _ in range(8):  # past the minimum of the cosine, and into the second part of the sequence
        schedule.step()
        expected.step()
        assert group["lr"] == expected.get_last_lr()[0] and group["initial_lr"] == 0.4


def test_a_group_that_a_schedule_cannot_serve_is_explained():
    optimizer = sgd()
    schedule = optim.LambdaLR(optimizer, [lambda t: 1.0])
    add_group(optimizer)
    with pytest.raises(ArgumentError, match="a function each"):
        schedule.step()
    optimizer = sgd()
    schedule = optim.ReduceLROnPlateau(optimizer, min_lr=[0.1])
    add_group(optimizer)
    schedule.step(1.0)
    optimizer = optim.SGD([{"params": cr.zeros(1, requires_grad=True)} for _ in range(2)])
    schedule = optim.ReduceLROnPlateau(optimizer, min_lr=[0.1, 0.2])
    add_group(optimizer)
    with pytest.raises(ArgumentError, match="2 min_lr for 3 groups"):
        schedule.step(1.0)
    optimizer = sgd()
    schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=10, cycle_momentum=False)
    add_group(optimizer)
    with pytest.raises(ArgumentError, match="no max_lr, min_lr, and so no cycle"):
        schedule.step()


def test_a_group_can_bring_its_own_cycle():
    optimizer = sgd()
    schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=10, cycle_momentum=False)
    rates = {"initial_lr": 0.04, "max_lr": 1.0, "min_lr": 4e-6}
    group = add_group(optimizer, **rates)
    for _ in range(9):
        schedule.step()
        assert group["lr"] == optimizer.param_groups[0]["lr"]
