"""Comparing functions and modules with PyTorch's: values and all gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

TOLERANCE = {
    # Sums of at most a few hundred float32 terms in another order differ by some ten ulp; the
    # absolute part covers results that cancel to nearly 0.
    np.dtype(np.float32): {"rtol": 3e-5, "atol": 3e-6},
    # In float64 the same sums agree to ten digits, so that a wrong formula cannot hide.
    np.dtype(np.float64): {"rtol": 1e-10, "atol": 1e-10},
}


def close(ours: Any, theirs: Any, dtype: Any) -> None:
    """Equal within the tolerance of the dtype, infinities and NaN included."""
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), **TOLERANCE[np.dtype(dtype)])


@pytest.fixture
def parity() -> Callable[..., None]:
    """`parity(ours, theirs, *arrays)`: the same value and, for floating arrays, gradients."""
    torch = pytest.importorskip("torch")

    def check(ours: Any, theirs: Any, *arrays: np.ndarray) -> None:
        xs = [cr.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        y, t = ours(*xs), theirs(*ts)
        assert y.shape == tuple(t.shape)
        assert str(t.dtype).endswith(str(y.dtype))
        dtype = next(a.dtype for a in arrays if a.dtype.kind == "f")
        close(y.detach(), t.detach(), dtype)
        if not t.requires_grad:
            return
        g = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
        y.backward(cr.tensor(g))
        t.backward(torch.tensor(g))
        for x, u in zip(xs, ts, strict=True):
            if u.grad is not None:
                assert x.grad is not None
                close(x.grad, u.grad, dtype)
            else:
                assert x.grad is None

    return check


def outputs(result: Any) -> tuple[Any, ...]:
    """The results of a layer."""
    return result if isinstance(result, tuple) else (result,)


@pytest.fixture
def module_parity() -> Callable[..., None]:
    """`module_parity(ours, theirs, *arrays)`: weights pass from PyTorch, then values, gradients of
    inputs and of parameters, and buffers agree; and the weights pass back."""
    torch = pytest.importorskip("torch")

    def check(ours: Any, theirs: Any, *arrays: np.ndarray) -> None:
        dtype = next((a.dtype for a in arrays if a.dtype.kind == "f"), np.dtype(np.float32))
        ours.to(dtype)
        theirs.to(getattr(torch, str(dtype)))
        state = {name: value.numpy().copy() for name, value in theirs.state_dict().items()}
        assert {n: v.shape for n, v in ours.state_dict().items()} == {
            n: v.shape for n, v in state.items()
        }
        assert list(ours.state_dict()) == list(state)
        ours.load_state_dict(state)
        xs = [cr.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        total = other = 0.0
        for y, t in zip(outputs(ours(*xs)), outputs(theirs(*ts)), strict=True):
            assert y.shape == tuple(t.shape)
            close(y.detach(), t.detach(), dtype)
            g = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
            if t.requires_grad:
                total = total + (y * cr.tensor(g)).sum()
                other = other + (t * torch.tensor(g)).sum()
        if isinstance(other, torch.Tensor):
            total.backward()
            other.backward()
        for x, u in zip(xs, ts, strict=True):
            if u.grad is not None:
                close(x.grad, u.grad, dtype)
        pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
        for (name, p), (their_name, q) in pairs:
            assert name == their_name
            unused = q.grad is None and p.grad is not None
            close(p.grad, torch.zeros_like(q) if unused else q.grad, dtype)
        after = {name: value.numpy().copy() for name, value in ours.state_dict().items()}
        for name, value in theirs.state_dict().items():
            close(after[name], value.numpy(), dtype)
        theirs.load_state_dict({name: torch.tensor(value) for name, value in after.items()})

    return check


@pytest.fixture
def same() -> Callable[..., None]:
    """`same(program)`: `program(lib, nn)` returns the same plain values here and in PyTorch."""
    torch = pytest.importorskip("torch")

    def check(program: Callable[..., Any]) -> None:
        assert program(cr, nn) == program(torch, torch.nn)

    return check


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """Both floating dtypes of training."""
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """Inputs that are the same in every run."""
    return np.random.default_rng(0)
