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
    without: tuple[str, ...] = ()
    """Frameworks that do not run it: the model is not written for them."""

    def data(self) -> tuple[Any, Any]:
        """Inputs and targets, the same in every process."""
        rng = np.random.default_rng(0)
        if self.kind in ("gpt", "tokens"):
            tokens = rng.integers(0, self.classes, (self.batch, self.inputs[0] + 1))
            return tokens[:, :-1].copy(), tokens[:, 1:].copy()
        x = rng.random((self.batch, *self.inputs), dtype=np.float32)
        if self.kind == "binary":
            return x, rng.integers(0, 2, (self.batch, 1)).astype(np.float32)
        if self.kind == "regression":
            return x, rng.random((self.batch, 1), dtype=np.float32)
        return x, rng.integers(0, self.classes, self.batch)


def dense(sizes: tuple[int, ...], batch: int, training: bool = True) -> float:
    """Operations of linear layers: two per weight and example in the forward pass, and as many for
    the gradients of the weights and of the inputs each. The first input needs no gradient."""
    products = [2.0 * a * b * batch for a, b in pairwise(sizes)]
    return 3 * sum(products) - products[0] if training else sum(products)


def conv(positions: int, channels: int, taps: int, out: int, batch: int, first: bool) -> float:
    return (2 if first else 3) * 2.0 * positions * channels * taps * out * batch


def transformer(width: int, blocks: int, length: int, batch: int) -> float:
    """Operations of a GPT's forward pass: the linear layers, attention, and the 65 scores."""
    block = 12 * width * width + 2 * length * width
    return 2.0 * batch * length * (blocks * block + 65 * width)


def residual(batch: int) -> float:
    """Operations of a training step of ResNet-20 on images of 32 × 32 × 3."""
    total = conv(1024, 3, 9, 16, batch, True)
    for pixels, before, channels in ((1024, 16, 16), (256, 16, 32), (64, 32, 64)):
        total += conv(pixels, before, 9, channels, batch, False)
        total += 5 * conv(pixels, channels, 9, channels, batch, False)
        total += conv(pixels, before, 1, channels, batch, False) * (before != channels)
    return total


ADAM = (("lr", 1e-3),)
SGD = (("lr", 0.1),)
MLP, SMALL = (784, 128, 64, 10), (784, 64, 10)
TABULAR, DEEP = (64, 256, 256, 1), (16,) * 501
LSTM_FLOPS = 3 * 2.0 * 64 * 28 * 4 * 64 * (28 + 64)
LSTM_LARGE_FLOPS = 3 * 2.0 * 32 * 64 * 4 * 256 * (128 + 256 + 256 + 256)

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
        Workload(
            "gpt",
            "gpt",
            12,
            "AdamW",
            ADAM,
            (128, 4, 4),
            (64,),
            65,
            3 * transformer(128, 4, 64, 12),
        ),
        Workload("lstm", "lstm", 64, "Adam", ADAM, (28, 64, 1), (28, 28), flops=LSTM_FLOPS),
        Workload(
            "inference", "inference", 1, "", (), MLP, (784,), flops=dense(MLP, 1, training=False)
        ),
        Workload(
            "tabular", "regression", 1024, "Adam", ADAM, TABULAR, (64,), 1, dense(TABULAR, 1024)
        ),
        Workload(
            "resnet",
            "resnet",
            128,
            "SGD",
            SGD,
            (),
            (3, 32, 32),
            flops=residual(128),
            warmup=2,
            without=("jax",),
        ),
        Workload(
            "gpt-large",
            "gpt",
            4,
            "AdamW",
            ADAM,
            (384, 6, 6),
            (256,),
            65,
            3 * transformer(384, 6, 256, 4),
            warmup=2,
        ),
        Workload("deep", "mlp", 8, "Adam", ADAM, DEEP, (16,), 16, dense(DEEP, 8), without=("jax",)),
        Workload(
            "lstm-large",
            "lstm",
            32,
            "Adam",
            ADAM,
            (128, 256, 2),
            (64, 128),
            flops=LSTM_LARGE_FLOPS,
            without=("jax",),
        ),
        Workload("tokens", "tokens", 1, "", (), (128, 4, 4), (64,), 65, transformer(128, 4, 64, 1)),
        Workload(
            "conv-wide",
            "conv-wide",
            16,
            "SGD",
            SGD,
            (),
            (64, 56, 56),
            flops=conv(3136, 64, 9, 64, 16, True),
            without=("jax",),
        ),
    )
}
"""`conv` is 32 and 64 channels, 3×3 without padding, each with ReLU and 2×2 pooling, then
1600-128-10; `conv-small` 1-4-8 channels, 3×3 padded, each with batch norm, ReLU and pooling;
`conv-wide` one convolution 64→64 on 56 × 56 pixels. `tokens` generates text: in each step a GPT
reads the last 64 tokens, and the most likely next token is appended. `deep` has 500 layers of 16.
JAX does not run those whose model is not written for it (`without`)."""

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
