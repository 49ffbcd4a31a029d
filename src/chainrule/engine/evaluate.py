"""Running one primitive: by its native kernel where that pays, else by its NumPy reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine.layout import Layout, NativeCall, layout_of
from chainrule.engine.lowering import LOWERINGS, lower
from chainrule.engine.native import available, module
from chainrule.engine.program import REFUSED, raise_status
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive

_WORTH_IT = 4096
"""Elements (of the largest operand) from which a native call is faster than NumPy's own."""
_calls: dict[Any, NativeCall | None] = {}
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
    if any(not x.flags.aligned or not x.dtype.isnative for x in arrays):
        return None
    derived = primitive.infer(*arrays, **params)
    outputs = [np.empty(s.shape, s.dtype) for s in as_tuple(derived)]
    call = _call(primitive, params, arrays, outputs)
    if call is None:
        return None
    seen = tuple([_seen(arrays[i], x) for i, x in call.inputs])
    made = tuple([_seen(outputs[i], x) for i, x in call.outputs])
    status = module().call(call.kernel, seen, made, call.ints, call.floats)
    if status is not None:
        if status[0] == REFUSED:
            primitive.forward(*arrays, **params)  # raises, and says why
        raise_status(status, primitive.name)
    return tuple(outputs) if isinstance(derived, tuple) else outputs[0]


def serve(primitive: Primitive) -> None:
    """Let plain evaluation use the native kernel too, where the arrays are large enough to gain.

    For kernels that have the very bits of their reference: what is computed does not change.
    """
    if not available():
        return
    reference = primitive.forward

    def evaluate(*arrays: Array, **params: Any) -> Any:
        if arrays[0].size < _WORTH_IT:
            return reference(*arrays, **params)
        return run(primitive, arrays, params)

    primitive.evaluate = evaluate


def _call(
    primitive: Primitive, params: dict[str, Any], arrays: tuple[Array, ...], outputs: list[Array]
) -> NativeCall | None:
    """The native call, remembered: programs repeat the same few shapes."""
    layouts = [layout_of(x) for x in (*arrays, *outputs)]
    try:
        key = (primitive.name, tuple(params.items()), tuple(layouts))
        if key in _calls:
            return _calls[key]
    except TypeError:  # a parameter that does not hash
        return lower(primitive.name, params, layouts[: len(arrays)], layouts[len(arrays) :])
    if len(_calls) >= _MOST_CALLS:
        _calls.clear()
    call = lower(primitive.name, params, layouts[: len(arrays)], layouts[len(arrays) :])
    _calls[key] = call
    return call


def _seen(array: Array, layout: Layout) -> Array:
    """The array as the kernel sees it."""
    if array.shape == layout.shape and array.strides == layout.strides:
        return array
    return as_strided(array, layout.shape, layout.strides)


def has_kernel(name: str) -> bool:
    """Whether a primitive has a kernel of its own (elementwise ones share the machine)."""
    return name in LOWERINGS
