"""Plain evaluation by prepared native calls: memory that is reused, and what is told apart."""

import math

import numpy as np
import pytest
from tests.engine.helpers import same_bits

import chainrule as cr
from chainrule import engine
from chainrule.engine import evaluate as evaluation
from chainrule.errors import OutOfRangeError
from chainrule.primitive import lookup

pytestmark = pytest.mark.skipif(not engine.available(), reason="needs the native engine")


def test_results_that_are_held_are_not_written_again() -> None:
    x = np.arange(5, dtype=np.float32)
    held = [engine.run(lookup("add"), (x, x), {}) for _ in range(50)]
    view = engine.run(lookup("mul"), (x, x), {})[1:]
    for _ in range(50):
        engine.run(lookup("sub"), (x, x), {})
    assert all(same_bits(array, x + x) for array in held)
    assert same_bits(view, (x * x)[1:])


def test_zero_and_minus_zero_are_different_parameters() -> None:
    x = np.array([-1.0], np.float32)
    for slope in (0.0, -0.0, 0.0):
        (y,) = engine.run(lookup("leaky_relu"), (x,), {"slope": slope})
        assert math.copysign(1, y) == -math.copysign(1, slope)


def test_layouts_are_told_apart() -> None:
    a = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    for x in (a, a.T, a[::-1], a[:, ::2], a[::2, 1:]):
        np.testing.assert_array_equal(engine.run(lookup("neg"), (x,), {}), -x)


def test_memory_that_is_not_aligned_is_read_all_the_same() -> None:
    raw = np.arange(41, dtype=np.uint8)[1:].view(np.float32)
    assert not raw.flags.aligned
    np.testing.assert_array_equal(engine.run(lookup("add"), (raw, raw), {}), raw + raw)


@pytest.mark.parametrize("name", ["softmax", "matrix_exp"])  # with a kernel, and without
@pytest.mark.parametrize("has_engine", [True, False])
def test_no_bit_depends_on_a_layout(name, has_engine, monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "available", lambda: has_engine)
    evaluate = evaluation.evaluator(lookup(name))
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 4)).astype(np.float32).transpose(3, 0, 2, 1)
    params = {"dim": 1} if name == "softmax" else {}
    found, ordered = evaluate(x, **params), evaluate(np.array(x, order="C"), **params)
    assert found.flags.c_contiguous and same_bits(found, ordered)


def test_d3_an_example_has_the_same_bits_in_any_batch() -> None:
    """Eagerly, too."""
    cr.manual_seed(0)
    model = cr.nn.Sequential(
        cr.nn.Linear(20, 30),
        cr.nn.Tanh(),
        cr.nn.LayerNorm(30),
        cr.nn.Linear(30, 4),
        cr.nn.Softmax(-1),
    )
    model.eval()
    x = cr.randn(33, 20)
    whole = model(x).detach().numpy()
    for i in (0, 7, 32):
        assert same_bits(model(x[i : i + 1]).detach().numpy(), whole[i : i + 1])


def test_the_reference_says_what_is_wrong_with_an_index() -> None:
    with pytest.raises(OutOfRangeError, match="index 7 at position 1 is not a row"):
        cr.nn.functional.embedding(cr.tensor([0, 7]), cr.ones(5, 2))
