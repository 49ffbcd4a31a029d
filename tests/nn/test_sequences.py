"""Sequences of several lengths, padded and packed, equal PyTorch's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn.utils import rnn

LENGTHS = [(5, 3, 3, 1), (3, 1, 5, 3), (2,)]
GRID = list(itertools.product(LENGTHS, (False, True), ((), (2,), (2, 3))))


def padded(lengths, batch_first, rest, dtype=np.float64):
    size = (len(lengths), 5) if batch_first else (5, len(lengths))
    return (10 * np.random.default_rng(0).normal(size=(*size, *rest))).astype(dtype)


def libraries():
    torch = pytest.importorskip("torch")
    return (rnn, cr.tensor), (torch.nn.utils.rnn, torch.tensor)


def same(ours, theirs):
    """Equal tensors, in tuples and lists of one form."""
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            same(x, y)
    elif theirs is None:
        assert ours is None
    else:
        assert str(theirs.dtype) == f"torch.{ours.dtype}" and ours.shape == tuple(theirs.shape)
        np.testing.assert_array_equal(ours.detach(), theirs.detach())


@pytest.mark.parity
@pytest.mark.parametrize(("lengths", "batch_first", "rest"), GRID)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_packing_and_padding(lengths, batch_first, rest, dtype):
    is_sorted = list(lengths) == sorted(lengths, reverse=True)
    x, results = padded(lengths, batch_first, rest, dtype), []
    for library, tensor in libraries():
        packed = library.pack_padded_sequence(tensor(x), tensor(lengths), batch_first, is_sorted)
        back = library.pad_packed_sequence(packed, batch_first, -1.0)
        results.append(
            [
                tuple(packed),
                back,
                library.pad_packed_sequence(packed, padding_value=2, total_length=7),
                library.unpad_sequence(1 * back[0], back[1], batch_first),  # PyTorch transposes it
                library.unpack_sequence(packed),
                tuple(packed.double()),
            ]
        )
    same(*results)


@pytest.mark.parity
@pytest.mark.parametrize(("lengths", "batch_first", "rest"), GRID)
def test_lists_of_sequences(lengths, batch_first, rest):
    rng = np.random.default_rng(0)
    parts, results = [rng.normal(size=(n, *rest)) for n in (*lengths, 0)], []
    for library, tensor in libraries():
        found = [
            library.pad_sequence([tensor(x) for x in parts], batch_first, 0.5, side)
            for side in ("left", "right")
        ]
        packed = library.pack_sequence([tensor(x) for x in parts[:-1]], enforce_sorted=False)
        results.append([*found, tuple(packed)])
    same(*results)


@pytest.mark.parity
def test_gradients_reach_the_steps_and_not_the_padding():
    x, found = padded((3, 1, 5), False, (2,)), []
    for library, tensor in libraries():
        leaf = tensor(x, requires_grad=True)
        packed = library.pack_padded_sequence(leaf, [3, 1, 5], enforce_sorted=False)
        y, _ = library.pad_packed_sequence(packed)
        (y * y + packed.data.sum()).sum().backward()
        found.append(leaf.grad)
    same(*found)


def test_a_nan_in_the_padding_reaches_nothing():
    lstm = nn.LSTM(2, 3, bidirectional=True)
    x = cr.ones(2, 4, 2)
    x[1, 2:] = float("nan")
    x.requires_grad_()
    packed = rnn.pack_padded_sequence(x, [4, 2], batch_first=True)
    y, (h, c) = lstm(packed)
    (y.data.sum() + h.sum() + c.sum()).backward()
    assert np.isfinite(x.grad.numpy()).all() and not x.grad[1, 2:].any()
    assert all(np.isfinite(p.grad.numpy()).all() for p in lstm.parameters())


def test_a_compiled_function_packs_by_lengths_that_it_knows():
    gru, lengths = nn.GRU(2, 3), [4, 2]

    def last(x):
        return gru(rnn.pack_padded_sequence(x, lengths))[1]

    compiled = cr.compile(last)
    for _ in range(2):
        x = cr.randn(4, 2, 2)
        np.testing.assert_allclose(compiled(x).detach(), last(x).detach(), rtol=1e-6)
    lengths[0] = 3
    np.testing.assert_allclose(compiled(x).detach(), last(x).detach(), rtol=1e-6)


X = cr.zeros(5, 3, 2)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: rnn.pack_padded_sequence(X, [1, 2, 3]), ArgumentError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(X, [3, 2, 0]), ArgumentError, "1 … 5"),
        (lambda: rnn.pack_padded_sequence(X, [6, 2, 1]), ArgumentError, "1 … 5"),
        (lambda: rnn.pack_padded_sequence(X, [3, 2]), ShapeError, r"\(3,\)"),
        (lambda: rnn.pack_padded_sequence(X, [3.0, 2.0, 1.0]), DTypeError, "integers"),
        (lambda: rnn.pad_sequence([]), ArgumentError, "0 parts"),
        (lambda: rnn.pad_sequence([X], padding_side="up"), ArgumentError, "'up'"),
        (lambda: rnn.pad_sequence([X, X[0]]), ShapeError, "cat"),
        (
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence([X]), total_length=4),
            ArgumentError,
            "at least 5",
        ),
        (lambda: nn.LSTM(3, 4)(rnn.pack_sequence([X[:, 0]])), ShapeError, "2 features"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ArgumentError, "less than hidden_size"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
