"""The workloads of the step benchmark: names, sizes and data, the same for every framework."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One training step (or inference): the model's sizes, the batch, and the optimizer."""

    name: str
    kind: str
    batch: int
    optimizer: str = ""
    options: tuple[tuple[str, float], ...] = ()
    sizes: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()
    classes: int = 10
    flops: float = 0.0
    """Floating-point operations of one step, products and convolutions only."""
    warmup: int = 4
    """Steps after the first that are not timed."""

    def data(self) -> tuple[Any, Any]:
        """Inputs and targets, the same in every process."""
        rng = np.random.default_rng(0)
        if self.kind == "gpt":
            tokens = rng.integers(0, self.classes, (self.batch, self.inputs[0] + 1))
            return tokens[:, :-1].copy(), tokens[:, 1:].copy()
        x = rng.random((self.batch, *self.inputs), dtype=np.float32)
        if self.kind == "binary":
            return x, rng.integers(0, 2, (self.batch, 1)).astype(np.float32)
        return x, rng.integers(0, self.classes, self.batch)


def dense(sizes: tuple[int, ...], batch: int, training: bool = True) -> float:
    """Operations of linear layers: two per weight and example in the forward pass, and as many for
    the gradients of the weights and of the inputs each. The first input needs no gradient."""
    products = [2.0 * a * b * batch for a, b in pairwise(sizes)]
    return 3 * sum(products) - products[0] if training else sum(products)


def conv(positions: int, channels: int, taps: int, out: int, batch: int, first: bool) -> float:
    return (2 if first else 3) * 2.0 * positions * channels * taps * out * batch


ADAM = (("lr", 1e-3),)
SGD = (("lr", 0.1),)
MLP, SMALL = (784, 128, 64, 10), (784, 64, 10)
GPT_FLOPS = 3 * 2.0 * 12 * 64 * (4 * (12 * 128 * 128 + 2 * 64 * 128) + 65 * 128)
LSTM_FLOPS = 3 * 2.0 * 64 * 28 * 4 * 64 * (28 + 64)

WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp-small", "mlp", 32, "Adam", ADAM, SMALL, (784,), flops=dense(SMALL, 32)),
        Workload("mlp", "mlp", 64, "SGD", SGD, MLP, (784,), flops=dense(MLP, 64)),
        Workload("mlp-full", "mlp", 60_000, "SGD", SGD, MLP, (784,), flops=dense(MLP, 60_000)),
        Workload(
            "binary", "binary", 455, "SGD", SGD, (30, 64, 1), (30,), 2, dense((30, 64, 1), 455)
        ),
        Workload(
            "conv-small",
            "conv-small",
            100,
            "SGD",
            SGD,
            (),
            (1, 28, 28),
            flops=conv(784, 1, 9, 4, 100, True)
            + conv(196, 4, 9, 8, 100, False)
            + dense((392, 10), 100) * 1.5,
        ),
        Workload(
            "conv",
            "conv",
            64,
            "Adam",
            ADAM,
            (),
            (1, 28, 28),
            flops=conv(676, 1, 9, 32, 64, True)
            + conv(121, 32, 9, 64, 64, False)
            + dense((1600, 128, 10), 64)
            + 2.0 * 1600 * 128 * 64,
        ),
        Workload("gpt", "gpt", 12, "AdamW", ADAM, (), (64,), 65, GPT_FLOPS),
        Workload("lstm", "lstm", 64, "Adam", ADAM, (28, 64), (28, 28), flops=LSTM_FLOPS),
        Workload(
            "inference", "inference", 1, "", (), MLP, (784,), flops=dense(MLP, 1, training=False)
        ),
    )
}
"""`conv` is 32 and 64 channels, 3×3 without padding, each with ReLU and 2×2 pooling, then
1600-128-10; `conv-small` 1-4-8 channels, 3×3 padded, each with batch norm, ReLU and pooling."""

EPOCH = Workload("mnist-epoch", "epoch", 32, "Adam", ADAM, SMALL, (784,), warmup=0)
"""An epoch of MNIST with validation: 33,600 and 8,400 images."""
PARTS = (33_600, 8_400)


def workload(name: str) -> Workload:
    """A workload by name. "mlp 64 784-128-10" is a network of these sizes with batch size 64 and
    SGD."""
    if name == EPOCH.name:
        return EPOCH
    if name in WORKLOADS:
        return WORKLOADS[name]
    _, batch, layers = name.split()
    sizes = tuple(int(n) for n in layers.split("-"))
    flops = dense(sizes, int(batch))
    return Workload(name, "mlp", int(batch), "SGD", SGD, sizes, sizes[:1], flops=flops)
