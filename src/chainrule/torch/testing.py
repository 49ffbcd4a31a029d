"""`torch.testing`: assertions on tensors, with PyTorch's tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.tensor import Tensor
from chainrule.torch.adapter import names

_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: Any = None,
    **places: Any,
) -> None:
    """Raise AssertionError unless |actual − expected| ≤ atol + rtol·|expected| everywhere.

    Shapes must be equal, and dtypes too with `check_dtype`. The tolerances depend on the dtype
    unless both are given. Sequences and mappings are compared item by item.
    """
    options = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_dtype": check_dtype,
        "msg": msg,
    }
    if isinstance(expected, dict):
        _require(actual.keys() == expected.keys(), msg or "the keys differ")
        for key in expected:
            assert_close(actual[key], expected[key], **options)
        return
    if isinstance(expected, (list, tuple)):
        _require(len(actual) == len(expected), msg or "the lengths differ")
        for a, b in zip(actual, expected, strict=True):
            assert_close(a, b, **options)
        return
    a, b = _numbers(actual), _numbers(expected)
    _require(a.shape == b.shape, msg or f"shapes {a.shape} and {b.shape} differ")
    tensors = isinstance(actual, Tensor) and isinstance(expected, Tensor)
    if check_dtype and tensors:
        _require(a.dtype == b.dtype, msg or f"dtypes {a.dtype} and {b.dtype} differ")
    limits = _TOLERANCES.get(str(a.dtype), (0.0, 0.0))
    if rtol is not None and atol is not None:
        limits = rtol, atol
    np.testing.assert_allclose(a, b, *limits, equal_nan=equal_nan, err_msg=str(msg or ""))


def assert_allclose(actual: Any, expected: Any, rtol: Any = None, atol: Any = None) -> None:
    """As `assert_close`, for any dtypes."""
    assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False, equal_nan=True)


def _require(condition: bool, message: Any) -> None:
    if not condition:
        raise AssertionError(message)


def _numbers(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


__getattr__, __dir__ = names.facade(__name__)
