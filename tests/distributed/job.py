"""A job of the tests: `mpiexec -n N python -m mpi4py job.py TASK FOLDER`. Rank 0 prints JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.models import GPT
from chainrule.train import Trainer
from chainrule.tree import flatten
from chainrule.world import world

SHARDS = 4
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(43, 20)).astype(np.float32), RNG.integers(0, 3, 43)
TOKENS = RNG.integers(0, 11, size=(12, 9))
Y[:8] = -100  # so that some shards have no label to learn from


def mlp():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))


def with_dropout():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def cnn(norm=nn.BatchNorm2d):
    conv = nn.Conv2d(1, 4, 3, padding=1)
    parts = [nn.Unflatten(1, (1, 4, 5)), conv, norm(4), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)]
    return nn.Sequential(*parts)


def gpt():
    return GPT(11, 8, width=16, layers=1, heads=2, dropout=0.1)


class TokenLoss(nn.CrossEntropyLoss):
    """Cross-entropy of all tokens."""

    def forward(self, scores, tokens):
        return super().forward(scores.reshape(-1, scores.shape[-1]), tokens.reshape(-1))


MODELS = {"mlp": mlp, "dropout": with_dropout, "cnn": cnn, "gpt": gpt}


def bits(value):
    """A hash of the tensors of a state."""
    hashed = hashlib.sha256()
    for x in flatten(value):
        hashed.update(x.numpy().tobytes() if isinstance(x, cr.Tensor) else repr(x).encode())
    return hashed.hexdigest()[:16]


def trainer_of(build, *, shards=SHARDS, seed=1, **options):
    cr.manual_seed(seed)
    model = build()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    loss = TokenLoss() if build is gpt else nn.CrossEntropyLoss()
    return Trainer(model, loss, optimizer, shards=shards, progress=False, **options)


def data_of(name):
    return (TOKENS[:, :-1], TOKENS[:, 1:]) if name == "gpt" else (X, Y)


def fitted(build, data, epochs=2, **options):
    fit = {k: options.pop(k) for k in ("valid", "resume") if k in options}
    if build is gpt:
        options["metrics"] = []
    trainer = trainer_of(build, **options)
    history = trainer.fit(data, epochs=epochs, batch_size=10, **fit)
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in history]
    return [bits([trainer.model.state_dict(), trainer.optimizer.state_dict()]), records]


def same_bits(folder):
    """Trainings whose results do not depend on the number of ranks."""
    found = {}
    for name, build in MODELS.items():
        x, y = data_of(name)
        found[name] = fitted(build, (x, y), valid=(x[:9], y[:9]))
    found["eager"] = fitted(cnn, (X, Y), compiled=False)
    found["clipped"] = fitted(mlp, (X, Y), clip_norm=0.1, metrics=["accuracy", "f1"])
    crop = cr.data.RandomCrop(4, padding=1)
    images = cr.data.ArrayDataset(X[:40].reshape(40, 1, 4, 5)[..., :4], np.abs(Y[:40]) % 3)
    found["augmented"] = fitted(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), images.with_transform(crop)
    )
    return found


TASKS = {"same_bits": same_bits}

if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    result = TASKS[task](folder)
    if not world().rank:
        print("RESULT " + json.dumps(result), flush=True)
