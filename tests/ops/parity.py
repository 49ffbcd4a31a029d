"""What tables of calls that read the same in both libraries share: inputs, and the comparison."""

import numpy as np
import torch

import chainrule as cr

TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-3}
"""A few roundings of the dtype: each library adds and approximates in its own order."""


def numbers(shape, seed=0, low=-2.0, high=2.0, dtype="float64"):
    """Distinct values in random order, none of them near a whole number or a half."""
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape))
    grid = np.linspace(low + 0.0137 * (high - low), high - 0.0211 * (high - low), count + 2)[1:-1]
    return rng.permutation(grid).reshape(shape).astype(dtype)


def flat(result):
    """All tensors and numbers of a result, in order."""
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


def array(value):
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def compare(function, arrays, tolerance=None, gradients=True):
    """Values, dtypes, shapes and gradients of `function(library, *tensors)` in both libraries."""
    ours = [cr.tensor(a, requires_grad=gradients and a.dtype.kind == "f") for a in arrays]
    theirs = [torch.tensor(a, requires_grad=gradients and a.dtype.kind == "f") for a in arrays]
    ys, zs = flat(function(cr, *ours)), flat(function(torch, *theirs))
    assert len(ys) == len(zs)
    total = other = 0.0
    for y, z in zip(ys, zs, strict=True):
        a, b = array(y), array(z)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        close = TOLERANCE.get(str(b.dtype), 0.0) if tolerance is None else tolerance
        np.testing.assert_allclose(a, b, rtol=close, atol=close)
        if getattr(z, "requires_grad", False) and getattr(y, "requires_grad", False):
            weights = np.random.default_rng(1).normal(size=b.shape).astype(b.dtype)
            total = total + (y * cr.tensor(weights)).sum()
            other = other + (z * torch.tensor(weights)).sum()
        assert getattr(z, "requires_grad", False) == getattr(y, "requires_grad", False)
    if isinstance(other, torch.Tensor):
        total.backward()
        other.backward()
        for x, t in zip(ours, theirs, strict=True):
            found = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
            wanted = np.zeros(x.shape) if t.grad is None else t.grad.numpy()
            close = TOLERANCE[str(x.dtype)] if tolerance is None else tolerance
            np.testing.assert_allclose(found, wanted, rtol=close, atol=close)


def second_order(function, arrays):
    """The derivatives of the derivatives, against differences."""
    xs = [cr.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    active = [x for x in xs if x.requires_grad]

    def total(*given):
        supply = iter(given)
        ys = flat(function(cr, *[next(supply) if x.requires_grad else x for x in xs]))
        return tuple(y for y in ys if getattr(y, "requires_grad", False))

    assert cr.gradgradcheck(total, tuple(active))
