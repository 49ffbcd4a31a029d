"""The race of lesson 6: one network, one rule of update, several programs that train it.

    python -m lessons.race --epochs 25 --out lessons/results/race.json

Every contestant starts from the same weights, sees the same batches in the same order and uses the
same formula of update, on as many threads. Each runs in a fresh process of its own, and they take
turns, an epoch each, so that whatever else the machine does hits all alike. Only training is on the
clock: from the first batch of an epoch to its last, with what a first step has to prepare. The
imports are not, and neither is the check after each epoch, which is the same code for all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ROOT = Path(__file__).resolve().parent.parent
THREADS, PAUSE = 2, 0.05
BATCH, HIDDEN = 32, 64
RATES = {"SGD": 0.1, "Adam": 1e-3}
"""The rules of update with their learning rates; all else at the usual defaults."""

Curves = dict[str, list[float]]
"""Epoch by epoch: "seconds" of training, accuracies "train" and "valid"."""
Result = dict[str, dict[str, Curves]]
"""By rule, then by contestant."""


class Race(NamedTuple):
    """What all contestants share: data, start, threads."""

    x: Array
    y: Array
    x_valid: Array
    y_valid: Array
    start: tuple[Array, ...]
    threads: int = THREADS

    def batches(self, epoch: int) -> Array:
        """The indices of each batch of an epoch, (batches, BATCH): the same for everybody."""
        order = np.random.default_rng([7, epoch]).permutation(len(self.x))
        return order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)


class Contestant(NamedTuple):
    """`train(indices)` makes one step; `weights()` gives W1 (784, 64), b1, W2 (64, 10), b2."""

    train: Callable[[Array], Any]
    weights: Callable[[], list[Array]]


def starting_weights(inputs: int, classes: int, seed: int = 0) -> tuple[Array, ...]:
    """U(−k, k) with k = 1/√(inputs of the layer), PyTorch's default, drawn once for all."""
    draw = np.random.default_rng(seed)
    weights: list[Array] = []
    for rows, columns in ((inputs, HIDDEN), (HIDDEN, classes)):
        k = rows**-0.5
        weights += [draw.uniform(-k, k, (rows, columns)), draw.uniform(-k, k, columns)]
    return tuple(w.astype(np.float32) for w in weights)


def prepare(
    x: Array, y: Array, n_train: int, n_valid: int, threads: int = THREADS, seed: int = 0
) -> Race:
    """A random split of the data into n_train and n_valid, and a start."""
    order = np.random.default_rng(seed).permutation(len(x))[: n_train + n_valid]
    train, valid = order[:n_train], order[n_train:]
    start = starting_weights(x.shape[1], 10, seed)
    return Race(x[train], y[train], x[valid], y[valid], start, threads)


# The contestants.


def gradients_by_hand(x: Array, y: Array, weights: Sequence[Array]) -> list[Array]:
    """Forward and backward through 784-64-10 with ReLU, softmax and cross-entropy."""
    w1, b1, w2, b2 = weights
    hidden = np.maximum(x @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    exp = np.exp(scores - scores.max(1, keepdims=True))
    d_scores = exp / exp.sum(1, keepdims=True)
    d_scores[np.arange(len(y)), y] -= 1
    d_scores /= len(y)
    d_hidden = (d_scores @ w2.T) * (hidden > 0)
    return [x.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_scores, d_scores.sum(0)]


class SGDByHand:
    """w ← w − η·g."""

    def __init__(self, weights: list[Array], lr: float) -> None:
        self.weights, self.lr = weights, lr

    def step(self, gradients: list[Array]) -> None:
        for w, g in zip(self.weights, gradients, strict=True):
            w -= self.lr * g


class AdamByHand:
    """w ← w − η·m̂/(√v̂ + ε) (Kingma & Ba, 2015)."""

    def __init__(
        self, weights: list[Array], lr: float, beta1: float = 0.9, beta2: float = 0.999
    ) -> None:
        self.weights, self.lr, self.beta1, self.beta2 = weights, lr, beta1, beta2
        self.m = [np.zeros_like(w) for w in weights]
        self.v = [np.zeros_like(w) for w in weights]
        self.t = 0

    def step(self, gradients: list[Array]) -> None:
        self.t += 1
        m_share, v_share = 1 - self.beta1**self.t, 1 - self.beta2**self.t
        for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            w -= self.lr / m_share * m / (np.sqrt(v / v_share) + 1e-8)


def by_hand(race: Race, rule: str) -> Contestant:
    """NumPy alone."""
    weights = [w.copy() for w in race.start]
    optimizer = {"SGD": SGDByHand, "Adam": AdamByHand}[rule](weights, RATES[rule])

    def train(batch: Array) -> None:
        optimizer.step(gradients_by_hand(race.x[batch], race.y[batch], weights))

    return Contestant(train, lambda: weights)


def chainrule(race: Race, rule: str, compiled: bool = False) -> Contestant:
    """Chainrule: op by op, or the whole step as one program."""
    import chainrule as cr
    from chainrule import engine, nn, optim

    engine.set_num_threads(race.threads)
    model = nn.Sequential(nn.Linear(len(race.start[0]), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    with cr.no_grad():
        for parameter, w in zip(model.parameters(), race.start, strict=True):
            parameter.assign(cr.tensor(w.T))
    optimizer = getattr(optim, rule)(model.parameters(), lr=RATES[rule])

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    run = cr.compile(step) if compiled else step

    def train(batch: Array) -> None:
        run(cr.from_numpy(race.x[batch]), cr.from_numpy(race.y[batch]))

    return Contestant(train, lambda: [p.detach().numpy().T for p in model.parameters()])


def pytorch(race: Race, rule: str, fused: bool = False) -> Contestant:
    """PyTorch, eager, with its optimizer as it comes or in its fused form."""
    import torch
    from torch import nn

    torch.set_num_threads(race.threads)
    model = nn.Sequential(nn.Linear(len(race.start[0]), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    with torch.no_grad():
        for parameter, w in zip(model.parameters(), race.start, strict=True):
            parameter.copy_(torch.from_numpy(w.T))
    optimizer = getattr(torch.optim, rule)(model.parameters(), lr=RATES[rule], fused=fused)
    x, y = torch.from_numpy(race.x), torch.from_numpy(race.y)

    def train(batch: Array) -> None:
        index = torch.from_numpy(batch)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()

    return Contestant(train, lambda: [p.detach().numpy().T for p in model.parameters()])


CONTESTANTS: dict[str, Callable[[Race, str], Contestant]] = {
    "NumPy by hand": by_hand,
    "Chainrule eager": chainrule,
    "Chainrule compiled": lambda race, rule: chainrule(race, rule, compiled=True),
    "PyTorch": pytorch,
    "PyTorch fused": lambda race, rule: pytorch(race, rule, fused=True),
}
"""Each makes a contestant that updates by a rule, "SGD" or "Adam"."""


def contestants() -> list[str]:
    """Those that can run here: PyTorch is optional."""
    here = find_spec("torch") is not None
    return [name for name in CONTESTANTS if here or not name.startswith("PyTorch")]


# The race.


def accuracy(x: Array, y: Array, weights: Sequence[Array]) -> float:
    """The share of images that the network with these weights names correctly."""
    w1, b1, w2, b2 = weights
    return float(((np.maximum(x @ w1 + b1, 0) @ w2 + b2).argmax(1) == y).mean())


def train_epoch(contestant: Contestant, race: Race, epoch: int) -> dict[str, float]:
    """Trains an epoch on the clock, then measures."""
    batches = race.batches(epoch)
    start = time.perf_counter()
    for batch in batches:
        contestant.train(batch)
    seconds = time.perf_counter() - start
    weights = contestant.weights()
    return {
        "seconds": seconds,
        "train": accuracy(race.x, race.y, weights),
        "valid": accuracy(race.x_valid, race.y_valid, weights),
    }


def work(folder: Path, name: str) -> None:
    """A contestant's process: for each line "rule epoch" on standard input, a line of JSON."""
    with np.load(folder / "race.npz") as stored:
        parts = [stored[key] for key in ("x", "y", "x_valid", "y_valid")]
        start = tuple(stored[f"w{i}"] for i in range(4))
        race = Race(*parts, start, int(stored["threads"]))
    made: dict[str, Contestant] = {}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        rule, epoch = line.split()
        contestant = made.get(rule) or made.setdefault(rule, CONTESTANTS[name](race, rule))
        print(json.dumps(train_epoch(contestant, race, int(epoch))), flush=True)


def start_process(folder: Path, name: str, threads: int) -> subprocess.Popen[str]:
    """A fresh Python for one contestant."""
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    limits = dict.fromkeys(variables, str(threads))
    command = [sys.executable, "-m", "lessons.race", "--work", str(folder), name]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **limits}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )


def answer_of(process: subprocess.Popen[str]) -> Any:
    """What a contestant says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a contestant has ended: {process.args}")
    return json.loads(line)


def turn(process: subprocess.Popen[str], rule: str, epoch: int) -> dict[str, float]:
    """One turn of a contestant."""
    assert process.stdin is not None
    process.stdin.write(f"{rule} {epoch}\n")
    process.stdin.flush()
    return answer_of(process)


def write(race: Race, path: Path) -> None:
    """The race as a file for the processes of the contestants."""
    weights = {f"w{i}": w for i, w in enumerate(race.start)}
    np.savez(path, x=race.x, y=race.y, x_valid=race.x_valid, y_valid=race.y_valid,
             threads=race.threads, **weights)


def run(race: Race, epochs: int, names: Sequence[str], rules: Sequence[str]) -> Result:
    """All contestants by all rules, for so many epochs of each."""
    result: Result = {rule: {name: {} for name in names} for rule in rules}
    with tempfile.TemporaryDirectory() as folder:
        write(race, Path(folder) / "race.npz")
        processes = {name: start_process(Path(folder), name, race.threads) for name in names}
        try:
            for process in processes.values():
                answer_of(process)
            for rule, epoch in product(rules, range(epochs)):
                shift = epoch % len(names)  # Nobody always follows the same one.
                for name in [*names[shift:], *names[:shift]]:
                    time.sleep(PAUSE)
                    for key, value in turn(processes[name], rule, epoch).items():
                        result[rule][name].setdefault(key, []).append(round(value, 5))
        finally:
            for process in processes.values():
                process.communicate()
    return result


def seconds(curve: Curves) -> float:
    """Training time of all epochs: their number times the median, so that an epoch during which
    the machine did something else does not count."""
    return float(np.median(curve["seconds"])) * len(curve["seconds"])


def table(curves: dict[str, Curves]) -> str:
    """Accuracies after the last epoch, seconds in all, and time in units of the fastest."""
    total = {name: seconds(curve) for name, curve in curves.items()}
    fastest = min(total.values())
    lines = [f"{'':20s}{'train':>9s}{'validation':>12s}{'seconds':>10s}{'× fastest':>11s}"]
    for name, curve in curves.items():
        lines.append(
            f"{name:20s}{curve['train'][-1]:9.2%}{curve['valid'][-1]:12.2%}"
            f"{total[name]:10.2f}{total[name] / fastest:11.2f}"
        )
    return "\n".join(lines)


def facts(race: Race, epochs: int) -> dict[str, Any]:
    """What the numbers were measured on and with."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    if find_spec("torch") is not None:
        from importlib.metadata import version

        versions["torch"] = version("torch")
    return {
        "date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), **versions,
        "threads": race.threads, "train": len(race.x), "valid": len(race.x_valid),
        "batch": BATCH, "epochs": epochs, "rates": RATES,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The race of lesson 6, on MNIST.")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=ROOT / "lessons" / "results" / "race.json")
    parser.add_argument("--work", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(Path(options.work[0]), options.work[1])
        return
    import chainrule as cr

    x, y = cr.data.MNIST(flat=True)[0][:]
    race = prepare(x, y, 33_600, 8_400)
    result: dict[str, Any] = {"facts": facts(race, options.epochs)}
    for rule in RATES:  # For each a new process, so that none finds a warm start.
        result |= run(race, options.epochs, contestants(), [rule])
        print(f"{rule}\n{table(result[rule])}\n", flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
