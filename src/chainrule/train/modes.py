"""Evaluation mode for a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.grad_mode import no_grad
from chainrule.nn.module import Module


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Use evaluation mode without gradients in a block, and restore the modes afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
