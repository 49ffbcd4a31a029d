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
import prelude

prelude.begin(threads=None)

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
from lessons import material, pictures
from lessons.by_hand import batch_norm, convolution

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

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(1, 5, figsize=(8.5, 2), layout="constrained")
drawn = {"image": digit[0, 0], "filter 1": edges[0, 0], "feature map 1": maps[0, 0],
         "filter 2": edges[1, 0], "feature map 2": maps[0, 1]}
for axis, (title, picture) in zip(axes, drawn.items(), strict=True):
    pictures.signed(axis, picture, title)
material.show(
    "A handwritten four, two filters of 3 by 3, and their feature maps: the first marks left and "
    "right borders of the strokes, the second upper and lower ones."
)

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
#
# **Predict, then run.** Both ways do the same multiplications, and both are Python. How many times
# faster is the one product: 2, 20, 200?

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
assert np.allclose(normalized.mean((0, 2, 3)), 0, atol=1e-4)
assert np.allclose(normalized.std((0, 2, 3)), 1, atol=1e-3)

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True, layout="constrained")
for axis, values, title in zip(axes, (maps, normalized), ("before", "after"), strict=True):
    for channel in range(4):
        axis.hist(values[:, channel].ravel(), bins=60, range=(-4, 6), histtype="step",
                  density=True, log=True, label=f"channel {channel}")
    axis.set(title=f"{title} batch normalization", xlabel="value")
axes[0].set_ylabel("density")
axes[0].legend(loc="upper right", fontsize=8)
material.show(
    "Histograms of four channels before and after batch normalization: before, they have "
    "different centres and widths; after, the same."
)

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
]
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
    )


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
filters = conv1.weight.detach().numpy()[:, 0], conv2.weight.detach().numpy()

# %% jupyter={"source_hidden": true}
figure = plt.figure(figsize=(8.5, 4.6), layout="constrained")
grid = figure.add_gridspec(4, 8)
material.picture(figure.add_subplot(grid[0:2, 0:2]), digit[0, 0], "image", cmap="gray_r")
for row, maps in ((0, first), (2, second)):
    for i, number in enumerate(range(maps.shape[1]), 3 if row == 0 else 0):
        weights = filters[row // 2][number]
        weights = pictures.four_squares(weights) if row else weights
        pictures.signed(figure.add_subplot(grid[row, i]), weights, f"filter {number}")
        picture = maps.numpy()[0, number]
        material.picture(figure.add_subplot(grid[row + 1, i]), picture, f"map {number}",
                         cmap="gray_r", vmin=0)
material.show(
    "The image, the four filters of the first layer with their maps, and the eight filters of "
    "the second layer with theirs, which are half as fine."
)

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
#
# **Predict, then run.** At which of the rates 0.02, 0.2 and 2 does the network learn without batch
# normalization, and at which with it?

# %%
RATES, STEPS = (0.02, 0.2, 2.0), 150
curves = {}
for normalize in (True, False):
    for lr in RATES:
        cr.manual_seed(1)
        plain = network(normalize)
        curves[normalize, lr] = train(plain, optim.SGD(plain.parameters(), lr=lr), STEPS)

last = {key: np.mean(values[-20:]) for key, values in curves.items()}
for lr in RATES:
    print(f"learning rate {lr}: loss {last[True, lr]:.3f} with, {last[False, lr]:.3f} without")
assert all(last[True, lr] < last[False, lr] for lr in RATES)
assert last[False, 2.0] > 2.0 > 1.0 > last[True, 2.0]

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.5), sharey=True, layout="constrained")
for axis, lr in zip(axes, RATES, strict=True):
    for normalize, label in ((True, "with batch norm"), (False, "without")):
        smooth = np.convolve(curves[normalize, lr], np.ones(10) / 10, "valid")
        axis.plot(np.arange(len(smooth)) + 10, smooth, label=label)
    axis.set(title=f"learning rate {lr}", xlabel="step", ylim=(0, 3))
axes[0].set_ylabel("loss (mean of 10 steps)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
material.show(
    "Loss over 150 steps at three learning rates: with batch normalization it falls at all of "
    "them, without it slowly at 0.02 and not at all at 2."
)

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
#
# **Predict, then run.** One image, 60 times, each time in a batch with 31 others. By how much does
# the probability of its answer change in training mode, by how much in evaluation mode?

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
print(f"from {min(while_training):.2f} to {max(while_training):.2f} in training mode, "
      f"always {while_evaluating[0]:.4f} in evaluation mode")
assert np.ptp(while_evaluating) < 1e-4 and np.ptp(while_training) > 0.1

# %% jupyter={"source_hidden": true}
figure, axis = plt.subplots(figsize=(6, 2.2), layout="constrained")
axis.plot(while_training, "o", markersize=4, label="training mode")
axis.plot(while_evaluating, label="evaluation mode")
axis.set(xlabel="companions, drawn anew each time", ylabel=f"probability of a {answer}")
axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
material.show(
    "The probability of the answer for 60 sets of companions: points that scatter widely in "
    "training mode, and a level line in evaluation mode."
)

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
plane = cr.from_numpy(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
story = []
for step in range(301):
    if step in frames:
        with cr.no_grad():
            inner = F.softmax(small(plane), 1).numpy()[:, 1].reshape(61, 61)
            right = float((small(x).numpy().argmax(1) == ring).mean())
        lines = small[0].weight.detach().numpy(), small[0].bias.detach().numpy()
        story.append(pictures.Frame(f"step {step}: {right:.0%}", inner, *lines))
    ring_step(x, y)
print(f"after 300 steps {right:.1%} of the points are on the right side")
assert right >= 0.99

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(1, 4, figsize=(8.5, 2.4), layout="constrained")
for axis, step in zip(axes, (0, 30, 78, 300), strict=True):
    pictures.regions(axis, story[frames.index(step)], side, points, ring)
material.show(
    "The plane with two rings of points at four moments of the training: the regions of the two "
    "classes and the lines of the four neurons, which surround the inner ring at the end."
)

# %% [markdown]
# Colours are the probability that the network gives to the inner ring, black lines the four
# neurons. First they lie anywhere; then they move until they surround the inner ring. The same as
# an animation:

# %% jupyter={"source_hidden": true}
pictures.movie(
    lambda axis, frame: pictures.regions(axis, frame, side, points, ring), story,
    "The regions of the two rings during training: the four lines move from anywhere until they "
    "surround the inner ring.",
)

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 8 --answers`.
#
# **1. How far does it see?.** The side of the square of pixels that one output depends on, for a
# list of `(kernel, stride)` from the first layer to the last. For the two convolutions and two
# poolings of our network it is 16.

# %%
from lessons.exercises.lesson_08 import check


def receptive_field(layers):
    ...


check(1, receptive_field)

# %% [markdown]
# **2. Max pooling by hand.** A layer with `forward` and `backward` for 2 × 2 squares that do not
# overlap; $(N, C, H, W)$ becomes $(N, C, H/2, W/2)$.


# %%
class MaxPooling:
    def forward(self, inputs):
        ...

    def backward(self, dvalues):
        ...


check(2, MaxPooling)

# %% [markdown]
# **3. A bias without effect.** Show by numbers that the gradient of a convolution's bias is 0 when
# a batch normalization follows in training mode, and explain it with the two directions above.


# %%
def bias_gradients(x):
    """(gradient with batch normalization, gradient without); x is (N, C, H, W)."""
    ...


check(3, bias_gradients)

# %% [markdown]
# **4. Folding.** In evaluation mode a batch normalization is multiplication and addition with fixed
# numbers, so a convolution can do it on the side. Give the weights and biases of a single
# convolution that replaces both.


# %%
def fold(weights, biases, norm):
    """(weights, biases); norm is an `nn.BatchNorm2d`, with `running_mean` and `running_var`."""
    ...


check(4, fold)
