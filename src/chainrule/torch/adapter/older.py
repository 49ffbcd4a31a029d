"""Functions of `torch` that newer ones have replaced, or that only its own code calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import linalg
from chainrule.nn.functional import pad as padded
from chainrule.ops.compare import where
from chainrule.ops.creation import as_tensor, zeros_like
from chainrule.ops.matrices import QR
from chainrule.ops.norms import norm
from chainrule.ops.systems import LU, lu_factor_ex
from chainrule.tensor import Tensor
from chainrule.torch.adapter.dtypes import dtype, torch_dtype
from chainrule.torch.adapter.facts import promote_types
from chainrule.torch.adapter.printing import return_type


class SVD(NamedTuple):
    """Factors U·diag(S)·Vᵀ."""

    U: Tensor
    S: Tensor
    V: Tensor


class Triangular(NamedTuple):
    """The solution of a triangular system, and its matrix."""

    solution: Tensor
    cloned_coefficient: Tensor


svd_type = return_type(SVD, "svd")
triangular_type = return_type(Triangular, "triangular_solve")

# -- matrices --------------------------------------------------------------------------------------


def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V); `torch.linalg.svd` gives Vᵀ. Without `compute_uv`, U and V are zeros."""
    if compute_uv:
        u, s, vh = linalg.svd(input, full_matrices=not some)
        return svd_type(u, s, vh.mT)
    m, n = input.shape[-2:]
    zeros = [Tensor(np.zeros((*input.shape[:-2], k, k), input.dtype)) for k in (m, n)]
    return svd_type(zeros[0], linalg.svdvals(input), zeros[1])


def qr(input: Tensor, some: bool = True) -> QR:
    """`torch.linalg.qr`, reduced."""
    return linalg.qr(input, "reduced" if some else "complete")


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """`torch.linalg.cholesky`."""
    return linalg.cholesky(input, upper=upper)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """`torch.linalg.lu_factor`, or `lu_factor_ex` with `get_infos`."""
    factors = lu_factor_ex(A, pivot=pivot)
    return factors if get_infos else LU(*factors[:2])


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """`torch.linalg.lu_solve`, the right side first."""
    return linalg.lu_solve(LU_data, LU_pivots, b)


def triangular_solve(
    b: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """(`torch.linalg.solve_triangular`, A), of Aᵀ with `transpose`."""
    matrix, is_upper = (A.mT, not upper) if transpose else (A, upper)
    x = linalg.solve_triangular(matrix, b, upper=is_upper, unitriangular=unitriangular)
    return triangular_type(x, A.clone())


def adjoint(input: Tensor) -> Tensor:
    """The matrices transposed: their numbers are real."""
    return input.mT


# -- norms -----------------------------------------------------------------------------------------


def frobenius_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """√Σ x² over the dimensions."""
    return norm(input, 2, dim, keepdim)


def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    return linalg.matrix_norm(input, "nuc", dim, keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but one, which stay with size 1."""
    if dim == -1:
        return norm(v, pow)
    return norm(v, pow, tuple(d for d in range(v.ndim) if d != dim % v.ndim), True)


# -- others ----------------------------------------------------------------------------------------


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """`torch.nn.functional.pad` with a number."""
    return padded(input, pad, "constant", value)


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the shape and dtype of the input, filled with a number."""
    return input.clone().fill_(value)


def angle(input: Tensor) -> Tensor:
    """The angle of real numbers in the complex plane: π below 0, else 0; NaN stays."""
    x = input * 1.0
    return where(x != x, x, where(x < 0, np.pi, zeros_like(x)))


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of the sum of two tensors or numbers."""
    if isinstance(tensor1, Tensor) and isinstance(tensor2, Tensor):
        return promote_types(tensor1._data.dtype, tensor2._data.dtype)
    first, second = (v.detach() if isinstance(v, Tensor) else v for v in (tensor1, tensor2))
    return torch_dtype(as_tensor(first + second)._data.dtype)


def is_inference(input: Tensor) -> bool:
    """Return False: a tensor can always be used where gradients are recorded."""
    return False


# -- control flow ----------------------------------------------------------------------------------


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: Sequence[Any] = (),
) -> Any:
    """`true_fn(*operands)` where `pred` holds, else `false_fn(*operands)`."""
    return (true_fn if pred else false_fn)(*operands)


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Sequence[Any]
) -> Any:
    """Replace the values by `body_fn(*values)` as long as `cond_fn(*values)` holds."""
    values = tuple(carried_inputs)
    while cond_fn(*values):
        values = tuple(body_fn(*values))
    return values


__all__ = [
    "adjoint",
    "angle",
    "cholesky",
    "cond",
    "constant_pad_nd",
    "fill",
    "frobenius_norm",
    "is_inference",
    "lu",
    "lu_solve",
    "norm_except_dim",
    "nuclear_norm",
    "qr",
    "result_type",
    "svd",
    "triangular_solve",
    "while_loop",
]
