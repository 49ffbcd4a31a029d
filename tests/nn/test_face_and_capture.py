"""The public face is documented, and what is captured computes what eager computes."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn import init

pytestmark = pytest.mark.usefixtures("references")


@pytest.mark.parametrize("name", nn.__all__)
def test_public_names_of_nn_are_documented(name):
    value = getattr(nn, name)
    assert inspect.getdoc(value)
    if inspect.isclass(value) and name not in ("Buffer", "Parameter", "Summary"):
        assert ">>>" in value.__doc__, f"{name} has no example"


@pytest.mark.parametrize("name", F.__all__)
def test_public_functions_are_documented(name):
    function = getattr(F, name)
    assert function.__doc__
    if inspect.isfunction(function) and name != "scaled_dot_product_attention":
        assert ">>>" in function.__doc__, f"{name} has no example"


def test_initializers_are_documented():
    for name, function in inspect.getmembers(init, inspect.isfunction):
        assert function.__doc__ or name.startswith("_"), name


@pytest.mark.parity
def test_arguments_have_pytorchs_names_and_defaults():
    torch = pytest.importorskip("torch")
    for name in F.__all__:
        theirs = getattr(torch.nn.functional, name, None)
        if not inspect.isfunction(getattr(F, name)) or not inspect.isfunction(theirs):
            continue
        wanted = inspect.signature(theirs).parameters
        if "args" in wanted:  # one that chooses between two functions
            continue
        for parameter in inspect.signature(getattr(F, name)).parameters.values():
            if parameter.name in ("generator",):
                continue
            assert parameter.name in wanted, f"{name}({parameter.name})"
            assert parameter.default == wanted[parameter.name].default, f"{name} {parameter}"


class Reader(nn.Module):
    """Looks up, attends and classifies."""

    def __init__(self):
        self.table = nn.Embedding(7, 8, padding_idx=0)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3, bias=False)

    def forward(self, i):
        x = self.norm(self.table(i))
        x = x + F.scaled_dot_product_attention(x, x, x, is_causal=True)
        return self.head(x).transpose(1, 2)


def image_net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.BatchNorm2d(4, momentum=None),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(4, 3),
    )


IMAGES = np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32)
CASES = [
    (image_net, nn.CrossEntropyLoss(), IMAGES, np.array([0, 1, 2, -100, 2, 0])),
    (image_net, nn.CrossEntropyLoss(label_smoothing=0.1), IMAGES, np.array([0, 1, 2, 1, 2, 0])),
    (
        image_net,
        nn.BCEWithLogitsLoss(pos_weight=cr.tensor([1.0, 2.0, 3.0])),
        IMAGES,
        np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 2, 0]],
    ),
    (image_net, nn.HuberLoss(), IMAGES, np.ones((6, 3), np.float32)),
    (
        Reader,
        nn.CrossEntropyLoss(ignore_index=0),
        np.array([[1, 2, 0], [3, 6, 5]]),
        np.array([[1, 2, 0], [0, 1, 1]]),
    ),
]


@pytest.mark.parametrize(("make", "loss", "x", "t"), CASES)
def test_a_captured_step_has_the_bits_of_eager(make, loss, x, t):
    cr.manual_seed(1)
    model = make()
    twin, x, t = copy.deepcopy(model), cr.tensor(x), cr.tensor(t)

    def step_of(net):
        def step(x, t):
            net.zero_grad()
            value = loss(net(x), t)
            value.backward()
            with cr.no_grad():
                for p in net.parameters():
                    p.assign(p - p.grad * 0.1)
            return value

        return step

    eager, compiled = step_of(model), cr.compile(step_of(twin))
    cr.manual_seed(2)
    expected = [eager(x, t).item() for _ in range(3)]
    cr.manual_seed(2)
    assert [compiled(x, t).item() for _ in range(3)] == expected
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], value, err_msg=name)
