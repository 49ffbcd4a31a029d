"""Results over what they are computed from: memory shrinks, numbers stay."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn

pytestmark = pytest.mark.skipif(not engine.available(), reason="needs the native engine")
N = 64
BYTES = N * N * 4


def arena(compiled: Any) -> int:
    size: int = compiled.executables[0].plan.program.arena_bytes
    return size


def weights() -> tuple[cr.Tensor, cr.Tensor]:
    cr.manual_seed(0)
    return cr.randn(N, N), cr.randn(N, N)


def test_a_chain_lies_over_its_input() -> None:
    x, w = weights()

    def f(x: cr.Tensor) -> Any:
        y = x @ w
        return (y.tanh() * y + 1.0) @ w

    compiled = cr.compile(f)
    np.testing.assert_array_equal(compiled(x).numpy(), f(x).numpy())
    assert arena(compiled) == BYTES


def test_not_over_what_is_read_later() -> None:
    x, w = weights()

    def f(x: cr.Tensor) -> Any:
        y = x @ w
        return (y.tanh() * y + 1.0) @ y

    compiled = cr.compile(f)
    np.testing.assert_array_equal(compiled(x).numpy(), f(x).numpy())
    assert arena(compiled) == 2 * BYTES


def test_not_over_what_the_same_sweep_reads_in_another_order() -> None:
    x, w = weights()

    def f(x: cr.Tensor) -> Any:
        y = x @ w
        return (y.tanh() + y.T) @ w

    compiled = cr.compile(f)
    np.testing.assert_array_equal(compiled(x).numpy(), f(x).numpy())
    assert arena(compiled) == 2 * BYTES


def test_a_chain_lies_over_its_input_while_its_results_are_summed_up() -> None:
    x, w = weights()

    def f(x: cr.Tensor) -> Any:
        y = (x @ w).tanh() * 2.0
        return y @ w, y.sum(0)

    compiled = cr.compile(f)
    for ours, plain in zip(compiled(x), f(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), plain.numpy())
    assert arena(compiled) == BYTES


def test_not_over_what_the_same_sweep_sums_up() -> None:
    x, w = weights()

    def f(x: cr.Tensor) -> Any:
        y = x @ w
        return (y * 2.0) @ w, y.sum(0)

    compiled = cr.compile(f)
    for ours, plain in zip(compiled(x), f(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), plain.numpy())


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batch_first", [False, True])
def test_recurrences_over_their_inputs(layer: Any, batch_first: bool) -> None:
    """Two layers, both directions: eager and compiled to the same bits, and gradients too."""
    cr.manual_seed(0)
    model = layer(5, 17, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = cr.randn(6, 9, 5)

    def f(x: cr.Tensor) -> Any:
        return cr.gradients((model(x)[0] ** 2).sum(), list(model.parameters()))

    for ours, plain in zip(cr.compile(f)(x), f(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), plain.numpy())
