"""Ordinary training steps run on kernels alone: no instruction falls back to a NumPy reference."""

from typing import Any

import pytest

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.nn import functional as F

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
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(36, 10),
    ).train()  # fmt: skip


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
    (program,) = step.programs
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
    (program,) = step.programs  # type: ignore[attr-defined]
    assert len(program.plan.in_place) == len(found[0])  # the weights and all their state
    assert found[0] == found[1]
