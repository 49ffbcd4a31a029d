"""Capture: forward, backward and update as one graph, with the bits of eager."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CaptureError


def mlp() -> nn.Module:
    cr.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def batch(n: int = 4) -> tuple[cr.Tensor, cr.Tensor]:
    rng = np.random.default_rng(0)
    return cr.tensor(rng.random((n, 6), dtype=np.float32)), cr.tensor(rng.integers(0, 3, n))


def test_a_trace_of_a_model_runs_with_the_same_bits():
    model, (x, _) = mlp(), batch()
    traced = cr.trace(model)(cr.spec(4, 6))
    assert np.array_equal(traced(x).numpy(), model(x).detach().numpy())


def test_text_names_inputs_parameters_and_lines():
    text = str(cr.trace(mlp())(cr.spec(4, 6)))
    assert text.startswith("graph(input: float32(4, 6), 0.weight: float32(5, 6)")
    assert "linear(input, 0.weight, 0.bias)" in text
    assert "test_capture.py:" in text


def test_a_whole_training_step_is_one_graph_with_the_bits_of_eager():
    def stepper():
        model = mlp()
        adam, loss_of = optim.Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss()

        def step(x, y):
            adam.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            adam.step()
            return loss

        return model, step

    x, y = batch()
    (eager_model, eager), (traced_model, captured) = stepper(), stepper()
    eager(x, y)
    captured(x, y)  # the first step makes the optimizer's state
    traced = cr.trace(captured)(x, y)
    for _ in range(5):
        assert traced(x, y).item() == eager(x, y).item()
    for a, b in zip(eager_model.parameters(), traced_model.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
        assert np.array_equal(a.grad.numpy(), b.grad.numpy())


def test_capturing_computes_nothing_and_changes_nothing():
    model, (x, y) = mlp(), batch()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    random_state = cr.default_generator.state.numpy().copy()

    def step(x, y):
        loss = nn.functional.cross_entropy(nn.functional.dropout(model(x), 0.5), y)
        loss.backward()
        with cr.no_grad():
            for p in model.parameters():
                p.assign(p - p.grad)
        return loss

    cr.trace(step)(x, y)
    assert all(p.grad is None for p in model.parameters())
    assert np.array_equal(cr.default_generator.state.numpy(), random_state)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name])


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x.tolist(),
        lambda x: [i for i in range(x.astype(np.int64).sum())],
    ],
    ids=["item", "float", "numpy", "asarray", "if", "mask", "tolist", "range"],
)
def test_what_depends_on_numbers_raises_and_names_the_line(ask):
    with pytest.raises(CaptureError, match=r"test_capture\.py:\d+.*only specs are known"):
        cr.trace(ask)(cr.spec(3))


def test_an_error_inside_leaves_the_settings_as_they_were():
    with pytest.raises(ValueError, match="broadcast"):
        cr.trace(lambda x: x + cr.ones(5))(cr.spec(3))
    assert (cr.ones(2) + 1).sum().item() == 4


def test_a_tensor_computed_outside_is_refused():
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    outside = w * 2
    with pytest.raises(CaptureError, match="computed outside"):
        cr.trace(lambda x: x * outside)(cr.spec(2))


def test_what_only_the_capture_knows_is_a_constant_and_the_rest_is_state():
    outside = cr.ones(3)
    traced = cr.trace(lambda x: x * outside + cr.tensor([1.0, 2.0, 3.0]))(cr.spec(3))
    assert len(traced.reads) == 1
    assert traced.reads[0].tensor is outside
    assert len(traced.graph.constants) == 1
    outside.assign(cr.full(3, 10.0))
    assert traced(cr.ones(3)).tolist() == [11.0, 12.0, 13.0]


def test_nested_structures_go_in_and_out():
    traced = cr.trace(lambda d, k: {"sum": d["a"] + d["b"][0], "k": k})(
        {"a": cr.spec(2), "b": [cr.spec(2)]}, 7
    )
    result = traced({"a": cr.ones(2), "b": [cr.ones(2)]}, 7)
    assert result["sum"].tolist() == [2.0, 2.0]
    assert result["k"] == 7
