"""Compiled against eager: 100 training steps with the same initial weights and the same data.

Training can amplify rounding errors. A control therefore compares eager with eager whose initial
weights differ by one unit in the last place. The limit applies to compiled in any case.

    python benchmarks/agreement.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import optim
from chainrule.nn import functional as F
from models import model_of
from workloads import WORKLOADS, Workload

STEPS = 100
WITHIN = 1e-6
"""The largest relative difference of the losses and of the weights."""
NAMES = ("mlp-small", "mlp", "binary", "conv-small", "lstm", "gpt")


Trained = tuple[list[float], np.ndarray[Any, Any]]


def nudge(model: cr.nn.Module) -> None:
    """Replaces each weight by an adjacent float32, randomly up or down."""
    rng = np.random.default_rng(1)
    for p in model.parameters():
        old = p.detach().numpy()
        towards = np.where(rng.random(old.shape) < 0.5, -np.inf, np.inf).astype(old.dtype)
        with cr.no_grad():
            p.assign(cr.from_numpy(np.nextafter(old, towards)))


def training(w: Workload, wrap: Callable[[Any], Any], nudged: bool = False) -> Trained:
    """The losses of the steps, and all weights afterwards as one vector."""
    cr.manual_seed(0)
    model = model_of(w, cr)
    if nudged:
        nudge(model)
    x, y = (cr.from_numpy(a) for a in w.data())
    target = y.flatten() if w.kind == "gpt" else y
    optimizer = getattr(optim, w.optimizer)(model.parameters(), **dict(w.options))
    loss_of = F.binary_cross_entropy_with_logits if w.kind == "binary" else F.cross_entropy

    def step(x: cr.Tensor, target: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    losses = [run(x, target).item() for _ in range(STEPS)]
    return losses, np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


def apart(one: Trained, other: Trained) -> dict[str, float]:
    """The largest relative difference of the losses, and ‖Δw‖ / ‖w‖ of the final weights."""
    losses = max(abs(a - b) / abs(a) for a, b in zip(one[0], other[0], strict=True))
    weights = np.linalg.norm(other[1] - one[1]) / np.linalg.norm(one[1])
    return {"losses": losses, "weights": float(weights)}


def main() -> dict[str, dict[str, Any]]:
    """The differences between compiled and eager, and the control."""
    rows = {}
    for name in NAMES:
        w = WORKLOADS[name]
        eager = training(w, lambda step: step)
        ours = apart(eager, training(w, cr.compile))
        control = apart(eager, training(w, lambda step: step, nudged=True))
        met = max(ours.values()) <= WITHIN
        rows[name] = {**ours, "within": met, "one_ulp_apart": control}
        print(
            f"{name:11s} {STEPS} steps: losses differ by {ours['losses']:.1e}, weights by "
            f"{ours['weights']:.1e}: {'within' if met else 'NOT within'} {WITHIN:.0e}; eager "
            f"from one ulp apart {control['losses']:.1e}, {control['weights']:.1e}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
