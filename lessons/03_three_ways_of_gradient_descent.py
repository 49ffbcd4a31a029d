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
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd().parent if Path.cwd().name == "lessons" else Path.cwd()))

# %%
import os
import time
from math import ceil

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded: all three ways on one core

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

material.style()
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
    ])  # fmt: skip


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

# %%
ways = {
    "full batch": descend(n, 0.2, epochs=80),
    "mini-batch of 32": descend(32, 0.1, epochs=30),
    "one example": descend(1, 0.01, epochs=3),
}
for name, (epochs, seconds, losses, _, accuracies) in ways.items():
    three = losses[np.searchsorted(epochs, 3)]
    print(f"{name:17s} loss after 3 epochs {three:.3f}; after {epochs[-1]:.0f}: {losses[-1]:.3f}, "
          f"test accuracy {accuracies[-1]:.3f}, {seconds[-1]:.2f} s")  # fmt: skip

at_three = {name: way[2][np.searchsorted(way[0], 3)] for name, way in ways.items()}
assert at_three["full batch"] > 3 * at_three["mini-batch of 32"]
assert ways["mini-batch of 32"][4, -1] > 0.85

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), sharey=True)
for name, (epochs, seconds, losses, _, _) in ways.items():
    axes[0].plot(epochs[1:], losses[1:], label=name)
    axes[1].plot(seconds[1:], losses[1:], label=name)
axes[0].set(xscale="log", yscale="log", xlabel="epochs", ylabel="training loss")
axes[1].set(xscale="log", xlabel="seconds of training")
axes[0].legend()
plt.show()

# %% [markdown]
# **Over epochs**, that is for equal work on paper, full batch is far behind: it takes one step
# where the others take dozens or thousands. **Over seconds** the picture changes: the one-example
# way pays for its many steps. The mini-batch is good at both. Why?
#
# ## What a step costs
#
# A product of two matrices reads each weight once and uses it for all examples of the batch, and
# NumPy's own work for each call is done once. So an example is cheaper in company. We measure:

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
print("slope of the error in the logarithms:", slope)
print("cosine of the angle to the exact gradient: one example", agreement[0], " 32", agreement[5])
assert abs(slope + 1) < 0.1
assert agreement[5] > 3 * agreement[0] and agreement[5] > 0.5
assert np.allclose(errors, variance / np.array(sizes), rtol=0.25)

fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.9))
axes[0].loglog(sizes, 1e6 * np.array(costs), "o-")
axes[0].set(ylabel="µs an example", title="what an example costs")
axes[0].yaxis.set_minor_formatter("")
axes[1].loglog(sizes, errors / (exact @ exact), "o", label="measured")
axes[1].loglog(sizes, variance / np.array(sizes) / (exact @ exact), "k:", label="formula")
axes[1].set(title=r"squared error, relative to $\Vert\nabla L\Vert^2$")
axes[1].legend()
axes[2].semilogx(sizes, agreement, "o-", color=material.GREEN)
axes[2].set(ylim=(0, 1.05), title="cosine to the exact gradient")
for ax in axes:
    ax.set(xlabel="batch size $B$")
plt.show()

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
fig, axes = plt.subplots(1, 4, figsize=(9.6, 2.4), sharey=True)
grid = np.linspace(-2.2, 2.2, 100)
cases = ((0.1, "too small"), (0.8, "right"), (1.8, "zigzag"), (2.1, "diverges"))
for ax, (rate, title) in zip(axes, cases, strict=True):
    w = [1.2]
    for _ in range(6):
        w.append(w[-1] - rate * w[-1])
    w = np.array(w)
    assert np.allclose(np.abs(w), 1.2 * abs(1 - rate) ** np.arange(7))
    ax.plot(grid, grid**2 / 2, color="gray")
    ax.plot(w, w**2 / 2, "o-", color=material.RED if rate > 2 else material.BLUE, ms=4, lw=1)
    ax.set(title=rf"$\eta\lambda = {rate}$: {title}", xlabel="$w$")
plt.show()

# %% [markdown]
# A net has many weights, and the directions through their space have many different $\lambda$. The
# steepest decides which rate is still stable, and the flattest how long it takes. Here is our net
# with mini-batches of 32 for three epochs:

# %%
rates = [0.001, 0.01, 0.1, 0.3, 1.0, 3.0]
runs = {rate: descend(32, rate, epochs=3) for rate in rates}
plt.figure(figsize=(5.6, 3))
for rate in rates:
    plt.plot(runs[rate][0], runs[rate][2], label=rf"$\eta = {rate:g}$")
    print(f"rate {rate:5g}: training loss {runs[rate][2, -1]:.3f}")
plt.xlabel("epochs")
plt.ylabel("training loss")
plt.ylim(0, 4)
plt.legend(loc="upper right", ncols=2)
plt.show()

final = {rate: runs[rate][2, -1] for rate in rates}
assert min(final, key=final.get) in (0.1, 0.3)
assert final[0.001] > 1.5 > 2 * final[0.1]  # too small: hardly moved
assert final[3.0] > 2  # too large: as good as guessing, whose loss is ln 10 ≈ 2.3

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
plt.figure(figsize=(6, 3))
for label, rate in (
    (r"$\eta = 0.5$", lambda t: 0.5), (r"$\eta = 0.05$", lambda t: 0.05),
    (r"$\eta_t = 1/t$", lambda t: 1 / t),
):  # fmt: skip
    w, distances = np.zeros(400), []
    for t in range(1, 2001):
        w = w - rate(t) * (w - samples[:, t - 1])
        distances.append(np.mean((w - 3) ** 2))
    plt.loglog(np.arange(1, 2001), distances, label=label)
    if rate(1) < 1:
        expected = rate(1) / (2 - rate(1))
        print(label, "mean squared distance", np.mean(distances[-500:]), "formula", expected)
        assert np.isclose(np.mean(distances[-500:]), expected, rtol=0.1)
assert np.allclose(w, samples.mean(axis=1))  # with 1/t, descent computes the mean itself
assert distances[-1] < 0.002
plt.xlabel("step $t$")
plt.ylabel("mean squared distance")
plt.legend()
plt.show()

# %% [markdown]
# `Optimizer_SGD(learning_rate, decay)` has this for nets: step $t$ takes $\eta / (1 + d\,t)$.
#
# ## When to stop
#
# Converged on the training examples is not the same as good. Here is the mini-batch way again,
# epoch by epoch. The loss on the examples that it learns from goes on falling. The loss on other
# examples follows less and less, and it may rise again: the net learns its examples by heart.

# %%
epochs, _, losses, test_losses, accuracies = ways["mini-batch of 32"]
plt.figure(figsize=(5.6, 2.8))
plt.plot(epochs, losses, label="training loss")
plt.plot(epochs, test_losses, label="test loss")
plt.xlabel("epochs")
plt.yscale("log")
plt.legend()
plt.show()

halfway = len(epochs) // 2
print("from the middle to the end: training loss", losses[halfway], "→", losses[-1],
      " test loss", test_losses[halfway], "→", test_losses[-1])  # fmt: skip
fall, test_fall = losses[-1] / losses[halfway], test_losses[-1] / test_losses[halfway]
assert fall < 0.7 and test_fall > 1.3 * fall
assert test_losses[-1] > 2 * losses[-1]

# %% [markdown]
# Lesson 7 returns to this, and to steps that are cleverer than the plain gradient.
#
# ## Exercises
#
# 1. **Counting.** How many updates do $E$ epochs over $n$ examples in mini-batches of $B$ make?
#    Check: count those of `batches`.
# 2. **The mean of gradients.** Compute the gradient of ten examples as the mean of ten gradients of
#    one example each. Check: equal to that of the batch to rounding.
# 3. **The edge.** For $f(w) = \frac{1}{2} w^\top H w$: which is the largest rate that does not
#    diverge? Check: run 2 % below and 2 % above it.
# 4. **One over $t$.** Show that descent with $\eta_t = 1/t$ on $\frac{1}{2}(w - x_t)^2$ computes
#    the mean of the samples so far, wherever it starts. Check: `np.cumsum`.
# 5. **Without replacement.** We drew mini-batches with replacement. An epoch draws without. By
#    which factor is the squared error of such a mini-batch smaller? Check: by drawing from 20
#    numbers.
#
# Answers: `lessons/answers/lesson_03.py`.

# %%
from lessons.answers import lesson_03 as answers

model = network()
singles = answers.mean_of_single_gradients(model, loss, x[:10], y[:10])
gradient(model, x[:10], y[:10])
print("2. largest difference:", np.abs(singles - model.layers[0].dweights).max())
assert np.allclose(singles, model.layers[0].dweights, atol=1e-6)

hessian = np.array([[3.0, 1.0], [1.0, 2.0]])
edge = answers.largest_stable_rate(hessian)
for factor in (0.98, 1.02):
    w = np.ones(2)
    for _ in range(500):
        w = w - factor * edge * hessian @ w
    print(f"3. {factor} times the largest stable rate, after 500 steps: {np.linalg.norm(w):.2g}")
    assert (np.linalg.norm(w) < 1) == (factor < 1)
