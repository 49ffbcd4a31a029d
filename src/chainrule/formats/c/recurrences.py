"""Recurrences over time: LSTM, GRU and RNN, one loop over steps, examples and units."""

from __future__ import annotations

from contextlib import AbstractContextManager

from chainrule.formats.c.rows import lines
from chainrule.formats.c.table import Call, translation
from chainrule.formats.c.writer import Place, c_type


def _time(call: Call, steps: int, reverse: bool) -> AbstractContextManager[None]:
    head = (
        f"for (int t = {steps - 1}; t >= 0; --t)"
        if reverse
        else f"for (int t = 0; t < {steps}; ++t)"
    )
    return call.write.block(head)


def _before(h: Place, h0: Place, steps: int, reverse: bool, unit: str) -> str:
    """The state before step t."""
    first, past = (steps - 1, "t + 1") if reverse else (0, "t - 1")
    return f"(t == {first} ? {h0.at(['n', unit])} : {h.at([past, 'n', unit])})"


def _gate(
    call: Call, p: Place, w: Place, gate: int, hidden: int, past: str, extra: str = ""
) -> None:
    """`a0` (`a1`, …) = pₜ + hₜ₋₁·Wᵀ for one gate of unit j; with `extra` instead of pₜ."""
    name, row = f"a{gate}", f"{gate * hidden} + j" if gate else "j"
    start = extra or p.at(["t", "n", row])
    call.write.line(f"{c_type(p.dtype)} {name} = {start};")
    call.write.line(f"for (int c = 0; c < {hidden}; ++c)")
    call.write.line(f"    {name} += {past} * {w.at([row, 'c'])};")


@translation("lstm_sequence")
def lstm(call: Call, reverse: bool) -> None:
    p, w, h0, c0 = call.inputs
    (h, c, gates), hidden = call.outputs, w.shape[1]
    steps, examples = p.shape[:2]
    past = _before(h, h0, steps, reverse, "c")
    with _time(call, steps, reverse), _examples(call, examples), _units(call, hidden):
        for gate in range(4):
            _gate(call, p, w, gate, hidden, past)
        saved = [gates.at(["t", "n", f"{g * hidden} + j" if g else "j"]) for g in range(4)]
        cell = c.at(["t", "n", "j"])
        lines(
            call,
            p.dtype,
            f"""
{saved[0]} = 1.0 / (1.0 + exp(-a0));
{saved[1]} = 1.0 / (1.0 + exp(-a1));
{saved[2]} = tanh(a2);
{saved[3]} = 1.0 / (1.0 + exp(-a3));
{cell} = {saved[1]} * {_before(c, c0, steps, reverse, "j")} + {saved[0]} * {saved[2]};
{h.at(["t", "n", "j"])} = {saved[3]} * tanh({cell});
""",
        )


@translation("gru_sequence")
def gru(call: Call, reverse: bool) -> None:
    p, w, b, h0 = call.inputs
    (h, gates), hidden = call.outputs, w.shape[1]
    steps, examples = p.shape[:2]
    past = _before(h, h0, steps, reverse, "c")
    with _time(call, steps, reverse), _examples(call, examples), _units(call, hidden):
        rows = ["j", f"{hidden} + j", f"{2 * hidden} + j", f"{3 * hidden} + j"]
        for gate in range(3):
            _gate(call, p, w, gate, hidden, past, b.at([rows[gate]]))
        r, z, n, u = (gates.at(["t", "n", row]) for row in rows)
        before = _before(h, h0, steps, reverse, "j")
        lines(
            call,
            p.dtype,
            f"""
{r} = 1.0 / (1.0 + exp(-({p.at(["t", "n", rows[0]])} + a0)));
{z} = 1.0 / (1.0 + exp(-({p.at(["t", "n", rows[1]])} + a1)));
{u} = a2;
{n} = tanh({p.at(["t", "n", rows[2]])} + {r} * a2);
{h.at(["t", "n", "j"])} = (1.0 - {z}) * {n} + {z} * {before};
""",
        )


@translation("rnn_sequence")
def rnn(call: Call, nonlinearity: str, reverse: bool) -> None:
    p, w, h0 = call.inputs
    (h,), hidden = call.outputs, w.shape[1]
    steps, examples = p.shape[:2]
    past = _before(h, h0, steps, reverse, "c")
    with _time(call, steps, reverse), _examples(call, examples), _units(call, hidden):
        _gate(call, p, w, 0, hidden, past)
        value = "tanh(a0)" if nonlinearity == "tanh" else "a0 > 0 ? a0 : 0"
        lines(call, p.dtype, f"{h.at(['t', 'n', 'j'])} = {value};")


def _examples(call: Call, n: int) -> AbstractContextManager[None]:
    return call.write.block(f"for (int n = 0; n < {n}; ++n)")


def _units(call: Call, n: int) -> AbstractContextManager[None]:
    return call.write.block(f"for (int j = 0; j < {n}; ++j)")
