"""`apply`: the one function through which every computation on tensors runs.

It implements what holds for every op: Python scalars are weak, mixed dtypes are promoted, the spec
rule runs before any arithmetic, and ops that need a gradient are recorded on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import aliases, engine, tape
from chainrule.errors import DTypeError
from chainrule.graph import as_tuple
from chainrule.interpreters import top
from chainrule.placed import Placed
from chainrule.primitive import (
    SCALARS,
    DType,
    Primitive,
    Spec,
    array_of,
    lookup,
    operations,
    registry,
)
from chainrule.settings import context, current
from chainrule.tensor import Tensor, wrap


def apply(op: Primitive | str, *inputs: Any, **params: Any) -> Any:
    """Run one op. No other function computes tensors from tensors.

    First runs the op's spec rule, which raises all errors about shapes and dtypes. Then the
    interpreter runs the op (plain evaluation, a capture, ...). If an input requires gradients, a
    node is added to the tape. For calls that it knows, the engine does all this in C++ (see
    engine/cpp/eager/gateway.h).

    >>> import chainrule as cr
    >>> apply("add", cr.tensor([1.0, 2.0]), 1)
    tensor([2., 3.])
    """
    primitive = lookup(op) if isinstance(op, str) else op
    tensors = _as_tensors(primitive.name, inputs)
    if primitive.promotes:
        tensors = _promoted(primitive.name, tensors, primitive.promote == "float")
    primitive.infer(*[x._data for x in tensors], **params)
    result = top().run(primitive, tensors, params)
    several = isinstance(result, tuple)
    outputs = tuple([wrap(data) for data in as_tuple(result)])
    if primitive.view is not None:
        aliases.show(outputs[0], tensors[0], primitive, params)
    if current().gradients and any([x._requires_grad for x in tensors]):
        tape.record(primitive, tensors, params, outputs)
    return outputs if several else outputs[0]


engine.connect(
    Tensor=Tensor,
    Node=tape.Node,
    Alias=aliases.Alias,
    Group=aliases.Group,
    Spec=Spec,
    Primitive=Primitive,
    settings=context,
    registry=registry,
    operations=operations,
    apply=apply,
    constant=array_of,
    tick=tape.tick,
    fitted=tape.fitted,
    run_hooks=tape.run_hooks,
    derive=tape.derive,
    as_saved=tape.as_saved,
    expect_each=tape.expect_each,
    Placed=Placed,
    package=tape.PACKAGE,
)
apply = engine.shortcut("apply", apply)
Primitive.gateway = staticmethod(apply)
Primitive.evaluator = staticmethod(engine.evaluator)
Primitive.__call__ = engine.shortcut("record", Primitive.__call__)  # type: ignore[method-assign]


def require(condition: Tensor, error: Exception) -> None:
    """Raise `error` unless a boolean scalar tensor is true.

    A compiled function checks the condition before it writes any state, so that a step that fails
    changes nothing.

    >>> import chainrule as cr
    >>> require(cr.tensor(2.0) > 1, ValueError("too small"))
    """
    top().require(condition, error)


def aligned(name: str, *inputs: Any) -> tuple[Tensor, ...]:
    """Convert tensors and Python scalars to tensors of one dtype, as the gateway does."""
    return _promoted(name, _as_tensors(name, inputs), to_float=False)


def _as_tensors(name: str, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Convert Python scalars to 0-d tensors with the dtype of the tensors among the inputs (weak
    scalars)."""
    if all([isinstance(x, Tensor) for x in inputs]):
        return inputs
    beside = None
    for x in inputs:
        if isinstance(x, Tensor) and x._data.dtype is not beside:
            beside = x._data.dtype if beside is None else common_dtype(name, beside, x.dtype)
    return tuple([x if isinstance(x, Tensor) else _scalar(name, x, beside) for x in inputs])


def _conversion(value: Any) -> str | None:
    """What to write for a value that is no tensor."""
    kind = type(value).__name__
    if isinstance(value, tuple) and any(isinstance(part, Tensor) for part in value):
        return (
            "The tuple holds several results, as recurrent layers give them: take the first, x[0]. "
            "In nn.Sequential, put a module between that does so."
        )
    if isinstance(value, list) and any(isinstance(part, Tensor) for part in value):
        return "Join the tensors with cr.stack(x) or cr.cat(x)."
    is_array = isinstance(value, (np.ndarray, list, tuple))
    return f"Convert the {kind} with cr.tensor(x)." if is_array else None


def _scalar(name: str, value: Any, beside: DType | None) -> Tensor:
    if not isinstance(value, SCALARS):
        kind = type(value).__name__
        raise DTypeError(
            f"`{name}` takes tensors and Python numbers",
            given=f"{kind}",
            instead=_conversion(value),
        )
    default = current().default_dtype
    is_float = isinstance(value, (float, np.floating))
    is_bool = isinstance(value, (bool, np.bool_))
    if beside is None or beside.kind == "b":
        dtype = default if is_float else np.dtype(np.bool_ if is_bool else np.int64)
    else:
        dtype = default if is_float and beside.kind != "f" else beside
    return wrap(array_of(value, dtype))


def common_dtype(name: str, *dtypes: DType) -> DType:
    """The common dtype of mixed inputs: the floating dtype among them, else the widest integer.

    Raises DTypeError for two different floating dtypes, which are never converted implicitly.
    """
    floats = {d for d in dtypes if d.kind == "f"}
    if len(floats) > 1:
        names = " and ".join(sorted(map(str, floats)))
        raise DTypeError(
            f"`{name}` does not mix {names}",
            expected="one floating dtype",
            instead="Convert one of them, e.g. x.to(cr.float32).",
        )
    return floats.pop() if floats else np.result_type(*dtypes)


def _promoted(name: str, inputs: Sequence[Tensor], to_float: bool) -> tuple[Tensor, ...]:
    """Cast the inputs to their common dtype, and with `to_float` integers to the default dtype."""
    dtypes = {x._data.dtype for x in inputs}
    dtype = dtypes.pop() if len(dtypes) == 1 else common_dtype(name, *dtypes)
    if to_float and dtype.kind != "f":
        dtype = current().default_dtype
    return tuple([x if x.dtype == dtype else x.astype(dtype) for x in inputs])
