"""Ordinary training steps run on kernels alone: no instruction falls back to a NumPy reference."""

from typing import Any

import pytest

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.nn import functional as F
from chainrule.primitive import operations, registry

pytestmark = pytest.mark.skipif(not engine.available(), reason="the native engine is not built")

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p),
    "adamw": lambda p: optim.AdamW(p, weight_decay=0.1),
    "amsgrad": lambda p: optim.AdamW(p, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, centered=True, momentum=0.9),
    "adagrad": lambda p: optim.Adagrad(p, lr_decay=0.1),
}


def net() -> Any:
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(36, 10),
    ).train()


def training(optimizer: Any, model: Any, compiled: bool) -> Any:
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        scores = model(x)
        loss = F.cross_entropy(scores, y)
        loss.backward()
        optimizer.step()
        return loss, (scores.argmax(1) == y).sum()

    return cr.compile(step) if compiled else step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_with_batch_norm_and_its_accuracy_needs_no_reference(name: str) -> None:
    model = net()
    step = training(OPTIMIZERS[name](model.parameters()), model, compiled=True)
    x, y = cr.randn(8, 1, 8, 8), cr.randint(0, 10, (8,))
    for _ in range(3):
        step(x, y)
    (program,) = step.executables
    assert "NumPy references" not in program.report()
    assert model[1].num_batches_tracked.item() == 3


@pytest.mark.parametrize("name", ["amsgrad", "rmsprop", "adagrad"])
def test_updates_in_place_are_those_of_the_references(name: str) -> None:
    """Compiled, weights and state are written where they are; they get the same bits."""
    found = []
    for compiled in (False, True):
        w = cr.arange(12.0).requires_grad_()
        optimizer = OPTIMIZERS[name]([w])

        def step(x: Any, w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            (w * x).sum().backward()  # the gradient is x
            optimizer.step()

        if compiled:
            step = cr.compile(step)
        for t in range(5):
            step(cr.linspace(-1, t, 12))
        found.append([w.tolist(), *[x.tolist() for x in optimizer.state[w].values()]])
    (program,) = step.executables  # type: ignore[attr-defined]
    arrays = [values for values in found[0] if isinstance(values, list)]  # but for the counter
    assert len(program.plan.in_place) >= len(arrays)
    assert found[0] == found[1]


def test_what_the_machine_does_not_compute_leaves_the_chain_around_it_whole() -> None:
    """An op without a kernel, and integers, stand alone; all else is one sweep."""

    @cr.compile
    def run(x: Any, t: Any) -> Any:
        y = (t != 0).float() * x * 2
        return y.exp() + (x.tan() * 2 + x)

    x, t = cr.linspace(-1, 1, 100), cr.arange(100)
    result = run(x, t)
    (program,) = run.executables
    names = sorted(step.equation.primitive.name for step in program.plan.steps)
    assert names == ["chain", "ne", "tan"]
    assert program.plan.describe().endswith("NumPy references: tan")
    plain = ((t != 0).float() * x * 2).exp() + (x.tan() * 2 + x)
    assert (result - plain).abs().max().item() <= 1e-5  # exp to a few ulp of e


def test_an_op_of_ones_own_runs_its_reference_and_the_report_names_it() -> None:
    @cr.primitive
    class cube_of_ones_own:
        """y = x³.   ∂y/∂x = 3x²."""

        def infer(x):
            return x

        def forward(x):
            return x * x * x

        def vjp(g, x):
            return (g * 3 * x * x,)

    try:
        run = cr.compile(lambda x: (cube_of_ones_own(x) + 1) * 2)
        assert run(cr.tensor([2.0])).tolist() == [18.0]
        assert run.executables[0].report().endswith("NumPy references: cube_of_ones_own")
    finally:
        del operations["cube_of_ones_own"], registry["cube_of_ones_own"]
