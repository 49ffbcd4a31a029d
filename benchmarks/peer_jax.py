"""The workloads in JAX: one jitted step with donated buffers and explicit optimizers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from workloads import Workload

Params = Any


def uniform(rng: np.random.Generator, fan_in: int, *shape: int) -> jax.Array:
    bound = 1 / np.sqrt(fan_in)
    return jnp.asarray(rng.uniform(-bound, bound, shape).astype(np.float32))


def layer(rng: np.random.Generator, a: int, b: int) -> dict[str, jax.Array]:
    return {"w": uniform(rng, a, a, b), "b": uniform(rng, a, b)}


def apply_layer(p: Params, x: jax.Array) -> jax.Array:
    return x @ p["w"] + p["b"]


def kernel(rng: np.random.Generator, o: int, c: int) -> dict[str, jax.Array]:
    return {"w": uniform(rng, 9 * c, o, c, 3, 3), "b": uniform(rng, 9 * c, o, 1, 1)}


def apply_conv(p: Params, x: jax.Array, padding: str) -> jax.Array:
    y = lax.conv_general_dilated(x, p["w"], (1, 1), padding)
    return y + p["b"]


def pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def batch_norm(p: Params, x: jax.Array) -> jax.Array:
    mean = x.mean((0, 2, 3), keepdims=True)
    var = x.var((0, 2, 3), keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * p["g"] + p["b"]


def layer_norm(p: Params, x: jax.Array) -> jax.Array:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) * p["g"] + p[
        "b"
    ]


def scale_shift(*shape: int) -> dict[str, jax.Array]:
    return {"g": jnp.ones(shape), "b": jnp.zeros(shape)}


def attention(p: Params, x: jax.Array, heads: int) -> jax.Array:
    n, length, width = x.shape
    q, k, v = jnp.split(apply_layer(p["qkv"], x), 3, -1)
    q, k, v = (t.reshape(n, length, heads, -1).transpose(0, 2, 1, 3) for t in (q, k, v))
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    mixed = jax.nn.softmax(scores) @ v
    return apply_layer(p["out"], mixed.transpose(0, 2, 1, 3).reshape(n, length, width))


def gpt(p: Params, tokens: jax.Array, heads: int) -> jax.Array:
    x = p["tokens"][tokens] + p["places"]
    for b in p["blocks"]:
        x = x + attention(b, layer_norm(b["n1"], x), heads)
        x = x + apply_layer(
            b["down"], jax.nn.gelu(apply_layer(b["up"], layer_norm(b["n2"], x)), approximate=False)
        )
    return apply_layer(p["head"], layer_norm(p["norm"], x)).reshape(-1, p["head"]["b"].shape[0])


def lstm(p: Params, x: jax.Array) -> jax.Array:
    hidden = p["h"].shape[0]

    def cell(carry: Any, inputs: jax.Array) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(inputs + h @ p["h"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    projected = apply_layer(p["x"], x).transpose(1, 0, 2)
    zero = jnp.zeros((x.shape[0], hidden))
    (h, _), _ = lax.scan(cell, (zero, zero), projected)
    return apply_layer(p["head"], h)


def model_of(w: Workload) -> tuple[Params, Callable[[Params, jax.Array], jax.Array]]:
    rng = np.random.default_rng(0)
    if w.kind in ("mlp", "binary", "regression", "inference"):
        params = [layer(rng, a, b) for a, b in zip(w.sizes[:-1], w.sizes[1:], strict=True)]

        def mlp(p: Params, x: jax.Array) -> jax.Array:
            for one in p[:-1]:
                x = jax.nn.relu(apply_layer(one, x))
            return apply_layer(p[-1], x)

        return params, mlp
    if w.kind == "conv-small":
        params = {
            "c1": kernel(rng, 4, 1),
            "n1": scale_shift(4, 1, 1),
            "c2": kernel(rng, 8, 4),
            "n2": scale_shift(8, 1, 1),
            "head": layer(rng, 392, 10),
        }

        def small(p: Params, x: jax.Array) -> jax.Array:
            x = pool(jax.nn.relu(batch_norm(p["n1"], apply_conv(p["c1"], x, "SAME"))))
            x = pool(jax.nn.relu(batch_norm(p["n2"], apply_conv(p["c2"], x, "SAME"))))
            return apply_layer(p["head"], x.reshape(x.shape[0], -1))

        return params, small
    if w.kind == "conv":
        params = {
            "c1": kernel(rng, 32, 1),
            "c2": kernel(rng, 64, 32),
            "l1": layer(rng, 1600, 128),
            "l2": layer(rng, 128, 10),
        }

        def large(p: Params, x: jax.Array) -> jax.Array:
            x = pool(jax.nn.relu(apply_conv(p["c1"], x, "VALID")))
            x = pool(jax.nn.relu(apply_conv(p["c2"], x, "VALID")))
            x = jax.nn.relu(apply_layer(p["l1"], x.reshape(x.shape[0], -1)))
            return apply_layer(p["l2"], x)

        return params, large
    if w.kind in ("gpt", "tokens"):
        width, count, heads = w.sizes
        blocks = [
            {
                "n1": scale_shift(width),
                "n2": scale_shift(width),
                "qkv": layer(rng, width, 3 * width),
                "out": layer(rng, width, width),
                "up": layer(rng, width, 4 * width),
                "down": layer(rng, 4 * width, width),
            }
            for _ in range(count)
        ]
        return {
            "tokens": uniform(rng, 1, w.classes, width),
            "places": uniform(rng, 1, w.inputs[0], width),
            "blocks": blocks,
            "norm": scale_shift(width),
            "head": layer(rng, width, w.classes),
        }, partial(gpt, heads=heads)
    a, b, _ = w.sizes
    return {
        "x": layer(rng, a, 4 * b),
        "h": uniform(rng, b, b, 4 * b),
        "head": layer(rng, b, 10),
    }, lstm


def loss_of(w: Workload, logits: jax.Array, y: jax.Array) -> jax.Array:
    if w.kind == "binary":
        return jnp.mean(jax.nn.softplus(logits) - y * logits)
    if w.kind == "regression":
        return jnp.mean((logits - y) ** 2)
    rows = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(rows, y[:, None], 1))


def update(w: Workload, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
    rate = dict(w.options)["lr"]
    tree = jax.tree_util.tree_map
    if w.optimizer == "SGD":
        return tree(lambda p, g: p - rate * g, params, grads), state
    m, v, t = state
    t = t + 1
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    decay = 1 - rate * 0.01 if w.optimizer == "AdamW" else 1.0

    def moved(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return p * decay - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return tree(moved, params, m, v), (m, v, t)


def build(w: Workload, mode: str) -> Callable[[], Any]:
    """A function that runs one step and returns when its result is complete."""
    params, model = model_of(w)
    x, y = (jnp.asarray(a) for a in w.data())
    if w.kind == "inference":
        forward = jax.jit(model)
        return lambda: forward(params, x).block_until_ready()
    if w.kind == "tokens":
        return generation(params, model, x)
    target = y.reshape(-1) if w.kind == "gpt" else y
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)
    state: Any = ()
    if w.optimizer != "SGD":
        state = (zeros, jax.tree_util.tree_map(jnp.copy, zeros), jnp.zeros(()))

    def one(params: Params, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def objective(p: Params) -> jax.Array:
            return loss_of(w, model(p, x), y)

        loss, grads = jax.value_and_grad(objective)(params)
        return loss, *update(w, params, grads, state)

    jitted = jax.jit(one, donate_argnums=(0, 1))
    held = [params, state]

    def step() -> None:
        loss, held[0], held[1] = jitted(held[0], held[1], x, target)
        loss.block_until_ready()
        jax.block_until_ready(held[0])

    return step


def generation(params: Params, model: Any, x: jax.Array) -> Callable[[], Any]:
    @jax.jit
    def next_token(params: Params, tokens: jax.Array) -> jax.Array:
        likely = model(params, tokens)[-1:].argmax(1, keepdims=True)
        return jnp.concatenate([tokens[:, 1:], likely.astype(tokens.dtype)], 1)

    held = [x]

    def infer() -> None:
        held[0] = next_token(params, held[0])
        held[0].block_until_ready()

    return infer
