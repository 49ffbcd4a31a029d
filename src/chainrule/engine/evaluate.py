"""Running one primitive: by its native kernel where there is one, else by its NumPy reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.engine.layout import Layout, NativeCall, in_order, layout_of
from chainrule.engine.lowering import copy_call, has_kernel, lower
from chainrule.engine.native import available, module
from chainrule.engine.program import REFUSED, raise_status
from chainrule.engine.spares import shared_spares
from chainrule.errors import OutOfRangeError
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive

_UNKNOWN = object()
_calls: dict[Any, Any] = {}
_MOST_CALLS = 4096


def run(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The primitive's value: one array, or a tuple of them.

    By the native kernel if there is one for these dtypes and layouts, whatever the size, so that
    an example has the same bits in any batch; else by the NumPy reference. Raises what the
    reference would raise.
    """
    return primitive.evaluate(*arrays, **params)


def evaluator(primitive: Primitive) -> Callable[..., Any]:
    """The function behind `run`: the reference itself where no kernel could ever serve."""
    reference = primitive.forward
    if not (available() and has_kernel(primitive.name)):
        return reference

    def evaluate(*arrays: Array, **params: Any) -> Any:
        try:
            result = run_native(primitive, arrays, params)
        except OutOfRangeError:
            result = None  # the reference raises, and says more than a kernel can
        return reference(*arrays, **params) if result is None else result

    return evaluate


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
    if ready is None:
        return None
    call, spares, several = ready
    outputs = tuple([spare.take() for spare in spares])
    try:
        status = module().call(call, arrays, outputs)
    except ValueError:  # an array that is not aligned to its elements
        return None
    if status is not None:
        if status[0] == REFUSED:
            primitive.forward(*arrays, **params)  # raises, and says why
        raise_status(status, primitive.name)
    return outputs if several else outputs[0]


def _prepare(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """(native call, memory for the outputs, whether they are a tuple), made once for each shape."""
    if any(not x.dtype.isnative for x in arrays):
        return None
    derived = primitive.infer(*arrays, **params)
    specs = [(s.shape, s.dtype) for s in as_tuple(derived)]
    inputs, outputs = [layout_of(x) for x in arrays], [in_order(*spec) for spec in specs]
    call = lower(primitive.name, params, inputs, outputs)
    if call is None:
        return None
    spares = [shared_spares(*spec) for spec in specs]
    return prepared(call, inputs, outputs), spares, isinstance(derived, tuple)


def prepared(call: NativeCall, inputs: Sequence[Layout], outputs: Sequence[Layout]) -> Any:
    """The call as the native engine takes it, for arrays of these layouts."""
    ready = module().Prepared(call.kernel, call.ints, call.floats)
    for layout in inputs:
        ready.add_array(layout.shape, layout.strides, layout.dtype.char, False)
    for layout in outputs:
        ready.add_array(layout.shape, layout.strides, layout.dtype.char, True)
    for number, seen in call.inputs:
        ready.add_operand(number, seen.shape, seen.strides, seen.dtype.char)
    for number, seen in call.outputs:
        ready.add_operand(len(inputs) + number, seen.shape, seen.strides, seen.dtype.char)
    return ready


def copy(source: Array, target: Array) -> None:
    """Copy the numbers of an array into another of its shape and dtype, whatever their strides."""
    inputs, outputs = [layout_of(source)], [layout_of(target)]
    call = prepared(copy_call(*inputs, *outputs), inputs, outputs)
    status = module().call(call, (source,), (target,))
    if status is not None:
        raise_status(status, "copy")
