"""`einops`: the package's patterns give what the real one gives, and refuse what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.torch import einops
from chainrule.torch.einops.layers.torch import Rearrange, Reduce

CASES = [
    ("rearrange", "b c h w -> b (c h w)", {}),
    ("rearrange", "b c h w -> b h w c", {}),
    ("rearrange", "b c (h p) (w q) -> b (h w) (p q c)", {"p": 2, "q": 3}),
    ("rearrange", "... w -> w ...", {}),
    ("rearrange", "b ... -> (...) b", {}),
    ("rearrange", "b c h w -> b c h w 1", {}),
    ("rearrange", "b c h w -> (b c) 1 (h w) ()", {}),
    ("rearrange", "(b1 b2) c h w -> b1 b2 c h w", {"b1": 1}),
    ("reduce", "b c h w -> b c", {}),
    ("reduce", "b c (h 2) (w 3) -> b c h w", {}),
    ("reduce", "b c h w ->", {}),
    ("reduce", "b c h w -> b 1 h 1", {}),
    ("reduce", "... h w -> ...", {}),
    ("reduce", "b c (h p) w -> p b", {"p": 2}),
    ("repeat", "b c h w -> b c h w 3", {}),
    ("repeat", "b c h w -> b n c (h 2) w", {"n": 2}),
    ("repeat", "b c h w -> (r b) c h w", {"r": 3}),
    ("repeat", "... -> k ...", {"k": 2}),
]
WRONG = [
    ("rearrange", "b c (h 2) w -> (b 2) c h w", {}),
    ("rearrange", "b c h -> b c h", {}),
    ("rearrange", "b c h w -> b c h", {}),
    ("rearrange", "b c h w -> b c h w x", {}),
    ("rearrange", "b c (h p) w -> b c h p w", {}),
    ("rearrange", "b c (h p) w -> b c h w p", {"p": 5}),
    ("rearrange", "b b h w -> b h w", {}),
    ("rearrange", "b c (h w -> b c h w", {}),
    ("rearrange", "b c h w) -> b c h w", {}),
    ("rearrange", "b c h w -> b c h-w", {}),
    ("rearrange", "b c h w -> b c h w", {"q": 2}),
    ("rearrange", "b c h w -> b c h w ...", {}),
    ("repeat", "b c h w -> b c h w r", {}),
    ("reduce", "b c h w -> b c h w r", {}),
]
X = np.random.default_rng(0).normal(size=(2, 3, 4, 6))


def call(library, x, kind, pattern, lengths, reduction="sum"):
    more = [reduction] if kind == "reduce" else []
    return getattr(library, kind)(x, pattern, *more, **lengths)


@pytest.mark.parametrize(("kind", "pattern", "lengths"), CASES)
def test_patterns_give_what_einops_gives(kind, pattern, lengths):
    real = pytest.importorskip("einops")
    for reduction in ("sum", "mean", "max", "min", "prod") if kind == "reduce" else ("sum",):
        expected = call(real, X, kind, pattern, lengths, reduction)
        for x in (X, cr.tensor(X)):
            ours = np.asarray(call(einops, x, kind, pattern, lengths, reduction))
            assert ours.shape == expected.shape
            np.testing.assert_allclose(ours, expected, rtol=1e-13)  # sums in another order


@pytest.mark.parametrize(("kind", "pattern", "lengths"), WRONG)
def test_what_does_not_fit_is_refused(kind, pattern, lengths):
    real = pytest.importorskip("einops")
    with pytest.raises(real.EinopsError):
        call(real, X, kind, pattern, lengths)
    with pytest.raises(einops.EinopsError):
        call(einops, cr.tensor(X), kind, pattern, lengths)


def test_a_pattern_without_an_arrow_is_refused():
    with pytest.raises(einops.EinopsError, match="->"):
        einops.rearrange(cr.ones(2, 3), "a b")


def test_by_hand():
    x = cr.arange(24).reshape(2, 3, 4)
    assert einops.rearrange(x, "a b c -> c (b a)")[1].tolist() == [1, 13, 5, 17, 9, 21]
    assert einops.reduce(x, "a b c -> b", "max").tolist() == [15, 19, 23]
    assert einops.repeat(cr.arange(2), "a -> (a 2)").tolist() == [0, 0, 1, 1]
    assert einops.rearrange([x[0], x[1]], "a b c -> b a c").shape == (3, 2, 4)
    assert einops.reduce(x, "a b c -> a", lambda y, dims: y.sum(dims)).tolist() == [66, 210]


def test_gradients_pass():
    x = cr.ones(2, 4, requires_grad=True)
    einops.repeat(einops.reduce(x, "a (b 2) -> a b", "mean"), "a b -> a b 3").sum().backward()
    assert x.grad.tolist() == [[1.5] * 4] * 2


def test_layers():
    model = nn.Sequential(Rearrange("b c h w -> b (c h w)"), nn.Linear(72, 2))
    assert model(cr.ones(5, 3, 4, 6)).shape == (5, 2)
    assert repr(model[0]) == "Rearrange('b c h w -> b (c h w)')"
    assert Reduce("b c (h p) w -> b c h w", "mean", p=2)(cr.ones(5, 3, 4, 6)).shape == (5, 3, 2, 6)


def test_what_is_not_here_says_so():
    with pytest.raises(AttributeError, match=r"Chainrule has no einops\.pack"):
        einops.pack  # noqa: B018
