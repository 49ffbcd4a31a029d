"""Module: finding parts, modes, state dicts, copies, errors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError


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
        "scale",
        "norm.weight",
        "norm.bias",
        "head.0.weight",
        "head.0.bias",
    ]
    assert [n for n, _ in net.named_buffers()] == [
        "offset",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
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
    with pytest.raises(DTypeError, match="no module; given: function"):
        nn.Sequential(lambda x: x)


def test_deep_copies_are_independent():
    net = Net()
    twin = copy.deepcopy(net)
    with cr.no_grad():
        twin.scale.assign(cr.zeros(3))
    assert net.scale.tolist() == [1, 1, 1]
    assert type(twin.scale) is nn.Parameter
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]


def test_text_form():
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1))
    model.inner = nn.ModuleList([nn.ReLU(inplace=True)])
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Dropout(p=0.1, inplace=False)\n"
        "  (inner): ModuleList(\n"
        "    (0): ReLU(inplace=True)\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv1d(3, 4, 3, padding="same"), "3, 4, kernel_size=(3,), stride=(1,), padding='same'"),
        (nn.CrossEntropyLoss(label_smoothing=0.1), "label_smoothing=0.1"),
        (nn.MultiheadAttention(4, 2), ""),
    ],
    ids=lambda x: type(x).__name__,
)
def test_options_in_the_text_form(layer, text):
    assert layer.extra_repr() == text


def test_the_text_form_of_a_module_of_ones_own():
    class Scale(nn.Module):
        def __init__(self, width, depth=2, name="a", data=None, mean=None, *, seed=0):
            self.width, self.depth, self.data, self.mean = width, depth, cr.zeros(3), mean

        @property
        def name(self):
            return "not shown"

    class Terse(Scale):
        shown = "width"

    class Told(Scale):
        def extra_repr(self):
            return "told"

    model = nn.Sequential(Scale(3), Terse(4), Terse(4, 5), Told(1))
    assert [repr(m) for m in model] == [
        "Scale(width=3, depth=2)",
        "Terse(4)",
        "Terse(4, depth=5)",
        "Told(told)",
    ]


# -- summary ---------------------------------------------------------------------------------------


def test_summary_counts_and_changes_nothing():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 14 * 14, 10),
    )
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
