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
# # 3. Three ways of gradient descent
#
# Before each step downhill we may look at all examples, at one, or at a few. This lesson trains one
# network in the three ways from the same start, counts steps and seconds, and finds out why almost
# everybody looks at a few. It ends with what the learning rate can and cannot do.

# %%
import prelude

prelude.begin()

# %%
import time
from math import ceil

import matplotlib.pyplot as plt
import numpy as np

from lessons import material
from lessons.by_hand import (
    Activation_ReLU,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    DenseLayer,
    Model,
    Optimizer_SGD,
    batches,
)

x, y, x_test, y_test = material.handwritten()
x, y, x_test, y_test = x[:4000], y[:4000], x_test[:2000], y_test[:2000]
n = len(x)
print(material.source(), "training", x.shape, "test", x_test.shape)

# %% [markdown]
# ## One step, three ways
#
# The loss is a mean over the $n$ training examples, so its gradient is the mean of their gradients:
#
# $$L(w) = \frac{1}{n}\sum_{i=1}^n \ell_i(w), \qquad
# \nabla L(w) = \frac{1}{n}\sum_{i=1}^n \nabla \ell_i(w).$$
#
# * **Full batch** (Cauchy, 1847): the exact gradient. One step costs $n$ examples.
# * **One example**, *stochastic* gradient descent (Robbins and Monro, 1951): draw one $i$ and step
#   against $\nabla \ell_i$. It points in a wrong direction, but on average in the right one. A step
#   costs one example.
# * **Mini-batch**: the mean over $B$ drawn examples. Between the two.
#
# An **epoch** is once through all examples, in random order. The three ways do the same work in an
# epoch, and take very different numbers of steps:

# %%
for size in (n, 32, 1):
    steps = sum(1 for _ in batches(n, size, np.random.default_rng(0)))
    print(f"batch size {size:5d}: {steps:5d} steps an epoch")
    assert steps == ceil(n / size)

# %% [markdown]
# The net is 784-32-10, from the same random start each time. The clock runs only while it learns,
# not while we measure the loss.


# %%
def network():
    return Model([
        DenseLayer(784, 32, seed=0, dtype=np.float32),
        Activation_ReLU(),
        DenseLayer(32, 10, seed=1, dtype=np.float32),
    ])


loss = Activation_Softmax_Loss_CategoricalCrossentropy()


def gradient(model, x, y):
    """Leaves the gradients of the mean loss of these examples in the layers."""
    loss.calculate(model.forward(x), y)
    model.backward(loss.backward(model.output, y))


def descend(batch_size, rate, epochs, seed=0):
    """Columns: epochs, seconds, training loss, test loss, test accuracy."""
    model, optimizer, order = network(), Optimizer_SGD(rate), np.random.default_rng(seed)
    seen, seconds, history = 0, 0.0, []

    def measure():
        losses = [loss.calculate(model.forward(a), b) for a, b in ((x, y), (x_test, y_test))]
        history.append((seen / n, seconds, *losses, model.accuracy(x_test, y_test)))

    measure()
    for _ in range(epochs):
        for batch in batches(n, batch_size, order):
            started = time.perf_counter()
            gradient(model, x[batch], y[batch])
            optimizer.update_params(model)
            seconds += time.perf_counter() - started
            seen += len(batch)
            if 4 * seen // n > 4 * (seen - len(batch)) // n:  # four times an epoch
                measure()
    return np.array(history).T


# %% [markdown]
# Each way gets a learning rate that suits it: the rougher the gradient, the shorter the steps.
# (What happens with others comes below.)
#
# **Predict, then run.** Full batch passes over the images 80 times, the mini-batches 30 times, and
# the single examples only 3 times. Which way has the lowest loss after 3 epochs, and which one
# takes the most seconds for an epoch?

# %%
ways = {
    "full batch": descend(n, 0.2, epochs=80),
    "mini-batch of 32": descend(32, 0.1, epochs=30),
    "one example": descend(1, 0.01, epochs=3),
}
for name, (epochs, seconds, losses, _, accuracies) in ways.items():
    three = losses[np.searchsorted(epochs, 3)]
    print(f"{name:17s} loss after 3 epochs {three:.3f}; after {epochs[-1]:.0f}: {losses[-1]:.3f}, "
          f"test accuracy {accuracies[-1]:.3f}, {seconds[-1]:.2f} s")

at_three = {name: way[2][np.searchsorted(way[0], 3)] for name, way in ways.items()}
assert at_three["full batch"] > 3 * at_three["mini-batch of 32"]
assert ways["mini-batch of 32"][4, -1] > 0.85

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), sharey=True)
for name, (epochs, seconds, losses, _, _) in ways.items():
    axes[0].plot(epochs[1:], losses[1:], label=name)
    axes[1].plot(seconds[1:], losses[1:], label=name)
axes[0].set(xscale="log", yscale="log", xlabel="epochs", ylabel="training loss")
axes[1].set(xscale="log", xlabel="seconds of training", ylabel="training loss")
axes[0].legend()
material.show(
    "Training loss of the three ways, with logarithmic axes. Left, over epochs: one example and "
    "mini-batches fall fast, full batch far later. Right, over seconds: one example needs long "
    "for its few epochs, mini-batches are first."
)

# %% [markdown]
# **Over epochs**, that is for equal work on paper, full batch is far behind: it takes one step
# where the others take dozens or thousands. **Over seconds** the picture changes: the one-example
# way pays for its many steps. The mini-batch is good at both. Why?
#
# ## What a step costs
#
# A product of two matrices reads each weight once and uses it for all examples of the batch, and
# NumPy's own work for each call is done once. So an example is cheaper in company.
#
# **Predict, then run.** How many times cheaper is an example in the best batch size than alone? And
# does it go on getting cheaper up to 1,024?

# %%
sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
costs = []
for size in sizes:
    model, batch, times = network(), slice(0, size), []
    optimizer = Optimizer_SGD(0.01)
    for _ in range(30):
        started = time.perf_counter()
        gradient(model, x[batch], y[batch])
        optimizer.update_params(model)
        times.append(time.perf_counter() - started)
    costs.append(np.median(times) / size)
    print(f"batch size {size:4d}: {1e6 * costs[-1]:7.1f} µs an example")
assert costs[0] > 3 * min(costs)

# %% [markdown]
# ## What a step knows
#
# The gradient of a mini-batch is the mean of $B$ random draws from the $n$ single gradients. So its
# mean squared error is their variance divided by $B$:
#
# $$E\,\lVert g_B - \nabla L\rVert^2 = \frac{1}{B}\Bigl(\frac{1}{n}\sum_i \lVert\nabla\ell_i\rVert^2
# - \lVert\nabla L\rVert^2\Bigr).$$
#
# Four times as many examples only halve the error. We draw mini-batches of every size at the start
# of the training, and compare with the formula.


# %%
def flat_gradient(model, x, y):
    gradient(model, x, y)
    parts = [(layer.dweights, layer.dbiases) for layer in model.layers[::2]]
    return np.concatenate([part.ravel() for pair in parts for part in pair]).astype(np.float64)


model, rng = network(), np.random.default_rng(0)
exact = flat_gradient(model, x, y)
singles = [np.sum(flat_gradient(model, x[i : i + 1], y[i : i + 1]) ** 2) for i in range(500)]
variance = np.mean(singles) - exact @ exact

errors, agreement = [], []
for size in sizes:
    drawn = []
    for _ in range(120 if size <= 64 else 30):
        batch = rng.integers(0, n, size)
        drawn.append(flat_gradient(model, x[batch], y[batch]))
    errors.append(np.mean([np.sum((g - exact) ** 2) for g in drawn]))
    agreement.append(np.mean([g @ exact / np.sqrt(g @ g * (exact @ exact)) for g in drawn]))

slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
print(f"slope of the error in the logarithms: {slope:.3f}")
print(f"cosine to the exact gradient: one example {agreement[0]:.2f}, 32 {agreement[5]:.2f}")
assert abs(slope + 1) < 0.1
assert agreement[5] > 3 * agreement[0] and agreement[5] > 0.5
assert np.allclose(errors, variance / np.array(sizes), rtol=0.25)

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.9))
axes[0].loglog(sizes, 1e6 * np.array(costs), "o-")
axes[0].set(ylabel="µs an example", title="what an example costs")
axes[0].yaxis.set_minor_formatter("")
axes[1].loglog(sizes, errors / (exact @ exact), "o", label="measured")
axes[1].loglog(sizes, variance / np.array(sizes) / (exact @ exact), "k:", label="formula")
axes[1].set(ylabel=r"squared error / $\Vert\nabla L\Vert^2$", title="how far off a step is")
axes[1].legend()
axes[2].semilogx(sizes, agreement, "o-", color=material.GREEN)
axes[2].set(ylim=(0, 1.05), ylabel="cosine", title="angle to the exact gradient")
for ax in axes:
    ax.set(xlabel="batch size $B$")
material.show(
    "Left: the cost of an example falls with the batch size and then levels off. Middle: the "
    "squared error of the gradient falls in proportion to 1/B, as the formula says. Right: the "
    "cosine to the exact gradient climbs towards 1."
)

# %% [markdown]
# Two forces: large batches make an *example* cheap, and small ones make a *step* cheap. From one
# example to 32 the direction becomes more than three times as good, measured by the cosine. From
# there it cannot even double, since a cosine ends at 1, while a step goes on getting dearer. Where
# the two meet depends on the net and on the machine; it is usually some tens to some hundreds.
#
# ## The learning rate
#
# Near a minimum every smooth loss looks like a parabola, so a parabola shows what a rate does.
# For $f(w) = \frac{1}{2}\lambda w^2$ a step is
#
# $$w \leftarrow w - \eta\lambda w = (1 - \eta\lambda)\,w.$$
#
# The distance to the minimum is multiplied by $1 - \eta\lambda$, again and again. It shrinks
# just when $\lvert 1 - \eta\lambda\rvert < 1$, that is
#
# $$0 < \eta < \frac{2}{\lambda}.$$

# %%
cases = {0.1: "too small", 0.8: "right", 1.8: "zigzag", 2.1: "diverges"}  # by ηλ
paths = {}
for rate in cases:
    w = [1.2]
    for _ in range(6):
        w.append(w[-1] - rate * w[-1])
    paths[rate] = np.array(w)
    assert np.allclose(np.abs(w), 1.2 * abs(1 - rate) ** np.arange(7))

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(1, 4, figsize=(9.6, 2.4), sharey=True)
grid = np.linspace(-2.2, 2.2, 100)
for ax, (rate, w) in zip(axes, paths.items(), strict=True):
    ax.plot(grid, grid**2 / 2, color="gray")
    ax.plot(w, w**2 / 2, "o-", color=material.RED if rate > 2 else material.BLUE, ms=4, lw=1)
    ax.set(title=rf"$\eta\lambda = {rate}$: {cases[rate]}", xlabel="$w$")
axes[0].set_ylabel("$f(w)$")
material.show(
    "Descent on a parabola at four rates: small steps, two steps to the minimum, a zigzag that "
    "shrinks, and a zigzag that grows."
)

# %% [markdown]
# A net has many weights, and the directions through their space have many different $\lambda$. The
# steepest decides which rate is still stable, and the flattest how long it takes. Here is our net
# with mini-batches of 32 for three epochs.
#
# **Predict, then run.** The rates go from 0.001 to 3. How many of the six lead to a useful net?

# %%
rates = [0.001, 0.01, 0.1, 0.3, 1.0, 3.0]
runs = {rate: descend(32, rate, epochs=3) for rate in rates}
for rate in rates:
    print(f"rate {rate:5g}: training loss {runs[rate][2, -1]:.3f}")

final = {rate: runs[rate][2, -1] for rate in rates}
assert min(final, key=final.get) in (0.1, 0.3)
assert final[0.001] > 1.5 > 2 * final[0.1]  # too small: hardly moved
assert final[3.0] > 2  # too large: as good as guessing, whose loss is ln 10 ≈ 2.3

# %% jupyter={"source_hidden": true}
plt.figure(figsize=(5.6, 3))
for rate in rates:
    plt.plot(runs[rate][0], runs[rate][2], label=rf"$\eta = {rate:g}$")
plt.xlabel("epochs")
plt.ylabel("training loss")
plt.ylim(0, 4)
plt.legend(loc="upper right", ncols=2)
material.show(
    "Training loss over three epochs at six rates: 0.1 and 0.3 fall fast, 0.001 hardly moves, 3 "
    "stays at the loss of guessing."
)

# %% [markdown]
# The right rates span a small window. A rate a hundred times too small wastes time; one ten times
# too large wastes the net: the first steps throw it so far that it does no better than guessing.
#
# ## Convergence
#
# With a constant rate and noisy gradients, the weights do not come to rest: they dance around the
# minimum. The smallest example: find the $w$ that minimizes the mean of $\frac{1}{2}(w - x_i)^2$.
# The answer is the mean of the $x_i$; the gradient of one example is $w - x_i$. Once the start is
# forgotten, the mean squared distance to the answer is
#
# $$\frac{\eta}{2 - \eta}\,\sigma^2,$$
#
# with $\sigma^2$ the variance of the $x_i$: a smaller rate dances less, and takes longer to arrive.
# Robbins and Monro proved that the noise dies out when the rates fall, but not too fast:
#
# $$\sum_t \eta_t = \infty, \qquad \sum_t \eta_t^2 < \infty.$$
#
# $\eta_t = 1/t$ is the classical choice.

# %%
rng = np.random.default_rng(0)
samples = 3 + rng.standard_normal((400, 2000))  # 400 runs of 2,000 steps; the answer is 3
rules = {
    r"$\eta = 0.5$": lambda t: 0.5,
    r"$\eta = 0.05$": lambda t: 0.05,
    r"$\eta_t = 1/t$": lambda t: 1 / t,
}
distances = {}
for label, rate in rules.items():
    w, distances[label] = np.zeros(400), []
    for t in range(1, 2001):
        w = w - rate(t) * (w - samples[:, t - 1])
        distances[label].append(np.mean((w - 3) ** 2))
    if rate(1) < 1:
        expected, found = rate(1) / (2 - rate(1)), np.mean(distances[label][-500:])
        print(f"rate {rate(1)}: mean squared distance {found:.4f}, formula {expected:.4f}")
        assert np.isclose(found, expected, rtol=0.1)
assert np.allclose(w, samples.mean(axis=1))  # with 1/t, descent computes the mean itself
assert distances[label][-1] < 0.002

# %% jupyter={"source_hidden": true}
plt.figure(figsize=(6, 3))
for label, values in distances.items():
    plt.loglog(np.arange(1, 2001), values, label=label)
plt.xlabel("step $t$")
plt.ylabel("mean squared distance")
plt.legend()
material.show(
    "Mean squared distance to the minimum over 2,000 steps, with logarithmic axes: the constant "
    "rates 0.5 and 0.05 level off, the rate 1/t goes on falling."
)

# %% [markdown]
# `Optimizer_SGD(learning_rate, decay)` has this for nets: step $t$ takes $\eta / (1 + d\,t)$.
#
# ## When to stop
#
# Converged on the training examples is not the same as good. Here is the mini-batch way again,
# epoch by epoch.
#
# **Predict, then run.** The training loss goes on falling to the end. Does the loss on images that
# the net has never seen fall as well, stay, or rise?

# %%
epochs, _, losses, test_losses, accuracies = ways["mini-batch of 32"]
halfway = len(epochs) // 2
print(f"from the middle to the end: training loss {losses[halfway]:.4f} → {losses[-1]:.4f}, "
      f"test loss {test_losses[halfway]:.3f} → {test_losses[-1]:.3f}")
fall, test_fall = losses[-1] / losses[halfway], test_losses[-1] / test_losses[halfway]
assert fall < 0.7 and test_fall > 1.3 * fall
assert test_losses[-1] > 2 * losses[-1]

# %% jupyter={"source_hidden": true}
plt.figure(figsize=(5.6, 2.8))
plt.plot(epochs, losses, label="training loss")
plt.plot(epochs, test_losses, label="test loss")
plt.xlabel("epochs")
plt.ylabel("loss")
plt.yscale("log")
plt.legend()
material.show(
    "Training and test loss of the mini-batch way over 30 epochs: the training loss falls to the "
    "end, the test loss levels off and stays above it."
)

# %% [markdown]
# The loss on the examples that it learns from goes on falling. The loss on other examples follows
# less and less, and it may rise again: the net learns its examples by heart.
# Lesson 7 returns to this, and to steps that are cleverer than the plain gradient.

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 3 --answers`.
#
# **1. Counting.** How many updates do `epochs` epochs over `n` examples in mini-batches of
# `batch_size` make?

# %%
from lessons.exercises.lesson_03 import check


def updates(n, batch_size, epochs):
    ...


check(1, updates)

# %% [markdown]
# **2. The mean of gradients.** Compute the gradient of `model.layers[0].weights` for the examples
# `x`, `y` as the mean of the gradients of one example each. Is it that of the batch?


# %%
def mean_of_single_gradients(model, loss, x, y):
    """An array in the shape of the first layer's weights."""
    ...


check(2, mean_of_single_gradients)

# %% [markdown]
# **3. The edge.** For $f(w) = \frac{1}{2} w^\top H w$: which is the largest rate at which descent
# does not diverge?


# %%
def largest_stable_rate(hessian):
    ...


check(3, largest_stable_rate)

# %% [markdown]
# **4. One over t.** Show that descent with $\eta_t = 1/t$ on $\frac{1}{2}(w - x_t)^2$ computes the
# mean of the samples so far, wherever it starts.


# %%
def running_means(samples, start=0.0):
    """w after each step, beginning with t = 1, in the shape of the samples."""
    ...


check(4, running_means)

# %% [markdown]
# **5. Without replacement.** We drew mini-batches with replacement. An epoch draws without. How
# large is the mean squared error of a mini-batch mean, in units of the variance of one example, in
# both cases?


# %%
def relative_noise(batch_size, n, replace):
    """One number; n is the number of examples to draw from."""
    ...


check(5, relative_noise)
