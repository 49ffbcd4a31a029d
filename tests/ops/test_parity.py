"""Every public op gives what PyTorch gives: values and gradients, in float64.

One table of calls that read the same in both libraries. Each is run with the arrays made from its
shapes; outputs and the gradients of a weighted sum of them are compared.
"""

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

F64 = {"rtol": 1e-12, "atol": 1e-12}
"""Both compute in float64; libraries differ by a few roundings."""

UNARY = [
    "abs",
    "arctan",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "floor",
    "log",
    "log1p",
    "neg",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "remainder",
    "floor_divide",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
]

CALLS = {
    # name: (function of (library, tensors...), shapes of the inputs)
    "clamp": (lambda m, x: m.clamp(x, min=-0.5, max=0.5), (3, 4)),
    "clamp at its limits": (lambda m, x: m.clamp(m.clamp(x, min=0.0), max=0.0), (3, 4)),
    "clamp below": (lambda m, x: x.clamp(min=0.2), (3, 4)),
    "pow 3": (lambda m, x: x**3, (3, 4)),
    "pow 0": (lambda m, x: x**0, (3, 4)),
    "2 ** x": (lambda m, x: 2.0**x, (3, 4)),
    "where": (lambda m, x, y: m.where(x > y, x, y * 2), (3, 4), (4,)),
    "where scalar": (lambda m, x: m.where(x > 0, x, 0.5), (3, 4)),
    "sum": (lambda m, x: x.sum(), (3, 4)),
    "sum dims": (lambda m, x: x.sum(dim=(0, -1), keepdim=True), (2, 3, 4)),
    "mean": (lambda m, x: x.mean(1), (3, 4)),
    "mean of all": (lambda m, x: m.mean(x), (3, 4)),
    "var": (lambda m, x: x.var(), (3, 4)),
    "var biased": (lambda m, x: m.var(x, dim=1, correction=0, keepdim=True), (3, 4)),
    "std": (lambda m, x: m.std(x, dim=(0, 2)), (2, 3, 4)),
    "norm": (lambda m, x: x.norm(), (3, 4)),
    "norm 1": (lambda m, x: x.norm(1, dim=1), (3, 4)),
    "norm 3": (lambda m, x: m.norm(x, p=3.0, dim=0, keepdim=True), (3, 4)),
    "norm inf": (lambda m, x: m.norm(x, p=float("inf"), dim=1), (3, 4)),
    "norm -inf": (lambda m, x: m.norm(x, p=float("-inf"), dim=1), (3, 4)),
    "prod": (lambda m, x: x.prod(), (3, 4)),
    "prod dim": (lambda m, x: x.prod(1, keepdim=True), (3, 4)),
    "cumsum": (lambda m, x: x.cumsum(-1), (3, 4)),
    "amax": (lambda m, x: m.amax(x, dim=(0, 1)), (2, 3, 4)),
    "amin": (lambda m, x: x.amin(1, True), (3, 4)),
    "max": (lambda m, x: x.max(), (3, 4)),
    "max dim": (lambda m, x: m.max(x, 1), (3, 4)),
    "min dim": (lambda m, x: x.min(dim=0, keepdim=True), (3, 4)),
    "argmax": (lambda m, x: x.argmax(), (3, 4)),
    "argmin": (lambda m, x: m.argmin(x, dim=-1, keepdim=True), (3, 4)),
    "sort": (lambda m, x: m.sort(x, dim=0), (5, 4)),
    "sort down": (lambda m, x: x.sort(descending=True), (5, 4)),
    "argsort": (lambda m, x: m.argsort(x, dim=0), (5, 4)),
    "topk": (lambda m, x: m.topk(x, 2), (3, 4)),
    "topk smallest": (lambda m, x: x.topk(3, dim=0, largest=False), (5, 4)),
    "all": (lambda m, x: (x > -9).all(), (3, 4)),
    "any": (lambda m, x: (x > 0).any(1), (3, 4)),
    "logsumexp": (lambda m, x: m.logsumexp(x, dim=(0, 1)), (3, 4)),
    "softmax": (lambda m, x: m.softmax(x, dim=0), (3, 4)),
    "log_softmax": (lambda m, x: x.log_softmax(-1), (3, 4)),
    "reshape": (lambda m, x: x.reshape(2, -1), (3, 4)),
    "view": (lambda m, x: x.view(-1), (3, 4)),
    "flatten": (lambda m, x: m.flatten(x, 1), (2, 3, 4)),
    "permute": (lambda m, x: x.permute(2, 0, 1), (2, 3, 4)),
    "transpose": (lambda m, x: m.transpose(x, 0, -1), (2, 3, 4)),
    "movedim": (lambda m, x: m.movedim(x, 0, 2), (2, 3, 4)),
    "T": (lambda m, x: x.T, (3, 4)),
    "mT": (lambda m, x: x.mT, (2, 3, 4)),
    "squeeze": (lambda m, x: x.squeeze(), (1, 3, 1)),
    "squeeze dim": (lambda m, x: m.squeeze(x, 0), (1, 3, 1)),
    "unsqueeze": (lambda m, x: x.unsqueeze(-1), (3, 4)),
    "expand": (lambda m, x: x.expand(2, -1, 4), (3, 1)),
    "flip": (lambda m, x: m.flip(x, (0, 1)), (3, 4)),
    "roll": (lambda m, x: m.roll(x, (1, -2), (0, 1)), (3, 4)),
    "tile": (lambda m, x: m.tile(x, (2, 1, 3)), (3, 4)),
    "tile short": (lambda m, x: x.tile(2), (3, 4)),
    "tril": (lambda m, x: m.tril(x, -1), (3, 4)),
    "triu": (lambda m, x: x.triu(1), (2, 3, 4)),
    "cat": (lambda m, x, y: m.cat([x, y, x], dim=1), (2, 3), (2, 1)),
    "stack": (lambda m, x, y: m.stack([x, y], dim=-1), (2, 3), (2, 3)),
    "split": (lambda m, x: m.split(x, 2, dim=1), (2, 5)),
    "split sizes": (lambda m, x: x.split([1, 4], dim=1), (2, 5)),
    "chunk": (lambda m, x: m.chunk(x, 3, dim=1), (2, 5)),
    "matmul": (lambda m, x, y: m.matmul(x, y), (3, 4), (4, 2)),
    "matmul batches": (lambda m, x, y: x @ y, (2, 1, 3, 4), (5, 4, 2)),
    "matmul vectors": (lambda m, x, y: x @ y, (4,), (4,)),
    "matmul row": (lambda m, x, y: x @ y, (4,), (2, 4, 3)),
    "matmul column": (lambda m, x, y: x @ y, (2, 3, 4), (4,)),
    "einsum": (lambda m, x, y: m.einsum("ij,kj->ik", x, y), (2, 3), (4, 3)),
    "einsum implicit": (lambda m, x, y: m.einsum("ij,jk", x, y), (2, 3), (3, 4)),
    "einsum dots": (lambda m, x, y: m.einsum("...ij,...jk->...ik", x, y), (5, 2, 3), (5, 3, 4)),
    "einsum dots of one": (lambda m, x, y: m.einsum("b...i,i", x, y), (2, 3, 4), (4,)),
    "einsum alone": (lambda m, x: m.einsum("ijk->kj", x), (2, 3, 4)),
    "einsum all": (lambda m, x, y, z: m.einsum("i,ij,j->", x, y, z), (2,), (2, 3), (3,)),
    "getitem": (lambda m, x: x[1:, ..., 0], (3, 4, 2)),
    "getitem None": (lambda m, x: x[None, :, -1], (3, 4)),
    "gather": (lambda m, x: x.gather(1, x.argsort(1)), (3, 4)),
}


def inputs(shapes, seed=0):
    """Distinct values in (0.2, 2) and below 0, none near a kink."""
    rng = np.random.default_rng(seed)
    return [
        rng.permutation(np.linspace(-2, 2, int(np.prod(s)) * 2 + 2))[: int(np.prod(s))].reshape(s)
        for s in shapes
    ]


def outputs(result):
    return list(result) if isinstance(result, tuple) else [result]


def compare(function, arrays):
    """Values, dtypes, shapes and gradients of `function(library, *tensors)` in both libraries."""
    ours = [cr.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ys, zs = outputs(function(cr, *ours)), outputs(function(torch, *theirs))
    assert len(ys) == len(zs)
    total, other = cr.tensor(0.0, dtype="float64"), torch.tensor(0.0, dtype=torch.float64)
    for y, z in zip(ys, zs, strict=True):
        assert y.shape == tuple(z.shape)
        assert str(y.dtype) == str(z.dtype).removeprefix("torch.")
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **F64)
        if y.requires_grad:
            weights = np.random.default_rng(1).normal(size=y.shape)
            total = total + (y * cr.tensor(weights)).sum()
            other = other + (z * torch.tensor(weights)).sum()
    assert total.requires_grad == other.requires_grad
    if total.requires_grad:
        total.backward()
        other.backward()
        for x, t in zip(ours, theirs, strict=True):
            found = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
            wanted = np.zeros(x.shape) if t.grad is None else t.grad.numpy()
            np.testing.assert_allclose(found, wanted, **F64)


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    function, *shapes = CALLS[name]
    compare(function, inputs(shapes))


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    x = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    compare(lambda m, x: getattr(m, name)(x), [x])
    if name not in ("log", "sqrt", "rsqrt", "log1p"):
        compare(lambda m, x: getattr(x, name)(), [-x - 0.02])


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    x, y = np.linspace(0.3, 2.9, 12).reshape(3, 4), np.array([0.7, 1.1, 1.6, 2.2])
    if name == "floor_divide":  # PyTorch gives it no derivative
        compare(lambda m, a, b: m.floor_divide(a.detach(), b.detach()), [x, y])
        return
    compare(lambda m, a, b: getattr(m, name)(a, b), [x, y])


@pytest.mark.parametrize("name", ["div", "pow", "log", "sqrt", "rsqrt", "exp", "sub", "remainder"])
def test_infinities_and_nan_are_pytorchs(name):
    odd = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    if name in ("log", "sqrt", "rsqrt", "exp"):
        ours, theirs = getattr(cr, name)(cr.tensor(odd)), getattr(torch, name)(torch.tensor(odd))
    else:
        ours = getattr(cr, name)(cr.tensor(odd)[:, None], cr.tensor(odd))
        theirs = getattr(torch, name)(torch.tensor(odd)[:, None], torch.tensor(odd))
    np.testing.assert_array_max_ulp(ours.numpy(), theirs.numpy(), 4 if name == "exp" else 0)


def test_clamp_of_nan_and_its_gradient():
    x = np.array([np.nan, -1.0, 0.0, 1.0, 2.0])
    ours, theirs = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    a, b = ours.clamp(0.0, 1.0), theirs.clamp(0.0, 1.0)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


def test_ties_share_the_gradient():
    x = np.array([1.0, 3.0, 3.0, 2.0])
    for reduce in (lambda x: x.amax(0), lambda x: x.max(), lambda x: -(-x).amin(0)):
        ours, theirs = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        reduce(ours).backward()
        reduce(theirs).backward()
        np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


def test_c16_nan_wins():
    x = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 0.0], [2.0, 1.0, 0.0]])
    for call in (
        lambda x: x.max(1),
        lambda x: x.min(0),
        lambda x: x.argmax(1),
        lambda x: x.amin(1),
        lambda x: x.sort(1),
        lambda x: x.relu(),
        lambda x: x.clamp(0.0, 1.0),
        lambda x: x.sort(0),
    ):
        for a, b in zip(outputs(call(cr.tensor(x))), outputs(call(torch.tensor(x))), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    ours = cr.maximum(cr.tensor(x), cr.tensor(x.T))
    np.testing.assert_array_equal(ours.numpy(), np.maximum(x, x.T))


DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", [*DTYPES, True, 2, 2.5])
def test_mixed_dtypes_promote_as_in_pytorch(left, right):
    """Except that two different floating dtypes are refused."""
    ours, theirs = cr.ones(2, dtype=left), torch.ones(2, dtype=getattr(torch, left))
    other, torch_other = right, right
    if isinstance(right, str):
        other, torch_other = cr.ones(2, dtype=right), torch.ones(2, dtype=getattr(torch, right))
        if left != right and left.startswith("float") and right.startswith("float"):
            with pytest.raises(TypeError, match="does not mix float"):
                ours + other
            return
    for a, b in (
        (ours + other, theirs + torch_other),
        (ours / other, theirs / torch_other),
        (ours > other, theirs > torch_other),
    ):
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(a.numpy(), b.numpy())
