"""Transformers equal PyTorch's: outputs, gradients, masks, and what evaluation leaves out."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity
TIGHT = {"rtol": 1e-8, "atol": 1e-9}
"""In float64, sums of a few dozen numbers in another order, through several layers."""
GRID = list(itertools.product((False, True), (False, True), (False, True), ("relu", "gelu")))


def both(make):
    """Ours and PyTorch's of `make(nn, functional)`, with the same weights, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's about its fast way
        ours, theirs = make(nn, F).double(), make(torch.nn, torch.nn.functional).double()
    rng = np.random.default_rng(3)
    state = {name: rng.normal(size=tuple(v.shape)) * 0.3 for name, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return ours, theirs


def masks(options, tensor):
    return {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def compare(ours, theirs, arrays, **options):
    """Outputs, and gradients by inputs and weights."""
    xs = [cr.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs, **masks(options, cr.tensor)), theirs(*ts, **masks(options, torch.tensor))
    np.testing.assert_allclose(y.detach(), t.detach(), **TIGHT)
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(cr.tensor(g))
    t.backward(torch.tensor(g))
    for x, u in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, u.grad, **TIGHT)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, **TIGHT)


def sequences(rng, batch_first, *lengths):
    return [rng.normal(size=(2, n, 8) if batch_first else (n, 2, 8)) for n in lengths]


CAUSAL = np.triu(np.ones((4, 4), bool), 1)
PADDING = np.array([[False, False, False, True, True], [False] * 5])


@pytest.mark.parametrize(("batch_first", "norm_first", "bias", "activation"), GRID)
def test_layers(batch_first, norm_first, bias, activation, rng):
    options = {"batch_first": batch_first, "norm_first": norm_first, "bias": bias}
    options |= {"activation": activation, "dropout": 0.0, "layer_norm_eps": 1e-3}
    ours, theirs = both(lambda n, f: n.TransformerEncoderLayer(8, 2, 12, **options))
    x, memory = sequences(rng, batch_first, 4, 5)
    compare(ours, theirs, [x], src_mask=CAUSAL, is_causal=True)
    compare(ours, theirs, [x[0]], src_mask=rng.normal(size=(len(x[0]),) * 2))
    compare(ours, theirs, [memory], src_key_padding_mask=PADDING)
    ours, theirs = both(lambda n, f: n.TransformerDecoderLayer(8, 2, 12, **options))
    compare(ours, theirs, [x, memory])
    compare(
        ours,
        theirs,
        [x, memory],
        tgt_mask=CAUSAL,
        memory_mask=rng.normal(size=(4, 5)),
        tgt_key_padding_mask=np.zeros((2, 4), bool),
        memory_key_padding_mask=np.where(PADDING, -np.inf, 0.0),
    )


ACTIVATIONS = {
    "function": lambda n, f: f.silu,
    "module": lambda n, f: n.GELU(),
    "name": lambda n, f: "gelu",
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, rng):
    def make(n, f):
        chosen = ACTIVATIONS[activation](n, f)
        return n.TransformerEncoderLayer(8, 2, 12, 0.0, chosen, batch_first=True)

    compare(*both(make), sequences(rng, True, 4))


def test_the_whole_model(rng):
    for batch_first, norm_first in itertools.product((False, True), repeat=2):
        options = {"dropout": 0.0, "batch_first": batch_first, "norm_first": norm_first}
        ours, theirs = both(lambda n, f, options=options: n.Transformer(8, 2, 2, 2, 12, **options))
        source, target = sequences(rng, batch_first, 5, 4)
        causal = theirs.generate_square_subsequent_mask(4).double().numpy()
        np.testing.assert_array_equal(ours.generate_square_subsequent_mask(4), causal)
        compare(ours, theirs, [source, target])
        compare(
            ours,
            theirs,
            [source, target],
            tgt_mask=causal,
            src_key_padding_mask=PADDING,
            memory_key_padding_mask=PADDING,
            tgt_is_causal=True,
        )


FAST = {
    "fast": {},
    "padding in front": {"padding": PADDING[:, ::-1].copy()},
    "not checked": {"mask_check": False},
    "not wanted": {"enable_nested_tensor": False},
    "norm first": {"norm_first": True},
    "batch second": {"batch_first": False},
    "odd heads": {"nhead": 1},
    "silu": {"activation": "silu"},
    "no bias": {"bias": False},
    "mask": {"mask": np.zeros((5, 5), bool)},
    "gradients": {"gradients": True},
    "training": {"training": True},
}


@pytest.mark.parametrize("name", FAST)
def test_evaluation_leaves_padding_out_where_pytorch_does(name, rng):
    """PyTorch's fast way gives 0 at padding, before the last norm."""
    options = dict(FAST[name])
    mask, padding = options.pop("mask", None), options.pop("padding", PADDING)
    gradients, training = options.pop("gradients", False), options.pop("training", False)
    stack = {k: options.pop(k) for k in ("mask_check", "enable_nested_tensor") if k in options}
    options = {"nhead": 2, "batch_first": True, **options}

    def make(n, f):
        own = {**options, "activation": getattr(f, options.get("activation", "relu"))}
        layer = n.TransformerEncoderLayer(8, dim_feedforward=12, dropout=0.0, **own)
        return n.TransformerEncoder(layer, 2, n.LayerNorm(8), **stack)

    ours, theirs = both(make)
    ours.train(training), theirs.train(training)
    (x,) = sequences(rng, options["batch_first"], 5)
    with cr.set_grad_enabled(gradients), torch.set_grad_enabled(gradients):
        given = {"src_key_padding_mask": padding} | ({} if mask is None else {"mask": mask})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's nested tensors are a prototype
            wanted = theirs(torch.tensor(x), **masks(given, torch.tensor)).detach()
        found = ours(cr.tensor(x), **masks(given, cr.tensor)).detach()
        compiled = cr.compile(ours)(cr.tensor(x), **masks(given, cr.tensor)).detach()
    np.testing.assert_allclose(found, wanted, **TIGHT)
    np.testing.assert_allclose(compiled, found, **TIGHT)


def test_dropout_is_drawn_in_training_only():
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5), cr.randn(4, 3, 8)
    assert (layer(x) != layer(x)).any()
    layer.eval()
    assert (layer(x) == layer(x)).all()


def test_copies_of_a_layer_have_weights_of_their_own():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)
    first, second = encoder.layers
    assert first.linear1.weight is not second.linear1.weight
    assert (first.linear1.weight == second.linear1.weight).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="'swish'"):
        nn.TransformerEncoderLayer(8, 2, activation="swish")
    model = nn.Transformer(8, 2, 1, 1, 16)
    with pytest.raises(ShapeError, match="do not fit together"):
        model(cr.zeros(4, 2, 8), cr.zeros(4, 3, 8))
    with pytest.raises(ShapeError, match="8 features"):
        model(cr.zeros(4, 2, 6), cr.zeros(4, 2, 6))
    with pytest.raises(ArgumentError, match=r"model.layers.0.self_attn .*is_causal is a hint"):
        model.encoder(cr.zeros(4, 2, 8), is_causal=True)
