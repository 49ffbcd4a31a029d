"""Module: finding parts, modes, state dicts, copies, errors."""

from __future__ import annotations

import copy
from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError


class Net(nn.Module):
    def __init__(self):
        self.norm = nn.BatchNorm1d(3)
        self.scale = nn.Parameter(cr.ones(3))
        self.register_buffer("offset", cr.zeros(3))
        self.nothing = None
        self.head = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))

    def forward(self, x):
        return self.head(self.norm(x) * self.scale + self.offset)


def test_parts_are_found_in_definition_order():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "norm.weight", "norm.bias", "head.0.weight", "head.0.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers()] == [
        "offset", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    assert [n for n, _ in net.named_modules()] == ["", "norm", "head", "head.0", "head.1"]
    assert [n for n, _ in net.named_children()] == ["norm", "head"]
    assert [n for n, _ in net.named_parameters(prefix="a", recurse=False)] == ["a.scale"]
    assert net.norm in list(net.modules())


def test_modes():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    x = cr.ones(1, 3)
    with pytest.raises(ArgumentError):
        net(x)
    net.eval()(x)


def test_shared_parameters_count_once():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    model = nn.Sequential(a, b, a)
    assert len(list(model.parameters())) == 3
    assert len(list(model.modules())) == 3
    assert "2.weight" in model.state_dict()


def test_plain_lists_of_layers_are_refused():
    class Hidden(nn.Module):
        def __init__(self, parts):
            self.parts = parts

    for parts, word in (([nn.ReLU()], "ModuleList"), ({"a": nn.ReLU()}, "ModuleDict"),
                        ((nn.Parameter(cr.ones(1)),), "ParameterList")):  # fmt: skip
        with pytest.raises(DTypeError, match=word):
            list(Hidden(parts).parameters())


def test_a_parameter_cannot_become_a_plain_tensor():
    layer = nn.Linear(2, 2)
    with pytest.raises(DTypeError, match=r"weight\.assign"):
        layer.weight = cr.zeros(2, 2)
    layer.weight = nn.Parameter(cr.zeros(2, 2))
    layer.weight = None
    assert "weight" not in layer.state_dict()


def test_parameters_own_their_numbers():
    array = np.ones(3, np.float32)
    parameter, buffer = nn.Parameter(array), nn.Buffer(array)
    array[:] = 7
    assert parameter.tolist() == buffer.tolist() == [1, 1, 1]
    assert nn.Parameter([1.0, 2.0]).dtype == cr.float32
    assert parameter.requires_grad
    assert not buffer.requires_grad
    with pytest.raises(DTypeError):
        nn.Parameter(cr.tensor([1, 2]))


def test_names_that_would_hide_something():
    for name in ("forward", "a.b", "", "items"):
        with pytest.raises(ArgumentError, match="cannot name"):
            nn.ModuleDict({name: nn.ReLU()})
    with pytest.raises(DTypeError, match=r"nn\.ReLU\(\)"):
        nn.Sequential(nn.ReLU)
    with pytest.raises(DTypeError, match="no module"):
        nn.Sequential(lambda x: x)


# -- state dicts -----------------------------------------------------------------------------------


def test_a_write_to_an_entry_of_a_state_dict_reaches_the_module():
    net = Net()
    for value in net.state_dict().values():
        value.fill_(2)
    assert all((x == 2).all() for x in [*net.parameters(), *net.buffers()])


def test_a_copy_of_a_state_dict_is_a_snapshot_and_comes_back():
    net, other = Net(), Net()
    state = deepcopy(net.state_dict())
    before = {n: x.numpy().copy() for n, x in state.items()}
    with cr.no_grad():
        for x in [*net.parameters(), *net.buffers()]:
            x.assign(x + 1)
    for name, x in state.items():
        np.testing.assert_array_equal(x, before[name])
    report = other.load_state_dict(state)
    assert report == ([], [])
    for name, x in other.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    with cr.no_grad():
        other.scale.assign(cr.ones(3) * 9)
    np.testing.assert_array_equal(state["scale"], before["scale"])


def test_loaded_arrays_are_copied():
    layer = nn.Linear(2, 2)
    arrays = {n: x.numpy().copy() for n, x in layer.state_dict().items()}
    layer.load_state_dict(arrays)
    arrays["weight"][:] = 99
    assert (layer.weight.detach() != 99).all()


def test_a26_f22_all_problems_in_one_error_and_the_model_unchanged():
    net = Net()
    before = {n: x.numpy().copy() for n, x in net.state_dict().items()}
    state = {n: np.ones_like(x) for n, x in before.items()}
    del state["scale"]
    state["extra"] = np.zeros(1)
    state["offset"] = np.zeros(5, np.float32)
    state["head.0.bias"] = np.zeros(2)
    state["norm.bias"] = "text"
    with pytest.raises(ArgumentError) as caught:
        net.load_state_dict(state)
    problems = (
        "missing: scale", "unexpected: extra", "offset has shape (5,), the model (3,)",
        "head.0.bias has dtype float64, the model float32", "norm.bias is no tensor",
    )  # fmt: skip
    for words in problems:
        assert words in str(caught.value)
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    # Not strict: keys may differ, shapes may not.
    with pytest.raises(ArgumentError, match="offset has shape"):
        net.load_state_dict(state, strict=False)
    for name in ("offset", "head.0.bias", "norm.bias"):
        del state[name]
    report = net.load_state_dict(state, strict=False)
    assert report.missing_keys == ["scale", "offset", "norm.bias", "head.0.bias"]
    assert report.unexpected_keys == ["extra"]
    assert net.head[0].weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_loading_while_a_graph_is_open_leaves_its_gradients_right():
    layer = nn.Linear(2, 2)
    x = cr.ones(1, 2, requires_grad=True)
    weight = layer.weight.detach().clone()
    y = layer(x).sum()
    layer.load_state_dict({n: np.zeros_like(v) for n, v in layer.state_dict().items()})
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), weight.numpy().sum(0, keepdims=True), rtol=1e-6)


def test_conversion_and_gradients():
    net = Net().double()
    assert net.scale.dtype == cr.float64
    assert net.norm.num_batches_tracked.dtype == cr.int64
    net(cr.ones(2, 3, dtype=cr.float64)).sum().backward()
    assert net.scale.grad is not None
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not net.train()(cr.ones(2, 3, dtype=cr.float64)).requires_grad
    with pytest.raises(DTypeError):
        net.to(cr.int64)


def test_deep_copies_are_independent():
    net = Net()
    twin = copy.deepcopy(net)
    with cr.no_grad():
        twin.scale.assign(cr.zeros(3))
    assert net.scale.tolist() == [1, 1, 1]
    assert type(twin.scale) is nn.Parameter
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]


def test_text_form():
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1))) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Dropout(p=0.1)\n"
        ")"
    )


# -- containers ------------------------------------------------------------------------------------


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    model = nn.Sequential(a, b)
    assert model.append(c) is model
    assert [*model] == [a, b, c]
    assert len(model) == 3
    assert model[-1] is c
    part = model[1:]
    assert isinstance(part, nn.Sequential)
    assert [n for n, _ in part.named_children()] == ["1", "2"]
    model[1] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    del model[0]
    assert [n for n, _ in model.named_children()] == ["0", "1"]
    model.insert(0, a)
    assert model[0] is a
    assert model(cr.zeros(5, 2)).shape == (5, 1)
    assert nn.Sequential()(3) == 3
    with pytest.raises(OutOfRangeError, match="position 3"):
        model[3]


def test_sequential_of_named_layers():
    model = nn.Sequential(OrderedDict([("first", nn.Linear(2, 2)), ("second", nn.ReLU())]))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    assert isinstance(model.second, nn.ReLU)


def test_lists_and_dicts_of_modules():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU())
    layers.extend([nn.Tanh(), nn.GELU()])
    assert [n for n, _ in layers.named_children()] == ["0", "1", "2", "3"]
    assert len(layers[1:]) == 3
    layers.insert(0, nn.SiLU())
    assert isinstance(layers[0], nn.SiLU)
    del layers[0]
    layers[1] = nn.ELU()
    assert [type(m).__name__ for m in layers] == ["Linear", "ELU", "Tanh", "GELU"]
    with pytest.raises(NotImplementedError):
        layers(1)
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 2)
    assert table.keys() == ["a", "b"]
    assert [*table] == ["a", "b"]
    assert len(table) == 2
    assert list(table.state_dict()) == ["b.weight", "b.bias"]
    assert dict(table.items())["a"] is table["a"] is table.values()[0]
    del table["a"]
    assert "a" not in table
    with pytest.raises(KeyError):
        table["a"]
    weights = nn.ParameterList([nn.Parameter(cr.ones(2))])
    weights.append(nn.Parameter(cr.zeros(1)))
    assert list(weights.state_dict()) == ["0", "1"]
    with pytest.raises(DTypeError, match=r"nn\.Parameter"):
        weights.append(cr.ones(1))


# -- summary ---------------------------------------------------------------------------------------


def test_summary_counts_and_changes_nothing():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 14 * 14, 10),
    )  # fmt: skip
    model.train()
    model[1].eval()
    model[0].requires_grad_(False)
    modes = [m.training for m in model.modules()]
    before = {n: x.numpy().copy() for n, x in model.state_dict().items()}
    versions = [b._version for b in model.buffers()]
    random = cr.default_generator.state.tolist()
    table = nn.summary(model, (2, 1, 28, 28))
    assert [m.training for m in model.modules()] == modes
    assert cr.default_generator.state.tolist() == random
    assert [b._version for b in model.buffers()] == versions
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    rows = {row.path: row for row in table.rows}
    pixels = 2 * 4 * 28 * 28
    assert rows["0"].flops == 2 * pixels * 9 + pixels  # products and bias
    assert rows["3"].flops == 2 * 4 * 14 * 14 * 4
    assert rows["4"].flops == 0
    assert rows["6"].flops == 2 * 2 * 784 * 10 + 20
    assert rows["6"].output == "(2, 10)"
    assert rows["0"].memory == pixels * 4
    assert table.parameters == 40 + 8 + 7850
    assert table.trainable == 8 + 7850
    for words in ("Conv2d", "(2, 4, 14, 14)", "7,898", "40 are frozen"):
        assert words in str(table)


def test_summary_of_integers_several_inputs_and_shared_parts():
    class Two(nn.Module):
        def __init__(self):
            self.table = nn.Embedding(10, 4)
            self.mix = nn.Linear(4, 4)
            self.again = self.mix
            self.unused = nn.Linear(1, 1)

        def forward(self, i, x):
            noise = cr.randn(4)
            return self.again(self.mix(self.table(i))) + x + noise

    model, random = Two(), cr.default_generator
    before = random.state.tolist()
    table = nn.summary(model, cr.spec(2, 3, dtype=cr.int64), cr.zeros(4))
    assert random.state.tolist() == before
    rows = {row.path: row for row in table.rows}
    assert rows["mix"].flops == 2 * (2 * 24 * 4 + 24)
    assert table.parameters == 40 + 20 + 2
    assert "not called" in str(table)
    assert "not called" in str(nn.summary(model))
    with pytest.raises(ArgumentError, match="shape, a spec"):
        nn.summary(model, "64x784")


def test_summary_puts_the_modes_back_after_an_error():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="3 features"):
        nn.summary(model, (1, 3))
    assert model.training
    assert model[0].training
    assert model(cr.zeros(1, 2)).requires_grad
