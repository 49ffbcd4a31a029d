"""Tensors that share numbers: a write through one reaches all, as in PyTorch."""

from copy import deepcopy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

VIEWS = {
    "row": lambda x, i: x[i % x.shape[0]],
    "slice": lambda x, i: x[i % x.shape[0] :],
    "step": lambda x, i: x[..., ::2],
    "reshape": lambda x, i: x.reshape(-1),
    "pairs": lambda x, i: x.reshape(2, -1),
    "view_as_column": lambda x, i: x.unsqueeze(-1),
    "T": lambda x, i: x.transpose(0, -1),
    "permute": lambda x, i: x.permute(*range(1, len(x.shape)), 0),
    "detach": lambda x, i: x.detach(),
    "data": lambda x, i: x.data,
    "flatten": lambda x, i: x.flatten(),
    "squeeze": lambda x, i: x.squeeze(),
    "part": lambda x, i: x.split(1)[i % x.shape[0]],
    "iterate": lambda x, i: list(x)[i % x.shape[0]],
}
WRITES = {
    "add_": lambda x, i: x.add_(i),
    "mul_": lambda x, i: x.mul_(2),
    "zero_": lambda x, i: x.zero_(),
    "copy_": lambda x, i: x.copy_(x.detach() * 3 + i),
    "set": lambda x, i: x.__setitem__(i % x.shape[0], 7.0 + i),
    "set all": lambda x, i: x.__setitem__(Ellipsis, 1.5 * i),
    "+=": lambda x, i: x.__iadd__(x.detach() * 0.5),
    "*=": lambda x, i: x.__imul__(i - 1.5),
}


def random_program(seed, length=14):
    """What to do, as (kind, name, which of the tensors so far, a number)."""
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(length):
        kind = ("view", "write")[int(rng.random() < 0.45)]
        names = sorted(VIEWS if kind == "view" else WRITES)
        steps.append((kind, str(rng.choice(names)), int(rng.integers(1000)), int(rng.integers(5))))
    return steps


def run(program, x, multiple_views=True):
    """All tensors that the program made; steps that do not fit the shapes are left out."""
    tensors = [x]
    for kind, name, which, i in program:
        t = tensors[which % len(tensors)]
        if len(t.shape) < 2 and name in ("T", "permute", "iterate", "part", "row", "slice", "set"):
            continue
        if name == "pairs" and int(np.prod(t.shape)) % 2:
            continue
        if not multiple_views and name in ("part", "iterate"):
            continue
        if len(t.shape) > 4:
            continue
        if kind == "view":
            tensors.append(VIEWS[name](t, i))
        else:
            WRITES[name](t, i)
    return tensors


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(60))
def test_random_programs_of_views_and_writes(seed):
    torch = pytest.importorskip("torch")
    start = np.arange(24, dtype=np.float32).reshape(4, 6)
    program = random_program(seed)
    ours = run(program, cr.tensor(start))
    theirs = run(program, torch.tensor(start))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(60))
def test_gradients_through_random_writes(seed):
    torch = pytest.importorskip("torch")
    start = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
    program = random_program(seed)
    results = []
    for module in (cr, torch):
        leaf = module.tensor(start, requires_grad=True)
        tensors = run(program, leaf * 1.5, multiple_views=False)
        total = sum((t * t).sum() * (k + 1) for k, t in enumerate(tensors) if t.requires_grad)
        total.backward()
        results.append(leaf.grad.numpy())
    # Sums of up to a few hundred float32 terms, added in another order.
    np.testing.assert_allclose(results[0], results[1], rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("seed", range(30))
def test_compiled_programs_write_like_eager_ones(seed):
    start = cr.tensor(np.arange(24, dtype=np.float32).reshape(4, 6))
    program = random_program(seed)

    def f(x):
        return [t.clone() for t in run(program, x * 1.0)]

    step = cr.compile(f)
    for _ in range(2):
        for a, b in zip(f(start), step(start), strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()


def test_state_that_is_a_view_follows_in_a_compiled_step():
    x = cr.zeros(2, 3)
    row, flat = x[0], x.reshape(-1)

    @cr.compile
    def step(y):
        row.add_(y)
        return x.sum()

    for total in (3.0, 6.0):
        assert step(cr.ones(3)).item() == total
    assert x.tolist() == [[2, 2, 2], [0, 0, 0]] and flat.tolist() == [2, 2, 2, 0, 0, 0]


def test_an_alias_made_after_the_capture_follows_the_compiled_step():
    layer = nn.Linear(2, 1)
    optimizer = cr.optim.SGD(layer.parameters(), lr=0.1)

    @cr.compile
    def step(x):
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    step(cr.ones(1, 2))
    kept, copied = layer.weight.detach(), layer.weight.detach().clone()
    entries = layer.state_dict()
    for _ in range(2):
        step(cr.ones(1, 2))
    assert kept.tolist() == layer.weight.tolist() != copied.tolist()
    for name, value in layer.state_dict().items():
        assert np.array_equal(np.asarray(entries[name]), np.asarray(value))


def test_writing_what_is_shown_several_times_is_refused():
    x = cr.tensor([[1.0], [2.0]])
    with pytest.raises(RuntimeError, match="expand"):
        x.expand(2, 3).add_(1)
    assert x.tolist() == [[1], [2]]


def test_a_view_of_a_leaf_is_written_without_gradients_only():
    w = cr.zeros(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        w[0].add_(1)
    with cr.no_grad():
        w[0].add_(1)
    assert w.tolist() == [[1, 1], [0, 0]]


def test_gradients_accumulate_in_what_was_kept():
    w = cr.ones(2, requires_grad=True)
    (w * 2).sum().backward()
    kept = w.grad
    (w * 3).sum().backward()
    assert kept is w.grad and kept.tolist() == [5, 5]
    w.grad.data.zero_()
    assert kept.tolist() == [0, 0]


def test_a_view_does_not_keep_the_graph_of_a_detached_tensor_alive():
    import gc
    import weakref

    x = cr.ones(3, requires_grad=True)
    y = x * 2
    node = weakref.ref(y._node)
    kept = y.detach()[0]
    del y
    gc.collect()
    assert node() is None and kept.item() == 2


def test_an_alias_of_an_alias_that_is_gone_still_writes():
    x = cr.zeros(2)
    x.detach().data.fill_(3.0)
    assert x.tolist() == [3, 3]


def test_deep_copies_share_numbers_as_the_originals_do():
    x = cr.zeros(2, 3)
    x2, row, column, alias = deepcopy((x, x[0], x.T[1], x.detach()))
    alias.add_(1.0)
    row.add_(1.0)
    column.add_(5.0)
    assert x2.tolist() == alias.tolist() == [[2, 7, 2], [1, 6, 1]]
    assert row.tolist() == [2, 7, 2] and column.tolist() == [7, 6] and not x.any()


def test_a_deep_copy_of_a_view_of_a_computed_tensor_is_its_own():
    y = cr.ones(2, requires_grad=True) * 2
    with cr.no_grad():
        row = y[:1]
    assert deepcopy(row).add_(1.0).tolist() == [3] and y.tolist() == [2, 2]


WRITTEN_IN_ANOTHER_ORDER = {
    "transposed": lambda lib: lib.zeros(4, 6).T,
    "a copy, transposed": lambda lib: lib.zeros(4, 6).T.contiguous().T,
    "columns": lambda lib: lib.zeros(4, 6)[:, :4],
    "in order": lambda lib: lib.zeros(4, 6)[1:],
    "of another shape": lambda lib: lib.zeros(24).reshape(4, 6),
}


@pytest.mark.parametrize("name", WRITTEN_IN_ANOTHER_ORDER)
def test_a_write_keeps_which_reshapes_are_views(name):
    def written(x):
        x.T[0].add_(0.5)
        x[0, 0] = 9.0
        x.T.reshape(-1)[1] = 8.0
        x.reshape(-1)[3:7].fill_(1.5)
        return x

    torch = pytest.importorskip("torch")
    make = WRITTEN_IN_ANOTHER_ORDER[name]
    expected = written(make(torch)).tolist()
    assert written(make(cr)).tolist() == expected
    given = make(cr)
    cr.compile(written)(given)
    assert given.tolist() == expected
