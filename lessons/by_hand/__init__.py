"""Networks by hand, in NumPy alone: lesson 2 explains every line.

Two forms of the same mathematics. :class:`TwoLayerNetwork` is one class with W1, b1, W2, b2. The
rest are layers as objects: each has `forward`, which keeps `output`, and `backward`, which leaves
`dinputs` (and `dweights`, `dbiases`, if there are weights).

    model = Model()
    model.add(DenseLayer(784, 128)); model.add(Activation_ReLU())
    model.add(DenseLayer(128, 64)); model.add(Activation_ReLU())
    model.add(DenseLayer(64, 10)); model.add(Activation_Softmax())
    loss_function, optimizer = Loss_CategoricalCrossentropy(), Optimizer_SGD(learning_rate=0.1)

    for epoch in range(100):
        output = model.forward(X)
        loss = loss_function.calculate(output, y)
        loss_function.backward(output, y)
        model.backward(loss_function.dinputs)
        for layer in model.layers:
            optimizer.update_params(layer)
"""

from lessons.by_hand.activations import Activation_ReLU, Activation_Sigmoid, Activation_Softmax
from lessons.by_hand.batch_norm import BatchNormalization
from lessons.by_hand.checks import one_hot
from lessons.by_hand.convolution import Convolution
from lessons.by_hand.layers import DenseLayer
from lessons.by_hand.losses import (
    Activation_Sigmoid_Loss_BinaryCrossentropy,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    Loss,
    Loss_BinaryCrossentropy,
    Loss_CategoricalCrossentropy,
)
from lessons.by_hand.model import Model, batches
from lessons.by_hand.optimizers import Optimizer_SGD
from lessons.by_hand.two_layer import TwoLayerNetwork, prepare

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
    "Optimizer_SGD",
    "TwoLayerNetwork",
    "batches",
    "one_hot",
    "prepare",
]
