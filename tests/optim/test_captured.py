"""A captured training step sees every read and write of optimizer, schedule and clipping."""

import numpy as np
import pytest
from tests.optim.table import CASES, SCHEDULES, fitting, make

import chainrule as cr
from chainrule import optim

pytestmark = pytest.mark.usefixtures("references")

# `if` in a function of the step is refused.
SHOWN = {name: make for name, make in SCHEDULES.items() if name != "lambda with if"}
SHOWN["none"] = lambda s, o: None
SHOWN["plateau"] = lambda s, o: s.ReduceLROnPlateau(o, patience=0, factor=0.5, threshold=0.5)
STILL = ("none", "no milestones", "swa at once")
COMBINATIONS = [(case, "warm-up, cosine") for case in CASES]
COMBINATIONS += [("SGD momentum=0.9", name) for name in SHOWN if name != "warm-up, cosine"]


def build(optimizer, schedule):
    start = np.random.default_rng(0).normal(size=(4, 3)).astype("f")
    (shape,) = fitting(optimizer, [(3,)])
    weights = [cr.tensor(start, requires_grad=True), cr.zeros(*shape, requires_grad=True)]
    chosen = make(optimizer, [{"params": weights[:1]}, {"params": weights[1:]}], lr=0.05)
    rates = SHOWN[schedule](optim, chosen)

    def step(x, y):
        chosen.zero_grad()
        loss = ((x @ weights[0] + weights[1] - y) ** 2).mean()
        loss.backward()
        norm = optim.clip_grad_norm_(weights, 0.5)
        chosen.step()
        if rates is not None:
            rates.step(loss) if schedule == "plateau" else rates.step()
        return loss, norm

    return weights, chosen, step


def batches(count):
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield [cr.tensor(rng.normal(size=(5, n)).astype("f")) for n in (4, 3)]


def everything(weights, optimizer):
    """All numbers of a run."""
    tensors = [*weights, *[x for kept in optimizer.state.values() for x in kept.values()]]
    tensors += [x for group in optimizer.param_groups for x in group.tensors.values()]
    return [x.detach().numpy().tobytes() for x in tensors]


@pytest.mark.parametrize(("optimizer", "schedule"), COMBINATIONS)
def test_captured_equals_eager_bit_for_bit(optimizer, schedule):
    eager, captured = build(optimizer, schedule), build(optimizer, schedule)
    program = cr.compile(captured[2])
    moved = set()
    for x, y in batches(12):
        a, b = eager[2](x, y), program(x, y)
        assert [t.item() for t in a] == [t.item() for t in b]
        assert everything(*eager[:2]) == everything(*captured[:2])
        moved.add(captured[1].param_groups[0]["lr"])
    assert (len(moved) > 1) == (schedule not in STILL)


def test_what_a_user_writes_between_steps_is_seen():
    eager, captured = build("Adam", "none"), build("Adam", "none")
    program = cr.compile(captured[2])
    for number, (x, y) in enumerate(batches(8)):
        for optimizer in (eager[1], captured[1]):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
            optimizer.param_groups[1].update(betas=(0.5 + 0.01 * number, 0.9), weight_decay=0.1)
        eager[2](x, y)
        program(x, y)
        assert everything(*eager[:2]) == everything(*captured[:2])


def test_loading_a_state_between_steps_is_seen():
    weights, optimizer, step = build("AdamW", "none")
    program = cr.compile(step)
    data = list(batches(6))
    for x, y in data[:3]:
        program(x, y)
    state, kept = optimizer.state_dict(), [w.detach().clone() for w in weights]
    ends = []
    for _ in range(2):
        optimizer.load_state_dict(state)
        with cr.no_grad():
            for w, value in zip(weights, kept, strict=True):
                w.assign(value)
        for x, y in data[3:]:
            program(x, y)
        ends.append(everything(weights, optimizer))
    assert ends[0] == ends[1]


def test_reading_a_rate_inside_is_refused():
    _, optimizer, _ = build("SGD", "none")

    def step(x):
        return x * optimizer.param_groups[0]["lr"]

    with pytest.raises(cr.ChainruleError, match=r"test_captured\.py"):
        cr.compile(step)(cr.ones(2))


def test_a_rate_set_between_steps_needs_no_capture():
    _, optimizer, step = build("SGD", "constant")
    compiled = cr.compile(step)
    for rate in (0.1, 0.2, 0.3):
        optimizer.param_groups[0]["lr"] = rate
        compiled(cr.ones(2, 4), cr.ones(2, 3))
    assert compiled.captures == 1


def test_writing_a_tensor_rate_inside():
    _, optimizer, _ = build("SGD", "none")

    def step(x):
        optimizer.param_groups[0]["lr"] = x.sum() * 0.5
        return optimizer.param_groups[0].tensors["lr"] * 2

    assert cr.compile(step)(cr.ones(3)).item() == 3.0
    assert optimizer.param_groups[0]["lr"] == 1.5


@pytest.mark.parametrize("name", [name for name in CASES if name != "LBFGS"])
def test_an_optimizer_can_be_made_inside_a_compiled_function(name):
    """It is made anew in each call, so that each call gives the same."""

    def learnt(x):
        (shape,) = fitting(name, [(3,)])
        w = cr.ones(*shape, requires_grad=True)
        optimizer = make(name, [w], lr=0.05)
        for _ in range(2):
            optimizer.zero_grad()
            ((w - x.mean()) ** 2).sum().backward()
            optimizer.step()
        return w.detach()

    run, x = cr.compile(learnt), cr.tensor([1.0, 3.0])
    for _ in range(2):
        assert run(x).tolist() == learnt(x).tolist()
