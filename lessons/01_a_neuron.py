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
# # 1. A neuron
#
# A nerve cell adds up what reaches it and answers when the sum is large enough. This lesson turns
# that sentence into a formula, and the formula into ten lines of NumPy that learn to tell malignant
# tumours from benign ones. It ends with a mistake that almost everybody makes once, which NumPy
# answers with a wrong number and Chainrule with an error.

# %%
import prelude

prelude.begin()

# %%
import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import data
from chainrule.nn import functional as F
from lessons import material, pictures

# %% [markdown]
# ## From the cell to the formula
#
# Signals arrive at a nerve cell through its **dendrites**. Each contact, a synapse, passes its
# signal on strongly or weakly, and it may also inhibit. The cell body gathers all of them. When
# their sum exceeds a **threshold**, the cell fires: a pulse runs along the **axon** to other cells.
#
# McCulloch and Pitts (1943) kept three things of this: inputs, a sum, a threshold. The strength of
# a synapse became a number, the **weight**; Rosenblatt (1958) let a machine learn it.

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 2, figsize=(8.6, 2.9))
for ax, draw in zip(axes, (pictures.nerve_cell, pictures.neuron), strict=True):
    draw(ax)
    ax.set(xlim=(-3.5, 3.5), ylim=(-1.95, 1.95), aspect="equal")
    ax.axis("off")
material.show(
    "On the left a nerve cell: three dendrites of different thickness lead to the cell body, an "
    "axon leads away. On the right the neuron as a formula: inputs x1, x2, x3 with weights, a "
    "sum with the bias b, and the output a = g(z)."
)

# %% [markdown]
# A neuron in mathematics is therefore two steps: a weighted sum, then a function $g$, its
# **activation**:
#
# $$z = \sum_i x_i w_i + b, \qquad a = g(z).$$
#
# The **bias** $b$ is the threshold with its sign turned: "the sum exceeds $\theta$" is the same as
# "the sum plus $b$ exceeds 0", with $b = -\theta$. With the step function as $g$, a neuron can
# decide whether at least two of three inputs are on:

# %%
w, b = np.array([1.0, 1.0, 1.0]), -1.5
for x in ([0, 0, 1], [0, 1, 1], [1, 1, 1]):
    z = np.array(x) @ w + b
    print(x, " z =", z, " a =", int(z >= 0))

# %% [markdown]
# These weights we chose. To *learn* weights we need to know which small change of $w$ makes the
# answer a little better. A step does not say: it is flat everywhere and jumps once. The **sigmoid**
# is a soft step. It has a slope everywhere, and its value can be read as a probability:
#
# $$\sigma(z) = \frac{1}{1 + e^{-z}}, \qquad \sigma'(z) = \sigma(z)\,\bigl(1 - \sigma(z)\bigr).$$


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


z, h = np.linspace(-6, 6, 241), 1e-6
slope = (sigmoid(z + h) - sigmoid(z - h)) / (2 * h)
assert np.allclose(slope, sigmoid(z) * (1 - sigmoid(z)), atol=1e-9)

# %% jupyter={"source_hidden": true}
plt.figure(figsize=(5.2, 2.6))
plt.plot(z, z >= 0, label="step", color="gray", drawstyle="steps")
plt.plot(z, sigmoid(z), label=r"$\sigma(z)$")
plt.plot(z, sigmoid(z) * (1 - sigmoid(z)), label=r"slope $\sigma'(z)$", ls="--")
plt.xlabel("$z$")
plt.ylabel("value")
plt.legend()
material.show(
    "The step function jumps from 0 to 1 at z = 0. The sigmoid climbs smoothly from 0 to 1; its "
    "slope is a bell with the height 0.25 at z = 0."
)

# %% [markdown]
# ## A table to learn from
#
# The Wisconsin table (Wolberg and others, 1993) describes 569 tumours by 30 measurements of the
# cell nuclei seen under a microscope. The label says what the tumour was: 0 malignant, 1 benign. A
# fifth of the table is set aside. The neuron never learns from that **test part**, so it can tell
# us how the neuron does on tumours it has not seen.

# %%
train, test = data.breast_cancer(targets="column")
raw_train, y_train = (part.astype(np.float64) for part in train.arrays)  # as measured
raw_test, y_test = (part.astype(np.float64) for part in test.arrays)
print("inputs", raw_train.shape, "labels", y_train.shape, "test", raw_test.shape)
for name, column in list(zip(train.feature_names, raw_train.T, strict=True))[:5]:
    print(f"{name:18s} mean {column.mean():8.2f}   deviation {column.std():8.2f}")

# %% [markdown]
# The areas are thousands of times as large as the smoothnesses, so one step of learning would be
# far too long for some weights and too short for others. **Standardizing** gives all columns one
# scale: subtract the mean, divide by the standard deviation. Both come from the *training part
# only*. Had we used the test part too, something about it would have leaked into the training.

# %%
mean, deviation = raw_train.mean(axis=0), raw_train.std(axis=0)
x_train = (raw_train - mean) / deviation
x_test = (raw_test - mean) / deviation

assert np.allclose(x_train.mean(axis=0), 0, atol=1e-4)
assert np.allclose(x_train.std(axis=0), 1, atol=1e-4)
lowest, highest = x_test.mean(axis=0).min(), x_test.mean(axis=0).max()
print(f"test part: means between {lowest:.2f} and {highest:.2f}")

# %% [markdown]
# For all $n$ tumours at once, the inputs are a matrix $X$ with one tumour a row, and the weighted
# sums a matrix product. Keep an eye on the shapes:
#
# $$\underset{(n,1)}{z} = \underset{(n,30)}{X}\;\underset{(30,1)}{w} + b, \qquad
# \underset{(n,1)}{a} = \sigma(z).$$
#
# ## How wrong is it?
#
# We read $a$ as the probability that the tumour is benign. Then the neuron gives the true label $y$
# the probability $a$ if $y = 1$, and $1 - a$ if $y = 0$. The **binary cross-entropy** is the mean
# of minus its logarithm:
#
# $$L = -\frac{1}{n} \sum_{i=1}^{n} \Bigl( y_i \ln a_i + (1 - y_i) \ln (1 - a_i) \Bigr).$$
#
# It is 0 for a neuron that is sure and right, $\ln 2 \approx 0.693$ for one that always says "one
# half", and grows without bound for one that is sure and wrong.


# %%
def forward(x, w, b):
    return sigmoid(x @ w + b)


def binary_cross_entropy(a, y):
    return -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a))


w, b = np.zeros((30, 1)), 0.0
start = binary_cross_entropy(forward(x_train, w, b), y_train)
print(f"loss of a neuron with zero weights: {start:.4f}")
assert np.isclose(start, np.log(2))

# %% [markdown]
# ## Which way is down?
#
# The **gradient** holds the derivative of $L$ by each weight. We find it with the chain rule, from
# the loss backwards: how $L$ depends on $a$, how $a$ depends on $z$, how $z$ depends on $w$ and
# $b$. For one tumour:
#
# $$\frac{\partial L}{\partial a} = -\frac{y}{a} + \frac{1 - y}{1 - a} = \frac{a - y}{a(1 - a)},
# \qquad \frac{\partial a}{\partial z} = a (1 - a),
# \qquad \frac{\partial z}{\partial w_i} = x_i, \qquad \frac{\partial z}{\partial b} = 1.$$
#
# Multiplied, $a(1 - a)$ cancels, and what is left is as simple as it could be: *the error*,
#
# $$\frac{\partial L}{\partial z} = a - y, \qquad
# \frac{\partial L}{\partial w} = \frac{1}{n} X^\top (a - y), \qquad
# \frac{\partial L}{\partial b} = \frac{1}{n} \sum_i (a_i - y_i).$$
#
# A weight's gradient has the shape of the weight: $(30, n) \cdot (n, 1) = (30, 1)$.


# %%
def gradients(x, y, a):
    error = a - y
    return x.T @ error / len(x), error.mean()


# %% [markdown]
# A gradient found on paper is checked with numbers: change one weight a little up and a little
# down, and see how much the loss changes.

# %%
rng = np.random.default_rng(0)
w, b = 0.1 * rng.standard_normal((30, 1)), 0.2
dw, db = gradients(x_train, y_train, forward(x_train, w, b))

h, numerical = 1e-5, np.zeros_like(w)
for i in range(30):
    up, down = w.copy(), w.copy()
    up[i] += h
    down[i] -= h
    above, below = (binary_cross_entropy(forward(x_train, v, b), y_train) for v in (up, down))
    numerical[i] = (above - below) / (2 * h)
print(f"largest difference: {np.abs(dw - numerical).max():.1e}")
assert np.abs(dw - numerical).max() < 1e-6

# %% [markdown]
# ## Learning
#
# **Gradient descent** repeats one step: move each weight a little against its gradient. The
# **learning rate** $\eta$ says how far:
#
# $$w \leftarrow w - \eta \frac{\partial L}{\partial w}, \qquad
# b \leftarrow b - \eta \frac{\partial L}{\partial b}.$$


# %%
def accuracy(a, y):
    assert a.shape == y.shape
    return np.mean((a > 0.5) == (y > 0.5))


def learn(steps, rate=0.5, gradients=gradients):
    w, b, history = np.zeros((30, 1)), 0.0, []
    for _ in range(steps):
        a = forward(x_train, w, b)
        dw, db = gradients(x_train, y_train, a)
        w, b = w - rate * dw, b - rate * db
        a_test = forward(x_test, w, b)
        history.append((binary_cross_entropy(a, y_train), accuracy(a_test, y_test)))
    return w, b, np.array(history)


w, b, history = learn(300)
print(f"training loss {history[0, 0]:.3f} → {history[-1, 0]:.3f}")
print(f"training accuracy {accuracy(forward(x_train, w, b), y_train):.3f}")
print(f"test accuracy     {history[-1, 1]:.3f}")
assert history[-1, 0] < 0.1
assert history[-1, 1] > 0.94

# %% [markdown]
# What has it learned? Left: the loss falls fast and then slowly. Middle: what the neuron says of
# the test tumours, by their true label; only those on the wrong side of one half are mistakes.
# Right: the largest weights. All columns have one scale, so the weights can be compared: a
# negative one speaks for malignant.

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.8), width_ratios=(1, 1.1, 0.9))
axes[0].plot(history[:, 0])
axes[0].set(xlabel="step", ylabel="training loss", ylim=0)

a, bins = forward(x_test, w, b), np.linspace(0, 1, 21)
groups = [a[y_test == label] for label in (0, 1)]
axes[1].hist(groups, bins, stacked=True, color=[material.RED, material.BLUE],
             label=["malignant", "benign"])
axes[1].axvline(0.5, 0, 0.74, color="black", lw=1, ls=":")
axes[1].set(xlabel="$a$, the probability of benign", ylabel="test tumours")
axes[1].legend(loc=(0.09, 0.76))

largest = np.argsort(-np.abs(w[:, 0]))[:8][::-1]
axes[2].barh([train.feature_names[i] for i in largest], w[largest, 0],
             color=[material.BLUE if w[i, 0] > 0 else material.RED for i in largest])
axes[2].set(xlabel="weight", xticks=[-1, -0.5, 0])
material.show(
    "Left: the training loss falls from 0.69 to below 0.1 in 300 steps. Middle: the outputs for "
    "benign test tumours pile up near 1, those for malignant ones near 0. Right: the eight "
    "largest weights, nearly all negative."
)

# %% [markdown]
# ## The trap: $(n, 1)$ against $(n,)$
#
# The labels above are a column, $(n, 1)$, like the outputs. Often they come as a plain list,
# $(n,)$. It holds the same numbers, and the code runs without complaint.
#
# **Predict, then run.** The outputs are the same, and so are the labels, but for their shape. Is
# the loss the same, too? If not, is it a little different, or very much?

# %%
y_list = y_train[:, 0]
a = forward(x_train, w, b)
right, wrong = binary_cross_entropy(a, y_train), binary_cross_entropy(a, y_list)
print("outputs", a.shape, " labels", y_train.shape, f" loss {right:.4f}")
print("outputs", a.shape, " labels", y_list.shape, f"   loss {wrong:.4f}")
print("shape of y_list * np.log(a):", (y_list * np.log(a)).shape)
assert wrong > 10 * right

# %% [markdown]
# NumPy **broadcasts**: a column $(n, 1)$ times a row $(n,)$ gives a table $(n, n)$ of all pairs.
# Every output has been compared with *every* label, and the mean taken over $n^2$ numbers. Only
# those on the diagonal were meant. Here are the first 40 tumours:

# %%
pairs = -(y_list * np.log(a) + (1 - y_list) * np.log(1 - a))
own = -(y_train * np.log(a) + (1 - y_train) * np.log(1 - a))
assert pairs.shape == (len(a), len(a))
assert np.allclose(np.diag(pairs), own[:, 0])

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=(1, 12))
common = dict(vmin=0, vmax=6, cmap="viridis")
axes[0].imshow(own[:40], aspect="auto", **common)
axes[0].set(title="$(n, 1)$:\nmeant", xticks=[], ylabel="output of tumour")
image = axes[1].imshow(pairs[:40, :40], aspect="auto", **common)
axes[1].plot(np.arange(40), np.arange(40), "s", mfc="none", color="white", ms=6, mew=0.9)
axes[1].set(title="$(n, n)$: computed (the diagonal is what was meant)", xlabel="label of tumour")
axes[1].set_ylabel("output of tumour")
for ax in axes:
    ax.grid(False)
fig.colorbar(image, ax=axes[1], label="loss of the pair")
material.show(
    "Left: one column with the losses of 40 tumours, nearly all small. Right: the table of all "
    "40 times 40 pairs; away from the diagonal, losses up to 6 stand in stripes."
)

# %% [markdown]
# It is worse than a wrong number. The loss of a pair is linear in $y$, so the mean over all labels
# is the loss against the mean label $\bar y$:
#
# $$\frac{1}{n^2} \sum_{i,j} \ell(a_i, y_j) = \frac{1}{n} \sum_i \ell(a_i, \bar y).$$
#
# It is smallest when *every* output is $\bar y$: the neuron that ignores its inputs is the best
# one. Automatic differentiation takes the derivative of what was computed, $a_i - \bar y$, and
# training does its work without an error message.
#
# **Predict, then run.** With the labels as a column the neuron reached a test accuracy of 0.97 or
# so. Which accuracy will it reach with the list? Note the number before you look.


# %%
def gradients_of_the_mistake(x, y, a):
    error = (a - y[:, 0]).mean(axis=1, keepdims=True)  # (n, n) → (n, 1)
    return x.T @ error / len(x), error.mean()


assert np.isclose(wrong, binary_cross_entropy(a, y_list.mean()))
w_bad, b_bad, bad = learn(300, gradients=gradients_of_the_mistake)
share = y_test.mean()
print(f"test accuracy, as meant   {history[-1, 1]:.3f}")
print(f"test accuracy, broadcast  {bad[-1, 1]:.3f} (share of benign tumours: {share:.3f})")
assert np.isclose(bad[-1, 1], share)
assert np.abs(forward(x_test, w_bad, b_bad) - y_train.mean()).max() < 0.01

# %% jupyter={"source_hidden": true}
plt.figure(figsize=(5.4, 2.7))
plt.plot(history[:, 1], label="labels $(n, 1)$")
plt.plot(bad[:, 1], label="labels $(n,)$, broadcast", color=material.RED)
plt.axhline(share, color="gray", ls=":", label="always “benign”")
plt.xlabel("step")
plt.ylabel("test accuracy")
plt.legend(loc="center right", bbox_to_anchor=(1, 0.4))
material.show(
    "Test accuracy over 300 steps: with labels as a column it climbs above 0.95, with a list of "
    "labels it stays at the share of benign tumours, as if the answer were always benign."
)

# %% [markdown]
# Nothing crashed, the loss went down, and the neuron learned nothing. In Chainrule, losses do not
# broadcast. The same call stops at once, and the message says what to write:

# %%
logits, column, flat = cr.tensor(x_train @ w + b), cr.tensor(y_train), cr.tensor(y_list)
try:
    F.binary_cross_entropy_with_logits(logits, flat)
except cr.ChainruleError as error:
    message = str(error)
    print(f"{type(error).__name__}: {message}")
assert "(456, 1)" in message and "(456,)" in message

loss = F.binary_cross_entropy_with_logits(logits, column)
print(f"loss, labels as a column: {loss.item():.4f}")

# %% [markdown]
# And the gradients that we derived by hand are the ones that Chainrule finds by itself. How it does
# that is lesson 4.

# %%
weights, bias = cr.tensor(w, requires_grad=True), cr.tensor([b], requires_grad=True)
F.binary_cross_entropy_with_logits(cr.tensor(x_train) @ weights + bias, column).backward()
dw, db = gradients(x_train, y_train, forward(x_train, w, b))
difference = np.abs(weights.grad.numpy() - dw).max()
print(f"largest difference: {difference:.1e}")
assert difference < 1e-6 and abs(bias.grad.item() - db) < 1e-6

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 1 --answers`.
#
# **1. Gates.** Find weights and bias of a threshold neuron for *and*, *or* and *not and* of two
# bits; $a = 1$ where $z \geq 0$. (Then show that no weights give *exclusive or*.)

# %%
from lessons.exercises.lesson_01 import check


def gate(kind):
    """(w, b) for "and", "or" or "nand"; w holds two numbers."""
    ...


check(1, gate)

# %% [markdown]
# **2. A loss for any score.** `binary_cross_entropy(sigmoid(1000.0), 0.0)` is not finite, and
# should be 1000. Write the loss of each example as a function of $z$ in which no power is large.


# %%
def loss_from_scores(z, y):
    """The loss of each example, in the shape of z."""
    ...


check(2, loss_from_scores)

# %% [markdown]
# **3. Raw features.** Find weights and bias that give, from the table as it was measured, the
# scores that `w` and `b` give from the standardized one.


# %%
def for_raw_features(w, b, mean, deviation):
    """(weights, bias); w, mean and deviation have the shape (k,)."""
    ...


check(3, for_raw_features)

# %% [markdown]
# **4. Better safe.** A malignant tumour called benign is the worse mistake. Find the lowest limit
# $t$ so that "$a \le t$" finds at least a given share (the *recall*) of the malignant tumours,
# those with $y = 0$.


# %%
def threshold_for_recall(a, y, recall):
    """One number; a and y have the shape (n,)."""
    ...


check(4, threshold_for_recall)

# %% [markdown]
# **5. Squared error.** Derive $\partial (a - y)^2 / \partial z$ for $a = \sigma(z)$. How large is
# it for $z = -8$, $y = 1$, and how large is that of cross-entropy?


# %%
def squared_error_gradient(z, y):
    """The derivative for each example, in the shape of z."""
    ...


check(5, squared_error_gradient)
