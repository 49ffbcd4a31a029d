"""Products of matrices."""

from __future__ import annotations

from chainrule.formats.onnx.operators.table import operator
from chainrule.linalg import det
from chainrule.nn.functional.layers import linear
from chainrule.ops.contract import einsum
from chainrule.tensor import Tensor


@operator("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a·b. Products of integers are added up as integers, so that they are exact."""
    if a.dtype.kind == "f":
        return a @ b
    rows, columns = a if a.ndim > 1 else a.unsqueeze(0), b if b.ndim > 1 else b.unsqueeze(1)
    y = (rows.unsqueeze(-1) * columns.unsqueeze(-3)).sum(-2, dtype=a.dtype)
    y = y if a.ndim > 1 else y.squeeze(-2)
    return y if b.ndim > 1 else y.squeeze(-1)


@operator("Gemm")
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float,
    beta: float,
    transA: int,
    transB: int,
) -> Tensor:
    """α·A·B + β·C. With the usual options of a linear layer, that layer."""
    a = a.t() if transA else a
    plain = alpha == 1 and (c is None or (beta == 1 and c.ndim == 1))
    if plain and transB and a.dtype.kind == "f" and (c is None or c.shape == b.shape[:1]):
        return linear(a, b, c)
    y = matmul(a, b.t() if transB else b)
    y = y if alpha == 1 else (y * alpha).astype(y.dtype)
    if c is None:
        return y
    return y + (c if beta == 1 else (c * beta).astype(c.dtype))


@operator("Einsum")
def einsum_(*xs: Tensor, equation: str) -> Tensor:
    return einsum(equation.replace(" ", ""), *xs)


@operator("Det")
def determinant(x: Tensor) -> Tensor:
    return det(x)
