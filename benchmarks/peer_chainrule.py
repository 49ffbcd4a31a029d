"""The workloads in Chainrule: eager, or the whole step compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
from models import model_of
from workloads import PARTS, Workload


def epochs(w: Workload) -> Callable[[], Any]:
    """A function that trains for an epoch of MNIST and returns the validation accuracy."""
    train, _ = cr.data.MNIST(flat=True)
    first, second = PARTS
    parts = cr.data.random_split(train, [first, second, len(train) - first - second])
    model = model_of(w, cr)
    optimizer = getattr(optim, w.optimizer)(model.parameters(), **dict(w.options))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)

    def epoch() -> float:
        history = trainer.fit(parts[0], valid=parts[1], epochs=1, batch_size=w.batch)
        return float(history["valid_accuracy"][-1])

    return epoch


def loss_of(w: Workload) -> Callable[..., cr.Tensor]:
    if w.kind == "binary":
        return F.binary_cross_entropy_with_logits
    return F.mse_loss if w.kind == "regression" else F.cross_entropy


def step_of(w: Workload) -> tuple[Callable[..., Any], tuple[cr.Tensor, ...]]:
    """The function of one step (the model itself for inference), and its arguments."""
    model = model_of(w, cr)
    x, y = (cr.from_numpy(a) for a in w.data())
    if w.kind == "inference":
        return model.eval(), (x,)
    if w.kind == "tokens":
        model.eval()

        def next_token(tokens: cr.Tensor) -> cr.Tensor:
            likely = model(tokens)[-1:].argmax(1, keepdim=True)
            return cr.cat([tokens[:, 1:], likely], 1)

        return next_token, (x,)
    optimizer = getattr(optim, w.optimizer)(model.parameters(), **dict(w.options))
    criterion = loss_of(w)

    def step(x: cr.Tensor, target: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = criterion(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step, (x, y.flatten() if w.kind == "gpt" else y)


def build(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that runs one step and returns when its result is complete."""
    if w.kind == "epoch":
        return epochs(w)
    function, arguments = step_of(w)
    run = cr.compile(function) if mode == "compile" else function
    if w.optimizer:
        return lambda: run(*arguments)
    held = list(arguments)

    def infer() -> None:
        with cr.no_grad():
            result = run(*held)
        if w.kind == "tokens":
            held[0] = result

    return infer
