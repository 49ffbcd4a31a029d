"""Starting values: distributions, PyTorch's defaults, reproducibility, bad arguments."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import init

# A Kolmogorov-Smirnov test of a right distribution fails with this probability; the seed is fixed,
# so a test that passes keeps passing.
LEAST_P = 1e-3


def follows(tensor, distribution):
    numbers = tensor.detach().numpy().ravel().astype(np.float64)
    assert stats.kstest(numbers, distribution.cdf).pvalue > LEAST_P


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


def test_distributions():
    cr.manual_seed(1)
    x = cr.zeros(200, 50)
    follows(init.uniform_(x, -1.0, 3.0), stats.uniform(-1, 4))
    follows(init.normal_(x, 2.0, 0.5), stats.norm(2, 0.5))
    follows(init.trunc_normal_(x, 1.0, 2.0, -1.0, 2.0), stats.truncnorm(-1, 0.5, 1, 2))
    follows(init.trunc_normal_(x, 0.0, 1.0, 1.5, 3.0), stats.truncnorm(1.5, 3))
    follows(init.trunc_normal_(x, a=8.0, b=9.0), stats.truncnorm(8, 9))
    sparse = init.sparse_(x, 0.25, std=2.0).numpy()
    assert ((sparse == 0).sum(0) == 50).all()
    follows(cr.tensor(sparse[sparse != 0]), stats.norm(0, 2))
    follows(init.xavier_uniform_(x, gain=2.0), uniform(2 * math.sqrt(6 / 250)))
    follows(init.xavier_normal_(x), stats.norm(0, math.sqrt(2 / 250)))
    follows(init.kaiming_uniform_(x), uniform(math.sqrt(6 / 50)))
    follows(
        init.kaiming_uniform_(x, mode="fan_out", nonlinearity="linear"), uniform(math.sqrt(3 / 200))
    )
    follows(init.kaiming_normal_(x, nonlinearity="relu"), stats.norm(0, math.sqrt(2 / 50)))


def test_a_convolution_with_dirac_returns_its_input():
    for groups in (1, 2):
        layer = nn.Conv2d(4, 4, 3, padding=1, groups=groups, bias=False)
        init.dirac_(layer.weight, groups)
        x = cr.randn(2, 4, 5, 5)
        assert layer(x).tolist() == x.tolist()


def test_a_wrong_distribution_is_noticed():
    cr.manual_seed(1)
    x = init.uniform_(cr.zeros(200, 50), -1.0, 1.0)
    assert stats.kstest(x.numpy().ravel(), uniform(1.1).cdf).pvalue < LEAST_P


def test_defaults_of_layers_are_pytorchs():
    cr.manual_seed(2)
    layer = nn.Linear(50, 200)
    follows(layer.weight, uniform(1 / math.sqrt(50)))
    follows(layer.bias, uniform(1 / math.sqrt(50)))
    conv = nn.Conv2d(8, 64, (3, 5), groups=2)
    follows(conv.weight, uniform(1 / math.sqrt(4 * 15)))
    follows(conv.bias, uniform(1 / math.sqrt(4 * 15)))
    follows(nn.Embedding(100, 50).weight, stats.norm(0, 1))
    norm = nn.BatchNorm2d(3)
    assert norm.weight.tolist() == [1, 1, 1]
    assert norm.bias.tolist() == norm.running_mean.tolist() == [0, 0, 0]
    assert norm.running_var.tolist() == [1, 1, 1]
    assert norm.num_batches_tracked.item() == 0
    assert norm.num_batches_tracked.dtype == np.int64


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (4, 2, 3)])
def test_orthogonal(shape):
    q = init.orthogonal_(cr.zeros(shape, dtype=cr.float64), gain=2.0).numpy()
    q = q.reshape(shape[0], -1)
    small = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    # QR in float64: orthogonal to a few ulp.
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_constants():
    x = cr.zeros(2, 3)
    assert init.constant_(x, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.ones_(x).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(x).tolist() == [[0.0] * 3] * 2
    assert init.eye_(x).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parity
def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    convolutions = ("conv1d", "conv2d", "conv_transpose3d")
    for name in ("linear", *convolutions, "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_a_seed_makes_a_model_and_leaves_other_generators_alone():
    def make():
        return nn.Sequential(nn.Linear(3, 4), nn.Conv2d(1, 2, 3), nn.Embedding(3, 2))

    np.random.seed(0)
    random.seed(0)
    numpys, pythons = np.random.get_state()[1].copy(), random.getstate()
    cr.manual_seed(7)
    first = make().state_dict()
    cr.manual_seed(7)
    again = make().state_dict()
    other = make().state_dict()
    nn.Dropout(0.5)(cr.ones(10))
    for name in first:
        assert (first[name] == again[name]).all()
    assert any((first[name] != other[name]).any() for name in first)
    assert (np.random.get_state()[1] == numpys).all()
    assert random.getstate() == pythons


def test_a_generator_of_ones_own():
    a = init.normal_(cr.zeros(4), generator=cr.Generator(3))
    b = init.normal_(cr.zeros(4), generator=cr.Generator(3))
    before = cr.default_generator.state.tolist()
    assert (a == b).all()
    assert cr.default_generator.state.tolist() == before


def test_parameters_are_written_without_recording():
    layer = nn.Linear(2, 2)
    init.ones_(layer.weight)
    assert layer.weight.is_leaf
    assert layer.weight.requires_grad


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: init.uniform_(cr.zeros(2), 1.0, 0.0), ArgumentError, "range is empty"),
        (lambda: init.normal_(cr.zeros(2), 0.0, -1.0), ArgumentError, "deviation is negative"),
        (lambda: init.trunc_normal_(cr.zeros(2), a=1.0, b=0.0), ArgumentError, "a < b"),
        (lambda: init.trunc_normal_(cr.zeros(2), std=0.0), ArgumentError, "std > 0"),
        (lambda: init.dirac_(cr.zeros(2, 2)), ShapeError, "convolution"),
        (lambda: init.dirac_(cr.zeros(4, 2, 3), groups=3), ArgumentError, "3 of 4"),
        (lambda: init.sparse_(cr.zeros(2), 0.5), ShapeError, "matrix"),
        (lambda: init.sparse_(cr.zeros(2, 2), 1.5), ArgumentError, "between 0 and 1"),
        (lambda: init.eye_(cr.zeros(2)), ShapeError, "matrices"),
        (lambda: init.xavier_uniform_(cr.zeros(2)), ShapeError, "fan_in"),
        (lambda: init.orthogonal_(cr.zeros(2)), ShapeError, "2 dimensions"),
        (lambda: init.kaiming_normal_(cr.zeros(2, 2), mode="fan"), ArgumentError, "fan_in"),
        (lambda: init.calculate_gain("swish"), ArgumentError, "swish"),
    ],
)
def test_bad_arguments(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
