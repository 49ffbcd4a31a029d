"""Fixtures: `torch` is `chainrule.torch`, and `pytorch` is PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chainrule.torch

ROOT = Path(__file__).parents[2]
collect_ignore_glob = ["scripts/*"]


@pytest.fixture
def torch() -> ModuleType:
    """`chainrule.torch`."""
    return chainrule.torch


@pytest.fixture
def pytorch() -> ModuleType:
    """PyTorch, or the test is skipped."""
    module: ModuleType = pytest.importorskip("torch")
    return module


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python in a process of its own: `python("-m", "chainrule.torch", ...)`."""

    def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, **options.pop("env", {})}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, **options
        )

    return run
