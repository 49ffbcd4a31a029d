"""From primitives to native calls: the one table of what has a kernel, and in which layouts.

Each function here takes the parameters of a primitive and the layouts of its inputs and outputs,
and returns the call of a kernel, or None when no kernel computes just that. Whoever wants to run
a primitive, alone or in a program, asks `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.engine.chain import fused_call
from chainrule.engine.elementwise import ELEMENTWISE, chain_steps, reduction_of, steps_of
from chainrule.engine.integers import integer_call, integer_sum_call
from chainrule.engine.layout import (
    BOOL,
    FLOAT64,
    FLOATS,
    KNOWN,
    Layout,
    NativeCall,
    grouped,
    in_order,
    native_call,
)

Layouts = Sequence[Layout]
Lowering = Callable[[dict[str, Any], Layouts, Layouts], NativeCall | None]
MAX_DIMS, MAX_OPERANDS = 8, 32  # see engine/cpp/call.h
INTEGERS = "iu"

LOWERINGS: dict[str, Lowering] = {}


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of primitives."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return register


def has_kernel(name: str) -> bool:
    """Whether some kernel computes this primitive, for some layouts and dtypes."""
    return name in LOWERINGS or name in ELEMENTWISE


def is_elementwise(name: str) -> bool:
    """Whether the elementwise machine computes this primitive, for some dtypes."""
    return name in ELEMENTWISE and name not in LOWERINGS


def lower(
    name: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """The native call that computes this primitive on these layouts, or None."""
    operands = (*inputs, *outputs)
    if max(len(inputs), len(outputs)) > MAX_OPERANDS:
        return None
    if any(x.dtype.str not in KNOWN or len(x.shape) > MAX_DIMS for x in operands):
        return None
    special = LOWERINGS.get(name)
    if special is not None:
        return special(params, inputs, outputs)
    steps = steps_of(name, params, [x.dtype for x in inputs])
    if steps is None:
        return integer_call(name, inputs, outputs)
    if not all(x.in_order() for x in outputs):
        return None
    dtype = next((x.dtype for x in operands if x.dtype in FLOATS), None)
    if name == "astype" and FLOAT64 in (inputs[0].dtype, outputs[0].dtype):
        dtype = FLOAT64
    elif name == "astype" and inputs[0].dtype.kind in INTEGERS:
        dtype = outputs[0].dtype
    result = (len(inputs) + len(steps) - 1,)
    return fused_call(inputs, outputs, steps, result, shape=outputs[0].shape, dtype=dtype)


# -- products ------------------------------------------------------------------------------------

ACTIVATIONS = {"none": 0, "relu": 1, "gate": 2}


def product_call(
    inputs: Layouts,
    output: Layout,
    activation: str = "none",
    bias: bool = False,
    residual: bool = False,
) -> NativeCall | None:
    """c = activation(a·b + bias + residual), of inputs (a, b[, bias][, residual]).

    The activation "gate" adds no residual: c = (a·b + bias)·[residual > 0].
    """
    if len({x.dtype for x in (*inputs, output)}) > 1 or output.dtype not in FLOATS:
        return None
    if len(output.shape) < 2 or not _adjacent(output):
        return None
    if residual and not (inputs[-1].shape == output.shape and _adjacent(inputs[-1])):
        return None
    ints = (ACTIVATIONS[activation], int(bias), int(residual))
    return native_call("matmul", inputs, [output], ints)


def transposed(x: Layout) -> Layout:
    """The last two dimensions exchanged."""
    n = len(x.shape)
    return x.permuted((*range(n - 2), n - 1, n - 2))


@lowering("matmul")
def _matmul(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return product_call(inputs, outputs[0])


@lowering("matmul_gate")
def _matmul_gate(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return product_call(inputs, outputs[0], "gate", residual=True)


@lowering("linear")
def _linear(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _layer(inputs, outputs[0], "none")


@lowering("linear_relu")
def _linear_relu(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _layer(inputs, outputs[0], "relu")


def _layer(inputs: Layouts, y: Layout, activation: str) -> NativeCall | None:
    x, w, b = inputs
    rows, y_rows = as_rows(x), as_rows(y)
    if rows is None or y_rows is None or not _adjacent(b):
        return None
    return product_call([rows, transposed(w), b], y_rows, activation, bias=True)


def as_rows(x: Layout) -> Layout | None:
    """(..., n) as a matrix (rows, n) over the same memory, where its strides allow that."""
    if len(x.shape) == 2:
        return x
    if len(x.shape) == 1:
        return Layout((1, *x.shape), x.dtype, (x.dtype.itemsize * x.shape[0], *x.strides))
    lead = Layout(x.shape[:-1], x.dtype, x.strides[:-1])
    step, expected = lead.strides[-1], lead.strides[-1]
    for n, stride in zip(reversed(lead.shape), reversed(lead.strides), strict=True):
        if n > 1 and stride != expected:
            return None
        expected *= n
    return Layout((lead.size, x.shape[-1]), x.dtype, (step, x.strides[-1]))


@lowering("linear_weight")
def _linear_weight(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    g, x = map(as_rows, inputs)
    return None if g is None or x is None else product_call([transposed(g), x], outputs[0])


# -- chains --------------------------------------------------------------------------------------


@lowering("chain")
def _chain(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    chain = chain_steps(params["body"])
    if chain is None or not all(x.in_order() for x in outputs):
        return None
    dtype = next((v.dtype for v in (*inputs, *outputs) if v.dtype in FLOATS), None)
    shape = params["body"].equations[0].outputs[0].shape
    return fused_call(
        inputs, outputs, *chain[:2], chain.reductions, chain.dims, shape=shape, dtype=dtype
    )  # fmt: skip


# -- reductions ----------------------------------------------------------------------------------


def _reduction(name: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    x, y = inputs[0], outputs[0]
    if x.dtype not in FLOATS or not y.in_order():
        return None
    dims = params["dims"]
    if name == "mean" and 0 in x.shape:
        return None
    reduction = reduction_of(name, params, x.shape, 0)
    return fused_call(inputs, outputs, (), (), [reduction], dims, x.shape, x.dtype)


@lowering("sum")
def _sum(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if inputs[0].dtype.kind != "f":
        return integer_sum_call(grouped(inputs[0].shape, params["dims"]), inputs, outputs)
    return _reduction("sum", params, inputs, outputs)


@lowering("mean")
def _mean(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _reduction("mean", params, inputs, outputs)


@lowering("amax")
def _amax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _reduction("amax", params, inputs, outputs)


@lowering("amin")
def _amin(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _reduction("amin", params, inputs, outputs)


# -- softmax and cross-entropy -------------------------------------------------------------------


@lowering("softmax")
def _softmax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _along_rows("softmax", params, inputs, outputs)


@lowering("log_softmax")
def _log_softmax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _along_rows("log_softmax", params, inputs, outputs)


def _along_rows(kernel: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    x, y = inputs[0], outputs[0]
    if x.dtype not in FLOATS or not x.shape or params["dim"] != len(x.shape) - 1:
        return None
    rows, y_rows = as_rows(x), as_rows(y)
    if rows is None or y_rows is None or not (_adjacent(rows) and _adjacent(y_rows)):
        return None
    return native_call(kernel, [rows], [y_rows])


def _adjacent(rows: Layout) -> bool:
    return rows.size == 0 or rows.shape[-1] == 1 or rows.strides[-1] == rows.dtype.itemsize


REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


def cross_entropy_call(
    inputs: Layouts,
    outputs: Layouts,
    loss: bool,
    gradient: bool,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> NativeCall | None:
    """(x, t[, g]) → [loss][, gradient] in one sweep: logits (N, C), labels (N,)."""
    x, t = inputs[:2]
    if x.dtype not in FLOATS or t.dtype.kind not in INTEGERS or not _adjacent(x):
        return None
    ints = (int(loss), int(gradient), REDUCTIONS[reduction], ignore_index)
    return native_call("softmax_cross_entropy", inputs, outputs, ints)


@lowering("softmax_cross_entropy")
def _cross_entropy(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    return cross_entropy_call(inputs, outputs, True, False, **params)


@lowering("softmax_cross_entropy_gradient")
def _cross_entropy_gradient(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    g, x, t = inputs
    call = cross_entropy_call((x, t, g), outputs, False, True, **params)
    return call and call._replace(inputs=((1, x), (2, t), (0, g)))


# -- updates -------------------------------------------------------------------------------------


@lowering("sgd_update")
def _sgd(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _update("sgd_update", inputs, outputs, (params["maximize"],))


@lowering("momentum_update")
def _momentum(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["nesterov"], params["maximize"])
    return _update("momentum_update", inputs, outputs, ints)


@lowering("adam_update")
def _adam(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["decoupled"], params["maximize"])
    return _update("amsgrad_update" if len(inputs) > 9 else "adam_update", inputs, outputs, ints)


@lowering("rmsprop_update")
def _rmsprop(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["centered"], params["maximize"])
    return _update("rmsprop_update", inputs, outputs, ints)


@lowering("adagrad_update")
def _adagrad(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _update("adagrad_update", inputs, outputs, (params["maximize"],))


def _update(kernel: str, inputs: Layouts, outputs: Layouts, flags: tuple[bool, ...]) -> Any:
    if inputs[0].dtype not in FLOATS or not _all_in_order(inputs, outputs):
        return None
    return native_call(kernel, inputs, outputs, map(int, flags))


# -- indexing and random numbers -----------------------------------------------------------------


def _first_dimension_only(index: tuple[Any, ...]) -> bool:
    return index == ("tensor",)


@lowering("take")
def _take(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if not _first_dimension_only(params["index"]) or inputs[1].dtype.kind not in INTEGERS:
        return None
    return native_call("take", inputs, outputs) if _all_in_order(inputs, outputs) else None


@lowering("embedding")
def _embedding(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    i, w = inputs
    if not _all_in_order(inputs, outputs):
        return None
    return NativeCall("embedding", (), (), ((1, w), (0, i)), ((0, outputs[0]),))


@lowering("put_into")
def _put_into(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if not _first_dimension_only(params["index"]) or outputs[0].dtype not in FLOATS:
        return None
    if inputs[1].dtype.kind not in INTEGERS or inputs[0].shape != (
        *inputs[1].shape, *outputs[0].shape[1:],
    ):  # fmt: skip
        return None
    return native_call("put_into", inputs, outputs) if _all_in_order(inputs, outputs) else None


@lowering("scatter_add")
def _scatter_add(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, index = inputs
    fits = x.shape == index.shape and params["dim"] == len(x.shape) - 1 and x.dtype in FLOATS
    if not fits or index.dtype.str != "<i8" or x.shape[:-1] != outputs[0].shape[:-1]:
        return None
    return native_call("scatter_add", inputs, outputs) if _all_in_order(inputs, outputs) else None


@lowering("random_uniform")
def _random_uniform(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    fits = outputs[0].dtype in FLOATS and _all_in_order(inputs, outputs)
    return native_call("random_uniform", inputs, outputs) if fits else None


def _all_in_order(inputs: Layouts, outputs: Layouts) -> bool:
    return all(x.in_order() for x in (*inputs, *outputs))


# -- copies --------------------------------------------------------------------------------------


@lowering("clone")
def _clone(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return native_call("copy", inputs, outputs)


def copy_call(source: Layout, target: Layout) -> NativeCall:
    """Copy a view into another of the same dtype, broadcasting on the way."""
    return native_call("copy", [source], [target])


def zero_call(target: Layout) -> NativeCall:
    """Set an array that lies in order to zero (or False)."""
    return NativeCall("fill_zero", (), (), (), ((0, in_order(target.shape, target.dtype)),))


def require_call(x: Layout, number: int) -> NativeCall | None:
    """End the program unless all of x, which lies in order, is true."""
    fits = x.dtype == BOOL and x.in_order()
    return native_call("require", [x], (), (number,)) if fits else None
