"""Optimizers in the wing: PyTorch's states and texts, files of PyTorch, and optimizers of users."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from tests.optim.table import CASES, NOT_IN_PYTORCH, SCHEDULES, WITH_CLOSURE, fitting, make

from chainrule import optim

FIRST = {name: case for case, (name, _) in reversed([*CASES.items(), *WITH_CLOSURE.items()])}
PLAIN = [case for name, case in FIRST.items() if name not in NOT_IN_PYTORCH]
WITH_STATES = ["SGD momentum=0.9", "RMSprop momentum=0.9", "Adam amsgrad=True"]


def trained(t, case, steps):
    """A parameter and its optimizer, after some steps."""
    (shape,) = fitting(case, [(2,)])
    p = t.nn.Parameter(t.tensor(np.reshape(np.float32([1.0, -2.0]), shape)))
    optimizer = make(case, [p], t.optim)
    continue_(p, optimizer, steps)
    return p, optimizer


def continue_(p, optimizer, steps):
    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)


def shapes(state):
    """The dtype and shape of every tensor in a state."""
    return {n: (str(x.dtype), tuple(x.shape)) for n, x in state.items()}


@pytest.mark.parity
@pytest.mark.parametrize("case", [*PLAIN, *WITH_STATES])
def test_states_and_texts_are_pytorchs(torch, pytorch, case):
    (_, ours), (_, theirs) = (trained(t, case, 3) for t in (torch, pytorch))
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys() and mine["state"].keys() == other["state"].keys()
    for a, b in zip(mine["param_groups"], other["param_groups"], strict=True):
        assert a == b
    if case in WITH_CLOSURE:  # PyTorch keeps a scratch list too, and numbers as tensors
        assert mine["state"][0].keys() == other["state"][0].keys() - {"al"}
    else:
        assert [shapes(x) for x in mine["state"].values()] == [
            shapes(x) for x in other["state"].values()
        ]


@pytest.mark.parity
@pytest.mark.parametrize("case", [*PLAIN, *WITH_STATES])
def test_the_state_that_pytorch_saved_goes_on_here(torch, pytorch, tmp_path, monkeypatch, case):
    monkeypatch.setattr(pytorch.Tensor, "bfloat16", pytorch.Tensor.clone)  # in Muon
    theirs, their_optimizer = trained(pytorch, case, 3)
    pytorch.save(their_optimizer.state_dict(), tmp_path / "state.pt")
    ours, optimizer = trained(torch, case, 0)
    with torch.no_grad():
        ours.copy_(torch.tensor(theirs.detach().numpy()))
    optimizer.load_state_dict(torch.load(tmp_path / "state.pt"))
    continue_(theirs, their_optimizer, 3)
    continue_(ours, optimizer, 3)
    expected = theirs.detach().numpy()
    np.testing.assert_allclose(ours.detach().numpy(), expected, 2e-6, 1e-6)  # float32 rounding


def test_its_own_state_goes_on_and_before_a_step_there_is_none(torch):
    p, optimizer = trained(torch, "Adam", 0)
    assert optimizer.state_dict()["state"] == {} == dict(optimizer.state)
    continue_(p, optimizer, 2)
    assert len(optimizer.state) == 1 and optimizer.state[p]["step"].item() == 2.0
    saved, q = copy.deepcopy(optimizer.state_dict()), p.detach().clone()
    continue_(p, optimizer, 2)
    with torch.no_grad():
        target = p.tolist()
        p.copy_(q)
    optimizer.load_state_dict(saved)
    continue_(p, optimizer, 2)
    assert p.tolist() == target


def test_a_state_can_be_written(torch):
    """As by optimizers whose state is shared between processes, and by resets."""
    p, optimizer = trained(torch, "Adam", 2)
    state = optimizer.state[p]
    state["step"] = 0
    state["exp_avg"] = torch.zeros_like(p)
    state["exp_avg_sq"].zero_()
    fresh, other = trained(torch, "Adam", 0)
    with torch.no_grad():
        fresh.copy_(p)
    continue_(p, optimizer, 2)
    continue_(fresh, other, 2)
    assert p.tolist() == fresh.tolist()
    del optimizer.state[p]
    assert len(optimizer.state) == 0


class Own:
    """Makes an optimizer as users write them: Adam, in PyTorch's terms."""

    def __new__(cls, torch, params, **options):
        class Adam(torch.optim.Optimizer):
            def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, note=None):
                super().__init__(params, dict(lr=lr, betas=betas, eps=eps, note=note))

            @torch.no_grad()
            def step(self, closure=None):
                loss = None
                if closure is not None:
                    with torch.enable_grad():
                        loss = closure()
                for group in self.param_groups:
                    beta1, _ = group["betas"]
                    for p in group["params"]:
                        state = self.state[p]
                        if len(state) == 0:
                            state["step"] = 0
                            state["exp_avg"] = torch.zeros_like(p.data)
                            state["history"] = []
                        state["step"] += 1
                        state["history"].append(p.grad.abs().max().item())
                        state["exp_avg"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                        p.data.add_(state["exp_avg"], alpha=-group["lr"] * group["scale"])
                return loss

        return Adam([{"params": params, "scale": 0.5}], **options)


@pytest.mark.parity
def test_an_optimizer_of_ones_own(torch, pytorch):
    ends = []
    for t in (torch, pytorch):
        p = t.nn.Parameter(t.tensor([1.0, -2.0]))
        optimizer = Own(t, [p], lr=0.1)
        assert isinstance(optimizer, t.optim.Optimizer) and len(optimizer.state) == 0
        scheduler = t.optim.lr_scheduler.StepLR(optimizer, 2)
        for _ in range(3):
            continue_(p, optimizer, 1)
            scheduler.step()
        saved = copy.deepcopy(optimizer.state_dict())
        other = Own(t, [p])
        other.load_state_dict(saved)
        continue_(p, other, 2)
        kept = other.state_dict()["state"][0]
        ends.append([p.tolist(), kept["step"], kept["history"], repr(other)])
    assert ends[0][1:] == ends[1][1:]
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-6)  # float32


def scheduled(t, name):
    """A schedule of the table, and its optimizer."""
    groups = [{"params": [t.nn.Parameter(t.zeros(1))], "lr": lr} for lr in (0.1, 0.5)]
    optimizer = t.optim.SGD(groups, momentum=0.9)
    names = {**vars(t.optim.lr_scheduler), "SWALR": t.optim.swa_utils.SWALR}
    finder = SimpleNamespace(**{n: getattr(t.optim.lr_scheduler, n) for n in ALL_SCHEDULES} | names)
    schedule = SCHEDULES[name](finder, optimizer)
    return optimizer, schedule


ALL_SCHEDULES = [name for name in vars(optim.lr_scheduler) if name.endswith(("LR", "er", "ts"))]
UNUSED = {"_anneal_func_type", "_schedule_phases", "use_beta1", "_scale_fn_custom"}
"""Attributes of PyTorch's schedules that follow from the options."""


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_pytorch_saved_goes_on_here(torch, pytorch, name):
    optimizer, schedule = scheduled(torch, name)
    their_optimizer, theirs = scheduled(pytorch, name)
    for _ in range(15):
        theirs.step()
    optimizer.load_state_dict(their_optimizer.state_dict())
    schedule.load_state_dict(theirs.state_dict())
    assert schedule.get_last_lr() == theirs.get_last_lr()
    assert theirs.state_dict().keys() - UNUSED <= schedule.state_dict().keys()
    for _ in range(15):
        schedule.step()
        theirs.step()
        for a, b in zip(optimizer.param_groups, their_optimizer.param_groups, strict=True):
            expected = [b["lr"], b["momentum"]]
            assert [a["lr"], a["momentum"]] == pytest.approx(expected, rel=1e-12)  # roundings


@pytest.mark.parity
def test_attributes_of_schedules_can_be_read_and_set(torch, pytorch):
    rows = []
    for t in (torch, pytorch):
        optimizer = t.optim.SGD([t.nn.Parameter(t.zeros(1))], lr=1.0)
        schedule = t.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        rows.append([schedule._step_count, schedule.last_epoch, schedule.base_lrs])
        schedule.gamma, schedule.last_epoch = 0.25, 3
        optimizer.step()
        schedule.step()
        rows[-1] += [schedule._last_lr, schedule.last_epoch, optimizer.param_groups[0]["lr"]]
        plateau = t.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=5, factor=0.5)
        plateau.patience = 0
        for loss in (1.0, 2.0):
            plateau.step(loss)
        rows[-1] += [plateau.best, plateau.num_bad_epochs, plateau.get_last_lr()]
    assert rows[0] == rows[1]


def test_sparse_adam_is_refused(torch):
    assert torch.optim.SparseAdam is not None
    with pytest.raises(NotImplementedError, match=r"dense.*Adam"):
        torch.optim.SparseAdam([torch.nn.Parameter(torch.zeros(2))])


def test_paths(torch):
    from chainrule.torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

    assert Optimizer is optim.Optimizer and callable(register_optimizer_step_pre_hook)
    assert torch.optim.adam.Adam is optim.Adam and torch.optim.lbfgs.LBFGS is optim.LBFGS
