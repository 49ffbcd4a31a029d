"""Programs: a training step in one call, state in place, views, references, and their errors."""

import threading
from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, same_bits

from chainrule import engine
from chainrule.engine import Instruction, Program, arena, constant, external
from chainrule.errors import GraphError, OutOfRangeError, ShapeError
from chainrule.primitive import Spec, lookup


def specs(arrays: Any) -> list[Spec]:
    return [Spec(a.shape, a.dtype) for a in arrays]


def step_program(n: int, hidden: int = 33, classes: int = 10, features: int = 20) -> Program:
    """x·w₁ᵀ + b₁ → relu → ·w₂ᵀ + b₂ → cross-entropy, backward, and SGD in place."""
    f4 = "f4"
    shapes = [(n, features), (n,), (hidden, features), (hidden,), (classes, hidden), (classes,), ()]
    slots = [Spec(s, np.int64 if i == 1 else np.float32) for i, s in enumerate(shapes)]
    x, t, w1, b1, w2, b2, rate = (external(i, s.shape, s.dtype) for i, s in enumerate(slots))
    offset = 0

    def room(*shape: int) -> Any:
        nonlocal offset
        here, offset = offset, offset + (int(np.prod(shape)) * 4 + 63) // 64 * 64
        return arena(here, shape, f4)

    def flipped(b: Any) -> Any:
        layout = b.layout.permuted((1, 0))
        return b._replace(layout=layout)

    h, y, dy = room(n, hidden), room(n, classes), room(n, classes)
    dh, dw1, dw2 = room(n, hidden), room(hidden, features), room(classes, hidden)
    db1, db2, mean = room(hidden), room(classes), external(7, (), f4)
    slots.append(Spec((), np.float32))
    one = constant(np.array(1, np.float32))
    zero = constant(np.array(0, np.float32))
    buffers = [
        x,
        t,
        w1,
        b1,
        w2,
        b2,
        rate,
        h,
        y,
        dy,
        dh,
        dw1,
        dw2,
        db1,
        db2,
        mean,
        one,
        zero,
        flipped(w1),
        flipped(w2),
        flipped(dy),
        flipped(dh),
    ]
    number = {id(b): i for i, b in enumerate(buffers)}

    def at(*some: Any) -> tuple[int, ...]:
        return tuple(number[id(b)] for b in some)

    w1_t, w2_t, dy_t, dh_t = buffers[-4:]
    do = Instruction
    of_labels = {"reduction": "mean", "ignore_index": -100}
    columns = {"dims": (0,), "keepdim": False}
    instructions = [
        do("product", at(x, w1_t, b1), at(h), {"activation": "relu"}),
        do("product", at(h, w2_t, b2), at(y), {"activation": "none"}),
        do(lookup("softmax_cross_entropy"), at(y, t), at(mean), of_labels),
        do(lookup("softmax_cross_entropy_gradient"), at(one, y, t), at(dy), of_labels),
        do(lookup("matmul"), at(dy, w2), at(dh)),
        do(lookup("gate"), at(dh, h), at(dh)),
        do(lookup("matmul"), at(dy_t, h), at(dw2)),
        do(lookup("matmul"), at(dh_t, x), at(dw1)),
        do(lookup("sum"), at(dy), at(db2), columns),
        do(lookup("sum"), at(dh), at(db1), columns),
    ]
    for p, d in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
        update = do(lookup("sgd_update"), at(p, d, rate, zero), at(p), {"maximize": False})
        instructions.append(update)
    return Program(instructions, buffers, slots, offset)


def start(n: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(n, 20)).astype("f4"),
        rng.integers(0, 10, n),
        rng.normal(size=(33, 20)).astype("f4") / 4,
        np.zeros(33, "f4"),
        rng.normal(size=(10, 33)).astype("f4") / 6,
        np.zeros(10, "f4"),
        np.array(0.5, "f4"),
        np.zeros((), "f4"),
    ]


def numpy_step(arrays: list[Any]) -> float:
    """The same step in float64."""
    x, t, w1, b1, w2, b2, rate = (np.asarray(a, np.float64) for a in arrays[:7])
    t = arrays[1]
    h = np.maximum(x @ w1.T + b1, 0)
    y = h @ w2.T + b2
    p = np.exp(y - y.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(t)), t]).mean()
    dy = (p - np.eye(10)[t]) / len(t)
    dh = (dy @ w2) * (h > 0)
    for i, d in ((2, dh.T @ x), (3, dh.sum(0)), (4, dy.T @ h), (5, dy.sum(0))):
        arrays[i] = np.asarray(arrays[i], np.float64) - rate * d
    return float(loss)


def test_training_steps() -> None:
    """Fifty steps give the losses of the same steps in float64, on any number of threads."""
    finals = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        arrays, truth = start(64), start(64)
        program = step_program(64)
        assert program.references == ()
        for _ in range(50):
            program.run(arrays)
            loss = numpy_step(truth)
            assert abs(float(arrays[7]) - loss) < 1e-4 * max(loss, 1)
        finals.append(arrays)
    assert float(finals[0][7]) < 0.5
    for other in finals[1:]:
        assert all(same_bits(a, b) for a, b in zip(finals[0], other, strict=True))


def test_runs_try_threads() -> None:
    """The first runs share all instructions, or none, or some. All give the same bits."""
    expected: list[list[Any]] = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        program, arrays = step_program(512), start(512)
        ways = []
        for run in range(60):
            program.run(arrays)
            ways.append(program.shared())
            state = [a.copy() for a in arrays[2:]]
            if threads == 1:
                expected.append(state)
            assert all(same_bits(a, b) for a, b in zip(state, expected[run], strict=True))
        assert any(map(all, ways)) == (threads > 1)
        assert not all(map(any, ways))


def test_times() -> None:
    program, arrays = step_program(8), start(8)
    times = program.times(arrays)
    assert len(times) == len(program.instructions) and all(t >= 0 for t in times)


def test_a_bad_label_names_instruction_and_position() -> None:
    program, arrays = step_program(8), start(8)
    arrays[1][5] = 10
    before = [a.copy() for a in arrays]
    with pytest.raises(OutOfRangeError, match=r"instruction 2 .*label 10 at position 5"):
        program.run(arrays)
    assert all(same_bits(a, b) for a, b in zip(arrays, before, strict=True))


def test_reference_instructions() -> None:
    """What has no kernel runs its NumPy reference, with arena, constant and external operands."""
    arctan, add = lookup("arctan"), lookup("add")
    x, y = np.linspace(-2, 2, 30).astype("f4").reshape(5, 6), np.zeros((5, 6), "f4")
    program = Program(
        [
            Instruction(arctan, (0,), (1,)),
            Instruction(add, (1, 3), (1,)),
            Instruction(arctan, (1,), (2,)),
        ],
        [
            external(0, (6, 5), "f4", strides=(4, 24)),
            arena(64, (6, 5), "f4"),
            external(1, (6, 5), "f4", strides=(4, 24)),
            constant(np.ones((6, 5), "f4")),
        ],
        specs([x, y]),
        arena_bytes=64 + 120,
    )
    assert program.references == (0, 2)
    for shift in (0, 1):
        program.run([x + np.float32(shift), y])
        np.testing.assert_allclose(y, np.arctan(np.arctan(x + np.float32(shift)) + 1), atol=1e-6)


def test_an_error_in_a_reference_comes_out() -> None:
    x, i, y = np.zeros((3, 4)), np.array([[0, 1, 2, 9]]), np.zeros((1, 4))
    program = Program(
        [Instruction(lookup("gather"), (0, 1), (2,), {"dim": 0})],
        [external(n, a.shape, a.dtype) for n, a in enumerate((x, i, y))],
        specs((x, i, y)),
    )
    with pytest.raises(OutOfRangeError, match="index 9"):
        program.run([x, i, y])
    i[0, 3] = 0
    program.run([x, i, y])


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "?"])
@pytest.mark.parametrize(("rows", "columns"), [(17, 35), (32, 16), (3, 100), (100, 3), (1, 5)])
def test_a_transposing_copy_moves_all_bits(dtype: str, rows: int, columns: int) -> None:
    """Of rows that are apart in memory, too, and of numbers that are NaN as floats."""
    source = np.frombuffer(np.random.default_rng(0).bytes(2 * rows * columns * 8), dtype)
    source = source[: 2 * rows * columns].reshape(rows, 2 * columns)
    size = source.dtype.itemsize
    seen = external(0, (columns, rows), dtype, (size, 2 * columns * size))
    specs = [Spec(source.shape, source.dtype), Spec((columns, rows), source.dtype)]
    copied = np.zeros((columns, rows), dtype)
    step = Instruction("copy", (0,), (1,))
    Program([step], [seen, external(1, (columns, rows), dtype)], specs).run([source, copied])
    assert copied.tobytes() == source[:, :columns].T.tobytes()


def copy_program(buffer: Any, slots: list[Spec], arena_bytes: int = 0) -> Program:
    return Program([Instruction("copy", (0,), (0,))], [buffer], slots, arena_bytes)


@pytest.mark.parametrize(
    "buffer",
    [
        arena(60, (2,), "f4"),
        arena(-4, (2,), "f4"),
        arena(2, (2,), "f4"),
        arena(0, (2**62, 8), "f4"),
        arena(0, (2**33, 2**33), "f4"),
        arena(2**63 - 8, (2,), "f4"),
        arena(0, (2,), "f4", (64,)),
        arena(0, (2,), "f4", (-4,)),
        external(0, (5,), "f4"),
        external(0, (2,), "f4", None, 12),
        external(1, (2,), "f4"),
        arena(0, (1,) * 9, "f4"),
        arena(0, (2,), "f2"),
    ],
)
def test_buffers_outside_their_memory_are_refused(buffer: Any) -> None:
    with pytest.raises(GraphError):
        copy_program(buffer, [Spec((4,), np.float32)], arena_bytes=64)


def test_malformed_programs_are_refused() -> None:
    f4 = [external(0, (2, 3), "f4"), external(1, (2, 3), "f4")]
    slots = [Spec((2, 3), np.float32)] * 2
    for instruction in (
        Instruction("no_such", (0,), (1,)),
        Instruction("copy", (0,), (2,)),
        Instruction("copy", (-1,), (1,)),
        Instruction("fused", (0,), (1,), {"steps": (("tan", 0),)}),
        Instruction("fused", (0,), (1,), {"steps": (("add", 0, 5),), "results": (1,)}),
    ):
        with pytest.raises(GraphError):
            Program([instruction], f4, slots)
    with pytest.raises(GraphError, match="constant"):
        Program([Instruction("copy", (0,), (1,))], [f4[0], constant(np.zeros((2, 3), "f4"))], slots)


def test_operands_that_do_not_fit_are_reported_not_run() -> None:
    """Shapes that a kernel cannot take come back as an error of that instruction."""
    a, b, c = np.ones((2, 3), "f4"), np.ones((4, 5), "f4"), np.ones((2, 5), "f4")
    program = Program(
        [Instruction(lookup("matmul"), (0, 1), (2,))],
        [external(i, x.shape, x.dtype) for i, x in enumerate((a, b, c))],
        specs((a, b, c)),
    )
    with pytest.raises(GraphError, match="sizes of the matrices"):
        program.run([a, b, c])


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: [a[0][:4], *a[1:]],
        lambda a: [a[0].astype("f8"), *a[1:]],
        lambda a: [np.asfortranarray(a[0]), *a[1:]],
        lambda a: [a[0].tolist(), *a[1:]],
        lambda a: [None, *a[1:]],
        lambda a: [a[0].astype(">f4"), *a[1:]],
    ],
)
def test_arrays_that_do_not_fit_their_slot(change: Any) -> None:
    program, arrays = step_program(8), start(8)
    with pytest.raises(ShapeError, match=r"slot 0|number of arrays"):
        program.run(change(arrays))
    program.run(arrays)


def test_a_read_only_array_is_not_written() -> None:
    program, arrays = step_program(8), start(8)
    arrays[2].flags.writeable = False
    with pytest.raises(ShapeError, match="read-only"):
        program.run(arrays)


def test_two_threads_run_one_program() -> None:
    """They take turns; two programs run at the same time."""
    program = step_program(32)
    results: list[Any] = [start(32) for _ in range(4)]

    def work(arrays: Any) -> None:
        for _ in range(20):
            program.run(arrays)

    workers = [threading.Thread(target=work, args=(a,)) for a in results]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    alone = start(32)
    work(alone)
    assert all(same_bits(a, b) for r in results for a, b in zip(r, alone, strict=True))


def test_a_run_allocates_nothing() -> None:
    """Python's allocator is not asked for more than the caller's list, whatever the size."""
    import tracemalloc

    program, arrays = step_program(256), start(256)
    for _ in range(3):
        program.run(arrays)
    tracemalloc.start()
    program.run(arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4096


def test_layouts_are_reshaped_as_numpy_does() -> None:
    """The strides of a view, or None exactly where NumPy would copy."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        x = np.arange(4 * 6 * 2 * 8).reshape(4, 6, 2, 8).transpose(rng.permutation(4))
        x = x[: rng.integers(1, 5), ..., :: rng.choice([1, 2, -1])]
        factors, left = [], x.size
        while left > 1:
            factors.append(int(rng.choice([n for n in (1, 2, 3, 4, 6, 12, left) if left % n == 0])))
            left //= factors[-1]
        layout = engine.layout_of(x).reshaped(tuple(factors))
        view = x.reshape(factors)
        if layout is None:
            assert not np.shares_memory(view, x)
        else:
            pairs = zip(layout.strides, view.strides, factors, strict=True)
            assert np.shares_memory(view, x) and all(a == b for a, b, n in pairs if n > 1)
