"""Pruned parameters equal PyTorch's: masks, values, gradients, and state."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    OutOfRangeError,
    ShapeError,
    UnknownNameError,
)
from chainrule.nn.utils import prune

torch = pytest.importorskip("torch")
theirs_prune = pytest.importorskip("torch.nn.utils.prune")
pytestmark = pytest.mark.parity
LIBRARIES = ((cr, nn), (torch, torch.nn))
SCORES = np.random.default_rng(5).random((3, 4))


def layer_of(library, n, kind="Linear", args=(4, 3)):
    layer = getattr(n, kind)(*args).double()
    rng = np.random.default_rng(0)
    layer.load_state_dict(
        {k: library.tensor(rng.normal(size=tuple(v.shape))) for k, v in layer.state_dict().items()}
    )
    return layer


def outcome(layer, library):
    """The value, the gradients and the state of a layer whose weight is pruned."""
    x = library.tensor(np.random.default_rng(1).normal(size=(2, 4)))
    layer(x).square().sum().backward()
    found = {"weight": layer.weight.detach(), "by": layer.weight_orig.grad}
    return found | {name: x.clone() for name, x in layer.state_dict().items()}


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, err_msg=name)


WAYS = {
    "share": lambda p, t, m: p.l1_unstructured(m, "weight", 0.3),
    "number": lambda p, t, m: p.l1_unstructured(m, "weight", 5),
    "nothing": lambda p, t, m: p.l1_unstructured(m, "weight", 0),
    "scores": lambda p, t, m: p.l1_unstructured(m, "weight", 5, t(SCORES)),
    "rows": lambda p, t, m: p.ln_structured(m, "weight", 1, 2, dim=0),
    "columns": lambda p, t, m: p.ln_structured(m, "weight", 0.5, 1, dim=-1),
    "columns by scores": lambda p, t, m: p.ln_structured(m, "weight", 0.5, 2, 1, t(SCORES)),
    "mask": lambda p, t, m: p.custom_from_mask(m, "weight", t((SCORES > 0.5) * 1.0)),
    "identity": lambda p, t, m: p.identity(m, "weight"),
    "global": lambda p, t, m: p.global_unstructured(
        [(m, "weight"), (m, "bias")], p.L1Unstructured, amount=6
    ),
}


@pytest.mark.parametrize("second", [None, "share", "columns", "mask", "global"])
@pytest.mark.parametrize("first", WAYS)
def test_ways_of_pruning(first, second):
    found = []
    for library, n in LIBRARIES:
        p, layer = theirs_prune if n is torch.nn else prune, layer_of(library, n)
        weight = layer.weight
        WAYS[first](p, library.tensor, layer)
        assert layer.weight_orig is weight and p.is_pruned(n.Sequential(layer))
        if second:
            WAYS[second](p, library.tensor, layer)
        results = [outcome(layer, library)]
        p.remove(layer, "weight")
        assert layer.weight is weight
        results.append(dict(layer.state_dict()))
        found.append(results)
    for ours, theirs in zip(*found, strict=True):
        same(ours, theirs)


def test_a_method_of_ones_own():
    found = []
    for library, n in LIBRARIES:
        p = theirs_prune if n is torch.nn else prune

        class EverySecond(p.BasePruningMethod):
            PRUNING_TYPE = "unstructured"

            def compute_mask(self, t, default_mask):
                mask = default_mask.clone()
                mask.view(-1)[::2] = 0
                return mask

        layer = layer_of(library, n)
        EverySecond.apply(layer, "weight")
        results = [outcome(layer, library)]
        container = EverySecond.apply(layer, "weight")
        assert isinstance(container, p.PruningContainer) and len(container) == 2
        assert isinstance(container[0], EverySecond)
        results.append(dict(layer.state_dict()))
        results.append({"pruned": EverySecond().prune(library.ones(3, 4))})
        found.append(results)
    for ours, theirs in zip(*found, strict=True):
        same(ours, theirs)


def test_random_pruning_prunes_as_much_as_it_says():
    layer = nn.Linear(10, 8)
    prune.random_unstructured(layer, "weight", 0.25)
    assert (layer.weight == 0).sum().item() == 20
    prune.random_structured(layer, "weight", 2, dim=0)
    assert (layer.weight == 0).all(1).sum().item() == 2
    twin = copy.deepcopy(layer)
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer) and prune.is_pruned(twin)
    assert (twin.weight == layer.weight).all()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: prune.l1_unstructured(m, "weight", 13), ArgumentError, "more would be pruned"),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), ArgumentError, "1.5"),
        (lambda m: prune.l1_unstructured(m, "weight", -1), ArgumentError, "-1"),
        (lambda m: prune.l1_unstructured(m, "weight", "1"), DTypeError, "a number"),
        (lambda m: prune.l1_unstructured(m, "w", 1), UnknownNameError, "'w'"),
        (lambda m: prune.l1_unstructured(m, "weight", 1, cr.ones(2)), ShapeError, "score"),
        (lambda m: prune.ln_structured(m, "bias", 1, 2, 0), ShapeError, "two dimensions"),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, 2), OutOfRangeError, "no dimension"),
        (lambda m: prune.custom_from_mask(m, "weight", cr.ones(2)), ShapeError, r"\(3, 4\)"),
        (lambda m: prune.remove(m, "weight"), UnknownNameError, "no pruned"),
        (
            lambda m: prune.global_unstructured([(m, "weight")], prune.LnStructured, amount=1, n=2),
            ArgumentError,
            "unstructured",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(call, kind, words):
    layer = nn.Linear(4, 3)
    with pytest.raises(kind, match=words):
        call(layer)
    assert [*layer.state_dict()] == ["weight", "bias"] and not prune.is_pruned(layer)
