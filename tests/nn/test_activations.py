"""Activations equal PyTorch's: values and derivatives of both orders, names, options, text."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import activations
from chainrule.nn import functional as F
from chainrule.nn.function_layer import FunctionLayer

torch = pytest.importorskip("torch")
TF, TN = torch.nn.functional, torch.nn
pytestmark = pytest.mark.parity

LAYERS = [
    layer
    for layer in vars(activations).values()
    if inspect.isclass(layer)
    and issubclass(layer, nn.Module)
    and layer.__module__ == activations.__name__
]
OPTIONS = {
    "leaky_relu": [{"negative_slope": 0.3}],
    "elu": [{"alpha": 0.5}],
    "celu": [{"alpha": 2.0}],
    "gelu": [{"approximate": "tanh"}],
    "softplus": [{"beta": 2.0}, {"beta": 0.5, "threshold": 1.0}],
    "hardtanh": [{"min_val": -3.0, "max_val": 0.5}],
    "hardshrink": [{"lambd": 1.0}],
    "softshrink": [{"lambd": 0.0}, {"lambd": 2.0}],
    "rrelu": [{"lower": 0.1, "upper": 0.1}],
}
REQUIRED = {
    "threshold": [{"threshold": 1.0, "value": 9.0}, {"threshold": -1.0, "value": 0.5}],
    "softmax": [{"dim": 0}, {"dim": -1}],
    "log_softmax": [{"dim": 0}, {"dim": -1}],
    "softmin": [{"dim": 0}, {"dim": -1}],
}
FUNCTIONS = [layer.function.__name__ for layer in LAYERS if issubclass(layer, FunctionLayer)]
CASES = [
    (name, options)
    for name in FUNCTIONS
    for options in REQUIRED.get(name, [{}]) + OPTIONS.get(name, [])
]
KINKS = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 6.0]
FAR = [1e-8, -1e-8, 20.5, -20.5, 88.0, -88.0, 709.0, -709.0, 1e4, -1e4]


# PyTorch's own hardsigmoid multiplies its gradient by 1/6 rounded to float32, in float64 too.
THEIRS = {"hardsigmoid": lambda x: TF.relu6(x + 3) / 6}


def both(name, options):
    theirs = THEIRS.get(name, getattr(TF, name))
    return lambda x: getattr(F, name)(x, **options), lambda x: theirs(x, **options)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4), (0, 4)])
def test_values_and_gradients(name, options, shape, dtype, rng, parity):
    parity(*both(name, options), rng.normal(size=shape, scale=3).astype(dtype))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_where_a_formula_bends_or_overflows(name, options, dtype, parity):
    values = KINKS + ([] if "dim" in options or name == "glu" else FAR)
    parity(*both(name, options), np.array(values[: len(values) // 2 * 2], dtype))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_second_derivatives(name, options, rng):
    x = rng.normal(size=(4, 6), scale=3)
    ours, theirs = both(name, options)
    u, v = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (g,) = cr.grad((ours(u) ** 2).sum(), [u], create_graph=True)
    (h,) = torch.autograd.grad((theirs(v) ** 2).sum(), v, create_graph=True)
    (g,), (h,) = cr.grad((g * g).sum(), [u]), torch.autograd.grad((h * h).sum(), v)
    np.testing.assert_allclose(g, h.numpy(), rtol=1e-9, atol=1e-10)  # sums of float64


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in (*REQUIRED, "glu")])
def test_infinities_and_nan(name, dtype):
    x = np.array([np.inf, -np.inf, np.nan], dtype)
    expected = getattr(TF, name)(torch.tensor(x, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(getattr(F, name)(cr.tensor(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("shared", [True, False])
def test_prelu(shape, shared, dtype, rng, parity, module_parity):
    channels = 1 if shared or len(shape) < 2 else shape[1]
    x, w = rng.normal(size=shape).astype(dtype), rng.normal(size=channels).astype(dtype)
    x.flat[0] = 0
    parity(F.prelu, TF.prelu, x, w)
    module_parity(nn.PReLU(channels, 0.1), TN.PReLU(channels, 0.1), x)
    with pytest.raises(ValueError, match="one weight"):
        F.prelu(cr.tensor(x), cr.ones(7, dtype=dtype))


def test_gumbel_softmax_draws_from_the_distribution(rng):
    cr.manual_seed(0)
    x = cr.tensor(np.log([0.1, 0.2, 0.7]), requires_grad=True)
    hard = F.gumbel_softmax(x.expand(2000, 3), tau=0.5, hard=True)
    # 2,000 draws: a frequency lies within four standard errors of its probability.
    np.testing.assert_allclose(hard.mean(0).detach(), [0.1, 0.2, 0.7], atol=4 * 0.5 / 2000**0.5)
    assert sorted(set(hard.detach().numpy().round(12).ravel())) == [0, 1]
    (found,) = cr.grad((hard[:50] * cr.tensor([1.0, 2.0, 3.0], dtype=cr.float64)).sum(), [x])
    cr.manual_seed(0)
    soft = F.gumbel_softmax(x.expand(2000, 3), tau=0.5)
    (wanted,) = cr.grad((soft[:50] * cr.tensor([1.0, 2.0, 3.0], dtype=cr.float64)).sum(), [x])
    np.testing.assert_allclose(found, wanted, rtol=1e-9)  # the same sum of float64
    assert F.gumbel_softmax(cr.ones(2, 3), dim=0).sum(0).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match="tau"):
        F.gumbel_softmax(x, tau=0.0)


def test_softmax2d(dtype, rng, parity):
    for shape in ((2, 3, 4, 5), (3, 4, 5)):
        parity(nn.Softmax2d(), TN.Softmax2d(), rng.normal(size=shape).astype(dtype))
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        nn.Softmax2d()(cr.ones(2, 3))


def test_rrelu_draws_a_slope_for_each_element():
    x = cr.tensor([-1.0] * 1000 + [2.0])
    cr.manual_seed(0)
    y = nn.RReLU(0.2, 0.4)(x).numpy()
    slopes = -y[:-1]
    assert y[-1] == 2
    assert slopes.min() >= 0.2
    assert slopes.max() < 0.4
    # 1,000 draws: the mean lies within four standard errors of 0.3.
    assert abs(slopes.mean() - 0.3) < 4 * 0.2 / np.sqrt(12 * 1000)
    np.testing.assert_array_equal(nn.RReLU(0.2, 0.4).eval()(x)[0], np.float32(-0.3))


# -- the layers ------------------------------------------------------------------------------------


def made(layer, module=None):
    options = REQUIRED.get(layer.function.__name__, [{}])[0] if hasattr(layer, "function") else {}
    return getattr(module, layer.__name__)(**options) if module else layer(**options)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: x.__name__)
def test_layers_are_pytorchs(layer, rng, module_parity):
    ours, theirs = made(layer), made(layer, TN)
    module_parity(ours.eval(), theirs.eval(), rng.normal(size=(2, 3, 4)).astype(np.float32))
    assert repr(ours) == repr(theirs)
    wanted = inspect.signature(getattr(TN, layer.__name__)).parameters
    found = inspect.signature(layer).parameters
    without = ("args", "kwargs", "device", "dtype", "min_value", "max_value")  # the last are old
    wanted = {name: p.default for name, p in wanted.items() if name not in without}
    assert {name: p.default for name, p in found.items() if name not in without} == wanted


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: x.__name__)
def test_layers_are_ordinary_classes(layer):
    one = made(layer)
    for twin in (
        pickle.loads(pickle.dumps(one)) if not [*one.parameters()] else one,
        copy.deepcopy(one),
    ):
        assert type(twin) is layer is getattr(nn, layer.__name__)
        assert repr(twin) == repr(one)
    assert layer.__doc__.split("\n")[0].startswith(("y = ", "yᵢ = ", "softmax "))
    assert f">>> {layer.__name__}(" in layer.__doc__


IN_PLACE = [layer for layer in LAYERS if "inplace" in inspect.signature(layer).parameters]


@pytest.mark.parametrize("layer", [*IN_PLACE, nn.Dropout], ids=lambda x: x.__name__)
def test_inplace_writes_into_the_input(layer, rng):
    numbers = rng.normal(size=(2, 3), scale=3)
    options = REQUIRED.get(layer.function.__name__, [{}])[0]

    def run(lib, n):
        make = getattr(n, layer.__name__)
        x = lib.tensor(numbers, requires_grad=True)
        h = x * 2
        row = h[1]
        y = make(**options, inplace=True).eval()(row)
        (h * h).sum().backward()
        z = x.detach() * 1
        make(**options).eval()(z)
        return y is row, h.detach(), x.grad, z

    ours, theirs = run(cr, nn), run(torch, TN)
    assert ours[0] == theirs[0]
    for found, wanted in zip(ours[1:], theirs[1:], strict=True):
        # The gradient of PyTorch's hardsigmoid is rounded to float32.
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-7)


def test_inplace_in_a_compiled_function():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(0), nn.SiLU(inplace=True))
    x = cr.tensor([[-1.0, 2.0]])
    assert cr.compile(lambda x: model(x * 1))(x).tolist() == model(x * 1).tolist()
    assert x.tolist() == [[-1, 2]]


def test_dropout_in_place():
    x = cr.ones(100)
    y = nn.Dropout(0.5, inplace=True)(x)
    assert y is x
    assert sorted(set(x.tolist())) == [0, 2]


def test_inplace_refuses_a_leaf_that_requires_gradients():
    with pytest.raises(RuntimeError, match="leaf"):
        nn.ReLU(inplace=True)(cr.ones(1, requires_grad=True))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: x.__name__)
@pytest.mark.parametrize("input", [[[1.0, 2.0]], np.ones((3, 1, 2), np.float32)])
def test_what_is_no_tensor(layer, input):
    with pytest.raises(TypeError, match=r"cr\.tensor"):
        made(layer)(input)


def test_options_are_attributes():
    layer = nn.LeakyReLU(0.2)
    assert layer.negative_slope == 0.2
    layer.negative_slope = 0.5
    assert layer(cr.tensor([-1.0])).tolist() == [-0.5]
    assert repr(layer) == "LeakyReLU(negative_slope=0.5)"
    with pytest.raises(AttributeError, match="LeakyReLU has no attribute 'slope'"):
        layer.slope  # noqa: B018


def test_a_changed_option_reaches_compiled_functions():
    layer, x = nn.Sequential(nn.LeakyReLU(0.2)), cr.tensor([-1.0])
    run = cr.compile(lambda x: layer(x))
    assert run(x).item() == pytest.approx(-0.2)
    layer[0].negative_slope = 0.5
    assert run(x).item() == -0.5


def test_a_layer_may_be_subclassed():
    class Leaky(nn.LeakyReLU):
        def __init__(self):
            super().__init__(negative_slope=0.5)

        def forward(self, input):
            return super().forward(input) * 2

    assert Leaky()(cr.tensor([-1.0])).tolist() == [-1]


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_without_a_dimension_softmax_warns_and_takes_pytorchs(name, rng):
    for shape in ((), (3,), (2, 3), (2, 3, 4), (2, 3, 1, 2)):
        x = rng.normal(size=shape)
        with pytest.warns(UserWarning, match="dim=-1"):
            y = getattr(F, name)(cr.tensor(x))
        with pytest.warns(UserWarning, match="Implicit"):
            t = getattr(TF, name)(torch.tensor(x))
        np.testing.assert_allclose(y, t.numpy(), rtol=1e-12)  # one float64 rounding or two
    with pytest.warns(UserWarning, match="dim=-1"):
        nn.Softmax()(cr.ones(2))


def test_softmax_of_another_dtype():
    y = F.softmax(cr.tensor([1, 2]), dim=0, dtype=cr.float64)
    np.testing.assert_allclose(y, TF.softmax(torch.tensor([1, 2]), dim=0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nn.CELU(0.0), "alpha"),
        (lambda: nn.Softshrink(-1.0), "lambd"),
        (lambda: nn.Hardtanh(1.0, -1.0), "min_val"),
        (lambda: nn.RReLU(0.5, 0.1), "lower"),
        (lambda: nn.PReLU(0), "num_parameters"),
        (lambda: nn.GLU()(cr.ones(3)), "size 3"),
    ],
)
def test_options_without_a_meaning(make, word):
    with pytest.raises(ValueError, match=word):
        make()
