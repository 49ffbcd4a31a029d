"""The cost of the gateway: microseconds per small op in addition to its NumPy call.

Run it with `python benchmarks/gateway.py`. Each figure is the best of several rounds, with and
without recording of gradients, on 4×4 float32 arrays, where the time for arithmetic is negligible.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import numpy as np

import chainrule as cr

ROUNDS, CALLS = 15, 2000
OPS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "x + y": (lambda x, y: x + y, lambda x, y: x + y),
    "x * y": (lambda x, y: x * y, lambda x, y: x * y),
    "x / y": (lambda x, y: x / y, lambda x, y: x / y),
    "x * 2.0": (lambda x, y: x * 2.0, lambda x, y: x * 2.0),
    "x - 1": (lambda x, y: x - 1, lambda x, y: x - 1),
    "exp": (lambda x, y: x.exp(), lambda x, y: np.exp(x)),
    "relu": (lambda x, y: x.relu(), lambda x, y: np.maximum(x, 0)),
    "x > y": (lambda x, y: x > y, lambda x, y: x > y),
    "sum": (lambda x, y: x.sum(), lambda x, y: x.sum()),
    "mean(0)": (lambda x, y: x.mean(0), lambda x, y: x.mean(0)),
    "reshape": (lambda x, y: x.reshape(2, 8), lambda x, y: x.reshape(2, 8)),
    "x.T": (lambda x, y: x.T, lambda x, y: x.T),
    "x[1:3]": (lambda x, y: x[1:3], lambda x, y: x[1:3]),
    "x @ y": (lambda x, y: x @ y, lambda x, y: x @ y),
}


def microseconds(function: Callable[..., object], x: object, y: object) -> float:
    """The best time of one call."""
    times = timeit.repeat(lambda: function(x, y), number=CALLS, repeat=ROUNDS)
    return min(times) / CALLS * 1e6


def main() -> dict[str, dict[str, float]]:
    """Print the table, and return it."""
    rows = {}
    a, b = np.ones((4, 4), np.float32), np.full((4, 4), 2, np.float32)
    plain = cr.from_numpy(a), cr.from_numpy(b)
    active = cr.tensor(a, requires_grad=True), cr.tensor(b, requires_grad=True)
    print(f"{'op':<10}{'NumPy':>8}{'above it':>10}{'with grad':>11}   µs per call")
    for name, (function, reference) in OPS.items():
        base = microseconds(reference, a, b)
        above = microseconds(function, *plain) - base
        recorded = microseconds(function, *active) - base
        print(f"{name:<10}{base:>8.2f}{above:>10.2f}{recorded:>11.2f}")
        rows[name] = {"numpy_us": base, "above_us": above, "with_grad_us": recorded}
    return rows


if __name__ == "__main__":
    main()
