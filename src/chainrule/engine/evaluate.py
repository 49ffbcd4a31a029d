"""Running one primitive: by its native kernel if there is one, else by its NumPy reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.engine.layout import Layout, NativeCall, in_order, layout_of
from chainrule.engine.lowering import has_kernel, kernel_call, lower
from chainrule.engine.native import available, module, native_evaluate
from chainrule.engine.program import REFUSED, raise_status
from chainrule.engine.spares import shared_spares
from chainrule.errors import OutOfRangeError
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive

_MOST_PARAMS = 1024
_variants: dict[Primitive, dict[Any, Any]] = {}
"""The prepared calls of each primitive, by parameters and layouts (cpp/runtime/prepared.h)."""


def run(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The value of the primitive: one array, or a tuple of them.

    Uses the native kernel if there is one for these dtypes and layouts, else the NumPy reference.
    The choice does not depend on the size, so that an example has the same bits in any batch.
    Raises the errors of the reference.
    """
    return primitive.native(*arrays, **params)


def evaluator(primitive: Primitive) -> Callable[..., Any]:
    """The function that `run` calls. The layout of operands changes no bit of a result: without a
    kernel for it, the op runs on copies in C order."""
    reference = primitive.forward
    if not available() or primitive.view is not None:
        return reference

    def on_copies(*arrays: Array, **params: Any) -> Any:
        return reference(*map(_in_order, arrays), **params)

    if not has_kernel(primitive):
        return on_copies

    def evaluate(*arrays: Array, **params: Any) -> Any:
        try:
            result = run_native(primitive, arrays, params)
            if result is None and not all([x.flags.aligned for x in arrays]):
                result = run_native(primitive, tuple(map(_in_order, arrays)), params)
        except OutOfRangeError:
            result = None  # the reference raises an error with more information
        return on_copies(*arrays, **params) if result is None else result

    return evaluate


def _in_order(x: Any) -> Array:
    """The array itself if it is aligned and in C order, else a copy that is."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned else np.array(x, order="C")


def run_native(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The value computed by the native kernel, or None when there is none for these operands."""
    known = _variants.get(primitive) or _variants.setdefault(primitive, {})
    key: Any = (*params, *params.values())  # with the names: True equals 1
    if float in map(type, key) and 0.0 in key:
        key = repr(key)  # as keys, −0.0 and 0.0 would be equal
    try:
        found = known.get(key)
    except TypeError:  # slices are not hashable
        key = repr(key)
        found = known.get(key)
    if found is None:
        if len(known) >= _MOST_PARAMS:
            known.clear()
        several = isinstance(primitive.infer(*arrays, **params), tuple)
        found = known[key] = module().Variants(), several
    variants, several = found
    outputs = native_evaluate(variants, arrays)
    if outputs is False:
        _prepare(variants, primitive, arrays, params)
        outputs = native_evaluate(variants, arrays)
    if outputs.__class__ is tuple:
        return outputs if several else outputs[0]
    if outputs is NotImplemented:
        return run_native(primitive, tuple([np.asarray(x, order="C") for x in arrays]), params)
    if outputs is not None:
        if outputs[0] == REFUSED:
            primitive.forward(*arrays, **params)  # raises, with the reason
        raise_status(outputs, primitive.name)
    return None


def _prepare(
    variants: Any, primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]
) -> None:
    """Add the call for arrays of these layouts, or a note that there is none."""
    specs = [(s.shape, s.dtype) for s in as_tuple(primitive.infer(*arrays, **params))]
    inputs, outputs = [layout_of(x) for x in arrays], [in_order(*spec) for spec in specs]
    call = lower(primitive, params, inputs, outputs)
    spares = [shared_spares(*spec) for spec in specs] if call else ()
    ready = prepared(call, inputs, outputs)
    if call is None and not all(x.in_order() for x in inputs):
        copies = [in_order(x.shape, x.dtype) for x in arrays]
        ready.of_copies = lower(primitive, params, copies, outputs) is not None
    variants.add(ready, tuple([(s.arrays, s.make) for s in spares]))


_NO_CALL = NativeCall("", (), (), (), ())


def prepared(call: NativeCall | None, inputs: Sequence[Layout], outputs: Sequence[Layout]) -> Any:
    """The call as an object of the native engine, for arrays of these layouts."""
    kernel, ints, floats, seen, made = call or _NO_CALL
    ready = module().Prepared(kernel, ints, floats)
    for layout in inputs:
        ready.add_array(layout.shape, layout.strides, layout.dtype.char, False)
    for layout in outputs if call else ():
        ready.add_array(layout.shape, layout.strides, layout.dtype.char, True)
    for number, layout in seen:
        ready.add_operand(number, layout.shape, layout.strides, layout.dtype.char)
    for number, layout in made:
        ready.add_operand(len(inputs) + number, layout.shape, layout.strides, layout.dtype.char)
    return ready


def forget_calls() -> None:
    """Clear the prepared calls, after the kernels have changed."""
    _variants.clear()


def copy(source: Array, target: Array) -> None:
    """Copy an array into another of the same shape and dtype, with any strides."""
    inputs, outputs = [layout_of(source)], [layout_of(target)]
    prepared(kernel_call("copy", {}, inputs, outputs), inputs, outputs).run([source, target])
