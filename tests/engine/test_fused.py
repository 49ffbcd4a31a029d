"""The elementwise machine: chains have the bits of their ops, in place and reduced."""

from typing import Any

import numpy as np
import pytest
from tests.engine.helpers import THREADS, native, same_bits

from chainrule import engine
from chainrule.engine import Instruction, Program, external, machine_code
from chainrule.errors import GraphError
from chainrule.primitive import Spec


def run(arrays: Any, inputs: Any, outputs: Any, **params: Any) -> None:
    """One fused instruction on these arrays."""
    views = [external(i, a.shape, a.dtype) for i, a in enumerate(arrays)]
    program = Program(
        [Instruction("fused", inputs, outputs, params)],
        views,
        [Spec(a.shape, a.dtype) for a in arrays],
    )
    program.run(list(arrays))


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


CHAIN = (("mul", 0, 1), ("add", 3, 2), ("tanh", 4), ("sub", 5, 0.5), ("mul", 6, 5), ("exp", 7))


@pytest.mark.parametrize("shape", [(1,), (511,), (64, 128), (7, 100, 3), (3, 3000), (0, 4)])
def test_a_chain_has_the_bits_of_its_ops(shape: Any) -> None:
    a, b, c = random(*shape), random(*shape), random(shape[-1])
    y, middle = np.zeros(shape, "f4"), np.zeros(shape, "f4")
    run([a, b, c, y, middle], (0, 1, 2), (3, 4), steps=CHAIN, results=(8, 5))
    t = native("tanh", native("add", native("mul", a, b), c))
    half = np.asarray(0.5, np.float32)
    assert same_bits(middle, t)
    assert same_bits(y, native("exp", native("mul", native("sub", t, half), t)))


def test_in_place() -> None:
    """An output may be an input, read again after the first write to it."""
    p, g = random(1000), random(1000)
    expected = native("add", native("mul", p, g), p)
    run([p, g], (0, 1), (0,), steps=(("mul", 0, 1), ("add", 2, 0)), results=(3,))
    assert same_bits(p, expected)


def test_other_overlaps_are_refused() -> None:
    memory = random(100)
    views = [external(0, (50,), "f4"), external(0, (50,), "f4", None, 40)]
    program = Program(
        [Instruction("fused", (0,), (1,), {"steps": (("exp", 0),), "results": (1,)})],
        views,
        [Spec((100,), np.float32)],
    )
    with pytest.raises(GraphError, match="overlaps"):
        program.run([memory])


TABLES = [(64, 10), (300, 130), (5, 2100), (1, 1)]
IMAGES = [(9, 4, 676), (3, 5, 20_000), (70, 3, 5)]


@pytest.mark.parametrize(
    "shape, dims",
    [
        *((shape, dims) for shape in TABLES for dims in ((0,), (1,), (0, 1))),
        *((shape, (0, 2)) for shape in IMAGES),
    ],
)
def test_chain_with_reductions(shape: Any, dims: Any) -> None:
    """Σ (x − m)² and max x in the sweep that writes (x − m)."""
    x, m = random(*shape), random(shape[-1])
    kept = tuple(n for d, n in enumerate(shape) if d not in dims)
    y, total, most = np.zeros(shape, "f4"), np.zeros(kept, "f4"), np.zeros(kept, "f4")
    steps = (("sub", 0, 1), ("square", 2))
    reductions = (("sum", 3, 2.0), ("max", 0))
    runs = []
    for threads in THREADS:
        engine.set_num_threads(threads)
        run(
            [x, m, y, total, most],
            (0, 1),
            (2, 3, 4),
            steps=steps,
            results=(2,),
            reductions=reductions,
            dims=dims,
        )
        runs.append(total.copy())
    assert same_bits(y, x - m) and same_bits(most, np.asarray(x.max(dims)))
    truth = (np.square(x - m).astype(np.float64).sum(dims) / 2).astype("f4")
    np.testing.assert_array_equal(total, truth)
    assert all(same_bits(r, runs[0]) for r in runs)


def test_dtypes_in_one_chain() -> None:
    """Booleans choose, integers and float64 are converted on the way in, float64 on the way out."""
    mask, n, d = random(300) > 0, np.arange(300), random(300).astype(np.float64)
    y, wide, truth = np.zeros(300, "f4"), np.zeros(300), np.zeros(300, bool)
    run(
        [mask, n, d, y, wide, truth],
        (0, 1, 2),
        (3, 4, 5),
        dtype=np.dtype("f4"),
        steps=(("where", 0, 1, 2), ("to_number", 0), ("gt", 3, 10.0)),
        results=(3, 4, 5),
    )
    expected = np.where(mask, n.astype("f4"), d.astype("f4"))
    assert same_bits(y, expected)
    assert same_bits(wide, mask.astype(float)) and same_bits(truth, expected > 10)


def test_registers_are_reused() -> None:
    """A chain of a thousand ops needs few registers; one that keeps everything is refused."""
    long = tuple(("add" if i % 2 else "mul", i, 1.5) for i in range(1000))
    code = machine_code(1, long, (1000,), (), (False,))
    assert code.ints[0] <= 3
    x, y = random(600), np.zeros(600, "f4")
    run([x, y], (0,), (1,), steps=long[:50], results=(50,))
    expected = x.copy()
    for op, _, c in long[:50]:
        expected = expected * np.float32(c) if op == "mul" else expected + np.float32(c)
    assert same_bits(y, expected)
    wide = tuple(("add", 0, float(i)) for i in range(200))
    with pytest.raises(GraphError, match="slots"):
        machine_code(1, wide, tuple(range(1, 201)), (), (False,))
