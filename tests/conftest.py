"""What all tests share."""

from __future__ import annotations

import os

# Tests run in several processes: one BLAS thread each, or they fight for the cores. This must be
# said before NumPy is imported.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# An error of the compiler itself is an error, and no reason to run eagerly.
os.environ.setdefault("CHAINRULE_STRICT", "1")

from collections.abc import Iterator

import pytest

import chainrule as cr
from chainrule import settings


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
