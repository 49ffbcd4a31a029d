"""`apply`: the one function through which every computation on tensors runs.

It implements what holds for every op: Python scalars are weak, mixed dtypes are promoted, the spec
rule runs before any arithmetic, and ops that need a gradient are recorded on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule import aliases, engine, tape
from chainrule.errors import DTypeError
from chainrule.interpreters import top
from chainrule.primitive import SCALARS, Array, DType, Primitive, array_of, lookup, registry
from chainrule.settings import current
from chainrule.tensor import Tensor, wrap


def apply(op: Primitive | str, *inputs: Any, **params: Any) -> Any:
    """Run one op. No other function computes tensors from tensors.

    First runs the op's spec rule, which raises all errors about shapes and dtypes. Then the
    interpreter runs the op (plain evaluation, a capture, ...). If an input requires gradients, a
    node is added to the tape.

    >>> import chainrule as cr
    >>> apply("add", cr.tensor([1.0, 2.0]), 1)
    tensor([2., 3.])
    """
    primitive = op if op.__class__ is Primitive else registry.get(op) or lookup(op)  # type: ignore[arg-type]
    for x in inputs:
        if not isinstance(x, Tensor):
            inputs = _as_tensors(primitive.name, inputs)
            break
    settings = current()
    interpreter = settings.interpreter
    data = [x._data for x in inputs]
    if primitive.promotes:
        dtype = data[0].dtype
        for d in data:
            if d.dtype is not dtype or (d.dtype.kind != "f" and primitive.promote == "float"):
                inputs = tuple(_promoted(primitive.name, inputs, primitive.promote == "float"))
                data = [x._data for x in inputs]
                break
    primitive.infer(*data, **params)
    if interpreter is None:
        result = primitive.by_engine[settings.engine](*data, **params)
    else:
        result = interpreter.run(primitive, inputs, params)
    several = result.__class__ is tuple
    outputs = tuple([wrap(r) for r in result]) if several else (wrap(result),)
    if primitive.view is not None:
        aliases.show(outputs[0], inputs[0], primitive, params)
    if settings.gradients:
        for x in inputs:
            if x._requires_grad:
                tape.record(primitive, inputs, params, outputs)
                break
    return outputs if several else outputs[0]


Primitive.gateway = staticmethod(apply)
Primitive.evaluator = staticmethod(engine.evaluator)


def require(condition: Tensor, error: Exception) -> None:
    """Raise `error` unless a boolean scalar tensor is true.

    A compiled function checks the condition before it writes any state, so that a step that fails
    changes nothing.

    >>> import chainrule as cr
    >>> require(cr.tensor(2.0) > 1, ValueError("too small"))
    """
    top().require(condition, error)


def aligned(name: str, *inputs: Any) -> list[Tensor]:
    """Convert tensors and Python scalars to tensors of one dtype, as the gateway does."""
    return _promoted(name, _as_tensors(name, inputs), to_float=False)


def _as_tensors(name: str, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """Convert Python scalars to 0-d tensors with the dtype of the tensors among the inputs (weak
    scalars)."""
    beside = None
    for x in inputs:
        if isinstance(x, Tensor) and x._data.dtype is not beside:
            beside = x._data.dtype if beside is None else common_dtype(name, beside, x.dtype)
    return tuple([x if isinstance(x, Tensor) else _scalar(name, x, beside) for x in inputs])


_CACHED: dict[type, str] = {float: "f", int: "fiu"}
"""The Python numbers whose arrays are cached, and the kinds of dtype of those arrays."""


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
    kinds = _CACHED.get(value.__class__, "")
    if beside is not None and beside.kind in kinds and (value or kinds != "f"):
        return wrap(_constant(value, beside))
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


@lru_cache(maxsize=1024)
def _constant(value: float, dtype: DType) -> Array:
    """The cached array of a number. 0.0 is not cached: as a key it would equal −0.0."""
    return array_of(value, dtype)


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


def _promoted(name: str, inputs: Sequence[Tensor], to_float: bool) -> list[Tensor]:
    """Cast the inputs to their common dtype, and with `to_float` integers to the default dtype."""
    dtype = common_dtype(name, *[x.dtype for x in inputs])
    if to_float and dtype.kind != "f":
        dtype = current().default_dtype
    return [x if x.dtype == dtype else x.astype(dtype) for x in inputs]
