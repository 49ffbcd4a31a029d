"""Running one primitive: by its native kernel if there is one, else by its NumPy reference.

Which of them it is depends on the parameters, and on the dtypes and layouts of the arrays. It is
found at the first call with these, and noted in the native engine; see cpp/eager/calls.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.engine.layout import KNOWN, Layout, NativeCall, in_order, layout_of
from chainrule.engine.lowering import kernel_call, lower
from chainrule.engine.lowering.table import MAX_DIMS
from chainrule.engine.native import available, module
from chainrule.engine.program import OUT_OF_RANGE, REFUSED, raise_status
from chainrule.graph import as_tuple
from chainrule.primitive import Array, Primitive, Spec


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
    if not available():
        return primitive.reference

    evaluate_call = module().evaluate_call

    def evaluate(*arrays: Array, **params: Any) -> Any:
        outcome = evaluate_call(primitive, arrays, params)
        if outcome.__class__ is np.ndarray or outcome.__class__ is tuple:
            return outcome
        outcome = _outcome(primitive, arrays, params)
        if outcome.__class__ is list and outcome[0] == OUT_OF_RANGE:
            return primitive.reference(*arrays, **params)  # raises an error with more information
        return _value(primitive, arrays, params, outcome)

    return evaluate


def _outcome(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """What the native engine returns for a call: its value, or a list that reports an error."""
    outcome = module().evaluate_call(primitive, arrays, params)
    if outcome is NotImplemented and _note(primitive, arrays, params):
        outcome = module().evaluate_call(primitive, arrays, params)
    if outcome is NotImplemented:  # parameters of a kind that the engine does not compare
        return primitive.reference(*arrays, **params)
    if outcome is None:
        return _outcome(primitive, tuple([np.array(x, order="C") for x in arrays]), params)
    return outcome


def _value(
    primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any], outcome: Any
) -> Any:
    """The outcome of a call, unless it reports an error: then that is raised."""
    if outcome.__class__ is not list:
        return outcome
    if outcome[0] == REFUSED:
        primitive.reference(*arrays, **params)  # raises, with the reason
    raise_status(outcome, primitive.name)


def run_native(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> Any:
    """The value computed by the native kernel, or None when there is none for these operands."""
    derived = primitive.infer(*arrays, **params)
    outputs = [in_order(s.shape, s.dtype) for s in as_tuple(derived)]
    call, for_copies = _kernel(primitive, arrays, params, outputs)
    if call is None and not for_copies:
        return None
    return _value(primitive, arrays, params, _outcome(primitive, arrays, params))


def _note(primitive: Primitive, arrays: tuple[Array, ...], params: dict[str, Any]) -> bool:
    """Note what calls with these parameters and layouts do. False if they cannot be told apart."""
    derived = primitive.infer(*arrays, **params)
    specs = tuple([Spec(s.shape, s.dtype) for s in as_tuple(derived)])
    outputs = [in_order(spec.shape, spec.dtype) for spec in specs]
    call, for_copies = _kernel(primitive, arrays, params, outputs)
    shown, followed = None, False
    if (view := primitive.view) is not None:
        shown = primitive.forward(*arrays, **params)
        followed = not view.keeps_order or layout_of(arrays[0]).reshaped(shown.shape) is not None
        if not followed:
            shown, call = None, _copied(arrays[0])
    noted: bool = module().add_call(
        primitive,
        arrays,
        params,
        [Spec(x.shape, x.dtype) for x in arrays],
        specs,
        isinstance(derived, tuple),
        call and prepared(call, [layout_of(x) for x in arrays], outputs),
        for_copies,
        shown,
        followed,
    )
    return noted


def _kernel(
    primitive: Primitive,
    arrays: tuple[Array, ...],
    params: dict[str, Any],
    outputs: Sequence[Layout],
) -> tuple[NativeCall | None, bool]:
    """The kernel call for arrays of these layouts; and if there is none, whether there is one for
    copies of them in C order."""
    aligned = all([x.flags.aligned for x in arrays])
    layouts = [layout_of(x) for x in arrays]
    call = lower(primitive, params, layouts, outputs) if aligned else None
    if call is not None or (aligned and all([x.in_order() for x in layouts])):
        return call, False
    copies = [in_order(x.shape, x.dtype) for x in layouts]
    return None, lower(primitive, params, copies, outputs) is not None


def _copied(x: Array) -> NativeCall | None:
    """The call that copies an array into C order: what a view gives that its strides forbid."""
    source = layout_of(x)
    fits = x.flags.aligned and source.dtype.str in KNOWN and len(source.shape) <= MAX_DIMS
    return kernel_call("copy", {}, [source], [in_order(*source[:2])]) if fits else None


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
    """Clear what is noted about calls, after the kernels have changed."""
    if available():
        module().forget_calls()


def copy(source: Array, target: Array) -> None:
    """Copy an array into another of the same shape and dtype, with any strides."""
    inputs, outputs = [layout_of(source)], [layout_of(target)]
    prepared(kernel_call("copy", {}, inputs, outputs), inputs, outputs).run([source, target])
