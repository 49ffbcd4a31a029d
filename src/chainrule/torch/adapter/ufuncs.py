"""NumPy's elementwise functions on tensors: `np.exp(x)` is a tensor, as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.ops.creation import tensor
from chainrule.tensor import Tensor

_REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "bitwise_and": "__rand__",
    "bitwise_or": "__ror__",
    "bitwise_xor": "__rxor__",
    "equal": "__eq__",
    "not_equal": "__ne__",
    "less": "__gt__",
    "less_equal": "__ge__",
    "greater": "__lt__",
    "greater_equal": "__le__",
}
"""NumPy's function of an operator → the method of the tensor on its right."""


def apply(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Apply NumPy's function and return a tensor. `array + x` calls the operator of the tensor."""
    if method == "__call__" and not isinstance(inputs[0], Tensor) and not options:
        reflected = getattr(self, _REFLECTED.get(ufunc.__name__, ""), None)
        if reflected is not None:
            left = inputs[0]  # NumPy converts its scalars to arrays before it compares
            return reflected(left[()] if isinstance(left, np.ndarray) and not left.ndim else left)
    arrays = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
    result = getattr(ufunc, method)(*arrays, **options)
    if "out" in options or result is None:
        return result
    parts = result if isinstance(result, tuple) else (result,)
    made = tuple(tensor(np.asarray(part)) for part in parts)
    return made if isinstance(result, tuple) else made[0]
