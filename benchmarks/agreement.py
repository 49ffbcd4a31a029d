"""Compiled against eager: 100 training steps from the same start on the same data.

Training can enlarge a rounding error, so beside it stands a control: eager against eager from
weights moved by one unit in the last place. The promise is held against compiled all the same.

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
WITHIN = 1e-6
"""Relative: what the project promises for the losses, and is held against the weights too."""
NAMES = ("mlp-small", "mlp", "binary", "conv-small", "lstm", "gpt")


Trained = tuple[list[float], np.ndarray[Any, Any]]


def nudge(model: cr.nn.Module) -> None:
    """Moves each weight to a float32 next to it, up or down by chance."""
    rng = np.random.default_rng(1)
    for p in model.parameters():
        old = p.detach().numpy()
        towards = np.where(rng.random(old.shape) < 0.5, -np.inf, np.inf).astype(old.dtype)
        with cr.no_grad():
            p.assign(cr.from_numpy(np.nextafter(old, towards)))


def training(w: Workload, wrap: Callable[[Any], Any], nudged: bool = False) -> Trained:
    """The losses of some steps, and all weights afterwards in one row."""
    cr.manual_seed(0)
    model = model_of(w)
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
    """The largest relative difference of a loss, and of the weights at the end, ‖Δ‖ / ‖w‖."""
    losses = max(abs(a - b) / abs(a) for a, b in zip(one[0], other[0], strict=True))
    weights = np.linalg.norm(other[1] - one[1]) / np.linalg.norm(one[1])
    return {"losses": losses, "weights": float(weights)}


def main() -> dict[str, dict[str, Any]]:
    """How far compiled is from eager, and the control."""
    rows = {}
    for name in NAMES:
        w = WORKLOADS[name]
        eager = training(w, lambda step: step)
        ours = apart(eager, training(w, cr.compile))
        control = apart(eager, training(w, lambda step: step, nudged=True))
        met = max(ours.values()) <= WITHIN
        rows[name] = {**ours, "within": met, "one_ulp_apart": control}
        print(f"{name:11s} {STEPS} steps: losses differ by {ours['losses']:.1e}, weights by "
              f"{ours['weights']:.1e}: {'within' if met else 'NOT within'} {WITHIN:.0e}; eager "
              f"from one ulp apart {control['losses']:.1e}, {control['weights']:.1e}", flush=True)
    return rows


if __name__ == "__main__":
    main()
