"""Training on ranks: weak efficiency, the cost of shards, and how soon a failing rank ends a job.

    python benchmarks/ranks.py [--ranks 2] [--steps 60]

Each rank has one thread. The weak efficiency compares a step of one process with a step of N ranks
on N times as many samples. Figures are medians over steps, with the reading of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import distributed, nn, optim
from chainrule.cli.ranks import mpiexec
from chainrule.models import GPT

WARM_UP = 10


class TokenLoss(nn.CrossEntropyLoss):
    """Cross-entropy of all tokens of a batch."""

    def forward(self, scores: Any, tokens: Any) -> Any:  # type: ignore[override]
        return super().forward(scores.reshape(-1, scores.shape[-1]), tokens.reshape(-1))


def mlp(n: int) -> tuple[Any, ...]:
    """An MLP on 784 inputs, 64 samples a rank: little work for its 102 thousand gradients."""
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    rng = np.random.default_rng(0)
    return model, nn.CrossEntropyLoss(), rng.random((n, 784), np.float32), rng.integers(0, 10, n)


def cnn(n: int) -> tuple[Any, ...]:
    """Two convolutions with batch norm on 28 × 28 pixels, 32 samples a rank."""
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 10))
    rng = np.random.default_rng(0)
    x = rng.random((n, 1, 28, 28), np.float32)
    return model, nn.CrossEntropyLoss(), x, rng.integers(0, 10, n)


def gpt(n: int) -> tuple[Any, ...]:
    """A GPT of 4 blocks of width 128 on 64 tokens, 8 texts a rank."""
    tokens = np.random.default_rng(0).integers(0, 65, (n, 65))
    return GPT(65, 64, width=128, layers=4, heads=4), TokenLoss(), tokens[:, :-1], tokens[:, 1:]


WORKLOADS = {"mlp": (mlp, 64), "cnn": (cnn, 32), "gpt": (gpt, 8)}


class Clock(cr.train.Callback):
    """Records the time of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, trainer: Any) -> None:
        self.times.append(time.perf_counter())


def work(name: str, shards: int | None, steps: int) -> None:
    """Time steps of this job, and print the median on rank 0."""
    build, batch = WORKLOADS[name]
    size = batch * distributed.world_size()
    cr.manual_seed(0)
    model, loss, x, y = build(size * (steps + WARM_UP))
    clock, optimizer = Clock(), optim.Adam(model.parameters(), lr=1e-3)
    options: dict[str, Any] = {"callbacks": [clock], "metrics": [], "progress": False}
    trainer = cr.Trainer(model, loss, optimizer, shards=shards, **options)
    trainer.fit((x, y), batch_size=size)
    if not distributed.rank():
        print(json.dumps(statistics.median(np.diff(clock.times[WARM_UP:]).tolist())))


def fail() -> None:
    """Raise on the last rank, while the others wait for it."""
    if distributed.rank() == distributed.world_size() - 1:
        print(json.dumps(time.time()), flush=True)
        raise ValueError("a fault")
    distributed.barrier()


def started(ranks: int, *arguments: str) -> tuple[float, float]:
    """What a job prints, and when it ended."""
    launcher = [mpiexec(), "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, sys.executable, __file__, "--work", *arguments]
    own = os.environ | {"CHAINRULE_NUM_THREADS": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[0])), time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        name, *numbers = given.work
        fail() if name == "fail" else work(name, int(numbers[0]) or None, int(numbers[1]))
        return
    steps = str(given.steps)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, medians of {steps} steps")
    for name in WORKLOADS:
        alone, four = (started(1, name, shards, steps)[0] for shards in ("0", "4"))
        several = started(given.ranks, name, str(given.ranks), steps)[0]
        print(
            f"{name}: {alone * 1e6:.0f} µs a step, {given.ranks} ranks {several * 1e6:.0f} µs "
            f"(weak efficiency {alone / several:.0%}), 4 shards on one rank {four / alone - 1:+.0%}"
        )
    raised, ended = started(given.ranks, "fail")
    print(f"a rank that raises ends the job after {ended - raised:.2f} s")


if __name__ == "__main__":
    main()
