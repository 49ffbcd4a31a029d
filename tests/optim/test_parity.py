"""The same start and the same gradients give PyTorch's weights and learning rates."""

import inspect

import numpy as np
import pytest
from tests.optim.table import (
    ALL,
    CASES,
    NAMES,
    NOT_IN_PYTORCH,
    ONE_EACH,
    WITH_CLOSURE,
    fitting,
    make,
)

import chainrule as cr
from chainrule import optim

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

STEPS = 50
SHAPES = ((4, 3), (3,), ())
# One step rounds a few times differently; over 50 steps of size ~0.1 on weights ~1 that adds up
# to at most some tens of the unit of rounding.
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}


def pairs(dtype, shapes=SHAPES):
    """The same random weights for PyTorch and for us."""
    rng = np.random.default_rng(1)
    weights = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    theirs = [torch.tensor(w, requires_grad=True) for w in weights]
    return theirs, [cr.tensor(w, requires_grad=True) for w in weights]


IN_PYTORCH = [name for name in NAMES if name not in NOT_IN_PYTORCH]


@pytest.fixture
def in_full_precision(monkeypatch):
    """PyTorch's Muon iterates in bfloat16, with 8 bits. Here it keeps the dtype of the weights."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def put_gradients(rng, theirs, ours, dtype):
    for a, b in zip(theirs, ours, strict=True):
        g = np.asarray(rng.normal(size=b.shape), dtype)
        a.grad, b.grad = torch.tensor(g), cr.tensor(g)


@pytest.mark.usefixtures("in_full_precision")
@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, "float64") for case in CASES if CASES[case][0] in IN_PYTORCH]
    + [(case, "float32") for case in ONE_EACH if CASES[case][0] in IN_PYTORCH],
)
def test_weights_after_many_steps(case, dtype):
    theirs, ours = pairs(dtype, fitting(case, SHAPES))
    a, b = make(case, theirs, torch.optim, lr=0.1), make(case, ours, lr=0.1)
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        put_gradients(rng, theirs, ours, dtype)
        a.step()
        b.step()
    for x, y in zip(theirs, ours, strict=True):
        assert y.dtype == np.dtype(dtype)
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, TOLERANCE[dtype])


def test_the_update_of_muon_is_near_pytorchs_in_bfloat16():
    theirs, ours = pairs("float32", fitting("Muon", SHAPES))
    a, b = torch.optim.Muon(theirs, lr=0.1), optim.Muon(ours, lr=0.1)
    put_gradients(np.random.default_rng(2), theirs, ours, "float32")
    a.step()
    b.step()
    for x, y in zip(theirs, ours, strict=True):
        # 5 iterations whose numbers have 8 bits, times lr and √(4/3).
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 5 * 2**-8 * 0.12)


def logistic(library, dtype):
    """Weights, and the loss of a logistic regression with a penalty."""
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=(20, 4)), np.sign(rng.normal(size=20)), rng.normal(size=4)
    x, y = (library.tensor(np.asarray(a, dtype)) for a in (x, y))
    w, b = (library.tensor(np.asarray(a, dtype), requires_grad=True) for a in (w, 0.5))
    return [w, b], lambda: (1 + (-y * (x @ w + b)).exp()).log().mean() + 0.05 * (w * w).sum()


@pytest.mark.parametrize("case", WITH_CLOSURE)
def test_steps_with_a_closure(case):
    runs = []
    for library in (torch, cr):
        weights, loss = logistic(library, "float64")
        optimizer = make(case, weights, library.optim)
        values = [optimizer.step(closing(optimizer, loss)).item() for _ in range(8)]
        state = optimizer.state[weights[0]]
        counts = [state["n_iter"], state["func_evals"]]
        runs.append([*values, *counts, *weights[0].tolist(), weights[1].item()])
    # A convex problem, so that roundings of 1e-16 do not grow.
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-11)


def closing(optimizer, loss):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def test_the_table_names_every_optimizer():
    assert sorted({name for name, _ in (CASES | WITH_CLOSURE).values()}) == ALL


@pytest.mark.parametrize("name", [name for name in ALL if name not in NOT_IN_PYTORCH])
def test_arguments_and_options_are_those_of_pytorch(name):
    """The same names in the same order, and the same defaults."""
    own = getattr(optim, name)
    ours, theirs = (inspect.signature(x).parameters for x in (own, getattr(torch.optim, name)))
    assert [n for n in ours if n != "switches"] == [n for n in theirs if n not in own.switches]
    a, b = pairs("float32", fitting(name, SHAPES))
    expected = getattr(torch.optim, name)(a).param_groups[0]
    given = own(b).param_groups[0].options() | own.switches
    assert given == {option: value for option, value in expected.items() if option != "params"}


@pytest.mark.usefixtures("in_full_precision")
@pytest.mark.parametrize("name", IN_PYTORCH)
def test_missing_gradients_are_skipped(name):
    theirs, ours = pairs("float64", fitting(name, SHAPES))
    a, b = getattr(torch.optim, name)(theirs, lr=0.1), getattr(optim, name)(ours, lr=0.1)
    rng = np.random.default_rng(3)
    for step in range(6):
        put_gradients(rng, theirs, ours, "float64")
        theirs[step % 3].grad = ours[step % 3].grad = None
        a.step()
        b.step()
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 1e-13)


def test_groups_with_their_own_options():
    theirs, ours = pairs("float64")

    def groups(p):
        return [{"params": p[:1], "lr": 0.3, "momentum": 0.5}, {"params": p[1:], "nesterov": True}]

    a = torch.optim.SGD(groups(theirs), lr=0.1, momentum=0.9)
    b = optim.SGD(groups(ours), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(4)
    for step in range(STEPS):
        put_gradients(rng, theirs, ours, "float64")
        for optimizer in (a, b):
            optimizer.param_groups[1]["lr"] = 0.1 / (1 + step)
            optimizer.param_groups[0]["momentum"] *= 0.9
            optimizer.step()
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 1e-13)


def curves(build, go=lambda t, optimizer, schedule: schedule.step(), steps=40, initial_lr=()):
    """Learning rates (and momentum) of PyTorch's and our schedule, step by step.

    `go(t, optimizer, schedule)` takes a step. `initial_lr` of the groups is set before.
    """
    rows = []
    for library, weights in zip((torch.optim, optim), pairs("float64"), strict=True):
        groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}]
        for group, rate in zip(groups, initial_lr, strict=False):
            group["initial_lr"] = rate
        optimizer = library.SGD(groups, lr=0.1, momentum=0.9)
        schedule = build(library.lr_scheduler, optimizer)
        rows.append([])
        for t in range(steps):
            groups = optimizer.param_groups
            rows[-1].append([g[name] for g in groups for name in ("lr", "momentum")])
            for p in weights:
                p.grad = p.detach()
            optimizer.step()
            go(t, optimizer, schedule)
    return rows


SCHEDULES = {
    "step": lambda s, o: s.StepLR(o, 7, gamma=0.5),
    "multi-step": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 30]),
    "no milestones": lambda s, o: s.MultiStepLR(o, []),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 12, eta_min=0.01),
    "linear": lambda s, o: s.LinearLR(o),
    "linear decay": lambda s, o: s.LinearLR(o, 1.0, 0.0, 33),
    "lambda": lambda s, o: s.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (1 + t // 3)]),
    "lambda with if": lambda s, o: s.LambdaLR(o, lambda t: t / 5 if t < 5 else 0.9 ** (t - 5)),
    "one cycle": lambda s, o: s.OneCycleLR(o, [0.2, 1.0], total_steps=41),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, 1.0, epochs=6, steps_per_epoch=7, anneal_strategy="linear", div_factor=3
    ),
    "one cycle of three": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=45, three_phase=True, pct_start=0.25, cycle_momentum=False
    ),
    "warm-up, cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 20)], [5]
    ),
    "three in a row": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1), s.ExponentialLR(o, 0.8), s.StepLR(o, 3)], [6, 15]
    ),
}


SEQUENCES = ("warm-up, cosine", "three in a row")
# Both multiply from step to step, by factors that are rounded differently: 40 roundings of 1e-16,
# and some more where a cosine is close to its minimum.
CURVE = {"rtol": 1e-13, "atol": 1e-15}


@pytest.mark.parametrize("name", SCHEDULES)
def test_curves(name):
    theirs, ours = curves(SCHEDULES[name])
    np.testing.assert_allclose(ours, theirs, **CURVE)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_set_by_hand_between_steps(name):
    def go(t, optimizer, schedule):
        if t in (2, 3, 9, 13, 22):
            optimizer.param_groups[t % 2]["lr"] = 0.01 * t
        schedule.step()

    theirs, ours = curves(SCHEDULES[name], go)
    np.testing.assert_allclose(ours, theirs, **CURVE)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in SEQUENCES])
def test_going_to_a_step(name):
    def go(t, optimizer, schedule):
        schedule.step((7 * t) % 30) if t % 3 else schedule.step()

    theirs, ours = curves(SCHEDULES[name], go, steps=20)
    np.testing.assert_allclose(ours, theirs, **CURVE)


@pytest.mark.parametrize(
    "name", [n for n in SCHEDULES if not n.startswith(("lambda", "one cycle"))]
)
def test_a_group_that_is_added_later(name):
    """Where PyTorch goes on, which refuses the group when a schedule computes a rate anew."""

    def go(t, optimizer, schedule):
        if t == 0:
            library = torch if isinstance(optimizer, torch.optim.Optimizer) else cr
            extra = library.ones(2, requires_grad=True)
            optimizer.add_param_group({"params": [extra], "lr": 0.7})
        schedule.step()

    theirs, ours = curves(SCHEDULES[name], go, steps=4)
    assert len(ours[-1]) == 6
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b, a, **CURVE)


@pytest.mark.parametrize("first", ["linear", "cosine", "exponential", "lambda"])
@pytest.mark.parametrize("second", ["step", "cosine", "exponential"])
def test_two_schedules_of_one_optimizer(first, second):
    def both(scheduler, optimizer):
        return [SCHEDULES[name](scheduler, optimizer) for name in (first, second)]

    theirs, ours = curves(both, lambda t, optimizer, schedules: [s.step() for s in schedules])
    np.testing.assert_allclose(ours, theirs, **CURVE)


RESUMED = {
    "step": lambda s, o: s.StepLR(o, 4, gamma=0.5, last_epoch=5),
    "multi-step": lambda s, o: s.MultiStepLR(o, [3, 10], last_epoch=5),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9, last_epoch=5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 12, eta_min=0.01, last_epoch=5),
    "linear": lambda s, o: s.LinearLR(o, total_iters=10, last_epoch=5),
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 0.95**t, last_epoch=5),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_schedule_that_goes_on(name):
    theirs, ours = curves(RESUMED[name], initial_lr=(0.2, 0.8))
    np.testing.assert_allclose(ours, theirs, **CURVE)


def test_one_cycle_moves_beta1():
    rows = []
    for library, weights in zip((torch.optim, optim), pairs("float64"), strict=True):
        optimizer = library.Adam(weights)
        schedule = library.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
        rows.append([optimizer.param_groups[0]["betas"]])
        for _ in range(9):
            optimizer.step()
            schedule.step()
            rows[-1].append(optimizer.param_groups[0]["betas"])
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-14)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2, "cooldown": 3, "min_lr": [0.001, 0.2]},
        {"mode": "max", "patience": 1, "factor": 0.5},
        {"threshold_mode": "abs", "threshold": 0.1, "patience": 0},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.2, "patience": 0, "eps": 0.02},
    ],
)
def test_plateau(options):
    losses = np.abs(np.random.default_rng(5).normal(size=60)).cumsum() % 1.7
    losses[20] = np.nan
    rows = []
    for library, weights in zip((torch.optim, optim), pairs("float64"), strict=True):
        optimizer = library.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}], lr=1)
        schedule = library.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rows.append([])
        for loss in losses:
            schedule.step(float(loss))
            rows[-1].append([group["lr"] for group in optimizer.param_groups])
    assert np.ptp(rows[0]) > 0.5, "the rates never moved, so this compares nothing"
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-14)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    theirs, ours = pairs("float32")
    put_gradients(np.random.default_rng(6), theirs, ours, "float32")
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    given = optim.clip_grad_norm_(ours, max_norm, norm_type)
    np.testing.assert_allclose(given.numpy(), expected.numpy(), rtol=1e-6)  # a float32 sum of 16
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=1e-6)


def test_clip_grad_value():
    theirs, ours = pairs("float32")
    put_gradients(np.random.default_rng(7), theirs, ours, "float32")
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    optim.clip_grad_value_(ours, 0.4)
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(y.grad.numpy(), x.grad.numpy())
