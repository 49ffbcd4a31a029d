"""What the tests of training share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Subprocesses that train, and the tests that compare with them, build the same small training.
sys.path.insert(0, str(Path(__file__).parent))

from small_training import small_data, small_trainer

from chainrule.data import ArrayDataset
from chainrule.train import Trainer


@pytest.fixture
def data() -> ArrayDataset:
    return small_data()


@pytest.fixture
def trainer() -> Trainer:
    return small_trainer()
