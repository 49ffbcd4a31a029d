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
# # 9. Function approximation
#
# A network is a function with knobs. Which functions can it become, with how many neurons, and what
# does it say where it has seen nothing? We build a net by hand that draws any curve, train nets on
# a sine, on steps and on a picture, give them width and depth, and end outside the data, where all
# of them are wrong.

# %%
import prelude

prelude.begin(threads=None)

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import nn, optim
from lessons import material


def network(sizes, activation=nn.ReLU):
    """Linear layers of these sizes, with the activation between them."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1])


def parameters(model):
    """How many numbers a model has to learn."""
    return sum(p.numel() for p in model.parameters())


def values(model, x):
    """What a net with one input gives for the numbers x."""
    with cr.no_grad():
        return model(cr.tensor(np.float32(x)[:, None])).numpy()[:, 0]


# %% [markdown]
# ## 1. Any curve, by hand
#
# One ReLU neuron of one input, $v\,\max(0,\, x - k)$, is a hinge: flat up to its *kink* $k$, then a
# line of slope $v$. Three hinges make a bump:
#
# $$\operatorname{bump}(x) = \frac{r(x - k_0) - 2\,r(x - k_1) + r(x - k_2)}{h},
# \qquad r(x) = \max(0, x), \quad h = k_1 - k_0 = k_2 - k_1 .$$
#
# It climbs from 0 at $k_0$ to 1 at $k_1$, and is 0 again from $k_2$ on. Put one bump on each of
# many knots, make it as high as the function is there, and add them: between two knots two
# neighbours overlap to a straight line, so the sum is the broken line through all the points.

# %%
def bump(x, k, h):
    return (np.maximum(0, x - k + h) - 2 * np.maximum(0, x - k) + np.maximum(0, x - k - h)) / h


x = np.linspace(-np.pi, np.pi, 1001)
knots = np.linspace(-np.pi, np.pi, 9)
h = knots[1] - knots[0]
bumps = [np.sin(k) * bump(x, k, h) for k in knots]
assert np.allclose(sum(bumps), np.interp(x, knots, np.sin(knots)))

# %% jupyter={"source_hidden": true}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for k, v, label in ((-1, 1, "r(x + 1)"), (0, -2, "−2 r(x)"), (1, 1, "r(x − 1)")):
    left.plot(x, v * np.maximum(0, x - k), linewidth=1, label=label)
left.plot(x, bump(x, 0, 1), "k", linewidth=2, label="their sum")
left.set(title="a bump of three hinges", ylim=(-2, 2))
left.legend()
for b in bumps:
    right.plot(x, b, color="C0", linewidth=0.8)
right.plot(x, sum(bumps), "k", linewidth=2, label="sum of the bumps")
right.plot(x, np.sin(x), "--", color="C3", label="sine")
right.set(title="nine bumps")
right.legend()
left.set_ylabel("value")
for axes in (left, right):
    axes.set_xlabel("$x$")
material.show(
    "Left: three hinges and their sum, a bump of height 1. Right: nine bumps of different "
    "height, and their sum, a broken line along the sine."
)

# %% [markdown]
# Between the first knot and the last, all bumps together have one hinge at each knot. Its weight is
# the change of slope there. So this is a network with one hidden layer whose weights we can write
# down, $s_i$ being the slope between the knots $k_i$ and $k_{i+1}$, and $s_{-1} = 0$:
#
# $$f_n(x) = f(k_0) + \sum_{i=0}^{n-2} (s_i - s_{i-1})\; r(x - k_i),
# \qquad s_i = \frac{f(k_{i+1}) - f(k_i)}{k_{i+1} - k_i}.$$
#
# There is nothing to train.
#
# **Predict, then run.** Each doubling of the neurons halves the distance of the knots. What does it
# do to the largest error?

# %%
def by_hand(f, knots):
    """A net 1-n-1 that is the broken line through (k, f(k))."""
    y = f(knots)
    slopes = np.diff(y) / np.diff(knots)
    model = network([1, len(slopes), 1])
    model.load_state_dict({
        "0.weight": np.ones((len(slopes), 1), np.float32),
        "0.bias": np.float32(-knots[:-1]),
        "2.weight": np.float32(np.diff(slopes, prepend=0.0))[None],
        "2.bias": np.float32(y[:1]),
    })
    return model


neurons = np.array([2, 4, 8, 16, 32, 64, 128])
errors = []
for n in neurons:
    built = by_hand(np.sin, np.linspace(-np.pi, np.pi, n + 1))
    errors.append(np.abs(values(built, x) - np.sin(x)).max())
bound = (2 * np.pi / neurons) ** 2 / 8
for n, e, b in zip(neurons, errors, bound, strict=True):
    print(f"{n:4} neurons   largest error {e:.5f}   h²/8 {b:.5f}")
assert (errors < bound + 1e-5).all() and errors[-1] < 1e-3

# %% [markdown]
# A chord of length $h$ leaves a curve by at most $\frac{h^2}{8}\max|f''|$, and for the sine the
# last factor is 1. So twice the neurons, a quarter of the error, as small as we like. For a
# function that is continuous and no more, the error still goes to 0, since on an interval it varies
# little within a small enough $h$. That is the **universal approximation theorem** in one
# dimension: on a bounded interval, one hidden layer comes as near to any continuous function as we
# want. It holds for any number of inputs (Cybenko, 1989; Hornik, Stinchcombe and White, 1989), and
# for every activation that is not a polynomial (Leshno, Lin, Pinkus and Schocken, 1993).
#
# What the theorem does not say: how many neurons it takes, whether training finds the weights, and
# what happens outside the interval. The rest of the lesson asks these three.
#
# ## 2. Training finds a sine
#
# Now the net sees 200 points of the curve and nothing else. Adam with a rate that falls to 0, the
# mean squared error, all points in each step; `cr.compile` makes one program of it.
#
# **Predict, then run.** Training may put its kinks where they are needed; by hand they stand at
# equal distances. Which of the two is better with 2 neurons, and which with 64?

# %%
def fit(model, x, y, steps=1500, lr=0.01, batch=None):
    """Train on all of (x, y) in each step, or on a random batch of them."""
    optimizer = optim.Adam(model.parameters(), lr=lr)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=steps)
    rng = np.random.default_rng(0)

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    x, y = np.float32(x), np.float32(y)
    everything = cr.tensor(x), cr.tensor(y)
    for _ in range(steps):
        rows = rng.integers(0, len(x), batch) if batch else None
        step(*everything) if rows is None else step(cr.tensor(x[rows]), cr.tensor(y[rows]))
    return model


def learn(f, sizes, activation=nn.ReLU, seed=0, low=-np.pi, high=np.pi, **options):
    """A net trained on 200 points of f."""
    cr.manual_seed(seed)
    points = np.linspace(low, high, 200)[:, None]
    return fit(network(sizes, activation), points, f(points), **options)


def rms(error):
    """Root mean square."""
    return np.sqrt(np.mean(error**2))


WIDTHS = (1, 2, 4, 8, 16, 32, 64)
sines = {n: [learn(np.sin, [1, n, 1], seed=s) for s in range(3)] for n in WIDTHS}
trained = {n: [rms(values(m, x) - np.sin(x)) for m in sines[n]] for n in WIDTHS}
built = {n: rms(values(by_hand(np.sin, np.linspace(-np.pi, np.pi, n + 1)), x) - np.sin(x))
         for n in WIDTHS}

for n in WIDTHS:
    print(f"{n:3} neurons   by hand {built[n]:.4f}   trained", np.round(trained[n], 4))
assert max(trained[64]) < 0.02 and min(trained[1]) > 0.3 and min(trained[64]) > built[64]

# %% jupyter={"source_hidden": true}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(x, np.sin(x), "k:", label="sine")
for n in (2, 4, 16):
    left.plot(x, values(sines[n][0], x), linewidth=1.2, label=f"{n} neurons")
left.legend()
for s in range(3):
    right.loglog(WIDTHS, [trained[n][s] for n in WIDTHS], "o", color="C0", markersize=4,
                 label="trained, three seeds" if s == 0 else None)
right.loglog(WIDTHS, built.values(), "k-", linewidth=1, label="by hand")
left.set(xlabel="$x$", ylabel="value")
right.set(xlabel="neurons", ylabel="root mean square error")
right.legend()
material.show(
    "Left: the sine and nets of 2, 4 and 16 neurons; with 16 it is hard to tell from the curve. "
    "Right: error against neurons, with logarithmic axes: by hand it falls by a factor of four "
    "with each doubling, trained nets fall less."
)

# %% [markdown]
# The theorem promises that good weights exist; descent has to find them from where it starts. With
# few neurons the outcome depends on the seed, with a kink that never finds its place. With many it
# does not: more neurons than necessary is what makes training easy. The hand-built net gains a
# factor of four with each doubling; descent does not use its neurons that well.
#
# ## 3. Steps
#
# A step is not continuous, and a net of continuous parts cannot jump. It can only climb steeply:
# two hinges at a distance $\varepsilon$ make a ramp of slope $1/\varepsilon$, and large slopes need
# large weights.
#
# **Predict, then run.** Three nets, from 25 to more than 4,000 weights, learn the same stairs. How
# does the mean error fall, and how the largest one?

# %%
def staircase(x):
    """0, 1, 2, 3: a jump at −π/2, 0 and π/2."""
    return np.floor(2 * x / np.pi).clip(-2, 1) + 2.0


STEP_SIZES = {"8": [1, 8, 1], "64": [1, 64, 1], "64-64": [1, 64, 64, 1]}
stairs = {name: learn(staircase, sizes) for name, sizes in STEP_SIZES.items()}
fine, smallest = np.linspace(-np.pi, np.pi, 20_001), np.inf

for name, model in stairs.items():
    error = values(model, fine) - staircase(fine)
    print(f"hidden {name:6} root mean square {rms(error):.3f}   largest {np.abs(error).max():.3f}")
    assert np.abs(error).max() > 0.45 and rms(error) < smallest
    smallest = rms(error)
assert rms(values(stairs["64-64"], fine) - staircase(fine)) < 0.1

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 3, figsize=(10, 2.8), sharey=True)
for axes, (name, model) in zip(panels, stairs.items(), strict=True):
    axes.plot(fine[::20], staircase(fine[::20]), "k:", linewidth=1)
    axes.plot(fine[::20], values(model, fine[::20]), color="C0")
    error = values(model, fine) - staircase(fine)
    axes.set(title=f"hidden {name}: r.m.s. {rms(error):.3f}", xlabel="$x$")
panels[0].set_ylabel("value")
material.show(
    "The stairs and three nets: 8 neurons make a slope, 64 neurons rounded steps, two layers of "
    "64 steep ones."
)

# %% [markdown]
# The mean error falls with size. The largest error does not: in the middle of a jump of height 1 a
# continuous curve is wrong by at least $\frac12$ on one side or the other, whatever the net. Which
# error one looks at decides what "approximates" means.
#
# ## 4. Depth
#
# In one hidden layer every neuron adds one kink. In the next layer, kinks multiply: what folds the
# interval once, applied $k$ times, folds it $2^k$ times. The tent $t(x) = 2r(x) - 4r(x - \frac12)$
# takes $[0, 1]$ up to 1 and back. Composed with itself it has two tents, then four, ... (Telgarsky,
# 2016).

# %%
def tents(k):
    """k tents one inside the other: k hidden layers of two neurons each."""
    model = network([1] + [2] * k + [1])
    into = np.array([[1.0], [1.0]]), np.array([0.0, -0.5])  # r(x), r(x − ½)
    out = np.array([[2.0, -4.0]])
    state = {"0.weight": into[0], "0.bias": into[1]}
    for i in range(1, k):
        state |= {f"{2 * i}.weight": into[0] @ out, f"{2 * i}.bias": into[1]}
    state |= {f"{2 * k}.weight": out, f"{2 * k}.bias": np.zeros(1)}
    model.load_state_dict({name: np.float32(v) for name, v in state.items()})
    return model


unit, pieces = np.linspace(0, 1, 2**12 + 1), {}
for k in (1, 3, 6):
    pieces[k] = 1 + int((np.abs(np.diff(values(tents(k), unit), 2)) > 1e-4).sum())
    assert pieces[k] == 2**k

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 3, figsize=(10, 2.4), sharey=True)
for axes, k in zip(panels, pieces, strict=True):
    axes.plot(unit[::8], values(tents(k), unit[::8]), linewidth=1)
    title = f"{2 * k} neurons in {k} layer{'s' * (k > 1)}, {pieces[k]} pieces"
    axes.set(title=title, xlabel="$x$")
panels[0].set_ylabel("value")
material.show("One tent, four tents and 32 tents, drawn by nets of 2, 6 and 12 neurons.")

# %% [markdown]
# Six layers of two neurons draw 64 pieces; one hidden layer needs 63 neurons for that. So there are
# functions for which depth is worth exponentially much. Is it in training? Here is a curve with
# detail, $\sin x + \frac12 \sin 4x$, learned by nets of one to four hidden layers; the mean of two
# seeds.

# %%
def wiggle(x):
    return np.sin(x) + 0.5 * np.sin(4 * x)


DEPTHS, LAYER = (1, 2, 3, 4), (4, 8, 16, 32)
table, count = np.zeros((4, 4)), np.zeros((4, 4), int)
for i, depth in enumerate(DEPTHS):
    for j, width in enumerate(LAYER):
        nets = [learn(wiggle, [1] + [width] * depth + [1], seed=s, steps=600) for s in range(2)]
        table[i, j] = np.mean([rms(values(m, x) - wiggle(x)) for m in nets])
        count[i, j] = parameters(nets[0])
wide = [learn(wiggle, [1, 200, 1], seed=s, steps=600) for s in range(2)]
wide_error = np.mean([rms(values(m, x) - wiggle(x)) for m in wide])
print(f"one layer of 200, {parameters(wide[0])} weights: {wide_error:.3f};"
      f"  three layers of 16, {count[2, 2]} weights: {table[2, 2]:.3f}")
assert table[2, 2] < wide_error and table[3, 3] < 0.5 * table[0, 3]
assert table[:, 0].min() > 5 * table[3, 3]

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(figsize=(5, 3))
axes.imshow(np.log10(table), cmap="viridis", aspect="auto")
for i in range(4):
    for j in range(4):
        dark = table[i, j] < np.sqrt(table.min() * table.max())
        axes.text(j, i, f"{table[i, j]:.3f}\n{count[i, j]} weights", ha="center", va="center",
                  fontsize=8, color="white" if dark else "black")
axes.set(xticks=range(4), xticklabels=LAYER, yticks=range(4), yticklabels=DEPTHS,
         xlabel="neurons in each hidden layer", ylabel="hidden layers",
         title="root mean square error")
axes.grid(False)
material.show(
    "A table of errors for one to four hidden layers of 4 to 32 neurons: the error falls with "
    "both, and most with both together."
)

# %% [markdown]
# (*Weights* here counts the biases too.) With about the same number, three narrow layers do better
# than one wide layer. Both axes help, and neither alone: nets of four neurons a layer stay poor at
# any depth.
#
# ## 5. A picture
#
# A picture is a function too: from the two coordinates of a pixel to its brightness. This one is
# made by the code: 64 × 64 pixels of sky, sun and hills, and then once more with rings in the sun.
#
# **Predict, then run.** The largest net has more than four weights for each pixel. Will it draw
# both pictures without a fault?

# %%
SIDE = 64


def draw(rings):
    """(coordinates, brightness) of each pixel: a sun, with or without rings, over hills."""
    v, u = np.mgrid[0:1 : SIDE * 1j, 0:1 : SIDE * 1j]
    picture = 0.3 + 0.4 * v
    radius = np.hypot(u - 0.62, v - 0.36)
    sun = 0.65 + 0.35 * np.cos(2 * np.pi * 36 * radius**2) if rings else 1.0
    picture = np.where(radius < 0.27, sun, picture)
    picture = np.where(v > 0.72 + 0.08 * np.sin(7 * u), 0.3, picture)
    picture = np.where(v > 0.82 + 0.05 * np.sin(12 * u + 2), 0.1, picture)
    coordinates = np.stack([u, v], axis=-1).reshape(-1, 2) * 2 - 1
    return coordinates.astype(np.float32), picture.reshape(-1, 1).astype(np.float32)


def decibels(error):
    """The peak signal-to-noise ratio of a picture with values in [0, 1]."""
    return -20 * np.log10(rms(error))


def paint(features, brightness, sizes, seen=None):
    """The picture of a net trained to give the brightness at each place that it has seen."""
    cr.manual_seed(0)
    seen = np.ones(len(features), bool) if seen is None else seen
    model = network([features.shape[1], *sizes, 1])
    fit(model, features[seen], brightness[seen], steps=1000, lr=0.005, batch=512)
    with cr.no_grad():
        return model(cr.tensor(features)).numpy()


quality, drawn = {}, {}
for rings in (False, True):
    where, brightness = draw(rings)
    drawn["with rings" if rings else "the function"] = brightness
    for n in (8, 32, 128):
        picture = paint(where, brightness, [n, n])
        quality[rings, n] = decibels(picture - brightness)
        title = f"hidden {n}-{n}: {quality[rings, n]:.1f} dB"
        drawn[f"{title}, rings" if rings else title] = picture
assert quality[False, 8] < quality[False, 32] < quality[False, 128]
assert quality[False, 128] > quality[True, 128] + 3
assert parameters(network([2, 128, 128, 1])) > 4 * brightness.size

# %% jupyter={"source_hidden": true}
figure, grid = plt.subplots(2, 4, figsize=(9, 5))
for axes, (title, picture) in zip(grid.flat, drawn.items(), strict=True):
    material.picture(axes, picture.reshape(SIDE, SIDE), title.split(",")[0], vmin=0, vmax=1)
material.show(
    "Above, the picture of sun and hills and three nets that learn it, the last one close. "
    "Below, the sun with rings: the rings stay a blur in all three."
)

# %% [markdown]
# (dB: the peak signal-to-noise ratio, $-20 \log_{10}$ of the root mean square error; 6 dB more is
# half the error.) The wider the net, the better the picture, from a rough shape to a round sun over
# hills. But the rings stay a blur, although the last net has more than four weights for each pixel.
# Something other than size is missing.
#
# ### Slow waves first
#
# Take a signal of three waves of equal height, and watch how much of each a net has learned: the
# share is the projection of the net's output on the wave.
#
# **Predict, then run.** The three waves are equally high. Are they learned at the same time?

# %%
FREQUENCIES = (1, 4, 10)
t = np.linspace(-1, 1, 256, endpoint=False)
waves = np.array([np.sin(np.pi * k * t) for k in FREQUENCIES])
cr.manual_seed(0)
model = network([1, 128, 128, 1])
shares, done = [], [0]
for steps in (5, 5, 10, 20, 40, 80, 160, 320, 640, 1280):
    fit(model, t[:, None], waves.sum(axis=0)[:, None], steps, lr=0.002)
    shares.append(waves @ values(model, t) / (waves**2).sum(axis=1))
    done.append(done[-1] + steps)
shares = np.array(shares)
for row, steps in zip(shares, done[1:], strict=True):
    print(f"{steps:5} steps  ", np.round(row, 2))
learned = [int(np.argmax(np.append(share > 0.5, True))) for share in shares.T]
assert learned[0] < learned[1] < learned[2]

# %% jupyter={"source_hidden": true}
figure, axes = plt.subplots(figsize=(5.5, 3))
for k, share in zip(FREQUENCIES, shares.T, strict=True):
    axes.semilogx(done[1:], share, "o-", markersize=3, label=f"frequency {k}")
axes.axhline(1, color="grey", linewidth=0.8, linestyle=":")
axes.set(xlabel="step", ylabel="share that is learned")
axes.legend()
material.show(
    "The learned share of three waves against the step: frequency 1 is learned first, then 4; of "
    "10 only a part is learned."
)

# %% [markdown]
# The slow wave comes first, the fast one long after. This is the **spectral bias** of such nets
# (Rahaman and others, 2019): smooth parts first, detail slowly. It is often welcome, since noise is
# detail too. For the rings it is not.
#
# ### Fourier features
#
# If fast waves are hard to make, give them to the net: replace the two coordinates $p$ by
#
# $$\gamma(p) = \big(\sin 2\pi B p,\; \cos 2\pi B p\big), \qquad B_{ij} \sim N(0, \sigma^2),$$
#
# waves in random directions, about as fast as $\sigma$ says (Tancik and others, 2020). To see what
# $\sigma$ does, the net now learns from every second pixel only, like the black fields of a
# chessboard, and has to guess the white ones.
#
# **Predict, then run.** Which of the three inputs gives the best picture on the pixels that the net
# has seen, and which on the others: the plain coordinates, slow waves (σ = 2) or fast ones (σ =
# 16)?

# %%
def fourier(p, sigma, n=64):
    """sin and cos of n random waves."""
    phase = 2 * np.pi * p @ np.random.default_rng(0).normal(0, sigma, (2, n))
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=1).astype(np.float32)


seen = (np.indices((SIDE, SIDE)).sum(axis=0) % 2 == 0).ravel()
INPUTS = {"coordinates": where, "σ = 2": fourier(where, 2.0), "σ = 16": fourier(where, 16.0)}
quality, drawn = {}, {"the function": brightness}
for name, features in INPUTS.items():
    picture = paint(features, brightness, [64, 64], seen)
    error = picture - brightness
    quality[name] = decibels(error[seen]), decibels(error[~seen])
    seen_dB, unseen_dB = quality[name]
    drawn[f"{name}\nseen {seen_dB:.1f} dB, unseen {unseen_dB:.1f} dB"] = picture

assert min(quality["σ = 2"]) > quality["coordinates"][0] + 2
assert quality["σ = 16"][0] > quality["σ = 2"][0] > quality["σ = 16"][1] + 3

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 4, figsize=(10, 2.9))
for axes, (title, picture) in zip(panels, drawn.items(), strict=True):
    material.picture(axes, picture.reshape(SIDE, SIDE), title, vmin=0, vmax=1)
material.show(
    "The picture and three nets that saw every second pixel: from coordinates the rings are a "
    "blur, with slow waves they are there, with fast waves the picture is full of noise."
)

# %% [markdown]
# With waves of the right speed the rings are there, on the pixels that it has not seen, too. With
# much faster ones the net fits what it has seen best of all, and fails between: noise on every
# second pixel. How fast the waves may be is an **assumption about the function**, and no amount of
# weights replaces it.
#
# ## 6. Outside the data
#
# Five nets with ReLU, five with tanh, all trained on the curve of section 4 between $-\pi$ and
# $\pi$. What do they say beyond?
#
# **Predict, then run.** How does the answer of a ReLU net go on far to the right of the data, and
# how that of a tanh net? Does a net of either kind repeat the wave?

# %%
far = np.linspace(-3 * np.pi, 3 * np.pi, 1201)
inside = np.abs(far) <= np.pi
SIZES = [1, 64, 64, 1]


def five(activation):
    """The curves of five nets that differ only in their start."""
    nets = [learn(wiggle, SIZES, activation, seed=s, steps=1000) for s in range(5)]
    return np.array([values(net, far) for net in nets])


groups = {"ReLU": five(nn.ReLU), "tanh": five(nn.Tanh)}


def on_circle(x):
    """x as a point on the circle: whatever a net makes of it has period 2π."""
    return np.concatenate([np.sin(x), np.cos(x)], axis=1)


cr.manual_seed(0)
points = np.linspace(-np.pi, np.pi, 200)[:, None]
periodic = fit(network([2, 64, 64, 1], nn.Tanh), on_circle(points), wiggle(points))
with cr.no_grad():
    repeated = periodic(cr.tensor(np.float32(on_circle(far[:, None])))).numpy()[:, 0]

for name, guesses in groups.items():
    error = [rms(guesses[:, part] - wiggle(far[part])) for part in (inside, ~inside)]
    spread = [guesses[:, part].std(axis=0).mean() for part in (inside, ~inside)]
    print(f"{name}: error inside {error[0]:.3f}, outside {error[1]:.3f};"
          f"  disagreement of the five inside {spread[0]:.3f}, outside {spread[1]:.3f}")
    assert error[0] < 0.1 and error[1] > 0.6 and spread[1] > 5 * spread[0]
    assert name != "tanh" or error[1] > 5 * spread[1]
print(f"circle: error outside {rms((repeated - wiggle(far))[~inside]):.3f}")
assert rms((repeated - wiggle(far))[~inside]) < 0.05

# %% jupyter={"source_hidden": true}
figure, panels = plt.subplots(1, 3, figsize=(11, 3), sharey=True)
curves = {f"five {name} nets": guesses for name, guesses in groups.items()}
curves["a net that knows the period"] = repeated[None]
for axes, (title, guesses) in zip(panels, curves.items(), strict=True):
    axes.axvspan(-np.pi, np.pi, color="#eeeeee")
    axes.plot(far[::4], wiggle(far[::4]), "k:", linewidth=1)
    axes.plot(far[::4], guesses.T[::4], linewidth=1)
    axes.set(title=title, ylim=(-4, 4), xlabel="$x$")
panels[0].set_ylabel("value")
material.show(
    "Five ReLU nets, five tanh nets and one that knows the period, inside and outside of the "
    "data: inside all lie on the curve, outside ReLU nets go on as straight lines, tanh nets "
    "level off, the last one repeats the wave."
)

# %% [markdown]
# In the grey band all agree with the curve and with each other. Outside, a ReLU net goes on in
# straight lines, since beyond its last kink nothing bends any more, and a tanh net settles at a
# constant, since all its neurons saturate:

# %%
for name, g in (("ReLU", nn.ReLU), ("tanh", nn.Tanh)):
    model = learn(wiggle, [1, 64, 64, 1], g)
    y = values(model, np.array([1e4, 2e4, 3e4]))
    print(f"{name} at 10,000, 20,000 and 30,000:", y)
    bend, rise = abs(y[2] - 2 * y[1] + y[0]), abs(y[1] - y[0])
    assert bend < 1e-3 * max(rise, 1) and (name == "ReLU" or rise < 1e-3)

# %% [markdown]
# More training, more neurons or more points between $-\pi$ and $\pi$ do not change that: the data
# say nothing about the outside, and what the net says there is its architecture speaking. Two
# things do help.
#
# - **Knowledge, built in.** The net on the right gets $x$ as a point on a circle. It was shown the
#   same 200 points, and is right everywhere, *because the period was true*. (Convolution, lesson 8,
#   is knowledge of the same kind.)
# - **A warning.** Nets with different starts agree where there are data and disagree where there
#   are none; their spread is a cheap sign of ignorance (Lakshminarayanan, Pritzel and Blundell,
#   2017). A sign and not a proof: the five tanh nets agree with each other outside far more than
#   with the curve.

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 9 --answers`.
#
# **1. The broken line.** The weights of the 1-n-1 ReLU net through any points $(x_i, y_i)$ with
# growing $x_i$.

# %%
from lessons.exercises.lesson_09 import check


def broken_line(x, y):
    """(w, b, v, c) of the net that adds c to the sum of v·relu(w·x + b)."""
    ...


check(1, broken_line)

# %% [markdown]
# **2. Maximum.** Build $\max(x, y)$ exactly from three ReLUs and no other operation but sums.


# %%
def relu(x):
    return np.maximum(0, x)


def maximum(x, y):
    ...


check(2, maximum)

# %% [markdown]
# **3. Counting.** A net of one input and $k$ hidden layers of two neurons, as in section 4: from
# which $k$ on has it more pieces than a net of one hidden layer with so many neurons can have?


# %%
def layers_to_beat(neurons):
    ...


check(3, layers_to_beat)

# %% [markdown]
# **4. Far away.** For a 1-n-1 ReLU net with weights $w$, biases $b$ and output weights $v$: what
# are its slopes at $-\infty$ and at $+\infty$?


# %%
def far_slopes(w, b, v):
    """(slope at −∞, slope at +∞); the arrays have the shape (n,)."""
    ...


check(4, far_slopes)

# %% [markdown]
# **5. A window.** With four ReLUs, build the function that is 1 on $[a, b]$, 0 outside $[a -
# \varepsilon, b + \varepsilon]$, and straight between. How large is the largest weight, and what
# happens to it as $\varepsilon \to 0$?


# %%
def window(x, a, b, epsilon):
    ...


check(5, window)
