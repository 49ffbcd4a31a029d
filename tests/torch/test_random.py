"""Random numbers: after one seed, those of PyTorch; so layers start from PyTorch's weights."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from tests.nn import table

import chainrule as cr
from chainrule.torch.adapter import attributes

pytestmark = pytest.mark.parity

ROUNDING = {"rtol": 3e-7, "atol": 3e-7}
"""PyTorch's logarithms, sines and products of float32 differ in the last bit."""


def close(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), **ROUNDING)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**40 + 5, -3])
def test_one_stream_of_many_draws(torch, pytorch, seed):
    def draws(t):
        t.manual_seed(seed)
        yield t.rand(5)
        yield t.randn(3)  # three numbers of four: one is kept
        yield t.rand(2, dtype=t.float64)
        yield from (t.randn(n) for n in (1, 5, 15, 16, 17, 33, 100))
        yield t.randn(20, dtype=t.float64)
        yield t.randn(3, dtype=t.float64)
        yield t.randint(0, 10, (7,))
        yield t.randint(-5, 2**40, (3,))
        yield from (t.randperm(n) for n in (0, 1, 2, 10, 1000))
        yield t.nn.functional.dropout(t.ones(50), 0.3)
        yield t.rand(2, 3)

    for ours, theirs in zip(draws(torch), draws(pytorch), strict=True):
        close(ours, theirs)


DRAWS = {
    "normal_": lambda t, n, **g: t.empty(n).normal_(1.0, 2.0, **g),
    "uniform_": lambda t, n, **g: t.empty(n).uniform_(-1, 3, **g),
    "uniform_ to": lambda t, n, **g: t.empty(n).uniform_(to=3, **g),
    "random_": lambda t, n, **g: t.empty(n).random_(**g),
    "random_ of int64": lambda t, n, **g: t.empty(n, dtype=t.int64).random_(**g),
    "random_ of uint8": lambda t, n, **g: t.empty(n, dtype=t.uint8).random_(**g),
    "random_ below": lambda t, n, **g: t.empty(n, dtype=t.int64).random_(10, **g),
    "random_ between": lambda t, n, **g: t.empty(n).random_(-3, 7, **g),
    "bernoulli_": lambda t, n, **g: t.empty(n).bernoulli_(**g),
    "bernoulli_ p": lambda t, n, **g: t.empty(n, dtype=t.bool).bernoulli_(0.2, **g),
    "bernoulli_ of tensors": lambda t, n, **g: t.empty(n).bernoulli_(t.full((n,), 0.3), **g),
    "exponential_": lambda t, n, **g: t.empty(n).exponential_(2.0, **g),
    "exponential_ in float64": lambda t, n, **g: t.empty(n, dtype=t.float64).exponential_(**g),
    "cauchy_": lambda t, n, **g: t.empty(n, dtype=t.float64).cauchy_(1.0, 2.0, **g),
    "log_normal_": lambda t, n, **g: t.empty(n).log_normal_(0.5, 0.25, **g),
    "geometric_": lambda t, n, **g: t.empty(n).geometric_(0.2, **g),
    "normal of tensors": lambda t, n, **g: t.normal(t.arange(float(n)), t.linspace(0.5, 1, n), **g),
    "normal of a tensor and a number": lambda t, n, **g: t.normal(t.arange(float(n)), 0.5, **g),
    "normal of numbers": lambda t, n, **g: t.normal(1.0, 2.0, (n,), **g),
    "normal of a number and a tensor": lambda t, n, **g: t.normal(1.0, t.linspace(0.5, 1, n), **g),
    "bernoulli": lambda t, n, **g: t.bernoulli(t.linspace(0, 1, n), **g),
    "bernoulli of float64": lambda t, n, **g: t.bernoulli(
        t.linspace(0, 1, n, dtype=t.float64), **g
    ),
    "x.bernoulli": lambda t, n, **g: t.zeros(n).bernoulli(0.4, **g),
    "poisson": lambda t, n, **g: t.poisson(t.linspace(0, 40, n), **g),
    "binomial": lambda t, n, **g: t.binomial(
        t.linspace(0, 99, n).floor(), t.linspace(0, 1, n), **g
    ),
    "multinomial": lambda t, n, **g: t.multinomial(t.arange(float(n)), 1, **g),
    "multinomial of several": lambda t, n, **g: t.multinomial(t.arange(float(n)), n - 1, **g),
    "multinomial with replacement": lambda t, n, **g: t.multinomial(
        t.arange(float(n)), 50, True, **g
    ),
    "multinomial of rows": lambda t, n, **g: t.arange(3.0 * n).view(3, n).multinomial(7, True, **g),
    "rand_like": lambda t, n, **g: t.rand_like(t.empty(n), **g),
    "randn_like": lambda t, n, **g: t.randn_like(t.empty(n, dtype=t.float64), **g),
    "randint_like": lambda t, n, **g: t.randint_like(t.empty(n), 10, **g),
    "randint_like between": lambda t, n, **g: t.randint_like(t.empty(n), low=3, high=10, **g),
    "randint of one limit": lambda t, n, **g: t.randint(10, (n,), **g),
    "randint high": lambda t, n, **g: t.randint(high=10, size=(n,), **g),
    "randint of a dtype": lambda t, n, **g: t.randint(-5, 5, [n], dtype=t.float32, **g),
    "randint of 2**28": lambda t, n, **g: t.randint(2**28, (n,), **g),
    "randperm of a dtype": lambda t, n, **g: t.randperm(n, dtype=t.int32, **g),
}


@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_pytorchs(torch, pytorch, name, n):
    found = []
    for t in (torch, pytorch):
        t.manual_seed(11)
        drawn = DRAWS[name](t, n)
        found.append((np.asarray(drawn), str(drawn.dtype), t.rand(1).item()))
    (ours, kind, next_of_ours), (theirs, kind_of_theirs, next_of_theirs) = found
    # The tangent of angles near ±π/2 is as inexact as they are.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9 if name == "cauchy_" else 4e-7, atol=4e-7)
    assert kind == kind_of_theirs and next_of_ours == next_of_theirs


@pytest.mark.parametrize("name", DRAWS)
def test_draws_take_a_generator(torch, name):
    """They draw from it alone; the default generator stays where it is."""
    torch.manual_seed(11)
    before, expected = torch.get_rng_state(), DRAWS[name](torch, 20)
    torch.set_rng_state(before)
    found = DRAWS[name](torch, 20, generator=torch.Generator(device="cpu").manual_seed(11))
    assert found.tolist() == expected.tolist()
    assert (torch.get_rng_state() == before).all()


OTHERS = {
    "GRU": (3, 4),
    "LSTM": (3, 4, 2),
    "LSTMCell": (3, 4),
    "MultiheadAttention": (8, 2),
    "PReLU": (3,),
    "RNN": (3, 4),
    "TransformerEncoderLayer": (8, 2),
    "TransformerDecoderLayer": (8, 2),
    "Transformer": (8, 2, 1, 2, 16),
}
LAYERS = [*table.LAYERS, *[table.Row(name, args, {}, ()) for name, args in OTHERS.items()]]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's
@pytest.mark.parametrize("row", LAYERS, ids=str)
def test_layers_start_from_pytorchs_weights(torch, pytorch, row):
    if not hasattr(torch.nn, row.name):
        pytest.skip(f"{row.name} is not in the package")
    states = []
    for t in (torch, pytorch):
        t.manual_seed(7)
        states.append([x for _ in range(2) for x in row.make(t.nn).state_dict().values()])
    for ours, theirs in zip(*states, strict=True):
        close(ours, theirs)


LAZY = [
    ("LazyLinear", (3,), (2, 4)),
    ("LazyConv2d", (4, 3), (2, 3, 5, 5)),
    ("LazyConvTranspose1d", (4, 3), (2, 3, 5)),
    ("LazyBatchNorm2d", (), (2, 3, 4, 4)),
    ("LazyInstanceNorm1d", (), (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "args", "shape"), LAZY)
def test_lazy_layers_start_from_pytorchs_weights(torch, pytorch, name, args, shape):
    found = []
    for t in (torch, pytorch):
        t.manual_seed(7)
        layer = getattr(t.nn, name)(*args)
        text = repr(layer)
        y = layer(t.ones(shape))
        found.append((text, repr(layer), [y.detach(), *layer.state_dict().values(), t.rand(2)]))
    assert found[0][:2] == found[1][:2]
    for ours, theirs in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # sums of 27 products


DRAWING = [
    table.Row("Dropout", (0.3,), {}, (40,)),
    *table.spatial("Dropout", 0.4),
    table.Row("Dropout2d", (0.4,), {"inplace": True}, (4, 3, 5, 1)),
    table.Row("Dropout", (1.0,), {}, (3,)),
    table.Row("AlphaDropout", (0.3,), {}, (40,)),
    table.Row("FeatureAlphaDropout", (0.3,), {}, (3, 4, 2)),
    table.Row("FractionalMaxPool2d", (2,), {"output_ratio": 0.6}, (2, 3, 9, 8)),
    table.Row("FractionalMaxPool3d", (2,), {"output_size": 3}, (2, 3, 5, 6, 7)),
]


@pytest.mark.parametrize("row", DRAWING, ids=str)
def test_layers_draw_pytorchs_numbers(torch, pytorch, row):
    found = []
    for t in (torch, pytorch):
        x = t.tensor(row.arrays(np.random.default_rng(0), np.float32)[0], requires_grad=True)
        t.manual_seed(3)
        y = row.make(t.nn)(x * 1)
        y.sum().backward()
        found.append([y.detach(), x.grad, t.rand(2)])
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


def test_gumbel_softmax_draws_pytorchs_numbers(torch, pytorch):
    found = []
    for t in (torch, pytorch):
        t.manual_seed(3)
        x = t.randn(4, 5, requires_grad=True)
        y = t.nn.functional.gumbel_softmax(x, tau=0.5, hard=True)
        (y * t.arange(5.0)).sum().backward()
        found.append([y.detach(), x.grad, t.nn.functional.gumbel_softmax(x.detach(), dim=0)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)  # exp of a float32 logarithm


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uniform_", {"a": -1.0, "b": 3.0}),
        ("normal_", {"std": 0.02}),
        ("xavier_uniform_", {}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": 5**0.5}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("trunc_normal_", {"std": 0.02}),
        ("trunc_normal_", {"a": 1.5, "b": 3.0}),
        ("sparse_", {"sparsity": 0.4}),
        ("orthogonal_", {}),
        ("trunc_normal_", {"std": 0.5, "b": 1.0}),
        ("trunc_normal_", {"mean": 0.5, "std": 2.0, "a": -0.5, "b": 0.75}),
    ],
)
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 2, 3, 3)])
def test_initializers_draw_pytorchs_numbers(torch, pytorch, name, options, shape):
    results = []
    shape = shape[:2] if name == "sparse_" else shape
    for t in (torch, pytorch):
        t.manual_seed(3)
        results.append(getattr(t.nn.init, name)(t.empty(shape), **options).tolist())
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if name == "orthogonal_" else ROUNDING  # QR in float64
    np.testing.assert_allclose(results[0], results[1], **tolerance)


def test_sparse_weights_and_normed_ones_draw_pytorchs_numbers(torch, pytorch):
    states = []
    for t in (torch, pytorch):
        prune = importlib.import_module(f"{t.__name__}.nn.utils.prune")
        t.manual_seed(4)
        layers = [t.nn.utils.spectral_norm(t.nn.Linear(3, 4))]
        layers += [t.nn.utils.parametrizations.spectral_norm(t.nn.Conv2d(2, 3, 3))]
        layers += [prune.random_unstructured(t.nn.Linear(3, 4), "weight", 5)]
        layers += [prune.random_structured(t.nn.Linear(3, 4), "weight", 2, dim=0)]
        found = [x for layer in layers for x in layer.state_dict().values()]
        found += [t.nn.init.sparse_(t.empty(6, 4), 0.4), t.nn.init.dirac_(t.empty(4, 3, 2, 3), 2)]
        states.append([*found, t.rand(2)])
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)  # fifteen iterations


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("own", [True, False], ids=["own generator", "default"])
def test_loaders_read_in_pytorchs_order(torch, pytorch, shuffle, own):
    orders = []
    for t in (torch, pytorch):

        class Numbers(t.utils.data.Dataset):
            def __len__(self):
                return 10

            def __getitem__(self, index):
                return float(index), index

        t.manual_seed(5)
        generator = t.Generator().manual_seed(9) if own else None
        loader = t.utils.data.DataLoader(Numbers(), 3, shuffle, generator=generator)
        read = [y.tolist() for _ in range(3) for _, y in loader]
        orders.append([read, [round(v, 5) for v in t.rand(2).tolist()]])
    assert orders[0] == orders[1]


def test_states_come_back_and_generators_are_independent(torch):
    torch.manual_seed(1)
    torch.randn(3)
    state = torch.get_rng_state()
    first = torch.randn(4).tolist()
    torch.set_rng_state(state)
    assert torch.randn(4).tolist() == first
    a, b = (torch.Generator().manual_seed(2) for _ in range(2))
    assert torch.randn(4, generator=a).tolist() == torch.randn(4, generator=b).tolist()
    torch.set_rng_state(state)
    with torch.random.fork_rng():
        torch.randn(100)
    assert torch.randn(4).tolist() == first
    assert torch.Generator().initial_seed() == 67280421310721
    assert torch.manual_seed(-1).initial_seed() == 2**64 - 1 and torch.initial_seed() == 2**64 - 1
    seeds = {torch.seed() for _ in range(3)}
    assert len(seeds) == 3


def test_draws_inside_a_compiled_function_go_on(torch):
    w = torch.zeros(4)

    def step():
        w.copy_(torch.randn(4) + torch.rand(4))
        return w.sum()

    torch.manual_seed(0)
    eager = [step().item() for _ in range(4)]
    compiled = torch.compile(step, fullgraph=True)
    torch.manual_seed(0)
    assert [compiled().item() for _ in range(4)] == pytest.approx(eager, rel=1e-6)  # float32 sums


def test_without_the_face_the_package_draws_its_own(torch):
    torch.manual_seed(0)
    drawn = torch.rand(3).tolist()
    attributes.active(False)
    try:
        cr.manual_seed(0)
        own = cr.rand(3).tolist()
        assert own != drawn and cr.default_generator.state.shape == (2,)
        assert cr.Generator(seed=0).uniform(3).tolist() == own
    finally:
        attributes.active(True)
    torch.manual_seed(0)
    assert torch.rand(3).tolist() == drawn
