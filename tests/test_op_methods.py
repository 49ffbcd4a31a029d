"""The methods of Tensor that are ops: derived from the records, and as PyTorch's."""

import importlib
import inspect
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.op_methods import OpMethods
from chainrule.primitive import Primitive, operations

METHODS = {name: value for name, value in vars(OpMethods).items() if not name.startswith("__")}
IN_PLACE = sorted(
    name
    for name, method in METHODS.items()
    if name.endswith("_") and getattr(operations.get(name[:-1]), "in_place_form", False)
)
OPS = [
    name.removeprefix("chainrule.ops.")
    for name in cr.ops.__doc__.split("`")[1::2]
    if hasattr(importlib.import_module(f"chainrule.ops.{name}"), "__all__")
]


@pytest.mark.parametrize("file", OPS)
def test_the_face_shows_what_the_files_of_ops_show(file):
    module = importlib.import_module(f"chainrule.ops.{file}")
    for name in module.__all__:
        assert getattr(cr, name) is getattr(module, name)


def test_every_public_op_of_a_tensor_is_a_method():
    public = [name for name, op in operations.items() if getattr(cr, name, None) is op]
    assert len(public) > 80
    for name in public:
        takes = inspect.signature(operations[name]).parameters
        assert (name in METHODS) == ("input" in takes), name
        if "input" in takes:
            parameters = list(inspect.signature(getattr(cr.ones(1), name)).parameters)
            assert parameters == [p for p in takes if p != "input"], name


def test_public_names_of_tensors_are_those_of_pytorch():
    """Mathematics' names are for formulas: nobody calls cr.exp(x=...)."""
    for name in METHODS:
        op = operations.get(name)
        if op is not None:
            assert not {"x", "a", "b"} & set(inspect.signature(op).parameters), name


def test_keywords():
    x, y = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 5.0])
    assert cr.exp(input=x).tolist() == x.exp().tolist()
    assert cr.sub(x, other=y, alpha=2).tolist() == [-5, -8]
    assert x.add(other=y).tolist() == [4, 7]
    assert cr.sum(input=x, dim=0, keepdim=True).tolist() == [3]
    assert cr.where(input=x, condition=x > 1, other=0.0).tolist() == [0, 2]
    assert x.where(condition=x > 1, other=y).tolist() == x.where(x > 1, y).tolist() == [3, 2]
    with pytest.raises(TypeError):
        cr.exp(x, other=y)


MATRICES = {"mat", "mat1", "vec", "vec1", "batch1", "boundaries"}
"""Parameters of ops for inputs of other shapes than these tests have."""
CHECKED = [n for n in IN_PLACE if not MATRICES & set(inspect.signature(METHODS[n]).parameters)]
WHOLE = {name for name in IN_PLACE if re.match("bitwise|gcd|lcm", name)}
"""The in-place forms of integers."""
OPTIONAL = {("scatter_", "reduce"), ("addcmul_", "value"), ("addcdiv_", "value")}


def called(library, name):
    """`x.name(...)` with arguments that follow from the names of its parameters; and x, written."""
    whole = name in WHOLE

    def make(data):
        return library.tensor(np.array(data, "int64" if whole else "float32").tolist())

    along = [1, 0] if name.startswith("index_") else [[1, 0], [0, 1]]
    tensors = ("other", "end", "tensor1", "values", "source", "src")
    known = {
        **dict.fromkeys(tensors, make([[1, 2], [2, 1]])),
        "tensor2": make([[2, 4], [8, 2]]),
        "mask": library.tensor([[True, False], [False, True]]),
        "index": library.tensor(along),
        "indices": (library.tensor([0, 1]),),
        "exponent": 2,
        "weight": 0.25,
        "min": 0.5,
        "max": 0.75,
        "value": 0.5,
        "dim": 0,
        "reduce": "amax",
        "p": 2,
        "maxnorm": 0.5,
    }
    x = make([[1, 2], [3, 4]] if whole else [[0.25, 0.5], [0.75, 1.0]])
    parameters = inspect.signature(METHODS[name]).parameters
    given = {p: known[p] for p in parameters if p in known and (name, p) not in OPTIONAL}
    return x, lambda method: getattr(x, method)(*given.values())


@pytest.mark.parametrize("name", CHECKED)
def test_in_place_forms_assign_what_the_op_gives(name):
    x, call = called(cr, name)
    view, expected = x[0], call(name[:-1])
    assert call(name) is x
    np.testing.assert_array_equal(x.numpy(), expected.numpy().astype(x.dtype))
    np.testing.assert_array_equal(view.numpy(), x.numpy()[0])


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.* is in beta:UserWarning")  # PyTorch's of its own functions
@pytest.mark.parametrize("name", CHECKED)
def test_in_place_forms_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.Tensor, name[:-1]):
        pytest.skip("PyTorch has no such op")
    assert hasattr(torch.Tensor, name)
    (ours, call_ours), (theirs, call_theirs) = called(cr, name), called(torch, name)
    call_ours(name), call_theirs(name)
    # float32: a formula of few steps on numbers near 1, each rounded to 6e-8.
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")


def test_in_place_keeps_the_dtype_or_refuses():
    x = cr.tensor([1, 2])
    with pytest.raises(TypeError, match=r"`div_` keeps the dtype.*float32 for int64.*`div`"):
        x.div_(2)
    with pytest.raises(TypeError):
        x /= 2
    assert x.tolist() == [1, 2]
    narrow = cr.ones(2, dtype="int32")
    assert narrow.add_(cr.tensor([1, 2])).dtype == cr.int32 and narrow.tolist() == [2, 3]
    assert cr.tensor([1.0, 3.0]).gt_(2).tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="keeps the shape"):
        cr.ones(2).add_(cr.ones(3, 2))


def test_masks_are_written_in_place():
    mask = cr.tensor([True, False])
    same = mask
    mask &= cr.tensor([False, False])
    mask |= cr.tensor([False, True])
    mask ^= cr.tensor([True, True])
    assert mask is same and same.tolist() == [True, False]


def test_gradients_flow_through_in_place_forms():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    (x * 1).exp_().mul_(x).sum().backward()
    # ∂(x·eˣ)/∂x = (1 + x)·eˣ in float32, two roundings.
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2]) * [2, 3], rtol=1e-6)


def test_a_name_that_is_not_here_says_so():
    for owner, called in ((cr.ones(1), "Tensor"), (cr, "chainrule")):
        with pytest.raises(AttributeError, match=f"{called} has no `expp`.*check") as caught:
            owner.expp  # noqa: B018
        assert caught.value.name == "expp" and caught.value.obj is owner
        assert not hasattr(owner, "expp")


def test_a_record_called_by_its_own_names_still_works():
    """Parameters of records are called `x` inside; a keyword `input` is the public name."""
    record: Primitive = operations["clamp"]
    assert list(inspect.signature(record).parameters) == ["input", "min", "max"]
    assert record(input=cr.tensor([3.0]), max=1).tolist() == [1.0]


@pytest.mark.parametrize("given", [[1.0], np.ones(2), None], ids=["list", "array", "None"])
def test_what_is_no_tensor_is_refused_by_name(given):
    for name, op in operations.items():
        if next(iter(inspect.signature(op).parameters), None) != "input":
            continue
        with pytest.raises(TypeError) as error:
            op(given)
        assert re.search("expected a Tensor|tensors|missing", str(error.value)), (name, error.value)
