"""Tensors as Python objects: what they convert to, refuse, print, copy; A4, A15, A16, A24."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn


def test_what_it_is():
    x = cr.ones(2, 3)
    assert (x.shape, x.ndim, x.dtype, x.size(), x.size(1), x.dim(), x.numel()) == (
        (2, 3),
        2,
        np.float32,
        (2, 3),
        3,
        2,
        6,
    )
    assert x.is_leaf and not x.requires_grad and x.device == "cpu" and len(x) == 2
    assert x.spec == cr.spec(2, 3)
    with pytest.raises(TypeError, match="0-d"):
        len(cr.tensor(1.0))
    with pytest.raises(TypeError, match="0-d"):
        iter(cr.tensor(1.0))


def test_a_tensor_is_made_around_an_array():
    for bad in ([1.0], 1.0, "x", None, np.float32(1)):
        with pytest.raises(TypeError, match=r"cr\.tensor\(x\)"):
            cr.Tensor(bad)


def test_numbers_out():
    x = cr.tensor([1.5])
    assert (float(x), int(x), x.item(), x.tolist()) == (1.5, 1, 1.5, [1.5])
    assert [10, 20][cr.tensor(1)] == 20
    with pytest.raises(TypeError, match="integer tensor"):
        [10, 20][cr.tensor(1.0)]
    with pytest.raises(ValueError, match="one element"):
        cr.ones(2).item()


def test_a24_truth():
    assert bool(cr.tensor([3])) and not cr.tensor(0.0)
    for n in (0, 2):
        with pytest.raises(ValueError, match=f"{n} elements is ambiguous.*any"):
            bool(cr.ones(n))


def test_numpy_is_a_read_only_view():
    x = cr.ones(3)
    array = x.numpy()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    x.assign(cr.zeros(3))
    assert array.tolist() == [1, 1, 1], "a snapshot"
    assert np.array(x).flags.writeable
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.array(x, np.float64, copy=False)
    with pytest.raises(RuntimeError, match="detach"):
        cr.ones(1, requires_grad=True).numpy()


def test_dlpack_shares_memory():
    x = cr.from_dlpack(np.arange(3.0))
    assert np.from_dlpack(x).tolist() == [0, 1, 2]


@pytest.mark.parity
def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch")
    source = torch.arange(3.0)
    assert cr.from_dlpack(source).tolist() == cr.tensor(source).tolist() == [0, 1, 2]
    assert torch.from_dlpack(cr.arange(3)).tolist() == [0, 1, 2]


def test_a4_arrays_are_refused_with_the_fix():
    x, a = cr.ones(2), np.ones(2, np.float32)
    calls = [
        lambda: x + a,
        lambda: a + x,
        lambda: x * a,
        lambda: a / x,
        lambda: x @ a,
        lambda: a @ x,
        lambda: x == a,
        lambda: a < x,
        lambda: cr.maximum(x, a),
        lambda: cr.exp(a),
        lambda: x.__add__([1.0, 2.0]),
        lambda: cr.where(x > 0, a, x),
        lambda: cr.matmul(a, a),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"cr\.tensor\(x\)"):
            call()
    for bad in ("text", None, object(), 1j):
        with pytest.raises(TypeError):
            x + bad
    assert (np.float64(2) * x).dtype == np.float32, "NumPy's scalars are weak too"


@pytest.mark.parametrize(
    "make",
    [
        lambda a: np.broadcast_to(a[:1], (4, 3)),
        lambda a: a[::-1],
        lambda a: a.T,
        lambda a: a.astype(">f4"),
        lambda a: np.asfortranarray(a),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 3),
    ],
    ids=["broadcast", "reversed", "transposed", "swapped", "fortran", "misaligned"],
)
def test_a15_a16_arrays_of_any_layout(make):
    array = make(np.arange(12, dtype=np.float32).reshape(4, 3))
    array.flags.writeable = False
    before = array.copy()
    for x in (cr.from_numpy(array), cr.tensor(array)):
        assert x.dtype == np.float32 and x.dtype.isnative
        np.testing.assert_array_equal(x.numpy(), before)
        np.testing.assert_array_equal((x * 2).sum(0).numpy(), (before * 2).sum(0))
    x[0] = 9.0
    x.add_(1.0)
    assert (x[0] == 10).all()
    for write in (lambda x: x.add_(1.0), lambda x: x[0].zero_(), lambda x: x.detach().zero_()):
        with pytest.raises(RuntimeError, match=r"cr\.tensor\(array\)"):
            write(cr.from_numpy(array))
    np.testing.assert_array_equal(array, before)


def test_from_numpy_refuses_what_tensors_cannot_hold():
    for bad in (
        np.array(["a"]),
        np.ones(2, np.uint32),
        np.ones(2, complex),
        np.ones(2, object),
        np.ones(2, np.longdouble),
    ):
        with pytest.raises(TypeError, match=r"not supported.*float32"):
            cr.from_numpy(bad)
    with pytest.raises(TypeError, match=r"cr\.tensor"):
        cr.from_numpy([1.0])


def test_requires_grad():
    with pytest.raises(TypeError, match=r"only floating.*float\(\)"):
        cr.ones(2, dtype="int64").requires_grad_()
    y = cr.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad_(False)
    assert not cr.ones(2, requires_grad=True).requires_grad_(False).requires_grad
    assert not (cr.ones(2, requires_grad=True) > 0).requires_grad
    with pytest.raises(ValueError, match="shape of its tensor"):
        cr.ones(2).grad = cr.ones(3)


def test_iteration_and_membership():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    first, _ = x
    first.sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0]]
    assert 3.0 in x and 5.0 not in x
    assert (x == None) is False  # noqa: E711
    assert len({x, x}) == 1


def test_text():
    assert repr(cr.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(cr.ones(1, dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(cr.ones(1, requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(cr.ones(1, requires_grad=True) * 2) == "tensor([2.], from=mul)"
    assert repr(cr.zeros(0, 3)) == "tensor([], shape=(0, 3))"
    assert f"{cr.tensor(1.25):.1f} {cr.tensor(2)} {cr.tensor([3])}" == "1.2 2 tensor([3])"
    with pytest.raises(TypeError, match="one number"):
        f"{cr.ones(2):.1f}"


def test_html():
    page = cr.tensor([[1.0, 2.5], [float("nan"), 4.0]], requires_grad=True)._repr_html_()
    assert "<td>2.5</td>" in page and "<td>nan</td>" in page and "requires grad" in page
    assert "<td>1234567</td>" in cr.tensor([1234567])._repr_html_()
    assert "<td>True</td>" in cr.tensor([True])._repr_html_()
    assert "first 10 rows" in cr.zeros(20, 3)._repr_html_()
    assert cr.zeros(0, 3)._repr_html_() and cr.tensor(1.0)._repr_html_()
    assert "<pre>" in cr.zeros(2, 2, 2)._repr_html_()


def test_deep_copies():
    x = cr.tensor([1.0], requires_grad=True)
    (x * 2.0).sum().backward()
    a, b = copy.deepcopy((x, x))
    assert a is b and a.requires_grad and a.grad.tolist() == [2]
    a.grad.zero_()
    with cr.no_grad():
        a.assign(cr.zeros(1))
    assert x.tolist() == [1] and x.grad.tolist() == [2]
    with pytest.raises(RuntimeError, match="clone"):
        copy.deepcopy(x * 2.0)


def test_deep_copies_of_parameters_keep_what_is_shared():
    layer = nn.Linear(2, 2)
    layer.weight.note = ["mine"]
    copied, shared = copy.deepcopy([layer.weight, layer.weight])
    assert copied is shared and type(copied) is type(layer.weight)
    assert copied.note == ["mine"] and copied.note is not layer.weight.note


OPERATORS = ("+=", "-=", "*=", "/=", "//=", "%=", "**=")


@pytest.mark.parametrize("operator", OPERATORS)
def test_augmented_assignment_is_in_place(operator):
    x = cr.tensor([4.0, 8.0])
    scope = {"x": x}
    exec(f"x {operator} 2", scope)
    assert scope["x"] is x
    assert x.tolist() == [eval(f"a {operator[:-1]} 2", {"a": a}) for a in (4.0, 8.0)]
    leaf = cr.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no_grad"):
        exec(f"x {operator} 2", {"x": leaf})
    with cr.no_grad():
        exec(f"x {operator} 2", {"x": leaf})
    assert leaf.requires_grad and leaf.is_leaf


def test_in_place_methods_assign():
    x = cr.tensor([1.0, 2.0])
    same = x.add_(1.0).mul_(2.0).sub_(cr.ones(2), alpha=2)
    assert same is x and x.tolist() == [2, 4]
    x.copy_(cr.tensor(7))
    assert x.tolist() == [7, 7] and x.dtype == np.float32


def test_conversions():
    x = cr.ones(2)
    assert x.float() is x and x.to("cpu") is x and x.cpu() is x and x.contiguous() is x
    assert [y.dtype.name for y in (x.double(), x.half(), x.long(), x.int(), x.bool())] == [
        "float64",
        "float16",
        "int64",
        "int32",
        "bool",
    ]
    assert x.type_as(cr.ones(1, dtype="float64")).dtype == np.float64
    assert x.view_as(cr.ones(2, 1)).shape == (2, 1)
    assert x.to(dtype=cr.float16).dtype == cr.float16


def test_special_numbers_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        big = cr.full((2,), 3e38)
        assert (big + big).isinf().all() and (big * big).isinf().all()
        assert (big - big * 10).isinf().all()
        assert (cr.tensor(1e39)).isinf()
        assert (cr.ones(1, dtype="float16") * 1e6).isinf().all()


def test_tensors_are_pickled_with_gradient_and_shared_once():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.detach().assign(np.float32([5, 6]))  # written once: where is not pickled
    y, again = pickle.loads(pickle.dumps([x, x]))
    assert y is again
    assert (y.tolist(), y.grad.tolist(), y.requires_grad) == ([5, 6], [2, 4], True)
    y.detach().fill_(0)
    assert x.tolist() == [5, 6]
    with pytest.raises(cr.ChainruleError, match=r"x\.detach\(\)"):
        pickle.dumps(x * 2)
