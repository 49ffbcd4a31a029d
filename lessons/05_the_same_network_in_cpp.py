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
# # 5. The same network in C++
#
# NumPy did the heavy work of lesson 2: each `@` ran inside a library that somebody else has made
# fast. This lesson writes that part too, in one file of C++17 with the standard library only. It
# reads the file, checks that it computes what Python computes, and ends with a table: how fast each
# way to write the same three loops is, beside NumPy and Chainrule.

# %%
import prelude

prelude.begin(threads=2)

# %%
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import nn
from lessons import by_hand, material
from lessons.cpp import bridge, measure

folder = Path(tempfile.mkdtemp(prefix="lesson-5-"))
program = bridge.build(folder) if bridge.compiler() else None
if program is None:
    print("No C++ compiler and make were found: the stored results of another machine are shown.")
else:
    print(f"lessons/cpp/network.cpp is compiled. Here: {measure.described(measure.machine())}.")

# %% [markdown]
# In a terminal, `make -C lessons/cpp` does the same, and `make -C lessons/cpp train` trains on the
# handwritten digits.
#
# ## A matrix is a row of numbers
#
# Memory has one dimension: byte after byte. A matrix of $n \times m$ numbers is stored row after
# row, so that element $(i, j)$ is number $i\,m + j$. To the right neighbour it is one step, to the
# one below $m$ steps. That is all the structure there is; a *view* with the two steps exchanged is
# the transposed matrix, and nothing was copied.

# %%
print(bridge.part(1))

# %% [markdown]
# ## What has to be computed
#
# A dense layer is $Z = XW + b$, and its gradients are $X^\top\,\mathrm dZ$ and
# $\mathrm dZ\,W^\top$: three products of matrices. In a product
#
# $$C_{ij} = \sum_k A_{ik} B_{kj}, \qquad A: n \times d, \quad B: d \times m$$
#
# there are $n\,d\,m$ terms, and each costs a multiplication and an addition: $2ndm$ floating-point
# operations (FLOPs). For the net 784-128-64-10 and a batch of 64, this is the bill:

# %%
for name, (what, batch) in measure.WORKLOADS.items():
    print(f"{name:24} {measure.flops(what, batch) / 1e6:10,.2f} million FLOPs")

# %% [markdown]
# The rest of a step (biases, ReLU, softmax, the update) touches each number once or twice. The
# products touch each number of $W$ once for every image. So whoever wants a fast network writes a
# fast product, and its speed is counted in FLOPs per second; a GFLOP/s is $10^9$ of them.
#
# ## First: the formula as it stands
#
# Three loops, in the order of the formula: for each $i$ and $j$, the sum over $k$.

# %%
print(bridge.part(2))

# %% [markdown]
# Two things are wrong with it, and neither is visible in the formula.
#
# - **The way through memory.** The inner loop walks down a column of $B$. A processor never fetches
#   one number: it fetches a *cache line* of 64 bytes, 16 numbers of float32. Down a column, each
#   line is fetched for the sake of one number.
# - **The chain of sums.** Each addition to `sum` needs the result of the one before, so the
#   processor waits some cycles for each. It could add 4, 8 or 16 numbers with one *vector*
#   instruction. But the compiler must not regroup a sum of floats, since that would round
#   differently.
#
# ## Second: the order of the loops
#
# The sums can be taken in any order of the three loops. With $j$ innermost, a row of $B$, times
# one number of $A$, is added to a row of $C$:

# %%
print(bridge.part(3))

# %% [markdown]
# The same terms, and the inner loop now runs along rows: every number of a cache line is used. The
# additions of one inner loop go to different places, so none waits for another, and the compiler
# turns the loop into vector instructions by itself (`-O3 -march=native`).
#
# The picture shows in which order the inner loops visit a matrix $B$ of $8 \times 8$ numbers.

# %% jupyter={"source_hidden": true}
n = 8
row, col = np.divmod(np.arange(n * n), n)
orders = {
    "naive: down the columns": col * n + row,
    "reordered: along the rows": row * n + col,
    "blocked: panel by panel": (col // 4) * n * 4 + row * 4 + col % 4,
}
figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.9))
for ax, (title, order) in zip(axes, orders.items(), strict=True):
    image = ax.imshow(order.reshape(n, n), cmap="viridis")
    path = np.argsort(order)
    ax.plot(col[path], row[path], color="white", lw=0.9, alpha=0.8)
    ax.set(title=title, xticks=[], yticks=[])
    ax.grid(False)
bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 63])
bar.ax.set_yticklabels(["first", "last"])
material.show(
    "Three tables of 8 by 8 squares, coloured by the time of the visit: down the columns, along "
    "the rows, and panel by panel."
)

# %% [markdown]
# ## Third: blocks
#
# Now the processor's arithmetic waits for memory. For each term, the inner loop loads a number of
# $B$, loads a number of $C$ and stores it again: 12 bytes for 2 FLOPs. This ratio has a name, the
# *arithmetic intensity*, here 1/6 FLOP per byte. It can be raised by using a number more often
# while it is at hand.
#
# Take a tile of $C$, of $R \times T$ numbers, so small that its sums stay in the vector registers,
# the few places on which the processor computes directly. For each $k$, load $R$ numbers of $A$ and
# $T$ of $B$, and make all $R \cdot T$ products of them:
#
# $$\text{intensity} = \frac{2RT}{4(R + T)} \;\text{FLOPs per byte.}$$

# %%
def intensity(rows: int, cols: int) -> float:
    """FLOPs per byte loaded by a tile of C of so many rows and columns, float32."""
    return 2 * rows * cols / (4 * (rows + cols))


for tile in [(1, 1), (4, 24), (8, 32)]:
    print(f"tile {tile[0]} × {tile[1]:2}: {intensity(*tile):.2f} FLOPs per byte")

# %% [markdown]
# The file uses a tile of 8 × 32 where a vector register holds 16 numbers (AVX-512, of which there
# are 32: 16 for the sums, the rest for what is loaded), and 4 × 24 elsewhere.
#
# The same thought once more, one size larger. Registers are filled from the caches: a small fast
# one (L1), a larger slower one (L2). So $B$ is cut into panels of 256 rows and as many columns as
# the tile has. A panel is copied together so that its rows lie side by side; with 32 columns it
# has 32 KiB, about what L1 holds, and serves 256 rows of $A$ before the next one comes. This is the
# way of all fast libraries (Goto and van de Geijn, 2008).

# %%
print(bridge.part(4))

# %% [markdown]
# No vector instruction is written down: the innermost loop has a fixed length, and the compiler
# makes two vectors of it, unrolls the loop over `r` and keeps `sum` in registers.
#
# ## Fourth: threads
#
# Rows of $C$ do not depend on each other. Each thread takes its share of them, all read the same
# $A$ and $B$, and no two write to the same place: nothing to lock, and the same bits as without
# threads. But until a new thread runs on another core, some tens of microseconds pass, time for
# millions of FLOPs. So products below ten million terms are not shared out.

# %%
print(bridge.part(5))

# %% [markdown]
# ## The network on top
#
# With the product in hand, the rest is lesson 2 line by line. The bias is kept as the last row of
# the weights; the gradient of the loss with respect to the logits is $(\mathrm{softmax}(z) -
# \text{one-hot}) / n$.

# %%
print(bridge.part(6, 7))

# %% [markdown]
# ## Files
#
# Images and labels come as IDX files, the format of MNIST: a header that says how many numbers
# follow, then the numbers. A program that believes a header reads beyond the end of a damaged file.
# This one compares first, and refuses.

# %%
print(bridge.part(8, lines=slice(0, 25)))

# %%
x_train, y_train, x_test, y_test = material.handwritten()
pixels, test_pixels = bridge.to_bytes(x_train), bridge.to_bytes(x_test)
x_train = pixels.reshape(-1, 784) / np.float32(255)  # What the files hold is what all compute with.
x_test = test_pixels.reshape(-1, 784) / np.float32(255)
train_images = bridge.write_idx(folder / "train-images", pixels)
train_labels = bridge.write_idx(folder / "train-labels", y_train)
test_images = bridge.write_idx(folder / "test-images", test_pixels)

if program:
    damaged = folder / "damaged"
    damaged.write_bytes(test_images.read_bytes()[:-1])
    weights = bridge.write_weights(folder / "any", [(np.zeros((784, 10)), np.zeros(10))])
    try:
        bridge.predict(program, weights, damaged)
    except RuntimeError as error:
        message = str(error).replace(str(folder) + os.sep, "")
    print(message)
    assert "truncated" in message

# %% [markdown]
# ## Same weights in, same predictions out
#
# A network that learned in Python, with the layers of lesson 2, goes into a file of weights. The
# C++ program reads it and computes the probabilities of the test images, in each of its stages. The
# sums are taken in other orders and so rounded differently; beyond that, nothing may differ.

# %%
sizes = measure.SIZES


def network(seed: int = 0) -> by_hand.Model:
    """784-128-64-10 in float32; its outputs are logits."""
    layers = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers += [by_hand.DenseLayer(a, b, seed + i, np.float32), by_hand.Activation_ReLU()]
    return by_hand.Model(layers[:-1])


def dense(model: by_hand.Model) -> list:
    """The layers that have weights."""
    return [layer for layer in model.layers if hasattr(layer, "weights")]


def train(model: by_hand.Model, x, y, batch: int = 64, rate: float = 0.1) -> None:
    """One epoch in the order of the file."""
    last = by_hand.Activation_Softmax_Loss_CategoricalCrossentropy()
    optimizer = by_hand.Optimizer_SGD(rate)
    for first in range(0, len(x), batch):
        labels = y[first : first + batch]
        last.forward(model.forward(x[first : first + batch]), labels)
        last.backward(last.output, labels)
        model.backward(last.dinputs)
        optimizer.update_params(model)


model = network()
for _ in range(1 if len(x_train) > 10_000 else 10):
    train(model, x_train[:12_800], y_train[:12_800])
softmax = by_hand.Activation_Softmax()
expected = softmax.forward(model.forward(x_test))
pairs = [(layer.weights, layer.biases) for layer in dense(model)]
weights = bridge.write_weights(folder / "weights", pairs)
print(f"{material.source()}: {np.mean(expected.argmax(1) == y_test):.2%} of the test images right")

if program:
    some = bridge.write_idx(folder / "some-images", test_pixels[:300])
    for stage in bridge.STAGES:
        images = some if stage == "naive" else test_images
        found = bridge.predict(program, weights, images, stage=stage)
        difference = np.abs(found - expected[: len(found)]).max()
        print(f"{stage:10} {len(found):6,} images, largest difference {difference:.1e}")
        assert difference < 1e-5

# %% [markdown]
# The same file feeds Chainrule, where `Linear` keeps its weight transposed, as PyTorch does:

# %%
linears = [nn.Linear(a, b) for a, b in pairwise(sizes)]
chain = nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])
state = {}
for place, (w, b) in zip((0, 2, 4), bridge.read_weights(weights), strict=True):
    state |= {f"{place}.weight": cr.tensor(w.T.copy()), f"{place}.bias": cr.tensor(b.copy())}
chain.load_state_dict(state)
with cr.no_grad():
    found = cr.softmax(chain(cr.from_numpy(x_test)), 1).numpy()
print(f"Chainrule  {len(found):6,} images, largest difference {np.abs(found - expected).max():.1e}")
assert np.abs(found - expected).max() < 1e-5

# %% [markdown]
# Training has to agree as well. From the same start, both take 20 steps with the same batches;
# then the weights are compared. Then the C++ program learns alone, from its own start.

# %%
if program:
    few_images = bridge.write_idx(folder / "few-images", pixels[: 20 * 64])
    few_labels = bridge.write_idx(folder / "few-labels", y_train[: 20 * 64])
    start, after = network(seed=7), folder / "after"
    pairs = [(layer.weights, layer.biases) for layer in dense(start)]
    begin = bridge.write_weights(folder / "start", pairs)
    bridge.run(program, "train", few_images, few_labels, **{"from": begin, "out": after})
    train(start, x_train[: 20 * 64], y_train[: 20 * 64])
    for layer, (w, b) in zip(dense(start), bridge.read_weights(after), strict=True):
        difference = max(np.abs(layer.weights - w).max(), np.abs(layer.biases - b).max())
        print(f"{layer!r:20} after 20 steps: largest difference {difference:.1e}")
        assert difference < 1e-4

    epochs = 3 if len(x_train) > 10_000 else 20
    print(bridge.run(program, "train", train_images, train_labels, epochs=epochs, out=after))
    found = bridge.predict(program, after, test_images)
    accuracy = np.mean(found.argmax(1) == y_test)
    print(f"{accuracy:.2%} of the test images right")
    assert accuracy > 0.9

# %% [markdown]
# ## How fast
#
# All candidates take turns, each has its two threads where it can use them, and of all rounds the
# least time counts: whatever else the machine does can only lengthen one. GFLOP/s counts only the
# products; what else a step does makes the time longer and the rate smaller.
#
# **Predict, then run.** The first two stages differ in the order of two loops, nothing else. How
# many times faster is the second one? And how far from it are the blocks: 2 times, 10 times?

# %%
if program:
    result = measure.measure(program)
    if os.environ.get("CHAINRULE_STORE") == "1":
        measure.store(result)
else:
    result = measure.stored()
    print(f"Stored on {result['machine']['date']}: {measure.described(result['machine'])}.")
print(measure.table(result))

# %% jupyter={"source_hidden": true}
rates = measure.rates(result)
colors = [material.SKY] * 3 + [material.BLUE] + [material.ORANGE] + [material.GREEN] * 2
figure, axes = plt.subplots(2, 2, figsize=(8, 5.4), sharex=True, sharey=True)
for ax, (name, row) in zip(axes.flat, rates.items(), strict=True):
    places = np.arange(len(row))[::-1]
    ax.hlines(places, 0.1, list(row.values()), color=colors, lw=1)
    ax.scatter(list(row.values()), places, color=colors, s=40)
    for place, rate in zip(places, row.values(), strict=True):
        ax.text(rate * 1.5, place, f"{rate:,.3g}", va="center", fontsize=8)
    ax.set(xscale="log", title=name, xlim=(0.1, 4000), ylim=(-0.6, 6.6))
    ax.grid(axis="y", visible=False)
axes[0, 0].set_yticks(places, list(row))
for ax in axes[1]:
    ax.set_xlabel("GFLOP/s")
material.show(
    "GFLOP/s of seven programs on four workloads, with a logarithmic axis: C++ naive is the "
    "slowest everywhere, then reordered; blocked, threads, NumPy and Chainrule are ten to a "
    "hundred times as fast."
)

# %%
training = result["seconds"]["training, batch 64"]
for slow, fast in [("naive", "reordered"), ("reordered", "blocked"), ("naive", "blocked")]:
    ratio = training[f"C++ {slow}"] / training[f"C++ {fast}"]
    print(f"a training step: {fast} is {ratio:.1f} times as fast as {slow}")
    assert ratio > 1.5

# %% [markdown]
# Not one FLOP was saved between the first line and the third: the factor is only the order in which
# the same numbers are visited, and what it lets the compiler and the caches do.
#
# **A batch of one.** Here every number of $W$ is used for one multiplication and one addition, so
# the intensity is at most $2/4$, whatever the order of the loops: nothing can be used twice. The
# `blocked` stage knows that, and hands fewer rows than a tile to the second stage. The time of a
# prediction is then the time to read the weights from the cache, and what a call costs. The latter
# is why C++ answers much sooner than NumPy, which is called from Python again for every layer.

# %%
numbers = sum(a * b + b for a, b in pairwise(sizes))
single = result["seconds"]["inference, batch 1"]
best = min(seconds for name, seconds in single.items() if name.startswith("C++"))
print(f"{numbers * 4 / 1024:.0f} KiB of weights in {best * 1e6:.1f} µs: "
      f"{numbers * 4 / best / 1e9:.0f} GB/s")
assert best < single["NumPy by hand"]

# %% [markdown]
# **Predict, then run.** The last stage shares the rows out to two threads. By which factor is each
# of the four workloads faster?

# %%
for name, row in result["seconds"].items():
    ratio = row["C++ blocked"] / row["C++ threads"]
    print(f"{name:24} threads: {ratio:.2f} times as fast as without")

# %% [markdown]
# **Threads.** A step with 64 images is too short to share: two threads would win less than it takes
# to start them. With more images the shares are large, and two threads can nearly halve the time,
# if the second core has nothing else to do.
#
# Chainrule's engine is built from the same ideas: tiles in registers, panels in caches, and threads
# that stay, watching for work. What it adds is that it writes such a program for any network.
# Lesson 10 goes there.

# %%
shutil.rmtree(folder)

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 5 --answers`.
#
# **1. Count.** The FLOPs in the products of one training step of any dense network. Is it the bill
# above for 784-128-64-10 and a batch of 64?

# %%
from lessons.exercises.lesson_05 import check


def step_flops(sizes, batch):
    ...


check(1, step_flops)

# %% [markdown]
# **2. The best tile.** Count instructions instead of bytes. A tile of $R$ rows of $v$ vectors needs
# $Rv$ registers for the sums, $v$ for a row of the panel, and one for the number of $A$, which a
# load copies to all places of a register. For each $k$ that is $R + v$ loads for $Rv$
# multiply-adds. Which tile has the most of them for a load? Then try yours in `network.cpp`.


# %%
def best_tile(registers, lanes):
    """(rows, columns) of the tile; a register holds `lanes` numbers."""
    ...


check(2, best_tile)

# %% [markdown]
# **3. Tiles in Python.** The product with the loops of `multiply_tile`, and `@` nowhere. The tile
# need not divide the sizes.


# %%
def tiled_product(a, b, rows, cols):
    ...


check(3, tiled_product)

# %% [markdown]
# **4. A cache on paper.** Simulate a cache of `lines` lines of 16 numbers, which drops the line
# that was not used for longest. Count the misses of a product of $n \\times n$ matrices A, B and C,
# which lie one after the other, with the loops in the order `"ijk"` or `"ikj"`.


# %%
def misses(order, n, lines):
    ...


check(4, misses)

# %% [markdown]
# **5. Threads that stay.** In a copy of `lessons/cpp/network.cpp`, replace the threads that are
# started for each product by threads that wait for work. Training must leave the same bits. (The
# thread sanitizer, `make CXXFLAGS="-O1 -g -fsanitize=thread"`, should be silent; and with a free
# core even a step at batch 64 is faster.)

# %%
my_program = ...  # the path of your copy

check(5, my_program)
