"""The operations that a report counts are those that the references do."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.compiler.report import flops
from chainrule.graph import Equation, Value, as_tuple
from chainrule.primitive import Spec, registry

WITH_PRODUCTS = [
    "matmul",
    "lstm_sequence",
    "lstm_sequence_gradient",
    "gru_sequence",
    "gru_sequence_gradient",
    "rnn_sequence",
    "rnn_sequence_gradient",
    "attention",
    "attention_gradient",
]


def equation(name: str, inputs: Any, params: Any) -> Equation:
    arrays = [np.asarray(x) for x in inputs]
    outputs = as_tuple(registry[name].infer(*arrays, **params))
    return Equation(
        registry[name],
        tuple(Value(Spec(x.shape, x.dtype)) for x in arrays),
        params,
        tuple(map(Value, outputs)),
    )


class Counting(np.ndarray):  # type: ignore[type-arg]
    """An array that counts the operations of the matrix products it takes part in."""

    counted: list[int] = []  # noqa: RUF012  shared: products make arrays of their own
    __array_priority__ = 1  # what is stacked of such arrays is one too

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Counting) else x for x in inputs]
        y = getattr(ufunc, method)(*plain, **more)
        if ufunc is np.matmul:
            self.counted.append(2 * y.size * plain[0].shape[-1])
        return y.view(Counting) if isinstance(y, np.ndarray) else y


@pytest.mark.parametrize("name", WITH_PRODUCTS)
def test_products_are_counted_as_the_references_do_them(name: str) -> None:
    """Counted where NumPy multiplies matrices."""
    counted = Counting.counted
    samples = registry[name].samples
    assert samples is not None
    for inputs, params in samples(np.random.default_rng(0)):
        if params.get("causal"):
            continue  # the reference multiplies all pairs and masks
        counted.clear()
        registry[name].forward(*[np.asarray(x).view(Counting) for x in inputs], **params)
        assert counted and flops(equation(name, inputs, params)) == sum(counted)


def test_causal_attention_counts_the_pairs_that_are_seen() -> None:
    """4 queries see 1, 2, 3 and 3 of 3 keys; d = 5 and e = 2 features; two batches."""
    q, k, v = np.ones((2, 4, 5)), np.ones((2, 3, 5)), np.ones((2, 3, 2))
    params = {"causal": True, "scale": 1.0}
    assert flops(equation("attention", (q, k, v), params)) == 2 * 2 * 9 * (5 + 2)
    gradient = (np.ones((2, 4, 2)), q, k, v, np.ones((2, 4)), np.ones((2, 4)))
    assert flops(equation("attention_gradient", gradient, params)) == 2 * 2 * 9 * (15 + 4)


def test_a_report_and_a_summary_of_a_recurrent_layer() -> None:
    layer = nn.LSTM(3, 8).eval()
    run = cr.compile(lambda x: layer(x)[0].detach())
    run(cr.ones(5, 2, 3))
    (program,) = run.executables
    found = {e.primitive.name: flops(e) for e in program.graph.equations}
    assert found["lstm_sequence"] == 2 * 5 * 2 * (4 * 8) * 8
    (line,) = [x for x in program.report().splitlines() if "lstm_sequence" in x]
    assert float(line.split()[1]) == 0.01  # millions, of 5120
    assert nn.summary(layer, (5, 2, 3)).flops >= 2 * 5 * 2 * (4 * 8) * (3 + 8)
