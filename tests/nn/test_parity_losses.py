"""Losses equal PyTorch's over their option grids: values and gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.parity

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(4,), (6, 4), (6, 4, 3), (2, 4, 3, 2), (1, 1)]
GRID = list(itertools.product(REDUCTIONS, SHAPES, [False, True], [None, 1]))


def labels_for(shape, rng, ignore):
    classes = shape[min(1, len(shape) - 1)]
    labels = np.asarray(rng.integers(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if labels.size > 3:  # one label counts as not given
        labels.flat[1] = -100 if ignore is None else ignore
    return labels, classes


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("reduction", "shape", "weighted", "ignore"), GRID)
def test_cross_entropy(reduction, shape, weighted, ignore, smoothing, dtype, rng, parity):
    labels, classes = labels_for(shape, rng, ignore)
    arrays = [rng.normal(size=shape, scale=3).astype(dtype), labels]
    weight = rng.uniform(0.5, 2, classes).astype(dtype)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    options |= {} if ignore is None else {"ignore_index": ignore}

    def run(function, tensor):
        return lambda x, t: function(x, t, weight=tensor(weight) if weighted else None, **options)

    parity(run(F.cross_entropy, cr.tensor), run(TF.cross_entropy, torch.tensor), *arrays)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(4,), (6, 4), (6, 4, 3), (2, 4, 3, 2)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_soft_targets(reduction, shape, weighted, smoothing, dtype, rng, parity):
    soft = rng.dirichlet(np.ones(4), shape[:1] + shape[2:] if len(shape) > 1 else ())
    soft = np.moveaxis(soft, -1, min(1, len(shape) - 1)).astype(dtype)
    arrays = [rng.normal(size=shape).astype(dtype), np.ascontiguousarray(soft)]
    weight = rng.uniform(0.5, 2, 4).astype(dtype)
    options = {"reduction": reduction, "label_smoothing": smoothing}

    def run(function, tensor):
        return lambda x, t: function(x, t, weight=tensor(weight) if weighted else None, **options)

    parity(run(F.cross_entropy, cr.tensor), run(TF.cross_entropy, torch.tensor), *arrays)


@pytest.mark.parametrize(("reduction", "shape", "weighted", "ignore"), GRID)
def test_nll_loss(reduction, shape, weighted, ignore, dtype, rng, parity):
    labels, classes = labels_for(shape, rng, ignore)
    arrays = [rng.normal(size=shape).astype(dtype), labels]
    weight = rng.uniform(0.5, 2, classes).astype(dtype)
    options = {"reduction": reduction} | ({} if ignore is None else {"ignore_index": ignore})

    def run(function, tensor):
        return lambda x, t: function(x, t, weight=tensor(weight) if weighted else None, **options)

    parity(run(F.nll_loss, cr.tensor), run(TF.nll_loss, torch.tensor), *arrays)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5,), (3, 4), ()])
def test_binary_cross_entropy(reduction, weighted, shape, dtype, rng, parity):
    arrays = [rng.uniform(0.01, 0.99, shape), rng.uniform(0, 1, shape)]
    arrays = [np.asarray(a, dtype) for a in arrays]
    weight = np.asarray(rng.uniform(0.5, 2, shape), dtype)

    def run(function, tensor):
        return lambda p, t: function(
            p, t, weight=tensor(weight) if weighted else None, reduction=reduction
        )

    ours, theirs = F.binary_cross_entropy, TF.binary_cross_entropy
    parity(run(ours, cr.tensor), run(theirs, torch.tensor), *arrays)


def test_binary_cross_entropy_at_the_ends(parity):
    dtype = np.float32  # PyTorch's smallest p·(1 − p) is a float32 constant in every dtype
    p = np.array([0.0, 0.0, 1.0, 1.0, 0.5], dtype)
    t = np.array([0.0, 1.0, 0.0, 1.0, 1.0], dtype)

    def by_p(function):
        return lambda p, t: function(p, t.detach(), reduction="none")

    parity(by_p(F.binary_cross_entropy), by_p(TF.binary_cross_entropy), p, t)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("positive", [None, (), (4,)])
def test_binary_cross_entropy_with_logits(reduction, weighted, positive, dtype, rng, parity):
    arrays = [rng.normal(size=(3, 4), scale=4).astype(dtype), rng.random((3, 4)).astype(dtype)]
    weight = rng.uniform(0.5, 2, (3, 4)).astype(dtype)
    scale = None if positive is None else np.asarray(rng.uniform(0.5, 3, positive), dtype)

    def run(function, tensor):
        return lambda x, t: function(
            x,
            t,
            weight=tensor(weight) if weighted else None,
            reduction=reduction,
            pos_weight=None if scale is None else tensor(scale),
        )

    ours, theirs = F.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits
    parity(run(ours, cr.tensor), run(theirs, torch.tensor), *arrays)


DISTANCES = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.3}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.4}),
    ("smooth_l1_loss", {"beta": 0.0}),
]


@pytest.mark.parametrize(("name", "options"), DISTANCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (), (2, 3, 4)])
def test_distances(name, options, reduction, shape, dtype, rng, parity):
    arrays = [np.asarray(rng.normal(size=shape, scale=2), dtype) for _ in range(2)]
    options = {**options, "reduction": reduction}
    parity(
        lambda x, t: getattr(F, name)(x, t, **options),
        lambda x, t: getattr(TF, name)(x, t, **options),
        *arrays,
    )


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weighted_distances(name, reduction, dtype, rng, parity):
    arrays = [rng.normal(size=(3, 4)).astype(dtype) for _ in range(2)]
    weight = rng.uniform(0.5, 2, (3, 4)).astype(dtype)
    options = {"reduction": reduction}
    parity(
        lambda x, t: getattr(F, name)(x, t, weight=cr.tensor(weight), **options),
        lambda x, t: getattr(TF, name)(x, t, weight=torch.tensor(weight), **options),
        *arrays,
    )
