"""The computations of layers: linear and bilinear."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.nn.functional.checks import check_tensors
from chainrule.ops import contract
from chainrule.tensor import Tensor

# -- linear --------------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x·Wᵀ + b: (..., in), (out, in), (out) → (..., out).

    A weight (in) gives one number for each row: (...). Raises ShapeError for sizes that do not fit,
    DTypeError for different dtypes.

    >>> import chainrule as cr
    >>> linear(cr.ones(2, 3), cr.ones(4, 3), cr.zeros(4)).shape
    (2, 4)
    """
    if isinstance(weight, Tensor) and weight.ndim == 1:
        y: Tensor = contract.matmul(input, weight)
        return y if bias is None else y + bias
    return contract.linear(input, weight) if bias is None else contract.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[o] = x₁ᵀ·W[o]·x₂ + b[o]: (..., in₁), (..., in₂), (out, in₁, in₂), (out) → (..., out).

    Raises ShapeError for sizes that do not fit, DTypeError for different dtypes.

    >>> import chainrule as cr
    >>> bilinear(cr.tensor([1.0, 2.0]), cr.tensor([3.0]), cr.ones(1, 2, 1))
    tensor([9.])
    """
    check_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    a, b, w = input1.shape, input2.shape, weight.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or (a[-1], b[-1]) != w[1:]:
        raise ShapeError(
            "the inputs of bilinear do not fit its weight",
            given=f"{a} and {b}, weight {w}",
            expected="(..., in1) and (..., in2) for a weight (out, in1, in2)",
        )
    out, in1, in2 = w
    rows = contract.matmul(input1, weight.movedim(0, 1).reshape(in1, out * in2))
    y = contract.matmul(rows.reshape(*a[:-1], out, in2), input2.unsqueeze(-1)).squeeze(-1)
    return y if bias is None else y + bias
