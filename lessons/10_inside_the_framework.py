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
# # 10. Inside the framework
#
# This lesson follows one training step down through Chainrule, floor by floor: from
# `loss.backward()` to the record of `exp`, through the gateway and the tape, into a captured
# program, and from there to the lines of C++ that do the arithmetic. What is shown is the real
# source, read from the installed package. It ends with an op of one's own, which the framework's
# tests check before a single test was written for it.

# %%
import prelude

prelude.begin(threads=None)

# %%
import inspect
import math
import re
import time
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.primitive import lookup
from lessons import material, pictures, sources

fast = engine.describe()
print("engine:", fast["instruction_set"] if fast["available"] else f"none ({fast['reason']})")

# %% [markdown]
# Everything below runs without the engine, too, on NumPy alone; a cell that needs it says so.
#
# ## The house
#
# The package is built in floors, and a module may import only from its own floor or from below.
# That can be counted. Row $i$, column $j$: how many imports lead from floor $i$ to floor $j$. (A
# module that is not named here stands on the lowest floor that it can stand on.)

# %%
FLOORS = [
    "errors settings tree kinds", "primitive samples", "graph engine",
    "interpreters tape aliases methods conversion tensor gateway",
    "ops autograd transforms gradcheck", "nn optim compiler data", "train",
    "cli __init__ __main__",
]
counts = sources.imports_between(FLOORS)
assert not np.triu(counts, 1).any() and counts.sum() > 100

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(7, 3.4))
pictures.triangle(ax, counts, FLOORS)
material.show(
    "A table of import counts: the floors from top to bottom against the same from left to "
    "right. All entries lie on the diagonal or on its lower side."
)

# %% [markdown]
# The upper half is empty: who reads from the bottom up never meets a name that was not explained
# yet. We go the other way, from the top to the bottom.
#
# ## The step
#
# A net 64-32-10 on the digits that ship with the package. The loss is softmax and cross-entropy,
# spelled out so that there is something to follow. The code is written the way code gets written:
# `z.exp()` stands there twice, the temperature is 1, and one line was left over from a search for
# an error. (It is not how to write a softmax: lesson 7 says why, `nn.CrossEntropyLoss` does
# better.)

# %%
images, labels = cr.data.digits()[0][:32]
x = cr.tensor(images.reshape(32, 64).astype(np.float32))
y = cr.tensor(np.eye(10, dtype=np.float32)[labels])

cr.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = optim.SGD(model.parameters(), lr=0.1)
temperature = 1.0


def step(x, y):
    optimizer.zero_grad()
    z = model(x) / temperature
    p = z.exp() / z.exp().sum(1, keepdim=True)
    surest = p.amax(1)  # noqa: F841 (looked at this yesterday)
    loss = -(p.log() * y).sum(1).mean()
    loss.backward()
    optimizer.step()
    return loss


start = {name: value.clone() for name, value in model.state_dict().items()}
print(f"loss {step(x, y).item():.4f}, after one step {step(x, y).item():.4f}")
model.load_state_dict(start);

# %% [markdown]
# ## Floor 5 to floor 4: what `exp` is
#
# `z.exp()` is a method of the tensor, which looks the op up by its name. What it finds is a
# **record**, and the record is all that the framework knows about the op:

# %%
exp = lookup("exp")
print(sources.record(exp))

# %% [markdown]
# The formula, for people. The `kind`, from which the compiler derives what it may do with the op.
# `infer`, the rule for shape and dtype: here, those of the input. The samples on which tests run
# it. The NumPy reference `forward`, which defines the numbers. The derivative `vjp`. That is one
# op; there are more of them, all of this form:

# %%
from chainrule.primitive import registry

derivatives = sum(op.vjp is not None for op in registry.values())
print(f"{len(registry)} records, {derivatives} with a derivative")

# %% [markdown]
# ## The spec rule
#
# A *spec* is what can be known of a tensor without its numbers: shape and dtype. Each record has a
# rule that takes specs to specs, so a whole network can be asked what it would give, and a mistake
# is found before any arithmetic.

# %%
a, w, b = cr.spec(32, 64), cr.spec(10, 64), cr.spec(10)
print("exp   ", exp.infer(a))
print("sum   ", lookup("sum").infer(a, dims=(1,), keepdim=False))
print("linear", lookup("linear").infer(a, w, b))
try:
    lookup("linear").infer(cr.spec(32, 63), w, b)
except ValueError as error:
    print("linear", error)
else:
    raise AssertionError("the rule lets a wrong shape pass")

# %% [markdown]
# ## Floor 3: one gateway
#
# Calling a record means `apply(record, *tensors)`. There is no other road from tensors to tensors.
# This is all of it:

# %%
print(inspect.getsource(cr.apply))

# %% [markdown]
# In order: plain numbers become tensors; mixed dtypes meet (`promotes`); the **spec rule** runs;
# then the **interpreter**, and with it the numbers; then, if one of the inputs wants a gradient,
# the **tape** gets a node.
#
# Interpreters stand on a stack, and the top one is a setting; that is the hinge of the framework.
# Whoever puts an own one there sees every op. A clock takes ten lines: its base class hands on to
# the interpreter below what it does not change. `cr.detect_anomaly()`, which looks for NaN, is
# another of them.
#
# **Predict, then run.** A step of the net: forward, backward, update. How many ops is that? And how
# many of them belong to the way back?

# %%
from chainrule import settings
from chainrule.interpreters import Interpreter


class Clock(Interpreter):
    """Hands every op on, and writes down when."""

    def __init__(self):
        super().__init__()
        self.rows, self.phase = [], "forward"

    def run(self, primitive, inputs, params):
        begin = time.perf_counter()
        result = super().run(primitive, inputs, params)
        self.rows.append((self.phase, primitive.name, begin, time.perf_counter()))
        return result


def watched_step(clock):
    with settings.use(interpreter=clock):
        p = (z := model(x) / temperature).exp() / z.exp().sum(1, keepdim=True)
        loss = -(p.log() * y).sum(1).mean()
        clock.phase = "backward"
        loss.backward()
        clock.phase = "update"
        optimizer.step()
    optimizer.zero_grad()
    model.load_state_dict(start)
    return clock


rows = min((watched_step(Clock()).rows for _ in range(20)), key=lambda r: r[-1][3] - r[0][2])
print(f"{len(rows)} ops:", dict(Counter(phase for phase, *_ in rows)))
assert {name for phase, name, *_ in rows if phase == "update"} == {"sgd_update"}

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(8, 2.6))
pictures.timeline(ax, rows)
material.show(
    "One training step as bars over some hundred microseconds: the ops of the way forward, then "
    "those of the way back, then the updates, with gaps between them."
)

# %% [markdown]
# One step, from left to right; between the bars is the time that Python takes. The walk back is
# made of ops like the way forward, and so is the update. Nothing happens beside the gateway.
#
# ## The tape
#
# For the way back, each op left a node. A node knows its record, where its inputs came from (the
# *edges*), and what its derivative will ask for. Here is what each of them keeps:

# %%
z = model(x) / temperature
top, bottom = z.exp(), z.exp()
p = top / bottom.sum(1, keepdim=True)
loss = -(p.log() * y).sum(1).mean()
for tensor in (z, top, bottom):
    tensor.retain_grad()

node = loss._node
while node is not None:  # along the first edge, down to the input
    kept = [f"input {x.spec}" for x, *_ in node.saved]
    kept += [f"output {o.dtype}{o.shape}" for o in node.outputs]
    wants = [name for name in inspect.signature(node.primitive.vjp).parameters if name != "g"]
    print(f"{node.primitive.name:7} asks for {', '.join(wants) or '-':22} keeps",
          "; ".join(kept) or "nothing")
    node = next((e[0] for e in node.edges if e and type(e[0]) is type(node)), None)

# %% [markdown]
# The names of a derivative's parameters are what is kept. `exp` declared `vjp(g, y)`, so its
# *output* stays alive and its input does not; `log` asks for `x` and keeps that; `neg` keeps
# nothing. Memory during training is the sum of this list, so it pays to ask for little: that
# $\partial e^x/\partial x$ is $y$ itself and not "$e^x$, computed again" is one letter in the
# record.
#
# ## The way back
#
# `loss.backward()` walks the nodes from the last to the first (`tape.walk`, the loop of lesson 4).
# At each it calls the derivative, a **vector-Jacobian product**: given $g = \partial L/\partial y$,
# return $\partial L/\partial x = g \cdot \partial y/\partial x$. For `exp` that is `g * y`. We can
# call it ourselves. $z$ was used by two `exp`, so its gradient is the sum of what comes back:

# %%
assert exp.vjp.__code__.co_varnames == ("g", "y")
assert top._node.outputs[0] is top._data and not top._node.saved
values = [tensor.detach() for tensor in (top, bottom)]

loss.backward()
(left,) = exp.vjp(top.grad, values[0])
(right,) = exp.vjp(bottom.grad, values[1])
print("∂L/∂z, first row, by hand ", (left + right)[0, :4].numpy().round(6))
print("∂L/∂z, first row, the tape", z.grad[0, :4].numpy().round(6))
assert np.array_equal((left + right).numpy(), z.grad.numpy())
assert np.allclose(z.grad.numpy(), (p - y).detach().numpy() / 32, atol=1e-6)

# %% [markdown]
# Equal to the last bit, since it is the same computation. And up to rounding it is $(p - y)/n$,
# the formula that lesson 2 found on paper.
#
# The line `g * y` multiplies *tensors*: it passes the gateway again. With `create_graph=True` the
# walk back is recorded, and can be differentiated in turn. No record says anything about second
# derivatives, and all have them:

# %%
t = cr.tensor(0.5, requires_grad=True)
value, found = (t * t).exp(), []
for _ in range(3):
    (value,) = cr.gradients([value], [t], create_graph=True)
    found.append(value.item())
e = math.exp(0.25)
truth = [2 * 0.5 * e, (2 + 4 * 0.25) * e, (12 * 0.5 + 8 * 0.125) * e]
print("derivatives 1, 2, 3 of exp(t²) at ½:", np.round(found, 5))
assert np.allclose(found, truth, rtol=1e-5)

# %% [markdown]
# ## Capture
#
# Now the hinge turns. `cr.trace` puts an interpreter at the gateway that computes nothing: it takes
# the specs, asks the rule, writes the equation down, and gives back a tensor that has a name
# instead of numbers. Walk back and update are ops, so they are captured as well. The whole step:

# %%
model.load_state_dict(start)
optimizer.zero_grad()


def shown(text):
    """Without the name of the file: the comment is the line of the cell above."""
    return re.sub(r"\w+\.py:", "line ", str(text))


trace = cr.trace(step)(x.spec, y.spec)
before = trace.graph
print(shown(before))

# %% [markdown]
# This text is a program: one equation a line, every value written once, its spec beside it. It is
# *pure*: the weights come in as inputs, the new weights go out as results. From `t0` to the loss is
# our function; then the derivatives, from the last op to the first; then four updates. The comment
# says which line of the cell an equation comes from, so that an error can say so, too.
#
# Nothing was computed, and no state has changed. What depends on numbers cannot be captured:

# %%
assert all(np.array_equal(start[k].numpy(), v.numpy()) for k, v in model.state_dict().items())
try:
    cr.trace(lambda x: x * 2 if x.sum() > 0 else x)(cr.spec(3))
except RuntimeError as error:
    print(shown(error))
else:
    raise AssertionError("a decision by numbers was captured")

# %% [markdown]
# ## Passes
#
# A *pass* is a function from a graph to a better graph with the same results, to the bit. Chainrule
# has a few, each in a file of its own. The shortest takes away what nobody reads:

# %%
from chainrule.compiler.passes import PASSES

print(inspect.getsource(PASSES[0]))

# %% [markdown]
# We let them work one after the other and look at what each has done.
#
# **Predict, then run.** The step was written carelessly: an `exp` twice, a division by 1, a line
# that nobody needs. How many of its equations will be left?


# %%
def changes(old, new):
    """Which equations went away, and which came."""
    names = [Counter(e.primitive.name for e in g.equations) for g in (old, new)]
    gone, came = names[0] - names[1], names[1] - names[0]
    listed = [f"{sign}{n if n > 1 else ''} {name}" for sign, c in (("−", gone), ("+", came))
              for name, n in c.items()]
    return "  ".join(listed) or "(no op more or less)"


after, history = before, {}
for one in PASSES:
    old, after = after, one(after).check()
    history.setdefault(one.__name__, []).append((old, after))
    print(f"{one.__name__:17}{len(old.equations):3} → {len(after.equations):2}  ",
          changes(old, after))

# %%
names = lambda g: Counter(e.primitive.name for e in g.equations)  # noqa: E731
first = {name: names(old) - names(new) for name, ((old, new), *_) in history.items()}
assert first["remove_dead"]["amax"] == 1
assert first["simplify"]["div"] == 2 and first["merge_common"]["exp"] == 1
assert first["fold_constants"]["mul"] == 1 and first["fuse_epilogues"]["relu"] == 1
assert len(after.equations) < 0.7 * len(before.equations)

# %% [markdown]
# Line by line:
#
# - `remove_dead`: the forgotten `amax` led to no result.
# - `fold_constants`: $-1 \cdot \frac1{32}$, with which the way back begins, is known now.
# - `simplify`: dividing by a temperature of 1 changes nothing, forward and backward.
# - `merge_common`: the second `exp` of the same $z$ is the first one.
# - `fuse_epilogues`: `relu` is done to each piece of the product while it is still in registers;
#   the same for its derivative, `gate`.
# - `fuse_elementwise`: ops of one shape that feed each other become one *chain*, one sweep over
#   memory instead of one for each op. The chain is a graph inside an equation.
# - `fuse_reductions`: sums over what a chain computes are added up in the same sweep.
#
# What is left:

# %%
print(shown(after))

# %% [markdown]
# Is it the same function? Both graphs can be run, op by op, on the same arrays:

# %%
arrays = [x.numpy(), y.numpy(), *(slot.load() for slot in trace.reads)]
with settings.use(engine="numpy"):
    old_results, new_results = before.run(*arrays), after.run(*arrays)
assert all(a.tobytes() == b.tobytes() for a, b in zip(old_results, new_results, strict=True))
print(len(new_results), "results, the same bits")

# %% [markdown]
# ## The plan
#
# A graph says *what*; a plan says *where*. Each value is needed from the equation that writes it to
# the last one that reads it. After that its memory can serve another. So all of them are laid out
# in one block, the *arena*, before anything runs: a value takes the first gap that is large enough.
# This is the allocator of the compiler, on our graph:

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(8, 3.2))
together, needed = pictures.memory(ax, after)
material.show(
    "The memory of the graph: rectangles, one for each value, from the equation that writes it "
    "to the last that reads it, stacked into one block."
)

# %%
print(f"{together / 1024:.1f} KiB of values in {needed / 1024:.1f} KiB of memory")
assert needed < 0.8 * together

# %% [markdown]
# `cr.compile` does all this at the first call: capture, passes, plan. Every later call runs the
# plan. `report()` measures it, instruction by instruction: time, millions of floating-point
# operations, bytes moved, and which share of the speed of a large matrix product that is.

# %%
compiled = cr.compile(step)
losses = [compiled(x, y).item() for _ in range(3)]
executable = compiled.executables[0]
print(shown(executable.report()))

# %% [markdown]
# Two kinds of rows: products, which compute much for each byte that they touch, and all the others,
# which mostly move numbers. Only the first kind can come near the speed of arithmetic.

# %%
from chainrule.compiler import report
from chainrule.kinds import Contraction

per_byte = {e: report.flops(e) / report.moved(e) for e in executable.graph.equations}
products = [v for e, v in per_byte.items() if isinstance(e.primitive.kind, Contraction)]
others = [v for e, v in per_byte.items() if not isinstance(e.primitive.kind, Contraction)]
print(f"operations a byte: products {min(products):.1f} to {max(products):.1f}, "
      f"others at most {max(others):.1f}")
assert min(products) > 2 * max(others)

# %% [markdown]
# **Predict, then run.** Op by op, each op passes the gateway; compiled, the step is one call. How
# many times faster is it, for this small net?


# %%
def best_of(function, rounds=200):
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


model.load_state_dict(start)
eager = [step(x, y).item() for _ in range(3)]
assert np.allclose(eager, losses, rtol=1e-5)
seconds = {"op by op": best_of(lambda: step(x, y)), "compiled": best_of(lambda: compiled(x, y))}
for name, s in seconds.items():
    print(f"{name:9} {1e6 * s:7.1f} µs a step")
assert seconds["compiled"] < seconds["op by op"]

# %% [markdown]
# **Guards.** The capture took for granted that the temperature is 1, and the division is gone. The
# compiler has noted that the function read it:

# %%
optimizer.zero_grad()
assert compiled.captures == 1
temperature = 2.0
warm = compiled(x, y)
print("captures:", compiled.captures, " divisions by the temperature:",
      str(compiled.executables[0].graph).count(", 2)"))
assert compiled.captures == 2 and ", 2)" in str(compiled.executables[0].graph)
temperature = 1.0
compiled(x, y)
assert compiled.captures == 2, "the first executable still holds, so it is used again"

# %% [markdown]
# ## The engine: a product in registers
#
# At the bottom is C++. The first instruction of the program is a matrix product, and lesson 5 has
# shown what makes one slow: waiting for memory. The engine's answer is to compute a small tile of
# $C$, $M$ rows by $N$ vectors of $W$ numbers, that never leaves the registers of the processor. For
# each $k$ it takes $M$ numbers of $A$ and $N \cdot W$ of $B$, multiplies each with each, and adds
# to $M \cdot N \cdot W$ sums: a product of a column with a row.
#
# $$C = \sum_k A_{\cdot k}\, B_{k \cdot}$$

# %%
rng = np.random.default_rng(0)
A, B = rng.standard_normal((14, 300)), rng.standard_normal((300, 32))
tile = np.zeros((14, 32))
for k in range(300):
    tile += A[:, k : k + 1] * B[k]
assert np.allclose(tile, A @ B)

NO_SOURCES = "(The C++ is not beside this package; a clone has it, in src/chainrule/engine/cpp.)"
text = sources.cpp("kernels/gemm_tile.h", "    const auto step = [&]()", "    };")
print(text or NO_SOURCES)

# %% [markdown]
# The three lines of Python are the middle of this. `sum[M][N]` is the tile; `M` and `N` are known
# to the compiler, so the loops over them are unrolled and every `sum[i][j]` is a register. `splat`
# puts one number of $A$ into all lanes of a vector; `fma` multiplies and adds in one instruction,
# and `fma_spread` does all three. Each `a[g]` points to one row of three; the prefetch asks early
# for the next rows of $B$.
#
# How large a tile? A step does $2MNW$ operations on $M + NW$ loaded numbers: the larger, the better
# that ratio, until the registers are full. With AVX-512 there are 32 of them with $W = 16$ floats:
# the engine takes $M = 14$, $N = 2$, which is 28 sums, two for the row of $B$, and one or two for
# $A$.

# %%
for name, registers, lanes, M in (("AVX-512", 32, 16, 14), ("AVX2", 16, 8, 6), ("SSE", 16, 4, 6)):
    N = 2
    work, loads = 2 * M * N * lanes, M + N * lanes
    print(f"{name:8} {registers} registers of {lanes:2} floats: tile {M:2} × {N * lanes:2}, "
          f"{work:3} operations for {loads:2} numbers: {work / loads:4.1f}")
    assert registers >= M * N + N + 1

# %%
matmul = lookup("matmul")


def speeds(n):
    """GFLOP/s of an n × n product: NumPy, then each instruction set that this processor has."""
    a, b = rng.standard_normal((2, n, n)).astype(np.float32)
    rounds = max(3, min(300, int(3e8 / n**3)))
    result = {"NumPy": best_of(lambda: a @ b, rounds)}
    for name in fast["instruction_sets"]:
        engine.use_instruction_set(name)
        result[name] = best_of(lambda: engine.run(matmul, (a, b), {}), rounds)
    if fast["available"]:
        engine.use_instruction_set(fast["instruction_set"])
        assert np.allclose(engine.run(matmul, (a, b), {}), a @ b, atol=1e-3)
    return {name: 2 * n**3 / s / 1e9 for name, s in result.items()}


sizes = [64, 96, 128, 192, 256, 384, 512, 768]
measured = [speeds(n) for n in sizes]
if not fast["available"]:
    print(f"The engine is not available ({fast['reason']}): NumPy alone was measured.")
print(f"at {sizes[-1]}:", {name: round(g) for name, g in measured[-1].items()}, "GFLOP/s")

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots()
for name in measured[0]:
    ax.plot(sizes, [m[name] for m in measured], "o-", label=name, markersize=4)
ax.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="n", ylabel="GFLOP/s", ylim=0,
       title="an n × n product, float32")
ax.minorticks_off()
ax.legend()
material.show(
    "GFLOP/s of a square product against its size, for NumPy and for each instruction set of the "
    "engine: wider vectors are faster."
)

# %% [markdown]
# The same C++ was compiled once for each instruction set, and the best one is chosen when the
# package is loaded. Between the curves lie only $W$, the number of registers, and in the oldest set
# a multiplication and an addition in the place of the `fma`.
#
# ## The engine: a polynomial for $e^x$
#
# And `exp`? A processor has no instruction for it. The plan is that of all elementary functions:
# bring the argument into a small interval by an exact step, approximate there, and undo the step.
# With $n$ the integer next to $x / \ln 2$,
#
# $$e^x = 2^n \cdot e^r, \qquad r = x - n \ln 2, \qquad |r| \le \tfrac12 \ln 2 \approx 0.35.$$
#
# $2^n$ costs nothing: in a float, $n$ is a field of bits. On the interval, $e^r$ is almost a
# polynomial.

# %%
pieces = (("    // (eʳ", "      "), ("template <class T> CR_INLINE Vec<T> small_expm1", "}"),
          ("template <class T> CR_INLINE Vec<T> exp(", "}"))
text = [sources.cpp("math/vecmath.h", first, last) for first, last in pieces]
print("\n\n".join(filter(None, text)) or NO_SOURCES)

# %% [markdown]
# The coefficients are not those of Taylor's series, though close to them. Taylor is perfect at 0
# and gets worse outwards; the best polynomial lets its error wave about zero over the whole
# interval (Chebyshev, 1854). Both in NumPy.
#
# **Predict, then run.** Both polynomials have the same degree. By which factor is the largest error
# of the best one smaller?

# %%
best = [0.0013926213466332443, 0.0083632029715758550, 0.041666554437685939,
        0.16666576845993976, 0.5]
taylor = [1 / math.factorial(k) for k in range(6, 1, -1)]
text = sources.cpp("math/vecmath.h", "    static constexpr float exp_poly[]", "      ")
assert not text or [float(c) for c in re.findall(r"(0\.\d+)f", text)] == best

r = np.linspace(-math.log(2) / 2, math.log(2) / 2, 2001)
error = {name: 1 + r + r**2 * np.polyval(c, r) - np.exp(r) for name, c in (
    ("Taylor", taylor), ("the engine's", best))}
worst = {name: np.abs(values / np.exp(r)).max() for name, values in error.items()}
print({name: f"{e:.1e}" for name, e in worst.items()})
assert worst["the engine's"] < 1.1e-8 < worst["Taylor"] / 10

# %% jupyter={"source_hidden": true}
fig, ax = plt.subplots(figsize=(6, 2.8))
for name, values in error.items():
    ax.semilogy(r[::4], (np.abs(values / np.exp(r)) + 1e-13)[::4], label=name)
ax.axhline(2.0**-24, color="#888888", ls=":")
ax.text(0, 2.0**-24 * 1.3, "half a unit of the last bit of a float32", ha="center", va="bottom",
        fontsize=8)
ax.set(xlabel="$r$", ylabel="relative error of $e^r$", ylim=(1e-13, 1e-5))
ax.legend(loc="upper center", ncol=2)
material.show(
    "The relative error of the two polynomials over r: Taylor's is tiny at 0 and grows towards "
    "the ends, the engine's waves below half a unit of the last bit everywhere."
)


# %%
def our_exp(x):
    """The engine's exp in NumPy, float32 throughout."""
    x, f = np.float32(x), np.float32
    n = np.rint(x * f(1.44269504))
    r = x - n * f(0.693145751953125) - n * f(1.42860682e-6)  # ln 2 in two parts
    p = np.zeros_like(r)
    for c in best:
        p = p * r + f(c)
    return np.ldexp(p * (r * r) + r + f(1), n.astype(int)).astype(np.float32)


def ulps(found, x):
    """The largest error, in units of the last bit."""
    truth = np.exp(x.astype(np.float64))
    return np.max(np.abs(found - truth) / np.spacing(truth.astype(np.float32)))


x_many = np.linspace(-80, 80, 200_001, dtype=np.float32)
print(f"in NumPy, by the formula  {ulps(our_exp(x_many), x_many):.2f} units of the last bit")
assert ulps(our_exp(x_many), x_many) < 3
if fast["available"]:
    by_engine = engine.run(exp, (x_many,), {})
    print(f"the engine                {ulps(by_engine, x_many):.2f}")
    ns = {name: 1e9 * best_of(f) / x_many.size for name, f in (
        ("the engine", lambda: engine.run(exp, (x_many,), {})), ("NumPy", lambda: np.exp(x_many)))}
    print({name: f"{t:.2f} ns a number" for name, t in ns.items()})
    assert ulps(by_engine, x_many) < 2

# %% [markdown]
# Two details are worth a look. $\ln 2$ is subtracted in two parts, of which the first has so few
# bits that $n$ times it is exact: else $r$ would lose what the polynomial gained. And there is no
# branch: sixteen numbers go through at once, so special cases are *chosen*, lane by lane, at the
# end.
#
# That was the way down: `loss.backward()`, walk, vjp, gateway, rule, graph, passes, plan, tile,
# polynomial.
#
# ## An op of one's own
#
# All of this works for ops that the framework has never heard of. Say we want a loss that is
# quadratic for small errors and linear for large ones, without a kink:
#
# $$y = \ln \cosh x, \qquad \frac{\partial y}{\partial x} = \tanh x.$$
#
# Written as `x.cosh().log()` it is ∞ from $x = 89.5$ in float32, and its gradient is NaN. The
# stable form uses $\cosh x = \frac12 e^{|x|}(1 + e^{-2|x|})$. A record has a place for both, the
# stable value and the short derivative:

# %%
from chainrule.primitive import operations, same_spec
from chainrule.samples import uniform

for table in (registry, operations):
    table.pop("log_cosh", None)  # a name has one home: this lets the cell run a second time


@cr.primitive
class log_cosh:
    """y = ln cosh x.   ∂y/∂x = tanh x."""
    infer, samples, promote = same_spec, uniform(-3, 3), "float"

    def forward(x):
        size = np.abs(x)
        return size + np.log1p(np.expm1(-2 * size) / 2)

    def vjp(g, x):
        return g * x.tanh(),


big = cr.tensor([-200.0, 0.5, 200.0], requires_grad=True)
naive = big.cosh().log()
naive.sum().backward()
print("naive   ", naive.detach().numpy(), "gradient", big.grad.numpy())
assert not np.isfinite(big.grad.numpy()).all()

big.grad = None
log_cosh(big).sum().backward()
print("log_cosh", log_cosh(big).detach().numpy(), "gradient", big.grad.numpy())
assert np.allclose(big.grad.numpy(), np.tanh([-200, 0.5, 200]))

# %% [markdown]
# `gradcheck` compares the derivative with finite differences, `gradgradcheck` the derivative of the
# derivative:

# %%
print(cr.gradcheck(log_cosh, cr.randn(3, 4)), cr.gradgradcheck(log_cosh, cr.randn(3, 4)))

# %% [markdown]
# The samples in the record are for the **sweep**: one file of tests that goes through the registry
# and checks on every op what every op promises. It finds ours by itself. We run all of its tests
# that are about `log_cosh`:

# %%
import importlib.util

path = sources.PACKAGE.parent.parent / "tests" / "ops" / "test_sweep.py"
if path.exists() and importlib.util.find_spec("pytest"):
    spec = importlib.util.spec_from_file_location("test_sweep", path)
    sweep = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sweep)
    ours = [case.values for case in sweep.CASES if case.values[0] == "log_cosh"]
    tests = [f for name, f in vars(sweep).items()
             if name.startswith("test_") and "inputs" in inspect.signature(f).parameters]
    for test in tests:
        for case in ours:
            test(*case)
        print(f"passed on {len(ours)} samples:", test.__name__[5:].replace("_", " "))
    assert len(ours) == 3 and len(tests) >= 9
else:
    print("The tests are not beside this package: a clone has them, and pytest runs them.")

# %% [markdown]
# A test that cannot fail is worth nothing. So we forget a factor in the derivative, and ask again:


# %%
class forgotten:
    """y = ln cosh x, with a wrong derivative."""
    infer, forward, samples = same_spec, log_cosh.forward, log_cosh.samples

    def vjp(g, x):
        return 2 * g * x.tanh(),


from chainrule.primitive import Primitive

try:
    cr.gradcheck(Primitive(forgotten), cr.randn(3, 4))
except RuntimeError as error:
    print(error)
else:
    raise AssertionError("the wrong derivative was not found")

# %% [markdown]
# And the compiler? A step that fits a line through points with outliers, with our op as the loss:

# %%
points = cr.randn(256, 1)
targets = 2 * points + 1 + 0.1 * cr.randn(256, 1)
targets[:25] += 1000
line = nn.Linear(1, 1)
descent = optim.SGD(line.parameters(), lr=0.2)


@cr.compile
def fit(points, targets):
    descent.zero_grad()
    loss = log_cosh(line(points) - targets).mean()
    loss.backward()
    descent.step()
    return loss


for _ in range(200):
    fit(points, targets)
slope, offset = line.weight.item(), line.bias.item()
plain = np.polyfit(points.numpy()[:, 0], targets.numpy()[:, 0], 1)
print(f"log cosh       {slope:.2f}·x + {offset:.2f}")
print(f"least squares  {plain[0]:.2f}·x + {plain[1]:.2f}")
assert abs(slope - 2) < 0.2 and abs(offset - 1) < 0.3 < abs(plain[1] - 1)
print()
print(shown(fit.executables[0].graph))
chain = next(e for e in fit.executables[0].graph.equations if e.primitive.name == "chain"
             and any(b.primitive.name == "tanh" for b in e.params["body"].equations))
print()
print(shown(fit.executables[0].report().splitlines()[-1]))

# %% [markdown]
# (An outlier pulls with at most $|\tanh| \le 1$, however far away it is; on the square it pulls
# with its distance.) Captured, planned, run, without a line for it. The *derivative* is made of the
# framework's ops, so it was fused with its neighbours into one sweep: `tanh` and `mul` stand in one
# chain. The *value* is a NumPy function; the program calls it where it stands, between native
# instructions. A fast kernel for it is a choice that can be made later, and changes no number that
# the tests would not notice.
#
# What needs no record of its own is better left a plain function: made of ops, it is fused whole.

# %%
whole = cr.compile(lambda x: x.abs() + (-2 * x.abs()).expm1().div(2).log1p())
assert np.allclose(whole(points).numpy(), log_cosh(points).numpy(), atol=1e-6)
(only,) = whole.executables[0].graph.equations
print("one sweep:", [e.primitive.name for e in only.params["body"].equations])

# %% [markdown]
# ## Exercises
#
# Write each answer in place of the dots and run its cell. `check` compares it with something that
# knows the truth, and names what is wrong; `check(1)` alone gives a hint. The answers are apart:
# `chainrule lessons 10 --answers`.
#
# **1. A record.** `squareplus`, $y = \frac12\big(x + \sqrt{x^2 + 4}\big)$ (Barron, 2021), as the
# record of a primitive whose derivative asks for the *output only*.

# %%
from lessons.exercises.lesson_10 import check


class Squareplus:
    """y = (x + √(x² + 4)) / 2."""

    infer, samples, promote = same_spec, uniform(-3, 3), "float"

    def forward(x):
        ...

    def vjp(g, y):
        ...


check(1, Squareplus)

# %% [markdown]
# **2. A pass.** A pass that turns `mul(a, a)` into `square(a)`: a function from a graph to a new
# graph, with the same bits.


# %%
def square_products(graph):
    ...


check(2, square_products)

# %% [markdown]
# **3. An interpreter.** Count how often each op runs while `function(*args)` is evaluated. The
# count of a step is that of the equations of its trace.


# %%
def ops_of(function, *args):
    """A Counter of the names of the ops."""
    ...


check(3, ops_of)

# %% [markdown]
# **4. A polynomial.** Which is the smallest number of coefficients $c_k$ such that $1 + r + r^2(c_0
# + c_1 r + \dots)$ has on $|r| \le \frac12\ln 2$ a relative error of $e^r$ below `error`? The
# engine has five, for $2^{-24}$.


# %%
def coefficients_needed(error):
    ...


check(4, coefficients_needed)

# %% [markdown]
# **5. A tile.** A tile of $M$ rows and $N = 2$ vectors of $W$ numbers must leave room for $N$
# vectors of $B$ and one of $A$ in the registers. Which $M$ is the largest, and how many operations
# for each number loaded does it give?


# %%
def tile(registers, lanes):
    """(M, operations for each number loaded)."""
    ...


check(5, tile)
