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
# # 4. The chain rule, automated
#
# Lesson 2 derived every gradient on paper, and a net of another shape would need other formulas.
# This lesson gives that work away: first to an engine for single numbers, in under 100 lines, then
# to Chainrule's `Tensor`. It ends with the gradients of lesson 2, found by `backward()`, equal to
# those by hand.

# %%
import prelude

prelude.begin()

# %%
import inspect
import math
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import nn
from lessons import by_hand, material, pictures, scalar
from lessons.scalar import Scalar

# %% [markdown]
# ## On paper
#
# One neuron with one input, and a squared error:
#
# $$z = wx + b, \qquad a = \tanh z, \qquad L = (a - t)^2.$$
#
# How does $L$ change with $w$? A change of $w$ changes $z$, that changes $a$, and that changes $L$,
# each in proportion to its own slope. The slopes multiply. That is the **chain rule**:
#
# $$\frac{\partial L}{\partial w}
#   = \frac{\partial L}{\partial a} \cdot \frac{\partial a}{\partial z}
#     \cdot \frac{\partial z}{\partial w}
#   = 2(a - t) \cdot (1 - a^2) \cdot x.$$
#
# The first two factors are needed for $b$ as well, and for $x$. So it pays to begin at $L$, to keep
# the product so far, and to multiply one more slope at each step back:

# %%
x, w, b, t = 2.0, 0.5, -0.3, 1.0
z = w * x + b
a = math.tanh(z)
L = (a - t) ** 2

dL_da = 2 * (a - t)
dL_dz = dL_da * (1 - a**2)
dL_dw, dL_dx, dL_db = dL_dz * x, dL_dz * w, dL_dz
print(f"L = {L:.4f}   ∂L/∂w = {dL_dw:.4f}   ∂L/∂x = {dL_dx:.4f}   ∂L/∂b = {dL_db:.4f}")

# %% [markdown]
# Look at what each line needed: the product that came from the right, and a slope that belongs to
# *one* operation, whatever stands around it. The slope of $\tanh$ is $1 - a^2$ in every formula of
# the world. So the work can be divided:
#
# - each operation knows its own slopes, and notes them while it computes;
# - one loop, the same for all, multiplies them on the way back.
#
# ## The engine
#
# A `Scalar` is a number that remembers from which numbers it was computed, and the slope by each of
# them. This is the whole engine:

# %%
source = inspect.getsource(scalar)
print(source)
print(f"# {len(source.splitlines())} lines")
assert len(source.splitlines()) < 100

# %% [markdown]
# An operation is two or three lines: its value and its slopes. `backward` is the loop. Now the
# neuron again; we write the formula, and nothing else:

# %%
x, w, b, t = (Scalar(v, name=n) for n, v in (("x", 2.0), ("w", 0.5), ("b", -0.3), ("t", 1.0)))
z = w * x + b
a = z.tanh()
L = (a - t) ** 2
L.backward()

print(f"L = {L.data:.4f}   ∂L/∂w = {w.grad:.4f}   ∂L/∂x = {x.grad:.4f}   ∂L/∂b = {b.grad:.4f}")
assert np.allclose([w.grad, x.grad, b.grad], [dL_dw, dL_dx, dL_db], atol=1e-15)

# %% [markdown]
# What it remembers is a **graph**. Below, values are computed from left to right. The gradient
# flows along the arrows from right to left; the number on an arrow is what passes there: the
# gradient of the box it leaves, times the slope of that operation.

# %% jupyter={"source_hidden": true}
for name, node in (("z", z), ("a", a), ("L", L)):
    node.name = name
fig, ax = plt.subplots(figsize=(8, 2.6))
pictures.draw_graph(ax, L)
material.show(
    "The graph of one neuron with a squared error: boxes for x, w, b, t and each result with its "
    "value, from left to right; on the arrows the gradient that passes from the loss back to "
    "each input."
)

# %% [markdown]
# Two patterns are worth knowing by heart. A **sum** passes the gradient on as it is, to each of its
# inputs. A **product** passes to each input the gradient times the *other* input: $w$ gets
# $-0.502 \cdot x$, and $x$ gets $-0.502 \cdot w$.

# %%
assert math.isclose(z.grad, b.grad) and math.isclose(w.grad, z.grad * x.data)

# %% [markdown]
# ## A value that is used twice
#
# In $y = x^2 e^x + x^2$ a change of $x$ reaches $y$ on several roads. To first order the changes
# add up, so the gradient is a sum over all **paths** from $x$ to $y$, of the product of the slopes
# on each path:
#
# $$\frac{\partial y}{\partial x} = \sum_{\text{paths}}\ \prod_{\text{arrows}} \text{slope}.$$

# %%
x = Scalar(1.5, name="x")
u = x * x
y = u * x.exp() + u
u.name, y.name = "u", "y"
y.backward()

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(7, 2.8))
pictures.draw_graph(ax, y)
material.show(
    "The graph of y = u times e to the x plus u, with u = x squared: arrows from y back to x on "
    "several roads, with the gradient on each."
)


# %%
def paths(node, product=1.0):
    """The product of slopes along every path from `node` back to x."""
    if node is x:
        yield product
    for source, slope in zip(node.inputs, node.slopes, strict=True):
        yield from paths(source, product * slope)


found = list(paths(y))
print("paths:", np.round(found, 3), " sum", round(sum(found), 6), " engine", round(x.grad, 6))
assert math.isclose(sum(found), x.grad)
assert math.isclose(x.grad, (1.5**2 + 2 * 1.5) * math.exp(1.5) + 2 * 1.5)

# %% [markdown]
# This is why `backward` has `x.grad + ...` in its last line and not just `=`. Where arrows arrive,
# they add.
#
# But it does not go along the paths one by one. In the chain $x_{k+1} = x_k \cdot x_k$ each value
# is used twice, and the number of paths doubles at each step. The engine touches each *arrow* once:
# it waits until the gradient of a node is complete, and only then passes it on. For that the nodes
# must be in an order in which each stands before all it was computed from. That is a **topological
# order**, and `nodes` finds it.
#
# **Predict, then run.** After 60 squarings there are $2^{60}$ paths. On how many arrows does a
# gradient travel?

# %%
print(" steps   paths                arrows")
for steps in (3, 10, 60):
    end = begin = Scalar(1.0)
    count = {begin: 1}
    for _ in range(steps):
        end = end * end
    for node in end.nodes():
        count.setdefault(node, sum(count[s] for s in node.inputs))
    end.backward()
    arrows = sum(len(node.inputs) for node in end.nodes())
    print(f"{steps:6}   {count[end]:<20} {arrows}")
    assert count[end] == 2**steps == begin.grad and arrows == 2 * steps

# %% [markdown]
# The walk uses a list as its stack and not a function that calls itself. So depth is no limit,
# where Python's recursion ends at some thousand:

# %%
begin = end = Scalar(0.5)
for _ in range(100_000):
    end = end + 1e-6
end.backward()
print(f"after 100,000 operations: value {end.data:.4f}, slope {begin.grad}")
assert begin.grad == 1.0

# %% [markdown]
# ## Is it right?
#
# A derivative is a limit, and near the limit we can compute it without any rule:
#
# $$\frac{f(x + h) - f(x)}{h} = f'(x) + O(h), \qquad
#   \frac{f(x + h) - f(x - h)}{2h} = f'(x) + O(h^2).$$
#
# **Predict, then run.** A float64 has 16 digits. Which $h$ gives the best central difference:
# $10^{-2}$, $10^{-5}$, $10^{-8}$ or $10^{-12}$? And how many digits are right then?


# %%
def f(x):
    """A formula that works for Scalars."""
    return (x * x + 1).log() * x.tanh() / (2 - (-x).exp())


def value(x):
    return f(Scalar(x)).data


x = Scalar(0.7)
f(x).backward()
u, g, v = math.log(1.49), math.tanh(0.7), 2 - math.exp(-0.7)
truth = (2 * 0.7 / 1.49 * g + u * (1 - g * g)) / v - u * g * math.exp(-0.7) / v**2
h = 10.0 ** -np.arange(0.5, 13, 0.25)
one_sided = np.array([abs((value(0.7 + s) - value(0.7)) / s - truth) for s in h])
central = np.array([abs((value(0.7 + s) - value(0.7 - s)) / (2 * s) - truth) for s in h])
print(f"best: one-sided {one_sided.min():.0e}, central {central.min():.0e} "
      f"at h = {h[central.argmin()]:.0e}, backward {abs(x.grad - truth):.0e}")
assert abs(x.grad - truth) < 1e-15 and central.min() < one_sided.min()
assert central[np.argmin(np.abs(h - 1e-6))] < 1e-9

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.loglog(h, one_sided, label="one-sided difference")
ax.loglog(h, central, label="central difference")
ax.axhline(max(abs(x.grad - truth), 1e-17), color=material.GREEN, label="backward")
ax.set(xlabel="$h$", ylabel="error of the derivative", xlim=(h[0], h[-1]))
ax.legend(loc="upper center")
material.show(
    "Error of the derivative against h, with logarithmic axes. The one-sided and the central "
    "difference fall to a minimum and rise again for smaller h; the central one goes lower. The "
    "error of backward is a level line far below."
)

# %% [markdown]
# Smaller $h$ is better, until the two values of $f$ agree in nearly all of their 16 digits and the
# difference holds nothing but rounding. `backward` has no $h$ and no such trade.
#
# So differences are for *checking*: slow and inexact, but they know nothing of our rules, so they
# do not repeat our mistakes. Central ones with $h = 10^{-6}$ are good for nine digits here.
#
# ## Forward or backward?
#
# Slopes can be multiplied in the other direction, too. Start at one input with slope 1, and let
# each operation compute its value *and* its slope by that input (Wengert, 1964). The pair is called
# a **dual number**:


# %%
class Dual:
    """A number and its derivative by one chosen input."""

    def __init__(self, data, slope=0.0):
        self.data, self.slope = data, slope

    def __add__(self, other):
        return Dual(self.data + other.data, self.slope + other.slope)

    def __mul__(self, other):
        return Dual(self.data * other.data, self.slope * other.data + self.data * other.slope)

    def tanh(self):
        y = math.tanh(self.data)
        return Dual(y, self.slope * (1 - y * y))


def ring(xs):
    """Σ tanh(xᵢ·xᵢ₊₁): n inputs, one output."""
    total = (xs[-1] * xs[0]).tanh()
    for left, right in pairwise(xs):
        total = total + (left * right).tanh()
    return total


def forward_mode(numbers):
    """The gradient: one run for each input."""
    return [ring([Dual(v, float(i == j)) for j, v in enumerate(numbers)]).slope
            for i in range(len(numbers))]


def reverse_mode(numbers):
    """The gradient: one run and one walk back."""
    xs = [Scalar(v) for v in numbers]
    ring(xs).backward()
    return [x.grad for x in xs]


# %% [markdown]
# **Predict, then run.** A function has 256 inputs and one output. The gradient in forward mode
# takes one run for each input; in reverse mode one run and one walk back. How many times faster is
# reverse mode?


# %%
def seconds(function, *args, rounds=3):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - begin)
    return min(times)


rng = np.random.default_rng(0)
sizes = [4, 8, 16, 32, 64, 128, 256]
times = {"forward mode": [], "reverse mode": []}
for n in sizes:
    numbers = rng.standard_normal(n).tolist()
    assert np.allclose(forward_mode(numbers), reverse_mode(numbers))
    for name, mode in (("forward mode", forward_mode), ("reverse mode", reverse_mode)):
        times[name].append(1e3 * seconds(mode, numbers))
print(f"256 inputs: forward {times['forward mode'][-1]:.0f} ms, "
      f"reverse {times['reverse mode'][-1]:.1f} ms")
assert times["forward mode"][-1] > 5 * times["reverse mode"][-1]

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(6, 2.8))
for name, values in times.items():
    ax.loglog(sizes, values, "o-", label=name, markersize=4)
ax.set(xlabel="inputs", ylabel="ms for the gradient", xticks=sizes, xticklabels=sizes)
ax.minorticks_off()
ax.legend()
material.show(
    "Milliseconds for the gradient against the number of inputs, with logarithmic axes: forward "
    "mode grows with the square, reverse mode in proportion."
)

# %% [markdown]
# | | cost of all derivatives of $f: \mathbb{R}^n \to \mathbb{R}^m$ | memory |
# |---|---|---|
# | forward mode | $n$ runs | nothing is kept |
# | reverse mode | 1 run, $m$ walks back | every slope, until the walk back |
# | finite differences | $2n$ runs | nothing is kept |
#
# A loss has one output and as many inputs as the net has weights: $m = 1$, $n$ in the millions. The
# walk back does one multiplication and one addition for each arrow, and no operation has more than
# two arrows, so *the whole gradient costs a small multiple of the value, however many weights there
# are* (Baur and Strassen, 1983). That is why nets are trained this way (Linnainmaa, 1970; for nets
# Rumelhart, Hinton and Williams, 1986). The price is memory: all slopes wait for the walk.

# %%
numbers = [Scalar(v) for v in rng.standard_normal(256)]
total = ring(numbers)
operations = sum(bool(node.inputs) for node in total.nodes())
arrows = sum(len(node.inputs) for node in total.nodes())
print(f"{operations} operations forward, {arrows} multiplications and additions back")
assert arrows <= 2 * operations

# %% [markdown]
# ## The second derivative
#
# `Scalar` asks of its `data` only that it computes like a number. A `Scalar` does. So a Scalar can
# hold a Scalar: the outer one's slopes are then Scalars too, `backward` multiplies Scalars, and the
# gradient that comes out remembers how it was computed. Walk back from *it*:


# %%
def derivatives(f, at):
    """f, f′ and f″ at a number."""
    x = Scalar(at)
    outer = Scalar(x)
    y = f(outer)
    y.backward()
    first = outer.grad
    first.backward()
    return float(y), float(first), float(x.grad)


value_, first, second = derivatives(f, 0.7)
h = 1e-4
difference = (value(0.7 + h) - 2 * value(0.7) + value(0.7 - h)) / h**2
print(f"f = {value_:.6f}   f′ = {first:.6f}   f″ = {second:.6f}   by differences {difference:.6f}")
assert math.isclose(first, truth) and math.isclose(second, difference, rel_tol=1e-5)
assert derivatives(lambda x: x**3, 2.0) == (8.0, 12.0, 12.0)

# %% [markdown]
# The second derivative says how the slope changes, and so how far the bottom of the valley is.
# Newton's method steps to where the slope would be zero, $x \leftarrow x - f'(x)/f''(x)$:

# %%
newton, steps = 1.0, []
for _ in range(6):
    _, first, second = derivatives(lambda x: x.exp() - 3 * x, newton)
    newton -= first / second
    steps.append(abs(newton - math.log(3)))
print("distance to the minimum of eˣ − 3x:", " ".join(f"{s:.0e}" for s in steps))
assert steps[-1] < 1e-14

# %% [markdown]
# The number of right digits doubles each time. For nets it is seldom used: with $n$ weights the
# second derivatives are an $n \times n$ matrix.
#
# ## A net of Scalars
#
# A neuron is a sum of products, so the engine can train nets. Two half moons, 60 points, and a net
# with 2 inputs, 8 hidden neurons and one score $s$. The labels are $\pm 1$, the loss is
# $\ln(1 + e^{-ys})$: small where $s$ has the sign of $y$.

# %%
moons = cr.data.moons(60, noise=0.1, seed=0)
points, labels = np.asarray(moons[:][0], float), 2.0 * np.asarray(moons[:][1], float).ravel() - 1

start = np.random.default_rng(1)
hidden = [[Scalar(v) for v in start.normal(0, 1, 3)] for _ in range(8)]
out = [Scalar(v) for v in start.normal(0, 1, 9)]
weights = [w for row in [*hidden, out] for w in row]


def neuron(w, inputs):
    """Weights times inputs, plus a bias."""
    total = w[-1]
    for wi, xi in zip(w, inputs, strict=False):
        total = total + wi * xi
    return total


def score(point):
    return neuron(out, [neuron(w, point).tanh() for w in hidden])


def mean_loss():
    losses = [(1 + (-y * score(p)).exp()).log() for p, y in zip(points.tolist(), labels.tolist(),
                                                                strict=True)]
    return sum(losses[1:], losses[0]) / len(losses)


history = []
for _ in range(120):
    loss = mean_loss()
    loss.backward()
    for w in weights:
        w.data -= 1.0 * w.grad
    history.append(loss.data)
right = np.mean([(score(p).data > 0) == (y > 0) for p, y in zip(points.tolist(), labels,
                                                               strict=True)])
print(f"{len(weights)} weights, {len(loss.nodes()):,} numbers in the graph of one loss")
print(f"loss {history[0]:.3f} → {history[-1]:.3f}, {right:.0%} right")
assert history[-1] < 0.2 and right >= 0.95

# %% jupyter={"source_hidden": true}
gx, gy = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.2, 1.7, 90))
W = np.array([[w.data for w in row] for row in hidden])
v = np.array([w.data for w in out])
plane = np.tanh(gx[..., None] * W[:, 0] + gy[..., None] * W[:, 1] + W[:, 2]) @ v[:-1] + v[-1]

fig, (left, right_) = plt.subplots(1, 2, figsize=(8, 2.8))
left.plot(history)
left.set(xlabel="step", ylabel="loss", ylim=0)
right_.contourf(gx, gy, plane, levels=[-99, 0, 99], colors=["#d5e8f4", "#fbe9c6"])
right_.contour(gx, gy, plane, levels=[0], colors="#666666", linewidths=1)
for sign, color in ((-1, material.BLUE), (1, material.ORANGE)):
    right_.plot(*points[labels == sign].T, "o", color=color, markersize=4)
right_.set(xticks=[], yticks=[])
material.show(
    "Left: the loss of the net of Scalars falls in 120 steps. Right: the two half moons, and the "
    "curved border that the net draws between them."
)

# %% [markdown]
# It works, and it is slow: each number is an object of Python. Note the number of nodes, for a net
# of 33 weights.
#
# ## From numbers to tensors
#
# The remedy is to make the *steps* larger, not the engine cleverer. A node of Chainrule's tape
# holds a whole array, and its rule is not a slope but a **vector-Jacobian product** (vjp): given
# $g$, the gradient of the loss by the result, it returns the gradient by each input. The Jacobian
# itself is never made. For a matrix product $Y = XW$:
#
# $$G = \frac{\partial L}{\partial Y}: \qquad
#   \frac{\partial L}{\partial X} = G\,W^\top, \qquad
#   \frac{\partial L}{\partial W} = X^\top G.$$
#
# We can let the scalar engine prove it: a product of 2 × 3 and 3 × 2, element by element, with
# numbers $G$ on top.

# %%
X, M, G = (rng.standard_normal(shape) for shape in ((2, 3), (3, 2), (2, 2)))
Xs = [[Scalar(v) for v in row] for row in X]
Ms = [[Scalar(v) for v in row] for row in M]
total = Scalar(0.0)
for i in range(2):
    for j in range(2):
        for k in range(3):
            total = total + G[i, j] * (Xs[i][k] * Ms[k][j])
total.backward()
assert np.allclose([[s.grad for s in row] for row in Xs], G @ M.T)
assert np.allclose([[s.grad for s in row] for row in Ms], X.T @ G)
print(f"{len(total.nodes())} nodes, and the same two matrices")

# %% [markdown]
# And where an array is broadcast, as the bias is to every row of the batch, one number is *used
# many times*. So its gradients add: the vjp of broadcasting is a sum. That is the line `dbiases =
# g.sum(axis=0)` of lesson 2.
#
# ## The gradients of lesson 2
#
# Here is the net of lesson 2, 784-128-64-10, with its backward pass by hand, on 64 images:

# %%
images, digits = (array[:64] for array in material.handwritten()[:2])
images = images.astype(np.float64)

layers = [by_hand.DenseLayer(784, 128, seed=0), by_hand.Activation_ReLU(),
          by_hand.DenseLayer(128, 64, seed=1), by_hand.Activation_ReLU(),
          by_hand.DenseLayer(64, 10, seed=2), by_hand.Activation_Softmax()]
model = by_hand.Model(layers)
loss_by_hand = model.loss.calculate(model.forward(images), digits)
model.backward(model.output, digits)

expected = {}
for number, layer in enumerate(layers[::2], 1):
    expected |= {f"W{number}": layer.dweights, f"b{number}": layer.dbiases}
expected["x"] = layers[0].dinputs
print(material.source(), " loss", round(loss_by_hand, 6))

# %% [markdown]
# And the same net with tensors. Only the way forward is written; each result keeps its gradient for
# the picture.

# %%
tensors = {"x": cr.tensor(images, requires_grad=True)}
for number, layer in enumerate(layers[::2], 1):
    tensors[f"W{number}"] = cr.tensor(layer.weights, requires_grad=True)
    tensors[f"b{number}"] = cr.tensor(layer.biases, requires_grad=True)


def forward(x, W1, b1, W2, b2, W3, b3):
    """Every result on the way, by name; the loss last."""
    steps = {"p1": (p := x @ W1), "z1": (z := p + b1), "a1": (a := z.relu())}
    steps |= {"p2": (p := a @ W2), "z2": (z := p + b2), "a2": (a := z.relu())}
    steps |= {"p3": (p := a @ W3), "z3": (z := p + b3)}
    return steps | {"L": nn.functional.cross_entropy(z, cr.tensor(digits))}


steps = forward(**tensors)
for step in steps.values():
    step.retain_grad()
steps["L"].backward(retain_graph=True)

largest = {name: np.abs(tensors[name].grad.numpy() - g).max() for name, g in expected.items()}
for name, error in largest.items():
    print(f"{name:3} {tuple(tensors[name].shape)!s:11} largest difference {error:.0e}")
assert max(largest.values()) < 1e-6
assert math.isclose(steps["L"].item(), loss_by_hand, abs_tol=1e-9)

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(10, 2.8))
pictures.draw_graph(ax, {**tensors, **steps}, size=8)
material.show(
    "The tape of the net as a graph: nine results from the images to the loss, with the "
    "parameters, and the length of the gradient on each arrow."
)

# %%
n_weights = sum(g.size for name, g in expected.items() if name != "x")
print(f"{len(steps)} nodes, for {n_weights:,} weights")

# %% [markdown]
# The picture is the tape, with the length $\lVert g \rVert$ of the gradient on each arrow. Nine
# nodes do what would be millions of Scalars.
#
# Then against finite differences, which know neither our formulas nor Chainrule's. A hundred
# thousand weights would need as many pairs of forward passes; so we take twelve entries of each
# array, drawn at random, and one random *direction* through all weights at once, which is what
# `cr.gradcheck` does.


# %%
def loss_at(name, place, h):
    """The loss after one number was moved by h: the forward pass of lesson 2."""
    array = images if name == "x" else getattr(
        layers[2 * int(name[1]) - 2], "weights" if name[0] == "W" else "biases")
    before = array[place]
    array[place] = before + h
    result = model.loss.calculate(model.forward(images), digits)
    array[place] = before
    return result


h, worst = 1e-6, {}
for name, tensor in tensors.items():
    g = tensor.grad.numpy()
    lively = np.argwhere(np.abs(g) > 0.05 * np.abs(g).max())
    for place in map(tuple, rng.permutation(lively)[:12]):
        difference = (loss_at(name, place, h) - loss_at(name, place, -h)) / (2 * h)
        worst[name] = max(worst.get(name, 0), abs(difference - g[place]) / abs(g[place]))
print("largest relative error:", {name: f"{e:.0e}" for name, e in worst.items()})
assert max(worst.values()) < 1e-4
assert cr.gradcheck(lambda *args: forward(*args)["L"], list(tensors.values()), rtol=1e-4)

# %% [markdown]
# What does the gradient cost? We time forward alone, and forward with the walk back.
#
# **Predict, then run.** The net has 109,386 weights. How many times as long as the value does its
# gradient take?

# %%
arguments = list(tensors.values())


def only_forward():
    with cr.no_grad():
        forward(*arguments)


def both():
    forward(*arguments)["L"].backward()


once, with_gradient = (seconds(function, rounds=20) for function in (only_forward, both))
print(f"forward {1e3 * once:.2f} ms, with the gradient {1e3 * with_gradient:.2f} ms: "
      f"{with_gradient / once:.1f} times")
assert with_gradient < 15 * once

# %% [markdown]
# Counted in operations it is three times: each product on the way forward has two on the way back,
# one for its input and one for its weights. Differences would have taken two forward passes for
# each single weight.
#
# Two habits of a framework differ from our engine. Chainrule *adds* to the `.grad` of parameters,
# as PyTorch does, so that several losses can be collected; who does not want that calls
# `optimizer.zero_grad()` before each step. And after `backward()` the tape is freed, unless one
# asks for it.

# %%
p = cr.tensor(3.0, requires_grad=True)
for _ in range(2):
    (p * p).backward()
print("two walks, collected:", p.grad.item())
assert p.grad.item() == 12.0

# %% [markdown]
# Second derivatives come the way they came to Scalars. The vjp of each op is written with the same
# ops, so with `create_graph=True` the walk back is recorded like anything else, and whoever records
# it can walk back again:

# %%
x = cr.tensor([0.5, -1.0, 2.0], requires_grad=True, dtype=cr.float64)


def g(x):
    return (x[0] * x[1] * x[1]).exp() + x[2] ** 3 * x[0]


(slope,) = cr.gradients(g(x), x, create_graph=True)
(row,) = cr.gradients(slope[0], x)
H = cr.hessian(g)(x.detach()).numpy()
print(H.round(4))
assert np.allclose(row.numpy(), H[0]) and np.allclose(H, H.T)
assert np.isclose(H[2, 2], 6 * 2.0 * 0.5) and np.isclose(H[0, 0], math.exp(0.5))

# %% [markdown]
# Lesson 10 goes on from here, to what happens below `backward()`.

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 4 --answers`.
#
# **1. An operation.** Add a `sigmoid` to the engine as one node, $\sigma' = \sigma(1 - \sigma)$,
# that does not overflow for large inputs of either sign. It should also work for a Scalar of a
# Scalar.

# %%
from lessons.exercises.lesson_04 import check


def sigmoid(x):
    """A Scalar with the one input x."""
    ...


check(1, sigmoid)

# %% [markdown]
# **2. Count the paths.** Count the paths from `root` back to `leaf` without walking along them.


# %%
def count_paths(root, leaf):
    ...


check(2, count_paths)

# %% [markdown]
# **3. Soft maximum.** With Scalars, write $\ln \sum_i e^{x_i}$ so that $x_i = 1000$ is no problem.
# What is its gradient? (Lesson 2 has a name for it.)


# %%
def log_sum_exp(xs):
    """A Scalar; xs is a list of Scalars."""
    ...


check(3, log_sum_exp)

# %% [markdown]
# **4. Forward.** Complete dual numbers. Begin with the methods of `Dual` above; add negation,
# subtraction, division and `exp`, also where one side is a plain number.


# %%
class Complete:
    def __init__(self, data, slope=0.0):
        self.data, self.slope = data, slope

    def __neg__(self):
        ...

    def __sub__(self, other):
        ...

    def __rsub__(self, other):
        ...


check(4, Complete)

# %% [markdown]
# **5. A row of the Hessian times a vector.** Compute $Hv$ for a function of a tensor without making
# $H$, by two walks back.


# %%
def hessian_vector(f, x, v):
    ...


check(5, hessian_vector)
