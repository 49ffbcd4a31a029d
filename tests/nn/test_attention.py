"""Attention, of one head and of several: parity with PyTorch, errors, captured training."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn import functional as F

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="needs the extra `parity`")
TIGHT = {"rtol": 1e-9, "atol": 1e-11}
"""In float64, sums of a few dozen numbers in another order."""
RNG = np.random.default_rng(0)
VISIBLE = RNG.random((2, 3, 5, 6)) < 0.6
VISIBLE[..., 0] = True
MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "scale": {"scale": 0.3},
    "boolean": {"attn_mask": VISIBLE[0, 0]},
    "for each head": {"attn_mask": VISIBLE},
    "for each example": {"attn_mask": VISIBLE[:, :1]},
    "added": {"attn_mask": RNG.normal(size=(5, 6))},
    "added for each head": {"attn_mask": RNG.normal(size=(1, 3, 1, 6)), "scale": 2.0},
}


def as_tensors(options, make):
    return {n: make(v) if isinstance(v, np.ndarray) else v for n, v in options.items()}


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("options", MASKS.values(), ids=MASKS)
def test_attention_equals_pytorchs(options, rng, parity):
    arrays = [rng.normal(size=(2, 3, *s)) for s in ((5, 4), (6, 4), (6, 3))]
    if (mask := options.get("attn_mask")) is not None and mask.dtype != bool:
        rest = {n: v for n, v in options.items() if n != "attn_mask"}
        parity(
            lambda *a: F.scaled_dot_product_attention(*a, **rest),
            lambda *a: torch.nn.functional.scaled_dot_product_attention(*a, **rest),
            *arrays,
            mask,
        )
    ours, theirs = as_tensors(options, cr.tensor), as_tensors(options, torch.tensor)
    parity(
        lambda *a: F.scaled_dot_product_attention(*a, **ours),
        lambda *a: torch.nn.functional.scaled_dot_product_attention(*a, **theirs),
        *arrays,
    )


def test_without_dropout_and_with_a_little_the_mean_is_the_same():
    """Dropping keeps the expectation; 4,000 draws of 6 probabilities."""
    cr.manual_seed(0)
    q, k = cr.randn(1, 4), cr.randn(6, 4)
    v = cr.randn(6, 2)
    expected = F.scaled_dot_product_attention(q, k, v)
    many = q.expand(4000, 1, 4), k.expand(4000, 6, 4), v.expand(4000, 6, 2)
    dropped = F.scaled_dot_product_attention(*many, dropout_p=0.2)
    # A deviation of about 0.3 for one draw, so 0.005 for the mean: 4 of those.
    np.testing.assert_allclose(dropped.mean(0), expected, atol=0.02)
    for options in ({"is_causal": True}, {"attn_mask": cr.ones(1, 6)}):
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=1e-12, **options)
        b = F.scaled_dot_product_attention(q, k, v, **options)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_dimensions_in_front_broadcast():
    q, k, v = cr.randn(2, 3, 5, 4), cr.randn(3, 6, 4), cr.randn(1, 1, 6, 2)
    y = F.scaled_dot_product_attention(q, k, v)
    whole = F.scaled_dot_product_attention(q, k.expand(2, 3, 6, 4), v.expand(2, 3, 6, 2))
    assert (y == whole).all()


def test_errors_of_attention():
    q, k, v = cr.zeros(5, 4), cr.zeros(6, 4), cr.zeros(6, 3)
    attend = F.scaled_dot_product_attention
    with pytest.raises(ArgumentError, match="not both"):
        attend(q, k, v, cr.zeros(5, 6), is_causal=True)
    with pytest.raises(ArgumentError, match="dropout_p"):
        attend(q, k, v, dropout_p=1.5)
    with pytest.raises(ShapeError, match="do not fit together"):
        attend(q, k[1:], v)
    with pytest.raises(ShapeError, match="do not broadcast"):
        attend(cr.zeros(2, 5, 4), cr.zeros(3, 6, 4), v)
    with pytest.raises(DTypeError, match="boolean or of the query's dtype"):
        attend(q, k, v, cr.ones(5, 6, dtype=cr.int64))
    with pytest.raises(DTypeError, match="takes tensors"):
        attend(q.numpy(), k, v)


# -- several heads -------------------------------------------------------------------------------

HEADS = {"embed_dim": 8, "num_heads": 2}


def heads(**options):
    """Ours and PyTorch's with the same weights, in float64."""
    ours = nn.MultiheadAttention(**HEADS, **options).double()
    theirs = torch.nn.MultiheadAttention(**HEADS, **options).double()
    state = {name: value.numpy().copy() for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    state = {name: RNG.normal(size=value.shape) for name, value in state.items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({n: torch.tensor(v.numpy()) for n, v in ours.state_dict().items()})
    return ours, theirs


def compare(ours, theirs, arrays, **options):
    """Outputs, probabilities, and gradients of both by inputs and weights."""
    xs = [cr.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    found = ours(*(xs * 3)[:3], **as_tensors(options, cr.tensor))
    wanted = theirs(*(ts * 3)[:3], **as_tensors(options, torch.tensor))
    loss, reference = 0.0, 0.0
    for y, t in zip(found, wanted, strict=True):
        assert (y is None) == (t is None)
        if y is None:
            continue
        assert y.shape == tuple(t.shape)
        np.testing.assert_allclose(y.detach(), t.detach(), **TIGHT)
        g = np.random.default_rng(1).normal(size=y.shape)
        loss, reference = loss + (y * cr.tensor(g)).sum(), reference + (t * torch.tensor(g)).sum()
    loss.backward()
    reference.backward()
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad, **TIGHT)
    for (name, p), (their_name, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == their_name
        np.testing.assert_allclose(p.grad, q.grad, **TIGHT)


BOTH = list(itertools.product((False, True), repeat=2))
WEIGHTS = [{"need_weights": False}, {}, {"average_attn_weights": False}]


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize(("batch_first", "bias"), BOTH)
@pytest.mark.parametrize("asked", WEIGHTS)
def test_heads_equal_pytorchs(batch_first, bias, asked, rng):
    ours, theirs = heads(batch_first=batch_first, bias=bias)
    compare(ours, theirs, [rng.normal(size=(3, 4, 8))], **asked)
    for batched in (True, False):
        ours, theirs = heads(batch_first=batch_first, bias=bias)
        front = [(3, n) if batch_first else (n, 3) for n in (4, 5, 5)]
        front = front if batched else [(4,), (5,), (5,)]
        compare(ours, theirs, [rng.normal(size=(*f, 8)) for f in front], **asked)


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("asked", WEIGHTS)
@pytest.mark.parametrize("kind", ["boolean", "for each head", "padding", "both", "added", "causal"])
def test_masks_of_heads(kind, asked, rng):
    ours, theirs = heads(batch_first=True)
    hidden, padding = rng.random((6, 4, 4)) < 0.4, rng.random((3, 4)) < 0.3
    hidden[..., 0], padding[:, 0] = False, False
    triangle = np.triu(np.ones((4, 4), bool), 1)
    options = {
        "boolean": {"attn_mask": hidden[0]},
        "for each head": {"attn_mask": hidden},
        "padding": {"key_padding_mask": padding},
        "both": {"attn_mask": hidden[0], "key_padding_mask": padding},
        "added": {"attn_mask": rng.normal(size=(4, 4))},
        "causal": {"attn_mask": triangle, "is_causal": True},
    }[kind]
    compare(ours, theirs, [rng.normal(size=(3, 4, 8))], **options, **asked)


@pytest.mark.parity
@needs_torch
def test_keys_and_values_of_other_sizes(rng):
    ours, theirs = heads(kdim=5, vdim=3, batch_first=True)
    compare(ours, theirs, [rng.normal(size=s) for s in ((2, 4, 8), (2, 6, 5), (2, 6, 3))])


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("asked", WEIGHTS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("add_bias_kv", "add_zero_attn"), BOTH)
def test_keys_that_are_added(add_bias_kv, add_zero_attn, masked, asked, rng):
    ours, theirs = heads(
        batch_first=True, add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn, kdim=5, vdim=3
    )
    masks = {"attn_mask": rng.random((4, 6)) < 0.4, "key_padding_mask": rng.random((2, 6)) < 0.3}
    masks["attn_mask"][:, 0] = masks["key_padding_mask"][:, 0] = False
    arrays = [rng.normal(size=s) for s in ((2, 4, 8), (2, 6, 5), (2, 6, 3))]
    compare(ours, theirs, arrays, **(masks if masked else {}), **asked)


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_heads_as_a_function(static, need_weights, rng):
    arrays = [rng.normal(size=s) for s in ((4, 2, 8), (24, 8), (24,), (8, 8), (8,))]
    more = {"static_k": rng.normal(size=(4, 3, 4)), "static_v": rng.normal(size=(4, 3, 4))}
    found = []
    for library, tensor in ((F, cr.tensor), (torch.nn.functional, torch.tensor)):
        x, w, b, out, c = (tensor(a, requires_grad=True) for a in arrays)
        options = {k: tensor(v) for k, v in more.items()} if static else {}
        y, p = library.multi_head_attention_forward(
            x,
            x,
            x,
            8,
            2,
            w,
            b,
            None,
            None,
            False,
            0.0,
            out,
            c,
            need_weights=need_weights,
            **options,
        )
        (y * y).sum().backward()
        found.append([y.detach(), *([] if p is None else [p.detach()]), x.grad, w.grad, c.grad])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **TIGHT)


@pytest.mark.parity
@needs_torch
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": VISIBLE[0, 0, :, :5]}])
def test_heads_of_queries_share_keys_and_values(options, rng, parity):
    arrays = [rng.normal(size=(2, n, 5, 4)) for n in (6, 2, 2)]
    found = [as_tensors(options, make) for make in (cr.tensor, torch.tensor)]
    parity(
        lambda *a: F.scaled_dot_product_attention(*a, enable_gqa=True, **found[0]),
        lambda *a: torch.nn.functional.scaled_dot_product_attention(
            *a, enable_gqa=True, **found[1]
        ),
        *arrays,
    )
    with pytest.raises(ShapeError, match="must divide"):
        F.scaled_dot_product_attention(*(cr.zeros(n, 5, 4) for n in (3, 2, 2)), enable_gqa=True)


def test_the_fast_way_gives_what_the_way_with_probabilities_gives():
    layer, x = nn.MultiheadAttention(8, 4, dtype=cr.float64), cr.randn(5, 2, 8).double()
    fast, none = layer(x, x, x, need_weights=False)
    slow, weights = layer(x, x, x)
    assert none is None
    np.testing.assert_allclose(fast.detach(), slow.detach(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(weights.detach().sum(-1), np.ones((2, 5)), rtol=1e-12)


def test_starting_values():
    """Glorot & Bengio: U(±√(6/(64 + 192))) for the projections, zeros for the biases."""
    layer = nn.MultiheadAttention(64, 4)
    w = layer.in_proj_weight.detach().numpy()
    bound = (6 / 256) ** 0.5
    assert np.abs(w).max() <= bound and abs(w.std() / (bound / 3**0.5) - 1) < 0.05
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any()


def test_errors_of_heads():
    with pytest.raises(ArgumentError, match=r"heads .* equal sizes"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ArgumentError, match=r"dropout .* not in \[0, 1\]"):
        nn.MultiheadAttention(8, 2, dropout=-0.1)
    layer, x = nn.MultiheadAttention(8, 2), cr.zeros(4, 3, 8)
    with pytest.raises(ShapeError, match="the key of attention"):
        layer(x, cr.zeros(4, 3, 7), x)
    with pytest.raises(ShapeError, match="a value for each key"):
        layer(x, x, cr.zeros(5, 3, 8))
    with pytest.raises(ShapeError, match="attn_mask has another shape"):
        layer(x, x, x, attn_mask=cr.zeros(3, 4))
    with pytest.raises(ShapeError, match="key_padding_mask has another shape"):
        layer(x, x, x, key_padding_mask=cr.zeros(4, 3))
    with pytest.raises(ArgumentError, match="is_causal is a hint"):
        layer(x, x, x, is_causal=True)


class Reader(nn.Module):
    """Looks at a whole sequence and names its class."""

    def __init__(self):
        self.attend = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)
        self.name = nn.Linear(8, 3)

    def forward(self, x):
        y, _ = self.attend(x, x, x, need_weights=False)
        z, weights = self.attend(y, x, x)
        return self.name(z.mean(1)) + weights.mean()


def test_a_captured_training_step_has_the_bits_of_eager():
    """The graph on the references to the bit; a compiled program may run native kernels."""
    cr.manual_seed(1)
    models = [Reader()]
    models += [copy.deepcopy(models[0]) for _ in range(2)]
    rng = np.random.default_rng(2)
    x = cr.tensor(rng.normal(size=(4, 7, 8)).astype(np.float32))
    t = cr.tensor(rng.integers(0, 3, 4))

    def step_of(model):
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        def step(x, t):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), t)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    found = []
    steps = [step_of(model) for model in models]
    for step in (steps[0], cr.trace(steps[1])(x.spec, t.spec), cr.compile(steps[2])):
        cr.manual_seed(2)
        found.append([step(x, t).item() for _ in range(4)])
    assert found[0] == found[1]
    # Native products add in another order: a few roundings of float32, through four steps.
    np.testing.assert_allclose(found[2], found[0], rtol=5e-6)
