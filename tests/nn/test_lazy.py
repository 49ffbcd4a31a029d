"""Lazy layers become the layers that their first input asks for, as in PyTorch."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest
from tests.nn.table import LAYERS

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import UninitializedError
from chainrule.nn.parameter import is_lazy

torch = pytest.importorskip("torch")
TN = torch.nn
pytestmark = pytest.mark.parity

ROWS = [row for row in LAYERS if hasattr(nn, f"Lazy{row.name}")]
NAMES = [name for name in nn.__all__ if name.startswith("Lazy")]


def made(row):
    """The lazy layer with all options of the complete layer of a row."""
    complete, layer = getattr(nn, row.name), getattr(nn, f"Lazy{row.name}")
    given = inspect.signature(complete).bind(*row.args, **row.options)
    given.apply_defaults()
    del given.arguments[layer.inferred]
    return layer(**given.arguments)


def test_there_is_a_lazy_layer_for_each_of_pytorchs():
    assert set(NAMES) == {name for name in dir(TN) if name.startswith("Lazy")}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_lazy_layer_becomes_the_complete_one(row, rng):
    (x,) = row.arrays(rng, np.float32)
    cr.manual_seed(3)
    complete = row.make(nn)
    cr.manual_seed(3)
    layer = made(row)
    kept = dict(layer.named_parameters())
    assert all(map(is_lazy, kept.values()))
    text = repr(layer)
    y = layer(cr.tensor(x))
    assert type(layer) is type(complete) and repr(layer) == repr(complete) != text
    assert y.tolist() == complete(cr.tensor(x)).tolist()
    assert vars(layer).keys() == vars(complete).keys()
    for name, parameter in layer.named_parameters():
        assert parameter is kept[name] and type(parameter) is nn.Parameter
        assert parameter.tolist() == complete.get_parameter(name).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_options_and_defaults_are_pytorchs(name):
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(lib, name)).parameters.values()
            if p.name not in ("device", "dtype")
        ]
        for lib in (nn, TN)
    )
    assert ours == theirs


def model():
    return nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Tanh(), nn.LazyLinear(1))


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.Adadelta], ids=lambda x: x.__name__)
def test_an_optimizer_may_be_made_before_the_first_call(make):
    def losses(early):
        cr.manual_seed(0)
        net, x = nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.LazyLinear(1)), cr.ones(5, 3)
        if not early:
            net(x)
        optimizer = make(net.parameters(), lr=0.1)
        found = []
        for _ in range(3):
            loss = net(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    assert losses(True) == losses(False)


def test_what_a_parameter_without_a_shape_refuses():
    layer = nn.LazyLinear(3)
    for use in (
        lambda: layer.weight.shape,
        lambda: layer.weight.sum(),
        lambda: layer.weight.detach().numpy(),
        lambda: layer.weight.tolist(),
        lambda: nn.init.zeros_(layer.weight),
        lambda: sum(p.numel() for p in layer.parameters()),
    ):
        with pytest.raises(UninitializedError, match="Call the model once"):
            use()
    assert repr(layer.weight) == "<UninitializedParameter>"
    with pytest.raises(ValueError, match="LazyConv2d has no dimension -3"):
        nn.LazyConv2d(3, 2)(cr.ones(5))
    with pytest.raises(TypeError, match=r"expected: LazyLinear\(out_features"):
        nn.LazyLinear()
    with pytest.raises(TypeError, match=r"cr\.tensor"):
        nn.LazyLinear(3)([[1.0]])


def test_an_input_that_does_not_fit_leaves_the_layer_lazy():
    layer = nn.LazyConv2d(3, 2)
    with pytest.raises(ValueError, match="no dimension"):
        layer(cr.ones(2, 2))
    assert layer.has_uninitialized_params() and type(layer) is nn.LazyConv2d


def test_a_capture_needs_parameters():
    net = model()
    with pytest.raises(UninitializedError, match="before it is compiled"):
        cr.compile(lambda x: net(x))(cr.ones(2, 3))
    net(cr.ones(2, 3))
    assert cr.compile(lambda x: net(x))(cr.ones(2, 3)).shape == (2, 1)


def test_conversion_copies_and_modes_come_before_the_first_call():
    net = model().double().eval().requires_grad_(False)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net):
        assert twin(cr.ones(2, 3, dtype=cr.float64)).dtype == cr.float64
        assert not twin.training and not any(p.requires_grad for p in twin.parameters())
    assert {x.dtype for x in net.parameters()} == {np.dtype(np.float64)}


def test_a_state_dict_gives_the_shapes():
    source, target = model(), model()
    y = source.eval()(cr.ones(2, 3))
    state = source.state_dict()
    with pytest.raises(ValueError, match=r"missing: 0\.weight"):
        target.load_state_dict({"3.bias": state["3.bias"]})
    assert is_lazy(target[3].bias)
    target.load_state_dict(state)
    assert target.eval()(cr.ones(2, 3)).tolist() == y.tolist()
    assert type(target[0]) is nn.Linear and target[0].in_features == 3


def test_materialize():
    parameter = nn.UninitializedParameter(dtype=cr.float64)
    parameter.materialize((2, 3))
    assert type(parameter) is nn.Parameter and parameter.shape == (2, 3)
    assert parameter.dtype == cr.float64 and parameter.requires_grad
    buffer = nn.UninitializedBuffer()
    buffer.materialize((2,))
    assert type(buffer) is nn.Buffer and not buffer.requires_grad
