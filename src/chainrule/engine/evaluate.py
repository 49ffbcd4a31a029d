"""Running one primitive: by its native kernel where that pays, else by its NumPy reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.lib.stride_tricks import as_strided

from chainrule.engine.layout import Layout, in_order, layout_of
from chainrule.engine.lowering import lower
from chainrule.engine.native import available, module
from chainrule.engine.program import REFUSED, raise_status
from chainrule.engine.spares import Spares
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive

_WORTH_IT = 4096
"""Elements (of the largest operand) from which a native call is faster than NumPy's own."""
_UNKNOWN = object()
_calls: dict[Any, Any] = {}
_MOST_CALLS = 4096


def run(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The primitive's value: one array, or a tuple of them.

    The native kernel computes it if there is one for these dtypes and layouts and the arrays are
    large enough to gain; else the NumPy reference does. Raises what the reference would raise.
    """
    if available() and max((x.size for x in arrays), default=0) >= _WORTH_IT:
        result = run_native(primitive, arrays, params)
        if result is not None:
            return result
    return primitive.forward(*arrays, **params)


def run_native(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The value computed by the native kernel, or None when there is none for these operands."""
    key: Any = (primitive.name, *params.values(), *[(x.shape, x.strides, x.dtype) for x in arrays])
    try:
        ready = _calls.get(key, _UNKNOWN)
    except TypeError:  # a parameter that does not hash
        ready, key = _UNKNOWN, None
    if ready is _UNKNOWN:
        ready = _prepare(primitive, arrays, params)
        if len(_calls) >= _MOST_CALLS:
            _calls.clear()
        if key is not None:
            _calls[key] = ready
    if ready is None or not all([x.flags.aligned for x in arrays]):
        return None
    call, spares, several = ready
    outputs = [spare.take() for spare in spares]
    seen = tuple([_seen(arrays[i], x) for i, x in call.inputs])
    made = tuple([_seen(outputs[i], x) for i, x in call.outputs])
    status = module().call(call.kernel, seen, made, call.ints, call.floats)
    if status is not None:
        if status[0] == REFUSED:
            primitive.forward(*arrays, **params)  # raises, and says why
        raise_status(status, primitive.name)
    return tuple(outputs) if several else outputs[0]


def _prepare(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """(native call, memory for the outputs, whether they are a tuple), made once for each shape."""
    if any(not x.dtype.isnative for x in arrays):
        return None
    derived = primitive.infer(*arrays, **params)
    specs = [(s.shape, s.dtype) for s in as_tuple(derived)]
    outputs = [in_order(*spec) for spec in specs]
    call = lower(primitive.name, params, [layout_of(x) for x in arrays], outputs)
    if call is None:
        return None
    return call, [Spares(*spec) for spec in specs], isinstance(derived, tuple)


def copy(source: Array, target: Array) -> None:
    """Copy the numbers of an array into another of its shape and dtype, whatever their strides."""
    status = module().call("copy", (source,), (target,), (), ())
    if status is not None:
        raise_status(status, "copy")


def serve(*primitives: Primitive) -> None:
    """Let plain evaluation use the native kernels of these where the arrays are large enough."""
    if available():
        for primitive in primitives:
            primitive.evaluate = _evaluator(primitive)


def _evaluator(primitive: Primitive) -> Callable[..., Any]:
    reference = primitive.forward

    def evaluate(*arrays: Array, **params: Any) -> Any:
        for x in arrays:
            if x.size >= _WORTH_IT:
                result = run_native(primitive, arrays, params)
                return reference(*arrays, **params) if result is None else result
        return reference(*arrays, **params)

    return evaluate


def _seen(array: Array, layout: Layout) -> Array:
    """The array as the kernel sees it."""
    if array.shape == layout.shape and array.strides == layout.strides:
        return array
    return as_strided(array, layout.shape, layout.strides)
