"""The workloads in Chainrule: eager, or the whole step compiled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
from workloads import PARTS, Workload


class Block(nn.Module):
    """A pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
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
        self.tokens, self.places = nn.Embedding(vocabulary, 128), nn.Embedding(length, 128)
        self.blocks = nn.Sequential(*[Block(128, 4) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, vocabulary)
        self.register_buffer("positions", cr.arange(length))

    def forward(self, tokens: cr.Tensor) -> cr.Tensor:
        x = self.tokens(tokens) + self.places(self.positions)
        return self.head(self.norm(self.blocks(x))).flatten(0, 1)


class LastLSTM(nn.Module):
    """An LSTM whose last output is classified."""

    def __init__(self, features: int, hidden: int) -> None:
        self.lstm, self.head = nn.LSTM(features, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def model_of(w: Workload) -> nn.Module:
    if w.kind in ("mlp", "binary", "inference", "epoch"):
        layers: list[nn.Module] = []
        for a, b in pairwise(w.sizes):
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


def epochs(w: Workload) -> Callable[[], Any]:
    """A function that trains for an epoch of MNIST and returns the validation accuracy."""
    train, _ = cr.data.MNIST(flat=True)
    first, second = PARTS
    parts = cr.data.random_split(train, [first, second, len(train) - first - second])
    model = model_of(w)
    optimizer = getattr(optim, w.optimizer)(model.parameters(), **dict(w.options))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)

    def epoch() -> float:
        history = trainer.fit(parts[0], valid=parts[1], epochs=1, batch_size=w.batch)
        return float(history["valid_accuracy"][-1])

    return epoch


def step_of(w: Workload) -> tuple[Callable[..., Any], tuple[cr.Tensor, ...]]:
    """The function of one step (the model itself for inference), and its arguments."""
    model = model_of(w)
    x, y = (cr.from_numpy(a) for a in w.data())
    if w.kind == "inference":
        model.eval()
        return model, (x,)
    optimizer = getattr(optim, w.optimizer)(model.parameters(), **dict(w.options))
    loss_of = F.binary_cross_entropy_with_logits if w.kind == "binary" else F.cross_entropy

    def step(x: cr.Tensor, target: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step, (x, y.flatten() if w.kind == "gpt" else y)


def build(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that runs one step and returns when its result is complete."""
    if w.kind == "epoch":
        return epochs(w)
    function, arguments = step_of(w)
    run = cr.compile(function) if mode == "compile" else function
    if w.kind != "inference":
        return lambda: run(*arguments)

    def infer() -> None:
        with cr.no_grad():
            run(*arguments)

    return infer
