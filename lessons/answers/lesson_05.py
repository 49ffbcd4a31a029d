"""Answers to the exercises of lesson 5."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def step_flops(sizes: Sequence[int], batch: int) -> int:
    """Exercise 1: FLOPs in the products of one training step of a dense network.

    Each layer of a × b weights takes part in three products with batch · a · b terms: x·W forward,
    xᵀ·dz for its gradient, dz·Wᵀ for the layer before. The first layer has none before it.

    >>> step_flops([784, 10], 1)
    31360
    """
    terms = [batch * a * b for a, b in pairwise(sizes)]
    return 2 * (3 * sum(terms) - terms[0])


def best_tile(registers: int, lanes: int) -> tuple[int, int]:
    """Exercise 2: the tile (R, T) with the most multiply-adds for a load that fits the registers.

    With v = T / lanes vectors in a row, R·v + v + 1 registers are taken, so R is at most
    (registers − 1) / v − 1; more rows are always better. For each k, there are R·v multiply-adds
    of vectors and R + v loads.

    >>> best_tile(16, 8)
    (4, 24)
    """
    tiles = []
    for vectors in range(1, registers):
        rows = (registers - 1) // vectors - 1
        if rows > 0:
            tiles.append((rows * vectors / (rows + vectors), (rows, vectors * lanes)))
    return max(tiles)[1]


def tiled_product(a: Array, b: Array, rows: int, cols: int) -> Array:
    """Exercise 3: a·b tile by tile; at the edges the tiles are smaller."""
    c = np.zeros((len(a), b.shape[1]), a.dtype)
    for i in range(0, len(a), rows):
        for j in range(0, b.shape[1], cols):
            sums = c[i : i + rows, j : j + cols]
            for k in range(len(b)):
                sums += a[i : i + rows, k, None] * b[k, j : j + cols]
    return c


def misses(order: str, n: int, lines: int, line: int = 16) -> int:
    """Exercise 4: cache misses of a product of n × n matrices with the loops in this order.

    The cache holds `lines` lines of `line` numbers and drops the one that was used longest ago.
    """
    cache: OrderedDict[int, None] = OrderedDict()
    count = 0
    for address in _addresses(order, n):
        place = address // line
        if place in cache:
            cache.move_to_end(place)
            continue
        count += 1
        cache[place] = None
        if len(cache) > lines:
            cache.popitem(last=False)
    return count


def _addresses(order: str, n: int) -> Iterator[int]:
    """Where the numbers lie that the loops touch; A, B and C stand one after the other."""
    for first in range(n):
        for second in range(n):
            for third in range(n):
                at = dict(zip(order, (first, second, third), strict=True))
                i, j, k = at["i"], at["j"], at["k"]
                yield i * n + k
                yield n * n + k * n + j
                yield 2 * n * n + i * n + j


def with_a_team(source: str) -> str:
    """Exercise 5: the text of `network.cpp`, with threads that stay instead of new ones.

    The threads are made once, with the product. Each watches a counter; when it goes up, there is
    work, and when all have counted themselves as ready, the product is done. They watch without
    sleeping (`yield` lets others go first), since to wake a sleeper takes as long as to start a
    thread.
    """
    start = source.index("struct Product {")
    end = source.index("// ---- 6.")
    team = (Path(__file__).parent / "lesson_05_team.inc").read_text(encoding="utf-8")
    new = source[:start] + team + "\n" + source[end:]
    return new.replace("#include <algorithm>", "#include <algorithm>\n#include <atomic>").replace(
        "#include <fstream>", "#include <fstream>\n#include <functional>"
    )
