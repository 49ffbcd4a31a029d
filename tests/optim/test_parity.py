"""The same start and the same gradients give PyTorch's weights and learning rates."""

import inspect

import numpy as np
import pytest
from tests.optim.table import (
    ALL,
    CASES,
    NAMES,
    NOT_IN_PYTORCH,
    ONE_EACH,
    WITH_CLOSURE,
    fitting,
    make,
)

import chainrule as cr
from chainrule import optim

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

STEPS = 50
SHAPES = ((4, 3), (3,), ())
# One step rounds a few times differently; over 50 steps of size ~0.1 on weights ~1 that adds up
# to at most some tens of the unit of rounding.
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}


def pairs(dtype, shapes=SHAPES):
    """The same random weights for PyTorch and for us."""
    rng = np.random.default_rng(1)
    weights = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    theirs = [torch.tensor(w, requires_grad=True) for w in weights]
    return theirs, [cr.tensor(w, requires_grad=True) for w in weights]


IN_PYTORCH = [name for name in NAMES if name not in NOT_IN_PYTORCH]


@pytest.fixture
def in_full_precision(monkeypatch):
    """PyTorch's Muon iterates in bfloat16, with 8 bits. Here it keeps the dtype of the weights."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def put_gradients(rng, theirs, ours, dtype):
    for a, b in zip(theirs, ours, strict=True):
        g = np.asarray(rng.normal(size=b.shape), dtype)
        a.grad, b.grad = torch.tensor(g), cr.tensor(g)


@pytest.mark.usefixtures("in_full_precision")
@pytest.mark.parametrize(
    ("case", "dtype"),
    [(case, "float64") for case in CASES if CASES[case][0] in IN_PYTORCH]
    + [(case, "float32") for case in ONE_EACH if CASES[case][0] in IN_PYTORCH],
)
def test_weights_after_many_steps(case, dtype):
    theirs, ours = pairs(dtype, fitting(case, SHAPES))
    a, b = make(case, theirs, torch.optim, lr=0.1), make(case, ours, lr=0.1)
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        put_gradients(rng, theirs, ours, dtype)
        a.step()
        b.step()
    for x, y in zip(theirs, ours, strict=True):
        assert y.dtype == np.dtype(dtype)
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, TOLERANCE[dtype])


def test_the_update_of_muon_is_near_pytorchs_in_bfloat16():
    theirs, ours = pairs("float32", fitting("Muon", SHAPES))
    a, b = torch.optim.Muon(theirs, lr=0.1), optim.Muon(ours, lr=0.1)
    put_gradients(np.random.default_rng(2), theirs, ours, "float32")
    a.step()
    b.step()
    for x, y in zip(theirs, ours, strict=True):
        # 5 iterations whose numbers have 8 bits, times lr and √(4/3).
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 5 * 2**-8 * 0.12)


def logistic(library, dtype):
    """Weights, and the loss of a logistic regression with a penalty."""
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=(20, 4)), np.sign(rng.normal(size=20)), rng.normal(size=4)
    x, y = (library.tensor(np.asarray(a, dtype)) for a in (x, y))
    w, b = (library.tensor(np.asarray(a, dtype), requires_grad=True) for a in (w, 0.5))
    return [w, b], lambda: (1 + (-y * (x @ w + b)).exp()).log().mean() + 0.05 * (w * w).sum()


@pytest.mark.parametrize("case", WITH_CLOSURE)
def test_steps_with_a_closure(case):
    runs = []
    for library in (torch, cr):
        weights, loss = logistic(library, "float64")
        optimizer = make(case, weights, library.optim)
        values = [optimizer.step(closing(optimizer, loss)).item() for _ in range(8)]
        state = optimizer.state[weights[0]]
        counts = [state["n_iter"], state["func_evals"]]
        runs.append([*values, *counts, *weights[0].tolist(), weights[1].item()])
    # A convex problem, so that roundings of 1e-16 do not grow.
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-11)


def closing(optimizer, loss):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def test_the_table_names_every_optimizer():
    missing = {*ALL} - {name for name, _ in (CASES | WITH_CLOSURE).values()}
    assert not missing, f"add rows for {missing} to CASES in tests/optim/table.py"
    foreign = [name for name in ALL if not hasattr(torch.optim, name)]
    assert sorted(NOT_IN_PYTORCH) == foreign, (
        f"NOT_IN_PYTORCH in tests/optim/table.py is {foreign}; their formulas are tested in "
        "tests/optim/test_rules.py"
    )


@pytest.mark.parametrize("name", [name for name in ALL if name not in NOT_IN_PYTORCH])
def test_arguments_and_options_are_those_of_pytorch(name):
    """The same names in the same order, and the same defaults."""
    own = getattr(optim, name)
    ours, theirs = (inspect.signature(x).parameters for x in (own, getattr(torch.optim, name)))
    assert [n for n in ours if n != "switches"] == [n for n in theirs if n not in own.switches]
    a, b = pairs("float32", fitting(name, SHAPES))
    expected = getattr(torch.optim, name)(a).param_groups[0]
    given = own(b).param_groups[0].options() | own.switches
    assert given == {option: value for option, value in expected.items() if option != "params"}


@pytest.mark.usefixtures("in_full_precision")
@pytest.mark.parametrize("name", IN_PYTORCH)
def test_missing_gradients_are_skipped(name):
    theirs, ours = pairs("float64", fitting(name, SHAPES))
    a, b = getattr(torch.optim, name)(theirs, lr=0.1), getattr(optim, name)(ours, lr=0.1)
    rng = np.random.default_rng(3)
    for step in range(6):
        put_gradients(rng, theirs, ours, "float64")
        theirs[step % 3].grad = ours[step % 3].grad = None
        a.step()
        b.step()
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 1e-13)


def test_groups_with_their_own_options():
    theirs, ours = pairs("float64")

    def groups(p):
        return [{"params": p[:1], "lr": 0.3, "momentum": 0.5}, {"params": p[1:], "nesterov": True}]

    a = torch.optim.SGD(groups(theirs), lr=0.1, momentum=0.9)
    b = optim.SGD(groups(ours), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(4)
    for step in range(STEPS):
        put_gradients(rng, theirs, ours, "float64")
        for optimizer in (a, b):
            optimizer.param_groups[1]["lr"] = 0.1 / (1 + step)
            optimizer.param_groups[0]["momentum"] *= 0.9
            optimizer.step()
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), 0, 1e-13)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    theirs, ours = pairs("float32")
    put_gradients(np.random.default_rng(6), theirs, ours, "float32")
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    given = optim.clip_grad_norm_(ours, max_norm, norm_type)
    np.testing.assert_allclose(given.numpy(), expected.numpy(), rtol=1e-6)  # a float32 sum of 16
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=1e-6)


def test_clip_grad_value():
    theirs, ours = pairs("float32")
    put_gradients(np.random.default_rng(7), theirs, ours, "float32")
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    optim.clip_grad_value_(ours, 0.4)
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(y.grad.numpy(), x.grad.numpy())
