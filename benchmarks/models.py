"""The models of the workloads, written once for PyTorch and Chainrule, whose names are the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from workloads import Workload


def model_of(w: Workload, framework: Any) -> Any:
    """The model of a workload; `framework` is `torch` or `chainrule`."""
    nn = framework.nn
    if w.sizes and w.kind not in ("gpt", "tokens", "lstm"):
        layers = [part for a, b in pairwise(w.sizes) for part in (nn.Linear(a, b), nn.ReLU())]
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
    if w.kind == "conv-wide":
        return nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )
    if w.kind == "resnet":
        return resnet(framework)
    return last_lstm(w, framework) if w.kind == "lstm" else gpt(w, framework)


def gpt(w: Workload, framework: Any) -> Any:
    """A GPT of pre-norm blocks with causal attention; sizes are (width, blocks, heads)."""
    nn, F = framework.nn, framework.nn.functional
    (width, blocks, heads), length = w.sizes, w.inputs[0]

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            q, k, v = (
                part.view(batch, length, heads, -1).transpose(1, 2)
                for part in self.qkv(self.norm1(x)).split(width, 2)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(w.classes, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(blocks)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, w.classes)
            self.register_buffer("positions", framework.arange(length))

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.places(self.positions)
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return GPT()


def last_lstm(w: Workload, framework: Any) -> Any:
    """An LSTM whose last output is classified; sizes are (features, hidden, layers)."""
    nn = framework.nn
    features, hidden, layers = w.sizes

    class LastLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
            self.head = nn.Linear(hidden, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return LastLSTM()


def resnet(framework: Any) -> Any:
    """ResNet-20 (He et al., 2016): three stages of three blocks, 16, 32 and 64 channels."""
    nn, F = framework.nn, framework.nn.functional

    def convolution(a: int, b: int, size: int, stride: int = 1) -> list[Any]:
        conv = nn.Conv2d(a, b, size, stride=stride, padding=size // 2, bias=False)
        return [conv, nn.BatchNorm2d(b)]

    class Block(nn.Module):
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            first, second = convolution(a, b, 3, stride), convolution(b, b, 3)
            self.main = nn.Sequential(*first, nn.ReLU(), *second)
            self.skip = nn.Sequential(*convolution(a, b, 1, stride)) if a != b else nn.Identity()

        def forward(self, x: Any) -> Any:
            return F.relu(self.main(x) + self.skip(x))

    blocks = [
        Block(b if i else a, b, 1 if i else stride)
        for a, b, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        for i in range(3)
    ]
    first = [*convolution(3, 16, 3), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*first, *blocks, *last)
