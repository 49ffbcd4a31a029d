"""Losses equal PyTorch's: values, gradients of first and second order, empty batches, extremes.

One table drives all tests. A row is a loss with inputs and options.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.nn.conftest import close

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn.losses import Loss

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:reduction. .mean.")]


REDUCTIONS = ("mean", "sum", "none")


class Row(NamedTuple):
    """A loss; a function from random numbers to its inputs; options, where arrays are tensors; the
    dimension of the batch in each input, if there is one that can have another size."""

    name: str
    make: Callable[[np.random.Generator], list[Any]]
    options: dict[str, Any]
    batch: tuple[int, ...] = (0, 0, 0, 0)


def real(*shape, scale=2.0):
    return lambda rng: rng.normal(size=shape, scale=scale)


def unit(*shape):
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def signs(*shape):
    return lambda rng: rng.choice([-1, 1], shape)


def several(*makers):
    return lambda rng: [np.asarray(make(rng)) for make in makers]


def labels(shape, ignored=None):
    """A label for each row of logits; one of them is ignored."""
    classes, found = shape[min(1, len(shape) - 1)], shape[:1] + shape[2:] if shape[1:] else ()

    def make(rng):
        y = np.asarray(rng.integers(0, classes, found))
        if ignored is not None and y.size > 3:
            y.flat[1] = ignored
        return y

    return make


def distributions(shape):
    """A distribution over the classes for each row of logits."""
    dim = min(1, len(shape) - 1)
    rest = shape[:dim] + shape[dim + 1 :]
    return lambda rng: np.moveaxis(rng.dirichlet(np.ones(shape[dim]), rest), -1, dim).copy()


def weight(*shape):
    return np.random.default_rng(7).uniform(0.5, 2, shape)


SHAPES = [(4,), (6, 4), (6, 4, 3), (2, 4, 3, 2), (1, 1)]


def rows_of_labels():
    for shape, weighted, ignored in itertools.product(SHAPES, (False, True), (-100, 1)):
        options: dict[str, Any] = {"ignore_index": ignored} if ignored == 1 else {}
        if weighted:
            options["weight"] = weight(shape[min(1, len(shape) - 1)])
        inputs, batch = several(real(*shape), labels(shape, ignored)), (0, 0) if shape[1:] else ()
        yield Row("nll_loss", inputs, options, batch)
        for smoothing in (0.0, 0.2):
            yield Row("cross_entropy", inputs, {**options, "label_smoothing": smoothing}, batch)


def rows_of_distributions():
    for shape, smoothing, w in itertools.product(SHAPES[:4], (0.0, 0.2), (None, weight(4))):
        inputs = several(real(*shape), distributions(shape))
        options = {"label_smoothing": smoothing} | ({} if w is None else {"weight": w})
        yield Row("cross_entropy", inputs, options, (0, 0) if shape[1:] else ())


def rows_of_yes_and_no():
    for shape, w in itertools.product([(5,), (3, 4), ()], (None, weight(), weight(1))):
        options = {} if w is None else {"weight": w}
        if w is None or w.ndim <= len(shape):
            inputs = several(unit(*shape), unit(*shape))
            yield Row("binary_cross_entropy", inputs, options, (0, 0) if shape else ())
    for w, p in itertools.product((None, weight(3, 1)), (None, weight(), weight(4))):
        options = ({} if w is None else {"weight": w}) | ({} if p is None else {"pos_weight": p})
        inputs = several(real(3, 4), unit(3, 4))
        yield Row(
            "binary_cross_entropy_with_logits", inputs, options, () if w is not None else (0, 0)
        )


def rows_of_numbers():
    options: list[tuple[str, dict[str, Any]]] = [
        ("mse_loss", {}),
        ("mse_loss", {"weight": weight(3, 4)}),
        ("l1_loss", {}),
        ("l1_loss", {"weight": weight(3, 4)}),
        ("huber_loss", {}),
        ("huber_loss", {"delta": 0.3}),
        ("huber_loss", {"weight": weight(3, 4)}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.4}),
        ("smooth_l1_loss", {"beta": 0.0}),
    ]
    for name, chosen in options:
        for shape in [(3, 4)] if "weight" in chosen else [(5,), (3, 4), (), (2, 3, 4)]:
            batch = (0, 0) if shape and "weight" not in chosen else ()
            yield Row(name, several(real(*shape), real(*shape)), chosen, batch)


def constant(x):
    return lambda rng: np.array(x)


def sequences(targets):
    """Log-probabilities (5, 4, 4), targets, and the lengths of both."""
    lengths = constant([5, 4, 2, 5]), constant([2, 2, 1, 0])
    return several(
        lambda rng: np.log(rng.dirichlet(np.ones(4), (5, 4))), constant(targets), *lengths
    )


ROWS = [
    *rows_of_labels(),
    *rows_of_distributions(),
    *rows_of_yes_and_no(),
    *rows_of_numbers(),
    Row("kl_div", several(real(4, 3), unit(4, 3)), {}),
    Row("kl_div", several(real(4, 3), real(4, 3)), {"log_target": True}),
    Row("kl_div", several(real(), unit()), {"reduction": "batchmean"}, ()),
    Row("kl_div", several(real(4, 3, 2), unit(4, 3, 2)), {"reduction": "batchmean"}),
    *[
        Row("poisson_nll_loss", several(unit(4, 3), lambda rng: rng.poisson(2, (4, 3)) + 1.0), o)
        for o in ({}, {"log_input": False}, {"full": True}, {"log_input": False, "eps": 0.1})
    ],
    Row("gaussian_nll_loss", several(real(4, 3), real(4, 3), unit(4, 3)), {}),
    Row("gaussian_nll_loss", several(real(4, 3), real(4, 3), unit(4, 1)), {"full": True}),
    Row("gaussian_nll_loss", several(real(4, 3), real(4, 3), unit(4)), {"eps": 0.5}),
    Row("gaussian_nll_loss", several(real(3), real(3), unit(3)), {}, ()),
    Row("soft_margin_loss", several(real(4, 3), signs(4, 3)), {}),
    Row("soft_margin_loss", several(real(), signs()), {}, ()),
    Row("hinge_embedding_loss", several(real(4, 3), signs(4, 3)), {}),
    Row("hinge_embedding_loss", several(real(4), constant([1, -1, 1, 0])), {"margin": 0.3}),
    *[
        Row("cosine_embedding_loss", several(real(4, 3), real(4, 3), signs(4)), {"margin": m})
        for m in (0.0, 0.5, -0.5)
    ],
    Row("cosine_embedding_loss", several(real(3), real(3), signs()), {}, ()),
    Row("margin_ranking_loss", several(real(4), real(4), signs(4)), {}),
    Row("margin_ranking_loss", several(real(4, 3), real(4, 3), signs(4, 3)), {"margin": 0.7}),
    *[
        Row("triplet_margin_loss", several(*[real(4, 3)] * 3), o)
        for o in ({}, {"margin": 0.3}, {"p": 1.0}, {"p": 3.0}, {"swap": True}, {"eps": 0.1})
    ],
    Row("triplet_margin_loss", several(*[real(3)] * 3), {}, ()),
    Row("triplet_margin_with_distance_loss", several(*[real(4, 3)] * 3), {}),
    Row(
        "triplet_margin_with_distance_loss",
        several(*[real(4, 3)] * 3),
        {"distance_function": lambda x, y: (x - y).abs().sum(-1), "swap": True, "margin": 2.0},
    ),
    *[
        Row("multi_margin_loss", several(real(*s), labels(s)), o, ())  # PyTorch's of nothing is any
        for s in ((5, 4), (4,))
        for o in ({}, {"p": 2}, {"margin": 0.3}, {"weight": weight(4)})
    ],
    Row(
        "multilabel_margin_loss",
        several(real(3, 4), constant([[3, 0, -1, 1], [2, 2, 1, -1], [-1, 0, 1, 2]])),
        {},
        (),
    ),
    Row("multilabel_margin_loss", several(real(4), constant([1, 3, -1, 0])), {}, ()),
    Row("multilabel_soft_margin_loss", several(real(4, 3), unit(4, 3)), {}),
    Row("multilabel_soft_margin_loss", several(real(4, 3), unit(4, 3)), {"weight": weight(3)}),
    *[
        Row("ctc_loss", sequences([[1, 2], [1, 1], [3, 0], [0, 0]]), o, ())
        for o in ({}, {"zero_infinity": True})
    ],
    Row("ctc_loss", sequences([1, 2, 1, 1, 3]), {}, ()),
    Row("ctc_loss", sequences([[3, 2], [3, 3], [0, 1], [1, 1]]), {"blank": 1}, ()),
]


def text(row: Row) -> str:
    options = ",".join(f"{k}={v if np.isscalar(v) else 'given'}" for k, v in row.options.items())
    return f"{row.name}({options})"


each_row = pytest.mark.parametrize("row", ROWS, ids=text)


def inputs_of(row, dtype):
    arrays = row.make(np.random.default_rng(0))
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


def both(row, arrays, dtype, **more):
    """(loss, inputs) of each library; inputs that are real numbers need a gradient."""
    found = []
    for functions, tensor in ((F, cr.tensor), (TF, torch.tensor)):
        xs = [tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        options = {
            k: tensor(v.astype(dtype)) if isinstance(v, np.ndarray) else v
            for k, v in {**more, **row.options}.items()
        }
        found.append((getattr(functions, row.name)(*xs, **options), xs))
    return found


def same_gradients(found, dtype):
    """The losses, and their gradients for one random gradient of theirs, are equal."""
    (y, xs), (t, us) = found
    assert y.shape == tuple(t.shape) and str(t.dtype) == f"torch.{y.dtype}"
    close(y.detach(), t.detach(), dtype)
    g = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    y.backward(cr.tensor(g))
    t.backward(torch.tensor(g))
    for x, u in zip(xs, us, strict=True):
        assert (x.grad is None) == (u.grad is None)
        if u.grad is not None:
            close(x.grad, u.grad, dtype)


@each_row
def test_value_and_gradient(row, dtype):
    arrays = inputs_of(row, dtype)
    for reduction in REDUCTIONS:
        same_gradients(both(row, arrays, dtype, reduction=reduction), dtype)


@each_row
def test_a_batch_of_nothing(row):
    if not row.batch:
        return
    empty = [
        a[(slice(None),) * d + (slice(0),)]
        for a, d in zip(inputs_of(row, np.float32), row.batch, strict=False)
    ]
    for reduction in REDUCTIONS:
        same_gradients(both(row, empty, np.float32, reduction=reduction), np.float32)


def second_order(loss, xs, tensor, gradients):
    """The gradients of Σ g·v, where g are the gradients of the loss and v is random."""
    leaves = [x for x in xs if x.requires_grad]
    rng = np.random.default_rng(2)
    first = gradients(loss, leaves)
    along = sum((g * tensor(rng.normal(size=tuple(g.shape)))).sum() for g in first)
    return gradients(along, leaves) if along.requires_grad else [0 * x for x in leaves]


def of_ours(y, leaves):
    return cr.gradients([y], leaves, create_graph=True, allow_unused=True)


def of_pytorchs(y, leaves):
    found = torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]


@each_row
def test_second_order_where_pytorch_has_it(row):
    dtype = np.dtype(np.float64)
    (y, xs), (t, us) = both(row, inputs_of(row, dtype), dtype, reduction="mean")
    try:
        wanted = second_order(t, us, torch.tensor, of_pytorchs)
    except RuntimeError as error:
        assert "not implemented" in str(error)
        return
    for g, h in zip(second_order(y, xs, cr.tensor, of_ours), wanted, strict=True):
        close(g.detach(), h.detach().numpy(force=True), dtype)


@each_row
def test_large_inputs(row):
    """Numbers of 10⁴, or probabilities 0 and 1: as PyTorch's, and finite where that overflows."""
    if row.name == "ctc_loss":
        return
    x, *more = inputs_of(row, np.float32)
    x = (x > 0.5).astype(np.float32) if x.min() >= 0 else x * 10_000
    (y, xs), (t, _) = both(row, [x, *more], np.float32, reduction="none")
    y.sum().backward()
    theirs = t.detach().numpy()
    known = np.isfinite(theirs)
    # A float32 of 10⁴ is exact to 10⁻³.
    np.testing.assert_allclose(y.detach().numpy()[known], theirs[known], rtol=3e-5, atol=3e-3)
    assert np.isfinite(y.detach().numpy()).all() and np.isfinite(xs[0].grad.numpy()).all()


# -- modules -------------------------------------------------------------------------------------

MODULES = {
    loss.function.__name__: loss
    for loss in map(vars(nn).get, nn.__all__)
    if isinstance(loss, type) and issubclass(loss, Loss)
}


def test_every_loss_has_a_row():
    named = {name for name in F.__all__ if name.endswith("loss") or "entropy" in name}
    assert set(MODULES) == named | {"kl_div"}, "a loss is a function of nn.functional and a module"
    missing = {name for name in MODULES if hasattr(TF, name)} - {row.name for row in ROWS}
    assert not missing, f"add a row for {missing} to ROWS in tests/nn/test_parity_losses.py"


def takes(loss, options):
    """Whether these are options of a module, and not only of its function."""
    return options.keys() <= loss.__signature__.parameters.keys()


@each_row
def test_modules_are_the_functions_with_pytorchs_state(row):
    loss = MODULES[row.name]
    if not takes(loss, row.options):
        return
    arrays, values, states = inputs_of(row, np.float32), [], []
    for library, tensor in ((nn, cr.tensor), (torch.nn, torch.tensor)):
        options = {
            k: tensor(v.astype(np.float32)) if isinstance(v, np.ndarray) else v
            for k, v in row.options.items()
        }
        module = getattr(library, loss.__name__)(**options)
        values.append(module(*map(tensor, arrays)).numpy())
        states.append({k: v.tolist() for k, v in module.state_dict().items()})
    close(values[0], values[1], np.float32)
    assert states[0] == states[1]


@each_row
def test_the_divisor_joins_the_means_of_batches(row):
    """The mean over a data set is Σ divisor·loss / Σ divisor over its batches."""
    loss = MODULES[row.name]
    names = list(inspect.signature(loss.function).parameters)
    if not row.batch or "target" not in names or not takes(loss, row.options):
        return
    options = {k: cr.tensor(v) if isinstance(v, np.ndarray) else v for k, v in row.options.items()}
    module, arrays = loss(**options), inputs_of(row, np.float64)
    halves = [arrays, *[[a[part] for a in arrays] for part in (slice(0, 1), slice(1, None))]]
    target = names.index("target")
    whole, *parts = [
        (module(*map(cr.tensor, half)).item(), module.divisor(half[target])) for half in halves
    ]
    total = sum(value * n for value, n in parts if n) / sum(n for _, n in parts)
    np.testing.assert_allclose(total, whole[0], rtol=1e-12)
