"""Sums of gradients: parts are added in place, where nothing else knows the array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import same_bits

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import tape


def _parts(x: Any, rows: Any) -> Any:
    """A loss that reads parts of x, some of them twice, and all of x."""
    a, b = x.split([2, 3], 1)
    read = (a * a).sum() + b.exp().sum() + (x[1] * x[0, :]).sum() + x[rows].square().sum()
    return read + x.diagonal().sum() + F.embedding(rows, x).sum() + (x * x * x).sum()


def test_gradients_of_parts_are_added_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients have the bits of the Python code and of a compiled function. What hooks, other
    sums and the user hold is not written to; nor are gradients that have derivatives."""
    x = cr.tensor(np.random.default_rng(0).normal(size=(4, 5)).astype("f4"), requires_grad=True)
    rows, seen = cr.tensor([2, 0, 2]), list[Any]()

    def gradients() -> list[Any]:
        y, given = x * 2.0, cr.ones(4, 5)
        y.register_hook(lambda g: seen.append((g.detach(), g.detach().numpy().copy())))
        y.retain_grad()
        loss = _parts(y, rows)
        cr.grad((loss, y), (x, y), (cr.ones(()), given), retain_graph=True)
        cr.grad((y, loss), x, (given, cr.ones(())), retain_graph=True)
        (g,) = cr.grad(loss, x, create_graph=True)
        (second,) = cr.grad((g * g).sum(), x)
        assert given.numpy().tolist() == np.ones((4, 5)).tolist()
        return [g.detach().numpy(), second.numpy(), *[a.numpy() for a, _ in seen]]

    for _ in range(3):  # known calls, too
        seen.clear()
        found = gradients()
        for array, copied in seen:
            assert same_bits(array.numpy(), copied)
    seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr(tape, "walk", tape.walk.__wrapped__)
        for mine, truth in zip(found, gradients(), strict=True):
            assert same_bits(mine, truth)
    compiled = cr.compile(cr.grad(lambda x: _parts(x * 2.0, rows)))
    assert same_bits(found[0], compiled(x.detach()).numpy())
