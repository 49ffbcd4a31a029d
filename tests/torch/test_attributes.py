"""What tensors, dtypes, devices, modules show, and how they print: as PyTorch's."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies

import chainrule as cr
import chainrule.torch
from chainrule import nn
from chainrule.torch.adapter import attributes
from chainrule.torch.adapter.absent import KeywordError

DTYPES = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "bool",
    "half",
    "float",
    "double",
    "short",
    "int",
    "long",
    "bfloat16",
    "complex64",
]


# -- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_are_named_and_asked_as_pytorchs(torch, pytorch, name):
    ours, theirs = getattr(torch, name), getattr(pytorch, name)
    for question in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, question) == getattr(theirs, question)
    assert repr(ours) == repr(theirs)


def test_a_dtype_equals_itself_numpys_and_no_other(torch):
    assert torch.ones(1).dtype == torch.float32 == np.float32
    assert torch.float == torch.float32 != torch.float64
    assert torch.bfloat16 != torch.float32 and hash(torch.long) == hash(torch.int64)
    assert {torch.float32: 1}[torch.ones(2).dtype] == 1
    assert pickle.loads(pickle.dumps(torch.long)) is torch.long


def test_bfloat16_is_kept_as_float32_and_says_so_once(torch):
    torch.bfloat16._warned = False
    with pytest.warns(UserWarning, match="kept as torch.float32"):
        x = torch.ones(2, dtype=torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.bfloat16().dtype == torch.float32


def test_complex_numbers_are_refused(torch):
    with pytest.raises(TypeError, match="complex64"):
        torch.zeros(2, dtype=torch.complex64)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bfloat16"])
def test_finfo(torch, pytorch, name):
    ours, theirs = torch.finfo(getattr(torch, name)), pytorch.finfo(getattr(pytorch, name))
    for limit in ("bits", "eps", "max", "min", "tiny", "resolution", "dtype"):
        assert getattr(ours, limit) == getattr(theirs, limit), limit


@pytest.mark.parity
@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo(torch, pytorch, name):
    ours, theirs = torch.iinfo(getattr(torch, name)), pytorch.iinfo(getattr(pytorch, name))
    assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)


# -- sizes and places --------------------------------------------------------------------------


def test_the_shape_is_a_size_to_scripts_and_a_tuple_to_the_package(torch):
    x = torch.ones(2, 3)
    assert repr(x.shape) == repr(x.size()) == "torch.Size([2, 3])"
    assert x.shape == (2, 3) and x.shape.numel() == 6 and isinstance(x.shape, torch.Size)
    assert repr(x.shape[:1] + x.shape[1:]) == "torch.Size([2, 3])"
    assert x.spec.shape.__class__ is tuple


@pytest.mark.parity
@pytest.mark.parametrize(
    "arguments", [("cpu",), ("cuda",), ("cuda:1",), ("cuda", 1), ("mps",), ("meta",)]
)
def test_devices_are_pytorchs(torch, pytorch, arguments):
    ours, theirs = torch.device(*arguments), pytorch.device(*arguments)
    assert (repr(ours), str(ours)) == (repr(theirs), str(theirs))
    assert (ours.type, ours.index) == (theirs.type, theirs.index)
    assert ours == torch.device(*arguments) and hash(ours) == hash(torch.device(ours))


def test_a_device_that_is_none_is_refused(torch):
    with pytest.raises(ValueError, match="gpu"):
        torch.device("gpu")


@pytest.mark.parametrize(
    "make",
    [
        lambda t, **k: t.zeros(2, **k),
        lambda t, **k: t.tensor([1.0], **k),
        lambda t, **k: t.arange(3, **k),
        lambda t, **k: t.randn(2, 2, **k),
        lambda t, **k: t.full((2,), 1.0, **k),
        lambda t, **k: t.eye(2, **k),
        lambda t, **k: t.ones_like(t.zeros(2), **k),
        lambda t, **k: t.linspace(0, 1, 3, **k),
    ],
)
def test_words_about_memory_change_nothing(torch, make):
    torch.manual_seed(0)
    plain = make(torch)
    torch.manual_seed(0)
    placed = make(torch, device=torch.device("cpu"), pin_memory=True, layout=torch.strided)
    assert torch.equal(plain, placed) if hasattr(torch, "equal") else (plain == placed).all()


def test_to_takes_a_device_a_dtype_both_or_a_tensor(torch):
    x = torch.ones(2)
    assert x.to("cpu") is x and x.to(device="cpu", non_blocking=True) is x
    assert x.to("cpu", torch.float64).dtype == torch.float64
    assert x.to(torch.zeros(1, dtype=torch.int64)).dtype == torch.int64
    assert x.to(torch.float32, copy=True) is not x
    assert nn.Linear(2, 2).to("cpu").to(torch.float64).weight.dtype == torch.float64
    assert x.type() == "torch.FloatTensor" and x.type(torch.LongTensor).dtype == torch.long
    with pytest.raises(RuntimeError, match="is_available"):
        x.type(torch.cuda.FloatTensor)
    with pytest.raises(TypeError, match="colour"):
        x.to(colour="red")


def test_the_oldest_constructors(torch):
    assert torch.FloatTensor([1, 2]).dtype == torch.float32
    assert torch.LongTensor(2, 3).shape == (2, 3)
    assert torch.Tensor([1, 2]).tolist() == [1.0, 2.0] and torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor(np.ones(2)).dtype == torch.float32  # in the package float64: see below
    assert isinstance(torch.LongTensor([1]), torch.LongTensor)
    assert not isinstance(torch.ones(1), torch.LongTensor)
    with pytest.raises(AssertionError):
        torch.cuda.FloatTensor(2)


# -- keywords ----------------------------------------------------------------------------------


def test_keywords_are_pytorchs(torch):
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert torch.sum(input=x, axis=1, keepdims=True).tolist() == [[3.0], [8.0]]
    assert x.mean(axis=0).tolist() == [2.0, 3.5]
    assert torch.rand(size=(2, 3)).shape == (2, 3) and x.flip(dims=[0])[0].tolist() == [3.0, 5.0]
    assert torch.sum(torch.ones(2, dtype=torch.int64), dtype=torch.float64).dtype == torch.float64
    assert torch.zeros_like(x, requires_grad=True).requires_grad
    out = torch.zeros(2, 2)
    assert torch.maximum(x, other=torch.full((2, 2), 2.5), out=out) is out
    assert out.tolist() == [[2.5, 2.5], [3.0, 5.0]]
    loss = torch.nn.functional.mse_loss(x, x * 2, size_average=False)
    assert loss.item() == 39.0


def test_layers_take_a_device_and_a_dtype(torch):
    for layer in (
        torch.nn.Linear(2, 2, device="cpu", dtype=torch.float64),
        torch.nn.LayerNorm(2, device=torch.device("cpu"), dtype=torch.float64),
        torch.nn.Embedding(3, 2, device="cpu", dtype=torch.float64),
    ):
        assert all(p.dtype == torch.float64 for p in layer.parameters())


def test_a_layer_derived_in_a_script_passes_them_on(torch):
    class Wide(torch.nn.Linear):
        def __init__(self, n, device=None, dtype=None):
            super().__init__(n, 2 * n, device=device, dtype=dtype)

    assert Wide(2, device="cpu", dtype=torch.float64).weight.dtype == torch.float64


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.sum(t.ones(2), colour=1),
        lambda t: t.ones(2).sum(colour=1),
        lambda t: t.sum(),
        lambda t: t.nn.Linear(2, 3, colour=1),
        lambda t: t.relu(1, 2, 3, 4),
        lambda t: t.manual_seed(),
    ],
)
def test_a_call_that_does_not_fit_says_what_would(torch, call):
    with pytest.raises(KeywordError):
        call(torch)


# -- text --------------------------------------------------------------------------------------


def both(data, **options):
    import torch as pytorch

    return repr(chainrule.torch.tensor(data, **options)), repr(pytorch.tensor(data, **options))


SHAPES = [
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (0, 3),
    (2, 0),
    (25,),
    (1, 30),
    (2, 2, 3),
    (2, 1, 2, 2),
    (40, 40),
]


@pytest.mark.parity
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0, 1e6, 1e9, 1e-6, "whole", "mixed", "odd"])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int64", "bool", "uint8"])
def test_tensors_print_as_pytorchs(pytorch, torch, shape, scale, kind):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=shape)
    if scale == "whole":
        numbers = np.round(numbers * 50)
    elif scale == "mixed":
        numbers = numbers * 10.0 ** rng.integers(-8, 8, size=shape)
    elif scale == "odd":
        numbers = np.where(numbers > 0.5, np.inf, np.where(numbers < -0.5, np.nan, numbers))
    else:
        numbers = numbers * scale
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.asarray(numbers).astype(kind)
    assert repr(torch.tensor(array)) == repr(pytorch.tensor(array))


@pytest.mark.parity
@given(
    strategies.lists(strategies.floats(width=32), max_size=12),
    strategies.integers(0, 6),
    strategies.booleans() | strategies.none(),
)
@settings(max_examples=200, deadline=None)
def test_any_numbers_print_as_pytorchs(numbers, precision, sci_mode):
    pytorch = pytest.importorskip("torch")
    torch = chainrule.torch
    try:
        for library in (torch, pytorch):
            library.set_printoptions(precision=precision, sci_mode=sci_mode)
        array = np.array(numbers, np.float32)
        assert repr(torch.tensor(array)) == repr(pytorch.tensor(array))
    finally:
        for library in (torch, pytorch):
            library.set_printoptions(profile="default")


@pytest.mark.parity
def test_notes_print_as_pytorchs(torch, pytorch):
    for t in (torch, pytorch):
        t.set_printoptions(linewidth=40)
    texts = []
    for t in (torch, pytorch):
        x = t.tensor([1.0, 2.5, 3.25], requires_grad=True)
        texts.append([repr(x), repr(x * 2), repr(t.nn.Parameter(t.ones(2, 2))), f"{x[1]:.2f}"])
        t.set_printoptions(profile="default")
    assert texts[0] == texts[1]


def test_without_the_face_everything_is_the_package_own(torch):
    x = torch.ones(2)
    attributes.active(False)
    try:
        assert repr(x) == "tensor([1., 1.])" and x.dtype is np.dtype(np.float32)
        assert x.shape.__class__ is tuple and x.device == "cpu"
        with pytest.raises(TypeError):
            cr.Tensor(2, 3)
        with pytest.raises(TypeError):
            nn.Linear(2, 2, device="cpu")
    finally:
        attributes.active(True)


# -- the places on the tape --------------------------------------------------------------------


def test_grad_fn_walks_back_to_the_leaves(torch):
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    assert x.grad_fn is None and y.grad_fn.name() == "MulBackward0"
    ((end, _), (none, _)) = y.grad_fn.next_functions
    assert end.variable is x and none is None


# -- NumPy's functions on tensors --------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.exp(t.ones(2)),
        lambda t: np.sin(t.tensor([1, 2])),
        lambda t: np.add(t.ones(2), 1),
        lambda t: np.maximum(np.ones(2), t.zeros(2)),
        lambda t: np.float64(2) * t.ones(2),
        lambda t: np.float64(2) < t.tensor([1.0, 3.0]),
        lambda t: np.float32(2) / t.tensor([1, 4]),
        lambda t: np.add.reduce(t.ones(3)),
        lambda t: np.modf(t.tensor([1.5, -2.5]))[0],
        lambda t: sum([np.float64(1), t.tensor(2.0)]),
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__")
def test_numpys_functions_give_tensors(torch, pytorch, call):
    ours, theirs = call(torch), call(pytorch)
    assert isinstance(ours, torch.Tensor) and ours.tolist() == pytest.approx(theirs.tolist())
    assert str(ours.dtype) == str(theirs.dtype)


def test_numpys_functions_cannot_follow_gradients_and_arrays_are_converted(torch):
    with pytest.raises(RuntimeError, match="detach"):
        np.exp(torch.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="Convert the ndarray"):
        np.ones(2) * torch.ones(2)
    array = np.ones(2)
    array += torch.ones(2)
    assert array.tolist() == [2.0, 2.0]


RESULTS = {
    "max": lambda t, x: t.max(x, 0),
    "sort": lambda t, x: x.sort(dim=1),
    "topk": lambda t, x: x.topk(1),
    "slogdet": lambda t, x: t.linalg.slogdet(x),
    "qr": lambda t, x: t.linalg.qr(x),
    "lu_unpack": lambda t, x: t.lu_unpack(*t.linalg.lu_factor(x)),
    "svd": lambda t, x: t.svd(x),
    "plain": lambda t, x: t.var_mean(x),
    "linear": lambda t, x: t.nn.functional.linear(x, x.requires_grad_(), x[0]),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", RESULTS)
def test_results_of_several_tensors_print_as_pytorchs(torch, pytorch, name):
    ours, theirs = (
        repr(RESULTS[name](t, t.tensor([[1.0, 2.0], [4.0, 4.0]]))) for t in (torch, pytorch)
    )
    assert ours == theirs


def test_every_error_is_what_pytorch_raises(torch):
    for fails in (
        lambda: torch.ones(2, 3) @ torch.ones(2, 3),
        lambda: torch.nn.Linear(2, 3)(torch.ones(1, 5)),
        lambda: torch.ones(2).view(3),
        lambda: torch.nn.Linear(2, 3).load_state_dict({}),
    ):
        with pytest.raises(RuntimeError):
            fails()
