"""Clipping by norm and by value, and gradients that are not finite (FAULTS C20)."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, NonFiniteError


def with_gradients(*gradients):
    parameters = []
    for g in gradients:
        parameters.append(cr.zeros(*np.shape(g), requires_grad=True))
        parameters[-1].grad = cr.tensor(g)
    return parameters


def test_a_large_norm_is_scaled_and_a_small_one_kept():
    parameters = with_gradients([3.0, 0.0], [[4.0]])
    assert optim.clip_grad_norm_(parameters, 10.0).item() == 5.0
    assert [p.grad.tolist() for p in parameters] == [[3.0, 0.0], [[4.0]]]
    assert optim.clip_grad_norm_(iter(parameters), 1.0).item() == 5.0
    # 10⁻⁶ in the denominator, float32
    assert optim.clip_grad_norm_(parameters, 1.0).item() == pytest.approx(1.0, rel=1e-6)
    assert parameters[0].grad.requires_grad is False


def test_the_denominator_is_kept_from_zero():
    (w,) = with_gradients([1e-6])
    optim.clip_grad_norm_(w, 1e-6)
    assert w.grad.item() == pytest.approx(0.5e-6, rel=1e-6)  # float32
    (w,) = with_gradients([0.0])
    optim.clip_grad_norm_(w, 0.0)
    assert w.grad.item() == 0.0


def test_one_tensor_and_no_gradient():
    (w,) = with_gradients([3.0, 4.0])
    assert optim.clip_grad_norm_(w, 0.5).item() == 5.0
    w.grad = None
    assert optim.clip_grad_norm_([w], 1.0).item() == 0.0
    assert optim.clip_grad_norm_([], 1.0).item() == 0.0
    assert optim.clip_grad_value_(w, 1.0) is None and w.grad is None


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("size", [1e-30, 1e30, 3e38])
def test_norms_whose_powers_leave_float32(size, p):
    parameters = with_gradients([size, 0.0], [-size / 2])
    norm = optim.clip_grad_norm_(parameters, 1.0, norm_type=p).item()
    with np.errstate(over="ignore"):
        expected = np.float32(np.linalg.norm([size, size / 2], p))
    assert norm == pytest.approx(float(expected), rel=1e-6)


def test_float16_gradients():
    (w,) = with_gradients([0.0])
    w = cr.tensor(np.zeros(4, np.float16), requires_grad=True)
    w.grad = cr.tensor(np.full(4, 300, np.float16))  # squares beyond 65,504
    assert optim.clip_grad_norm_([w], 1.0).item() == 600.0
    np.testing.assert_allclose(w.grad.numpy(), 0.5, rtol=1e-3)  # float16 has 11 bits


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_c20_gradients_that_are_not_finite(bad):
    parameters = with_gradients([1.0, 2.0], [3.0, bad])
    before = [p.grad for p in parameters]
    with pytest.raises(NonFiniteError, match=r"gradient 1, of shape \(2,\), is not finite"):
        optim.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert all(p.grad is g for p, g in zip(parameters, before, strict=True))
    norm = optim.clip_grad_norm_(parameters, 1.0)
    assert np.isnan(norm.item()) if np.isnan(bad) else norm.item() == float("inf")


def test_c20_nan_with_the_maximum_norm():
    parameters = with_gradients([float("nan"), 2.0], [3.0])
    with pytest.raises(NonFiniteError):
        optim.clip_grad_norm_(parameters, 1.0, float("inf"), error_if_nonfinite=True)


def test_c20_a_norm_beyond_the_dtype():
    parameters = with_gradients([3e38, 3e38])
    with pytest.raises(NonFiniteError, match="beyond float32"):
        optim.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_clip_value():
    (w,) = with_gradients([3.0, -3.0, 0.5, float("nan"), -float("inf")])
    optim.clip_grad_value_([w], 1)
    np.testing.assert_array_equal(w.grad.numpy(), np.float32([1, -1, 0.5, np.nan, -1]))


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_limits_that_make_no_sense(limit):
    (w,) = with_gradients([1.0])
    with pytest.raises(ArgumentError, match="max_norm"):
        optim.clip_grad_norm_([w], limit)
    with pytest.raises(ArgumentError, match="clip_value"):
        optim.clip_grad_value_([w], limit)
    with pytest.raises(ArgumentError, match="norm_type"):
        optim.clip_grad_norm_([w], 1.0, norm_type=0)
