"""C1-C18: numbers at the edge of what floats can hold, against mpmath, float64 or known values."""

import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.primitive import registry

mpmath = pytest.importorskip("mpmath")

POINTS = np.array(
    [
        0.0,
        1e-30,
        1e-10,
        1e-5,
        1e-3,
        0.1,
        0.5,
        0.9,
        1.0,
        1.4,
        2.0,
        3.0,
        5.0,
        8.0,
        9.5,
        13.0,
        18.0,
        26.0,
        37.0,
        88.0,
        700.0,
        709.0,
        1e4,
    ]
)
TRUTH = {
    "expm1": (mpmath.expm1, 4),
    "log1p": (mpmath.log1p, 4),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), 4),
    "tanh": (mpmath.tanh, 4),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), 4),
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), 4),
    "erf": (mpmath.erf, 4),
    "normal_cdf": (mpmath.ncdf, 8),
    "normal_pdf": (mpmath.npdf, 8),
    "gelu": (lambda x: x * mpmath.ncdf(x), 8),
}


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_c17_units_in_the_last_place(name, dtype):
    """≤ 4 ulp, 8 where the tail of the normal distribution comes in; no overflow warnings."""
    function, limit = TRUTH[name]
    x = np.concatenate([POINTS, -POINTS]).astype(dtype)
    if name == "log1p":
        x = x[x > -1]
    if name == "expm1":
        x = x[np.abs(x) < np.log(np.finfo(dtype).max)]
    with np.errstate(all="raise"):
        y = registry[name](cr.from_numpy(x)).numpy()
    with mpmath.workdps(60):
        for argument, value in zip(x, y, strict=True):
            truth = function(mpmath.mpf(float(argument)))
            unit = max(float(np.spacing(dtype(abs(truth)))), float(np.finfo(dtype).tiny) * 1e-7)
            error = float(abs(mpmath.mpf(float(value)) - truth)) / unit
            assert error <= limit, f"{name}({argument}) = {value}: {error:.1f} ulp"


def test_c1_softmax_of_large_numbers():
    x = cr.tensor([1e4, 0.0, -1e4])
    assert x.softmax(0).tolist() == [1, 0, 0]
    assert x.log_softmax(0).tolist() == [0, -1e4, -2e4]


def test_c2_softmax_of_a_masked_row_is_nan():
    assert cr.tensor([-np.inf, -np.inf]).softmax(0).isnan().all()


def test_c3_logsumexp_of_minus_infinities():
    x = cr.tensor([-np.inf, -np.inf], requires_grad=True)
    y = x.logsumexp(0)
    y.backward()
    assert y.item() == -np.inf
    assert x.grad.tolist() == [0, 0]


def test_c6_where_nothing_finite_is_right():
    assert cr.tensor([0.0, -1.0]).log().numpy()[0] == -np.inf
    assert cr.tensor(-1.0).log().isnan()
    assert (cr.tensor(0.0) / 0.0).isnan()
    x = cr.tensor(0.0, requires_grad=True)
    x.sqrt().backward()
    assert x.grad.item() == np.inf
    with pytest.raises(FloatingPointError, match="`log` gave NaN or infinity"), cr.detect_anomaly():
        cr.tensor([1.0, -1.0]).log()
    y = cr.tensor(0.0, requires_grad=True).sqrt()
    with pytest.raises(FloatingPointError, match="`div`"), cr.detect_anomaly():
        y.backward()


def test_c7_the_gradient_of_the_branch_not_chosen_and_the_double_where():
    x = cr.tensor([0.0, 2.0], requires_grad=True)
    cr.where(x > 0, x.log(), 0.0).sum().backward()
    assert x.grad.isnan().tolist() == [True, False], "as documented"
    x.grad = None
    cr.where(x > 0, cr.where(x > 0, x, 1.0).log(), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.5]


def test_c8_norm_at_zero_and_std_of_constants():
    for function, point in ((cr.norm, [0.0, 0.0]), (cr.std, [3.0, 3.0])):
        x = cr.tensor(point, requires_grad=True)
        y = function(x)
        y.backward()
        assert y.item() == 0
        assert x.grad.tolist() == [0, 0]


LARGE = {"float16": 2.0**14, "float32": 2.0**126, "float64": 2.0**1022}
SMALL = {"float16": 2.0**-20, "float32": 2.0**-123, "float64": 2.0**-1019}


@pytest.mark.parametrize("size", [LARGE, SMALL])
@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("p", [-2.0, 0.5, 1.5, 2.0, 3.0, 7.0])
def test_c8_norms_at_the_ends_of_the_range(p, dtype, size):
    """‖s·x‖ = s·‖x‖, with the gradient of ‖x‖: whatever |s·x|ᵖ is."""
    unit = cr.tensor([0.5, -0.25, 0.125], dtype=dtype, requires_grad=True)
    x = cr.tensor(unit.detach().numpy() * np.dtype(dtype).type(size[dtype]), requires_grad=True)
    y, expected = x.norm(p), unit.norm(p)
    y.backward()
    expected.backward()
    limit = 128 * float(np.finfo(dtype).eps)  # the power and the root of a number rounded once more
    last = float(np.spacing(y.detach().numpy())) / size[dtype]  # denormals have few digits
    np.testing.assert_allclose(y.item() / size[dtype], expected.item(), rtol=limit, atol=last)
    if p > 0 or size is LARGE:  # else s may be denormal, with few digits
        np.testing.assert_allclose(x.grad.numpy(), unit.grad.numpy(), rtol=limit)


@pytest.mark.parametrize("p", [-1.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_c8_norms_of_rows_with_zeros_have_pytorchs_gradients(p, keepdim):
    torch = pytest.importorskip("torch")
    rows = np.array([[0.0, 3.0, -4.0], [0.0, 0.0, 0.0], [1e-30, 2e-30, 2e-30], [1.0, -2.0, 2.0]])
    x, other = cr.tensor(rows, requires_grad=True), torch.tensor(rows, requires_grad=True)
    y, truth = x.norm(p, 1, keepdim), other.norm(p, 1, keepdim)
    y.sum().backward()
    truth.sum().backward()
    # Some roundings of powers and roots; PyTorch's powers of 1e-30 are close to the end of float64.
    np.testing.assert_allclose(y.detach(), truth.detach(), rtol=1e-13)
    np.testing.assert_allclose(x.grad, other.grad, rtol=1e-13)


def test_c8_second_derivative_of_norm_where_powers_overflow():
    unit, size = np.array([3.0, -4.0]), 1e200
    for p in (2.0, 3.0):
        plain = cr.hessian(lambda x, p=p: x.norm(p))(cr.tensor(unit)).numpy()
        scaled = cr.hessian(lambda x, p=p: x.norm(p))(cr.tensor(unit * size)).numpy()
        np.testing.assert_allclose(scaled * size, plain, rtol=1e-13)


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("size", [LARGE, SMALL])
def test_c8_std_at_the_ends_of_the_range(dtype, size):
    x = cr.tensor(np.array([1, -1], dtype) * np.dtype(dtype).type(size[dtype]), requires_grad=True)
    y = x.std(correction=0)
    y.backward()
    limit = 4 * float(np.finfo(dtype).eps)  # divided by another number, and multiplied again
    np.testing.assert_allclose(y.item(), x[0].item(), rtol=limit)
    np.testing.assert_allclose(x.grad.numpy(), [0.5, -0.5], rtol=limit)


def test_c9_prod_with_zeros_to_second_order():
    x = cr.tensor([0.0, 2.0, 3.0], requires_grad=True)
    x.prod().backward()
    assert x.grad.tolist() == [6, 0, 0]
    assert cr.hessian(lambda x: x.prod())(x.detach()).tolist() == [[0, 3, 2], [3, 0, 0], [2, 0, 0]]
    two_zeros = cr.tensor([0.0, 0.0, 3.0])
    assert cr.grad(lambda x: x.prod())(two_zeros).tolist() == [0, 0, 0]
    assert cr.hessian(lambda x: x.prod())(two_zeros)[0].tolist() == [0, 3, 0]


def test_c10_and_c11_variance_far_from_zero():
    assert cr.full((1000,), 1e8).var().item() == 0
    x = cr.tensor(1e6 + np.arange(1000) % 2, dtype="float32")
    assert x.var(correction=0).item() == 0.25
    np.testing.assert_allclose(x.var().item(), 0.25025, rtol=1e-6)


@pytest.mark.parametrize("shape", [(10**6,), (10**3, 10**3), (10**6, 1), (2, 5 * 10**5)])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_c12_long_sums(shape, layout):
    """In every layout, for NumPy adds pairwise only along what lies together in memory."""
    x = np.full(shape, 0.1, np.float32, order="F" if layout == "F" else "C")
    if layout == "strided":
        x = np.repeat(x, 2, axis=0)[::2]
    total = float(np.float32(0.1)) * 10**6
    t = cr.from_numpy(x)
    assert abs(t.sum().item() / total - 1) < 1e-6
    assert abs(t.sum(0).sum().item() / total - 1) < 1e-6
    assert abs(t.sum(-1).sum().item() / total - 1) < 1e-6
    assert t.mean().item() == np.float32(0.1), "the mean of equal numbers is that number"


def test_c13_long_cumulative_sums():
    x = cr.full((10**6,), 0.1)
    assert abs(x.cumsum(0)[-1].item() / (float(np.float32(0.1)) * 10**6) - 1) < 1e-6


def test_c14_float16_sum_and_mean():
    x = cr.ones(70_000, dtype="float16")
    assert x.sum().item() == np.inf
    assert x.mean().item() == 1
    assert cr.full((2,), 300.0, dtype="float16").norm().item() == np.float16(300 * 2**0.5)
    assert cr.tensor([300.0, -300.0], dtype="float16").std(correction=0).item() == 300


def test_c14_float16_uniform_numbers_are_below_1():
    x = cr.rand(200_000, dtype="float16").numpy()
    assert x.max() == 1 - 2**-11 and x.min() == 0
    assert abs(x.mean(dtype=np.float64) - 0.5) < 0.003  # 4 standard errors


def test_c18_denormals_survive_the_import():
    """No flag of the processor is changed: a sum of denormals is not flushed to zero."""
    code = "import chainrule, numpy as np; x = np.float32(1e-40); assert x + x > x > 0"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (cr.tensor(1e-40) + cr.tensor(1e-40)).item() > 0
