# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. A network by hand
#
# One neuron draws one straight border through its inputs. This lesson puts neurons side by side and
# in layers, and writes all that is needed to train them in NumPy: first one network with every
# gradient on its own line, then layers as objects that can be put together at will. It ends with a
# 784-128-64-10 network that reads handwritten digits, and with the package `lessons.by_hand`.

# %%
import prelude

prelude.begin()

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import material, pictures
from lessons.by_hand import (
    Activation_ReLU,
    Activation_Sigmoid,
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

# %% [markdown]
# ## Layers
#
# A network has an **input layer**, which only holds the numbers of the example; one or more
# **hidden layers**, whose neurons look at the layer before; and an **output layer**, here with one
# neuron for each digit. In a *dense* layer each neuron is connected to all values before it, and
# each connection has a weight.

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(6.4, 2.9))
pictures.network(ax, [
    ("input\n784 pixels", (-3, -2, -1, 1, 2, 3), material.SKY),
    ("hidden\n$h$ neurons, ReLU", (-2, -1, 1, 2), material.ORANGE),
    ("output\n10 neurons, softmax", (-2.5, -1.5, 1.5, 2.5), material.GREEN),
])
ax.text(0.5, -3.5, "$W_1, B_1$", ha="center")
ax.text(1.5, -3.5, "$W_2, B_2$", ha="center")
material.show(
    "A network as three columns of circles: 784 pixels, h hidden neurons with ReLU, 10 output "
    "neurons with softmax. Lines connect each circle with all of the next column."
)

# %% [markdown]
# Between two layers there must be a function that is not a straight line. Otherwise
# $W_2(W_1X) = (W_2W_1)X$, and all layers together are worth one. The simplest is **ReLU**,
# $\max(0, z)$: pass what is positive, stop what is negative.
#
# Learning is five steps, again and again:
#
# 1. **Forward**: from the inputs, layer after layer, to the outputs.
# 2. **Loss**: how wrong are they? One number.
# 3. **Backward**: from the loss, layer after layer, to the gradient of each weight.
# 4. **Update**: each weight takes a small step against its gradient.
# 5. **Repeat**.
#
# ## The data
#
# Image files hold whole numbers from 0 to 255. Divided by 255 they lie in $[0, 1]$, a size that
# suits the weights to come. The images are shuffled; 80 % are for training, 20 % are set aside.

# %%
images = material.handwritten()
pixels = np.round(255 * np.concatenate([images[0], images[2]])).astype(np.uint8)
labels = np.concatenate([images[1], images[3]])

x_train, y_train, x_test, y_test = prepare(pixels, labels, test_size=0.2, seed=0)
print(material.source(), "training", x_train.shape, y_train.shape, " test", x_test.shape)
assert len(x_test) == round(0.2 * len(pixels))
assert x_train.min() == 0 and x_train.max() == 1

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 10, figsize=(8, 1.1))
for ax, image, label in zip(axes, x_train, y_train, strict=False):
    material.picture(ax, image, str(label))
material.show("Ten handwritten digits in a row, each with its label.")

# %% [markdown]
# ## First form: one network, all formulas in sight
#
# ### Forward
#
# As in most derivations on paper, $m$ images are the *columns* of $X$. The hidden layer has $h$
# neurons, and row $j$ of $W_1$ holds the weights of neuron $j$. All weights and biases start as
# random numbers, uniform in $[-0.5, 0.5]$.
#
# $$\underset{(h,m)}{Z_1} = \underset{(h,784)}{W_1}\,\underset{(784,m)}{X} + \underset{(h,1)}{B_1},
# \quad A_1 = \max(0, Z_1), \quad
# \underset{(10,m)}{Z_2} = \underset{(10,h)}{W_2}\,A_1 + \underset{(10,1)}{B_2}, \quad
# A_2 = \mathrm{softmax}(Z_2).$$
#
# The ten numbers of a column of $Z_2$ are **scores**. **Softmax** turns them into probabilities,
# positive and with the sum 1:
#
# $$a_i = \frac{e^{z_i}}{\sum_j e^{z_j}}.$$
#
# Adding one constant to all scores of an image changes nothing, so we subtract the largest: no
# power can overflow.

# %%
rng = np.random.default_rng(0)
h, m = 10, 100
X, Y = x_train[:m].T.astype(np.float64), y_train[:m]
W1, B1 = rng.uniform(-0.5, 0.5, (h, 784)), rng.uniform(-0.5, 0.5, (h, 1))
W2, B2 = rng.uniform(-0.5, 0.5, (10, h)), rng.uniform(-0.5, 0.5, (10, 1))


def softmax(Z):
    powers = np.exp(Z - Z.max(axis=0, keepdims=True))
    return powers / powers.sum(axis=0, keepdims=True)


def forward(W1, B1, W2, B2):
    Z1 = W1 @ X + B1
    A1 = np.maximum(0, Z1)
    Z2 = W2 @ A1 + B2
    return Z1, A1, softmax(Z2)


Z1, A1, A2 = forward(W1, B1, W2, B2)
print("X", X.shape, " Z1", Z1.shape, " A1", A1.shape, " A2", A2.shape)
print("first image: label", Y[0], " probabilities", A2[:, 0].round(3))
assert np.allclose(A2.sum(axis=0), 1)

# %% [markdown]
# ### Loss
#
# **Cross-entropy** asks how probable the network found what is true. With the label of image $i$
# called $y_i$,
#
# $$L = -\frac{1}{m}\sum_{i=1}^{m} \ln a_{y_i,\,i}.$$
#
# Written with **one-hot** labels, columns of zeros with a single one, it is
# $-\frac{1}{m}\sum_i\sum_k y_{ki}\ln a_{ki}$: the same number, since all other terms are 0.


# %%
def cross_entropy(A2):
    return -np.log(A2[Y, np.arange(m)]).mean()


one_hot_Y = one_hot(Y, 10).T
loss = -np.mean(np.sum(one_hot_Y * np.log(A2), axis=0))
print("label", Y[0], " one-hot", one_hot_Y[:, 0])
print(f"loss {cross_entropy(A2):.4f}, with one-hot labels {loss:.4f}")
assert np.isclose(cross_entropy(A2), loss)

# %% [markdown]
# ### Backward
#
# We go from the loss to the weights, one formula of the forward pass at a time. Write $dM$ for
# $\partial L / \partial M$; it has the shape of $M$.
#
# *Scores.* Softmax and cross-entropy together have a derivative as simple as that of the single
# neuron: probability minus truth. (Why, we shall see below.)
#
# $$dZ_2 = \frac{1}{m}(A_2 - Y).$$
#
# *Second layer.* In $Z_2 = W_2A_1 + B_2$, the weight $w_{kj}$ has an effect on score $k$ of each
# image, $a_{ji}$ times as large as its own change. Collect over the images:
#
# $$dW_2 = dZ_2\, A_1^\top, \qquad dB_2 = \sum_i (dZ_2)_i, \qquad dA_1 = W_2^\top\, dZ_2.$$
#
# *ReLU* lets a change pass where it let the value pass:
#
# $$dZ_1 = dA_1 \odot [Z_1 > 0].$$
#
# *First layer.* The same as the second:
#
# $$dW_1 = dZ_1\, X^\top, \qquad dB_1 = \sum_i (dZ_1)_i.$$


# %%
def backward(Z1, A1, A2):
    dZ2 = (A2 - one_hot_Y) / m
    dW2, dB2 = dZ2 @ A1.T, dZ2.sum(axis=1, keepdims=True)
    dZ1 = W2.T @ dZ2 * (Z1 > 0)
    dW1, dB1 = dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True)
    return dW1, dB1, dW2, dB2


parameters = {"W1": W1, "B1": B1, "W2": W2, "B2": B2}
gradients = dict(zip(parameters, backward(Z1, A1, A2), strict=True))
for name, value in parameters.items():
    print(name, value.shape, "  gradient", gradients[name].shape)
    assert gradients[name].shape == value.shape

# %% [markdown]
# Is it right? The derivative is the limit of a difference quotient, so we compare with one, for
# twenty weights of each matrix. (A pixel that is black in all images has weights with gradient 0;
# we take the largest gradients.)

# %%
step, worst = 1e-5, 0.0
for name, value in parameters.items():
    for place in np.argsort(-np.abs(gradients[name]), axis=None)[:20]:
        losses = []
        for sign in (+1, -1):
            changed = value.copy()
            changed.flat[place] += sign * step
            losses.append(cross_entropy(forward(**(parameters | {name: changed}))[2]))
        quotient = (losses[0] - losses[1]) / (2 * step)
        worst = max(worst, abs(quotient - gradients[name].flat[place]))
print(f"largest difference: {worst:.1e}")
assert worst < 1e-6

# %% [markdown]
# ### Update, repeat
#
# `NeuralNetwork` in `lessons/by_hand/two_layer.py` is these cells as one class:
# `forward_propagation`, `backward_propagation`, `update_parameters`, and `train`, which repeats
# them. It gives the same gradients:

# %%
network = NeuralNetwork(input_size=784, hidden_size=h, output_size=10)
network.W1, network.B1, network.W2, network.B2 = W1, B1, W2, B2
network.forward_propagation(X)
same = zip(network.backward_propagation(X, Y), gradients.values(), strict=True)
assert all(np.allclose(one, other, atol=1e-15) for one, other in same)
assert np.isclose(network.loss(Y), loss)

# %% [markdown]
# Now it learns. It sees the images in portions of 64, shuffled anew each time; an **epoch** is once
# through all of them. Lesson 3 compares this with other ways.
#
# **Predict, then run.** The weights begin as random numbers. Which share of the images does such a
# network get right? And after a few epochs, with ten hidden neurons?

# %%
network = NeuralNetwork(hidden_size=10, seed=0)
W1_start = network.W1
print(f"before: accuracy on the test part {network.accuracy(x_test.T, y_test):.3f}")
epochs = 4 if material.source() == "MNIST" else 80
history = network.train(x_train.T, y_train, epochs=epochs, learning_rate=0.1)
score = network.accuracy(x_test.T, y_test)
print(f"after:  accuracy on the test part {score:.3f}, loss {history[0]:.3f} → {history[-1]:.3f}")
assert score >= 0.85
assert history[-1] < history[0]

# %% [markdown]
# Ten hidden neurons are few, and yet the network reads most digits. Above: some that it got wrong,
# with what it answered. Below: what training added to the weights of the ten hidden neurons, as
# pictures. Ink on a blue pixel speaks for the neuron, on a red one against it.

# %%
answers_given = network.predict(x_test.T)
mistakes = np.flatnonzero(answers_given != y_test)[:10]
learned = network.W1 - W1_start

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(2, 10, figsize=(8, 2.2))
for ax, place in zip(axes[0], mistakes, strict=False):
    material.picture(ax, x_test[place], f"{y_test[place]}, not {answers_given[place]}")
    ax.title.set_fontsize(8)
limit = 0.7 * np.abs(learned).max()
for ax, row in zip(axes[1], learned, strict=True):
    material.picture(ax, row, cmap="RdBu", vmin=-limit, vmax=limit)
material.show(
    "Above: ten digits that the network got wrong, with the right and the given answer. Below: "
    "what training added to the weights of the ten hidden neurons, as pictures in blue and red, "
    "with rough strokes in them."
)

# %% [markdown]
# ## Second form: layers as objects
#
# The class above is finished: a third layer means new formulas. But look at the backward pass
# again. Every part needs only two things: what it saw on the way forward, and **the gradient of its
# output**. From these it computes the gradient of its own weights, and **the gradient of its
# input**, which is the gradient of the output of the part before. So each part can be an object:
#
# | | keeps or leaves | dense layer | activation |
# |---|---|---|---|
# | `forward(inputs)` | `inputs`, `output` | $XW + b$ | $g(Z)$ |
# | `backward(dvalues)` | `dinputs` | $dZ\,W^\top$ | see below |
# | | `dweights`, `dbiases` | $X^\top dZ$, $\sum_i dZ_i$ | – |
#
# Here each example is a *row*, as in the files that hold data and in most frameworks. All matrices
# are transposed, and with them the order of the products: $(WX)^\top = X^\top W^\top$. So $W$ has
# the shape (inputs, neurons), and $b$ is a row.
#
# A `Model` calls `forward` from the first to the last and `backward` from the last to the first.
# That is all of backpropagation (Rumelhart, Hinton and Williams, 1986). It gives the network above
# the same gradients, transposed:

# %%
model = Model([DenseLayer(784, h), Activation_ReLU(), DenseLayer(h, 10), Activation_Softmax()])
hidden, _, last, _ = model.layers
hidden.weights, hidden.biases, last.weights, last.biases = W1.T, B1.T, W2.T, B2.T
model.loss = Loss_CategoricalCrossentropy()

output = model.forward(X.T)
print(f"output {output.shape}, loss {model.loss.calculate(output, Y):.4f}")
model.backward(output, Y)  # from the gradient of the loss back to that of the inputs
print("dweights", hidden.dweights.shape, " dbiases", hidden.dbiases.shape, " dinputs",
      hidden.dinputs.shape)
rows = hidden.dweights, hidden.dbiases, last.dweights, last.dbiases
same = zip(rows, gradients.values(), strict=True)
assert all(np.allclose(row.T, column, atol=1e-15) for row, column in same)

# %% [markdown]
# ### True derivatives
#
# **Sigmoid**, for yes or no: $a = \sigma(z)$ and $\partial a/\partial z = a(1-a)$, for each number
# by itself, so `backward` multiplies: $dz = da \cdot a(1-a)$.
#
# **Predict, then run.** The scores of an image go through softmax, and one of the ten is raised a
# little. How many of the ten probabilities change, and in which direction?
#
# **Softmax** is another matter than sigmoid. Raise one score, and *all ten* probabilities of that
# image change: one goes up, and the others must go down. The derivative of one image is a matrix,
# the **Jacobian**
#
# $$J_{ij} = \frac{\partial a_i}{\partial z_j} = a_i(\delta_{ij} - a_j),$$
#
# with $\delta_{ij} = 1$ where $i = j$, else 0. The chain rule multiplies the gradient $g = da$ with
# it:
#
# $$dz_j = \sum_i g_i J_{ij} = a_j \Bigl(g_j - \sum_i g_i a_i\Bigr).$$
#
# On the right the matrix is gone: `backward` needs no more than a product and a sum for each row.

# %%
scores = np.array([[2.0, 1.0, 0.5, 0.0, -1.0, -1.0, -2.0, 0.0, 1.5, 0.2]])
activation = Activation_Softmax()
probabilities = activation.forward(scores)
jacobian = activation.jacobian()[0]
assert np.allclose(jacobian.sum(axis=0), 0)  # what one wins, the others lose

g = rng.standard_normal((1, 10))
assert np.allclose(activation.backward(g)[0], g[0] @ jacobian, atol=1e-15)

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.9))
axes[0].bar(range(10), probabilities[0])
axes[0].set(xlabel="class $i$", ylabel="probability $a_i$", xticks=range(10), title="probabilities")
limit = np.abs(jacobian).max()
image = axes[1].imshow(jacobian, cmap="RdBu", vmin=-limit, vmax=limit)
axes[1].set(xlabel="score $j$ that is raised", ylabel="probability $i$", title="Jacobian $J_{ij}$",
            xticks=range(10), yticks=range(0, 10, 2))
axes[1].grid(False)
fig.colorbar(image, ax=axes[1], label="$J_{ij}$")
material.show(
    "Left: the ten probabilities of the example as bars, the largest is 0.36 for class 0. Right: "
    "the Jacobian as a table of colours, positive on the diagonal and negative elsewhere."
)

# %% [markdown]
# ### The shortcut, explained
#
# **Cross-entropy** after softmax: $L = -\sum_i y_i \ln a_i$, so
# $g_i = \partial L/\partial a_i = -y_i / a_i$. Put that into the formula above:
#
# $$dz_j = a_j\Bigl(-\frac{y_j}{a_j} + \sum_i \frac{y_i}{a_i} a_i\Bigr)
# = -y_j + a_j\sum_i y_i = a_j - y_j.$$
#
# The division and the multiplication by $a$ cancel, and the labels add up to 1. This is where the
# $A_2 - Y$ of the first form came from. Two true derivatives one after the other, or the merged
# one: the numbers are the same.

# %%
Z2 = 2 * rng.standard_normal((m, 10))
separate, loss = Activation_Softmax(), Loss_CategoricalCrossentropy()
merged = Activation_Softmax_Loss_CategoricalCrossentropy()

value = loss.calculate(separate.forward(Z2), Y)
separate.backward(loss.backward(separate.output, Y))
merged_value = merged.calculate(Z2, Y)
merged.backward(Z2, Y)
difference = np.abs(separate.dinputs - merged.dinputs).max()
print(f"loss {value:.6f} and {merged_value:.6f}, largest difference of gradients {difference:.0e}")
assert np.isclose(value, merged_value)
assert np.allclose(separate.dinputs, merged.dinputs, atol=1e-12)

# %% [markdown]
# So why have both? They differ at the end of the number range. Here a network is quite sure of
# class 0, with score 1000, and the truth is class 1.
#
# **Predict, then run.** The gradient by the scores is $a - y$. What is it here, on paper, and what
# will the two ways compute?

# %%
extreme, truth = np.array([[1000.0, 0.0, -1000.0]]), np.array([1])
value = loss.calculate(separate.forward(extreme), truth)
separate.backward(loss.backward(separate.output, truth))
merged_value = merged.calculate(extreme, truth)
print(f"separate: loss {value:6.1f}   gradient", separate.dinputs + 0)  # + 0: no −0
print(f"merged:   loss {merged_value:6.1f}   gradient", merged.backward(extreme, truth))
assert merged.calculate(extreme, truth) == 1000 and merged.dinputs.tolist() == [[1, -1, 0]]
assert not separate.dinputs.any()

# %% [markdown]
# The probability of the truth, $e^{-1000}$, is 0 in floating point: two separate steps see a 0 and
# pass nothing back, so the network does not learn from its worst mistake. The merged step works on
# the scores. It gives the true loss, 1000, and the true gradient.
#
# Labels may be integers or one-hot rows; the loss is the same. And a column of labels $(n, 1)$, the
# trap of lesson 1, is refused, by the loss for classes as by that for yes or no:

# %%
p = separate.forward(Z2)
assert loss.calculate(p, Y) == loss.calculate(p, one_hot(Y, 10))

question = Activation_Sigmoid().forward(Z2[:, :1])  # (n, 1)
for attempt in (
    lambda: loss.calculate(p, Y.reshape(-1, 1)),
    lambda: Loss_BinaryCrossentropy().calculate(question, Y == 3),
):
    try:
        attempt()
    except ValueError as error:
        print(error)
    else:
        raise AssertionError("labels of a wrong shape were taken")

# %% [markdown]
# ### The quick start: 784-128-64-10
#
# Three layers are now as easy as two. The model has a loss, and the loop is the five steps, one a
# line; it takes all its images at once.

# %%
np.random.seed(0)
X, y = x_train[:1000], y_train[:1000]

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
for _ in range(60):
    output = model.forward(X)
    losses.append(model.loss.calculate(output, y))
    model.backward(output, y)
    for layer in model.layers:
        if hasattr(layer, "weights"):
            optimizer.update_params(layer)

quick = model.accuracy(x_test, y_test)
print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}, accuracy on the test part {quick:.3f}")
assert losses[-1] < losses[0] / 2

# %% [markdown]
# `model.train` does the same in mini-batches. The same network, now with more images:

# %%
epochs = 3 if material.source() == "MNIST" else 20
X, y = x_train[:20_000], y_train[:20_000]
curve = model.train(X, y, epochs=epochs, batch_size=32, optimizer=optimizer)
final = model.accuracy(x_test, y_test)
print("loss", np.round(curve, 3), f" accuracy on the test part {final:.3f}")
assert final >= 0.9 and final > quick

correct = model.predict(x_test) == y_test
chosen = [*np.flatnonzero(~correct)[:2], *np.flatnonzero(correct)[:2]]

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(2, 4, figsize=(8, 3.2), height_ratios=(1.2, 1))
for (upper, lower), place in zip(axes.T, chosen, strict=True):
    material.picture(upper, x_test[place], f"truth: {y_test[place]}")
    p = model.forward(x_test[place : place + 1])[0]
    lower.bar(range(10), p, color=[material.GREEN if k == y_test[place] else material.RED
                                   for k in range(10)])
    lower.set(ylim=(0, 1), xticks=range(0, 10, 3), xlabel="digit", ylabel="probability")
material.show(
    "Four digits, two of them mistakes, above the probabilities that the network gives to each "
    "digit. In the two mistakes another digit has the largest bar."
)

# %% [markdown]
# Two mistakes and two right answers, with the probability that the network gives to each digit
# (green: the right one).

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 2 --answers`.
#
# **1. Tanh.** Write `Activation_Tanh` with `forward` and `backward`, as a layer like
# `Activation_ReLU`. Then put it in place of ReLU in the quick start.

# %%
from lessons.exercises.lesson_02 import check


class Activation_Tanh:
    def forward(self, inputs):
        ...

    def backward(self, dvalues):
        ...


check(1, Activation_Tanh)

# %% [markdown]
# **2. Mean squared error.** Write a loss for outputs and targets $(n, k)$: the mean over all of
# $(\hat y - y)^2$. `losses` gives the loss of each example, $(n,)$; the base class takes the mean.

# %%
from lessons.by_hand import Loss


class Loss_MeanSquaredError(Loss):
    def losses(self, output, y):
        ...

    def backward(self, output, y):
        ...


check(2, Loss_MeanSquaredError)

# %% [markdown]
# **3. Counting.** How many numbers does a dense network of given layer sizes learn?
# `n_parameters(784, 128, 64, 10)` is the answer for the quick start.


# %%
def n_parameters(*sizes):
    ...


check(3, n_parameters)

# %% [markdown]
# **4. Which for which?.** Compute the matrix whose entry $(i, j)$ counts the images of digit $i$
# taken for digit $j$. Then look at that of the network above: which digits does it take for each
# other?


# %%
def confusion_matrix(y, predicted):
    """A (10, 10) array of counts."""
    ...


check(4, confusion_matrix)

# %% [markdown]
# **5. Why random?.** Train a network of 8 hidden neurons, `NeuralNetwork(x.shape[1], 8, 10,
# seed=0)`, for 5 epochs at rate 0.1. With `start`, all of its weights and biases begin at that
# number instead. How many different rows has `W1` after that, and why?


# %%
def different_neurons(x, y, start=None):
    """How many different rows; x holds one image a row."""
    ...


check(5, different_neurons)
