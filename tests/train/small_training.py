"""A small data set, a small model with every kind of state, and a Trainer for them."""

from __future__ import annotations

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import ArrayDataset
from chainrule.train import Trainer


def small_data(n: int = 96, seed: int = 0) -> ArrayDataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int64)
    return ArrayDataset(x, y, classes=("no", "yes"))


def small_trainer(*, lr: float = 0.01, width: int = 8, seed: int = 0, **options: object) -> Trainer:
    cr.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2)
    )
    optimizer = optim.Adam(model.parameters(), lr=lr)
    options.setdefault("progress", False)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, **options)  # type: ignore[arg-type]


def weights(trainer: Trainer) -> dict[str, bytes]:
    """Every bit of the model, the optimizer and the random state."""
    state = trainer.state_dict()
    model = {name: tensor.numpy().tobytes() for name, tensor in state["model"].items()}
    optimizer = {
        f"{n}/{k}": t.numpy().tobytes()
        for n, kept in state["optimizer"]["state"].items()
        for k, t in kept.items()
    }
    return model | optimizer | {"random": state["random"].numpy().tobytes()}
