"""Compiled against eager: 100 training steps from the same start on the same data.

    python benchmarks/agreement.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import optim
from chainrule.nn import functional as F
from peer_chainrule import model_of
from workloads import WORKLOADS, Workload

STEPS = 100
NAMES = ("mlp-small", "mlp", "binary", "conv-small", "lstm", "gpt")


def training(w: Workload, wrap: Callable[[Any], Any]) -> tuple[list[float], np.ndarray[Any, Any]]:
    """The losses of some steps, and all weights afterwards in one row."""
    cr.manual_seed(0)
    model = model_of(w)
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


def main() -> dict[str, dict[str, float]]:
    """The largest relative difference of a loss, and that of the weights at the end."""
    rows = {}
    for name in NAMES:
        eager, weights = training(WORKLOADS[name], lambda step: step)
        compiled, ours = training(WORKLOADS[name], cr.compile)
        losses = max(abs(a - b) / abs(a) for a, b in zip(eager, compiled, strict=True))
        apart = float(np.linalg.norm(ours - weights) / np.linalg.norm(weights))
        rows[name] = {"losses": losses, "weights": apart}
        print(f"{name:11s} {STEPS} steps: losses differ by {losses:.1e}, weights by {apart:.1e}")
    return rows


if __name__ == "__main__":
    main()
