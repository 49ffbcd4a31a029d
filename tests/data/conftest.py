"""Fixtures of the data tests."""

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
