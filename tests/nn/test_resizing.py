"""Resizing and sampling equal PyTorch's, for drawn sizes, factors and coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from tests.nn.compare import compare_orders

import chainrule as cr
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.parity

MODES = ["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"]
ONLY = {"linear": [1], "bilinear": [2], "bicubic": [2], "trilinear": [3]}


def drawn(rng, n):
    """A size, or a factor, for each dimension or for all."""
    each = n if rng.random() < 0.6 else 1
    if rng.random() < 0.5:
        size = tuple(int(i) for i in rng.integers(1, 9, each))
        return {"size": size if each > 1 else size[0]}
    factor = tuple(rng.choice([0.5, 0.7, 1.0, 1.3, 2.0, 3.0], each).tolist())
    options = {"scale_factor": factor if each > 1 else factor[0]}
    return {**options, "recompute_scale_factor": True} if rng.random() < 0.3 else options


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(6))
def test_interpolate(mode, seed):
    for n in ONLY.get(mode, [1, 2, 3]):
        rng = np.random.default_rng([seed, n])
        options = {"mode": mode, **drawn(rng, n)}
        if mode in ONLY and rng.random() < 0.5:
            options["align_corners"] = True
        if mode in ("bilinear", "bicubic") and rng.random() < 0.4:
            options["antialias"] = True
        x = rng.normal(size=(2, 2, *rng.integers(2, 6, n)))
        compare_orders(
            lambda x, o=options: F.interpolate(x, **o),
            lambda x, o=options: TF.interpolate(x, **o),
            x,
        )


def test_the_nearest_elements_of_many_sizes():
    x = np.arange(100, dtype=np.float32).reshape(1, 1, 100)
    for mode in ("nearest", "nearest-exact"):
        for k in range(1, 150):
            for options in ({"size": k}, {"scale_factor": k / 37}):
                y = F.interpolate(cr.tensor(x), mode=mode, **options)
                t = TF.interpolate(torch.tensor(x), mode=mode, **options)
                np.testing.assert_array_equal(y, t.numpy())


def test_infinities_reach_only_their_neighbours():
    x = np.array([[[1.0, 2.0, np.inf, 3.0, np.nan, 4.0, 5.0]]], np.float32)
    for options in ({"scale_factor": 2}, {"size": 4}, {"size": 11, "mode": "linear"}):
        y = F.interpolate(cr.tensor(x), **options)
        np.testing.assert_allclose(y, TF.interpolate(torch.tensor(x), **options), rtol=1e-6)


def test_integers_are_resized_too():
    x = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    for size in ((4, 6), (3, 2)):
        y = F.interpolate(cr.tensor(x), size)
        assert y.dtype == np.uint8
        np.testing.assert_array_equal(y, TF.interpolate(torch.tensor(x), size).numpy())


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 1, 3), {}, "size or scale_factor"),
        ((1, 1, 3), {"size": 2, "scale_factor": 2}, "size or scale_factor"),
        ((1, 1, 3), {"size": 2, "recompute_scale_factor": True}, "recompute_scale_factor"),
        ((1, 1, 3), {"size": (2, 2)}, "positive number"),
        ((1, 1, 3), {"size": 0}, "positive number"),
        ((1, 1, 3), {"scale_factor": 0.1}, "leaves nothing"),
        ((1, 1, 3), {"size": 2, "mode": "cubic"}, "'bicubic'"),
        ((1, 1, 3), {"size": 2, "mode": "bilinear"}, "mode='linear'"),
        ((1, 3), {"size": 2}, r"\(N, C, H, W\)"),
        ((1, 1, 3), {"size": 2, "align_corners": True}, "no corners"),
        ((1, 1, 3), {"size": 2, "antialias": True}, "no antialias"),
        ((1, 1, 0), {"size": 2}, "at least one element"),
    ],
)
def test_what_interpolate_refuses(shape, options, words):
    with pytest.raises(ValueError, match=words):
        F.interpolate(cr.zeros(*shape), **options)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_grid_sample(mode, padding_mode, align_corners):
    for n in (2,) if mode == "bicubic" else (2, 3):
        rng = np.random.default_rng(n)
        image = rng.normal(size=(2, 3, *(4, 5, 3)[:n]))
        grid = rng.uniform(-1.7, 1.7, (2, *(3, 2, 4)[:n], n))
        options = {
            "mode": mode,
            "padding_mode": padding_mode,
            "align_corners": align_corners,
        }
        compare_orders(
            lambda x, g, o=options: F.grid_sample(x, g, **o),
            lambda x, g, o=options: TF.grid_sample(x, g, **o),
            image,
            grid,
            second=False,  # PyTorch has none
        )


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 4), (1, 2, 3, 2, 4)])
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed")
def test_affine_grid(align_corners, size, rng):
    n = len(size) - 2
    compare_orders(
        lambda t: F.affine_grid(t, size, align_corners),
        lambda t: TF.affine_grid(t, size, align_corners),
        rng.normal(size=(size[0], n, n + 1)),
    )


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("align_corners", "size"),
    # Sizes whose pixels have exact coordinates: the gradient jumps from one pixel to the next.
    [
        (True, (2, 3, 3, 5)),
        (False, (2, 3, 2, 2)),
        (True, (1, 2, 2, 3, 5)),
        (False, (1, 2, 2, 2, 2)),
    ],
)
def test_sampling_at_the_pixels_themselves(padding_mode, align_corners, size, rng):
    n = len(size) - 2

    def both(functions):
        def run(theta, image):
            grid = functions.affine_grid(theta, size, align_corners=align_corners)
            options = {"padding_mode": padding_mode, "align_corners": align_corners}
            return functions.grid_sample(image, grid, **options)

        return run

    identity = np.tile(np.eye(n, n + 1), (size[0], 1, 1))
    compare_orders(both(F), both(TF), identity, rng.normal(size=size), second=False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.grid_sample(cr.ones(1, 1, 4, 4), cr.ones(1, 1, 4, 3)), r"grid \(1, 1, 4, 3\)"),
        (lambda: F.grid_sample(cr.ones(1, 1, 4, 4), cr.ones(2, 1, 4, 2)), r"\(N, H', W', 2\)"),
        (lambda: F.grid_sample(cr.ones(1, 1, 4, 0), cr.ones(1, 1, 4, 2)), "at least one pixel"),
        (lambda: F.grid_sample(cr.ones(1, 1, 4, 4), cr.ones(1, 1, 4, 2), "linear"), "'bilinear'"),
        (
            lambda: F.grid_sample(cr.ones(1, 1, 2, 2, 2), cr.ones(1, 1, 1, 1, 3), "bicubic"),
            "bicubic",
        ),
        (lambda: F.affine_grid(cr.ones(1, 2, 2), (1, 1, 2, 2)), "takes θ"),
        (lambda: F.pixel_shuffle(cr.ones(1, 3, 2, 2), 2), "multiple of 4"),
        (lambda: F.pixel_unshuffle(cr.ones(1, 3, 3, 2), 2), "2 divides"),
        (lambda: F.pixel_shuffle(cr.ones(2, 2), 2), r"\(..., C, H, W\)"),
        (lambda: F.channel_shuffle(cr.ones(2, 3, 2), 2), "2 divides"),
        (lambda: F.fold(cr.ones(1, 4, 5), (3, 3), 2), "takes 4 windows"),
        (lambda: F.fold(cr.ones(1, 5, 4), (3, 3), 2), "multiple of 4"),
        (lambda: F.unfold(cr.ones(2, 3, 4), 5), "reaches over 5"),
        (lambda: F.unfold(cr.ones(3, 4), 2), r"\(N, C, H, W\)"),
    ],
)
def test_what_does_not_fit(call, words):
    with pytest.raises(ValueError, match=words):
        call()
