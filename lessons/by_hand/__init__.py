"""Networks by hand, in NumPy alone: lesson 2 explains every line.

Two forms of the same mathematics. :class:`NeuralNetwork` is one class with W1, B1, W2, B2, in
which each column is an example. The rest are layers as objects, in which each row is an example:
each layer has `forward`, which keeps `output`, and `backward`, which leaves `dinputs` (and
`dweights`, `dbiases`, if there are weights).

    model = Model()
    model.add(DenseLayer(784, 128)); model.add(Activation_ReLU())
    model.add(DenseLayer(128, 64)); model.add(Activation_ReLU())
    model.add(DenseLayer(64, 10)); model.add(Activation_Softmax())
    model.loss, optimizer = Loss_CategoricalCrossentropy(), Optimizer_SGD(learning_rate=0.1)

    for epoch in range(100):
        output = model.forward(X)
        loss = model.loss.calculate(output, y)
        model.backward(output, y)
        for layer in model.layers:
            optimizer.update_params(layer)
"""

from lessons.by_hand.batch_norm import BatchNormalization
from lessons.by_hand.checks import one_hot
from lessons.by_hand.convolution import Convolution
from lessons.by_hand.layer.connect_layers import DenseLayer
from lessons.by_hand.losses.loss import (
    Activation_Sigmoid_Loss_BinaryCrossentropy,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    Loss,
    Loss_BinaryCrossentropy,
    Loss_CategoricalCrossentropy,
)
from lessons.by_hand.model.main_model import Model, Optimizer_SGD, batches
from lessons.by_hand.multi_activation.activation import (
    Activation_ReLU,
    Activation_Sigmoid,
    Activation_Softmax,
)
from lessons.by_hand.two_layer import NeuralNetwork, prepare

__all__ = [
    "Activation_ReLU",
    "Activation_Sigmoid",
    "Activation_Sigmoid_Loss_BinaryCrossentropy",
    "Activation_Softmax",
    "Activation_Softmax_Loss_CategoricalCrossentropy",
    "BatchNormalization",
    "Convolution",
    "DenseLayer",
    "Loss",
    "Loss_BinaryCrossentropy",
    "Loss_CategoricalCrossentropy",
    "Model",
    "NeuralNetwork",
    "Optimizer_SGD",
    "batches",
    "one_hot",
    "prepare",
]
