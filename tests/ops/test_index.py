"""Indexing: every form that NumPy has gives what NumPy gives; A10, A11, A28."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule.ops.positions import indexed_shape
from chainrule.primitive import registry

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
# Examples are few, since each runs several checks; the seed is fixed for the same run everywhere.
many = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@st.composite
def advanced(draw):
    """A shape and an index: ints, slices, None, `...`, integer and boolean arrays, mixed."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    spread = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts, dim, has_ellipsis = [], 0, False
    while dim < len(shape):
        kind = draw(st.sampled_from(["int", "slice", "array", "mask", "none", "dots", "stop"]))
        size = shape[dim]
        if kind == "stop":
            break
        if kind == "none":
            if len(parts) < 6:
                parts.append(None)
            continue
        if kind == "dots":
            if has_ellipsis:
                continue
            parts.append(Ellipsis)
            has_ellipsis = True
            dim += draw(st.integers(0, len(shape) - dim))
            continue
        if kind == "int":
            parts.append(int(rng.integers(-size, size)))
        elif kind == "slice":
            parts.append(draw(st.slices(size)))
        elif kind == "array":
            parts.append(rng.integers(-size, size, spread))
        else:  # a mask with one true element, so that it broadcasts with every array
            mask = np.zeros(size, bool)
            mask[rng.integers(size)] = True
            parts.append(mask)
        dim += 1
    if has_ellipsis:  # what `...` was meant to cover must be what is left over
        used = sum(p is not None and p is not Ellipsis for p in parts)
        if used > len(shape):
            parts = parts[:1]
    return shape, tuple(parts)


def as_tensors(index):
    return tuple(cr.tensor(p) if isinstance(p, np.ndarray) else p for p in index)


@many
@given(st.data())
def test_basic_indices_as_numpy(data):
    shape = data.draw(SHAPES)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    y = cr.tensor(x)[index]
    np.testing.assert_array_equal(y.numpy(), x[index])
    assert y.shape == np.shape(x[index])


@many
@given(advanced())
def test_mixed_indices_as_numpy(case):
    shape, index = case
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    try:
        expected = x[index]
    except IndexError:
        with pytest.raises(IndexError):
            cr.tensor(x)[as_tensors(index)]
        return
    np.testing.assert_array_equal(cr.tensor(x)[as_tensors(index)].numpy(), expected)
    np.testing.assert_array_equal(cr.tensor(x)[index].numpy(), expected)


@many
@given(advanced())
def test_writing_as_numpy(case):
    shape, index = case
    x = np.zeros(shape, np.float32)
    try:
        part = x[index].shape
    except IndexError:
        return
    value = np.arange(1, 1 + np.prod(part, dtype=int), dtype=np.float32).reshape(part)
    t = cr.tensor(x)
    t[as_tensors(index)] = cr.tensor(value)
    x[index] = value
    np.testing.assert_array_equal(t.numpy(), x)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(advanced())
def test_derivatives_of_mixed_indices(case):
    shape, index = case
    x = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    try:
        part = x[index].shape
    except IndexError:
        return
    index = as_tensors(index)
    if 0 in part:
        return
    assert cr.gradcheck(lambda t: t[index], cr.tensor(x), directions=1)
    value = cr.tensor(np.ones(part))
    assert cr.gradcheck(
        lambda t, v: t.index_put(index, v) ** 2, [cr.tensor(x), value], directions=1
    )


def test_the_shape_takes_no_memory():
    huge = 10**9
    stand_in = np.broadcast_to(np.zeros((), np.int64), (huge, huge))
    assert indexed_shape((huge, 5), ("tensor",), (stand_in,)) == (huge, huge, 5)
    assert indexed_shape((huge, huge), (slice(None), None)) == (huge, 1, huge)


def test_an_ellipsis_of_no_dimensions_still_separates():
    x, i = np.zeros((5, 3, 4)), np.zeros(2, int)
    index = (slice(None), i, ..., i)
    assert cr.tensor(x)[index].shape == x[index].shape == (2, 5)


def test_masks():
    x = np.arange(24.0).reshape(2, 3, 4)
    t = cr.tensor(x)
    for mask in (x > 5, x[:, :, 0] > 5, x[:, 0, 0] > 5):
        np.testing.assert_array_equal(t[cr.tensor(mask)].numpy(), x[mask])
    last = x[0, 0] > 1
    np.testing.assert_array_equal(t[..., cr.tensor(last)].numpy(), x[..., last])
    np.testing.assert_array_equal(t[:, None, 0, last.tolist()].numpy(), x[:, None, 0, last])
    t[t > 20] = -1.0
    assert t.max().item() == 20
    nothing = cr.zeros(2, 3, 4, dtype=bool)
    assert t[nothing].shape == (0,)


def test_empty_dimensions():
    t = cr.zeros(0, 3)
    assert t[:, [0, 1]].shape == (0, 2)
    assert t[[]].shape == (0, 3)
    assert t[cr.zeros(0, dtype="int64")].shape == (0, 3)
    with pytest.raises(IndexError, match="out of range for dimension 0 of size 0"):
        t[cr.tensor([0])]


def test_zero_dimensional_indices():
    t = cr.arange(5)
    assert t[cr.tensor(2)].item() == t[np.array(2)].item() == t[np.int64(2)].item() == 2
    assert t[: cr.tensor(2)].tolist() == [0, 1]
    assert cr.tensor(7.0)[...].item() == cr.tensor(7.0)[()].item() == 7


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (5, IndexError, "index 5 .* dimension 0 of size 3"),
        ((0, -5), IndexError, "index -5 .* dimension 1 of size 4"),
        ((0, 0, 0), IndexError, "at most 2 parts"),
        ((..., ...), IndexError, "one `...`"),
        ([0, 3], IndexError, r"index 3 at position \(1,\) .* dimension 0 of size 3"),
        ((slice(None), [-5]), IndexError, r"index -5 at position \(0,\) .* dimension 1 of size 4"),
        (0.5, TypeError, "no index"),
        ("a", TypeError, "no index"),
        (True, TypeError, "no index"),
        ([0.5], TypeError, "integers or booleans"),
        (slice(0.5), TypeError, "integer"),
        ([True, False], ValueError, r"shape.*\(2,\).*\(3,\)"),
    ],
)
def test_a10_indices_out_of_range_or_of_the_wrong_type(index, error, words):
    x = cr.tensor(np.arange(12.0).reshape(3, 4))
    before = x.numpy().copy()
    with pytest.raises(error, match=words):
        x[index]
    with pytest.raises(error, match=words):
        x[index] = 0.0
    np.testing.assert_array_equal(x.numpy(), before)


def test_a10_gather_and_embedding_out_of_range():
    x = cr.tensor(np.arange(12.0).reshape(3, 4))
    with pytest.raises(IndexError, match=r"index 4 at position \(1, 0\) .* dimension 1 of size 4"):
        x.gather(1, cr.tensor([[0], [4], [0]]))
    with pytest.raises(ValueError, match="gather along dimension 1"):
        x.gather(1, cr.tensor([0, 1, 2]))
    with pytest.raises(IndexError, match=r"index 3 at position 1 .* 3 embeddings"):
        registry["embedding"](cr.tensor([0, 3]), x, padding=None)


def test_a11_negative_index_to_embedding():
    with pytest.raises(IndexError, match="index -1 at position 0"):
        registry["embedding"](cr.tensor([-1, 0]), cr.ones(3, 4), padding=None)


def test_a28_a_write_reaches_views_and_what_they_show():
    x = cr.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    view = x[::2]
    x[::2] += 1
    assert x.tolist() == [1, 1, 3, 3, 5] and view.tolist() == [1, 3, 5]
    view[0] = 9.0
    assert x.tolist() == [9, 1, 3, 3, 5]
    x[1:] = x[:-1]
    assert x.tolist() == [9, 9, 1, 3, 3], "source and target overlap"


def test_writing_converts_nothing_silently():
    x = cr.zeros(3, dtype="int64")
    with pytest.raises(TypeError, match=r"0.5 does not go into a tensor of int64"):
        x[0] = 0.5
    with pytest.raises(TypeError, match="another dtype"):
        x[0] = cr.tensor(1.0)
    with pytest.raises(ValueError, match="does not fit into uint8"):
        cr.zeros(3, dtype="uint8")[0] = 300
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        x[:] = cr.tensor([1, 2])
    assert x.tolist() == [0, 0, 0]
    x[:2] = [4, 5]
    x[2] = np.int64(6)
    assert x.tolist() == [4, 5, 6]


def test_of_repeated_positions_the_last_is_written_and_gets_the_gradient():
    x = cr.zeros(3, requires_grad=True)
    v = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.index_put(cr.tensor([1, 0, 1]), v)
    assert y.tolist() == [2, 3, 0]
    (y * cr.tensor([10.0, 20.0, 30.0])).sum().backward()
    assert v.grad.tolist() == [0, 10, 20]
    assert x.grad.tolist() == [0, 0, 30]


def test_the_gradient_adds_up_where_a_position_repeats():
    x = cr.zeros(3, requires_grad=True)
    x[cr.tensor([0, 0, 2, -1])].sum().backward()
    assert x.grad.tolist() == [2, 0, 2]


def test_nonzero_and_where():
    x = cr.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]] and cr.tensor(5).nonzero().shape == (1, 0)
    assert [p.tolist() for p in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert cr.where(x > 0, x, -1.0).tolist() == [[-1, 2], [3, -1]]
    with pytest.raises(TypeError, match="boolean"):
        cr.where(x, x, x)


def test_one_hot():
    one_hot = registry["one_hot"]
    y = one_hot(cr.tensor([2, 0]), num_classes=3, dtype=np.dtype("float32"))
    assert y.tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(IndexError, match="label 3 at position 1"):
        one_hot(cr.tensor([0, 3]), num_classes=3, dtype=np.dtype("float32"))
    with pytest.raises(MemoryError):
        one_hot(cr.tensor([0]), num_classes=10**15, dtype=np.dtype("float32"))
