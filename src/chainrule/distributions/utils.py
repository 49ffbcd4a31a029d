"""What distributions share: parameters as tensors, and probabilities as logits and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.ops.creation import tensor
from chainrule.ops.elementwise import log, log1p
from chainrule.ops.fused import log_softmax, softmax
from chainrule.ops.rearrange import broadcast_tensors
from chainrule.ops.special import sigmoid
from chainrule.settings import current
from chainrule.tensor import Tensor


def as_tensors(values: Sequence[Any]) -> list[Tensor]:
    """Numbers and tensors of integers in the dtype of the floating tensors, or in the default
    one."""
    given = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype.kind == "f"]
    dtype = given[0] if given else current().default_dtype
    return [
        tensor(v, dtype) if not isinstance(v, Tensor) else v if v.dtype.kind == "f" else v.to(dtype)
        for v in values
    ]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape.

    >>> import chainrule as cr
    >>> broadcast_all(1.0, cr.tensor([2.0, 3.0]))
    (tensor([1., 1.]), tensor([2., 3.]))
    """
    return tuple(broadcast_tensors(*as_tensors(values)))


def limits_of(x: Tensor) -> tuple[float, float]:
    """(eps, tiny) of the dtype: the distance from 1 to the next number, the least normal one."""
    limits = np.finfo(x.dtype)
    return float(limits.eps), float(limits.tiny)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities inside (0, 1), so that their logits are finite."""
    eps, _ = limits_of(probs)
    return probs.clamp(eps, 1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """ln(p/(1 − p)) of probabilities of one of two events; ln p of those of several."""
    p = clamp_probs(probs)
    return log(p) - log1p(-p) if is_binary else log(p)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The inverse of `probs_to_logits`."""
    return sigmoid(logits) if is_binary else softmax(logits, -1)


def normalized_logits(logits: Tensor) -> Tensor:
    """Logits of several events whose probabilities add up to 1."""
    return log_softmax(logits, -1)


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """Σ over the last `dim` dimensions."""
    return value.sum(tuple(range(-dim, 0))) if dim else value
