"""A17-A20: integers, casts and dtypes, one number at a time."""

import numpy as np
import pytest

import chainrule as cr

LOWEST = -(2**63)


@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_a17_integer_division_by_zero_raises(name, shape):
    x = cr.ones(*shape, dtype="int64")
    with pytest.raises(ValueError, match=r"integer division by zero.*divisor 0 at \(") as caught:
        getattr(cr, name)(x, cr.zeros(*shape, dtype="int64"))
    assert "np." not in str(caught.value)
    with pytest.raises(ValueError, match="integer division by zero"):
        x // 0


def test_a17_integers_divide_to_floats():
    y = cr.tensor([1, -1, 0]) / 0
    assert y.dtype == cr.float32
    np.testing.assert_array_equal(y.numpy(), [np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("shape", [(), (5,)])
def test_a17_the_lowest_integer_by_minus_one_is_defined(shape):
    x = cr.full(shape, LOWEST, dtype="int64")
    assert (x // -1 == LOWEST).all(), "two's complement: it has no positive counterpart"
    assert (x % -1 == 0).all()
    assert (-x == LOWEST).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a18_what_an_integer_cannot_hold_raises(dtype):
    for bad in (np.nan, np.inf, -np.inf):
        x = cr.tensor([1.0, bad], dtype=dtype)
        for target in ("int64", "int8", "uint8"):
            with pytest.raises(ValueError, match=rf"at \(1,\) does not fit into {target}"):
                x.to(target)
    if dtype != "float16":
        with pytest.raises(ValueError, match="fit into int64"):
            cr.tensor(1e30, dtype=dtype).long()
        with pytest.raises(ValueError, match="fit into int64"):
            cr.tensor(2.0**63, dtype=dtype).long()
    assert cr.tensor(-(2.0**63), dtype="float64").long().item() == LOWEST
    with pytest.raises(ValueError, match=r"300 .* fit into uint8"):
        cr.tensor([300]).to("uint8")
    with pytest.raises(ValueError, match="fit into uint8"):
        cr.tensor([-1]).to("uint8")


def test_a18_casts_cut_towards_zero_up_to_the_limits():
    x = cr.tensor([-128.9, -1.5, 1.5, 127.9])
    assert x.to("int8").tolist() == [-128, -1, 1, 127]
    assert cr.tensor([0.0, -0.5, np.nan]).bool().tolist() == [False, True, True]


def test_a19_unsigned_integers_wrap_around():
    assert (cr.tensor([0], dtype="uint8") - 1).item() == 255
    assert (cr.tensor([255], dtype="uint8") + cr.tensor([1], dtype="uint8")).item() == 0


def test_a20_the_dtype_asked_for_is_the_dtype():
    for make in (cr.zeros, cr.ones, cr.rand, cr.randn, cr.empty):
        for dtype in ("float16", "float32", "float64"):
            assert make(2, dtype=dtype).dtype == dtype
            assert make(2, dtype=dtype).exp().sum().dtype == dtype
    assert cr.tensor(np.float64(1)).dtype == cr.tensor([np.float64(1)]).dtype == np.float64
    assert cr.tensor([np.ones(2)]).dtype == np.float64
    with pytest.raises(TypeError, match="does not mix float32 and float64"):
        cr.ones(2) + cr.ones(2, dtype="float64")


def test_powers_of_integers():
    assert (cr.tensor([2, 3]) ** 2).tolist() == [4, 9]
    assert (cr.tensor([2, 3]) ** 0.5).dtype == cr.float32
    with pytest.raises(TypeError, match="power -1"):
        cr.tensor([2]) ** -1
    with pytest.raises(ValueError, match="negative powers"):
        cr.tensor([2]) ** cr.tensor([-1])


def test_booleans_have_no_arithmetic_of_their_own():
    truth = cr.tensor([True, False])
    for call in (lambda: truth - truth, lambda: -truth, lambda: truth.sign(), lambda: truth.relu()):
        with pytest.raises(TypeError, match=r"instead|Use|Convert"):
            call()
    assert (truth + 1).tolist() == [2, 1]
    assert (truth & ~truth | truth ^ truth).tolist() == [False, False]
    with pytest.raises(TypeError, match="bitwise"):
        cr.ones(2) & cr.ones(2)


def test_clamp_refuses_nonsense():
    with pytest.raises(ValueError, match="needs a limit"):
        cr.ones(2).clamp()
    with pytest.raises(TypeError, match="a limit is a number or a tensor"):
        cr.ones(2).clamp(min="0")
    with pytest.raises(TypeError, match=r"`clamp` expected a Tensor.*cr\.tensor"):
        cr.clamp([1.0, 2.0], 0)
    assert cr.tensor([1, 5]).clamp(2, 4).tolist() == [2, 4]


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4,\) do not broadcast"):
        cr.ones(2, 3) + cr.ones(4)


def test_the_gradient_of_broadcasting_is_a_sum():
    a, b = cr.ones(3, 1, requires_grad=True), cr.ones(2, 1, 4, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.tolist() == [[8], [8], [8]]
    assert b.grad.shape == (2, 1, 4) and (b.grad == 3).all()
