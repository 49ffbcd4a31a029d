"""A whole eager training step against PyTorch eager with its fused optimizers; and the loader."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch

import chainrule as cr
from chainrule import optim
from timing import interleaved

CASES = {
    "784-128-64-10, batch 64, SGD": ((784, 128, 64, 10), 64, "SGD", {"lr": 0.1}),
    "784-64-10, batch 32, Adam": ((784, 64, 10), 32, "Adam", {"lr": 1e-3}),
}


def layers(framework: object, sizes: tuple[int, ...]) -> list[object]:
    parts: list[object] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        parts += [framework.nn.Linear(fan_in, fan_out), framework.nn.ReLU()]
    return parts[:-1]


def step(
    framework: object,
    sizes: tuple[int, ...],
    optimizer: object,
    x: object,
    y: object,
    options: dict[str, object],
) -> Callable[[], object]:
    model = framework.nn.Sequential(*layers(framework, sizes))
    update = optimizer(model.parameters(), **options)
    loss_of = framework.nn.CrossEntropyLoss()

    def run() -> None:
        update.zero_grad()
        loss_of(model(x), y).backward()
        update.step()

    return run


def main() -> dict[str, dict[str, float]]:
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    results = {}
    for name, (sizes, batch, kind, options) in CASES.items():
        x = rng.random((batch, sizes[0]), dtype=np.float32)
        y = rng.integers(0, sizes[-1], batch)
        images = rng.random((20_000, sizes[0]), dtype=np.float32)
        dataset = cr.data.ArrayDataset(images, rng.integers(0, 10, len(images)))
        loader = cr.data.DataLoader(dataset, batch_size=batch, shuffle=True)

        def read(loader: object = loader) -> None:
            for _ in loader:
                pass

        torch_options = {**options, "fused": True}
        times = interleaved(
            {
                "chainrule": step(
                    cr, sizes, getattr(optim, kind), cr.tensor(x), cr.tensor(y), options
                ),
                "torch": step(
                    torch,
                    sizes,
                    getattr(torch.optim, kind),
                    torch.tensor(x),
                    torch.tensor(y),
                    torch_options,
                ),
            }
        )
        read_time = interleaved({"loader": read}, rounds=5, calls=1, warmup=1)["loader"]
        times["loader"] = read_time / len(loader)
        times["ratio"] = times["chainrule"] / times["torch"]
        times["loader_share"] = times["loader"] / times["chainrule"]
        print(
            f"{name:30s} chainrule {times['chainrule']:6.0f} us, torch {times['torch']:6.0f} us: "
            f"{times['ratio']:.2f} x; loader {times['loader']:.1f} us a batch, "
            f"{times['loader_share']:.1%} of the step"
        )
        results[name] = times
    return results


if __name__ == "__main__":
    main()
