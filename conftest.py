"""Activates PyTorch's attributes of tensors and layers in the tests of `chainrule.torch` only, and
leaves out modules that cannot be imported."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("jax") else ["src/chainrule/formats/jax"]
"""Modules whose library is not installed, which can be imported only with it."""


def _activate(node: pytest.Item | pytest.Collector) -> None:
    attributes = sys.modules.get("chainrule.torch.adapter.attributes")
    if attributes is not None:
        attributes.active("torch" in node.path.relative_to(node.config.rootpath).parts)


def pytest_collectstart(collector: pytest.Collector) -> None:
    _activate(collector)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _activate(item)
