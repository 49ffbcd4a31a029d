"""The learning rates of all schedules are PyTorch's, step by step."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.optim.table import OF_PARTS, SCHEDULES

import chainrule as cr
from chainrule import optim

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:The epoch parameter"),
    pytest.mark.filterwarnings("ignore:To get the last learning rate"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
]
THEIRS = SimpleNamespace(**{**vars(torch.optim.lr_scheduler), "SWALR": torch.optim.swa_utils.SWALR})
LIBRARIES = ((torch, THEIRS), (cr, optim))
# Both multiply from step to step, by factors that are rounded differently: 40 roundings of 1e-16,
# and some more where a cosine is close to its minimum.
CURVE = {"rtol": 1e-13, "atol": 1e-15}


def made(library, momentum=0.9, initial_lr=()):
    """An optimizer with two groups."""
    groups = [{"params": [library.ones(2, requires_grad=True)]} for _ in range(2)]
    groups[1]["lr"] = 0.5
    for group, rate in zip(groups, initial_lr, strict=False):
        group["initial_lr"] = rate
    return library.optim.SGD(groups, lr=0.1, momentum=momentum)


def curves(build, go=lambda t, optimizer, schedule: schedule.step(), steps=40, **options):
    """Learning rates and momentum of PyTorch's and our schedule, and what `get_last_lr` says.

    `go(t, optimizer, schedule)` takes a step.
    """
    rows = []
    for library, schedules in LIBRARIES:
        optimizer = made(library, **options)
        schedule = build(schedules, optimizer)
        rows.append([])
        for t in range(steps):
            groups = optimizer.param_groups
            last = schedule.get_last_lr() if hasattr(schedule, "get_last_lr") else []
            rows[-1].append([*[g[name] for g in groups for name in ("lr", "momentum")], *last])
            optimizer.step()
            go(t, optimizer, schedule)
    return rows


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


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in OF_PARTS and "swa" not in n])
def test_going_to_a_step(name):
    def go(t, optimizer, schedule):
        schedule.step((7 * t) % 30) if t % 3 else schedule.step()

    theirs, ours = curves(SCHEDULES[name], go, steps=20)
    np.testing.assert_allclose(ours, theirs, **CURVE)


@pytest.mark.parametrize("name", ["restarts", "longer restarts"])
def test_restarts_with_fractions_of_epochs(name):
    def go(t, optimizer, schedule):
        schedule.step(t / 3) if t % 5 else schedule.step()

    theirs, ours = curves(SCHEDULES[name], go)
    np.testing.assert_allclose(ours, theirs, **CURVE)


GROWING = [
    n for n in SCHEDULES if not n.startswith(("lambda", "one", "cyclic", "multiplic", "swa"))
]
"""The schedules that need nothing for each group."""


@pytest.mark.parametrize("name", [n for n in GROWING if "row" not in n and "restarts" not in n])
def test_a_group_that_is_added_later(name):
    """Where PyTorch goes on, which refuses the group when a schedule computes a rate anew."""

    def go(t, optimizer, schedule):
        if t == 0:
            library = torch if isinstance(optimizer, torch.optim.Optimizer) else cr
            extra = library.ones(2, requires_grad=True)
            optimizer.add_param_group({"params": [extra], "lr": 0.7})
        schedule.step()

    theirs, ours = curves(SCHEDULES[name], go, steps=4)
    assert len(ours[-1]) == 9
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b, a, **CURVE)


@pytest.mark.parametrize("first", ["linear", "cosine", "exponential", "lambda", "swa", "constant"])
@pytest.mark.parametrize("second", ["step", "cosine", "polynomial", "multiplicative"])
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
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=10, last_epoch=5),
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 0.95**t, last_epoch=5),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, last_epoch=5),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda t: 0.9, last_epoch=5),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_schedule_that_goes_on(name):
    theirs, ours = curves(RESUMED[name], initial_lr=(0.2, 0.8))
    np.testing.assert_allclose(ours, theirs, **CURVE)


@pytest.mark.parametrize(
    "name",
    [
        "step",
        "multi-step",
        "cosine",
        "linear",
        "constant",
        "exponential",
        "polynomial",
        "multiplicative",
        "lambda",
        "cyclic",
    ],
)
def test_get_lr(name):
    rows = []
    for library, schedules in LIBRARIES:
        schedule = SCHEDULES[name](schedules, made(library))
        rows.append([])
        for _ in range(12):
            rows[-1].append(schedule.get_lr())
            schedule.step()
    np.testing.assert_allclose(rows[1], rows[0], **CURVE)


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_cycles_of_a_momentum_that_was_0_and_of_betas(optimizer, name):
    rows = []
    for library, schedules in LIBRARIES:
        w = library.ones(2, requires_grad=True)
        chosen = getattr(library.optim, optimizer)([w], lr=0.1)
        options = (
            dict(total_steps=10) if name == "OneCycleLR" else dict(base_lr=0.1, step_size_up=3)
        )
        schedule = getattr(schedules, name)(chosen, max_lr=0.5, **options)
        rows.append([])
        for _ in range(8 if optimizer != "RMSprop" else 1):  # where PyTorch finds no buffer
            w.grad = w.detach() + 1
            group = chosen.param_groups[0]
            rows[-1].append([*group.get("betas", [group.get("momentum")]), *w.tolist()])
            if optimizer != "RMSprop":
                chosen.step()
            schedule.step()
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-5)  # weights in float32


def test_a_cycle_ends():
    for library, schedules in LIBRARIES:
        schedule = schedules.OneCycleLR(made(library), 1.0, total_steps=4)
        for _ in range(4):
            schedule.step()
        with pytest.raises(ValueError, match="4"):
            schedule.step()


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
    for library, schedules in LIBRARIES:
        optimizer = made(library)
        schedule = schedules.ReduceLROnPlateau(optimizer, **options)
        rows.append([])
        for loss in losses:
            schedule.step(float(loss))
            state = [schedule.best, schedule.num_bad_epochs, schedule.cooldown_counter]
            rows[-1].append([*schedule.get_last_lr(), *state, schedule.in_cooldown])
    assert np.ptp(np.array(rows[0])[:, 1]) > 0.25, "the rates never moved: this compares nothing"
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-14)


OWN = {
    "get_lr": """
class Own(Base):
    def __init__(self, optimizer, warm, last_epoch=-1):
        self.warm = warm
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch < self.warm:
            return [base * (self.last_epoch + 1) / self.warm for base in self.base_lrs]
        return [group["lr"] * 0.9 for group in self.optimizer.param_groups]
""",
    "step too": """
class Own(Base):
    def __init__(self, optimizer, warm, last_epoch=-1):
        self.warm, self.steps = warm, -1
        self.last_epoch = last_epoch
        super().__init__(optimizer, last_epoch)
        self.base_lrs = [base / 2 for base in self.base_lrs]

    def get_lr(self):
        return [base / (1 + self.steps) for base in self.base_lrs]

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else int(epoch)
        self.steps = (self.steps + 1) % self.warm
        for group, lr in zip(self.optimizer.param_groups, self.get_lr()):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
""",
    "a limit": """
class Own(Exponential):
    def __init__(self, optimizer, warm):
        super().__init__(optimizer, 0.8)

    def get_lr(self):
        return [max(lr, 0.05) for lr in super().get_lr()]
""",
}


@pytest.mark.parametrize("name", OWN)
def test_schedules_of_ones_own(name):
    def build(schedules, optimizer):
        namespace = {"Base": schedules.LRScheduler, "Exponential": schedules.ExponentialLR}
        exec(OWN[name], namespace)
        schedule = namespace["Own"](optimizer, 4)
        return schedule

    theirs, ours = curves(build, steps=12)
    np.testing.assert_allclose(ours, theirs, **CURVE)
    if name == "get_lr":  # as a part of a sequence

        def row(s, o):
            return s.SequentialLR(o, [build(s, o), s.ExponentialLR(o, 0.5)], [6])

        theirs, ours = curves(row, steps=12)
        np.testing.assert_allclose(ours, theirs, **CURVE)
