"""Fixtures of the data tests."""

import time
import tracemalloc
from contextlib import contextmanager

import pytest


@pytest.fixture
def small_memory():
    """A context that fails if more than `limit` bytes are taken at once inside it."""

    @contextmanager
    def check(limit=2**20):
        tracemalloc.start()
        try:
            yield
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < limit

    return check


@pytest.fixture
def growth():
    """How many times as long a call takes for four times the size.

    About 4 where time grows with the size, 16 where it grows with the square. CPU time, the best
    of three: other processes do not count.
    """

    def measure(call, n):
        return max(_cpu_time(call, 4 * n), 1e-3) / max(_cpu_time(call, n), 1e-3)

    return measure


def _cpu_time(call, n):
    times = []
    for _ in range(3):
        start = time.process_time()
        call(n)
        times.append(time.process_time() - start)
    return min(times)
