"""Saving and loading in mid-run: the same bits, or one error that names both sides (F9)."""

import copy
import json
import pickle

import numpy as np
import pytest
from tests.optim.table import CASES, ONE_EACH, SCHEDULES, WITH_CLOSURE, fitting, make

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError


def build(case):
    """A run: parameters, their optimizer with a schedule, and a function that goes on with it."""
    shapes = fitting(case, [(5,), (2,)])
    starts = [np.linspace(-1, 1, shape[-1], dtype="f").reshape(shape) for shape in shapes]
    weights = [cr.tensor(start, requires_grad=True) for start in starts]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.3}]
    optimizer = make(case, groups, lr=0.1)
    schedule = optim.SequentialLR(
        optimizer,
        [optim.LinearLR(optimizer, 0.1), optim.CosineAnnealingLR(optimizer, 10)],
        milestones=[4],
    )

    def train(first, last):
        for number in range(first, last):
            rng = np.random.default_rng(number)
            for w in weights:
                w.grad = cr.tensor(rng.normal(size=w.shape).astype("f"))
            optimizer.step()
            schedule.step()

    return weights, optimizer, schedule, train


@pytest.mark.parametrize("case", CASES)
def test_resuming_gives_the_same_bits(case):
    whole, _, _, train = build(case)
    train(0, 14)
    first, optimizer, schedule, train = build(case)
    train(0, 7)
    saved = [optimizer.state_dict(), schedule.state_dict()]
    weights = [w.detach().clone() for w in first]
    train(7, 9)  # what is saved is a snapshot
    second, optimizer, schedule, train = build(case)
    optimizer.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    with cr.no_grad():
        for w, value in zip(second, weights, strict=True):
            w.assign(value)
    train(7, 14)
    for a, b in zip(whole, second, strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def closing(w):
    def closure():
        w.grad = None
        loss = ((w**2 - cr.tensor([1.0, 2.0, 3.0])) ** 2).sum() + w.sum() * 0.1
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("case", WITH_CLOSURE)
def test_resuming_with_a_closure_gives_the_same_bits(case):
    def go_on(w, optimizer):
        for _ in range(3):
            optimizer.step(closing(w))
        return w.detach().numpy().tobytes()

    w = cr.tensor([2.0, -1.0, 0.5], requires_grad=True)
    optimizer = make(case, [w])
    go_on(w, optimizer)
    saved, again = optimizer.state_dict(), w.detach().clone().requires_grad_()
    end = go_on(w, optimizer)
    resumed = make(case, [again])
    resumed.load_state_dict(saved)
    assert go_on(again, resumed) == end


def plain(value):
    """A state as it comes back from a file: arrays, and what JSON makes of the rest."""
    if isinstance(value, cr.Tensor):
        return value.numpy().copy()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("case", ONE_EACH)
def test_a_state_survives_json_and_arrays(case):
    _, optimizer, schedule, train = build(case)
    train(0, 5)
    _, other, other_schedule, _ = build(case)
    other.load_state_dict(plain(optimizer.state_dict()))
    other_schedule.load_state_dict(plain(schedule.state_dict()))
    assert plain_equal(other.state_dict(), optimizer.state_dict())
    assert other_schedule.last_epoch == 5 and other_schedule.get_last_lr()[1] < 0.3


def plain_equal(a, b):
    if isinstance(a, cr.Tensor):
        return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(plain_equal(a[k], b[k]) for k in a)
    return a == b


def test_what_a_state_is_made_of():
    _, optimizer, schedule, _ = build("Adam")
    state = optimizer.state_dict()
    assert [*state] == ["optimizer", "version", "state", "param_groups"]
    assert state["optimizer"] == "Adam" and state["version"] == 1
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert [*state["state"]] == [0, 1]
    assert [*state["state"][0]] == ["step", "exp_avg", "exp_avg_sq"]
    assert schedule.state_dict()["scheduler"] == "SequentialLR"


def broken(state, change):
    state = copy.deepcopy(state)
    change(state)
    return state


BREAKS = {
    "class": (lambda s: s.update(optimizer="SGD"), "it is of SGD, this is Adam"),
    "no class": (lambda s: s.pop("optimizer"), "it is of no named class, this is Adam"),
    "version": (lambda s: s.update(version=9), "format version is 9, this release reads 1"),
    "groups": (lambda s: s["param_groups"].pop(), "it has 1 groups, this has 2"),
    "count": (
        lambda s: s["param_groups"][1].update(params=[1, 2]),
        "group 1: it has 2 parameters, here 1",
    ),
    "flag": (
        lambda s: s["param_groups"][0].update(amsgrad=True),
        "group 0: its amsgrad is True, here False",
    ),
    "missing option": (lambda s: s["param_groups"][0].pop("eps"), "group 0: it has no eps"),
    "new option": (
        lambda s: s["param_groups"][0].update(rho=1),
        "group 0: it has rho, not known here",
    ),
    "bad number": (lambda s: s["param_groups"][0].update(lr=-1.0), r"group 0: lr = -1\.0"),
    "no state": (
        lambda s: s["state"].pop(1),
        "parameter 1 has the state none, here step, exp_avg, exp_avg_sq",
    ),
    "extra state": (lambda s: s["state"].update({7: {}}), "state of parameter 7, this has 2"),
    "missing moment": (
        lambda s: s["state"][0].pop("exp_avg"),
        "parameter 0 has the state step, exp_avg_sq, here step, exp_avg, exp_avg_sq",
    ),
    "shape": (
        lambda s: s["state"][0].update(exp_avg=cr.zeros(3)),
        r"exp_avg of parameter 0 is float32\(3,\), here float32\(5,\)",
    ),
    "dtype": (
        lambda s: s["state"][0].update(exp_avg=cr.zeros(5, dtype=cr.float64)),
        r"exp_avg of parameter 0 is float64\(5,\), here float32\(5,\)",
    ),
    "nothing": (dict.clear, "no `state` and `param_groups`"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_f9_what_does_not_fit_is_refused_and_nothing_is_loaded(case):
    change, message = BREAKS[case]
    _, source, _, train = build("Adam")
    train(0, 3)
    _, optimizer, _, train = build("Adam")
    train(0, 5)
    before = optimizer.state_dict()
    with pytest.raises(ArgumentError, match=message):
        optimizer.load_state_dict(broken(source.state_dict(), change))
    assert plain_equal(optimizer.state_dict(), before)
    optimizer.load_state_dict(source.state_dict())
    assert not plain_equal(optimizer.state_dict(), before)


def test_f9_all_problems_in_one_error():
    _, optimizer, _, _ = build("Adam")
    state = optimizer.state_dict()
    state.update(optimizer="SGD", version=2)
    state["state"][1]["step"] = cr.zeros(4)
    state["param_groups"][0]["betas"] = [0.9, 1.0]
    with pytest.raises(ArgumentError) as error:
        optimizer.load_state_dict(state)
    assert all(t in str(error.value) for t in ("SGD", "version is 2", "betas = [0.9, 1.0]", "step"))


def test_an_optimizer_without_schedule_takes_a_state_with_one():
    _, source, _, _ = build("SGD")
    w = [cr.zeros(5, requires_grad=True), cr.zeros(2, requires_grad=True)]
    optimizer = optim.SGD([{"params": w[:1]}, {"params": w[1:]}])
    optimizer.load_state_dict(source.state_dict())
    assert optimizer.param_groups[1]["initial_lr"] == 0.3
    rates = [group["lr"] for group in optimizer.param_groups]
    assert optim.ExponentialLR(optimizer, 0.5, last_epoch=1).get_last_lr() == rates


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(scheduler="StepLR"), "it is of StepLR, this is ExponentialLR"),
        (lambda s: s.update(version=0), "format version is 0, this release reads 1"),
        (lambda s: s["options"].update(gamma=0.1), "its gamma is 0.1, here 0.5"),
        (lambda s: s["state"].clear(), r"its state is \[\], here \['last_epoch'\]"),
        (dict.clear, "no `state` and `options`"),
    ],
)
def test_f9_schedules(change, message):
    optimizer = optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    with pytest.raises(ArgumentError, match=message):
        schedule.load_state_dict(broken(schedule.state_dict(), change))
    assert schedule.last_epoch == 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_resuming_a_schedule_gives_the_same_rates(name):
    def made():
        groups = [{"params": [cr.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.5)]
        optimizer = optim.SGD(groups, momentum=0.9)
        return optimizer, SCHEDULES[name](optim, optimizer)

    def numbers(optimizer):
        return [group.options() for group in optimizer.param_groups]

    a, b = made(), made()
    for _ in range(17):
        a[1].step()
    b[0].load_state_dict(plain(a[0].state_dict()))
    b[1].load_state_dict(plain(a[1].state_dict()))
    assert b[1].get_last_lr() == a[1].get_last_lr()
    for _ in range(17):
        a[1].step()
        b[1].step()
        assert numbers(a[0]) == numbers(b[0])
    assert plain_equal(a[1].state_dict(), b[1].state_dict())


def test_plateau_state():
    def made():
        optimizer = optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        return optimizer, optim.ReduceLROnPlateau(optimizer, patience=1, cooldown=1, factor=0.5)

    losses = [3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1]
    a, b = made(), made()
    for loss in losses[:6]:
        a[1].step(loss)
    b[0].load_state_dict(plain(a[0].state_dict()))
    b[1].load_state_dict(plain(a[1].state_dict()))
    for loss in losses[6:]:
        a[1].step(loss)
        b[1].step(loss)
        assert a[1].get_last_lr() == b[1].get_last_lr()
    assert plain_equal(a[1].state_dict(), b[1].state_dict()) and b[1].get_last_lr()[0] < 0.5


def pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
@pytest.mark.parametrize("case", ONE_EACH)
def test_a_copy_goes_on_alone_with_the_same_bits(case, copied):
    """Weights, state and rates are copied; what is copied together stays together."""
    first, optimizer, schedule, train = build(case)
    train(0, 6)
    weights, other, other_schedule = copied((first, optimizer, schedule))
    assert other_schedule.optimizer is other
    assert [p for group in other.param_groups for p in group["params"]] == weights
    assert [*other.state] == weights
    before = [w.detach().numpy().copy() for w in first]
    for number in range(6, 9):
        for w in weights:
            w.grad = cr.tensor(np.random.default_rng(number).normal(size=w.shape).astype("f"))
        other.step()
        other_schedule.step()
    for w, kept in zip(first, before, strict=True):
        np.testing.assert_array_equal(w.detach().numpy(), kept)
    for number in range(6, 9):
        for w in first:
            w.grad = cr.tensor(np.random.default_rng(number).normal(size=w.shape).astype("f"))
        optimizer.step()
        schedule.step()
    assert [w.tolist() for w in first] == [w.tolist() for w in weights]
    assert plain_equal(optimizer.state_dict(), other.state_dict())
    assert other_schedule.get_last_lr() == schedule.get_last_lr()


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copied_optimizer_trains_the_copied_model(copied):
    model = nn.Linear(3, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    twin, other = copied((model, optimizer))
    before = model.weight.tolist()
    twin(cr.ones(1, 3)).sum().backward()
    other.step()
    assert model.weight.tolist() == before != twin.weight.tolist()
    assert model.weight.grad is None
    alone = copied(optimizer)
    assert alone.param_groups[0]["params"][0] is not model.weight
