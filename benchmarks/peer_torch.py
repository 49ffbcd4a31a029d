"""The workloads in PyTorch: eager with fused optimizers, or through torch.compile."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from models import model_of
from workloads import PARTS, Workload


def epochs(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that trains for an epoch of MNIST and returns the validation accuracy.

    All images are in memory as float32, without a loader. Each epoch draws an order. Mode "batches"
    gathers each batch; mode "whole" gathers all images at once, and batches are views of them. The
    accuracy is computed once at the end, which is faster than computing it for each batch.
    """
    x, y = mnist()
    count = PARTS[0]
    valid_x, valid_y = x[count : sum(PARTS)], y[count : sum(PARTS)]
    model = model_of(w, torch)
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
    model = model_of(w, torch)
    x, y = (torch.from_numpy(a) for a in w.data())
    if not w.optimizer:
        return inference(w, model.eval(), mode, x)
    optimizer = getattr(torch.optim, w.optimizer)(model.parameters(), **dict(w.options), fused=True)
    criterion = loss_of(w)
    target = y.flatten() if w.kind == "gpt" else y

    def loss() -> torch.Tensor:
        return criterion(model(x), target)

    compiled = torch.compile(loss) if mode == "compile" else loss

    def step() -> None:
        optimizer.zero_grad()
        compiled().backward()
        optimizer.step()

    return step


def inference(w: Workload, model: Any, mode: str, x: torch.Tensor) -> Callable[[], Any]:
    def next_token(tokens: torch.Tensor) -> torch.Tensor:
        likely = model(tokens)[-1:].argmax(1, keepdim=True)
        return torch.cat([tokens[:, 1:], likely], 1)

    function = next_token if w.kind == "tokens" else model
    run = torch.compile(function) if mode == "compile" else function
    held = [x]

    def infer() -> None:
        with torch.inference_mode():
            result = run(held[0])
        if w.kind == "tokens":
            held[0] = result

    return infer


def loss_of(w: Workload) -> Callable[..., torch.Tensor]:
    if w.kind == "binary":
        return F.binary_cross_entropy_with_logits
    return F.mse_loss if w.kind == "regression" else F.cross_entropy
