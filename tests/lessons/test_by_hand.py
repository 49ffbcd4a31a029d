"""The networks by hand: gradients against differences and PyTorch, learning, limits, mistakes."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from lessons import by_hand, material
from lessons.by_hand import (
    Activation_ReLU,
    Activation_Sigmoid,
    Activation_Sigmoid_Loss_BinaryCrossentropy,
    Activation_Softmax,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    DenseLayer,
    Loss_BinaryCrossentropy,
    Loss_CategoricalCrossentropy,
    Model,
    NeuralNetwork,
    Optimizer_SGD,
    one_hot,
    prepare,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((7, 5)), RNG.integers(0, 3, 7)


@pytest.fixture(scope="module")
def digits():
    return material.handwritten()


def differences(loss, array, step=1e-6):
    """∂loss()/∂array by central differences; `array` is changed in place and restored."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = loss()
        array[place] = kept - step
        gradient[place] = (above - loss()) / (2 * step)
        array[place] = kept
    return gradient


def deep(last=True):
    ends = [Activation_Softmax()] if last else []
    return Model(
        [
            DenseLayer(5, 4, seed=1),
            Activation_ReLU(),
            DenseLayer(4, 6, seed=2),
            Activation_Sigmoid(),
            DenseLayer(6, 3, seed=3),
            *ends,
        ]
    )


# ---- gradients ----


@pytest.mark.parametrize("activation", [Activation_ReLU, Activation_Sigmoid, Activation_Softmax])
def test_activations_have_their_true_derivative(activation):
    layer, z, weights = activation(), X.copy(), RNG.standard_normal(X.shape)
    layer.forward(z)
    got = layer.backward(weights)
    assert got is layer.dinputs
    expected = differences(lambda: (activation().forward(z) * weights).sum(), z)
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_softmax_backward_is_the_product_with_the_jacobian():
    layer, g = Activation_Softmax(), RNG.standard_normal(X.shape)
    layer.forward(X)
    product = np.einsum("ni,nij->nj", g, layer.jacobian())
    np.testing.assert_allclose(layer.backward(g), product, atol=1e-14)


@pytest.mark.parametrize("labels", [Y, one_hot(Y, 3), RNG.dirichlet(np.ones(3), 7)])
def test_categorical_crossentropy_has_its_true_derivative(labels):
    loss, p = Loss_CategoricalCrossentropy(), RNG.dirichlet(np.ones(3), 7)
    expected = differences(lambda: loss.calculate(p, labels), p)
    np.testing.assert_allclose(loss.backward(p, labels), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 2)])
def test_binary_crossentropy_has_its_true_derivative(shape):
    p, y = RNG.uniform(0.1, 0.9, shape), RNG.integers(0, 2, shape)
    loss = Loss_BinaryCrossentropy()
    expected = differences(lambda: loss.calculate(p, y), p)
    np.testing.assert_allclose(loss.backward(p, y), expected, atol=1e-6)
    assert loss.sample_losses.shape == (6,)
    exact = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert loss.calculate(p, y) == pytest.approx(exact)


@pytest.mark.parametrize("merged", [False, True])
def test_models_have_the_gradients_of_finite_differences(merged):
    model = deep(last=not merged)
    loss = (
        Activation_Softmax_Loss_CategoricalCrossentropy if merged else Loss_CategoricalCrossentropy
    )()
    inputs = X.copy()

    def value():
        return loss.calculate(model.forward(inputs), Y)

    value()
    loss.backward(model.output, Y)
    model.backward(loss.dinputs)
    for layer in model.layers[::2]:
        if isinstance(layer, DenseLayer):
            got = layer.dweights, layer.dbiases
            np.testing.assert_allclose(got[0], differences(value, layer.weights), atol=1e-8)
            np.testing.assert_allclose(got[1], differences(value, layer.biases), atol=1e-8)
    np.testing.assert_allclose(model.dinputs, differences(value, inputs), atol=1e-8)


def test_the_two_layer_network_has_the_gradients_of_finite_differences():
    network = NeuralNetwork(5, 4, 3, seed=0)

    def value():
        network.forward_propagation(X.T)
        return network.loss(Y)

    value()
    got = network.backward_propagation(X.T, Y)
    for gradient, name in zip(got, ("W1", "B1", "W2", "B2"), strict=True):
        expected = differences(value, getattr(network, name))
        np.testing.assert_allclose(gradient, expected, atol=1e-8)  # error of the differences


@pytest.mark.parametrize("merged", [False, True])
def test_a_model_with_its_loss_is_the_two_layer_network_with_rows_for_columns(merged):
    network = NeuralNetwork(5, 4, 3, seed=0)
    first, second = DenseLayer(5, 4), DenseLayer(4, 3)
    first.weights, first.biases = network.W1.T, network.B1.T
    second.weights, second.biases = network.W2.T, network.B2.T
    model = Model([first, Activation_ReLU(), second, *([] if merged else [Activation_Softmax()])])
    if merged:
        model.loss = Activation_Softmax_Loss_CategoricalCrossentropy()
    output, columns = model.forward(X), network.forward_propagation(X.T)
    assert model.loss.calculate(output, Y) == pytest.approx(network.loss(Y), rel=1e-14)
    np.testing.assert_allclose(model.loss.output if merged else output, columns.T, rtol=1e-14)
    model.backward(output, Y)
    rows = first.dweights, first.dbiases, second.dweights, second.dbiases
    for row, column in zip(rows, network.backward_propagation(X.T, Y), strict=True):
        np.testing.assert_allclose(row.T, column, atol=1e-15)  # a few roundings of numbers below 1


def test_merged_and_separate_steps_give_the_same():
    z = 3 * RNG.standard_normal((7, 3))
    softmax, loss = Activation_Softmax(), Loss_CategoricalCrossentropy()
    merged = Activation_Softmax_Loss_CategoricalCrossentropy()
    p = softmax.forward(z)
    assert merged.forward(z, Y) == pytest.approx(loss.forward(p, Y), abs=1e-12)
    np.testing.assert_allclose(merged.output, p)
    separate = softmax.backward(loss.backward(p, Y))
    np.testing.assert_allclose(merged.backward(z, Y), separate, atol=1e-12)
    np.testing.assert_allclose(merged.backward(merged.output, Y), separate, atol=1e-12)

    score, y = z[:, :1], RNG.integers(0, 2, (7, 1))
    sigmoid, loss = Activation_Sigmoid(), Loss_BinaryCrossentropy()
    merged = Activation_Sigmoid_Loss_BinaryCrossentropy()
    p = sigmoid.forward(score)
    assert merged.forward(score, y) == pytest.approx(loss.forward(p, y), abs=1e-12)
    separate = sigmoid.backward(loss.backward(p, y))
    np.testing.assert_allclose(merged.backward(score, y), separate, atol=1e-12)


@pytest.mark.parity
def test_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    model, loss = deep(), Loss_CategoricalCrossentropy()
    value = loss.calculate(model.forward(X), Y)
    model.backward(loss.backward(model.output, Y))
    tensors, out = [], torch.tensor(X, requires_grad=True)
    first = out
    for layer in model.layers[:-1]:
        if isinstance(layer, DenseLayer):
            pair = [torch.tensor(a, requires_grad=True) for a in (layer.weights, layer.biases)]
            tensors.append((layer, pair))
            out = out @ pair[0] + pair[1]
        else:
            out = torch.relu(out) if isinstance(layer, Activation_ReLU) else torch.sigmoid(out)
    expected = torch.nn.functional.cross_entropy(out, torch.tensor(Y))
    expected.backward()
    assert value == pytest.approx(expected.item(), abs=1e-12)
    np.testing.assert_allclose(model.dinputs, first.grad.numpy(), atol=1e-12)
    for layer, (weights, biases) in tensors:
        np.testing.assert_allclose(layer.dweights, weights.grad.numpy(), atol=1e-12)
        np.testing.assert_allclose(layer.dbiases, biases.grad.numpy(), atol=1e-12)


# ---- labels and numbers at their limits ----


def test_one_hot_and_integer_labels_have_the_same_loss_and_gradient():
    p, loss = RNG.dirichlet(np.ones(3), 7), Loss_CategoricalCrossentropy()
    assert loss.calculate(p, Y) == loss.calculate(p, one_hot(Y, 3)) == loss.forward(p, Y)
    np.testing.assert_array_equal(loss.backward(p, Y), loss.backward(p, one_hot(Y, 3)))
    np.testing.assert_allclose(loss.sample_losses, -np.log(p[np.arange(7), Y]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_a_thousand_give_finite_numbers(dtype):
    z, y = np.array([[1000, -1000, 0], [-1000, 1000, 0]], dtype), np.array([0, 0])
    p = Activation_Softmax().forward(z)
    np.testing.assert_array_equal(p, [[1, 0, 0], [0, 1, 0]])
    loss = Loss_CategoricalCrossentropy()
    assert np.isfinite(loss.calculate(p, y)) and np.isfinite(loss.backward(p, y)).all()
    merged = Activation_Softmax_Loss_CategoricalCrossentropy()
    assert merged.calculate(z, y) == 1000.0
    np.testing.assert_array_equal(merged.backward(z, y), [[0, 0, 0], [-0.5, 0.5, 0]])

    score, right = z[:, :1], np.array([[1], [1]])
    p = Activation_Sigmoid().forward(score)
    np.testing.assert_array_equal(p, [[1], [0]])
    loss = Loss_BinaryCrossentropy()
    assert np.isfinite(loss.calculate(p, right)) and np.isfinite(loss.backward(p, right)).all()
    merged = Activation_Sigmoid_Loss_BinaryCrossentropy()
    assert merged.calculate(score, right) == 500.0
    np.testing.assert_array_equal(merged.backward(score, right), [[0], [-0.5]])


def test_float32_stays_float32():
    model = Model([DenseLayer(5, 3, dtype=np.float32), Activation_Softmax()])
    x = X.astype(np.float32)
    model.train(x, Y, epochs=2)
    assert model.forward(x).dtype == model.layers[0].weights.dtype == np.float32
    assert model.layers[0].biases.shape == (1, 3)


# ---- learning ----


def test_the_quick_start_learns_the_digits(digits):
    X, y, x_test, y_test = digits
    X, y = X[:1000], y[:1000]
    np.random.seed(0)
    model = Model()
    model.add(DenseLayer(784, 128))
    model.add(Activation_ReLU())
    model.add(DenseLayer(128, 64))
    model.add(Activation_ReLU())
    model.add(DenseLayer(64, 10))
    model.add(Activation_Softmax())
    model.loss = Loss_CategoricalCrossentropy()
    optimizer = Optimizer_SGD(learning_rate=0.1)
    losses = []
    for _epoch in range(150):
        output = model.forward(X)
        losses.append(model.loss.calculate(output, y))
        model.backward(output, y)
        for layer in model.layers:
            optimizer.update_params(layer)
    assert losses[-1] < losses[0] / 4
    assert model.accuracy(X, y) >= 0.9
    assert np.mean(model.predict(x_test) == y_test) >= 0.8
    more = model.train(X, one_hot(y, 10), epochs=5, optimizer=optimizer)
    assert more[-1] < 0.3
    assert model.accuracy(x_test, one_hot(y_test, 10)) == model.accuracy(x_test, y_test) > 0.85


def test_layers_can_be_called_one_by_one():
    dense, relu, last, softmax = (
        DenseLayer(5, 16, seed=0),
        Activation_ReLU(),
        DenseLayer(16, 3, seed=1),
        Activation_Softmax(),
    )
    loss, optimizer = Loss_CategoricalCrossentropy(), Optimizer_SGD(0.5)
    values, labels = [], X[:, :3].argmax(axis=1)
    for _ in range(200):
        dense.forward(X)
        relu.forward(dense.output)
        last.forward(relu.output)
        softmax.forward(last.output)
        values.append(loss.forward(softmax.output, labels))
        loss.backward(softmax.output, labels)
        softmax.backward(loss.dinputs)
        last.backward(softmax.dinputs)
        relu.backward(last.dinputs)
        dense.backward(relu.dinputs)
        optimizer.pre_update_params()
        optimizer.update_params(dense)
        optimizer.update_params(relu)
        optimizer.update_params(last)
        optimizer.post_update_params()
    assert values[-1] < 0.1 * values[0]
    assert optimizer.iterations == 200


def test_a_model_or_its_layers_are_updated_alike_and_the_start_stays():
    one, two = deep(), deep()
    start = one.layers[0].weights
    kept, loss = start.copy(), Loss_CategoricalCrossentropy()
    for model in (one, two):
        model.backward(loss.backward(model.forward(X), Y))
    Optimizer_SGD(0.1).update_params(one)
    for layer in two.layers:
        Optimizer_SGD(0.1).update_params(layer)
    np.testing.assert_array_equal(one.layers[0].weights, two.layers[0].weights)
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_allclose(one.layers[0].weights, kept - 0.1 * one.layers[0].dweights)


def test_the_learning_rate_decays():
    optimizer, model = Optimizer_SGD(0.4, decay=0.5), Model([])
    rates = []
    for _ in range(3):
        rates.append(optimizer.current_learning_rate)
        optimizer.update_params(model)
    assert rates == pytest.approx([0.4, 0.4 / 1.5, 0.2])


def test_one_output_answers_yes_or_no():
    x = RNG.standard_normal((80, 2))
    y = (x.sum(1, keepdims=True) > 0).astype(int)
    model = Model([DenseLayer(2, 1, seed=0), Activation_Sigmoid()])
    model.train(x, y, epochs=60, loss=Loss_BinaryCrossentropy(), optimizer=Optimizer_SGD(1.0))
    assert model.predict(x).shape == (80, 1)
    assert model.accuracy(x, y) > 0.95


def test_the_two_layer_network_reads_the_digits(digits):
    x_train, y_train, x_test, y_test = digits
    pixels = np.round(255 * np.concatenate([x_train, x_test])[:20_000]).astype(np.uint8)
    labels = np.concatenate([y_train, y_test])[:20_000]
    x, y, x_new, y_new = prepare(pixels.reshape(-1, 28, 28), labels)
    assert len(x_new) == round(len(pixels) * 0.2) and x.max() == 1 and x.shape[1] == 784
    network = NeuralNetwork(hidden_size=10, seed=0)
    assert np.abs(network.W1).max() <= 0.5 and np.abs(network.W1).max() > 0.49
    history = network.train(x.T, y, epochs=10 if len(x) > 5000 else 60)
    assert history[-1] < history[0]
    assert network.accuracy(x_new.T, y_new) >= 0.85
    assert network.predict(x_new.T).shape == y_new.shape


def test_training_is_reproducible_and_takes_all_examples_at_once_too():
    histories = [NeuralNetwork(5, 4, 3, seed=1).train(X.T, Y, 3, batch_size=None) for _ in "ab"]
    assert histories[0] == histories[1] and len(histories[0]) == 3
    assert deep().train(X, Y, 3, 2, seed=4) == deep().train(X, Y, 3, 2, seed=4)


# ---- mistakes ----


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: DenseLayer(4, 2).forward(np.zeros(4)), r"x.reshape\(1, -1\)"),
        (lambda: DenseLayer(784, 2).forward(np.zeros((3, 28, 28))), r"x.reshape\(len\(x\), -1\)"),
        (lambda: DenseLayer(4, 2).forward(np.zeros((3, 5))), r"\(n, 4\), given \(3, 5\)"),
        (lambda: Loss_CategoricalCrossentropy().forward(np.ones((2, 3)), [[0], [1]]), "y.ravel"),
        (lambda: Loss_CategoricalCrossentropy().forward(np.ones((2, 3)), [0, 3]), "position 1"),
        (lambda: Loss_CategoricalCrossentropy().forward(np.ones((2, 3)), [0, 1, 1]), "given"),
        (lambda: Loss_CategoricalCrossentropy().forward(np.ones((1, 2)), [[2.0, 1]]), "up to 1"),
        (lambda: Loss_CategoricalCrossentropy().forward(np.ones(2), [0, 1]), "classes"),
        (lambda: Loss_BinaryCrossentropy().forward(np.ones((3, 1)), np.ones(3)), "broadcast"),
        (lambda: Loss_BinaryCrossentropy().backward(np.ones(3), np.ones((3, 1))), "broadcast"),
        (lambda: Loss_BinaryCrossentropy().forward(np.ones(3), np.ones(4)), "given"),
        (lambda: Model([DenseLayer(4, 3), DenseLayer(4, 2)]), "do not meet"),
        (lambda: Model([DenseLayer(2, 1)]).train(np.ones((3, 2)), np.ones(2)), "3 and 2"),
        (lambda: deep().train(X, Y, batch_size=-1), "at least one"),
        (lambda: deep().accuracy(X, Y[:, None]), r"y.reshape\(7,\)"),
        (lambda: Optimizer_SGD(-0.1), "above 0"),
        (lambda: NeuralNetwork().forward_propagation(np.zeros((64, 2))), r"\(784, m\)"),
        (lambda: NeuralNetwork().forward_propagation(np.zeros((2, 784))), r"x\.T"),
        (lambda: NeuralNetwork().forward_propagation(np.zeros(784)), r"x.reshape\(-1, 1\)"),
        (lambda: NeuralNetwork().forward_propagation(np.zeros((2, 28, 28))), r"\(x\), -1\)\.T"),
        (lambda: NeuralNetwork(5, 4, 3).train(X.T, Y[:, None]), r"\(7, 1\)"),
        (lambda: prepare(np.zeros((3, 4)), np.zeros((3, 1))), r"\(3, 1\)"),
    ],
)
def test_mistakes_are_named(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


def test_backward_before_forward_and_update_before_backward_are_named():
    with pytest.raises(RuntimeError, match="forward first"):
        DenseLayer(2, 2).backward(np.ones((1, 2)))
    with pytest.raises(RuntimeError, match="backward first"):
        Optimizer_SGD().update_params(DenseLayer(2, 2))
    layer = Activation_ReLU()
    layer.forward(X)
    with pytest.raises(ValueError, match="gradient of its output"):
        layer.backward(X.T)


def test_the_package_imports_numpy_alone():
    allowed = {"__future__", "collections", "itertools", "lessons", "numpy", "typing"}
    for path in Path(by_hand.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [part.name for part in node.names]
                if isinstance(node, ast.Import)
                else ([node.module] if isinstance(node, ast.ImportFrom) else [])
            )
            for name in names:
                inside = name.split(".")
                assert inside[0] in allowed and (inside[0] != "lessons" or inside[1] == "by_hand")
