"""Elementwise functions give what PyTorch gives: values, gradients, dtypes, infinities and NaN."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from tests.ops.parity import array, compare, numbers, second_order

import chainrule as cr

pytestmark = pytest.mark.parity

UNARY = {
    # name: the range of its inputs
    "acos": (-1, 1),
    "acosh": (1, 4),
    "asin": (-1, 1),
    "asinh": (-3, 3),
    "atanh": (-1, 1),
    "deg2rad": (-90, 90),
    "digamma": (-3, 3),
    "erfc": (-3, 3),
    "erfinv": (-1, 1),
    "exp2": (-3, 3),
    "frac": (-3, 3),
    "isneginf": (-1, 1),
    "isposinf": (-1, 1),
    "isreal": (-1, 1),
    "lgamma": (-3, 3),
    "i0": (-25, 25),
    "log10": (0, 3),
    "log2": (0, 3),
    "logical_not": (-1, 1),
    "logit": (0, 1),
    "nan_to_num": (-3, 3),
    "positive": (-3, 3),
    "rad2deg": (-3, 3),
    "reciprocal": (-3, 3),
    "signbit": (-3, 3),
    "sinc": (-3, 3),
}
SPECIAL = {
    # name in torch.special: the range of its inputs
    "entr": (0, 3),
    "erfcx": (-3, 40),
    "i0e": (-30, 30),
    "i1": (-25, 25),
    "i1e": (-30, 30),
    "log_ndtr": (-40, 3),
    "ndtri": (0, 1),
}
BINARY = {
    # name: the ranges of its inputs
    "atan2": [(-2, 2), (-3, 3)],
    "copysign": [(-2, 2), (-3, 3)],
    "fmax": [(-2, 2), (-3, 3)],
    "div": [(-2, 2), (-3, 3)],
    "float_power": [(0, 3), (-2, 2)],
    "fmin": [(-2, 2), (-3, 3)],
    "fmod": [(-5, 5), (-3, 3)],
    "heaviside": [(-2, 2), (-3, 3)],
    "hypot": [(-2, 2), (-3, 3)],
    "isclose": [(-2, 2), (-3, 3)],
    "logaddexp": [(-2, 2), (-3, 3)],
    "logaddexp2": [(-2, 2), (-3, 3)],
    "logical_and": [(-2, 2), (-3, 3)],
    "logical_or": [(-2, 2), (-3, 3)],
    "logical_xor": [(-2, 2), (-3, 3)],
    "rsub": [(-2, 2), (-3, 3)],
    "xlogy": [(-2, 2), (0, 3)],
}
CALLS = {
    # name: (function of (library, tensors...), shapes of the inputs)
    "addcdiv": (lambda m, x, a, b: m.addcdiv(x, a, b, value=0.5), (3, 4), (4,), (3, 1)),
    "addcmul": (lambda m, x, a, b: m.addcmul(x, a, b, value=-2), (3, 1), (4,), (3, 4)),
    "clamp by tensors": (lambda m, x, a, b: m.clamp(x, a, b), (3, 4), (4,), (3, 1)),
    "clamp by one": (lambda m, x, a: m.clamp(x, max=a), (3, 4), (3, 4)),
    "clamp at ties": (lambda m, x: m.clamp(x, x, x), (3, 4)),
    "div down": (lambda m, x, a: m.div(x, a, rounding_mode="floor"), (3, 4), (4,)),
    "div towards 0": (lambda m, x, a: m.div(x, a, rounding_mode="trunc"), (3, 4), (4,)),
    "lerp": (lambda m, x, a: m.lerp(x, a, 0.3), (3, 4), (4,)),
    "lerp far": (lambda m, x, a: m.lerp(x, a, 0.8), (3, 4), (4,)),
    "lerp by tensor": (lambda m, x, a, w: m.lerp(x, a, w), (3, 4), (4,), (3, 1)),
    "logit of limits": (lambda m, x: m.logit(x, eps=0.2), (3, 4)),
    "nan_to_num": (lambda m, x: m.nan_to_num(x / 0, nan=1.0, posinf=2.0), (3, 4)),
    "ldexp": (lambda m, x: m.ldexp(x, m.tensor([0, 1, 5])), (4, 3)),
    "frexp": (lambda m, x: m.frexp(x), (3, 4)),
    "mvlgamma": (lambda m, x: m.mvlgamma(x.abs() + 2, 3), (3, 4)),
    "nextafter": (lambda m, x, y: m.nextafter(x.detach(), y.detach()), (3, 4), (4,)),
    "number power": (lambda m, x: m.pow(2, x), (3, 4)),
    "polygamma": (lambda m, x: m.polygamma(2, x.abs() + 0.3), (3, 4)),
    "trigamma": (lambda m, x: m.polygamma(1, x), (3, 4)),
    "xlogy at 0": (lambda m, x, y: m.xlogy(x * 0, y.abs()), (3,), (3,)),
    "xlogy of number": (lambda m, x: m.xlogy(x, 2.0), (3,)),
}
ROUGH = {"digamma": 1e-8, "trigamma": 1e-8}
"""PyTorch's own ψ⁽¹⁾ has nine digits."""
SHAPES = [(3, 4), (), (0, 3)]
PAIRS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2,)), ((0, 3), (3,))]
ODD = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, shape):
    low, high = UNARY[name]
    x = numbers(shape, low=low, high=high)
    compare(lambda m, x: getattr(m, name)(x), [x], ROUGH.get(name))
    if len(shape) == 2:
        compare(lambda m, x: getattr(m, name)(x.T), [x], ROUGH.get(name))


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, shapes):
    ranges = zip(shapes, BINARY[name], (0, 1), strict=True)
    arrays = [numbers(s, seed, low, high) for s, (low, high), seed in ranges]
    gradients = name not in ("heaviside",)  # PyTorch has no derivative of it
    compare(lambda m, x, y: getattr(m, name)(x, y), arrays, gradients=gradients)


def special(name):
    return lambda m, *xs: getattr(m if m is cr else m.special, name)(*xs)


@pytest.mark.parametrize("name", SPECIAL)
def test_special(name):
    low, high = SPECIAL[name]
    # PyTorch's approximations are good to some ten digits, and the values span many powers of e.
    compare(special(name), [numbers((3, 4), low=low, high=high)], 1e-9)
    compare(special(name), [ODD], 1e-9, gradients=False)
    second_order(special(name), [numbers((3,), low=max(low, -4), high=min(high, 4))])


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    function, *shapes = CALLS[name]
    arrays = [numbers(shape, seed) for seed, shape in enumerate(shapes)]
    compare(function, arrays, ROUGH.get(name))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_dtypes_are_pytorchs(name, dtype):
    """The dtype of the result and its values, where PyTorch takes such inputs."""
    x = np.array([1, 3, 2]).astype(dtype)
    arrays = [x] if name in UNARY else [x, np.array([2, 1, 2]).astype(dtype)]
    try:
        wanted = getattr(torch, name)(*map(torch.tensor, arrays))
    except RuntimeError as error:
        pytest.skip(f"PyTorch: {error}")
    found = array(getattr(cr, name)(*map(cr.tensor, arrays)))
    assert found.dtype == array(wanted).dtype
    close = 4e-3 if dtype == "float16" else 1e-5  # a few roundings; NaN at the same places
    np.testing.assert_allclose(found, array(wanted), rtol=close, atol=close)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_infinities_and_nan_are_pytorchs(name):
    if name in UNARY:
        compare(lambda m, x: getattr(m, name)(x), [ODD], gradients=False)
    else:
        compare(lambda m, x: getattr(m, name)(x[:, None], x), [ODD], gradients=False)


@pytest.mark.parametrize(
    "name", [n for n in (*UNARY, *BINARY) if not n.startswith(("is", "logical", "sign", "heav"))]
)
def test_second_order(name):
    ranges = [UNARY[name]] if name in UNARY else BINARY[name]
    arrays = [numbers((3,), seed, low, high) for seed, (low, high) in enumerate(ranges)]
    if name in ("frac", "fmod"):  # 1 or trunc(a / b): constant, which is not differentiated again
        return
    second_order(lambda m, *xs: getattr(m, name)(*xs), arrays)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_polygamma_is_scipys(n):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(0.01, 30, 50), [1e-3, 100.0, 1e6]])
    found = cr.polygamma(n, cr.tensor(x)).numpy()
    np.testing.assert_allclose(found, special.polygamma(n, x), rtol=1e-12)  # roundings of a sum


INTEGERS = [np.array([7, -7, 5, 0]), np.array([2, 3, -4, 5])]


@pytest.mark.parametrize(
    "call",
    [
        lambda m, a, b: m.div(a, b, rounding_mode="trunc"),
        lambda m, a, b: m.div(a, b, rounding_mode="floor"),
        lambda m, a, b: m.fmod(a, b),
        lambda m, a, b: m.gcd(a, b),
        lambda m, a, b: m.lcm(a, b),
        lambda m, a, b: m.bitwise_left_shift(a, b.abs()),
        lambda m, a, b: m.bitwise_right_shift(a, b.abs()),
        lambda m, a, b: m.bitwise_right_shift(a, b.abs() + 70),
        lambda m, a, b: m.clamp(a, min=1.5),
        lambda m, a, b: m.clamp(a, b, b + 1),
        lambda m, a, b: m.clamp(a, max=2),
        lambda m, a, b: m.copysign(a, -1),
        lambda m, a, b: m.pow(a, 2.5),
        lambda m, a, b: m.pow(2, b.abs()),
        lambda m, a, b: m.isclose(a, b),
        lambda m, a, b: [m.equal(a, b), m.equal(a, a), m.allclose(a, a), m.allclose(a, b)],
    ],
)
def test_integers(call):
    compare(call, INTEGERS)


def test_close_nan_and_dtypes():
    x = np.array([1.0, np.nan, np.inf])
    compare(lambda m, x: [m.isclose(x, x), m.isclose(x, x, equal_nan=True)], [x], gradients=False)
    with pytest.raises(TypeError, match="one dtype"):
        cr.isclose(cr.ones(2), cr.ones(2, dtype=int))


def test_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match="unknown rounding mode; given: up"):
        cr.div(cr.ones(2), 2, rounding_mode="up")
