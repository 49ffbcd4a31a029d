"""Tensors from numbers, lists and arrays; A14."""

import numpy as np
import pytest

import chainrule as cr


def test_dtypes():
    assert cr.tensor(1).dtype == cr.tensor([1, 2]).dtype == cr.int64
    assert cr.tensor(1.0).dtype == cr.tensor([1, 2.5]).dtype == cr.tensor([]).dtype == cr.float32
    assert cr.tensor(True).dtype == cr.bool
    assert cr.tensor(np.ones(2)).dtype == cr.float64
    assert cr.tensor(np.ones(2, ">f4")).dtype == cr.float32
    assert cr.tensor([1.5], dtype=cr.float16).dtype == cr.float16
    assert cr.tensor(cr.ones(2, dtype="float64")).dtype == cr.float64
    for bad in ("complex64", "U3", "uint32", object, "nonsense"):
        with pytest.raises(TypeError, match=r"not supported.*float32"):
            cr.zeros(2, dtype=bad)


def test_a_copy():
    array = np.zeros(2, np.float32)
    x = cr.tensor(array)
    array[0] = 1
    assert x.tolist() == [0, 0]
    y = cr.tensor(x, requires_grad=True)
    assert y.requires_grad and y is not x


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([[1, 2], [3]], ValueError, r"ragged at \[1\]: length 1, before it length 2"),
        ([[1, 2], 3], ValueError, r"ragged at \[1\]: a number, before it length 2"),
        ([[[1], [2]], [[3], [4, 5]]], ValueError, r"ragged at \[1\]\[1\]: length 2"),
        ([1, "a"], TypeError, r"'a' at \[1\]"),
        ([[1.0], [None]], TypeError, r"None at \[1, 0\]"),
        ("text", TypeError, "numbers: 'text'"),
        (None, TypeError, "None"),
        (1j, TypeError, "complex"),
        (np.array(["a", "b"]), TypeError, r"'a'.* at \[0\]"),
        pytest.param(np.array([object()]), TypeError, "object", id="objects"),
        (np.datetime64("2020-01-01"), TypeError, "datetime"),
        (2**70, ValueError, "does not fit into int64"),
        ([0, -(2**70)], ValueError, r"at \[1\] does not fit into int64"),
    ],
    ids=repr,
)
def test_a14_what_is_no_tensor_of_numbers(data, error, words):
    with pytest.raises(error, match=words):
        cr.tensor(data)


def test_a14_lists_of_tensors():
    with pytest.raises(TypeError, match=r"cr\.stack"):
        cr.tensor([cr.ones(1), cr.ones(1)])


def test_a14_a_list_that_contains_itself():
    loop = []
    loop.append(loop)
    with pytest.raises((ValueError, TypeError)):
        cr.tensor(loop)


def test_a18_numbers_that_the_dtype_cannot_hold():
    for data, dtype in (([1, 300], "uint8"), ([0.0, np.nan], "int64"), ([0, 1e30], "int64")):
        with pytest.raises(ValueError, match=rf"at \(1,\) does not fit into {dtype}"):
            cr.tensor(data, dtype=dtype)
    with pytest.raises(ValueError, match="fit into uint8"):
        cr.full((2,), 300, dtype="uint8")
    with pytest.raises(TypeError, match="does not go into"):
        cr.full((2,), 0.5, dtype="int64")


def test_filled():
    assert cr.zeros(2, 3).shape == cr.ones((2, 3)).shape == cr.empty([2, 3]).shape == (2, 3)
    assert cr.zeros().shape == () and cr.full((), 2.0).item() == 2
    assert cr.full(3, 7).dtype == cr.int64 and cr.full((2,), True).dtype == cr.bool
    x = cr.ones(2, dtype="float64")
    assert cr.zeros_like(x).dtype == cr.ones_like(x).dtype == cr.full_like(x, 3).dtype == x.dtype
    assert cr.zeros_like(x, dtype="int8").dtype == cr.int8
    assert cr.ones(2, requires_grad=True).requires_grad


def test_ranges():
    assert cr.arange(3).tolist() == [0, 1, 2] and cr.arange(3).dtype == cr.int64
    assert cr.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert cr.arange(5, 0, -2).tolist() == [5, 3, 1] and cr.arange(5, 0).shape == (0,)
    assert cr.arange(2.0).dtype == cr.float32 and cr.arange(2, dtype="int8").dtype == cr.int8
    assert cr.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert cr.linspace(0, 1, 0).shape == (0,)
    assert cr.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    for bad in ((), (1, 2, 0), (float("nan"),)):
        with pytest.raises(ValueError, match="arange"):
            cr.arange(*bad)


@pytest.mark.parity
def test_ranges_are_pytorchs():
    torch = pytest.importorskip("torch")
    for bounds in ((5,), (2, 7), (0.0, 1.0, 0.1), (1, -2, -0.5)):
        ours, theirs = cr.arange(*bounds), torch.arange(*bounds)
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        # Both step in float64 and round to float32 at the end.
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
