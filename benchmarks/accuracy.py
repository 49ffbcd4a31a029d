"""Accuracies on MNIST, the digits and breast cancer, to compare with published figures.

CHAINRULE_DATA=... python benchmarks/accuracy.py [digits breast_cancer mnist cnn race]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import chainrule as cr
from chainrule import nn, optim

COMMANDS = {
    "digits": ["digits"],
    "breast_cancer": ["breast_cancer"],
    "mnist": ["mnist", "--hidden", "128,64"],
    "cnn": ["mnist", "--model", "cnn"],
}


def from_the_command_line(name: str) -> None:
    """One run of `chainrule train` with its default options."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        command = [sys.executable, "-m", "chainrule", "train", *COMMANDS[name], "--out", out]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        results = json.loads((Path(out) / "results.json").read_text())
    print(
        f"{name:14s} {results['test']['accuracy']:.4f} test accuracy, "
        f"{time.perf_counter() - start:.0f} s",
        flush=True,
    )


def race(epochs: int = 25, starts: int = 4) -> None:
    """784-64-10, Adam with rate 1e-3, batch 32, 33,600 training and 8,400 validation images.

    The accuracy varies by about 0.3 % with the split and the initial weights, so several runs are
    printed.
    """
    train, _ = cr.data.MNIST(flat=True)
    best, seconds = [], 0.0
    for seed in range(starts):
        parts = cr.data.random_split(train, [33_600, 8_400, len(train) - 42_000], seed=seed)
        cr.manual_seed(seed)
        model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False, seed=seed)
        start = time.perf_counter()
        history = trainer.fit(parts[0], valid=parts[1], epochs=epochs, batch_size=32)
        seconds += time.perf_counter() - start
        best.append(round(max(history["valid_accuracy"]), 4))
    print(
        f"{'race':14s} best validation accuracies {best}, {seconds / epochs / starts:.2f} s an "
        f"epoch with its validation",
        flush=True,
    )


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*COMMANDS, "race"]:
        race() if wanted == "race" else from_the_command_line(wanted)
