"""Tests of the wing `chainrule.torch` see its face on tensors and layers; other tests do not."""

from __future__ import annotations

import sys

import pytest


def _show_face(node: pytest.Item | pytest.Collector) -> None:
    face = sys.modules.get("chainrule.torch.adapter.face")
    if face is not None:
        face.shown("torch" in node.path.relative_to(node.config.rootpath).parts)


def pytest_collectstart(collector: pytest.Collector) -> None:
    _show_face(collector)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _show_face(item)
