"""Layers equal PyTorch's: weights pass both ways; values, gradients and buffers agree."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from tests.nn.table import BATCHED_ONLY, LAYERS

import chainrule as cr
from chainrule import nn, tree

torch = pytest.importorskip("torch")
TN = torch.nn
pytestmark = pytest.mark.parity

BY_ROW = pytest.mark.parametrize("row", LAYERS, ids=str)


@BY_ROW
@pytest.mark.parametrize("training", [True, False])
def test_layers(row, training, rng, module_parity):
    arrays = row.arrays(rng)
    single = [a[0] for a in arrays]
    for inputs in [arrays] if row.name.startswith(BATCHED_ONLY) else [arrays, single]:
        ours, theirs = row.make(nn), row.make(TN)
        module_parity(ours.train(training), theirs.train(training), *inputs)


# Convolutions over 3 dimensions sum more float32 products than the tolerance is made for.
@pytest.mark.parametrize("row", [row for row in LAYERS if "3d" not in row.name], ids=str)
def test_layers_of_float32(row, rng, module_parity):
    module_parity(row.make(nn), row.make(TN), *row.arrays(rng, np.float32))


# A row for each layer, of two dimensions where there are three: the others share the code.
@pytest.mark.parametrize(
    "row", {row.name: row for row in LAYERS if row.name[-2:] not in ("1d", "3d")}.values(), ids=str
)
def test_layers_compile_to_eagers_bits(row, rng):
    layer, twin = row.make(nn), row.make(nn)
    twin.load_state_dict({name: x.numpy().copy() for name, x in layer.state_dict().items()})
    inputs = [cr.tensor(a) for a in row.arrays(rng, np.float32)]
    y = cr.compile(lambda *xs: twin(*xs))(*inputs)
    for got, expected in zip(tree.flatten(y), tree.flatten(layer(*inputs)), strict=True):
        np.testing.assert_array_equal(got.detach(), expected.detach())
    for name, x in layer.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], x)


EXTENSIONS = ("divisor_override", "generator")
"""Options that some layers have here alone: of AvgPool1d and of Dropout."""


@pytest.mark.parametrize("name", dict.fromkeys(row.name for row in LAYERS))
def test_layers_have_pytorchs_options_in_order(name):
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(lib, name)).parameters.values()
            if p.name not in ("device", "dtype", *EXTENSIONS)
        ]
        for lib in (nn, TN)
    )
    assert ours == theirs


def models(n):
    return [
        *[row.make(n) for row in LAYERS],
        n.Sequential(n.ModuleList([n.Linear(1, 1), n.Linear(1, 1), n.ReLU()]), n.ReLU()),
        n.Embedding(5, 3, padding_idx=-1),
        n.LSTM(2, 3),
        n.GRUCell(2, 3, bias=False),
        n.RNN(2, 3, 2, bias=False, batch_first=True, dropout=0.1, bidirectional=True),
        n.ConvTranspose2d(1, 2, 3, stride=2, output_padding=1),
        n.CrossEntropyLoss(),
        n.MSELoss(),
        n.InstanceNorm1d(3),
        n.AdaptiveAvgPool2d((1, None)),
    ]


@pytest.mark.parametrize("number", range(len(models(nn))))
def test_text_forms(number):
    ours, theirs = repr(models(nn)[number]), repr(models(TN)[number])
    if not ours.startswith(
        ("AvgPool", "EmbeddingBag")
    ):  # PyTorch omits options that change the result
        assert ours.replace("'", "") == theirs.replace("'", "")


def test_a_pretrained_embedding(rng, parity):
    table = rng.normal(size=(5, 3)).astype(np.float32)

    def looked_up(lib, n):
        def run(weight, i):
            layer = n.Embedding.from_pretrained(weight.detach(), freeze=False, padding_idx=1)
            assert not n.Embedding.from_pretrained(weight).weight.requires_grad
            y = layer(i)
            y.sum().backward()
            return y.detach() + layer.weight.grad.sum() + weight

        return run

    parity(looked_up(cr, nn), looked_up(torch, TN), table, np.array([1, 2, 2, 0, 4]))
    with pytest.raises(ValueError, match="matrix"):
        nn.Embedding.from_pretrained(cr.ones(3))


@pytest.mark.parametrize("padding_idx", [None, 1, -1])
def test_embedding(padding_idx, dtype, rng, module_parity):
    ours, theirs = nn.Embedding(5, 3, padding_idx), TN.Embedding(5, 3, padding_idx)
    module_parity(ours, theirs, rng.integers(0, 5, (2, 4)))
    if padding_idx is not None:
        assert not nn.Embedding(5, 3, padding_idx).weight[padding_idx].any()


@pytest.mark.parametrize("momentum", [0.1, None, 1.0, 0.0])
def test_running_statistics_over_several_batches(momentum, dtype, rng):
    ours, theirs = nn.BatchNorm1d(3, momentum=momentum), TN.BatchNorm1d(3, momentum=momentum)
    ours.to(dtype)
    theirs.to(getattr(torch, str(dtype)))
    for i in range(4):
        x = (rng.normal(size=(6, 3)) + i).astype(dtype)
        ours(cr.tensor(x)), theirs(torch.tensor(x))
    for name, value in theirs.state_dict().items():
        # Four float32 batches of six: the same sums in another order.
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-5, atol=1e-6)
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(
        ours(cr.tensor(x)).detach(), theirs(torch.tensor(x)).detach(), rtol=1e-5, atol=1e-6
    )


def networks(n):
    return n.Sequential(
        n.Conv2d(1, 4, 3, padding=1),
        n.BatchNorm2d(4),
        n.ReLU(),
        n.MaxPool2d(2),
        n.Conv2d(4, 8, 3, padding=1, bias=False),
        n.BatchNorm2d(8),
        n.GELU(),
        n.AvgPool2d(2),
        n.Flatten(),
        n.Linear(32, 16),
        n.LayerNorm(16),
        n.Tanh(),
        n.Sequential(n.Linear(16, 8), n.SiLU()),
        n.Dropout(0.0),
        n.Linear(8, 3),
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_whole_network(training, dtype, rng, module_parity):
    x = rng.normal(size=(6, 1, 8, 8)).astype(dtype)
    if dtype == np.float32:
        # Normalization of six examples amplifies float32 rounding; float64 covers the formula.
        pytest.skip("compared in float64")
    module_parity(networks(nn).train(training), networks(TN).train(training), x)


LOSSES = [
    ("CrossEntropyLoss", {}, "labels"),
    ("CrossEntropyLoss", {"ignore_index": 1}, "labels"),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "reduction": "sum"}, "labels"),
    ("NLLLoss", {"reduction": "none"}, "labels"),
    ("BCELoss", {}, "unit"),
    ("BCEWithLogitsLoss", {}, "unit"),
    ("MSELoss", {}, "real"),
    ("MSELoss", {"reduction": "sum"}, "real"),
    ("L1Loss", {}, "real"),
    ("HuberLoss", {}, "real"),
    ("HuberLoss", {"delta": 0.5, "reduction": "none"}, "real"),
    ("SmoothL1Loss", {}, "real"),
    ("SmoothL1Loss", {"beta": 0.5}, "real"),
]


@pytest.mark.parametrize(("name", "options", "kind"), LOSSES)
def test_losses(name, options, kind, dtype, rng, parity):
    x = rng.uniform(0.1, 0.9, (6, 4)).astype(dtype)
    targets = {
        "labels": rng.integers(0, 4, 6),
        "unit": rng.random((6, 4)).astype(dtype),
        "real": rng.normal(size=(6, 4)).astype(dtype),
    }
    parity(getattr(nn, name)(**options), getattr(TN, name)(**options), x, targets[kind])


def test_weights_of_losses_are_state_as_in_pytorch():
    weight = np.array([1.0, 2.0, 3.0], np.float32)
    for name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"):
        ours = getattr(nn, name)(weight=cr.tensor(weight))
        theirs = getattr(TN, name)(weight=torch.tensor(weight))
        assert list(ours.state_dict()) == list(theirs.state_dict())


def test_shared_layers_appear_under_every_path():
    def tied(n, base):
        class Tied(base):
            def __init__(self):
                super().__init__()
                self.first = n.Linear(2, 2)
                self.again = self.first
                self.head = n.Linear(2, 2)
                self.head.weight = self.first.weight

        return Tied()

    ours, theirs = tied(nn, nn.Module), tied(TN, TN.Module)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]


def test_the_order_of_a_state_dict():
    def mixed(n, base, make):
        class Mixed(base):
            def __init__(self):
                super().__init__()
                self.part = n.Linear(1, 1)
                self.register_buffer("first", make(1))
                self.second = n.Parameter(make(1))
                self.register_buffer("third", make(1))

        return Mixed()

    ours, theirs = mixed(nn, nn.Module, cr.zeros), mixed(TN, TN.Module, torch.zeros)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_apply_visits_in_pytorchs_order():
    def order(n):
        names = []
        model = n.Sequential(n.Linear(1, 1), n.Sequential(n.ReLU(), n.Tanh()), n.Sigmoid())
        model.apply(lambda m: names.append(type(m).__name__))
        return names

    assert order(nn) == order(TN)
