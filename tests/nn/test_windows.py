"""Convolution, transposed convolution and pooling equal PyTorch's in 1, 2 and 3 dimensions.

Geometries are drawn: values, gradients and second derivatives, by native kernels and by references.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.nn.compare import compare_orders

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.settings import use

torch = pytest.importorskip("torch")
TF, TN = torch.nn.functional, torch.nn
pytestmark = pytest.mark.parity

DRAWS = 12
CASES = pytest.mark.parametrize("seed", range(DRAWS))
DIMENSIONS = pytest.mark.parametrize("n", [1, 2, 3])


@pytest.fixture(params=["native", "numpy"])
def engine(request):
    """By native kernels where there are any, and by references alone."""
    with use(engine=request.param):
        yield request.param


@pytest.fixture
def rng(request):
    """Another stream for each drawn geometry and number of dimensions."""
    params = request.node.callspec.params
    return np.random.default_rng([params.get("seed", 0), params.get("n", 0)])


def each(rng, n, low, high):
    """A number for each dimension, or one for all."""
    numbers = tuple(int(i) for i in rng.integers(low, high + 1, n))
    return numbers if rng.random() < 0.7 else numbers[0]


def spread(value, n):
    return value if isinstance(value, tuple) else (value,) * n


def by_name(module, name, n):
    return getattr(module, f"{name}{n}d")


def drawn_convolution(rng, n):
    """Shapes and options of a convolution that fits."""
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, filters = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    kernel = spread(each(rng, n, 1, 3), n)
    options = {
        "stride": each(rng, n, 1, 3),
        "padding": each(rng, n, 0, 2),
        "dilation": each(rng, n, 1, 2),
        "groups": groups,
    }
    least = zip(kernel, spread(options["dilation"], n), strict=True)
    sizes = tuple(d * (k - 1) + 1 + int(rng.integers(0, 4)) for k, d in least)
    batch = (int(rng.integers(1, 3)),) if rng.random() < 0.8 else ()
    return (*batch, channels, *sizes), (filters, channels // groups, *kernel), options


@DIMENSIONS
@CASES
def test_convolution(n, seed, rng, engine):
    shape, weights, options = drawn_convolution(rng, n)
    arrays = [rng.normal(size=s) for s in (shape, weights, weights[:1])]
    bias = 2 + int(rng.integers(2))
    compare_orders(
        lambda *a: by_name(F, "conv", n)(*a, **options),
        lambda *a: by_name(TF, "conv", n)(*a, **options),
        *arrays[:bias],
    )


@DIMENSIONS
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_by_name(n, padding, engine):
    rng = np.random.default_rng(n)
    for kernel, dilation in (((2, 3, 4), 1), ((3, 2, 1), (2, 1, 3)), ((1, 4, 2), 2)):
        options = {"padding": padding, "dilation": spread(dilation, 3)[:n]}
        arrays = [rng.normal(size=(2, 2, *[8] * n)), rng.normal(size=(3, 2, *kernel[:n]))]
        compare_orders(
            lambda *a, o=options: by_name(F, "conv", n)(*a, **o),
            lambda *a, o=options: by_name(TF, "conv", n)(*a, **o),
            *arrays,
        )


@DIMENSIONS
@CASES
def test_transposed_convolution(n, seed, rng, engine):
    shape, weights, options = drawn_convolution(rng, n)
    options["padding"] = 0 if rng.random() < 0.3 else 1
    groups = options["groups"]
    weights = (shape[-n - 1], weights[0] // groups, *weights[2:])
    steps = zip(spread(options["stride"], n), spread(options["dilation"], n), strict=True)
    options["output_padding"] = tuple(int(rng.integers(0, max(s, d))) for s, d in steps)
    arrays = [rng.normal(size=s) for s in (shape, weights, (weights[1] * groups,))]
    ours, theirs = by_name(F, "conv_transpose", n), by_name(TF, "conv_transpose", n)
    try:
        theirs(*map(torch.tensor, arrays), **options)
    except RuntimeError:  # nothing is left
        with pytest.raises(ValueError, match="leaves nothing"):
            ours(*map(cr.tensor, arrays), **options)
        return
    compare_orders(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), *arrays)


def drawn_pool(rng, n, dilated):
    kernel = spread(each(rng, n, 1, 4), n)
    dilation = each(rng, n, 1, 2 if dilated else 1)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, spread(dilation, n), strict=True)]
    options = {"padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)}
    if rng.random() < 0.7:
        options["stride"] = each(rng, n, 1, 4)
    if rng.random() < 0.6:
        options["ceil_mode"] = True
    if dilated:
        options["dilation"] = dilation
    batch = (2,) if rng.random() < 0.8 else ()
    shape = (*batch, 2, *[r + int(rng.integers(0, 5)) for r in reach])
    return shape, kernel, options


@DIMENSIONS
@pytest.mark.parametrize("seed", range(2 * DRAWS))
def test_max_pool(n, seed, rng, engine):
    shape, kernel, options = drawn_pool(rng, n, dilated=True)
    x = rng.permutation(np.linspace(-3, 3, np.prod(shape))).reshape(shape)
    ours, theirs = by_name(F, "max_pool", n), by_name(TF, "max_pool", n)
    compare_orders(lambda x: ours(x, kernel, **options), lambda x: theirs(x, kernel, **options), x)
    y, positions = ours(cr.tensor(x), kernel, return_indices=True, **options)
    t, indices = theirs(torch.tensor(x), kernel, return_indices=True, **options)
    assert (y.numpy() == t.numpy()).all() and (positions.numpy() == indices.numpy()).all()


@DIMENSIONS
@pytest.mark.parametrize("seed", range(2 * DRAWS))
def test_avg_pool(n, seed, rng, engine):
    shape, kernel, options = drawn_pool(rng, n, dilated=False)
    choice = int(rng.integers(3))
    if choice == 1:
        options["count_include_pad"] = False
    if choice == 2 and n > 1:
        options["divisor_override"] = 5
    ours, theirs = by_name(F, "avg_pool", n), by_name(TF, "avg_pool", n)
    x = rng.normal(size=shape)
    compare_orders(lambda x: ours(x, kernel, **options), lambda x: theirs(x, kernel, **options), x)


@DIMENSIONS
@CASES
@pytest.mark.parametrize("kind", ["adaptive_avg_pool", "adaptive_max_pool"])
def test_adaptive_pools(n, seed, kind, rng, engine):
    sizes = tuple(int(i) for i in rng.integers(1, 8, n))
    wanted = tuple(None if rng.random() < 0.2 else int(i) for i in rng.integers(1, 9, n))
    wanted = wanted[0] if n == 1 or rng.random() < 0.2 else wanted
    wanted = 3 if wanted is None else wanted
    x = rng.permutation(np.linspace(-3, 3, 4 * np.prod(sizes)))
    x = x.reshape(2, 2, *sizes) if rng.random() < 0.8 else x.reshape(4, *sizes)
    ours, theirs = by_name(F, kind, n), by_name(TF, kind, n)
    compare_orders(lambda x: ours(x, wanted), lambda x: theirs(x, wanted), x)
    if kind == "adaptive_max_pool":
        y, positions = ours(cr.tensor(x), wanted, return_indices=True)
        t, indices = theirs(torch.tensor(x), wanted, return_indices=True)
        assert (y.numpy() == t.numpy()).all() and (positions.numpy() == indices.numpy()).all()


@DIMENSIONS
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("norm", [1, 2, 3.0, np.inf, -np.inf])
def test_lp_pools(n, seed, norm, rng):
    shape, kernel, options = drawn_pool(rng, n, dilated=False)
    options.pop("padding")
    x = rng.permutation(np.linspace(0.1, 3, np.prod(shape))).reshape(shape)
    ours, theirs = by_name(F, "lp_pool", n), by_name(TF, "lp_pool", n)
    kernel = kernel[0] if n == 1 else kernel
    compare_orders(
        lambda x: ours(x, norm, kernel, **options), lambda x: theirs(x, norm, kernel, **options), x
    )


def test_an_lp_pool_of_zeros_has_gradient_0():
    x = cr.zeros(1, 4, 4, requires_grad=True)
    F.lp_pool2d(x, 2, 2).sum().backward()
    assert not x.grad.any()


@DIMENSIONS
@pytest.mark.parametrize("seed", range(6))
def test_unpooling_of_what_was_pooled(n, seed, rng):
    shape, kernel, options = drawn_pool(rng, n, dilated=False)
    options.pop("ceil_mode", None)
    options["stride"] = kernel  # windows that overlap may choose one element twice
    x = rng.permutation(np.linspace(-3, 3, np.prod(shape))).reshape(shape)

    def both(lib, functions):
        def run(x):
            y, positions = by_name(functions, "max_pool", n)(
                x, kernel, return_indices=True, **options
            )
            return by_name(functions, "max_unpool", n)(
                y, positions, kernel, output_size=shape[-n:], **options
            )

        return run

    compare_orders(both(cr, F), both(torch, TF), x)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("batch", [(), (2,)])
def test_fractional_pools(n, seed, batch, rng):
    sizes, kernel = tuple(rng.integers(4, 8, n)), spread(each(rng, n, 1, 3), n)
    x = rng.permutation(np.linspace(-3, 3, 3 * np.prod((*batch, *sizes)))).reshape(
        *batch, 3, *sizes
    )
    u = rng.random((*(batch or (1,)), 3, n))
    given = {
        "output_size": tuple(
            int(rng.integers(1, max(m - k, 1) + 1)) for m, k in zip(sizes, kernel, strict=True)
        )
    }
    if rng.random() < 0.5:
        given = {"output_ratio": tuple(rng.uniform(0.3, 0.5, n))}

    def both(lib, functions):
        options = {**given, "return_indices": True, "_random_samples": lib.tensor(u)}
        return lambda x: by_name(functions, "fractional_max_pool", n)(x, kernel, **options)

    ours, theirs = both(cr, F), both(torch, TF)
    compare_orders(lambda x: ours(x)[0], lambda x: theirs(x)[0], x)
    assert (ours(cr.tensor(x))[1].numpy() == theirs(torch.tensor(x))[1].numpy()).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.FractionalMaxPool2d(2), "output_size or output_ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "output_size or output_ratio"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.5), r"in \(0, 1\)"),
        (lambda: F.fractional_max_pool2d(cr.ones(1, 4, 4), 3, 3), "output sizes"),
        (lambda: F.max_unpool1d(cr.ones(1, 2), cr.ones(1, 3).long(), 2), "one position for each"),
        (lambda: nn.MaxUnpool1d(2)(cr.ones(1, 2), cr.ones(1, 2).long(), (9,)), "output_size"),
        (lambda: F.max_unpool1d(cr.ones(1, 2), cr.full((1, 2), 9), 2), "9"),
        (lambda: F.lp_pool2d(cr.ones(1, 4), 2, 2), r"\(N, C, H, W\)"),
    ],
)
def test_pools_that_do_not_fit(make, words):
    with pytest.raises((ValueError, IndexError), match=words):
        make()


@DIMENSIONS
@pytest.mark.parametrize("kind", ["max_pool", "avg_pool", "adaptive_max_pool"])
def test_nan_and_infinities_in_pools(n, kind, engine):
    x = np.random.default_rng(n).normal(size=(2, 3, *[7] * n)).astype(np.float32)
    flat = x.reshape(-1)
    flat[::11], flat[::13], flat[5::7] = np.nan, np.inf, -np.inf
    y = by_name(F, kind, n)(cr.tensor(x), 3).numpy()
    t = by_name(TF, kind, n)(torch.tensor(x), 3).numpy()
    # Means of at most 27 float32 numbers, in another order.
    np.testing.assert_allclose(y, t, rtol=1e-5, atol=1e-5)


@DIMENSIONS
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_the_input_itself(n, mode):
    rng = np.random.default_rng(n)
    for widths in ((1, 2) * n, (3, 0) * n, (0, 0) * n, (2, -1) * n, (-2, 0) * n):
        x = rng.normal(size=(2, 3, 5, 6, 4)[: n + 2])
        compare_orders(
            lambda x, w=widths: F.pad(x, w, mode=mode),
            lambda x, w=widths: TF.pad(x, w, mode=mode),
            x,
        )


def test_padding_with_fewer_elements_than_there_are():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    for widths in ((-1, 2), (0, -2, -1, -1), (-2, -3), (1, 1, -4, 0)):
        compare_orders(lambda x, w=widths: F.pad(x, w), lambda x, w=widths: TF.pad(x, w), x)


@pytest.mark.parametrize(
    ("widths", "mode", "words"),
    [
        ((4, 0), "reflect", "at most 3"),
        ((0, 5), "circular", "at most 4"),
        ((-3, -2), "constant", "leaves nothing"),
        ((1, 0), "mirror", "'reflect'"),
    ],
)
def test_padding_that_does_not_fit(widths, mode, words):
    with pytest.raises(ValueError, match=words):
        F.pad(cr.ones(2, 4), widths, mode=mode)


# -- layers --------------------------------------------------------------------------------------


@DIMENSIONS
def test_sizes_of_transposed_layers(n):
    ours, theirs = by_name(nn, "ConvTranspose", n), by_name(TN, "ConvTranspose", n)
    a, b = ours(2, 3, 3, stride=2, padding=1), theirs(2, 3, 3, stride=2, padding=1)
    a.load_state_dict({name: p.detach().numpy() for name, p in b.state_dict().items()})
    x = np.ones((1, 2, *[4] * n), np.float32)
    for size in (7, 8):
        y = a(cr.tensor(x), output_size=[size] * n)
        t = b(torch.tensor(x), output_size=[size] * n)
        # Sums of at most 54 float32 products.
        np.testing.assert_allclose(y.detach(), t.detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"sizes from \(7.* to \(8"):
        a(cr.tensor(x), output_size=[9] * n)


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
@DIMENSIONS
def test_starting_values_have_pytorchs_bound(n, name):
    torch.manual_seed(0)
    ours, theirs = (by_name(lib, name, n)(8, 4, 3, groups=2) for lib in (nn, TN))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.shape == tuple(b.shape)
    bound = 1 / np.sqrt(init.fans(ours.weight)[0])
    for module in (ours, theirs):
        weight = np.asarray(module.weight.detach())
        # Of 48 and more uniform numbers the largest is close to the bound.
        assert 0.9 * bound < np.abs(weight).max() <= bound


@DIMENSIONS
def test_networks_compile_to_eagers_bits(n):
    def network():
        cr.manual_seed(0)
        return nn.Sequential(
            by_name(nn, "Conv", n)(2, 4, 3, padding=1, padding_mode="circular"),
            by_name(nn, "BatchNorm", n)(4),
            nn.ReLU(),
            by_name(nn, "MaxPool", n)(2),
            by_name(nn, "ConvTranspose", n)(4, 3, 2, stride=2),
            nn.Tanh(),
            by_name(nn, "AvgPool", n)(2, ceil_mode=True),
            by_name(nn, "AdaptiveAvgPool", n)(2),
            nn.Flatten(),
            nn.Linear(3 * 2**n, 3),
        )

    def losses(compiled):
        model = network()
        optimizer = cr.optim.SGD(model.parameters(), lr=0.1)

        def step(x, t):
            loss = F.cross_entropy(model(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = cr.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        x = cr.tensor(rng.normal(size=(4, 2, *[6] * n)).astype(np.float32))
        return [run(x, cr.tensor([0, 1, 2, 0])).item() for _ in range(3)]

    assert losses(True) == losses(False)
