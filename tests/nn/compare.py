"""Comparing functions of floating tensors with PyTorch's: values and derivatives of both orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr


def compare_orders(
    ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: np.ndarray, second: bool = True
) -> None:
    """Values, gradients, and gradients of a sum of squares of gradients, in float64 to 9 digits."""
    import torch

    xs = [cr.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.shape == tuple(t.shape)
    g = np.random.default_rng(1).normal(size=y.shape)
    wanted = torch.autograd.grad((t * t * torch.tensor(g)).sum(), ts, create_graph=True)
    found = cr.gradients((y * y * cr.tensor(g)).sum(), xs, create_graph=True)
    pairs = [(y, t), *zip(found, wanted, strict=True)]
    if second:
        again = torch.autograd.grad(sum((w * w).sum() for w in wanted), ts)
        total = sum(((f * f).sum() for f in found[1:]), (found[0] * found[0]).sum())
        pairs += zip(cr.gradients(total, xs), again, strict=True)
    for a, b in pairs:
        # Sums of some hundred products, squared twice: ten digits of the largest remain.
        scale = max(float(b.detach().abs().max()), 1) if b.numel() else 1
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11 * scale
        )
