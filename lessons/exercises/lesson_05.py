"""Checks of the exercises of lesson 5, The same network in C++."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lessons.cpp import bridge
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=5)


@check.exercise(
    "Count",
    "A layer takes part in three products: forward, for its weights, and for the layer before.",
    "Each of them has batch·inputs·outputs terms of two FLOPs; the first layer has none before it.",
)
def step_flops(answer: Any) -> None:
    for sizes, batch in (((5, 4, 3, 2), 6), ((784, 10), 1), ((784, 128, 64, 10), 64)):
        counted = 0
        for layer, (a, b) in enumerate(itertools.pairwise(sizes)):
            shapes = [(batch, a, b), (a, batch, b), (batch, b, a)]
            counted += sum(2 * n * d * m for n, d, m in shapes[: 2 if layer == 0 else 3])
        equal(f"step_flops({list(sizes)}, {batch})", answer(sizes, batch), counted)


@check.exercise(
    "The best tile",
    "R·v + v + 1 registers must be there. For each v, which R is the largest that fits?",
    "Try all v, and take the tile with the largest R·v/(R + v). It has v·lanes columns.",
)
def best_tile(answer: Any) -> None:
    for registers, lanes in ((16, 8), (32, 16), (16, 4)):
        what = f"best_tile({registers}, {lanes})"
        rows, cols = given(what, answer(registers, lanes))
        v, rest = divmod(cols, lanes)
        require(rest == 0, f"{what}: {cols} columns are not whole vectors of {lanes}")
        taken = rows * v + v + 1
        require(taken <= registers, f"{what}: {rows} × {cols} takes {taken} registers")
        for r, w in itertools.product(range(1, 40), repeat=2):
            better = r * w / (r + w) > rows * v / (rows + v) and r * w + w + 1 <= registers
            require(not better, f"{what} gives {rows} × {cols}; {r} × {w * lanes} is better")


@check.exercise(
    "Tiles in Python",
    "Two loops go over the tiles, a third one over k. Slices may end beyond the array.",
    "For each k, a column of A times a row of B is added to the tile: "
    "`a[i : i + rows, k, None] * b[k, j : j + cols]`.",
)
def tiled_product(answer: Any) -> None:
    random = np.random.default_rng(0)
    for n, d, m in ((8, 5, 12), (13, 9, 11), (3, 40, 2)):
        a, b = random.normal(size=(n, d)), random.normal(size=(d, m))
        what = f"tiled_product of {n} × {d} and {d} × {m}"
        equal(what, answer(a, b, 4, 6), a @ b, 1e-12)


@check.exercise(
    "A cache on paper",
    "Number (i, j) of a matrix is at i·n + j, in line (i·n + j) // 16; B and C begin n·n and 2·n·n "
    "further on.",
    "An `OrderedDict` can hold the lines: `move_to_end` on a hit, `popitem(last=False)` when there "
    "are too many.",
    "Each step of the three loops touches A[i, k], then B[k, j], then C[i, j].",
)
def misses(answer: Any) -> None:
    n = 32
    everything, nothing = 3 * n * n // 16, 3 * n**3
    for order in ("ijk", "ikj"):
        equal(
            f"misses({order!r}, 32, lines={everything})", answer(order, n, everything), everything
        )
        equal(f"misses({order!r}, 32, lines=1)", answer(order, n, 1), nothing)
    slow, fast = answer("ijk", n, 16), answer("ikj", n, 16)
    require(slow > 5 * fast, f"16 lines: {slow} misses in the order ijk, {fast} in the order ikj")
    require(n**3 <= slow <= n**3 + 3 * n * n, f"16 lines: {slow} misses; B alone has {n**3}")


@check.exercise(
    "Threads that stay",
    "Make the threads once. Each waits until a counter has changed, does its rows, and counts "
    "itself as ready.",
    "The sums of a row must be added in the order of before, else the bits change.",
)
def with_a_team(answer: Any) -> None:
    source = bridge.SOURCE.read_text(encoding="utf-8")
    text = answer(source) if callable(answer) else Path(answer).read_text(encoding="utf-8")
    require(bridge.compiler() is not None, "a C++ compiler and make are needed, and not here")
    require(given("The program", text) != source, "this is network.cpp as it was")
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "own.cpp").write_text(text, encoding="utf-8")
        images = bridge.write_idx(folder / "images", random.integers(0, 256, (400, 28, 28)))
        labels = bridge.write_idx(folder / "labels", random.integers(0, 10, 400))
        results = []
        for place, code in (("own", folder / "own.cpp"), ("given", bridge.SOURCE)):
            program = bridge.build(folder / place, code)
            bridge.run(program, "train", images, labels, out=folder / "after", epochs=2)
            results.append((folder / "after").read_bytes())
    require(results[0] == results[1], "training leaves other weights than network.cpp")
