"""Compiled training against eager training: the same bits after many steps, on the engine.

Passes join ops, but every number is still computed by the same kernel, or rounded where the ops
alone would round it. (On NumPy references a captured graph has eager's bits by construction.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.nn import functional as F

pytestmark = pytest.mark.skipif(not engine.available(), reason="needs the native engine")
STEPS = 25


class Block(nn.Module):
    """A transformer block."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(11, 16)
        self.norm, self.qkv = nn.LayerNorm(16), nn.Linear(16, 48)
        self.up, self.down, self.head = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, tokens: cr.Tensor) -> cr.Tensor:
        x = self.embedding(tokens)
        q, k, v = (part.unsqueeze(1) for part in self.qkv(self.norm(x)).split(16, 2))
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1)
        x = x + self.down(F.gelu(self.up(x)))
        return self.head(x.mean(1))


class Last(nn.Module):
    """The last output of a recurrence, classified."""

    def __init__(self, recurrence: nn.Module) -> None:
        self.recurrence, self.head = recurrence, nn.Linear(12, 5)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.head(self.recurrence(x)[0][:, -1])


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(30, 24), nn.ReLU(), nn.Linear(24, 5)), (17, 30)),
    "smooth": (
        lambda: nn.Sequential(
            nn.Linear(30, 24),
            nn.Tanh(),
            nn.Dropout(0.2),
            nn.Linear(24, 20),
            nn.SiLU(),
            nn.Linear(20, 5),
            nn.ELU(),
        ),
        (17, 30),
    ),
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 3),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 5),
        ),
        (9, 1, 12, 12),
    ),
    "lstm": (lambda: Last(nn.LSTM(6, 12, batch_first=True)), (9, 7, 6)),
    "gru": (lambda: Last(nn.GRU(6, 12, batch_first=True)), (9, 7, 6)),
    "block": (Block, (6, 8)),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


def trained(name: str, optimizer_name: str, loss: Any, wrap: Any) -> list[np.ndarray[Any, Any]]:
    cr.manual_seed(0)
    make, shape = MODELS[name]
    model = make()
    optimizer = OPTIMIZERS[optimizer_name](list(model.parameters()))
    rng = np.random.default_rng(1)
    x = rng.integers(0, 11, shape) if name == "block" else rng.normal(size=shape).astype(np.float32)
    y = rng.integers(0, 5, shape[0])
    target = y if loss is F.cross_entropy else np.eye(5, dtype=np.float32)[y]

    @wrap
    def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        value: cr.Tensor = loss(model(x), y)
        value.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    losses = [step(cr.from_numpy(x), cr.from_numpy(target)).item() for _ in range(STEPS)]
    return [np.array(losses), *[v.numpy() for v in model.state_dict().values()]]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", [F.cross_entropy, F.binary_cross_entropy_with_logits, F.mse_loss])
@pytest.mark.parametrize("name", MODELS)
def test_compiled_training_has_the_bits_of_eager_training(
    name: str, loss: Any, optimizer: str
) -> None:
    eager = trained(name, optimizer, loss, lambda step: step)
    compiled = trained(name, optimizer, loss, cr.compile)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_array_equal(a, b)
