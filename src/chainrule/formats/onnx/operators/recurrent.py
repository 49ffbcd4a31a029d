"""Recurrent layers: RNN, GRU and LSTM.

With the usual options a layer is one op of Chainrule's, whose gates have another order. With others
(activations, clipping, peepholes, lengths of sequences) it is unrolled, step by step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators import elementwise
from chainrule.formats.onnx.operators.table import Ints, operator, refused
from chainrule.nn.functional.layers import linear
from chainrule.nn.functional.recurrent import Weights, gru_over_time, lstm_over_time, rnn_over_time
from chainrule.ops.creation import zeros
from chainrule.ops.select import where
from chainrule.ops.shape import cat, stack
from chainrule.tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    """The function of a name, with its numbers: the next ones, or those that ONNX says."""
    if name.lower() in PLAIN:
        return PLAIN[name.lower()]
    if name.lower() not in WITH_NUMBERS:
        raise refused(f"the activation {name} is not supported")
    function, defaults = WITH_NUMBERS[name.lower()]
    numbers = zip((alphas, betas), defaults, strict=False)
    return functools.partial(
        function,
        **{
            key: next(given, default)
            for key, (given, default) in zip(("alpha", "beta"), numbers, strict=False)
        },
    )


PLAIN: dict[str, Activation] = {
    "tanh": lambda x: x.tanh(),
    "relu": lambda x: x.relu(),
    "sigmoid": lambda x: x.sigmoid(),
    "softsign": elementwise.softsign,
    "softplus": elementwise.softplus,
}
WITH_NUMBERS: dict[str, tuple[Callable[..., Tensor], tuple[float, ...]]] = {
    "affine": (lambda x, alpha, beta: x * alpha + beta, (1.0, 0.0)),
    "scaledtanh": (lambda x, alpha, beta: (x * beta).tanh() * alpha, (1.0, 1.0)),
    "leakyrelu": (elementwise.leaky_relu, (0.01,)),
    "thresholdedrelu": (elementwise.thresholded_relu, (1.0,)),
    "elu": (elementwise.elu, (1.0,)),
    "hardsigmoid": (elementwise.hard_sigmoid, (0.2, 0.5)),
}
"""The activations with numbers α and β, and their defaults."""


@dataclass
class Options:
    """What the three layers have in common.

    usual: the names of the activations of one direction by default.
    """

    usual: tuple[str, ...]
    activations: tuple[str, ...] | None
    activation_alpha: tuple[float, ...] | None
    activation_beta: tuple[float, ...] | None
    clip: float | None
    direction: str
    layout: int

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def named(self, direction: int) -> tuple[str, ...]:
        """The names of the activations of a direction."""
        names = self.activations or self.usual * self.directions
        count = len(self.usual)
        return names[direction * count : (direction + 1) * count]

    def functions(self, direction: int) -> list[Activation]:
        """The activations of a direction. Those with numbers take them in turn, as they are."""
        alphas, betas = iter(self.activation_alpha or ()), iter(self.activation_beta or ())
        found = [
            _activation(name, alphas, betas) for d in range(direction + 1) for name in self.named(d)
        ]
        return found[-len(self.usual) :]

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def is_usual(self, names: tuple[str, ...], lengths: Ints | None, steps: int) -> bool:
        """Whether the layer is one of Chainrule's ops."""
        whole = lengths is None or set(lengths) <= {steps}
        lower = tuple(name.lower() for name in names)
        usual = tuple(name.lower() for name in self.usual)
        return whole and self.clip is None and lower == usual


Step = Callable[[Tensor, list[Tensor]], list[Tensor]]
Run = Callable[[int, bool, Tensor, list[Tensor]], list[Tensor]]
"""(direction, reverse, x, states) → the sequence of each state."""


def over_directions(
    options: Options, x: Tensor, states: Sequence[Tensor | None], hidden: int, run: Run
) -> tuple[list[list[Tensor]], Tensor]:
    """The sequences of states of each direction, and x with time first."""
    if options.direction not in ("forward", "reverse", "bidirectional"):
        raise FormatError("unknown direction", given=options.direction)
    x = x.transpose(0, 1) if options.layout else x
    found = []
    for d in range(options.directions):
        reverse = options.direction == "reverse" or d == 1
        start = []
        for state in states:
            if state is None:
                start.append(zeros(x.shape[1], hidden, dtype=x.dtype))
            else:
                start.append(state[:, d] if options.layout else state[d])
        found.append(run(d, reverse, x, start))
    return found, x


def unrolled(
    x: Tensor, states: list[Tensor], reverse: bool, lengths: Ints | None, step: Step
) -> list[Tensor]:
    """The states after each step. Beyond its length, a sequence keeps its states."""
    steps = x.shape[0]
    rows: list[list[Tensor]] = []
    for t in reversed(range(steps)) if reverse else range(steps):
        after = step(x[t], states)
        if lengths is not None:
            runs = _column([t < n for n in lengths])
            after = [where(runs, new, old) for new, old in zip(after, states, strict=True)]
        rows.append(after)
        states = after
    rows = rows[::-1] if reverse else rows
    return [stack(row) for row in zip(*rows, strict=True)]


def _column(truths: list[bool]) -> Tensor:
    return Tensor(np.array(truths)[:, None])


def finished(
    options: Options, found: list[list[Tensor]], x: Tensor, lengths: Ints | None
) -> tuple[Tensor, ...]:
    """The outputs: Y (T, directions, N, H), and the last of each state (directions, N, H)."""
    last = []
    for i in range(len(found[0])):
        ends = []
        for d, sequences in enumerate(found):
            reverse = options.direction == "reverse" or d == 1
            ends.append(sequences[i][0 if reverse else -1])
        last.append(stack(ends, 1 if options.layout else 0))
    hidden = [sequences[0] for sequences in found]
    if lengths is not None and set(lengths) != {x.shape[0]}:
        seen = stack([_column([t < n for n in lengths]) for t in range(x.shape[0])])
        hidden = [where(seen, h, 0) for h in hidden]
    y = stack(hidden, 1)
    return (y.permute(2, 0, 1, 3) if options.layout else y), *last


def _reordered(w: Tensor, order: Sequence[int]) -> Tensor:
    """The rows of weights with their gates in another order."""
    gates = w.chunk(len(order), 0)
    return cat([gates[i] for i in order]) if [*order] != sorted(order) else w


def weights(w: Tensor, r: Tensor, b: Tensor | None, d: int, order: Sequence[int]) -> Weights:
    """The weights of a direction with the gates in this order."""
    first, second = (_reordered(w[d], order), _reordered(r[d], order))
    if b is None:
        return Weights(first, second, None, None, None)
    own, past = b[d].chunk(2, 0)
    return Weights(first, second, _reordered(own, order), _reordered(past, order), None)


@operator("RNN")
def rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Ints | None = None,
    h: Tensor | None = None, *, activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None, activations: tuple[str, ...] | None = None,
    clip: float | None = None, direction: str, hidden_size: int | None = None, layout: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """hₜ = f(W·xₜ + R·hₜ₋₁ + b)."""
    options = Options(
        ("Tanh",), activations, activation_alpha, activation_beta, clip, direction, layout
    )

    def run(d: int, reverse: bool, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        own, (name,) = weights(w, r, b, d, [0]), options.named(d)
        is_relu = options.is_usual(("Tanh",), lengths, len(x)) and name.lower() == "relu"
        if options.is_usual((name,), lengths, len(x)) or is_relu:
            return list(rnn_over_time(x, own, states, reverse, name.lower()))
        (f,) = options.functions(d)

        def step(now: Tensor, before: list[Tensor]) -> list[Tensor]:
            total = linear(now, own.weight_ih, own.bias_ih)
            return [f(options.clipped(total + linear(before[0], own.weight_hh, own.bias_hh)))]

        return unrolled(x, states, reverse, lengths, step)

    found, x = over_directions(options, x, [h], r.shape[2], run)
    return finished(options, found, x, lengths)


@operator("GRU")
def gru(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Ints | None = None,
    h: Tensor | None = None, *, activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None, activations: tuple[str, ...] | None = None,
    clip: float | None = None, direction: str, hidden_size: int | None = None, layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """hₜ = (1 − z)·g + z·hₜ₋₁, with the gates update z, reset and candidate g."""
    options = Options(
        ("Sigmoid", "Tanh"), activations, activation_alpha, activation_beta, clip, direction, layout
    )

    def run(d: int, reverse: bool, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        if linear_before_reset and options.is_usual(options.named(d), lengths, len(x)):
            return list(gru_over_time(x, weights(w, r, b, d, [1, 0, 2]), states, reverse))
        own, (f, g) = weights(w, r, b, d, [0, 1, 2]), options.functions(d)
        rows = own.weight_hh.chunk(3, 0)
        biases = (None,) * 3 if own.bias_hh is None else own.bias_hh.chunk(3, 0)

        def step(now: Tensor, before: list[Tensor]) -> list[Tensor]:
            (past,) = before
            update, reset, new = linear(now, own.weight_ih, own.bias_ih).chunk(3, 1)
            update = f(options.clipped(update + linear(past, rows[0], biases[0])))
            reset = f(options.clipped(reset + linear(past, rows[1], biases[1])))
            if linear_before_reset:
                seen = reset * linear(past, rows[2], biases[2])
            else:
                seen = linear(reset * past, rows[2], biases[2])
            return [(1 - update) * g(options.clipped(new + seen)) + update * past]

        return unrolled(x, states, reverse, lengths, step)

    found, x = over_directions(options, x, [h], r.shape[2], run)
    return finished(options, found, x, lengths)


@operator("LSTM")
def lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Ints | None = None,
    h: Tensor | None = None, c: Tensor | None = None, p: Tensor | None = None, *,
    activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None, activations: tuple[str, ...] | None = None,
    clip: float | None = None, direction: str, hidden_size: int | None = None, layout: int = 0,
    input_forget: int = 0,
) -> tuple[Tensor, ...]:  # fmt: skip
    """cₜ = f·cₜ₋₁ + i·g, hₜ = o·tanh(cₜ), with the gates i, o, f and the candidate g."""
    options = Options(
        ("Sigmoid", "Tanh", "Tanh"),
        activations,
        activation_alpha,
        activation_beta,
        clip,
        direction,
        layout,
    )

    def run(d: int, reverse: bool, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        plain = p is None and not input_forget
        if plain and options.is_usual(options.named(d), lengths, len(x)):
            return list(lstm_over_time(x, weights(w, r, b, d, [0, 2, 3, 1]), states, reverse))
        own, (f, g, out) = weights(w, r, b, d, [0, 1, 2, 3]), options.functions(d)
        holes = (0, 0, 0) if p is None else p[d].chunk(3, 0)

        def step(now: Tensor, before: list[Tensor]) -> list[Tensor]:
            past, cell = before
            total = linear(now, own.weight_ih, own.bias_ih)
            total = total + linear(past, own.weight_hh, own.bias_hh)
            i, o, forget, new = total.chunk(4, 1)
            i = f(options.clipped(i + holes[0] * cell))
            forget = 1 - i if input_forget else f(options.clipped(forget + holes[2] * cell))
            cell = forget * cell + i * g(options.clipped(new))
            return [f(options.clipped(o + holes[1] * cell)) * out(cell), cell]

        return unrolled(x, states, reverse, lengths, step)

    found, x = over_directions(options, x, [h, c], r.shape[2], run)
    return finished(options, found, x, lengths)
