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
# # 7. What makes deep nets train
#
# A network of sixteen layers has the same formulas as one of two, and yet for a long time nobody
# could train one. This lesson finds out why by measuring: gradients and activations layer by layer,
# numbers that overflow, nets that learn their data by heart, and paths of descent that zigzag. Each
# problem is first seen, then understood, then removed. It ends with the choices that a modern net
# starts from.

# %%
import prelude

prelude.begin(threads=None)

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F
from lessons import material

x_train, y_train, x_test, y_test = material.handwritten()
print(material.source(), x_train.shape, x_test.shape)

# %% [markdown]
# Where the lesson speaks of variances, inputs should have mean 0 and variance 1. So the images are
# standardized, with the mean and the standard deviation of the training pixels. 20,000 of them to
# train and 2,000 to test are enough here.

# %%
mean, std = x_train.mean(), x_train.std()
x_train, x_test = (x_train[:20_000] - mean) / std, (x_test[:2_000] - mean) / std
y_train, y_test = y_train[:20_000], y_test[:2_000]


def network(sizes, activation):
    """Linear layers of these sizes, with the activation between them."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1])


def linears(model):
    """The linear layers of a network, first to last."""
    return [layer for layer in model if isinstance(layer, nn.Linear)]


def initialize(model, spread, seed=0):
    """Draw the weights of each layer with spread(weight); the biases are 0."""
    cr.manual_seed(seed)
    for layer in linears(model):
        spread(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


# %% [markdown]
# ## 1. The gradient on its way back
#
# Write layer $l$ as $z_l = W_l a_{l-1} + b_l$, $a_l = g(z_l)$. Backpropagation carries
# $\delta_l = \partial L / \partial z_l$ from the last layer to the first:
#
# $$\delta_{l} = g'(z_l) \odot W_{l+1}^\top \delta_{l+1}, \qquad
# \frac{\partial L}{\partial W_l} = \delta_l\, a_{l-1}^\top .$$
#
# So the gradient of the first layer is a **product** of as many factors as there are layers above
# it. Factors a little under 1 make it vanish, factors a little over 1 make it explode, and both
# happen exponentially in the depth. The sigmoid is the worst case: its slope
# $\sigma' = \sigma(1-\sigma)$ is at most $1/4$.
#
# Let us measure. Sixteen hidden layers of 100 neurons, one batch, and for each layer the root mean
# square of $\delta_l$ over all neurons and images. `cr.grad` gives the gradient with respect to any
# tensor on the way, so it is enough to keep the $z_l$.
#
# **Predict, then run.** All weights begin with variance $1/n$, so that neither large nor small
# numbers are put in. By which factor do the gradients of the first and the last of the sixteen
# hidden layers differ, for the sigmoid, for tanh, and for ReLU?

# %%
DEPTH, WIDTH = 16, 100
SIZES = [784] + [WIDTH] * DEPTH + [10]
batch = cr.tensor(x_train[:250]), cr.tensor(y_train[:250])


def root_mean_square(tensor):
    """√ of the mean square, in float64: squares of small float32 numbers would be 0."""
    return np.sqrt((tensor.numpy().astype(np.float64) ** 2).mean())


def deltas(model, x, y):
    """The root mean square of ∂L/∂z of each linear layer, first to last."""
    z = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            z.append(x)
    return np.array([root_mean_square(g) for g in cr.grad(F.cross_entropy(x, y), z)])


def gaussian(scale):
    """w ~ N(0, scale² / fan_in)."""
    return lambda w: nn.init.normal_(w, 0.0, scale / np.sqrt(w.shape[1]))


activations = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU}
by_activation = {
    name: deltas(initialize(network(SIZES, g), gaussian(1.0)), *batch)
    for name, g in activations.items()
}
by_scale = {
    scale: deltas(initialize(network(SIZES, nn.ReLU), gaussian(scale)), *batch)
    for scale in (0.5, 1.0, np.sqrt(2), 2.0, 3.0)
}

# %% jupyter={"source_hidden": true}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for name, values in by_activation.items():
    left.semilogy(range(1, DEPTH + 2), values, "o-", markersize=3, label=name)
for scale, values in by_scale.items():
    right.semilogy(range(1, DEPTH + 2), values, "o-", markersize=3, label=f"s = {scale:.3g}")
left.set(title=r"three activations, $w \sim N(0, 1/n)$", ylabel=r"typical $\partial L/\partial z$")
right.set(title=r"ReLU, $w \sim N(0, s^2/n)$")
for axes in (left, right):
    axes.set_xlabel("layer (1 is next to the input)")
    axes.legend()
material.show(
    "Typical gradients by layer, with a logarithmic axis. Left: for the sigmoid they fall by "
    "more than eight orders of magnitude towards the input, for ReLU by a few, for tanh they "
    "stay. Right: for ReLU at five scales they are straight lines; the one for 1.41 is level."
)

# %% [markdown]
# Read the curves from right to left, as the gradient travels. A straight line on this axis is an
# exponential, its slope a factor per layer:

# %%
def factor_per_layer(values):
    """What one step back multiplies δ with: the geometric mean over the hidden layers."""
    return (values[0] / values[-2]) ** (1 / (len(values) - 2))


for name, values in by_activation.items():
    print(f"{name:8}  × {factor_per_layer(values):.3f} per layer,"
          f" first/last hidden layer {values[0] / values[-2]:.1e}")
for scale, values in by_scale.items():
    print(f"s = {scale:.3f} × {factor_per_layer(values):.3f} per layer,"
          f" s/√2 = {scale / 2**0.5:.3f}")

assert factor_per_layer(by_activation["sigmoid"]) < 1 / 4
assert by_activation["sigmoid"][0] < 1e-8 * by_activation["sigmoid"][-2]
assert factor_per_layer(by_activation["tanh"]) > 0.8
for scale, values in by_scale.items():
    assert abs(factor_per_layer(values) / (scale / 2**0.5) - 1) < 0.1

# %% [markdown]
# The sigmoid loses more than three quarters of the gradient in every layer, and over all of them
# more than a factor of a hundred million (Hochreiter, 1991; Bengio, Simard and Frasconi, 1994). For
# the ReLU the factor is $s/\sqrt 2$, to within a tenth in all five nets: below $s = \sqrt 2$ the
# gradient vanishes, above it it explodes, and at $\sqrt 2$ the net is in balance. Where the
# $\sqrt 2$ comes from is the next section.
#
# And the gradient of the *weights*? It is $\delta_l\, a_{l-1}^\top$, a product of what comes back
# and what went forward:

# %%
def weight_gradients(model, x, y):
    """The root mean square of ∂L/∂W of each linear layer."""
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    return np.array([root_mean_square(layer.weight.grad) for layer in linears(model)])


for name, g, scale in (("sigmoid", nn.Sigmoid, 1.0), ("ReLU", nn.ReLU, 0.5),
                       ("ReLU", nn.ReLU, 2**0.5)):
    typical = weight_gradients(initialize(network(SIZES, g), gaussian(scale)), *batch)
    print(f"{name:7} s = {scale:.2f}   layer 2: {typical[1]:.1e}   layer 9: {typical[8]:.1e}"
          f"   layer 16: {typical[15]:.1e}")
    if name == "sigmoid":
        assert typical[1] < 1e-6 * typical[15]
    elif scale < 1:
        assert max(typical[1:16]) < 1e-6 and max(typical[1:16]) < 3 * min(typical[1:16])
    else:
        assert min(typical[1:16]) > 1e-4

# %% [markdown]
# In the sigmoid net the last layers learn and the first do not. In the ReLU net with $s = 0.5$ no
# layer learns: the signal fades on the way up exactly as the gradient fades on the way down, and
# each layer's product of the two is equally small.

# %% [markdown]
# ## 2. Initialization
#
# ### The variance of a layer
#
# Let the $n$ inputs $a_i$ of a neuron be given, and draw its weights independently with mean 0 and
# variance $\operatorname{Var}(w)$. Then $z = \sum_i w_i a_i$ has mean 0, the mixed terms
# $E[w_i w_j] = E[w_i]E[w_j]$ are 0 for $i \ne j$, and what remains is
#
# $$\operatorname{Var}(z) = \sum_{i=1}^{n} E[w_i^2]\, E[a_i^2] = n \operatorname{Var}(w)\, E[a^2].$$
#
# **tanh.** Near 0, $\tanh z \approx z$, so $E[a^2]$ is the variance of the layer before and each
# layer multiplies it by $n_{in}\operatorname{Var}(w)$. To keep it:
# $\operatorname{Var}(w) = 1/n_{in}$. The same sum over the *outputs* gives for the way back
# $\operatorname{Var}(\delta_{l-1}) = n_{out}\operatorname{Var}(w)\operatorname{Var}(\delta_l)$,
# which asks for $1/n_{out}$. **Xavier** initialization is the compromise (Glorot and Bengio, 2010):
#
# $$\operatorname{Var}(w) = \frac{2}{n_{in} + n_{out}} .$$
#
# **ReLU.** $z$ is symmetric about 0 and ReLU keeps one half of it, so
# $E[a^2] = \tfrac12 \operatorname{Var}(z)$. Each layer multiplies by
# $\tfrac12 n_{in}\operatorname{Var}(w)$. **He** initialization (He, Zhang, Ren and Sun, 2015) keeps
# it:
#
# $$\operatorname{Var}(w) = \frac{2}{n_{in}} .$$
#
# That is the $s = \sqrt 2$ of the measurement. Beside them stand two that were common before: a
# uniform draw from $[-0.5, 0.5]$, with variance $1/12$ whatever $n$ is, and "small random numbers",
# $0.01 \cdot N(0, 1)$. First the formula, then the spread of the activations.

# %%
rng = np.random.default_rng(0)
a = 0.2 + 0.7 * rng.standard_normal((2000, 300))  # the mean of the inputs need not be 0
w = rng.uniform(-0.5, 0.5, (300, 400))
z = a @ w
print(f"Var(z): measured {z.var():.2f}, formula {300 * (1 / 12) * (a**2).mean():.2f}")
print(f"E[ReLU(z)²]/Var(z): {(np.maximum(z, 0) ** 2).mean() / z.var():.3f}")
assert abs(z.var() / (300 / 12 * (a**2).mean()) - 1) < 0.15
assert abs((np.maximum(z, 0) ** 2).mean() / z.var() - 0.5) < 0.05

# %%
spreads = {
    "U[−0.5, 0.5]": lambda w: nn.init.uniform_(w, -0.5, 0.5),
    "0.01·N(0, 1)": lambda w: nn.init.normal_(w, 0.0, 0.01),
    "Xavier": nn.init.xavier_normal_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
}
KIND = {nn.Tanh: "tanh", nn.ReLU: "ReLU"}


def activations_per_layer(model, x):
    """What each hidden layer gives for the batch x."""
    values = []
    with cr.no_grad():
        for layer in model:
            x = layer(x)
            if type(layer) in KIND:
                values.append(x.numpy())
    return values


hidden = {
    (kind, name): activations_per_layer(initialize(network(SIZES, g), spread), batch[0])
    for g, kind in KIND.items()
    for name, spread in spreads.items()
}
size = {key: np.array([np.sqrt((a**2).mean()) for a in values]) for key, values in hidden.items()}

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for axes, kind in zip(panels, ("tanh", "ReLU"), strict=True):
    for name in spreads:
        axes.semilogy(range(1, DEPTH + 1), size[kind, name], "o-", markersize=3, label=name)
    axes.set(title=kind, xlabel="hidden layer")
    axes.legend() if kind == "ReLU" else axes.set_ylabel(r"$\sqrt{E[a^2]}$")
material.show(
    "The size of the activations over 16 layers for tanh and for ReLU, with four "
    "initializations. Only He's stays level for ReLU; 0.01 times N(0, 1) falls to nothing, the "
    "uniform draw explodes."
)

# %%
for name, variance in (("U[−0.5, 0.5]", 1 / 12), ("0.01·N(0, 1)", 1e-4), ("Xavier", 1 / WIDTH),
                       ("He", 2 / WIDTH)):
    measured = (size["ReLU", name][-1] / size["ReLU", name][0]) ** (1 / (DEPTH - 1))
    formula = np.sqrt(WIDTH * variance / 2)
    print(f"ReLU, {name:13} per layer: measured × {measured:.3f}, formula × {formula:.3f}")
    assert abs(measured / formula - 1) < 0.1

assert 1 / 4 < size["ReLU", "He"][-1] / size["ReLU", "He"][0] < 4
assert size["tanh", "U[−0.5, 0.5]"].min() > 0.8 and size["tanh", "0.01·N(0, 1)"][-1] < 1e-10

# %% [markdown]
# The right panel is the formula: four straight lines, and only He's is level (to within a factor of
# 4 over all layers: 100 neurons are a small sample). On the left, tanh cannot explode, since
# $|a| < 1$; the uniform draw drives it into saturation instead, and there the slope $1 - a^2$, and
# with it the gradient, is nearly 0. The histograms show it: mass at $\pm 1$ (saturated), mass at 0
# (nothing left), or a spread that stays. (Xavier's narrows slowly, since $|\tanh z| < |z|$; a
# factor of $5/3$, the tanh's *gain*, makes up for it.)

# %% jupyter={"source_hidden": true}
figure, grid = plt.subplots(3, 4, figsize=(9, 4.2), sharex=True)  # of the tanh net
for row, layer in zip(grid, (1, 8, 16), strict=True):
    for axes, name in zip(row, spreads, strict=True):
        values = hidden["tanh", name][layer - 1].ravel()
        axes.hist(values, bins=41, range=(-1, 1), density=True, histtype="stepfilled")
        axes.set(yticks=[], title=name if layer == 1 else None)
    row[0].set_ylabel(f"layer {layer}")
for axes in grid[-1]:
    axes.set_xlabel("activation")
material.show(
    "Histograms of the activations of the tanh net in layers 1, 8 and 16: for the uniform draw "
    "they stand at plus and minus 1, for 0.01 times N(0, 1) at 0, for Xavier and He they stay "
    "spread."
)

# %% [markdown]
# ### What it does to training
#
# The same ReLU net, the same 300 batches, plain gradient descent; only the first draw differs.
# `step` is compiled: forward, backward and update run as one program.
#
# **Predict, then run.** Four starts, the same 16 hidden layers, the same 300 steps. A guess is
# right in 10 % of the cases. Which accuracies will the four nets reach?

# %%
def training_step(model, optimizer):
    """A compiled step of training: takes a batch, returns its loss."""

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def fit(model, optimizer, steps, size=64):
    """Train on random batches; returns the loss of each step."""
    step = training_step(model, optimizer)
    rows = np.random.default_rng(0).integers(0, len(x_train), (steps, size))
    return np.array([step(cr.tensor(x_train[r]), cr.tensor(y_train[r])).item() for r in rows])


def accuracy(model, x=x_test, y=y_test):
    """The share of right answers."""
    model.eval()
    with cr.no_grad():
        guess = model(cr.tensor(x)).numpy().argmax(axis=1)
    model.train()
    return float((guess == y).mean())


def smooth(values, window=15):
    """The running mean, for curves that can be read."""
    return np.convolve(values, np.ones(window) / window, mode="valid")


reached, curves = {}, {}
for name, spread in spreads.items():
    model = initialize(network(SIZES, nn.ReLU), spread)
    losses = fit(model, optim.SGD(model.parameters(), lr=0.01, momentum=0.0), steps=300)
    reached[name] = accuracy(model)
    curves[name] = smooth(np.where(np.isfinite(losses), losses, np.nan))
    print(f"{name:13} first loss {losses[0]:9.3g}   last loss {losses[-1]:9.3g}"
          f"   test accuracy {reached[name]:.1%}")

assert reached["He"] > 0.75 and reached["Xavier"] < reached["He"] - 0.3
assert reached["U[−0.5, 0.5]"] < 0.3 and reached["0.01·N(0, 1)"] < 0.3

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(figsize=(6, 3.2))
for name, curve in curves.items():
    axes.plot(curve, label=name)
axes.axhline(np.log(10), color="grey", linewidth=1, linestyle=":")
axes.set(ylim=(0, 4), xlabel="step", ylabel="loss", title="16 hidden layers of ReLU")
axes.legend()
material.show(
    "Loss over 300 steps of the net with 16 hidden layers: only the one with He's initialization "
    "falls far below the dotted line at 2.3."
)

# %% [markdown]
# The dotted line is $\ln 10$: the loss of a net that knows nothing. "Small random numbers" never
# leave it, because no gradient arrives; the uniform draw begins with an enormous loss, far above
# the picture, and the first steps destroy the net (`nan`). Xavier's variance, made for tanh, is
# half of what ReLU needs, and over sixteen layers that is too little. (Batch normalization, lesson
# 8, measures the spread in each layer and corrects it; it makes a net far less sensitive to its
# first draw.)

# %% [markdown]
# ## 3. Numbers that break
#
# A float32 has 24 bits for its digits and 8 for its exponent. So it ends near $3.4\cdot10^{38}$,
# and two neighbours differ by a relative $\varepsilon = 2^{-23} \approx 1.2\cdot10^{-7}$. A formula
# that is right on paper breaks in two ways: a number in the middle **overflows**, or a difference
# of nearly equal numbers **cancels** the digits that mattered. Each of the following fails first,
# and is then written such that it holds. The truth beside them is computed in float64 from a
# formula that is safe there.
#
# **Predict, then run.** What is $2^{24} + 1$ in float32? And $1 + 10^{-8}$?

# %%
f32 = np.float32
print(f"largest {np.finfo(f32).max:.4g}   ε {np.finfo(f32).eps:.4g}")
with np.errstate(over="ignore"):
    print(f"e⁸⁸ = {np.exp(f32(88)):.4g}   e⁸⁹ = {np.exp(f32(89))}")
print(f"2²⁴ = {f32(2**24):.0f}   2²⁴ + 1 = {f32(2**24) + f32(1):.0f}", end="   ")
print(f"1 + 10⁻⁸ = {f32(1) + f32(1e-8)}")
assert f32(2**24) + f32(1) == f32(2**24) and f32(1) + f32(1e-8) == f32(1)

# %% [markdown]
# ### Softmax
#
# $p_i = e^{z_i} / \sum_j e^{z_j}$ overflows for $z_i > 88.7$: infinity over infinity is not a
# number. But a factor $e^{-m}$ above and below the line changes nothing, so we may subtract the
# largest $m = \max_j z_j$ first. Then every exponent is at most 0, and the sum is at least 1.

# %%
def softmax_naive(z):
    return np.exp(z) / np.exp(z).sum()


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


z = np.array([1000, 1001, 1002], f32)
with np.errstate(over="ignore", invalid="ignore"):
    print("naive", softmax_naive(z))
print("right", softmax(z))
assert np.allclose(softmax(z), softmax_naive(np.array([0, 1, 2], f32)))
assert np.allclose(softmax(z), cr.softmax(cr.tensor(z), dim=0).numpy())

# %% [markdown]
# ### Log-sum-exp
#
# The cross-entropy needs $\ln p_i$, and a small $p_i$ rounds to 0, whose logarithm is $-\infty$:
# one confident mistake, and the loss is infinite and the gradient is not a number. So never take
# the logarithm of a softmax. Put the formula in first:
#
# $$\ln p_i = z_i - \operatorname{lse}(z), \qquad
# \operatorname{lse}(z) = \ln \sum_j e^{z_j} = m + \ln \sum_j e^{z_j - m}.$$

# %%
def logsumexp(z):
    m = z.max()
    return m + np.log(np.exp(z - m).sum())


z = np.array([0, 120], f32)
with np.errstate(divide="ignore"):
    print("log of softmax ", np.log(softmax(z)))
print("z − lse(z)     ", z - logsumexp(z))
assert (z - logsumexp(z)).tolist() == [-120.0, 0.0]
logits = cr.tensor(z[None], requires_grad=True)
loss = F.cross_entropy(logits, cr.tensor([0]))
loss.backward()
print("cr.cross_entropy", loss.item(), " gradient", logits.grad.numpy())
assert loss.item() == 120.0 and logits.grad.numpy().tolist() == [[-1.0, 1.0]]

# %% [markdown]
# ### Binary cross-entropy with logits
#
# For one output with $p = \sigma(z)$, $L = -y \ln p - (1-y)\ln(1-p)$. In float32 $\sigma(17)$ is
# already exactly 1, so $\ln(1-p)$ is $-\infty$ for every surer $z$. With
# $\ln\sigma(z) = -\ln(1 + e^{-z})$ and $\ln(1-\sigma(z)) = -\ln(1+e^{z})$ the loss becomes
#
# $$L = \max(z, 0) - yz + \ln\!\left(1 + e^{-|z|}\right),
# \qquad \frac{\partial L}{\partial z} = \sigma(z) - y,$$
#
# where the exponent is never positive. This is `F.binary_cross_entropy_with_logits`. Below, for the
# label $y = 0$.

# %%
z = np.linspace(12, 20, 401, dtype=f32)


def loss_and_gradient(loss_of, z):
    """The loss of each z, and the gradient of their sum."""
    tensor = cr.tensor(z, requires_grad=True)
    loss = loss_of(tensor)
    loss.sum().backward()
    return loss.detach().numpy(), tensor.grad.numpy()


zeros = cr.zeros(len(z))
naive = loss_and_gradient(lambda z: -cr.log(1 - cr.sigmoid(z)), z)
right = loss_and_gradient(
    lambda z: F.binary_cross_entropy_with_logits(z, zeros, reduction="none"), z
)
truth = np.log1p(np.exp(z.astype(np.float64))), 1 / (1 + np.exp(-z.astype(np.float64)))

finite = np.isfinite(naive[0])
first = z[~finite].min()
print(f"the naive loss is infinite from z = {first:.1f} on; its gradient there:", naive[1][-1])
assert first < 17 and np.isnan(naive[1][-1]) and np.abs(naive[0] - truth[0])[finite].max() > 0.1
assert all(np.allclose(a, b, rtol=1e-6) for a, b in zip(right, truth, strict=True))

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(z[finite], naive[0][finite], color="C1", linewidth=2, label=r"$-\ln(1 - \sigma(z))$")
axes.plot(z, right[0], color="C0", label="with logits")
axes.plot(z, truth[0], "k:", label="truth")
axes.axvspan(first, z.max(), color="C1", alpha=0.15, linewidth=0)
axes.set(xlabel="z", ylabel="loss for the label 0")
axes.legend()
material.show(
    "The loss for the label 0 against z: the naive formula climbs in stairs and ends near z = "
    "16.6, where the shaded range begins; the one with logits lies on the truth."
)

# %% [markdown]
# In the shaded range there is no number at all. But look left of it, too: the naive loss comes in
# stairs, and wrong numbers without a warning are the worse of the two failures. (Its gradient is
# saved by luck: the same wrong $1 - \sigma$ stands above and below the line, until it is 0.)
#
# ### Cancellation
#
# When $a \approx b$ agree in their first $k$ digits, $a - b$ has lost $k$ digits: the subtraction
# is exact, but it brings to the front the rounding that $a$ and $b$ had before. The cure is to find
# a formula without the subtraction.
#
# | naive | where it cancels | right |
# |---|---|---|
# | $1 - \sigma(x)$ | large $x$ | $\sigma(-x)$ |
# | $\ln(1 + e^{x})$ | very negative $x$ | `log1p(exp(x))` |
# | $e^x - 1$ | small $x$ | `expm1(x)` |
# | $(1 - \cos x)/x^2$ | small $x$ | $2\sin^2(x/2)/x^2$ |
# | $E[x^2] - E[x]^2$ | mean ≫ spread | $E[(x - E[x])^2]$ |

# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


small = np.logspace(-7, 0, 300)
PAIRS = {
    r"$1 - \sigma(x)$": (lambda x: 1 - sigmoid(x), lambda x: sigmoid(-x), np.linspace(0, 25, 300)),
    r"$\ln(1 + e^x)$, $x < 0$": (
        lambda x: np.log(1 + np.exp(x)), lambda x: np.log1p(np.exp(x)), -np.linspace(0, 25, 300)),
    r"$e^x - 1$": (lambda x: np.exp(x) - 1, np.expm1, small),
    r"$(1 - \cos x)/x^2$": (
        lambda x: (1 - np.cos(x)) / x**2, lambda x: 2 * np.sin(x / 2) ** 2 / x**2, small),
}

errors = {}
for title, (bad, good, x) in PAIRS.items():
    x = x.astype(f32)
    truth = good(x.astype(np.float64))
    errors[title] = [np.abs(f(x) / truth - 1).clip(1e-9) for f in (bad, good)]
    assert errors[title][0].max() >= 0.5 and errors[title][1].max() < 1e-5

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True)
for axes, (title, (naive, right)) in zip(panels, errors.items(), strict=True):
    x = PAIRS[title][2]
    dots = {"marker": ".", "linestyle": "", "markersize": 2, "rasterized": True}
    axes.semilogy(x, naive, color="C1", label="naive", **dots)
    axes.semilogy(x, right, color="C0", label="right", **dots)
    axes.set(title=title, xlabel="x", xscale="log" if len(set(np.sign(x))) == 1 else "linear")
panels[0].set_ylabel("relative error in float32")
panels[0].legend(markerscale=5, loc="upper left")
material.show(
    "Relative errors in float32 of four pairs of formulas: the naive ones climb to 1, the right "
    "ones stay near one ten-millionth."
)

# %% [markdown]
# An error of 1 means: not one digit is right. The last line of the table is one that every
# framework has to get right, in batch and layer normalization, where
# $\operatorname{Var}(x) = E[x^2] - E[x]^2$ would save one pass over the data.
#
# **Predict, then run.** Ten thousand numbers near 10,000 have the variance 1. What does the short
# formula give in float32: a number near 1, a large one, a negative one?

# %%
x = (10_000 + np.random.default_rng(0).standard_normal(10_000)).astype(f32)
naive = (x**2).mean() - x.mean() ** 2
print(f"naive {naive:.4f}   right {((x - x.mean()) ** 2).mean():.4f}   "
      f"Chainrule {cr.tensor(x).var().item():.4f}   truth {x.astype(np.float64).var():.4f}")
assert not abs(naive - 1) < 0.5
assert abs(((x - x.mean()) ** 2).mean() - x.astype(np.float64).var()) < 1e-3
assert abs(cr.tensor(x).var().item() - x.astype(np.float64).var(ddof=1)) < 1e-5

# %% [markdown]
# ## 4. Activations side by side
#
# Without a nonlinearity all layers together are one matrix. Which one to take is a question about
# the way back: the gradient is multiplied with $g'$ in each layer. Below stand $g$ and $g'$, the
# second as `cr.grad` finds it.

# %%
ACTIVATIONS = {
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU, "leaky ReLU": nn.LeakyReLU,
    "ELU": nn.ELU, "softplus": nn.Softplus, "SiLU": nn.SiLU, "GELU": nn.GELU,
}

values, slopes = {}, {}
x = cr.linspace(-4, 4, 201).requires_grad_(True)
for name, g in ACTIVATIONS.items():
    y = g()(x)
    values[name] = y.detach().numpy()
    (slopes[name],) = (s.numpy() for s in cr.grad(y.sum(), [x]))

for name, slope in slopes.items():
    print(f"{name:10}  largest slope {slope.max():.3f}, slope at −4: {slope[0]:.3f}")
assert abs(slopes["sigmoid"].max() - 0.25) < 1e-6 and abs(slopes["tanh"].max() - 1) < 1e-6
assert slopes["ReLU"][0] == 0 and slopes["leaky ReLU"][0] > 0

# %% jupyter={"source_hidden": true}
figure, grid = plt.subplots(2, 4, figsize=(10, 4), sharex=True, sharey=True)
for axes, name in zip(grid.flat, ACTIVATIONS, strict=True):
    axes.plot(x.detach().numpy(), values[name], label="$g$")
    axes.plot(x.detach().numpy(), slopes[name], label="$g'$")
    axes.set(title=name, ylim=(-1.2, 2.2))
grid[0, 0].legend()
for axes in grid[:, 0]:
    axes.set_ylabel("$g$ and $g'$")
for axes in grid[1]:
    axes.set_xlabel("$z$")
material.show("Eight activations with their slopes, from sigmoid to GELU.")

# %% [markdown]
# Sigmoid and tanh are flat on both sides: a neuron that is sure of itself passes no gradient on.
# The ReLU (Nair and Hinton, 2010; Glorot, Bordes and Bengio, 2011) passes all of it where it is
# active and nothing where it is not; a neuron that is never active is *dead* and stays so. Leaky
# ReLU (Maas et al., 2013) and ELU (Clevert et al., 2015) keep a slope on the left; SiLU,
# $x\,\sigma(x)$, and GELU, $x\,\Phi(x)$ (Hendrycks and Gimpel, 2016), are smooth versions of the
# same gate.
#
# Now the same net for all: six hidden layers of 64, the same start (He), the same batches, gradient
# descent with momentum.
#
# **Predict, then run.** Which of the eight will be best, which worst, and how far apart?

# %%
scores, curves = {}, {}
for name, g in ACTIVATIONS.items():
    model = initialize(network([784] + [64] * 6 + [10], g), spreads["He"], seed=1)
    losses = fit(model, optim.SGD(model.parameters(), lr=0.01, momentum=0.9), steps=400)
    scores[name] = accuracy(model)
    curves[name] = smooth(losses, 25)
    print(f"{name:10}  last loss {losses[-25:].mean():.3f}   test accuracy {scores[name]:.1%}")
assert scores["sigmoid"] < 0.3 and min(scores[n] for n in ("tanh", "ReLU", "ELU", "GELU")) > 0.85

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(figsize=(7, 3.4))
for i, (name, curve) in enumerate(curves.items()):
    axes.semilogy(curve, label=name, color=f"C{i % 4}", linestyle="-" if i < 4 else "--")
axes.set(xlabel="step", ylabel="loss", title="the same net, eight activations")
axes.legend(ncols=2)
material.show(
    "Loss over 400 steps for eight activations: the sigmoid stays at 2.3, the others fall "
    "together."
)

# %% [markdown]
# With this start the deep sigmoid net does not leave $\ln 10$ in the time in which tanh, ReLU, ELU
# and GELU are above 85 %. Among the others no difference is like that one. ReLU is the cheapest and
# the usual choice; transformers use GELU.

# %% [markdown]
# ## 5. Regularization
#
# A net with enough weights can learn its training data by heart, errors included. Here are 300
# images; a fifth of the labels are wrong, as it happens where people label in a hurry. The net has
# some 118,000 weights. 600 other images tell us during training how it does on data it has not
# seen: the *validation* set. Neither of them is the test set, which only the finished nets will
# see.
#
# **Predict, then run.** A fifth of the 300 labels are wrong. Which share of these labels will the
# net repeat after 60 epochs? And which share of the 600 validation images, whose labels are right,
# will it name?

# %%
rng = np.random.default_rng(0)
order = rng.permutation(len(x_train))
train_rows, valid_rows = order[:300], order[300:900]
x_few, y_few = x_train[train_rows], y_train[train_rows].copy()
wrong = rng.permutation(300)[:60]
y_few[wrong] = (y_few[wrong] + rng.integers(1, 10, 60)) % 10
x_valid, y_valid = x_train[valid_rows], y_train[valid_rows]


def classifier(dropout=0.0):
    """784-128-128-10 with dropout after each hidden layer."""
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(128, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 10),
    )


def loss_on(model, x, y):
    """The mean cross-entropy, without dropout."""
    model.eval()
    with cr.no_grad():
        loss = F.cross_entropy(model(cr.tensor(x)), cr.tensor(y)).item()
    model.train()
    return loss


def overfit(model, weight_decay=0.0, epochs=60):
    """Train on the few images. Returns the losses after each epoch, and the best weights."""
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=weight_decay)
    step, rng = training_step(model, optimizer), np.random.default_rng(0)
    history, best = [], (np.inf, None)
    for _ in range(epochs):
        for rows in np.split(rng.permutation(300), 6):
            step(cr.tensor(x_few[rows]), cr.tensor(y_few[rows]))
        history.append((loss_on(model, x_few, y_few), loss_on(model, x_valid, y_valid)))
        if history[-1][1] < best[0]:  # a copy, since the entries of a state dict follow the model
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            best = history[-1][1], weights
    return np.array(history), best[1]


plain_model, l2_model, dropout_model = classifier(), classifier(), classifier(dropout=0.6)
plain, best_weights = overfit(plain_model)
print(f"training: {accuracy(plain_model, x_few, y_few):.1%} of the labels, wrong ones included;"
      f" validation: {accuracy(plain_model, x_valid, y_valid):.1%}")
assert accuracy(plain_model, x_few, y_few) > 0.95
assert plain[-1, 1] > 1.3 * plain[:, 1].min()

# %% [markdown]
# The net repeats even the labels that are wrong, and that has a price: its validation loss falls,
# turns, and climbs. Three remedies:
#
# **Early stopping.** Keep the weights of the epoch with the smallest validation loss. (Stop when it
# has not improved for some epochs, the *patience*.) In the framework: `cr.train.EarlyStopping`.
#
# **L2.** Add $\frac{\lambda}{2}\lVert w\rVert^2$ to the loss. Its gradient is $\lambda w$, so each
# step first shrinks the weights, $w \leftarrow (1 - \eta\lambda)\,w - \eta\,\nabla L$, and a weight
# stays large only if the data keep asking for it. In the framework: `weight_decay=λ`. (With Adam
# the two are not the same, since Adam would rescale $\lambda w$ with the gradient; `AdamW` shrinks
# the weights beside it. Loshchilov and Hutter, 2019.)
#
# **Dropout.** In each step, set every activation to 0 with probability $p$, and divide the others
# by $1 - p$, so that the mean stays: $E[\tilde a] = (1-p)\frac{a}{1-p} = a$. No neuron can rely on
# one other; at the end all are used, without dropout (Srivastava et al., 2014).

# %%
l2, _ = overfit(l2_model, weight_decay=0.05)
dropout, _ = overfit(dropout_model)

stop = plain[:, 1].argmin()
stopped_model = classifier()
stopped_model.load_state_dict(best_weights)
test = {}
for name, model in (("plain", plain_model), ("early stopping", stopped_model), ("L2", l2_model),
                    ("dropout", dropout_model)):
    test[name] = loss_on(model, x_test, y_test), accuracy(model)
    print(f"{name:15} test loss {test[name][0]:.3f}   test accuracy {test[name][1]:.1%}")

for name in ("early stopping", "L2", "dropout"):
    assert test[name][0] < 0.9 * test["plain"][0]
assert plain[-1, 0] < min(plain[stop, 0], l2[-1, 0], dropout[-1, 0])

# %% jupyter={"source_hidden": true}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for name, history in (("plain", plain), ("L2", l2), ("dropout", dropout)):
    left.plot(history[:, 0], label=name)
    right.plot(history[:, 1], label=name)
right.plot(stop, plain[stop, 1], "ko", label="early stopping")
left.set(ylabel="training loss", xlabel="epoch")
right.set(ylabel="validation loss", xlabel="epoch", ylim=(0.3, None))
right.legend()
material.show(
    "Left: training losses; the plain net falls lowest. Right: validation losses; the plain net "
    "turns and climbs, L2 and dropout stay lower; a dot marks early stopping."
)

# %% [markdown]
# All three fit the training data worse, and have the smaller loss on the test data. More data does
# the same, and better; these are for when there is no more.
#
# ## 6. Momentum, RMSprop, Adam
#
# ### On a surface
#
# Plain descent has one learning rate for all directions. On the quadratic
# $f = \frac12\sum_i \lambda_i x_i^2$ the step $x \leftarrow x - \eta\nabla f$ multiplies coordinate
# $i$ by $1 - \eta\lambda_i$. It diverges unless $\eta < 2/\lambda_{max}$, and with such an $\eta$
# the flattest direction needs on the order of $\kappa = \lambda_{max}/\lambda_{min}$ steps. Across
# the valley it zigzags, along the valley it crawls. The ways out:
#
# - **Momentum** (Polyak, 1964): $b \leftarrow \mu b + g$, $x \leftarrow x - \eta b$. What changes
#   its sign cancels in $b$, what points the same way adds up, to $1/(1-\mu)$ times the gradient.
# - **RMSprop** (Hinton, 2012): $v \leftarrow \alpha v + (1-\alpha) g^2$,
#   $x \leftarrow x - \eta\, g/(\sqrt v + \epsilon)$. Each coordinate gets its own learning rate, by
#   the size of its own gradients.
# - **Adam** (Kingma and Ba, 2015): both. $m \leftarrow \beta_1 m + (1-\beta_1) g$,
#   $v \leftarrow \beta_2 v + (1-\beta_2) g^2$. Both begin at 0 and are too small at first, exactly
#   by the factors $1 - \beta_1^t$ and $1 - \beta_2^t$ if the gradient stays the same; divided by
#   them they are $\hat m$ and $\hat v$, and
#   $x \leftarrow x - \eta\, \hat m/(\sqrt{\hat v} + \epsilon)$.
#
# Each is two or three lines:

# %%
def sgd(g, s, lr):
    return lr * g


def momentum(g, s, lr, mu=0.9):
    s["b"] = mu * s.get("b", 0) + g
    return lr * s["b"]


def rmsprop(g, s, lr, alpha=0.9, eps=1e-8):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    return lr * g / (np.sqrt(s["v"]) + eps)


def adam(g, s, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    s["t"] = s.get("t", 0) + 1
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    m, v = s["m"] / (1 - beta1 ** s["t"]), s["v"] / (1 - beta2 ** s["t"])
    return lr * m / (np.sqrt(v) + eps)


def descend(rule, gradient, start, steps, **options):
    """The path of a rule from the start."""
    x, state = np.array(start), {}
    path = [x]
    for _ in range(steps):
        x = x - rule(gradient(x), state, **options)
        path.append(x)
    return np.array(path)


CURVATURE = np.array([1.0, 25.0])


def ravine(x, y):
    return 0.5 * (CURVATURE[0] * x**2 + CURVATURE[1] * y**2)


def ravine_gradient(p):
    return CURVATURE * p


def banana(x, y):
    return (1 - x) ** 2 + 10 * (y - x**2) ** 2


def banana_gradient(p):
    x, y = p
    return np.array([-2 * (1 - x) - 40 * x * (y - x**2), 20 * (y - x**2)])


# %% [markdown]
# First: are these the framework's optimizers? The same fifty steps with `cr.optim`, the gradients
# by `backward()`:

# %%
SAME = {
    "SGD": (sgd, 0.075, lambda p: optim.SGD(p, lr=0.075)),
    "momentum": (momentum, 0.02, lambda p: optim.SGD(p, lr=0.02, momentum=0.9)),
    "RMSprop": (rmsprop, 0.2, lambda p: optim.RMSprop(p, lr=0.2, alpha=0.9)),
    "Adam": (adam, 0.5, lambda p: optim.Adam(p, lr=0.5)),
}
START = (-8.0, 1.6)
paths = {}
for name, (rule, lr, make) in SAME.items():
    paths[name] = descend(rule, ravine_gradient, START, 50, lr=lr)
    x, y = (cr.tensor(v, dtype=cr.float64, requires_grad=True) for v in START)
    optimizer = make([x, y])
    for _ in range(50):
        optimizer.zero_grad()
        ravine(x, y).backward()
        optimizer.step()
    difference = np.abs(paths[name][-1] - [x.item(), y.item()]).max()
    print(f"{name:9} end ({x.item():9.5f}, {y.item():9.5f})   by hand − framework {difference:.0e}")
    assert difference < 1e-6

assert np.abs(descend(sgd, ravine_gradient, START, 200, lr=0.081)).max() > 1e2  # η > 2/25

# %% jupyter={"source_hidden": true}
figure, grid = plt.subplots(2, 4, figsize=(10, 4.2), sharex="row", sharey="row")
LINES = {"colors": "grey", "linewidths": 0.6}
X, Y = np.meshgrid(np.linspace(-9, 4, 120), np.linspace(-2.4, 2.4, 100))
for axes, (name, path) in zip(grid[0], paths.items(), strict=True):
    axes.contour(X, Y, ravine(X, Y), levels=np.geomspace(0.2, 70, 10), **LINES)
    axes.plot(*path.T, ".-", color="C1", markersize=3, linewidth=1)
    axes.plot(0, 0, "k*")
    axes.set(title=f"{name}, η = {SAME[name][1]}", ylim=(-2.4, 2.4))
    axes.grid(False)

X, Y = np.meshgrid(np.linspace(-2, 2, 120), np.linspace(-1.2, 3, 100))
for axes, (name, lr) in zip(grid[1], (("SGD", 0.01), ("momentum", 0.004), ("RMSprop", 0.03),
                                      ("Adam", 0.2)), strict=True):
    path = descend(SAME[name][0], banana_gradient, (-1.5, 2.4), 100, lr=lr)
    axes.contour(X, Y, banana(X, Y), levels=np.geomspace(0.05, 150, 12), **LINES)
    axes.plot(*path.T, ".-", color="C1", markersize=3, linewidth=1)
    axes.plot(1, 1, "k*")
    axes.set(title=f"{name}, η = {lr}", xlim=(-2, 2), ylim=(-1.2, 3))
    axes.grid(False)
for axes in grid.flat:
    axes.set_xlabel("$x$")
for axes in grid[:, 0]:
    axes.set_ylabel("$y$")
material.show(
    "Paths of four rules, above in a ravine and below in a curved valley: SGD zigzags, momentum "
    "swings, RMSprop and Adam go more directly."
)

# %% [markdown]
# Above the ravine $\frac12(x^2 + 25y^2)$ in 50 steps, below Rosenbrock's curved valley
# $(1-x)^2 + 10(y-x^2)^2$ in 100; the star is the minimum. Descent zigzags, momentum overshoots and
# swings. RMSprop's steps have nearly one size in each coordinate, however steep it is: first it
# goes along the diagonal, then straight down the valley. Adam's path is RMSprop's with inertia.
#
# ### On the net
#
# A comparison at one learning rate says little: each rule has its own scale. So each gets a range
# of rates, and the right picture shows what matters in practice: how good it gets, and how much the
# choice of the rate matters. The net is 784-64-64-10, 250 batches of 64, the same start and the
# same batches for all.
#
# **Predict, then run.** Each rule may use its best rate. How much better than plain SGD will Adam
# be? And are the best rates of the four alike?

# %%
RATES = {
    "SGD": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
    "momentum": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "RMSprop": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03],
    "Adam": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03],
}
MAKE = {
    "SGD": lambda p, lr: optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
    "RMSprop": lambda p, lr: optim.RMSprop(p, lr=lr, alpha=0.9),
    "Adam": lambda p, lr: optim.Adam(p, lr=lr),
}
best, best_rate, best_curve, finals = {}, {}, {}, {}
for name, rates in RATES.items():
    curves = []
    for lr in rates:
        model = initialize(network([784, 64, 64, 10], nn.ReLU), spreads["He"])
        curves.append(fit(model, MAKE[name](model.parameters(), lr), steps=250))
    final = np.array([c[-50:].mean() for c in curves])
    winner = np.nanargmin(final)
    best[name], best_rate[name] = final[winner], rates[winner]
    best_curve[name], finals[name] = smooth(curves[winner], 25), final
    assert best[name] < 0.4 and final[0] > 1.3 * best[name] and not final[-1] < 1.3 * best[name]
    assert name != "Adam" or final[rates.index(0.001)] < 0.4
    print(f"{name:9} best η {rates[winner]:<7} loss of the last 50 steps {best[name]:.3f}")
assert min(best_rate["SGD"], best_rate["momentum"]) > 2 * best_rate["Adam"]
assert min(best_rate["SGD"], best_rate["momentum"]) > 2 * best_rate["RMSprop"]

# %% jupyter={"source_hidden": true}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
for name, rates in RATES.items():
    left.semilogy(best_curve[name], label=f"{name}, η = {best_rate[name]}")
    right.loglog(rates, finals[name], "o-", markersize=4, label=name)
left.legend()
left.set(title="each at its best rate", xlabel="step", ylabel="loss")
right.set(xlabel="learning rate η", ylabel="loss of the last 50 steps", ylim=(None, 4))
material.show(
    "Left: the losses of the four rules, each at its best rate, lie close together. Right: loss "
    "against the learning rate: each rule has a valley, those of SGD and momentum at larger "
    "rates."
)

# %% [markdown]
# All four train this net at their best rate (loss below 0.4), and for each of them both ends of its
# range are clearly worse. The best rates of SGD and momentum are larger than those of RMSprop and
# Adam: for the first two $\eta$ is a factor on the gradient, whose size depends on the net; for the
# other two it is the size of a step. So one value, about $10^{-3}$, does for Adam on very many
# nets, and it is the usual place to begin. Here it reaches less than 0.4 too.
#
# ## What a modern net starts from
#
# ReLU (or GELU), He's initialization, inputs of mean 0 and variance 1, losses on logits, Adam at
# $10^{-3}$; normalization (lesson 8) when it is deep; dropout, weight decay and early stopping when
# the data are few. Nearly all of it answers a measurement of this lesson.

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 7 --answers`.
#
# **1. Leaky gain.** Leaky ReLU passes $a\,z$ where $z < 0$. Repeat the derivation of section 2:
# which gain, with $\operatorname{Var}(w)\cdot n_{in} = \text{gain}^2$, keeps $E[a^2]$? (For $a = 1$
# nothing is left of the nonlinearity.)

# %%
from lessons.exercises.lesson_07 import check


def leaky_gain(slope):
    ...


check(1, leaky_gain)

# %% [markdown]
# **2. Softplus.** Write $\ln(1 + e^x)$ for float32 arrays such that it is right to $10^{-6}$,
# relative, for every $x$ from $-80$ to $10^{30}$, without a branch.


# %%
def softplus(x):
    ...


check(2, softplus)

# %% [markdown]
# **3. One pass.** The mean and the variance of a stream of float32 numbers, each seen once, without
# $E[x^2] - E[x]^2$ (Welford, 1962): keep the mean and the sum of squared deviations, and find how a
# new number changes them.


# %%
def mean_and_variance(values):
    """(mean, variance) of what can be read once, number by number."""
    ...


check(3, mean_and_variance)

# %% [markdown]
# **4. AdaGrad.** AdaGrad (Duchi, Hazan and Singer, 2011) divides by the root of the *sum* of all
# squared gradients. Write it like the rules of section 6; it must walk the path of `optim.Adagrad`.


# %%
def adagrad(g, s, lr, eps=1e-10):
    """What is subtracted; s is a dict that begins empty."""
    ...


check(4, adagrad)

# %% [markdown]
# **5. Patience.** Given the validation losses of all epochs, counted from 0, in which epoch does
# early stopping stop, and which epoch's weights does it keep? For `[3, 2, 2.5, 1, 1.5, 1.2, 1.1]`
# and patience 2 it is `(5, 3)`.


# %%
def early_stopping(losses, patience):
    """(epoch in which it stops, epoch that is kept)."""
    ...


check(5, early_stopping)
