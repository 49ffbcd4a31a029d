"""Training on ranks: weak efficiency, the cost of shards, and how soon a failing rank ends a job.

    python benchmarks/ranks.py [--ranks 2] [--rounds 25] [mlp cnn gpt]

One job of N ranks with one thread each, where trainings take turns:

- one process, without shards, while the other ranks sleep;
- N ranks on N times as many samples a step;
- N processes without shards at the same time, apart or in step: after each step they wait for each
  other. They exchange nothing, so this is the limit of the machine, whose cores share memory,
  caches and clock, and are not equally fast at all times;
- one process with 4 shards, on the samples of the first.

A turn is one epoch, and its time the mean of its steps, with all that the Trainer does: it reads
data, and compares the states of ranks. Each figure is a ratio of two turns of one round: the median
over rounds, and its quartiles. For N processes it is the weak efficiency, the time of a step of one
process divided by theirs; for shards, the additional time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import distributed, nn, optim
from chainrule.cli.ranks import mpiexec
from chainrule.models import GPT
from chainrule.world import alone, world


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


WORKLOADS = {"mlp": (mlp, 64, 200), "cnn": (cnn, 32, 20), "gpt": (gpt, 8, 6)}
"""By name: the model and its data, the samples of a rank, and the steps of a turn."""


LABELS = {"ranks": "ranks", "in step": "processes in step", "apart": "processes apart"}


class Clock(cr.train.Callback):
    """Records when each step ended, and calls `wait` after it."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.times: list[float] = []
        self.wait = wait

    def on_step_end(self, trainer: Any) -> None:
        self.wait()
        self.times.append(time.perf_counter())


class Candidate:
    """A training that takes turns.

    shards: those of the Trainer. ranks: the number of ranks that take part in a turn; the others
    wait. together: whether they are the ranks of one training, with as many times more samples.
    wait: what they do after each step.
    """

    def __init__(
        self,
        name: str,
        shards: int | None,
        ranks: int,
        together: bool = False,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        build, batch, steps = WORKLOADS[name]
        self.takes_part = distributed.rank() < ranks
        self.place: Callable[[], AbstractContextManager[None]] = nullcontext if together else alone
        self.size = batch * ranks if together else batch
        cr.manual_seed(0)
        model, loss, *self.data = build(self.size * steps)
        self.clock, optimizer = Clock(wait), optim.Adam(model.parameters(), lr=1e-3)
        options: dict[str, Any] = {"callbacks": [self.clock], "metrics": [], "progress": False}
        with self.place():
            self.trainer = cr.Trainer(model, loss, optimizer, shards=shards, **options)

    def turn(self) -> float:
        """The seconds of a step, on the slowest rank."""
        cr.manual_seed(0)  # the ranks of a training agree, whoever took the turns before
        self.clock.times.clear()
        distributed.barrier()
        if self.takes_part:
            with self.place():
                self.trainer.fit(tuple(self.data), batch_size=self.size)
        own = float(np.diff(self.clock.times).mean()) if self.takes_part else 0.0
        return max(x.item() for x in distributed.all_gather(cr.tensor([own])))


def work(name: str, rounds: int) -> None:
    """Let the trainings take turns, and print the seconds of all turns on rank 0."""
    ranks = distributed.world_size()
    candidates = {
        "one": Candidate(name, None, 1),
        "ranks": Candidate(name, ranks, ranks, together=True),
        "in step": Candidate(name, None, ranks, wait=world().barrier),
        "apart": Candidate(name, None, ranks),
        "shards": Candidate(name, 4, 1),
    }
    turns = [{key: c.turn() for key, c in candidates.items()} for _ in range(rounds + 1)]
    if not world().rank:
        print(json.dumps(turns[1:]))


def fail() -> None:
    """Raise on the last rank, while the others wait for it."""
    if distributed.rank() == distributed.world_size() - 1:
        print(json.dumps(time.time()), flush=True)
        raise ValueError("a fault")
    distributed.barrier()


def started(ranks: int, *arguments: str) -> tuple[Any, float]:
    """What a job prints, and when it ended."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, __file__, "--work", *arguments]
    own = os.environ | {"CHAINRULE_NUM_THREADS": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[0]), time.time()


def shown(turns: list[dict[str, float]], ratio: Callable[[dict[str, float]], float]) -> str:
    """The median of a ratio over rounds, with its quartiles."""
    low, middle, high = statistics.quantiles([ratio(turn) for turn in turns])
    return f"{middle:.0%} ({low:.0%} … {high:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKLOADS])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        name, *rounds = given.work
        return work(name, int(rounds[0])) if rounds else fail()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, {given.rounds} rounds")
    for name in given.workloads:
        turns, _ = started(given.ranks, name, str(given.rounds))
        print(f"{name}: {statistics.median(turn['one'] for turn in turns) * 1e6:.0f} µs a step")
        for key in ("ranks", "in step", "apart"):
            efficiency = shown(turns, lambda turn, key=key: turn["one"] / turn[key])
            print(f"  {given.ranks} {LABELS[key]}: {efficiency}")
        print(f"  4 shards on one rank: {shown(turns, lambda t: t['shards'] / t['one'] - 1)}")
    raised, ended = started(given.ranks, "fail")
    print(f"a rank that raises ends the job after {ended - raised:.2f} s")


if __name__ == "__main__":
    main()
