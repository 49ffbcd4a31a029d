"""What all tests share."""

from __future__ import annotations

import gc
import os
import signal

# Tests run in several processes: one BLAS thread each, or they fight for the cores. This must be
# said before NumPy is imported.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# An error of the compiler itself is an error, and no reason to run eagerly.
os.environ.setdefault("CHAINRULE_STRICT", "1")
# A shell that runs the tests in the background lets them ignore Ctrl-C, and so the commands that
# they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections.abc import Iterator

import pytest

import chainrule as cr
from chainrule import settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with JAX come last: it starts threads, after which a process must not fork."""
    items.sort(key=lambda item: "jax" in item.nodeid)


def pytest_collection_finish() -> None:
    """What was collected stays until the end. A capture, which asks the garbage collector what is
    alive, need not walk through thousands of tests each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def references() -> Iterator[None]:
    """Compiled programs run on the NumPy references, with the same bits as eager."""
    with settings.use(engine="numpy"):
        yield


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test starts from the same random state, whatever ran before it."""
    cr.manual_seed(0)
    yield
