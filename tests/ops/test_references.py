"""Every op's value against an independent formula in plain NumPy or Python, on its samples.

A new op needs a line in PLAIN (or, with a reason, in ELSEWHERE); the first test says so.
"""

import importlib
import itertools
import math
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.ops
from chainrule import nn, settings
from chainrule.graph import as_tuple
from chainrule.primitive import Primitive, registry

for _module in pkgutil.iter_modules(chainrule.ops.__path__):
    importlib.import_module(f"chainrule.ops.{_module.name}")

ELSEWHERE = {
    "random_uniform": "test_random.py, against NumPy's own Philox",
    "random_normal": "test_random.py, by its distribution",
    "sgd_update": "tests/optim, against PyTorch",
    "momentum_update": "tests/optim, against PyTorch",
    "adam_update": "tests/optim, against PyTorch",
    "rmsprop_update": "tests/optim, against PyTorch",
    "adagrad_update": "tests/optim, against PyTorch",
    "global_norm": "tests/optim, against PyTorch",
    **{
        f"{cell}_sequence{part}": "tests/nn, against PyTorch"
        for cell in ("rnn", "lstm", "gru")
        for part in ("", "_gradient")
    },
    "lu_packed": "test_parity_linalg.py, as lu_factor, against PyTorch",
    "attention": "test_attention.py, row by row",
    "attention_gradient": "test_attention.py, by finite differences",
    "gru_sequence": "test_recurrent.py, step by step",
    "gru_sequence_gradient": "test_recurrent.py, by finite differences",
    "lstm_sequence": "test_recurrent.py, step by step",
    "lstm_sequence_gradient": "test_recurrent.py, by finite differences",
    "rnn_sequence": "test_recurrent.py, step by step",
    "rnn_sequence_gradient": "test_recurrent.py, by finite differences",
    "running_position": "test_parity_reductions.py, as cummax and cummin",
    "recurrence": "test_parity_reductions.py, as the gradient of cumprod",
    "sorted_position": "test_parity_shapes.py, as searchsorted and bucketize",
    "fold_into": "test_parity_shapes.py, as scatter with reduce",
    "cofactors": "test_parity_linalg.py, as the gradient of det",
    "random_by_rejection": "test_random.py, by its distributions",
    **dict.fromkeys(
        ("incomplete_gamma", "gamma_slope", "reparameterized_gamma"),
        "tests/distributions/test_gamma.py, against SciPy and finite differences",
    ),
}
"""Ops whose values are tested elsewhere, and where."""
COMPARED = {
    word
    for file in Path(__file__).parent.glob("test_parity*.py")
    for word in re.findall(r"\w+", file.read_text())
}
"""The words of the tests that compare with PyTorch: an op that they name is tested there."""


def each(function):
    """A function of Python numbers, applied element by element."""
    return lambda *xs, **p: np.vectorize(lambda *v: function(*v, **p), otypes=[float])(*xs)


def index_of(index, indices):
    supply = iter(indices)
    return tuple(next(supply) if isinstance(p, str) else p for p in index)


def scattered(shape, index, x):
    """Zeros with x added at an index, one element after the other."""
    y = np.zeros(shape)
    places = np.arange(y.size).reshape(shape)[index]
    for place, value in zip(places.ravel(), np.broadcast_to(x, places.shape).ravel(), strict=True):
        y.flat[place] += value
    return y


def put(x, v, *indices, index):
    y = x.copy()
    y[index_of(index, indices)] = v
    return y


def along(x, index, dim):
    """(position in x) for each position of an index along one dimension."""
    for place in np.ndindex(index.shape):
        yield place, (*place[:dim], index[place], *place[dim + 1 :])


def gathered(x, index, dim):
    y = np.zeros(index.shape)
    for place, source in along(x, index, dim):
        y[place] = x[source]
    return y


def scatter_added(x, index, shape, dim):
    y = np.zeros(shape)
    for place, target in along(x, index, dim):
        y[target] += x[place]
    return y


def softmax(x, dim):
    return np.exp(x) / np.exp(x).sum(dim, keepdims=True)


def cross_entropy(x, t, ignore_index, reduction):
    kept = t != ignore_index
    p = softmax(x, 1)
    losses = np.array([-math.log(p[n, c]) if kept[n] else 0.0 for n, c in enumerate(t)])
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / kept.sum()}[reduction]


def cross_entropy_gradient(g, x, t, ignore_index, reduction):
    y = softmax(x, 1)
    kept = t != ignore_index
    for n, c in enumerate(t):
        y[n, c] -= 1
        y[n] *= kept[n] * (g[n] if reduction == "none" else g)
    return y / kept.sum() if reduction == "mean" else y


def ctc(x, labels, times, sizes, blank):
    return np.array(
        [
            -math.log(sum(p for p, _ in paths_of(x[:t, n], labels[n, :s], blank)))
            for n, (t, s) in enumerate(zip(times, sizes, strict=True))
        ]
    )


def ctc_gradient(g, x, labels, times, sizes, blank):
    y = np.zeros_like(x)
    for n, (t, s) in enumerate(zip(times, sizes, strict=True)):
        paths = list(paths_of(x[:t, n], labels[n, :s], blank))
        for p, path in paths:
            y[range(t), n, path] -= g[n] * p / sum(q for q, _ in paths)
    return y


def paths_of(x, wanted, blank):
    """(probability, path) of each path that gives the labels, among all there are."""
    for path in itertools.product(range(x.shape[1]), repeat=len(x)):
        if [c for c, _ in itertools.groupby(path) if c != blank] == list(wanted):
            yield math.exp(x[range(len(x)), path].sum()), path


def convolution(x, w, b=None, *, geometry):
    """Cross-correlation, one element of the output after the other."""
    b = np.zeros(len(w)) if b is None else b
    per_group = len(w) // geometry.groups
    found = {}
    for (n, *place), seen in seen_by_windows(x, w.shape[2:], geometry, 0):
        for o in range(len(w)):
            first = o // per_group * w.shape[1]
            found[(n, o, *place)] = (seen[first : first + w.shape[1]] * w[o]).sum() + b[o]
    return filled(found)


def seen_by_windows(x, kernel, geometry, value):
    """((n, *position), (C, *kernel)) for each window of each example."""
    stride, padding, dilation, _ = geometry
    x = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    starts = [
        range(0, size - r + 1, s) for size, r, s in zip(x.shape[2:], reach, stride, strict=True)
    ]
    for n, *place in np.ndindex(len(x), *map(len, starts)):
        corner = [begin[i] for begin, i in zip(starts, place, strict=True)]
        window = zip(corner, reach, dilation, strict=True)
        yield (n, *place), x[(n, slice(None), *[slice(i, i + r, d) for i, r, d in window])]


def filled(found):
    """An array of the numbers at their places."""
    y = np.zeros(np.max(list(found), 0) + 1)
    for place, number in found.items():
        y[place] = number
    return y


def adjoint(linear, shape, u):
    """Aᵀu of a linear function A, from its columns: one unit vector after the other."""
    y = np.zeros(shape)
    for place in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[place] = 1
        y[place] = (linear(unit) * u).sum()
    return y


def transposed_convolution(u, w, b=None, *, shape, geometry):
    y = adjoint(lambda x: convolution(x, w, geometry=geometry), shape, u)
    return y if b is None else y + b.reshape(-1, *[1] * (y.ndim - 2))


def pooled(reduce, x, kernel, geometry, value):
    found = {
        (n, c, *place): reduce(seen[c])
        for (n, *place), seen in seen_by_windows(x, kernel, geometry, value)
        for c in range(len(seen))
    }
    return filled(found)


def max_pool(x, kernel, geometry):
    y = pooled(np.max, x, kernel, geometry, -np.inf)
    # The samples have no equal elements, so the value tells the position.
    where = [np.flatnonzero(x[p[0], p[1]] == y[p])[0] for p in np.ndindex(*y.shape)]
    return y, np.reshape(where, y.shape)


def avg_pool(x, kernel, geometry, divisor):
    return pooled(np.sum, x, kernel, geometry, 0) / divisor


def normalized(x, w=1, b=0, *, dims, eps):
    mean, var = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * w + b, mean, var


def normalized_gradient(g, x, m, v, w, dims, eps):
    def change(d):  # of the normalized numbers, as x changes by d
        spread = (z * d).mean(dims, keepdims=True)
        return (d - d.mean(dims, keepdims=True) - z * spread) / np.sqrt(v + eps)

    z = (x - m) / np.sqrt(v + eps)
    by_w, by_b = (adjoint(lambda d, f=f: f * d, w.shape, g) for f in (z, np.ones(x.shape)))
    return adjoint(lambda d: change(d) * w, x.shape, g), by_w, by_b


PLAIN = {
    "rescale": lambda x, divisor, dtype: (x * (1 / divisor)).astype(dtype),
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "bitwise_and": np.logical_and,
    "bitwise_or": np.logical_or,
    "bitwise_xor": np.logical_xor,
    "bitwise_not": np.logical_not,
    "isnan": each(math.isnan),
    "isinf": each(math.isinf),
    "isfinite": each(math.isfinite),
    "where": lambda c, a, b: np.where(c, a, b),
    "clamp": lambda x, min, max: np.minimum(x if min is None else np.maximum(x, min), max),
    "astype": lambda x, dtype: x.astype(dtype),
    "add": each(lambda a, b: a + b),
    "sub": each(lambda a, b: a - b),
    "mul": each(lambda a, b: a * b),
    "div": each(lambda a, b: a / b),
    "pow": each(math.pow),
    "power": each(lambda x, exponent: math.pow(x, exponent)),
    "floor_divide": each(lambda a, b: a // b),
    "remainder": each(lambda a, b: a % b),
    "maximum": each(max),
    "minimum": each(min),
    "clone": lambda x: x,
    "neg": each(lambda x: -x),
    "abs": each(abs),
    "sign": each(lambda x: math.copysign(1, x)),
    "square": each(lambda x: x * x),
    "floor": each(math.floor),
    "ceil": each(math.ceil),
    "round": each(round),
    "trunc": each(math.trunc),
    "exp": each(math.exp),
    "expm1": each(math.expm1),
    "log": each(math.log),
    "log1p": each(math.log1p),
    "sqrt": each(math.sqrt),
    "rsqrt": each(lambda x: 1 / math.sqrt(x)),
    "sin": each(math.sin),
    "cos": each(math.cos),
    "tan": each(math.tan),
    "arctan": each(math.atan),
    "sinh": each(math.sinh),
    "cosh": each(math.cosh),
    "tanh": each(math.tanh),
    "relu": each(lambda x: max(x, 0.0)),
    "gate": each(lambda g, x: g if x > 0 else 0.0),
    "sigmoid": each(lambda x: 1 / (1 + math.exp(-x))),
    "softplus": each(lambda x: math.log(1 + math.exp(x))),
    "silu": each(lambda x: x / (1 + math.exp(-x))),
    "leaky_relu": each(lambda x, slope: x if x > 0 else slope * x),
    "elu": each(lambda x, alpha: x if x > 0 else alpha * math.expm1(x)),
    "erf": each(math.erf),
    "gelu": each(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
    "gelu_gradient": each(
        lambda g, x: (
            g * 0.5 * (1 + math.erf(x / math.sqrt(2)))
            + g * x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        )
    ),
    "gelu_tanh": each(
        lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "normal_cdf": each(lambda x: 0.5 * math.erfc(-x / math.sqrt(2))),
    "normal_pdf": each(lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
    "sum": lambda x, dims, keepdim: x.sum(dims, keepdims=keepdim),
    "mean": lambda x, dims, keepdim: x.mean(dims, keepdims=keepdim),
    "var": lambda x, dims, correction, keepdim: x.var(dims, ddof=correction, keepdims=keepdim),
    "prod": lambda x, dims, keepdim: x.prod(dims, keepdims=keepdim),
    "prod_of_others": lambda x: x.prod(-1, keepdims=True) / x,
    "amax": lambda x, dims, keepdim: x.max(dims, keepdims=keepdim),
    "amin": lambda x, dims, keepdim: x.min(dims, keepdims=keepdim),
    "argmax": lambda x, dim, keepdim: np.argmax(x, dim, keepdims=keepdim),
    "argmin": lambda x, dim, keepdim: np.argmin(x, dim, keepdims=keepdim),
    "all": lambda x, dims, keepdim: (x != 0).all(dims, keepdims=keepdim),
    "any": lambda x, dims, keepdim: (x != 0).any(dims, keepdims=keepdim),
    "all_finite": lambda *xs: np.array(all(math.isfinite(v) for x in xs for v in x.flat)),
    "cumsum": lambda x, dim: np.cumsum(x, dim),
    "barrier": lambda x: x,
    "gradients_through": lambda *xs, function: xs,
    "reshape": lambda x, shape: np.array(list(x.flat)).reshape(shape),
    "permute": lambda x, dims: np.einsum(x, list(range(x.ndim)), list(dims)),
    "expand": lambda x, shape: x + np.zeros(shape),
    "flip": lambda x, dims: np.flip(x, dims),
    "roll": lambda x, shifts, dims: np.roll(x, shifts, dims),
    "cat": lambda *xs, dim: np.concatenate(xs, dim),
    "pad": lambda x, widths, value: np.pad(x, widths, constant_values=value),
    "tril": lambda x, diagonal: np.tril(x, diagonal),
    "triu": lambda x, diagonal: np.triu(x, diagonal),
    "slice": lambda x, index: x[index],
    "slice_into": lambda x, shape, index: scattered(shape, index, x),
    "take": lambda x, *i, index: x[index_of(index, i)],
    "put_into": lambda x, *i, shape, index: scattered(shape, index_of(index, i), x),
    "overwrite": put,
    "add_at": lambda x, v, *i, index: x + scattered(x.shape, index_of(index, i), v),
    "gather": gathered,
    "scatter_add": scatter_added,
    "one_hot": lambda t, num_classes, dtype: np.eye(num_classes, dtype=dtype)[t],
    "class_labels": lambda t, classes, ignore_index: np.where(t == ignore_index, 0, t),
    "embedding": lambda i, w, padding: w[i],
    "all_reduce": lambda x, shards: x[0],
    "argsort": lambda x, dim, descending: np.argsort(x, dim),
    "matmul": lambda a, b: a @ b,
    "matrix_exp": lambda x: sum(
        np.linalg.matrix_power(x, k) / math.factorial(k) for k in range(60)
    ),
    "linear": lambda x, w, b=0: x @ w.T + b,
    "linear_weight": lambda g, x: np.tensordot(g, x, (range(g.ndim - 1),) * 2),
    "einsum": lambda *xs, formula: np.einsum(formula, *xs),
    "softmax": softmax,
    "log_softmax": lambda x, dim: np.log(softmax(x, dim)),
    "logsumexp": lambda x, dims, keepdim: np.log(np.exp(x).sum(dims, keepdims=keepdim)),
    "softmax_cross_entropy": cross_entropy,
    "softmax_cross_entropy_gradient": cross_entropy_gradient,
    "ctc": ctc,
    "ctc_gradient": ctc_gradient,
    "binary_cross_entropy": each(lambda p, t: -t * math.log(p) - (1 - t) * math.log(1 - p)),
    "binary_cross_entropy_with_logits": each(lambda x, t: math.log(1 + math.exp(x)) - t * x),
    "normalize": normalized,
    "normalize_gradient": normalized_gradient,
    "convolution": convolution,
    "convolution_input": transposed_convolution,
    "convolution_weight": lambda x, u, shape, geometry: adjoint(
        lambda w: convolution(x, w, geometry=geometry), shape, u
    ),
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "avg_pool_input": lambda u, shape, **p: adjoint(lambda x: avg_pool(x, **p), shape, u),
}


def test_every_op_has_an_independent_formula():
    own = {name for name, op in registry.items() if op.__module__.startswith("chainrule.ops.")}
    missing = [
        f"`{name}` ({registry[name].__module__})" for name in own - {*PLAIN, *ELSEWHERE} - COMPARED
    ]
    assert len(own) > 100 and not missing, (
        f"add an independent formula of {', '.join(missing)} to PLAIN in "
        "tests/ops/test_references.py, or compare it with PyTorch in tests/ops/test_parity.py"
    )


def samples(name):
    return list(registry[name].samples(np.random.Generator(np.random.Philox(key=[2, 0]))))


CASES = [(name, i) for name in PLAIN if name in registry for i in range(len(samples(name)))]


@pytest.mark.parametrize(("name", "number"), CASES, ids=lambda value: str(value))
def test_value(name, number):
    inputs, params = samples(name)[number]
    inputs = [np.asarray(x) for x in inputs]
    found = as_tuple(Primitive.gateway(name, *map(cr.from_numpy, inputs), **params))
    if any(0 in x.shape for x in inputs):
        assert all(0 in y.shape or not y.numpy().any() for y in found)
        return
    wanted = PLAIN[name](*inputs, **params)
    for y, expected in zip(found, as_tuple(wanted), strict=True):
        assert y.shape == np.shape(expected)
        # Both in float64; the formulas differ in the order of a few operations.
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)


BATCHES = {
    "linear": (lambda: nn.Linear(64, 10), (33, 64)),
    "one output": (lambda: nn.Linear(128, 1), (7, 128)),
    "sequences": (lambda: nn.Linear(30, 64), (3, 5, 30)),
    "matrix": (lambda: lambda x: x @ cr.randn(64, 12), (70, 64)),
    "convolution": (lambda: nn.Conv2d(3, 8, 3), (5, 3, 9, 9)),
    "lstm": (lambda: lambda x: nn.LSTM(8, 16, batch_first=True)(x)[0], (9, 5, 8)),
    "gru": (lambda: lambda x: nn.GRU(8, 16, batch_first=True)(x)[0], (9, 5, 8)),
    "softmax": (lambda: nn.Softmax(1), (6, 42, 5)),
}


@pytest.mark.parametrize("name", BATCHES)
def test_an_example_has_the_same_bits_in_any_batch(name):
    make, shape = BATCHES[name]
    x = cr.randn(*shape)
    with settings.use(engine="numpy", gradients=False):
        cr.manual_seed(0)
        whole = make()(x)
        for i in range(len(x)):
            cr.manual_seed(0)
            assert make()(x[i : i + 1]).numpy().tobytes() == whole[i : i + 1].numpy().tobytes()
