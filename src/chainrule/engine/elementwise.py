"""Which primitives the elementwise machine runs, and as which steps.

A fusion pass joins the steps of several primitives into one chain; a single primitive is a chain
of its own steps. The machine computes in one floating dtype; truth values are masks in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.engine.chain import Reduction, Step
from chainrule.engine.layout import BOOL, FLOATS, KNOWN
from chainrule.graph import Graph, Value
from chainrule.primitive import DType, Shape

DIRECT = frozenset({
    "add", "sub", "mul", "div", "maximum", "minimum", "neg", "abs", "sign", "square", "floor",
    "ceil", "round", "trunc", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "relu",
    "sigmoid", "softplus", "silu", "erf", "normal_cdf", "gelu", "gelu_slope", "sin", "cos", "eq",
    "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "gate",
})  # fmt: skip
LOGIC = frozenset({"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"})


def _clamp(params: dict[str, Any]) -> tuple[Step, ...]:
    steps: list[Step] = []
    value = 0
    for op, limit in (("maximum", params["min"]), ("minimum", params["max"])):
        if limit is not None:
            steps.append((op, value, float(limit)))
            value = len(steps)
    return tuple(steps) or (("copy", 0),)


def _elu(params: dict[str, Any]) -> tuple[Step, ...]:
    alpha = float(params.get("alpha", 1.0))
    return (
        ("gt", 0, 0.0), ("minimum", 0, 0.0), ("expm1", 2), ("mul", 3, alpha), ("where", 1, 0, 4),
    )  # fmt: skip


def _leaky_relu(params: dict[str, Any]) -> tuple[Step, ...]:
    return (("gt", 0, 0.0), ("mul", 0, float(params["slope"])), ("where", 1, 0, 2))


def _power(params: dict[str, Any]) -> tuple[Step, ...] | None:
    """The powers that NumPy, too, computes by multiplication, a division or a root."""
    plain: dict[Any, tuple[Step, ...]] = {
        2: (("square", 0),), 1: (("copy", 0),), -1: (("div", 1.0, 0),), 0.5: (("sqrt", 0),),
    }  # fmt: skip
    return plain.get(params["exponent"])


def _gelu_tanh(params: dict[str, Any]) -> tuple[Step, ...]:
    return (
        ("mul", 0, 0.044715), ("mul", 1, 0), ("mul", 2, 0), ("add", 0, 3),
        ("mul", 4, math.sqrt(2 / math.pi)), ("tanh", 5), ("add", 6, 1.0), ("mul", 0, 0.5),
        ("mul", 8, 7),
    )  # fmt: skip


def _normal_pdf(params: dict[str, Any]) -> tuple[Step, ...]:
    scale = math.sqrt(2 * math.pi)
    return (("mul", 0, -0.5), ("mul", 1, 0), ("exp", 2), ("div", 3, scale))


COMPOSED: dict[str, Callable[[dict[str, Any]], tuple[Step, ...] | None]] = {
    "clamp": _clamp,
    "leaky_relu": _leaky_relu,
    "power": _power,
    "elu": _elu,
    "gelu_tanh": _gelu_tanh,
    "normal_pdf": _normal_pdf,
}

ELEMENTWISE = frozenset({*DIRECT, *LOGIC, *COMPOSED, "clone", "astype", "where"})
"""The primitives that the machine knows."""


def steps_of(name: str, params: dict[str, Any], dtypes: Sequence[DType]) -> tuple[Step, ...] | None:
    """The machine's steps for one primitive, given its parameters and its inputs' dtypes.

    Operands 0 … n − 1 are the inputs, n, n + 1, … the results of the steps; the last step is the
    result. None when the machine does not compute it exactly: integer arithmetic, float16, ...
    """
    if not dtypes or any(d.str not in KNOWN for d in dtypes):
        return None
    floats = [d for d in dtypes if d in FLOATS]
    if name == "clone":
        return (("copy", 0),) if floats or dtypes[0] == BOOL else None
    if name == "astype":
        return _cast(dtypes[0], np.dtype(params["dtype"]))
    if name == "where":
        return (("where", 0, 1, 2),) if len(floats) == 2 and dtypes[0] == BOOL else None
    if name in LOGIC:
        all_true = all(d == BOOL for d in dtypes)
        return ((name, *range(len(dtypes))),) if all_true else None
    if len(floats) != len(dtypes) or len(set(floats)) != 1:
        return None
    if name in DIRECT:
        return ((name, *range(len(dtypes))),)
    return COMPOSED[name](params) if name in COMPOSED else None


REDUCTIONS = {"sum": "sum", "mean": "sum", "amax": "max", "amin": "min"}
"""What a chain can do with its results, and by which fold of the machine."""


def reduction_of(name: str, params: dict[str, Any], shape: Shape, operand: int) -> Reduction:
    """A primitive of REDUCTIONS on an operand of a shape without zeros."""
    number = math.prod(shape[d] for d in params["dims"])
    return Reduction(REDUCTIONS[name], operand, float(number) if name == "mean" else 1.0)


class ChainSteps(NamedTuple):
    """A whole graph of elementwise equations as steps, and which operands its outputs are.

    Outputs that are reductions come last; all reduce the same dimensions of the same shape.
    """

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    reductions: tuple[Reduction, ...] = ()
    dims: tuple[int, ...] = ()


def chain_steps(body: Graph) -> ChainSteps | None:
    """The steps of a graph of elementwise equations, perhaps with reductions at the end, or None
    when one is not ours.

    Constants are single numbers; all values have one floating dtype or are booleans, so that the
    machine rounds where the separate ops would.
    """
    operands: dict[Value, int | float] = {v: i for i, v in enumerate(body.inputs)}
    for value, array in body.constants.items():
        if array.size != 1 or array.dtype not in FLOATS:
            return None
        operands[value] = float(array.reshape(())[()])
    values = [*body.inputs, *(v for e in body.equations for v in e.outputs)]
    if len({v.dtype for v in values} - {BOOL}) > 1:
        return None
    steps: list[Step] = []
    reductions: list[Reduction] = []
    dims: tuple[int, ...] = ()
    for equation in body.equations:
        name, params = equation.primitive.name, equation.params
        if name in REDUCTIONS:
            source, dims = equation.inputs[0], params["dims"]
            reductions.append(reduction_of(name, params, source.shape, int(operands[source])))
            continue
        dtypes = [v.dtype for v in equation.inputs]
        own = steps_of(name, params, dtypes)
        if own is None:
            return None
        first = len(body.inputs) + len(steps)
        places = [operands[v] for v in equation.inputs]
        steps += [_placed(step, places, first) for step in own]
        operands[equation.outputs[0]] = len(body.inputs) + len(steps) - 1
    results = [operands[v] for v in body.outputs[: len(body.outputs) - len(reductions)]]
    if any(isinstance(r, float) for r in results):
        return None
    return ChainSteps(tuple(steps), tuple(int(r) for r in results), tuple(reductions), dims)


def _placed(step: Step, places: Sequence[int | float], first: int) -> Step:
    """A primitive's step with its operands as those of the whole chain."""
    n = len(places)

    def placed(x: Any) -> int | float:
        if isinstance(x, float):
            return x
        return places[x] if x < n else first + x - n

    return (step[0], *[placed(x) for x in step[1:]])


def _cast(source: DType, target: DType) -> tuple[Step, ...] | None:
    """Into floats from anything the machine reads; from booleans 1 and 0."""
    if target not in FLOATS:
        return None
    return (("to_number", 0),) if source == BOOL else (("copy", 0),)
