"""Values are computed where their reader wants them: in its order, or in a part of its array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import engine
from chainrule.compiler.places import moved, strides_for
from chainrule.engine import Layout
from chainrule.primitive import Spec

on_the_engine = pytest.mark.skipif(not engine.available(), reason="the native engine is not built")
HEADS, WIDTH = 2, 6


def attend(x: Any, causal: bool = True) -> Any:
    """Attention of several heads, as models write it."""
    n, length, _ = x.shape
    q, k, v = (part.view(n, length, HEADS, -1).transpose(1, 2) for part in x.split(WIDTH, 2))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return y.transpose(1, 2).reshape(n, length, WIDTH)


def steps(function: Any, x: Any) -> tuple[Any, list[str]]:
    """What a compiled function gives, and its kernels."""
    compiled = cr.compile(function)
    result = compiled(x)
    calls = compiled.executables[0].plan.program.calls
    return result, [call.kernel if call else "" for call in calls]


@on_the_engine
def test_no_copies_around_attention() -> None:
    """The result is computed in the order that the next layer reads, and the gradients of queries,
    keys and values side by side."""
    x = cr.tensor(np.random.default_rng(0).normal(size=(3, 5, 3 * WIDTH)).astype("f4"))

    def loss(x: Any) -> Any:
        return attend(x).square().sum()

    g, kernels = steps(cr.grad(loss), x)
    assert "attention_gradient" in kernels
    assert not {"copy", "join_slices"} & {*kernels}
    assert g.numpy().tobytes() == cr.grad(loss)(x).numpy().tobytes()


@on_the_engine
@pytest.mark.parametrize("part", ["result", "root", "read before", "reversed"])
def test_what_others_read_stays_where_it_is(part: str) -> None:
    x = cr.tensor(np.random.default_rng(0).normal(size=(3, 5, 3 * WIDTH)).astype("f4"))

    def function(x: Any) -> Any:
        q, k, v = (p.view(3, 5, HEADS, -1).transpose(1, 2) for p in x.split(WIDTH, 2))
        y = F.scaled_dot_product_attention(q, k, v)
        early = y.exp() if part == "read before" else y
        row = y.flip(1) if part == "reversed" else y
        z = row.transpose(1, 2).reshape(3, 5, WIDTH)
        return (z, y) if part == "root" else (z, early.sum())

    found, _ = steps(function, x)
    for mine, eager in zip(found, function(x), strict=True):
        assert mine.numpy().tobytes() == eager.numpy().tobytes()


@on_the_engine
def test_slices_that_leave_a_gap_or_may_be_minus_zero_are_joined() -> None:
    x = cr.tensor(np.random.default_rng(0).normal(size=(3, 5, 4 * WIDTH)).astype("f4"))

    def gap(x: Any) -> Any:
        return attend(x[:, :, : 3 * WIDTH]).square().sum() + x[:, :, 3 * WIDTH + 1 :].relu().sum()

    def signs(x: Any) -> Any:
        a, b = x.split(2 * WIDTH, 2)
        return (a.relu() * -1.0).sum() - b.relu().sum()

    for loss in (gap, signs):
        g, kernels = steps(cr.grad(loss), x)
        assert "join_slices" in kernels
        assert g.numpy().tobytes() == cr.grad(loss)(x).numpy().tobytes()
        assert not np.signbit(g.numpy()[g.numpy() == 0]).any()


def test_views_follow_their_memory() -> None:
    """Each view of an array in C order is found again in the same array with other strides."""
    a = np.arange(2 * 3 * 4, dtype="f4").reshape(2, 3, 4)
    wide = np.zeros((3, 2, 5), "f4")
    wide[:, :, :4] = a.transpose(1, 0, 2)
    place = wide[:, :, :4]

    def layout(x: Any) -> Layout:
        return Layout(x.shape, x.dtype, x.strides)

    def offset(x: Any, base: Any) -> int:
        return int(x.ctypes.data - base.ctypes.data)

    root = Spec(a.shape, a.dtype)
    strides = strides_for(root, layout(a.transpose(1, 0, 2)), layout(place))
    assert strides == (20, 40, 4)
    for view in (a, a[1], a[:, 1:, ::2], a[..., None], a.transpose(2, 0, 1)[3]):
        found = moved(root, strides, offset(view, a), layout(view))
        assert found is not None
        seen = np.ndarray(found[1].shape, "f4", wide.data, found[0], found[1].strides)
        assert (seen == view).all()
    for view in (a.reshape(6, 4), a.reshape(24), a.reshape(2, 12)[:, 3:9]):
        assert moved(root, strides, offset(view, a), layout(view)) is None
    assert strides_for(root, layout(a[:, :2]), layout(place[:, :2])) is None
    assert strides_for(root, layout(a.reshape(6, 4)), layout(wide.reshape(6, 5)[:, :4])) is None
