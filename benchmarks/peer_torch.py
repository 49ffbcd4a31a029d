"""The workloads in PyTorch: eager with fused optimizers, or through torch.compile."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from workloads import PARTS, Workload


class Block(nn.Module):
    """A pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(width, 2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Four blocks, four heads, 128 wide."""

    def __init__(self, vocabulary: int, length: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, 128), nn.Embedding(length, 128)
        self.blocks = nn.Sequential(*[Block(128, 4) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, vocabulary)
        self.register_buffer("positions", torch.arange(length))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.places(self.positions)
        return self.head(self.norm(self.blocks(x))).flatten(0, 1)


class LastLSTM(nn.Module):
    """An LSTM whose last output is classified."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(features, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def model_of(w: Workload) -> nn.Module:
    if w.kind in ("mlp", "binary", "inference", "epoch"):
        layers: list[nn.Module] = []
        for a, b in zip(w.sizes[:-1], w.sizes[1:], strict=True):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])
    if w.kind == "conv-small":
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(392, 10),
        )
    if w.kind == "conv":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1600, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
    return GPT(w.classes, w.inputs[0]) if w.kind == "gpt" else LastLSTM(*w.sizes)


def epochs(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that trains for an epoch of MNIST and returns the validation accuracy.

    All images are in memory as float32, without a loader. Each epoch draws an order. Mode "batches"
    gathers each batch; mode "whole" gathers all images at once, and batches are views of them. The
    accuracy is computed once at the end, which is faster than computing it for each batch.
    """
    x, y = mnist()
    count = PARTS[0]
    valid_x, valid_y = x[count : sum(PARTS)], y[count : sum(PARTS)]
    model = model_of(w)
    optimizer = getattr(torch.optim, w.optimizer)(model.parameters(), **dict(w.options), fused=True)

    def batches(order: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        if mode == "whole":
            parts = (part.index_select(0, order).split(w.batch) for part in (x, y))
            return zip(*parts, strict=True)
        return ((x.index_select(0, i), y.index_select(0, i)) for i in order.split(w.batch))

    def epoch() -> float:
        order, total, kept = torch.randperm(count), 0.0, []
        for inputs, target in batches(order):
            optimizer.zero_grad()
            scores = model(inputs)
            loss = F.cross_entropy(scores, target)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(target)
            kept.append(scores.detach())
        share_right(torch.cat(kept), y[order])
        with torch.inference_mode():
            scores = model(valid_x)
            F.cross_entropy(scores, valid_y).item()
            return share_right(scores, valid_y)

    return epoch


def share_right(scores: torch.Tensor, target: torch.Tensor) -> float:
    return (scores.argmax(1) == target).float().mean().item()


def mnist() -> tuple[torch.Tensor, torch.Tensor]:
    """The training images as rows of numbers from 0 to 1, and their labels."""
    folder = Path(os.environ["CHAINRULE_DATA"]) / "mnist"
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        digits = np.frombuffer(file.read(), np.uint8, offset=8)
    x = torch.from_numpy(pixels.astype(np.float32) / 255)
    return x, torch.from_numpy(digits.astype(np.int64))


def build(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that runs one step and returns when its result is complete."""
    if w.kind == "epoch":
        return epochs(w, mode)
    model = model_of(w)
    x, y = (torch.from_numpy(a) for a in w.data())
    if w.kind == "inference":
        model.eval()
        forward = torch.compile(model) if mode == "compile" else model

        def infer() -> None:
            with torch.inference_mode():
                forward(x)

        return infer
    optimizer = getattr(torch.optim, w.optimizer)(model.parameters(), **dict(w.options), fused=True)
    loss_of = F.binary_cross_entropy_with_logits if w.kind == "binary" else F.cross_entropy
    target = y.flatten() if w.kind == "gpt" else y

    def loss() -> torch.Tensor:
        return loss_of(model(x), target)

    compiled = torch.compile(loss) if mode == "compile" else loss

    def step() -> None:
        optimizer.zero_grad()
        compiled().backward()
        optimizer.step()

    return step
