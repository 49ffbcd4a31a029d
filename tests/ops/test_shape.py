"""A12, A13 and the errors of what moves elements; order statistics, contractions."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.ops.rules import physical_memory

HUGE = 10**15


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.reshape(5),
        lambda x: x.reshape(-1, 5),
        lambda x: x.reshape(-1, -1),
        lambda x: x.reshape(-2, -6),
        lambda x: cr.zeros(0, 3).reshape(-1, 0),
        lambda x: x.view(7, 2),
    ],
)
def test_a12_reshape_to_what_does_not_fit(call):
    with pytest.raises(ValueError, match=r"cannot reshape .* elements"):
        call(cr.ones(3, 4))


def test_a12_what_minus_one_stands_for():
    assert cr.ones(3, 4).reshape(-1).shape == (12,)
    assert cr.zeros(0, 3).reshape(-1, 3).shape == (0, 3)
    assert cr.zeros(2, 0).reshape(0, 5).shape == (0, 5)


A13 = {
    "zeros": lambda n: cr.zeros(n, n),
    "ones": lambda n: cr.ones(n),
    "empty": lambda n: cr.empty(n),
    "full": lambda n: cr.full((n,), 1.0),
    "rand": lambda n: cr.rand(n),
    "randn": lambda n: cr.randn(n),
    "randint": lambda n: cr.randint(0, 9, (n,)),
    "randperm": lambda n: cr.randperm(n),
    "eye": lambda n: cr.eye(n),
    "linspace": lambda n: cr.linspace(0, 1, n),
    "expand": lambda n: cr.ones(1).expand(n, n),
    "tile": lambda n: cr.ones(3).tile(n),
    "pad": lambda n: cr.pad(cr.ones(3), (0, n)),
    "spec": lambda n: cr.spec(n, n),
}


@pytest.mark.parametrize("name", A13)
def test_a13_sizes_beyond_memory_and_below_zero(name):
    """Before memory is touched; products beyond 2⁶³ do not wrap around."""
    for n in (HUGE, 2**40, 2**62):
        with pytest.raises(MemoryError, match="GiB"):
            A13[name](n)
    with pytest.raises(ValueError, match="negative"):
        A13[name](-2)


def test_a13_more():
    with pytest.raises(MemoryError):
        cr.arange(HUGE)
    with pytest.raises(ValueError, match="finite"):
        cr.arange(float("inf"))
    with pytest.raises(MemoryError):
        cr.zeros(2**31, 2**31, 2**31)
    with pytest.raises(MemoryError):
        cr.ones(1, 1).tile(2**32, 2**32)
    with pytest.raises(TypeError):
        cr.zeros(2.5)
    assert cr.zeros(2**40, 0).shape == (2**40, 0), "nothing is nothing"
    assert physical_memory() > 2**20


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.permute(0, 0), ValueError, "names every dimension once"),
        (lambda x: x.permute(0, 2), IndexError, "dimension 2"),
        (lambda x: x.sum(2), IndexError, "dimension 2 .* 2 dimensions"),
        (lambda x: x.sum((0, 0)), ValueError, "twice"),
        (lambda x: x.sum(0.5), TypeError, "integer"),
        (lambda x: x.expand(3, 5), ValueError, "size 1"),
        (lambda x: x.expand(4), ValueError, "size 1"),
        (lambda x: x.split(0), ValueError, "at least 1"),
        (lambda x: x.split([1, 1]), ValueError, "add up"),
        (lambda x: x.chunk(0), ValueError, "at least 1"),
        (lambda x: x.flatten(1, 0), ValueError, "starts after"),
        (lambda x: x.roll((1, 2), 0), ValueError, "one shift per dimension"),
        (lambda x: x.topk(5), ValueError, "k = 5"),
        (lambda x: x.view(np.int32), TypeError, "not the dtype"),
        (lambda x: x[0].mT, ValueError, "matri"),
        (lambda x: x[0].tril(), ValueError, "matrix"),
        (lambda x: cr.cat([]), ValueError, "at least one"),
        (lambda x: cr.cat([x, 1.0]), TypeError, "sequence of tensors"),
        (lambda x: cr.cat([x, cr.ones(2, 5)]), ValueError, "equal sizes elsewhere"),
        (lambda x: cr.cat([x, x.double()]), TypeError, "does not mix"),
        (lambda x: cr.stack([x, x.T]), ValueError, "one shape"),
        (lambda x: cr.stack([np.ones(2)]), TypeError, r"cr\.tensor"),
        (lambda x: cr.pad(x, (1,)), ValueError, "before, after"),
        (lambda x: cr.pad(x.long(), (1, 0), 0.5), TypeError, "padded with 0.5"),
        (lambda x: x @ cr.ones(3, 2), ValueError, r"\(3, 4\) by \(3, 2\)"),
        (lambda x: x @ cr.tensor(1.0), ValueError, "0-d"),
        (lambda x: x @ 2, TypeError, "two tensors"),
        (lambda x: x @ x.T.double(), TypeError, "one dtype"),
        (lambda x: cr.einsum("ij,jk->ik", x), ValueError, "2 operands"),
        (lambda x: cr.einsum("ii", x), ValueError, "stands for two sizes"),
        (lambda x: cr.einsum("ij,ij->k", x, x), ValueError, "in the output letters of operands"),
        (lambda x: cr.einsum("ij,jk", x, x), ValueError, "two sizes"),
        (lambda x: x.gather(1, cr.zeros(3, 4)), ValueError, "integers"),
        (lambda x: x.long().mean(), TypeError, "float"),
        (lambda x: x.to("cuda"), TypeError, "CPU"),
        (lambda x: x.to("complex64"), TypeError, "not supported"),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call(cr.ones(3, 4))


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_a8_no_extreme_of_nothing(name):
    with pytest.raises(ValueError, match="empty tensor: there is no identity"):
        getattr(cr.zeros(0), name)()
    with pytest.raises(ValueError, match="no identity"):
        getattr(cr.zeros(3, 0), name)(1)
    assert cr.zeros(0, 3).argmax(1).shape == (0,)


def test_a9_the_mean_of_nothing_is_nan():
    assert cr.zeros(0).mean().isnan()
    assert cr.zeros(0).sum().item() == 0
    assert cr.zeros(0).prod().item() == 1


def test_order_of_a_0d_tensor():
    x = cr.tensor(3.0)
    assert x.sort()[0].item() == x.topk(1)[0].item() == x.max(0)[0].item() == 3
    assert x.argsort().item() == x.argmax().item() == 0


def test_dimensions_may_be_numpy_integers():
    x = cr.ones(3, 4)
    assert x.sum(np.int64(1)).shape == (3,)
    assert x.reshape(np.int64(12)).shape == x.reshape((np.int64(12),)).shape == (12,)
    assert x.permute(np.array([1, 0]).tolist()).shape == (4, 3)
