"""Functions of layers, a row each: values and derivatives of both orders equal PyTorch's."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from tests.nn.compare import compare_orders

import chainrule as cr
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.parity

FUNCTIONS = [  # name, shapes of the inputs, the other arguments
    ("group_norm", [(3, 4, 5)], {"num_groups": 2}),
    ("group_norm", [(3, 4, 5), (4,), (4,)], {"num_groups": 4, "eps": 1e-3}),
    ("group_norm", [(3, 4), (4,)], {"num_groups": 2}),
    ("rms_norm", [(3, 4)], {"normalized_shape": (4,)}),
    ("rms_norm", [(3, 4, 5), (4, 5)], {"normalized_shape": (4, 5), "eps": 1e-3}),
    ("local_response_norm", [(3, 4, 5)], {"size": 2, "alpha": 1.0}),
    ("local_response_norm", [(3, 5, 2, 4)], {"size": 3, "alpha": 0.5, "beta": 0.3, "k": 2.0}),
    ("bilinear", [(5, 2), (5, 3), (4, 2, 3)], {}),
    ("bilinear", [(2,), (3,), (4, 2, 3), (4,)], {}),
    ("pdist", [(4, 3)], {}),
    ("pdist", [(4, 3)], {"p": 1.0}),
    ("pdist", [(5, 2)], {"p": 3.0}),
    ("pdist", [(1, 2)], {"p": np.inf}),
    ("pixel_shuffle", [(2, 12, 3, 4)], {"upscale_factor": 2}),
    ("pixel_unshuffle", [(2, 1, 3, 4, 6)], {"downscale_factor": 2}),
    ("channel_shuffle", [(2, 6, 3)], {"groups": 3}),
    ("unfold", [(2, 3, 5, 4)], {"kernel_size": (3, 2), "padding": 1, "stride": 2}),
    ("unfold", [(3, 5, 4)], {"kernel_size": 2, "dilation": 2}),
    ("fold", [(2, 12, 12)], {"output_size": (4, 5), "kernel_size": 2}),
    ("fold", [(12, 12)], {"output_size": (4, 5), "kernel_size": 2}),
    ("normalize", [(3, 4)], {}),
    ("normalize", [(3, 4, 2)], {"p": 1.0, "dim": -1}),
    ("normalize", [(3, 4, 2)], {"p": 3.0, "dim": (0, 2), "eps": 10.0}),
]
SECOND = {"rms_norm": False, "pdist": False}
"""Functions whose second derivative PyTorch lacks."""
AFTER_INPUT = {"group_norm": ["num_groups"], "rms_norm": ["normalized_shape"]}
"""Arguments between the first tensor and the others."""
BY_ROW = pytest.mark.parametrize(
    ("name", "shapes", "options"), FUNCTIONS, ids=lambda value: str(value).replace(" ", "")
)


def both(name, options):
    between = [options[key] for key in AFTER_INPUT.get(name, [])]
    rest = {key: value for key, value in options.items() if value not in between}

    def call(functions):
        return lambda x, *others: getattr(functions, name)(x, *between, *others, **rest)

    return call(F), call(TF)


@BY_ROW
def test_values_and_derivatives(name, shapes, options):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arrays = [rng.normal(size=shape) for shape in shapes]
    compare_orders(*both(name, options), *arrays, second=SECOND.get(name, True))


@BY_ROW
def test_an_empty_batch(name, shapes, options):
    if name == "pixel_unshuffle":
        pytest.skip("PyTorch returns the input")
    ours, theirs = both(name, options)
    shapes = [(0, *shapes[0][1:]), *shapes[1:]]
    try:
        wanted = theirs(*[torch.zeros(shape) for shape in shapes])
    except (RuntimeError, ValueError):
        pytest.skip("PyTorch takes none")
    x = cr.tensor(np.zeros(shapes[0], np.float32), requires_grad=True)
    y = ours(x, *[cr.zeros(*shape) for shape in shapes[1:]])
    assert y.shape == tuple(wanted.shape) and y.dtype == np.float32
    y.sum().backward()
    assert x.grad.shape == x.shape


@BY_ROW
def test_what_is_no_tensor(name, shapes, options):
    ours, _ = both(name, options)
    with pytest.raises(TypeError, match=r"cr\.tensor"):
        ours(*[np.zeros(shape) for shape in shapes])


def test_group_norm_refuses_what_has_no_variance():
    with pytest.raises(ValueError, match="at least 2 values per group"):
        F.group_norm(cr.ones(1, 4), 4)
    with pytest.raises(ValueError, match="3 groups of 4"):
        F.group_norm(cr.ones(2, 4), 3)
    with pytest.raises(ValueError, match="3 groups of 4"):
        cr.nn.GroupNorm(3, 4)
    with pytest.raises(ValueError, match="expects 4 channels"):
        cr.nn.GroupNorm(2, 4)(cr.ones(2, 6))


def test_norms_without_a_size_of_their_own_take_any_number_of_channels(rng, parity):
    x = rng.normal(size=(2, 5, 3))
    with pytest.warns(UserWarning, match="5 channels, this layer expects 3"):
        parity(cr.nn.InstanceNorm1d(3), TF.instance_norm, x)
    with pytest.raises(ValueError, match=r"Did you mean InstanceNorm1d\(5, ...\)|InstanceNorm1d"):
        cr.nn.InstanceNorm1d(3, affine=True)(cr.tensor(x))


def test_rms_norm_of_float16_does_not_overflow():
    assert F.rms_norm(cr.tensor([300.0, 300.0], dtype=cr.float16), 2).tolist() == [1, 1]


def test_layers_are_reset():
    for layer in (cr.nn.BatchNorm1d(2), cr.nn.GroupNorm(1, 2), cr.nn.RMSNorm(2), cr.nn.PReLU(2)):
        start = {name: x.tolist() for name, x in layer.state_dict().items()}
        for x in layer.state_dict().values():
            x.fill_(7)
        layer.reset_parameters()
        assert {name: x.tolist() for name, x in layer.state_dict().items()} == start


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout3d", "alpha_dropout"])
def test_dropout_refuses(name):
    with pytest.raises(ValueError, match=rf"p of {name} is not in \[0, 1\]"):
        getattr(F, name)(cr.ones(1, 2, 3), 1.5)
    with pytest.raises(TypeError, match="real numbers"):
        getattr(F, name)(cr.ones(1, 2, 3).long(), 0.5, training=True)
    if name[-2:] in ("1d", "3d"):
        with pytest.raises(ValueError, match=r"\(N, C, "):
            getattr(F, name)(cr.ones(3, 2, 2, 2, 2, 2))


def test_alpha_dropout_keeps_mean_and_variance():
    cr.manual_seed(0)
    y = F.alpha_dropout(cr.randn(100_000), 0.3, training=True).numpy()
    # 100,000 draws: mean and variance lie within four standard errors of 0 and 1.
    assert abs(y.mean()) < 4 / 100_000**0.5
    assert abs(y.var() - 1) < 4 * (2 / 100_000) ** 0.5
    assert len(set(y[np.isclose(y, y.min())].round(4))) <= 2


def test_dropout2d_of_three_dimensions_warns():
    with pytest.warns(UserWarning, match="dropout1d"):
        y = F.dropout2d(cr.ones(50, 2, 3), 0.5)
    assert ((y == 0).all(-1) | (y == 2).all(-1)).all()


@pytest.mark.parametrize("offsets", [None, [0, 2, 2, 5]])
def test_weights_in_a_sum_of_embeddings(offsets, rng):
    index = rng.integers(0, 5, (6,) if offsets else (2, 3))
    arrays = [rng.normal(size=(5, 4)), rng.normal(size=index.shape)]

    def both(lib, functions):
        starts = None if offsets is None else lib.tensor(offsets)
        return lambda w, p: functions.embedding_bag(
            lib.tensor(index), w, starts, mode="sum", per_sample_weights=p
        )

    compare_orders(both(cr, F), both(torch, TF), *arrays, second=False)


def test_tables_take_the_weight_that_is_given():
    table = cr.eye(3)
    bag = cr.nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum")
    assert bag(cr.tensor([[0, 2]])).tolist() == [[1, 0, 1]] and bag.weight.requires_grad
    assert not cr.nn.Embedding(3, 3, _weight=table, _freeze=True).weight.requires_grad
    with pytest.raises(ValueError, match=r"expected: \(2, 3\)"):
        cr.nn.Embedding(2, 3, _weight=table)


BAG = cr.tensor([1, 2])


@pytest.mark.parametrize(
    ("index", "options", "words"),
    [
        (BAG, {}, r"\(bags, n\)"),
        (BAG.reshape(1, 2), {"offsets": cr.tensor([0])}, r"\(bags, n\)"),
        (BAG, {"offsets": cr.tensor([1])}, "rise from 0 to at most 2"),
        (BAG, {"offsets": cr.tensor([0, 5])}, "rise from 0 to at most 2"),
        (BAG, {"offsets": cr.tensor([0, 2, 1])}, "rise from 0"),
        (BAG, {"offsets": cr.tensor([[0]])}, "in a row"),
        (BAG, {"offsets": cr.tensor([0]), "mode": "average"}, "'mean', 'sum', 'max'"),
        (BAG, {"offsets": cr.tensor([0]), "per_sample_weights": cr.ones(2)}, "mode 'sum'"),
        (BAG + 9, {"offsets": cr.tensor([0])}, "index 10"),
        (BAG, {"offsets": cr.tensor([0]), "max_norm": 0.0}, "max_norm"),
    ],
)
def test_bags_that_do_not_fit(index, options, words):
    with pytest.raises((ValueError, IndexError), match=words):
        F.embedding_bag(index, cr.ones(4, 2), **options)
    with pytest.raises(ValueError, match="'mean', 'sum', 'max'"):
        cr.nn.EmbeddingBag(4, 2, mode="average")


def test_bilinear_refuses_what_does_not_fit():
    layer = cr.nn.Bilinear(2, 3, 4)
    for shapes in (((5, 2), (4, 3)), ((5, 3), (5, 3)), ((2,), ())):
        with pytest.raises(ValueError, match=r"in Bilinear 2 × 3 → 4: the inputs .* do not fit"):
            layer(*[cr.ones(*shape) for shape in shapes])
    with pytest.raises(ValueError, match="matrix"):
        F.pdist(cr.ones(3))


def test_limited_norms_in_a_compiled_function():
    layer = cr.nn.Embedding(4, 3, max_norm=0.5)
    again = cr.nn.Embedding(4, 3, max_norm=0.5, _weight=layer.weight.detach().clone())
    index = cr.tensor([0, 2, 0])
    assert cr.compile(lambda i: layer(i))(index).tolist() == again(index).tolist()
    assert layer.weight.tolist() == again.weight.tolist()
