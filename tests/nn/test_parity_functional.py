"""Functions of layers equal PyTorch's: values, shapes and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.parity


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_linear(shape, bias, dtype, rng, parity):
    arrays = [rng.normal(size=shape), rng.normal(size=(4, 3)), rng.normal(size=4)]
    arrays = [a.astype(dtype) for a in arrays[: 2 + bias]]
    parity(F.linear, TF.linear, *arrays)


def test_linear_with_a_vector(dtype, rng, parity):
    arrays = [rng.normal(size=(2, 5, 3)), rng.normal(size=3)]
    parity(F.linear, TF.linear, *[a.astype(dtype) for a in arrays])


CONVOLUTIONS = [
    {},
    {"stride": 2},
    {"stride": (2, 1), "padding": (1, 2)},
    {"padding": 1, "dilation": 2},
    {"padding": "same"},
    {"padding": "valid"},
    {"padding": "same", "dilation": (2, 1)},
    {"groups": 2},
    {"groups": 2, "stride": 2, "padding": 1},
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d(options, kernel, bias, dtype, rng, parity):
    channels = 4 // options.get("groups", 1)
    arrays = [rng.normal(size=(2, 4, 7, 8)), rng.normal(size=(6, channels, *kernel))]
    arrays = [a.astype(dtype) for a in [*arrays, rng.normal(size=6)][: 2 + bias]]
    parity(lambda *a: F.conv2d(*a, **options), lambda *a: TF.conv2d(*a, **options), *arrays)


def test_conv2d_of_one_image(dtype, rng, parity):
    arrays = [rng.normal(size=s).astype(dtype) for s in ((3, 7, 8), (6, 3, 3, 3), (6,))]
    parity(F.conv2d, TF.conv2d, *arrays)


POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1},
    {"kernel_size": (3, 2), "stride": (2, 1)},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "stride": 2, "padding": (1, 0)},
]


@pytest.mark.parametrize("options", POOLS)
@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 7, 8)])
def test_max_pool2d(options, shape, dtype, rng, parity):
    x = rng.normal(size=shape).astype(dtype)
    parity(lambda x: F.max_pool2d(x, **options), lambda x: TF.max_pool2d(x, **options), x)
    with_indices = {**options, "return_indices": True}
    parity(
        lambda x: F.max_pool2d(x, **with_indices)[1],
        lambda x: TF.max_pool2d(x, **with_indices)[1],
        x,
    )


@pytest.mark.parametrize("options", POOLS)
@pytest.mark.parametrize("extra", [{}, {"count_include_pad": False}, {"divisor_override": 5}])
@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 7, 8)])
def test_avg_pool2d(options, extra, shape, dtype, rng, parity):
    x, options = rng.normal(size=shape).astype(dtype), {**options, **extra}
    parity(lambda x: F.avg_pool2d(x, **options), lambda x: TF.avg_pool2d(x, **options), x)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_training(shape, affine, dtype, rng, parity):
    arrays = [rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3)]
    arrays = [a.astype(dtype) for a in (arrays if affine else arrays[:1])]

    def run(function):
        return lambda x, *wb: function(x, None, None, *wb, training=True, eps=1e-3)

    parity(run(F.batch_norm), run(TF.batch_norm), *arrays)


@pytest.mark.parametrize("shape", [(4, 3), (1, 3, 5), (2, 3, 4, 5)])
def test_batch_norm_in_evaluation(shape, dtype, rng, parity):
    arrays = [rng.normal(size=shape), rng.normal(size=3), rng.uniform(0.5, 2, 3)]
    arrays += [rng.normal(size=3), rng.normal(size=3)]

    def run(function):  # PyTorch gives no gradient by the running statistics
        return lambda x, m, v, w, b: function(x, m.detach(), v.detach(), w, b)

    parity(run(F.batch_norm), run(TF.batch_norm), *[a.astype(dtype) for a in arrays])


@pytest.mark.parametrize("sizes", [(5,), (4, 5), (3, 4, 5)])
@pytest.mark.parametrize("given", [0, 1, 2])
def test_layer_norm(sizes, given, dtype, rng, parity):
    arrays = [rng.normal(size=(2, 3, 4, 5)), rng.normal(size=sizes), rng.normal(size=sizes)]
    arrays = [a.astype(dtype) for a in arrays[: 1 + given]]
    parity(
        lambda x, *wb: F.layer_norm(x, sizes, *wb),
        lambda x, *wb: TF.layer_norm(x, sizes, *wb),
        *arrays,
    )


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_embedding(padding_idx, shape, dtype, rng, parity):
    labels, weight = rng.integers(0, 5, shape), rng.normal(size=(5, 3)).astype(dtype)
    parity(
        lambda w, i: F.embedding(i, w, padding_idx),
        lambda w, i: TF.embedding(i, w, padding_idx),
        weight,
        np.asarray(labels),
    )


def test_one_hot_and_pad(rng, parity, dtype):
    x = rng.normal(size=(2, 3, 4)).astype(dtype)
    labels = rng.integers(0, 5, (2, 3))
    parity(lambda x, i: F.one_hot(i, 7), lambda x, i: TF.one_hot(i, 7), x, labels)
    parity(lambda x, i: F.one_hot(i), lambda x, i: TF.one_hot(i), x, labels)
    for widths in ((1, 2), (1, 0, 0, 3), (1, 1, 2, 0, 0, 1)):
        parity(lambda x, w=widths: F.pad(x, w), lambda x, w=widths: TF.pad(x, w), x)
        parity(
            lambda x, w=widths: F.pad(x, w, value=2.5),
            lambda x, w=widths: TF.pad(x, w, value=2.5),
            x,
        )


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attention(options, batch, dtype, rng, parity):
    shapes = ((*batch, 5, 4), (*batch, 6, 4), (*batch, 6, 3))
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    parity(
        lambda *a: F.scaled_dot_product_attention(*a, **options),
        lambda *a: TF.scaled_dot_product_attention(*a, **options),
        *arrays,
    )


def test_attention_with_masks(dtype, rng, parity):
    shapes = ((2, 5, 4), (2, 6, 4), (2, 6, 3))
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    boolean = rng.random((5, 6)) < 0.7
    boolean[:, 0] = True
    added = rng.normal(size=(2, 5, 6)).astype(dtype)
    attend, theirs = F.scaled_dot_product_attention, TF.scaled_dot_product_attention
    parity(attend, theirs, *arrays, boolean)
    parity(attend, theirs, *arrays, added)


@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 2, 3, 3), 1), ((4, 2, 3), 2), ((2, 3, 2, 3, 4), 1)]
)
def test_dirac(shape, groups):
    ours = cr.nn.init.dirac_(cr.ones(*shape), groups)
    theirs = torch.nn.init.dirac_(torch.ones(shape), groups)
    assert ours.tolist() == theirs.tolist()
