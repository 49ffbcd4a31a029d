"""The tape: what is kept, when it is freed, hooks, versions; A21-A23, A27, D10."""

import gc
import itertools
import tracemalloc
import weakref
from array import array
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import settings
from chainrule.errors import NotDifferentiableError
from chainrule.gateway import apply
from chainrule.primitive import operations, registry, same_spec


def leaf(*numbers):
    return cr.tensor(list(numbers), requires_grad=True)


def test_gradients_accumulate():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5, 7]


def test_a21_backward_twice():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [4, 8]


def test_a21_backward_on_what_is_no_scalar():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"starts from a scalar.*\(2,\).*gradient="):
        (x * x).backward()
    with pytest.raises(ValueError, match="spec of the output"):
        (x * x).backward(cr.ones(3))
    with pytest.raises(TypeError, match="gradient is a tensor"):
        (x * x).backward(np.ones(2, np.float32))
    assert x.grad is None
    (x * x).backward(cr.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    (x * x).sum().reshape(1, 1).backward()


def test_a21_writing_into_a_leaf():
    x = leaf(1.0, 2.0)
    for write in (
        lambda: x.assign(cr.zeros(2)),
        lambda: x.zero_(),
        lambda: x.add_(1.0),
        lambda: x.__setitem__(0, 5.0),
        lambda: x.__iadd__(1.0),
        lambda: x.__ipow__(2),
    ):
        with pytest.raises(RuntimeError, match="no_grad"):
            write()
    assert x.tolist() == [1, 2]
    with cr.no_grad():
        x.assign(x - 1.0)
    x.data = x.data * 3.0
    assert x.tolist() == [0, 3] and x.requires_grad and x.is_leaf


def test_a21_the_tape_keeps_what_it_saved():
    """Arrays are never changed in place: the derivative is of the values that the op worked on."""
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with cr.no_grad():
        x.assign(cr.zeros(2))
    y.backward()
    assert x.grad.tolist() == [2, 4]
    h = leaf(1.0, 2.0)
    a = h * 1.0
    b = a * a
    a.add_(10.0)
    (b + a).sum().backward()
    assert h.grad.tolist() == [3, 5]


def test_a21_the_second_derivative_by_an_overwritten_leaf_names_both_places():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()  # saved here
    with cr.no_grad():
        x.assign(cr.zeros(2))  # written here
    with pytest.raises(RuntimeError) as caught:
        y.backward(create_graph=True)
    text = str(caught.value)
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    for mark in ("# saved here", "# written here"):
        line = next(i for i, row in enumerate(source, 1) if row.endswith(mark))
        assert f"test_tape.py:{line}" in text
    assert "`mul`" in text and ".clone()" in text


def test_a21_overwriting_what_no_derivative_needs_is_fine():
    x = leaf(1.0, 2.0)
    y = (x + x).sum()
    with cr.no_grad():
        x.assign(cr.zeros(2))
    y.backward()
    assert x.grad.tolist() == [2, 2]


def test_a22_detached_and_unrecorded_graphs():
    x = leaf(1.0, 2.0)
    with cr.no_grad():
        quiet = (x * x).sum()
    for y in ((x.detach() * 2.0).sum(), quiet, cr.ones(1).sum()):
        with pytest.raises(RuntimeError, match=r"does not depend .*detach.*no_grad"):
            y.backward()


def test_a23_no_second_derivative():
    @cr.primitive
    class only_once_demo:
        """y = x³, whose derivative has no derivative."""

        infer = same_spec

        def forward(x):
            return x**3

        def vjp(g, x):
            return (without_derivative(x) * g,)

    @cr.primitive
    class without_derivative:
        """y = 3x²."""

        infer = same_spec

        def forward(x):
            return 3 * x**2

    try:
        x = leaf(1.0, 2.0)
        (g,) = cr.gradients(only_once_demo(x).sum(), x, create_graph=True)
        assert g.tolist() == [3, 12]
        with pytest.raises(NotImplementedError, match="`without_derivative` has no derivative"):
            g.sum().backward()
        assert issubclass(NotDifferentiableError, NotImplementedError)
    finally:
        for name in ("only_once_demo", "without_derivative"):
            del registry[name], operations[name]


def test_double_backward():
    x = leaf(1.0, 2.0)
    (g,) = cr.gradients((x**3).sum(), x, create_graph=True)
    (g * g).sum().backward()
    assert x.grad.tolist() == [2 * 3 * 6, 2 * 12 * 12]


def test_a27_a_chain_of_100_000_ops():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    node = weakref.ref(y._node)
    y.backward()
    assert x.grad.item() == 1
    del y
    assert node() is None, "freed, without recursion"


def test_a27_a_deep_chain_that_keeps_values_is_freed():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    del y  # must not overflow the stack


def test_a_diamond_is_walked_once():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_only_what_leads_to_a_target_is_derived():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    calls = []
    hidden = x * 2.0
    unused = w * 2.0
    unused.register_hook(lambda g: calls.append(g))
    (g,) = cr.gradients((hidden * unused).sum(), hidden)
    assert g.tolist() == [6, 8]
    assert not calls
    assert x.grad is None and w.grad is None


def test_gradients_are_tensors_of_their_own():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1]
    a.grad.add_(cr.ones(2))
    assert a.grad.tolist() == [1, 1]


# -- hooks ---------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 2.0
    remove = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    y.sum().backward(retain_graph=True)
    assert seen == [[1, 1]] and x.grad.tolist() == [21, 21]
    remove()
    y.sum().backward()
    assert len(seen) == 1


def test_a_hook_keeps_the_spec():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match="same spec"):
        (x * 2.0).sum().backward()
    with pytest.raises(RuntimeError, match="requires gradients"):
        cr.ones(2).register_hook(print)


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    assert y.grad.tolist() == [4, 8]
    z.backward()
    assert y.grad.tolist() == [8, 16], "as a leaf, and as PyTorch"
    with pytest.raises(RuntimeError, match="requires gradients"):
        cr.ones(2).retain_grad()


def test_retain_grad_is_no_cycle():
    gc.disable()
    try:
        y = leaf(1.0) * 2.0
        y.retain_grad()
        alive = weakref.ref(y)
        del y
        assert alive() is None
    finally:
        gc.enable()


# -- memory --------------------------------------------------------------------------------------


def test_nothing_keeps_a_graph_alive_but_its_outputs():
    gc.disable()  # by reference counts alone, without cycles
    try:
        x = leaf(1.0, 2.0)
        y = (x.exp() * x).softmax(0).sum()
        node = weakref.ref(y._node)
        number = y.item()
        copy = y.detach()
        del y
        assert node() is None
        assert copy.item() == number
    finally:
        gc.enable()


@pytest.fixture
def numpy_engine():
    """Arrays go when nobody holds them; those of the native engine are handed out again."""
    with settings.use(engine="numpy"):
        yield


def test_backward_frees_what_was_saved(numpy_engine):
    x = leaf(*[1.0] * 1000)
    hidden = x.exp()
    array = weakref.ref(hidden._data)
    loss = (hidden * 2.0).sum()
    del hidden
    assert array() is not None, "exp keeps its output"
    loss.backward()
    assert array() is None


def test_add_keeps_nothing(numpy_engine):
    hidden = leaf(1.0, 2.0) * 2.0
    array = weakref.ref(hidden._data)
    y = hidden + 1.0
    del hidden
    assert array() is None and y.requires_grad


def test_only_outputs_that_the_derivative_names_are_kept(numpy_engine):
    """By `y1`, `y2`, ...: batch norm keeps its moments, and not its result."""
    x = cr.ones(4, 3, requires_grad=True) * 2.0
    y, mean, var = apply("normalize", x, dims=(0,), eps=1e-5)
    arrays = [weakref.ref(z._data) for z in (y, mean, var)]
    total = y.sum()
    del y, mean, var
    assert [array() is not None for array in arrays] == [False, True, True]
    total.backward()


def test_d10_memory_is_flat_over_1000_steps():
    """Also when steps fail in the middle, and when losses are kept as numbers."""
    w = leaf(*[0.1] * 100)
    history = array("d", bytes(8 * 1200))  # takes no memory as it fills
    done = itertools.count()

    def step(fail):
        loss = ((w * w).exp() + w[:1]).sum()
        if fail:
            try:
                (loss + cr.ones(3) + cr.ones(2)).sum().backward()
            except ValueError:
                return
        loss.backward()
        with cr.no_grad():
            w.assign(w - w.grad * 1e-3)
        w.grad = None
        history[next(done)] = loss.item()

    for i in range(20):
        step(i % 3 == 0)
    gc.collect()
    tracemalloc.start()
    try:
        for i in range(100):
            step(i % 3 == 0)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for i in range(1000):
            step(i % 3 == 0)
        gc.collect()
        growth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert growth < 50_000  # NumPy's own free lists; one tensor kept by each step is ten times that


# -- assign --------------------------------------------------------------------------------------


def test_assign_is_recorded():
    x = leaf(1.0, 2.0)
    y = cr.zeros(2)
    y.assign(x * 3.0)
    y[0] = x[1] * 10.0
    y.sum().backward()
    assert x.grad.tolist() == [0, 13]


def test_after_a_constant_is_assigned_no_gradient_comes():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.assign(cr.ones(2))
    y.sum().backward()
    assert y.requires_grad and x.grad.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (cr.ones(3), ValueError, "keeps the shape"),
        (cr.ones(2, dtype="float64"), TypeError, r"keeps the dtype.*\.to\(cr\.float32\)"),
        (np.ones(2), TypeError, "keeps the dtype"),
        ("no", TypeError, "a tensor, an array or a number"),
    ],
)
def test_assign_keeps_the_spec(value, error, words):
    x = cr.zeros(2)
    with pytest.raises(error, match=words):
        x.assign(value)
    assert x.tolist() == [0, 0] and x._version == 0


def test_assign_takes_arrays_and_numbers_without_aliasing():
    source = np.ones(2, np.float32)
    x = cr.zeros(2)
    x.assign(source)
    source[:] = 7
    assert x.tolist() == [1, 1]
    assert x.fill_(2).tolist() == [2, 2]
    with pytest.raises(TypeError, match="does not go into"):
        cr.zeros(2, dtype="int64").fill_(0.5)


def test_a_small_slice_does_not_keep_a_large_array_alive():
    large = cr.zeros(1000, 1000)
    array = weakref.ref(large._data)
    x = cr.zeros(2)
    x.assign(large[0, :2])
    del large
    assert array() is None
    x.assign(cr.tensor(1.0).expand(2))
    assert x._data.strides == (4,)


def test_a_write_through_x_data_reaches_x():
    x = leaf(1.0, 2.0)
    x.data[0] = 5.0
    assert x.tolist() == [5, 2]
    x.detach().reshape(2, 1).zero_()
    assert x.tolist() == [0, 0] and x.requires_grad
