"""Shapes, indices, sets: what PyTorch gives, values and gradients."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from tests.ops.parity import compare, numbers, second_order

import chainrule as cr

pytestmark = pytest.mark.parity


def index(m, *values):
    return m.tensor(values)


CALLS = {
    # name: (function of (library, tensors...), shapes of the inputs)
    "select_scatter": (lambda m, x, y: m.select_scatter(x, y, 1, 2), (2, 3, 4), (2, 4)),
    "slice_scatter": (lambda m, x, y: m.slice_scatter(x, y, 2, 1, None, 2), (2, 3, 4), (2, 3, 2)),
    "unravel_index": (lambda m, x: m.unravel_index((x * 10).long().abs(), (3, 4, 5)), (2, 3)),
    "histogramdd": (lambda m, x: m.histogramdd(x.detach(), [2, 3]), (7, 2)),
    "histogramdd edges": (
        lambda m, x, w: m.histogramdd(
            x.detach(),
            (m.tensor([-1.0, 0.0, 2.0]).double(), m.tensor([0.0, 1.0]).double()),
            weight=w.detach(),
            density=True,
        ),
        (7, 2),
        (7,),
    ),
    "gradient": (lambda m, x: m.gradient(x), (3, 4)),
    "gradient of order 2": (
        lambda m, x: m.gradient(x, spacing=0.5, dim=1, edge_order=2),
        (3, 4),
    ),
    "gradient at places": (
        lambda m, x: m.gradient(x, spacing=(m.tensor([0.0, 1.0, 2.5]).double(),), dim=0),
        (3, 4),
    ),
    "select": (lambda m, x: m.select(x, -1, 2), (3, 4)),
    "narrow": (lambda m, x: m.narrow(x, 1, -3, 2), (3, 4)),
    "unbind": (lambda m, x: m.unbind(x, 1), (3, 4)),
    "tensor_split": (lambda m, x: m.tensor_split(x, 3, 1), (3, 7)),
    "tensor_split at": (lambda m, x: m.tensor_split(x, (1, 5), dim=1), (3, 7)),
    "hsplit": (lambda m, x: m.hsplit(x, 2), (3, 4)),
    "hsplit of a vector": (lambda m, x: m.hsplit(x, [1, 3]), (4,)),
    "vsplit": (lambda m, x: m.vsplit(x, 2), (4, 3)),
    "dsplit": (lambda m, x: m.dsplit(x, [1]), (2, 2, 3)),
    "unflatten": (lambda m, x: m.unflatten(x, 1, (2, -1)), (3, 4)),
    "ravel": (lambda m, x: m.ravel(x), (3, 4)),
    "broadcast_to": (lambda m, x: m.broadcast_to(x, (2, 3, 4)), (3, 1)),
    "broadcast_tensors": (lambda m, x, y: m.broadcast_tensors(x, y), (3, 1), (4,)),
    "t": (lambda m, x: m.t(x), (3, 4)),
    "t of a vector": (lambda m, x: m.t(x), (3,)),
    "atleast": (lambda m, x: [m.atleast_1d(x), m.atleast_2d(x), m.atleast_3d(x)], ()),
    "atleast of a matrix": (lambda m, x: m.atleast_3d(x), (2, 3)),
    "movedim of several": (lambda m, x: m.movedim(x, (0, 1), (2, 0)), (2, 3, 4)),
    "vstack": (lambda m, x, y: m.vstack([x, y]), (3,), (2, 3)),
    "hstack": (lambda m, x, y: m.hstack([x, y]), (3,), (2,)),
    "hstack of matrices": (lambda m, x, y: m.hstack((x, y)), (2, 3), (2, 1)),
    "dstack": (lambda m, x, y: m.dstack([x, y]), (2, 3), (2, 3)),
    "column_stack": (lambda m, x, y: m.column_stack([x, y]), (2,), (2, 3)),
    "block_diag": (lambda m, x, y, z: m.block_diag(x, y, z), (2, 3), (2,), ()),
    "repeat_interleave": (lambda m, x: m.repeat_interleave(x, 2), (2, 3)),
    "repeat_interleave dim": (lambda m, x: m.repeat_interleave(x, 3, dim=1), (2, 3)),
    "repeat_interleave counts": (
        lambda m, x: m.repeat_interleave(x, index(m, 2, 0, 1), dim=1),
        (2, 3),
    ),
    "flip of none": (lambda m, x: m.flip(x, ()), (2, 3)),
    "fliplr": (lambda m, x: m.fliplr(x), (2, 3)),
    "flipud": (lambda m, x: m.flipud(x), (2, 3)),
    "rot90": (lambda m, x: [m.rot90(x, k, (0, 2)) for k in range(-1, 4)], (2, 3, 4)),
    "diag": (lambda m, x: m.diag(x, 1), (3, 4)),
    "diag of a vector": (lambda m, x: m.diag(x, -1), (3,)),
    "diagonal": (lambda m, x: m.diagonal(x, -1, 0, 2), (3, 2, 4)),
    "diagonal_scatter": (lambda m, x, y: m.diagonal_scatter(x, y, 1), (3, 4), (3,)),
    "diag_embed": (lambda m, x: m.diag_embed(x, 1, 0, 2), (2, 3)),
    "diagflat": (lambda m, x: m.diagflat(x, 1), (2, 2)),
    "meshgrid": (lambda m, x, y: m.meshgrid(x, y, indexing="ij"), (2,), (3,)),
    "meshgrid xy": (lambda m, x, y: m.meshgrid([x, y], indexing="xy"), (2,), (3,)),
    "cartesian_prod": (lambda m, x, y: m.cartesian_prod(x, y), (2,), (3,)),
    "combinations": (lambda m, x: m.combinations(x, 3), (4,)),
    "combinations again": (lambda m, x: m.combinations(x, 2, True), (3,)),
    "index_select": (lambda m, x: m.index_select(x, 1, index(m, 2, 0, 2)), (3, 4)),
    "index_add": (
        lambda m, x, y: m.index_add(x, 1, index(m, 2, 0, 2), y, alpha=0.5),
        (3, 4),
        (3, 3),
    ),
    "index_copy": (lambda m, x, y: m.index_copy(x, 1, index(m, 2, 0), y), (3, 4), (3, 2)),
    "index_fill": (lambda m, x: m.index_fill(x, 0, index(m, 2, 0), 9.0), (3, 4)),
    "take": (lambda m, x: m.take(x, index(m, 7, 0, 7)), (3, 4)),
    "take_along_dim": (lambda m, x: m.take_along_dim(x, index(m, [1, 0], [2, 2]), 1), (2, 3)),
    "take_along_dim wide": (lambda m, x: m.take_along_dim(x, index(m, [1, 0]), 1), (2, 3)),
    "take_along_dim flat": (lambda m, x: m.take_along_dim(x, index(m, 3, 0)), (2, 3)),
    "scatter": (lambda m, x, y: m.scatter(x, 1, index(m, [2, 0], [1, 3]), y), (3, 4), (2, 2)),
    "scatter a number": (lambda m, x: m.scatter(x, 1, index(m, [2, 0]), 5.0), (3, 4)),
    "scatter_add": (
        lambda m, x, y: m.scatter_add(x, 0, index(m, [2, 0, 1], [2, 2, 2]), y),
        (3, 4),
        (2, 3),
    ),
    "masked_select": (lambda m, x: m.masked_select(x, x[0] > 0), (3, 4)),
    "masked_fill": (lambda m, x: m.masked_fill(x, x[:, :1] > 0, -1), (3, 4)),
    "masked_fill by tensor": (lambda m, x: m.masked_fill(x, x > 0, x[0, 0].detach()), (3, 4)),
    "masked_scatter": (lambda m, x, y: m.masked_scatter(x, x[0] > 0, y), (3, 4), (3, 5)),
    "where of one": (lambda m, x: m.where(x > 0), (3, 4)),
    "argwhere": (lambda m, x: m.argwhere(x > 0), (3, 4)),
    "unique": (lambda m, x: m.unique(x.detach().round(), True, True, True), (3, 8)),
    "unique dim": (
        lambda m, x: m.unique(x.detach().round(), dim=1, return_inverse=True, return_counts=True),
        (1, 9),
    ),
    "unique_consecutive": (
        lambda m, x: m.unique_consecutive((x.detach() > 0).long(), True, True),
        (3, 8),
    ),
    "unique_consecutive dim": (
        lambda m, x: m.unique_consecutive((x.detach() > 0).long(), dim=0),
        (9, 1),
    ),
    "bincount": (lambda m, x: m.bincount((x.detach() + 3).long(), minlength=8), (20,)),
    "bincount of weights": (lambda m, x: m.bincount((x.detach() + 3).long(), x.detach()), (20,)),
    "histc": (lambda m, x: m.histc(x.detach(), 5, min=-1, max=1), (20,)),
    "histc of all": (lambda m, x: m.histc(x.detach(), bins=4), (3, 4)),
    "searchsorted": (
        lambda m, x, y: m.searchsorted(m.sort(x.detach()).values, y.detach(), right=True),
        (3, 5),
        (3, 2),
    ),
    "bucketize": (lambda m, x: m.bucketize(x.detach(), index(m, -1.0, 0.0, 1.0).double()), (3, 4)),
    "isin": (lambda m, x: m.isin(x.detach().round(), m.tensor([0.0, 1.0]).double()), (3, 4)),
}
for how in ("sum", "prod", "mean", "amax", "amin"):
    for own in (True, False):
        CALLS[f"scatter_reduce {how} {own}"] = (
            lambda m, x, y, how=how, own=own: m.scatter_reduce(
                x, 1, index(m, [2, 0, 2], [1, 3, 1]), y, how, include_self=own
            ),
            (3, 4),
            (2, 3),
        )


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    function, *shapes = CALLS[name]
    compare(function, [numbers(shape, seed) for seed, shape in enumerate(shapes)])


@pytest.mark.parametrize(
    "name",
    [
        "diagonal",
        "diag_embed",
        "scatter",
        "scatter_add",
        "index_add",
        "scatter_reduce prod True",
        "scatter_reduce amax True",
        "masked_scatter",
        "take_along_dim wide",
    ],
)
def test_second_order(name):
    function, *shapes = CALLS[name]
    second_order(
        lambda m, *xs: function(m, *[x * x for x in xs]),
        [numbers(shape, seed) for seed, shape in enumerate(shapes)],
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.tril_indices(3, 4, 1),
        lambda m, x: m.triu_indices(3, 4, -1),
        lambda m, x: m.repeat_interleave(x + 1),
        lambda m, x: m.scatter(m.zeros(2, 5), 1, x[None], 3.0, reduce="add"),
        lambda m, x: m.scatter(m.zeros(3, dtype=m.int64), 0, x, m.tensor([1, 2, 3])),
        lambda m, x: m.combinations(x),
        lambda m, x: m.index_select(m.tensor(7), 0, m.tensor([0])),
        lambda m, x: m.argwhere(m.tensor(3)),
        lambda m, x: m.unique(x),
        lambda m, x: m.broadcast_to(x, (2, 3)),
        lambda m, x: m.searchsorted(x, 1),
        lambda m, x: m.searchsorted(x, m.tensor([0, 9]), side="right", out_int32=True),
    ],
)
def test_integers(call):
    compare(call, [np.array([0, 1, 2])], gradients=False)


def test_views_write_into_their_base():
    for m in (cr, torch):
        x = m.zeros(3, 3)
        m.diagonal(x)[1:] = 5.0
        m.select(x, 0, 0)[2] = 7.0
        m.narrow(x, 1, 0, 1)[2] = 2.0
        assert x.tolist() == [[0, 0, 7], [0, 5, 0], [2, 0, 5]]


def test_what_is_refused_says_what_to_write():
    x = cr.ones(3, 2)
    with pytest.raises(ValueError, match=r"unfold\(dim, size, step\)"):
        cr.as_strided(x, (2, 2), (1, 1))
    with pytest.raises(TypeError, match="Compare first"):
        cr.masked_fill(x, x, 0)
    with pytest.raises(ValueError, match="unknown reduction; given: max"):
        cr.scatter(x, 0, cr.tensor([[0]]), 1.0, reduce="max")
    with pytest.raises(IndexError, match="index 5"):
        cr.scatter_add(x, 0, cr.tensor([[5]]), x)
    with pytest.raises(ValueError, match="3 do not divide into 2 equal parts"):
        cr.vsplit(x, 2)
    assert cr.broadcast_shapes((3, 1), (4,)) == torch.broadcast_shapes((3, 1), (4,))


@pytest.mark.filterwarnings("ignore:index_reduce")  # PyTorch's: it may change
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("how", ["prod", "mean", "amax", "amin"])
def test_index_reduce(how, own):
    compare(
        lambda m, x, y: m.index_reduce(x, 1, index(m, 2, 0, 2), y, how, include_self=own),
        [numbers((2, 3, 4)), numbers((2, 3, 4), 1)],
    )


@pytest.mark.parametrize("length", [0, 1, 6, 7])
@pytest.mark.parametrize("periodic", [True, False])
def test_windows(length, periodic):
    for name, more in [
        ("bartlett", ()),
        ("blackman", ()),
        ("hamming", ()),
        ("hamming", (0.6, 0.3)),
        ("hann", ()),
        ("kaiser", ()),
        ("kaiser", (5.0,)),
    ]:
        compare(lambda m, n=name, k=more: getattr(m, f"{n}_window")(length, periodic, *k), [], 1e-6)
