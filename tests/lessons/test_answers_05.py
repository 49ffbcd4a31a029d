"""The answers of lesson 5 against counting, searching and the machine."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from lessons.answers import lesson_05
from lessons.cpp import bridge, measure


def test_step_flops_as_counted_in_the_loops() -> None:
    sizes, batch, counted = (5, 4, 3, 2), 6, 0

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        nonlocal counted
        c = np.zeros((a.shape[0], b.shape[1]))
        for i, j, k in itertools.product(range(len(c)), range(c.shape[1]), range(len(b))):
            c[i, j] += a[i, k] * b[k, j]
            counted += 2
        return c

    weights = [np.ones(pair) for pair in itertools.pairwise(sizes)]
    values = [np.ones((batch, sizes[0]))]
    for w in weights:
        values.append(product(values[-1], w))
    g = values[-1]
    for i in reversed(range(len(weights))):
        product(values[i].T, g)
        if i:
            g = product(g, weights[i].T)
    assert lesson_05.step_flops(sizes, batch) == counted


@pytest.mark.parametrize("batch", [1, 64])
def test_step_flops_as_in_the_table(batch: int) -> None:
    assert lesson_05.step_flops(measure.SIZES, batch) == measure.flops("train", batch)


@pytest.mark.parametrize(("registers", "lanes"), [(16, 4), (16, 8), (32, 4), (32, 16), (8, 2)])
def test_no_tile_that_fits_is_better(registers: int, lanes: int) -> None:
    rows, cols = lesson_05.best_tile(registers, lanes)
    v = cols // lanes
    assert cols % lanes == 0 and rows * v + v + 1 <= registers
    for r, w in itertools.product(range(1, 40), range(1, 40)):
        if r * w + w + 1 <= registers:
            assert r * w / (r + w) <= rows * v / (rows + v)


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 5, 8), (13, 9, 11), (3, 40, 2)])
def test_tiled_product(shape: tuple[int, int, int]) -> None:
    n, d, m = shape
    random = np.random.default_rng(0)
    a, b = random.normal(size=(n, d)), random.normal(size=(d, m))
    np.testing.assert_allclose(lesson_05.tiled_product(a, b, 4, 6), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["ijk", "ikj", "kij"])
def test_misses(order: str) -> None:
    n, line = 32, 16
    all_lines = 3 * n * n // line
    assert lesson_05.misses(order, n, all_lines) == all_lines
    assert lesson_05.misses(order, n, 1) == 3 * n**3  # A, B and C drive each other out
    counts = [lesson_05.misses(order, n, size) for size in (1, 4, 16, 64, 256)]
    assert counts == sorted(counts, reverse=True)


def test_misses_of_a_column_walk() -> None:
    """With 16 lines, a column of 32 numbers does not stay: each step of (i, j, k) misses in B."""
    n = 32
    b_misses, c_misses, a_misses = n**3, n * n, n * n * 2  # about: B always, C and A seldom
    assert b_misses <= lesson_05.misses("ijk", n, 16) <= b_misses + c_misses + a_misses


@pytest.mark.skipif(bridge.compiler() is None, reason="no C++ compiler with make here")
def test_threads_that_stay_leave_the_same_bits(tmp_path: Path) -> None:
    source = tmp_path / "team.cpp"
    source.write_text(lesson_05.with_a_team(bridge.SOURCE.read_text(encoding="utf-8")))
    flags = os.environ.get("CXXFLAGS", "-O1")
    programs = [
        bridge.build(tmp_path / "team", source, CXXFLAGS=flags),
        bridge.build(tmp_path / "plain", CXXFLAGS=flags),
    ]
    random = np.random.default_rng(0)
    images = bridge.write_idx(tmp_path / "images", random.integers(0, 256, (400, 28, 28)))
    labels = bridge.write_idx(tmp_path / "labels", random.integers(0, 10, 400))
    results = []
    for program in programs:
        bridge.run(program, "train", images, labels, out=tmp_path / "after", epochs=2)
        results.append((tmp_path / "after").read_bytes())
    assert results[0] == results[1]
