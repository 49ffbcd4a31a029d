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
# # 6. Against PyTorch
#
# A published comparison let a network written from scratch race against PyTorch, and the network
# from scratch lost clearly. This lesson asks what that race has measured, runs it again so that
# each difference has one cause, and ends with a table of accuracies and seconds, and with a method
# to compare programs that can be used for any other.

# %%
import prelude

prelude.begin()

# %%
import inspect
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from lessons import material, race

ROOT = Path(race.__file__).parent
with_torch = "PyTorch" in race.contestants()
print("PyTorch is here." if with_torch else "PyTorch is not installed: its stored result is shown.")

# %% [markdown]
# ## The published race
#
# The network has 784 inputs, 64 hidden neurons with ReLU, and 10 outputs. It learns 33,600 images
# of MNIST; 8,400 others check it. Published were:
#
# | | optimizer | training accuracy | validation accuracy | seconds |
# |---|---|---|---|---|
# | from scratch, NumPy | SGD | 99.15 % | 90.65 % | 45.3 |
# | PyTorch | Adam | 99.29 % | 97.17 % | 12.8 |
#
# **Predict, then run.** Six and a half points of validation accuracy and three and a half times the
# speed. When both programs get the same start, the same batches and the same rule of update, how
# much of each difference will be left?
#
# It is tempting to read: PyTorch generalizes better by six and a half points, and is three and a
# half times as fast. But look at the second column. The two rows differ in **two** things, the
# program and the rule of update, so no difference between them can be ascribed to either. And there
# may be more that differs and is not in the table: the start of the weights, the order of the
# images, the size of the batches, the number of epochs.
#
# A fair race changes one thing at a time. Ours keeps fixed:
#
# - **the data**: 42,000 of MNIST's training images, split once at random, in float32;
# - **the start**: the same weights for all, drawn once from $U(-1/\sqrt n, 1/\sqrt n)$ with $n$
#   inputs;
# - **the batches**: 32 images, in the same order for all, another one in each epoch;
# - **the rule**: every program once with SGD, learning rate $\eta = 0.1$, and once with Adam,
#   $\eta = 10^{-3}$;
# - **the threads**: as many for all.

# %%
x, y, x_test, y_test = material.handwritten()
if material.source() == "MNIST":
    n_train, n_valid = 16_800, 4_200  # Half of the race's images, for the short one here.
else:
    n_train, n_valid = 1_120, 280
ours = race.prepare(x, y, n_train, n_valid, threads=1)
print(f"{material.source()}: {len(ours.x):,} images to train on, {len(ours.x_valid):,} to check")
print("start:", [w.shape for w in ours.start])

# %% [markdown]
# ## The contestants
#
# **NumPy by hand.** The formulas of lesson 2, for the softmax and the cross-entropy together:
# the gradient by the scores is the probabilities minus the one-hot labels, over the number of
# examples.

# %%
print(inspect.getsource(race.gradients_by_hand))

# %% [markdown]
# Its two rules of update. SGD goes down the gradient. Adam (Kingma and Ba, 2015) keeps running
# means of the gradient and of its square, for each weight,
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2$$
#
# with $\beta_1 = 0.9$ and $\beta_2 = 0.999$. Both start at 0 and are too small at first, by exactly
# the factors $1 - \beta_1^t$ and $1 - \beta_2^t$ at step $t$. Divided by these they become
# $\hat m$ and $\hat v$, and
#
# $$w \leftarrow w - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$
#
# so a weight with small gradients takes steps as long as one with large gradients.

# %%
print(inspect.getsource(race.SGDByHand))
print(inspect.getsource(race.AdamByHand))

# %% [markdown]
# **Chainrule**, twice: eager, which runs each operation when Python comes to it, and compiled,
# where forward, backward and update are one program, captured at the first step. **PyTorch**, twice
# as well: with its optimizer as it comes, and with `fused=True`, which updates all weights in one
# call.

# %%
print(inspect.getsource(race.chainrule))
print(inspect.getsource(race.pytorch))

# %% [markdown]
# ## Before the clock: do they compute the same?
#
# A race between programs that compute different things says nothing. So first, each takes 30 steps
# by each rule, and we compare all the weights. They will not agree to the last bit: sums in
# another order round differently, and training makes small differences grow. But they must agree to
# a few digits.

# %%
checked = ["NumPy by hand", "Chainrule eager", "Chainrule compiled"] + ["PyTorch"] * with_torch
for rule in race.RATES:
    reached = {}
    for name in checked:
        contestant = race.CONTESTANTS[name](ours, rule)
        for batch in ours.batches(0)[:30]:
            contestant.train(batch)
        reached[name] = [np.array(w) for w in contestant.weights()]
    first = reached["NumPy by hand"]
    moved = max(np.abs(w - w0).max() for w, w0 in zip(first, ours.start, strict=True))
    for name in checked[1:]:
        apart = max(np.abs(w - v).max() for w, v in zip(reached[name], first, strict=True))
        print(f"{rule:5s} {name:20s} weights moved by up to {moved:.3f}, differ by {apart:.0e}")
        assert apart < 0.01 * moved

# %% [markdown]
# ## A short race, live
#
# How one measures decides what one measures:
#
# - **Fresh processes.** Each contestant has a Python of its own, so that none finds the caches of
#   another filled, or its threads still spinning.
# - **Turns.** They run one after the other, one epoch each, again and again. If the machine is
#   busy for a moment, it is so for all.
# - **What counts.** The clock runs from the first batch of an epoch to its last. The import of the
#   libraries is not counted, nor is the check after the epoch, which is the same code for all.
#   What a first step must prepare, such as a compilation, is counted.
#
# Here, for a short race, each has one thread, so that other programs on this machine disturb less,
# and on MNIST half of the images.

# %%
short = 1 if material.source() == "MNIST" else 5
names = [name for name in race.contestants() if name != "PyTorch fused"]
live = race.run(ours, short, names, list(race.RATES))
for rule, curves in live.items():
    print(f"{rule}, {short} epoch(s)\n{race.table(curves)}\n")

# %%
for rule, curves in live.items():
    finals = [curve["valid"][-1] for curve in curves.values()]
    print(f"{rule}: validation accuracies from {min(finals):.2%} to {max(finals):.2%}")
    assert max(finals) - min(finals) < 0.02

# %% [markdown]
# Same start, same batches, same rule: **the same accuracy**, whoever computes it. What differs is
# the time.
#
# ## The whole race
#
# The full number of epochs takes too long for a lesson. This is the stored result of
# `python -m lessons.race`, which calls the same functions, with two threads for each, on a machine
# that did nothing else. PyTorch's share can be read here even where it is not installed.

# %%
stored = json.loads((ROOT / "results" / "race.json").read_text())
facts = stored["facts"]
print(", ".join(f"{key} {value}" for key, value in facts.items() if key != "rates"), "\n")
for rule in race.RATES:
    print(f"{rule}, learning rate {facts['rates'][rule]}\n{race.table(stored[rule])}\n")

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(2, 2, figsize=(8.5, 5.4), layout="constrained", sharey=True)
styles = dict(zip(race.CONTESTANTS, ["-", "--", "-.", ":", (0, (1, 3))], strict=True))
for row, rule in zip(axes, race.RATES, strict=True):
    for name, curve in stored[rule].items():
        epochs = np.arange(1, facts["epochs"] + 1)
        seconds = race.seconds(curve) * epochs / len(epochs)
        (line,) = row[0].plot(epochs, curve["valid"], linestyle=styles[name], label=name)
        row[1].plot(seconds, curve["valid"], color=line.get_color())
    row[0].set(ylabel=f"{rule}: validation accuracy", xlabel="epochs")
    row[1].set(xlabel="seconds of training", xscale="log")
axes[0, 0].set_ylim(0.91, 0.98)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5,
              fontsize=8)
material.show(
    "Validation accuracy of the five programs. Left over epochs: the curves of all lie on each "
    "other, for SGD above and for Adam below. Right over seconds, with a logarithmic axis: the "
    "same curves shifted, Chainrule compiled first."
)

# %% [markdown]
# On the left, over epochs, five curves lie on top of each other until rounding lets them wander
# apart by a few tenths of a percent. On the right, over seconds, they are the same curves, drawn
# closer or further apart.
#
# **Predict, then run.** Which of the five takes the least time for an epoch, and how many times
# longer does the slowest one take? Does Adam cost much more than SGD?

# %% jupyter={"source_hidden": true}
labels = list(stored["SGD"])
figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
for shift, rule in ((-0.2, "SGD"), (0.2, "Adam")):
    times = [np.median(stored[rule][name]["seconds"]) for name in labels]
    bars = axis.barh(np.arange(len(labels)) + shift, times, 0.38, label=rule)
    axis.bar_label(bars, [f"{t / min(times):.1f} ×" for t in times], padding=3, fontsize=8)
axis.set(yticks=range(len(labels)), yticklabels=labels, xlabel="seconds an epoch (median)")
axis.margins(x=0.12)
axis.invert_yaxis()
axis.grid(axis="y", visible=False)
axis.legend(loc="lower right")
material.show(
    "Seconds an epoch of the five programs as bars, for SGD and for Adam, with the factor to the "
    "fastest: Chainrule compiled is the fastest for both."
)

# %%
best = {rule: max(max(c["valid"]) for c in stored[rule].values()) for rule in race.RATES}
last = {rule: [c["valid"][-1] for c in stored[rule].values()] for rule in race.RATES}
for rule in race.RATES:
    print(f"{rule}: best validation accuracy {best[rule]:.2%}, "
          f"after the last epoch {min(last[rule]):.2%} to {max(last[rule]):.2%}")
    total = {name: race.seconds(curve) for name, curve in stored[rule].items()}
    assert min(total, key=total.get) == "Chainrule compiled"
    assert max(last[rule]) - min(last[rule]) < 0.015
assert abs(best["SGD"] - best["Adam"]) < 0.01
assert min(last["SGD"]) > 0.9065 + 0.04

# %% [markdown]
# ## What the published race has measured
#
# - **Not the accuracy of a program.** With the same rule, NumPy and PyTorch reach the same.
# - **Not that of a rule either.** SGD, with a sensible rate, comes within a percent of Adam here.
#   No contestant of ours shows the gap of the published row, 99.15 % against 90.65 %. The cause
#   must lie in something that was not written down. (Exercise 5 tries one candidate, the start
#   of the weights.) A table that does not name its start, batches and rates cannot be
#   checked.
# - **Its seconds** were for two different rules, and perhaps for different numbers of steps.
#
# ## Where the time goes
#
# A step on 32 images is little work. Counting two operations for each multiplication in a matrix
# product, once forward, once for the gradients by the weights and once for that by the hidden
# layer:

# %%
work = 204_544 * race.BATCH  # (exercise 4 counts them)
steps = facts["train"] // race.BATCH
print(f"{work / 1e6:.1f} million operations a step")
for name, curve in stored["SGD"].items():
    step = np.median(curve["seconds"]) / steps
    print(f"{name:20s}{step * 1e6:8.0f} µs a step {work / step / 1e9:8.1f} GFLOP/s")

# %% [markdown]
# A processor of today does tens of such operations per nanosecond on each core, so the arithmetic
# alone takes some tens of microseconds. The rest is the cost of *asking*: a step is dozens of small
# operations, and each has its price for a call from Python, for memory, for a node of the graph.
# Eager programs pay it every time. A compiled step pays it once, at the capture, and then runs as
# a single call. With larger layers or batches the arithmetic outgrows the asking, and the
# contestants move together: a ratio is true for a workload, not for a framework
# (`make bench` measures others).

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 6 --answers`.
#
# **1. The first step of Adam.** Compute by hand how far Adam moves a weight in its first step. How
# far for the gradients $10^{-4}$, 1 and $10^4$?

# %%
from lessons.exercises.lesson_06 import check


def first_adam_step(gradient, lr):
    """What is added to the weight."""
    ...


check(1, first_adam_step)

# %% [markdown]
# **2. A standard error.** Two programs name 97.0 % and 97.2 % of 8,400 images correctly. Is the
# second better? First: by how much does a share $p$, counted on $n$ independent images, deviate by
# chance?


# %%
def standard_error(p, n):
    ...


check(2, standard_error)

# %% [markdown]
# **3. Chance.** Then: are two shares more than two standard errors of their difference apart? Look
# at the table above again.


# %%
def clearly_different(p, q, n):
    """True or False; both shares are counted on n images."""
    ...


check(3, clearly_different)

# %% [markdown]
# **4. Work.** The operations in the matrix products of one training step, for any list of layer
# sizes. For 784-64-10 and one image it must give 204,544.


# %%
def operations(batch, sizes):
    ...


check(4, operations)

# %% [markdown]
# **5. The start.** Train by SGD from the start of the race and from weights and biases uniform in
# $[-0.5, 0.5]$, as some texts propose. What does it cost in validation accuracy on MNIST? Why does
# it matter more for the layer with 784 inputs? (`ours` is the race of this lesson.)


# %%
def compare_starts(one, epochs):
    """(accuracy from the usual start, accuracy from the wide start) after so many epochs."""
    ...


check(5, compare_starts)
