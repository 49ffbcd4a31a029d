"""Whole training runs: 100 steps from one seed give PyTorch's losses, within 1e-4 at each step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytestmark = pytest.mark.parity
STEPS = 100


def mlp(t, nn):
    model = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5)
    )
    return (
        model,
        t.randn(32, 20),
        t.randint(0, 5, (32,)),
        t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    )


def cnn(t, nn):
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    adam = t.optim.Adam(model.parameters(), lr=3e-3)
    return model, t.randn(16, 1, 10, 10), t.randint(0, 5, (16,)), adam


def lstm(t, nn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(12, 16)
            self.lstm = nn.LSTM(16, 24, num_layers=2, batch_first=True)
            self.head = nn.Linear(24, 12)

        def forward(self, x):
            return self.head(self.lstm(self.embed(x))[0]).transpose(1, 2)

    model, x = Net(), t.randint(0, 12, (8, 15))
    return model, x, x.roll(-1, 1), t.optim.RMSprop(model.parameters(), lr=3e-3)


def gpt(t, nn):
    width, heads, length, words = 32, 2, 16, 20

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attend = nn.functional.scaled_dot_product_attention
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x):
            parts = self.qkv(self.norm1(x)).split(width, dim=2)
            q, k, v = (p.unflatten(2, (heads, -1)).transpose(1, 2) for p in parts)
            y = self.attend(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(x.shape))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(2)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
            self.words.weight = self.head.weight
            self.register_buffer("order", t.arange(length))

        def forward(self, x):
            x = self.words(x) + self.places(self.order)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).transpose(1, 2)

    model, x = GPT(), t.randint(0, words, (8, length))
    return model, x, x.roll(-1, 1), t.optim.AdamW(model.parameters(), lr=3e-3)


def resnet20(t, nn):
    def twice(before, after, stride):
        return nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    class Block(nn.Module):
        def __init__(self, before, after):
            super().__init__()
            stride = 2 if after > before else 1
            self.main, self.relu = twice(before, after, stride), nn.ReLU(inplace=True)
            self.side = nn.Conv2d(before, after, 1, stride) if after > before else nn.Identity()

        def forward(self, x):
            y = self.main(x)
            y += self.side(x)
            return self.relu(y)

    widths = [16] * 4 + [32] * 3 + [64] * 3
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *[Block(a, b) for a, b in itertools.pairwise(widths)],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    sgd = t.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    return model, t.randn(4, 3, 8, 8), t.randint(0, 10, (4,)), sgd


def curve(t, make, compiled=False):
    """The loss of each step, its gradients clipped, with a learning rate that falls."""
    t.manual_seed(0)
    t.set_default_dtype(t.float64)
    try:
        model, x, y, optimizer = make(t, t.nn)
    finally:
        t.set_default_dtype(t.float32)
    schedule = t.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)

    def step(x, y):
        optimizer.zero_grad()
        loss = t.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        t.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    run, losses = t.compile(step) if compiled else step, []
    for _ in range(STEPS):
        losses.append(run(x, y).item())
        schedule.step()
    return np.array(losses)


@pytest.mark.parametrize("make", [mlp, cnn, lstm, gpt, resnet20], ids=lambda make: make.__name__)
def test_a_hundred_compiled_steps_lose_as_pytorchs(torch, pytorch, make):
    """In float64: two runs of 20 layers in float32 part by 1e-4, also two of PyTorch's with another
    number of threads, whose sums are in another order."""
    theirs, ours = curve(pytorch, make), curve(torch, make, compiled=True)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert theirs[-1] < 0.5 * theirs[0]


def test_a_hundred_eager_steps_lose_as_pytorchs(torch, pytorch):
    np.testing.assert_allclose(curve(torch, cnn), curve(pytorch, cnn), rtol=0, atol=1e-4)
