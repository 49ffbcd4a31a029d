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
# # 8. Convolution and batch normalization
#
# The networks so far took an image as a list of numbers in no order. A convolution uses what a
# list forgets: which pixels are neighbours. We write it by hand, as loops and then as one matrix
# product, do the same with batch normalization, and train a small convolutional network with both.
# The lesson ends with a network so small that one can watch each of its neurons decide.

# %%
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd().parent if Path.cwd().name == "lessons" else Path.cwd()))

# %%
import base64
import inspect
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
from lessons import material
from lessons.by_hand import batch_norm, convolution

material.style()
x_train, y_train, x_test, y_test = material.handwritten()
x_train, x_test = x_train.reshape(-1, 1, 28, 28), x_test.reshape(-1, 1, 28, 28)
full = len(x_train) >= 50_000  # All of MNIST, or the digits that ship with Chainrule.
print(f"{material.source()}: {len(x_train):,} images to train on, {len(x_test):,} to test")

# %% [markdown]
# ## Why not a dense layer?
#
# A dense layer from 28 × 28 pixels to 4 × 28 × 28 outputs has a weight for each pair of an input
# and an output. Most of them are useless: whether there is an edge in the upper left corner does
# not depend on the lower right one. And what it learns about edges in one corner, it must learn
# again in every other.
#
# A **convolution** (LeCun et al., 1989) drops both burdens:
#
# - an output looks only at a small window of the image (it is **local**);
# - every window is weighed with the same numbers, the **filter** (weights are **shared**).

# %%
pixels = 28 * 28
dense = pixels * 4 * pixels + 4 * pixels
shared = 4 * 5 * 5 + 4
print(f"28 × 28 → 4 × 28 × 28: dense {dense:,} parameters, four 5 × 5 filters {shared}")
assert shared * 10_000 < dense

# %% [markdown]
# ## A filter, slid over an image
#
# Put a filter of $k \times k$ numbers on a window of the image, multiply each pixel by the number
# above it, and add. Do so at every place: the sums are again an image, a **feature map**, which is
# bright where the image looks like the filter. Here two filters of our own making, one that is
# positive on the right and negative on the left, and the same on its side.

# %%
digit = x_test[[int((y_test == 4).argmax())]]
vertical = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
edges = np.stack([vertical, vertical.T])[:, None]  # (filters, channels, 3, 3)
maps = convolution.convolve(digit, edges, np.zeros(2, np.float32), padding=1)

figure, axes = plt.subplots(1, 5, figsize=(8.5, 2), layout="constrained")
pictures = [digit[0, 0], edges[0, 0], maps[0, 0], edges[1, 0], maps[0, 1]]
titles = ["image", "filter 1", "feature map 1", "filter 2", "feature map 2"]
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    limit = np.abs(picture).max()
    axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set(title=title, xticks=[], yticks=[])
    axis.grid(False)
plt.show()

# %% [markdown]
# Red is positive, blue negative, white zero. The first filter answers at the left and right borders
# of each stroke, with opposite signs; the second at the upper and lower ones. A convolutional layer
# *learns* such filters.
#
# With $C$ channels in the image (1 for grey, 3 for colour, or as many as the layer before has
# filters), a filter has a $k \times k$ square for each channel, and a layer has $O$ filters:
#
# $$y_{n,o,i,j} = b_o + \sum_{c} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1}
# w_{o,c,u,v}\; x_{n,c,\,i+u,\,j+v}$$
#
# Two more settings: **padding** puts a border of zeros around the image, so that with $k = 3$ and
# padding 1 the map is as large as the image; **stride** $s$ moves the window by $s$ pixels at a
# time, so that $x$ is read at $s\,i + u$. The map then has $\lfloor (H + 2p - k)/s \rfloor + 1$
# rows. As code, the formula is seven nested loops, written here as one over all their combinations:

# %%
print(inspect.getsource(convolution.convolve))

# %% [markdown]
# ## Backward
#
# Let $g = \partial L / \partial y$. The formula above is a sum of products $w \cdot x$, and
# $\partial (w x) / \partial w = x$, $\partial (w x) / \partial x = w$. So we walk over the same
# products again. Each gives $g \cdot x$ to its weight and $g \cdot w$ to its pixel:
#
# $$\frac{\partial L}{\partial w_{o,c,u,v}} = \sum_{n,i,j} g_{n,o,i,j}\; x_{n,c,\,i+u,\,j+v}, \qquad
# \frac{\partial L}{\partial x_{n,c,r,s}} = \sum_{o,u,v} g_{n,o,\,r-u,\,s-v}\; w_{o,c,u,v}, \qquad
# \frac{\partial L}{\partial b_o} = \sum_{n,i,j} g_{n,o,i,j}$$
#
# A weight is used at every place, so its gradient is a sum over all places. That is all that
# sharing does to the chain rule.

# %%
print(inspect.getsource(convolution.convolve_backward))

# %% [markdown]
# Is it right? Chainrule's own convolution, differentiated by `backward()`, must give the same four
# arrays. Both compute in float64, so that only a wrong formula could make a difference.

# %%
draw = np.random.default_rng(0)
x, w, b = draw.normal(size=(2, 3, 9, 8)), draw.normal(size=(4, 3, 3, 3)), draw.normal(size=4)
y = convolution.convolve(x, w, b, stride=2, padding=1)
g = draw.normal(size=y.shape)
by_hand = [y, *convolution.convolve_backward(g, x, w, stride=2, padding=1)]

tensors = [cr.tensor(a, requires_grad=True) for a in (x, w, b)]
output = F.conv2d(*tensors, stride=2, padding=1)
output.backward(cr.tensor(g))
by_chainrule = [output.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def largest_difference(ours, theirs):
    return max(float(np.abs(a - c).max()) for a, c in zip(ours, theirs, strict=True))


print(f"largest difference, loops: {largest_difference(by_hand, by_chainrule):.1e}")
assert largest_difference(by_hand, by_chainrule) < 1e-10

# %% [markdown]
# ## The same as one matrix product
#
# The loops are right, and slow: Python spends its time on the loop, not on the sums. But look at
# one output: it is the inner product of a window with a filter. Write **every window as a row** of
# a matrix $P$ and every filter as a column of $W^\top$, and all outputs of all images are one
# product (this is what *im2col* stands for, "image to columns"; here they are rows):
#
# $$Y = P\,W^\top + b, \qquad
# \frac{\partial L}{\partial W} = G^\top P, \qquad \frac{\partial L}{\partial P} = G\,W$$
#
# These are the formulas of the dense layer of lesson 2. Only the way back from windows to image is
# new: a pixel lies in several windows, so what they say about it is added. `col2im` does that.

# %%
print(inspect.getsource(convolution.im2col))
print(inspect.getsource(convolution.Convolution.forward))
print(inspect.getsource(convolution.Convolution.backward))

# %%
layer = convolution.Convolution(3, 4, kernel=3, stride=2, padding=1)
layer.weights, layer.biases = w, b
y = layer.forward(x)
dx = layer.backward(g)
as_product = [y, dx, layer.dweights, layer.dbiases]
print(f"largest difference, matrix product: {largest_difference(as_product, by_chainrule):.1e}")
assert largest_difference(as_product, by_chainrule) < 1e-10

# %% [markdown]
# Now the clock: 4 filters of 5 × 5 over two images, forward and backward.

# %%
two = x_train[:2]
layer = convolution.Convolution(1, 4, 5, padding=2)
g = draw.normal(size=(2, 4, 28, 28)).astype(np.float32)


def loops():
    convolution.convolve(two, layer.weights, layer.biases, padding=2)
    convolution.convolve_backward(g, two, layer.weights, padding=2)


def product():
    layer.forward(two)
    layer.backward(g)


def seconds_of(run, calls):
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


slow, fast = seconds_of(loops, 1), seconds_of(product, 20)
print(f"loops {slow * 1e3:.0f} ms, one product {fast * 1e3:.2f} ms: {slow / fast:.0f} times faster")
assert slow > 20 * fast

# %% [markdown]
# The price is memory: a pixel is written once for every window it lies in, so $P$ is up to $k^2$
# times as large as the images. Chainrule's engine therefore does not build $P$: it reads the
# windows where they lie.
#
# ## Pooling
#
# After a convolution, neighbouring numbers of a map say nearly the same. **Max pooling** keeps the
# largest of each 2 × 2 square. The map has a quarter of the numbers left, a shift by one pixel
# changes little, and the filters of the next layer see twice as far. Backward, the gradient goes to
# the number that was kept. (Exercise 2 builds it.)
#
# ## Batch normalization
#
# While the weights of a layer change, so do the mean and the spread of what it hands on, and the
# layer above chases a moving target. When the spread gets too large or too small, gradients explode
# or vanish (lesson 7). Ioffe and Szegedy (2015) do not hope that it stays in order; they put it in
# order, in every step. For each feature, over the $m$ numbers that the batch has of it (for a
# channel of images: over all images and all places),
#
# $$\mu = \frac1m \sum_i x_i, \qquad v = \frac1m \sum_i (x_i - \mu)^2, \qquad
# \hat x_i = \frac{x_i - \mu}{\sqrt{v + \varepsilon}}, \qquad y_i = \gamma\,\hat x_i + \beta$$
#
# $\hat x$ has mean 0 and variance 1. The learned $\gamma$ and $\beta$ let the network choose
# another scale and centre where it needs one, as two plain parameters instead of a side effect of
# all the others. ($\varepsilon = 10^{-5}$ only keeps the root away from 0.)

# %%
norm = batch_norm.BatchNormalization(4)
maps = layer.forward(x_train[:100])
normalized = norm.forward(maps)

figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True, layout="constrained")
for axis, values, title in zip(axes, (maps, normalized), ("before", "after"), strict=True):
    for channel in range(4):
        axis.hist(values[:, channel].ravel(), bins=60, range=(-4, 6), histtype="step",
                  density=True, log=True, label=f"channel {channel}")  # fmt: skip
    axis.set(title=f"{title} batch normalization", xlabel="value")
axes[0].set_ylabel("density")
axes[0].legend(loc="upper right", fontsize=8)
plt.show()
assert np.allclose(normalized.mean((0, 2, 3)), 0, atol=1e-4)
assert np.allclose(normalized.std((0, 2, 3)), 1, atol=1e-3)

# %% [markdown]
# ### Its gradient
#
# Here care is needed. Each $x_i$ acts on the loss in three ways: through its own $\hat x_i$, and,
# through $\mu$ and $v$, on the $\hat x_j$ of **all other examples**. With $\hat g_i = \gamma\, g_i$
# and $\sigma = \sqrt{v + \varepsilon}$,
#
# $$\frac{\partial \mu}{\partial x_i} = \frac1m, \qquad
# \frac{\partial \sigma}{\partial x_i} = \frac{x_i - \mu}{m\,\sigma} = \frac{\hat x_i}{m}, \qquad
# \frac{\partial \hat x_j}{\partial x_i}
#   = \frac{1}{\sigma}\Big(\delta_{ij} - \frac1m - \frac{\hat x_i\,\hat x_j}{m}\Big)$$
#
# and the sum over $j$ of $\hat g_j\, \partial \hat x_j / \partial x_i$ is
#
# $$\frac{\partial L}{\partial x_i} = \frac{1}{\sigma}
#   \Big(\hat g_i - \overline{\hat g} - \hat x_i\,\overline{\hat g\,\hat x}\Big)$$
#
# with a bar for the mean over the batch. With $\mu$ and $v$ taken for constants, only $\hat g_i /
# \sigma$ would be left. The two further terms have a meaning: adding the same number to all $x_i$
# changes nothing in $y$, and (but for $\varepsilon$) neither does scaling all of them, so the
# gradient must have no part in these two directions. The terms take it out.

# %%
print(inspect.getsource(batch_norm.BatchNormalization.backward))

# %%
x, g = draw.normal(2, 3, size=(6, 3, 5, 5)), draw.normal(size=(6, 3, 5, 5))
norm = batch_norm.BatchNormalization(3)
norm.weights, norm.biases = draw.normal(size=3), draw.normal(size=3)
y = norm.forward(x)
dx = norm.backward(g)

theirs = nn.BatchNorm2d(3, dtype=cr.float64)
with cr.no_grad():
    theirs.weight.assign(cr.tensor(norm.weights))
    theirs.bias.assign(cr.tensor(norm.biases))
inputs = cr.tensor(x, requires_grad=True)
output = theirs(inputs)
output.backward(cr.tensor(g))

ours = [y, dx, norm.dweights, norm.dbiases, norm.running_mean, norm.running_var]
by_chainrule = [
    t.detach().numpy()
    for t in (output, inputs.grad, theirs.weight.grad, theirs.bias.grad,
              theirs.running_mean, theirs.running_var)
]  # fmt: skip
print(f"largest difference to Chainrule: {largest_difference(ours, by_chainrule):.1e}")
assert largest_difference(ours, by_chainrule) < 1e-10

constant = g * norm.weights.reshape(1, 3, 1, 1) / norm.deviation  # μ and v taken for constants
wrong = np.linalg.norm(constant - dx) / np.linalg.norm(dx)
print(f"error of the gradient with constant μ and v: {wrong:.0%}")
shifting, scaling = dx.sum((0, 2, 3)), (dx * norm.normalized).sum((0, 2, 3))
print(f"the true gradient's part in shifting x: {np.abs(shifting).max():.0e}, "
      f"in scaling it: {np.abs(scaling).max():.0e}")
assert wrong > 0.02 and np.abs(shifting).max() < 1e-10 and np.abs(scaling).max() < 1e-3

# %% [markdown]
# ## The network
#
# Now with the framework. Two convolutions, 1 → 4 → 8 channels of 5 × 5, each followed by batch
# normalization, ReLU and 2 × 2 pooling, and then a small dense part on the 8 × 7 × 7 numbers
# that are left. A convolution before a batch normalization has no use for a bias: the mean takes it
# out again (exercise 3), hence `bias=False`.

# %%


def network(normalize=True):
    """1 → 4 → 8 channels, then 392-64-10; with or without batch normalization."""

    def norm(layer):
        return [layer] if normalize else []

    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2, bias=not normalize), *norm(nn.BatchNorm2d(4)),
        nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 5, padding=2, bias=not normalize), *norm(nn.BatchNorm2d(8)),
        nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(392, 64), *norm(nn.BatchNorm1d(64)), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


cr.manual_seed(0)
model = network()
print(nn.summary(model, cr.spec(100, 1, 28, 28)))

# %% [markdown]
# One epoch on batches of 100. When every image is seen only once, the learning rate matters: it
# climbs quickly to a large value and then falls to nearly nothing, so that the last steps can
# settle (the one-cycle schedule of Smith and Topin, 2018), here for Adam. The whole step, forward,
# backward, update and schedule, is one compiled program.

# %%
BATCH = 100


def batches(steps, seed=0):
    """The indices of so many batches: shuffled epochs, one after the other."""
    draw = np.random.default_rng(seed)
    per_epoch = len(x_train) // BATCH
    for step in range(steps):
        if step % per_epoch == 0:
            order = draw.permutation(len(x_train))
        first = step % per_epoch * BATCH
        yield order[first : first + BATCH]


def train(model, optimizer, steps, schedule=None):
    """The loss of each step."""
    model.train()

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return loss

    return [
        step(cr.from_numpy(x_train[batch]), cr.from_numpy(y_train[batch])).item()
        for batch in batches(steps)
    ]


def predict(model, x):
    """The scores (n, 10) in evaluation mode."""
    model.eval()
    with cr.no_grad():
        parts = [model(cr.from_numpy(x[i : i + 500])).numpy() for i in range(0, len(x), 500)]
    return np.concatenate(parts)


def accuracy(model):
    return float((predict(model, x_test).argmax(1) == y_test).mean())


# %%
epochs = 1 if full else 30  # The shipped digits have only 14 batches an epoch.
steps = epochs * (len(x_train) // BATCH)
optimizer = optim.Adam(model.parameters(), lr=0.02)
schedule = optim.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps, pct_start=0.2)
start = time.perf_counter()
losses = train(model, optimizer, steps, schedule)
seconds = time.perf_counter() - start
reached = accuracy(model)
print(f"{epochs} epoch(s), {steps} steps in {seconds:.1f} s: {reached:.2%} of the test images")
assert reached >= (0.985 if full else 0.98)

# %% [markdown]
# ## What it has learned
#
# The four filters of the first layer, and the maps that each layer makes of one image.

# %%
conv1, conv2 = model[0], model[4]
image = cr.from_numpy(digit)
with cr.no_grad():
    first = model[2](model[1](conv1(image)))  # convolution, batch norm, ReLU
    second = model[6](model[5](conv2(model[3](first))))
filters = conv1.weight.detach().numpy()[:, 0]

figure = plt.figure(figsize=(8.5, 4.6), layout="constrained")
grid = figure.add_gridspec(4, 8)


def show(place, picture, title="", signed=False):
    axis = figure.add_subplot(place)
    limit = np.nanmax(np.abs(picture)) or 1
    axis.imshow(picture, cmap="RdBu_r" if signed else "gray_r", vmin=-limit if signed else 0,
                vmax=limit)  # fmt: skip
    axis.set_title(title, fontsize=9)
    axis.axis("off")


def four_squares(weights):
    """(4, 5, 5) as one picture, with a gap between the squares."""
    gaps = np.pad(weights, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return gaps.reshape(2, 2, 6, 6).transpose(0, 2, 1, 3).reshape(12, 12)[:-1, :-1]


show(grid[0:2, 0:2], digit[0, 0], "image")
for i in range(4):
    show(grid[0, 3 + i], filters[i], f"filter {i}", signed=True)
    show(grid[1, 3 + i], first.numpy()[0, i], f"map {i}")
for i in range(8):
    show(grid[2, i], four_squares(conv2.weight.detach().numpy()[i]), f"filter {i}", signed=True)
    show(grid[3, i], second.numpy()[0, i], f"map {i}")
plt.show()

# %% [markdown]
# Above, the first layer: filters that differ in the direction of the strokes and borders they
# answer to. Below, the second: a filter has 5 × 5 numbers for each of the four maps below it (drawn
# as four squares), and its map, half as fine, can answer to combinations of strokes, such as a bend
# or an end.
#
# ## What batch normalization does
#
# The same network with and without it, from the same seed, with plain gradient descent (no
# momentum, no schedule) at three learning rates.

# %%
RATES, STEPS = (0.02, 0.2, 2.0), 150
curves = {}
for normalize in (True, False):
    for lr in RATES:
        cr.manual_seed(1)
        plain = network(normalize)
        curves[normalize, lr] = train(plain, optim.SGD(plain.parameters(), lr=lr), STEPS)

figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.5), sharey=True, layout="constrained")
for axis, lr in zip(axes, RATES, strict=True):
    for normalize, label in ((True, "with batch norm"), (False, "without")):
        smooth = np.convolve(curves[normalize, lr], np.ones(10) / 10, "valid")
        axis.plot(np.arange(len(smooth)) + 10, smooth, label=label)
    axis.set(title=f"learning rate {lr}", xlabel="step", ylim=(0, 3))
axes[0].set_ylabel("loss (mean of 10 steps)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

last = {key: np.mean(values[-20:]) for key, values in curves.items()}
for lr in RATES:
    print(f"learning rate {lr}: loss {last[True, lr]:.3f} with, {last[False, lr]:.3f} without")
assert all(last[True, lr] < last[False, lr] for lr in RATES)
assert last[False, 2.0] > 2.0 > 1.0 > last[True, 2.0]

# %% [markdown]
# With it, the network learns at every one of the three rates, and faster. Without it, the small
# rate is too slow, and the large one destroys the network: the loss stays at that of guessing, $\ln
# 10 \approx 2.30$. Batch normalization makes the scale of the weights nearly irrelevant, so a step
# that is too large does not spoil the layer above.
#
# ## Training and evaluation are two modes
#
# In training, an image is normalized with the mean and variance of its batch: its result depends on
# its **companions**. That is a little noise, and it even helps. But a finished network should give
# one image one answer. So each layer keeps running statistics, $r \leftarrow 0.9\,r + 0.1\,\mu$
# (and the same for $v$), and in evaluation mode it uses those. `model.train()` and `model.eval()`
# switch.

# %%
scores = predict(model, x_test)
ranked = np.sort(scores, 1)
unsure = int((ranked[:, -1] - ranked[:, -2]).argmin())  # Where the two best scores are closest.
answer = int(scores[unsure].argmax())
others = [draw.choice(len(x_train), 31, replace=False) for _ in range(60)]


def score(companions):
    batch = np.concatenate([x_test[[unsure]], x_train[companions]])
    with cr.no_grad():
        return float(F.softmax(model(cr.from_numpy(batch)), 1).numpy()[0, answer])


held = {name: value.numpy() for name, value in model.state_dict().items()}
model.train()
while_training = [score(companions) for companions in others]
model.load_state_dict(held)  # In training mode, looking also moves the running statistics.
model.eval()
while_evaluating = [score(companions) for companions in others]

figure, axis = plt.subplots(figsize=(6, 2.2), layout="constrained")
axis.plot(while_training, "o", markersize=4, label="training mode")
axis.plot(while_evaluating, label="evaluation mode")
axis.set(xlabel="companions, drawn anew each time", ylabel=f"probability of a {answer}")
axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
plt.show()
print(f"from {min(while_training):.2f} to {max(while_training):.2f} in training mode, "
      f"always {while_evaluating[0]:.4f} in evaluation mode")
assert np.ptp(while_evaluating) < 1e-4 and np.ptp(while_training) > 0.1

# %% [markdown]
# The image is the one of the test set on which the network is least sure, and its answer changes
# with the company. To forget `model.eval()` is a classical mistake: the answers then depend on what
# else is in the batch. With one image alone there is no variance at all to divide by, and Chainrule
# says so instead of returning zeros:

# %%
model.train()
try:
    model(image)
except cr.errors.ArgumentError as error:
    print(error)
else:
    raise AssertionError("a batch of one must be refused")
finally:
    model.load_state_dict(held)
    model.eval()

# %% [markdown]
# ## Two rings: watching a network decide
#
# Last, a network that one can look at whole. The points of two rings cannot be separated by a line.
# A network 2-4-2 has four hidden neurons; each is a $\tanh$ of $w \cdot x + b$, so it sees the
# plane cut by **one line**, $w \cdot x + b = 0$. The output combines the four.

# %%
points, ring = cr.data.circles(400, noise=0.05, seed=0)[:]
x, y = cr.from_numpy(points), cr.from_numpy(ring)
cr.manual_seed(2)
small = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
optimizer = optim.Adam(small.parameters(), lr=0.03)


@cr.compile
def ring_step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(small(x), y)
    loss.backward()
    optimizer.step()
    return loss


frames = [*range(0, 120, 6), *range(120, 301, 30)]
side = np.linspace(-1.5, 1.5, 61, dtype=np.float32)
plane = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
story = []
for step in range(301):
    if step in frames:
        with cr.no_grad():
            inner = F.softmax(small(cr.from_numpy(plane)), 1).numpy()[:, 1].reshape(61, 61)
            right = float((small(x).numpy().argmax(1) == ring).mean())
        lines = [small[0].weight.detach().numpy(), small[0].bias.detach().numpy()]
        story.append((step, inner, right, *lines))
    ring_step(x, y)
print(f"after 300 steps {story[-1][2]:.1%} of the points are on the right side")
assert story[-1][2] >= 0.99

# %%


def draw_frame(axis, frame):
    """The probability of the inner ring, the points, and the line of each hidden neuron."""
    step, inner, right, weights, biases = frame
    axis.clear()
    axis.contourf(side, side, inner, levels=np.linspace(0, 1, 9), cmap="RdBu_r", alpha=0.7)
    for label, colour in ((0, "tab:blue"), (1, "tab:red")):
        axis.plot(*points[ring == label].T, ".", color=colour, markersize=2.5)
    for (a, b), c in zip(weights, biases, strict=True):
        normal = np.array([a, b])
        foot, along = -c * normal / (normal @ normal), np.array([-b, a]) / np.hypot(a, b)
        axis.plot(*np.stack([foot - 5 * along, foot + 5 * along], 1), color="black", linewidth=0.8)
    axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[], aspect="equal")
    axis.set_title(f"step {step}: {right:.0%}", fontsize=9)
    axis.grid(False)


figure, axes = plt.subplots(1, 4, figsize=(8.5, 2.4), layout="constrained")
moments = [min(story, key=lambda frame: abs(frame[0] - step)) for step in (0, 30, 80, 300)]
for axis, frame in zip(axes, moments, strict=True):
    draw_frame(axis, frame)
plt.show()

# %% [markdown]
# Colours are the probability that the network gives to the inner ring, black lines the four
# neurons. First they lie anywhere; then they move until they surround the inner ring. The same as
# an animation:

# %%
figure, axis = plt.subplots(figsize=(3.2, 3.4), dpi=64, layout="constrained")
movie = FuncAnimation(figure, lambda i: draw_frame(axis, story[i]), frames=len(story))
with tempfile.TemporaryDirectory() as folder:
    movie.save(Path(folder) / "rings.gif", PillowWriter(fps=6))
    gif = (Path(folder) / "rings.gif").read_bytes()
plt.close(figure)
print(f"{len(story)} pictures, {len(gif) / 1000:.0f} kB")
assert len(gif) < 290_000  # As text in the notebook it is a third longer.

if "ipykernel" in sys.modules:
    from IPython.display import HTML, display

    text = base64.b64encode(gif).decode()
    display(HTML(f'<img alt="The regions of the two rings" src="data:image/gif;base64,{text}">'))

# %% [markdown]
# ## Exercises
#
# 1. **How far does it see?** Write `receptive_field(layers)` for a list of `(kernel, stride)`, from
#    the first layer to the last: the side of the square of pixels that one output depends on. See
#    for yourself: for the two convolutions and two poolings of our network it is 16; with
#    gradients, set $g$ to 1 at one output and look where $\partial L/\partial x$ is not 0.
# 2. **Max pooling by hand.** A class `MaxPooling` with `forward` and `backward` for 2 × 2 squares
#    that do not overlap. Compare with `nn.MaxPool2d(2)`, gradients included.
# 3. **A bias without effect.** Show by numbers that the gradient of a convolution's bias is 0 when
#    a batch normalization follows in training mode, and explain it with the two directions above.
# 4. **Folding.** In evaluation mode a batch normalization is multiplication and addition with fixed
#    numbers, so a convolution can do it on the side. Write `fold(weights, biases, norm)`, which
#    gives the weights and biases of a single convolution that replaces both.
#
# Answers: `lessons/answers/lesson_08.py`.

# %%
from lessons.answers import lesson_08 as answers

field = answers.receptive_field([(5, 1), (2, 2)] * 2)
print(f"one output of the second pooling sees {field} × {field} pixels")
assert field == 16

weights, biases = answers.fold(conv1.weight.detach().numpy(), np.zeros(4), model[1])
with cr.no_grad():
    both = model[1](conv1(image)).numpy()
folded = convolution.convolve(digit, weights, biases, padding=2)
print(f"convolution and batch norm, folded into one: difference {np.abs(folded - both).max():.1e}")
assert np.abs(folded - both).max() < 1e-4
