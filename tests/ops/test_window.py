"""Geometry of windows, and what does not fit (A5, A6): any number of spatial dimensions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.gateway import apply
from chainrule.nn import functional as F
from chainrule.ops.window import Geometry, per_dimension

# The largest odd input, kernel, stride, padding and dilation of all combinations.
SMALL = list(itertools.product(range(1, 8), range(1, 4), range(1, 4), range(2), range(1, 3)))


def starts(size, kernel, stride, before, after, dilation):
    """Where windows begin, counted."""
    return [
        i
        for i in range(-before, size + after, stride)
        if i + dilation * (kernel - 1) < size + after
    ]


@pytest.mark.parametrize("after", [-1, 0, 2])
def test_positions_counted_one_by_one(after):
    for size, kernel, stride, before, dilation in SMALL:
        geometry = Geometry((stride,), ((before, after),), (dilation,))
        expected = len(starts(size, kernel, stride, before, after, dilation))
        if expected:
            assert geometry.positions((size,), (kernel,)) == (expected,)
        else:
            with pytest.raises(ValueError, match="the kernel reaches over"):
                geometry.positions((size,), (kernel,))


def test_sizes_are_the_smallest_with_so_many_positions():
    for positions, kernel, stride, padding, dilation in SMALL:
        geometry = Geometry.of(1, stride, padding, dilation)
        size = stride * (positions - 1) + dilation * (kernel - 1) + 1 - 2 * padding
        if size < 1:
            with pytest.raises(ValueError, match="leaves nothing"):
                geometry.sizes((positions,), (kernel,))
            continue
        assert geometry.sizes((positions,), (kernel,)) == (size,)
        assert geometry.positions((size,), (kernel,)) == (positions,)
        if size > 1 and positions > 1:
            assert geometry.positions((size - 1,), (kernel,)) == (positions - 1,)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", (1, 2, 3), (), None, (1, 0)])
def test_numbers_for_each_dimension(value):
    with pytest.raises(ValueError, match=r"stride is an integer ≥ 1, or one for each of the 2"):
        per_dimension(value, 2, "stride", 1)
    assert per_dimension([3], 2, "stride", 1) == per_dimension(3, 2, "stride", 1) == (3, 3)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f, x, w: f("conv")(x[:, :2], w), "2 channels, .* expects 3.*Conv.d"),
        (lambda f, x, w: f("conv")(x[..., :2], w), r"reaches over 3 elements, .* has 2"),
        (lambda f, x, w: f("conv")(x, w, dilation=3), "reaches over 7 elements"),
        (lambda f, x, w: f("conv")(x, w, stride=0), "stride is an integer ≥ 1"),
        (lambda f, x, w: f("conv")(x, w, padding=-1), "padding is an integer ≥ 0"),
        (lambda f, x, w: f("conv")(x, w, groups=2), "6"),
        (lambda f, x, w: f("conv")(x, w[:3], groups=2), "groups divides O"),
        (lambda f, x, w: f("conv")(x, w, groups=0), "groups is an integer ≥ 1"),
        (lambda f, x, w: f("conv")(x[0, 0], w), r"works on \(N, C"),
        (lambda f, x, w: f("conv")(x, w[0]), "weights of convolution"),
        (lambda f, x, w: f("conv")(x, w[..., :0]), "no size is 0"),
        (lambda f, x, w: f("conv")(x, w, cr.ones(1)), "bias of convolution.*4"),
        (lambda f, x, w: f("conv")(x, w.double()), "float64"),
        (lambda f, x, w: f("conv_transpose")(x, w), "3 channels, .* expects 4.*ConvTranspose.d"),
        (lambda f, x, w: f("conv_transpose")(x, w[:3], padding=4), "leaves nothing"),
        (lambda f, x, w: f("conv_transpose")(x, w[:3], output_padding=1), "output_padding"),
        (lambda f, x, w: f("conv_transpose")(x, w[:3], cr.ones(2)), "bias of transposed"),
        (lambda f, x, w: f("conv_transpose")(x, w[0, 0, 0]), "weights of transposed"),
        (lambda f, x, w: f("conv_transpose")(cr.ones(()), w), r"works on \(N, C"),
        (lambda f, x, w: f("conv_transpose")(x, w[:3].double()), "float64"),
        (lambda f, x, w: f("max_pool")(x, 2, padding=2), "half the kernel"),
        (lambda f, x, w: f("max_pool")(x, 9), "reaches over 9"),
        (lambda f, x, w: f("max_pool")(x[..., :0], 2, padding=1), "empty"),
        (lambda f, x, w: f("max_pool")(x[..., :1], 2, 1, 1, dilation=2), "but padding"),
        (lambda f, x, w: f("avg_pool")(x, 0), "kernel_size"),
        (lambda f, x, w: f("avg_pool")(x.long(), 2), "mean of integers"),
        (lambda f, x, w: f("avg_pool")(x, 2, divisor_override=0), "divisor_override"),
        (lambda f, x, w: f("adaptive_avg_pool")(x, -1), "output_size"),
        (lambda f, x, w: f("adaptive_max_pool")(x[0, 0], 1), r"works on \(N, C"),
        (lambda f, x, w: f("adaptive_max_pool")(x[..., :0], 1), "empty"),
    ],
)
def test_a5_windows_that_do_not_fit(n, call, words):
    x, w = cr.ones(2, 3, *[5] * n), cr.ones(4, 3, *[3] * n)
    with pytest.raises((ValueError, TypeError), match=words):
        call(lambda name: getattr(F, f"{name}{n}d"), x, w)


def test_a13_results_larger_than_the_memory():
    x, w = cr.ones(1, 1, 5, 5), cr.ones(1, 1, 3, 3)
    for call in (
        lambda: F.conv2d(x, w, padding=10**10),
        lambda: F.conv_transpose2d(x, w, stride=10**7),
    ):
        with pytest.raises(MemoryError, match="this machine has"):
            call()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a6_empty_batches_have_gradients(n):
    f = {name: getattr(F, f"{name}{n}d") for name in ("conv", "conv_transpose", "max_pool")}
    x = cr.zeros(0, 3, *[5] * n, requires_grad=True)
    w = cr.ones(4, 3, *[3] * n, requires_grad=True)
    y = f["conv_transpose"](f["max_pool"](f["conv"](x, w).relu(), 2), w)
    assert y.shape == (0, 3, *[3] * n)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert w.grad.shape == w.shape and (w.grad == 0).all()


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_window_of_minus_infinities_keeps_its_place_inside(n, engine):
    x = cr.full((1, 1, *[2] * n), -np.inf, requires_grad=True)
    with cr.settings.use(engine=engine):
        getattr(F, f"max_pool{n}d")(x, 2, stride=2, padding=1).sum().backward()
    assert (x.grad == 1).all()


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_the_largest_of_integers(dtype):
    x = cr.tensor(np.arange(20).reshape(1, 1, 4, 5)).astype(getattr(cr, dtype))
    y, positions = F.max_pool2d(x, 2, stride=2, padding=1, return_indices=True)
    assert y.dtype == np.dtype(dtype) and y.tolist() == positions.tolist()


def test_four_dimensions():
    """The records know no number of dimensions."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 2, 3, 4, 3, 4)), rng.normal(size=(3, 2, 2, 1, 2, 3))
    geometry = Geometry.of(4, padding=(0, 1, 0, 1))
    y = apply("convolution", cr.tensor(x), cr.tensor(w), geometry=geometry).numpy()
    framed = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1), (0, 0), (1, 1)))
    seen = np.lib.stride_tricks.sliding_window_view(framed, w.shape[2:], (2, 3, 4, 5))
    # Sums of 24 products in float64, in another order.
    expected = np.einsum("ncijklabcd,ocabcd->noijkl".replace("abcd", "wxyz"), seen, w)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
