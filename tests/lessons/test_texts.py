"""The code of the texts that the project grew from runs here, unchanged but for its imports, and
learns to read digits."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lessons import by_hand, material
from lessons.by_hand import DenseLayer, Model, NeuralNetwork, one_hot

import chainrule as cr
from chainrule import nn, optim

FOLDERS = [folder / "shared" / "texts" for folder in Path(__file__).parents]
TEXTS = next((folder for folder in FOLDERS if folder.is_dir()), None)
pytestmark = pytest.mark.skipif(
    TEXTS is None, reason="the folder shared/texts is not above this repository"
)
IMPORT = re.compile(r"^from (?=(layer|multi_activation|losses|model)\.)", re.M)


def blocks(number: int) -> list[str]:
    """The Python blocks of text 1 to 5, with imports from `lessons.by_hand`."""
    assert TEXTS is not None
    text = sorted(TEXTS.glob("*.txt"))[number - 1].read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    return [IMPORT.sub("from lessons.by_hand.", block) for block in found]


def run(code: str, **names: Any) -> SimpleNamespace:
    """All names after `code` has run with those given."""
    exec(code, names)
    return SimpleNamespace(**names)


def as_class(*methods: str, base: type) -> Any:
    """A class with these methods; `base` has what they call and the text does not show."""
    body = "\n".join(textwrap.indent(method, "    ") for method in methods)
    return run(f"class Text(base):\n{body}", base=base, np=np).Text


@pytest.fixture(scope="module")
def digits() -> Any:
    """(x_train, y_train, x_test, y_test), each image a row."""
    return material.handwritten()


def test_no_block_is_left_out():
    assert [len(blocks(number)) for number in range(1, 6)] == [0, 0, 0, 4, 5]


# ---- the fourth text: examples are columns ----


def test_the_network_with_columns(digits):
    start, forward, loss, _ = blocks(4)
    Network = as_class(start, forward, base=NeuralNetwork)
    X, Y, X_test, Y_test = digits
    X, Y, X_test = X[:5000].T, Y[:5000], X_test.T

    np.random.seed(0)
    network = Network(784, 16, 10)
    assert [w.shape for w in (network.W1, network.B1)] == [(16, 784), (16, 1)]
    assert [w.shape for w in (network.W2, network.B2)] == [(10, 16), (10, 1)]
    np.random.seed(0)
    ours = NeuralNetwork(784, 16, 10)
    probabilities = network.forward_propagation(X)
    np.testing.assert_array_equal(probabilities, ours.forward_propagation(X))
    assert probabilities.shape == (10, len(Y))
    value = run(loss, self=network, Y=Y, np=np)
    np.testing.assert_array_equal(value.one_hot_Y, one_hot(Y, 10).T)
    assert value.loss == pytest.approx(network.loss(Y), rel=1e-12)  # sums in another order

    history = network.train(X, Y, epochs=30)
    assert history[-1] < history[0] / 3
    assert network.accuracy(X_test, Y_test) > 0.85
    ours.train(X, Y, epochs=30)
    np.testing.assert_allclose(network.W1, ours.W1, atol=1e-9)  # roundings, grown over the steps


def test_the_gradients_on_the_page_are_transposed_sums():
    """The text writes ∂L/∂W as (inputs, outputs), and for the sum of losses: m times the mean."""
    rng, network = np.random.default_rng(0), NeuralNetwork(6, 5, 3, seed=0)
    X, Y = rng.standard_normal((6, 40)), rng.integers(0, 3, 40)
    error = network.forward_propagation(X) - one_hot(Y, 3).T
    delta = (network.W2.T @ error) * (network.Z1 > 0)
    dW1, _, dW2, _ = network.backward_propagation(X, Y)
    np.testing.assert_allclose(network.A1 @ error.T, 40 * dW2.T, atol=1e-13)  # roundings
    np.testing.assert_allclose(X @ delta.T, 40 * dW1.T, atol=1e-13)


def pytorch_class(nn: Any) -> Any:
    """The text's module, written for PyTorch's `nn` or for Chainrule's."""
    return run(blocks(4)[-1], nn=nn).NeuralNetworktorch


def weights_and_output(x: Any) -> tuple[dict[str, Any], Any]:
    """The state of that module with a network's weights, and what it answers for rows x."""
    network = NeuralNetwork(784, 16, 10, seed=0)
    parts = {"fc1.weight": network.W1, "fc1.bias": network.B1[:, 0]}
    parts |= {"fc2.weight": network.W2, "fc2.bias": network.B2[:, 0]}
    state = {name: array.astype(np.float32) for name, array in parts.items()}
    return state, network.forward_propagation(x.T).T


def test_the_module_for_pytorch(digits):
    X, Y, X_test, Y_test = (cr.tensor(part) for part in digits)
    state, expected = weights_and_output(digits[0][:50])
    model = pytorch_class(nn)(784, 16, 10)
    model.load_state_dict(state)
    output = model(X[:50]).detach().numpy()
    np.testing.assert_allclose(output, expected, atol=1e-5)  # float32

    cr.manual_seed(0)
    model, loss = pytorch_class(nn)(784, 16, 10), nn.NLLLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for start in range(0, 20 * 1400, 64):
        batch = slice(start % 1400, start % 1400 + 64)
        optimizer.zero_grad()
        loss(cr.log(model(X[batch])), Y[batch]).backward()
        optimizer.step()
    assert (model(X_test).argmax(dim=1) == Y_test).float().mean() > 0.8


@pytest.mark.parity
def test_the_module_for_pytorch_in_pytorch(digits):
    torch = pytest.importorskip("torch")
    X = digits[0][:50]
    model, state, expected = pytorch_class(torch.nn)(784, 16, 10), *weights_and_output(X)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    output = model(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(output, expected, atol=1e-5)  # float32


# ---- the fifth text: layers are objects, examples are rows ----


def test_the_dense_layer_and_its_backward_pass():
    definition, backward, *_ = blocks(5)
    x, g = np.random.default_rng(0).standard_normal((2, 7, 5))
    theirs, ours = run(definition, np=np).DenseLayer(5, 5), DenseLayer(5, 5)
    assert np.abs(theirs.weights).max() < 0.1 and theirs.biases.shape == ours.biases.shape
    ours.weights = theirs.weights
    np.testing.assert_array_equal(theirs.forward(x), ours.forward(x))
    layer = as_class(backward, base=DenseLayer)(5, 5)
    layer.weights = theirs.weights
    layer.forward(x)
    layer.backward(g)
    ours.backward(g)
    for name in ("dweights", "dbiases", "dinputs"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(ours, name))


def test_the_training_loop_with_their_parts_and_with_ours(digits):
    _, backward, optimizer, loop, _ = blocks(5)
    X_train, y_train = digits[0][:300], digits[1][:300]
    theirs = as_class(backward, base=DenseLayer), run(optimizer).Optimizer_SGD
    trained = []
    for Dense, Optimizer in (theirs, (DenseLayer, by_hand.Optimizer_SGD)):
        np.random.seed(0)
        layers = [Dense(784, 16), by_hand.Activation_ReLU(), Dense(16, 10)]
        model, optimizer = Model([*layers, by_hand.Activation_Softmax()]), Optimizer()
        assert optimizer.learning_rate == 1.0
        optimizer.learning_rate = 0.1
        loss_function = by_hand.Loss_CategoricalCrossentropy()
        names = dict(model=model, loss_function=loss_function, optimizer=optimizer, epochs=200)
        last = run(loop, **names, X_train=X_train, y_train=y_train)
        assert last.loss < 0.2 and model.accuracy(X_train, y_train) > 0.95
        trained.append(layers[0].weights)
    np.testing.assert_array_equal(*trained)


@pytest.mark.slow
def test_the_quick_start(digits):
    X, y, X_test, y_test = digits
    np.random.seed(0)
    found = run(blocks(5)[-1], X_train=X[:200], y_train=y[:200])
    assert len(found.model.layers) == 6 and found.epoch == 999
    assert found.loss < 0.1
    assert found.model.accuracy(X_test, y_test) > 0.7  # of 200 images it has learned all it can
