"""The kernels of the engine against NumPy (with OpenBLAS) and PyTorch, by turns in one run.

    python benchmarks/kernels.py [--rounds 30] [--threads N]

The candidates take turns in every round, so that noise affects all alike. The figure is the fastest
round, since other processes can only make a round slower.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule.ops.update
from chainrule import engine
from chainrule.engine import Instruction, Program, external
from chainrule.primitive import Spec, lookup

try:
    import torch
except ImportError:
    torch = None

PRODUCTS = [
    ("64x784 . 784x128", 64, 128, 784, ""),
    ("64x784 . (128x784)T", 64, 128, 784, "b"),
    ("32x784 . 784x64", 32, 64, 784, ""),
    ("32x784 . (64x784)T", 32, 64, 784, "b"),
    ("64x128 . (64x128)T", 64, 64, 128, "b"),
    ("(64x128)T . 64x784", 128, 784, 64, "a"),
    ("64x64 . (10x64)T", 64, 10, 64, "b"),
    ("(64x10)T . 64x64", 10, 64, 64, "a"),
    ("64x10 . 10x64", 64, 64, 10, ""),
    ("1x784 . 784x128", 1, 128, 784, ""),
    ("1x784 . (128x784)T", 1, 128, 784, "b"),
    ("60000x784 . (128x784)T", 60_000, 128, 784, "b"),
    ("(60000x128)T . 60000x784", 128, 784, 60_000, "a"),
    ("1024^3", 1024, 1024, 1024, ""),
]
Candidates = dict[str, Callable[[], Any]]
assert chainrule.ops.update  # its import registers the update rules


def program(op: Any, inputs: list[Any], outputs: list[Any], **params: Any) -> Callable[[], Any]:
    """One instruction as a program on these arrays."""
    arrays = [*inputs, *outputs]
    views = []
    slots = []
    for i, a in enumerate(arrays):
        base = a if a.flags.c_contiguous else a.T
        slots.append(Spec(base.shape, base.dtype))
        views.append(external(i, a.shape, a.dtype, a.strides))
    n = len(inputs)
    step = Instruction(op, tuple(range(n)), tuple(range(n, len(arrays))), params)
    made = Program([step], views, slots)
    bases = [a if a.flags.c_contiguous else a.T for a in arrays]
    return lambda: made.run(bases)


def best_times(candidates: Candidates, rounds: int) -> dict[str, float]:
    """Seconds of the fastest call of each candidate; the candidates take turns."""
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for name, call in candidates.items():
            call()
            spent = 0.0
            while spent < 0.003:
                start = time.perf_counter()
                call()
                taken = time.perf_counter() - start
                best[name] = min(best[name], taken)
                spent += taken
    return best


def product_candidates(m: int, n: int, k: int, transposed: str) -> Candidates:
    rng = np.random.default_rng(0)
    a = rng.random((k, m) if transposed == "a" else (m, k), dtype=np.float32)
    b = rng.random((n, k) if transposed == "b" else (k, n), dtype=np.float32)
    a, b = a.T if transposed == "a" else a, b.T if transposed == "b" else b
    c = np.zeros((m, n), np.float32)
    candidates: Candidates = {
        "engine": program(lookup("matmul"), [a, b], [c]),
        "NumPy": lambda: np.matmul(a, b, out=c),
    }
    if torch is not None:
        x, y, z = (torch.from_numpy(v) for v in (a, b, c.copy()))
        candidates["PyTorch"] = lambda: torch.mm(x, y, out=z)
    return candidates


def elementwise_candidates() -> dict[str, Candidates]:
    rng = np.random.default_rng(0)
    shape = (64, 4096)
    x, b = rng.normal(size=shape).astype("f4"), rng.normal(size=shape[1]).astype("f4")
    y = np.zeros(shape, "f4")
    steps = (("add", 0, 1), ("tanh", 2), ("mul", 3, 0.5), ("add", 4, 1.0), ("mul", 5, 0))
    rows: dict[str, Candidates] = {}
    rows["(tanh(x+b)/2+1)*x, 64x4096"] = {
        "engine": program("fused", [x, b], [y], steps=steps, results=(6,)),
        "NumPy": lambda: np.multiply(np.tanh(x + b) * np.float32(0.5) + 1, x, out=y),
    }
    rows["exp, 64x4096"] = {
        "engine": program(lookup("exp"), [x], [y]),
        "NumPy": lambda: np.exp(x, out=y),
    }
    rows["gelu, 64x4096"] = {"engine": program(lookup("gelu"), [x], [y])}
    total = np.zeros(shape[1], "f4")
    columns = {"dims": (0,), "keepdim": False}
    rows["sum of columns, 64x4096"] = {
        "engine": program(lookup("sum"), [x], [total], **columns),
        "NumPy": lambda: np.add.reduce(x, 0, out=total),
    }
    if torch is not None:
        tx, tb, ty = torch.from_numpy(x), torch.from_numpy(b), torch.from_numpy(y.copy())
        half = list(rows)
        rows[half[0]]["PyTorch"] = lambda: (torch.tanh(tx + tb) * 0.5 + 1) * tx
        rows[half[1]]["PyTorch"] = lambda: torch.exp(tx, out=ty)
        rows[half[2]]["PyTorch"] = lambda: torch.nn.functional.gelu(tx)
        rows[half[3]]["PyTorch"] = lambda: tx.sum(0)
    return rows


def training_candidates() -> dict[str, Candidates]:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(64, 10)).astype("f4"), rng.integers(0, 10, 64)
    one, loss, dx = np.array(1, "f4"), np.zeros((), "f4"), np.zeros((64, 10), "f4")
    rows: dict[str, Candidates] = {}
    labels = {"reduction": "mean", "ignore_index": -100}
    forward = program(lookup("softmax_cross_entropy"), [x, t], [loss], **labels)
    backward = program(lookup("softmax_cross_entropy_gradient"), [one, x, t], [dx], **labels)
    rows["cross-entropy + gradient, 64x10"] = {"engine": lambda: (forward(), backward())}
    w, g, m, v = (rng.random(100_000, dtype=np.float32) for _ in range(4))
    numbers = [np.array(n) for n in (4, 1e-3, (0.9, 0.999), 1e-8, 0.0)]
    flags = {"decoupled": False, "maximize": False}
    update = lookup("adam_update")
    rows["Adam, 100,000 weights"] = {
        "engine": program(update, [w, g, m, v, *numbers], [w, m, v, np.array(4)], **flags),
        "NumPy": lambda: update.forward(w, g, m, v, *numbers, **flags),
    }
    if torch is not None:
        tx, tt = torch.from_numpy(x).requires_grad_(), torch.from_numpy(t)
        weights = torch.from_numpy(w.copy()).requires_grad_()
        weights.grad = torch.from_numpy(g)
        adam = torch.optim.Adam([weights], fused=True)
        first, second = rows
        rows[first]["PyTorch"] = lambda: torch.autograd.grad(
            torch.nn.functional.cross_entropy(tx, tt), tx
        )
        rows[second]["PyTorch"] = adam.step
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=engine.num_threads())
    arguments = parser.parse_args()
    engine.set_num_threads(arguments.threads)
    if torch is not None:
        torch.set_num_threads(arguments.threads)
    print(f"{engine.describe()['instruction_set']}, {engine.num_threads()} threads")
    print(f"{'product':26} {'us':>9}   GFLOP/s")
    for name, m, n, k, transposed in PRODUCTS:
        flops = 2.0 * m * n * k
        rounds = max(2, min(arguments.rounds, int(3e10 / flops)))
        times = best_times(product_candidates(m, n, k, transposed), rounds)
        rates = "  ".join(f"{who} {flops / s / 1e9:6.1f}" for who, s in times.items())
        print(f"{name:26} {times['engine'] * 1e6:9.2f}   {rates}")
    print(f"\n{'other':32} us")
    for name, candidates in {**elementwise_candidates(), **training_candidates()}.items():
        times = best_times(candidates, arguments.rounds)
        print(f"{name:32} " + "  ".join(f"{who} {s * 1e6:8.2f}" for who, s in times.items()))


if __name__ == "__main__":
    main()
