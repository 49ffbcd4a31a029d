"""The computations of layers: linear, bilinear and attention."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_probability, check_tensors
from chainrule.nn.functional.dropout import dropout
from chainrule.nn.functional.softmax import safe_softmax
from chainrule.ops import attention, compare, contract
from chainrule.ops.rules import broadcast_shapes
from chainrule.tensor import Tensor

# -- linear --------------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x·Wᵀ + b: (..., in), (out, in), (out) → (..., out).

    Raises ShapeError for sizes that do not fit, DTypeError for different dtypes.

    >>> import chainrule as cr
    >>> linear(cr.ones(2, 3), cr.ones(4, 3), cr.zeros(4)).shape
    (2, 4)
    """
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


# -- attention -----------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """y = softmax(s·q·kᵀ + mask)·v, s = `scale`, by default 1/√d (Vaswani et al., 2017).

    q (..., L, d), k (..., S, d), v (..., S, e) → (..., L, e). In a boolean mask, True means that
    the query attends to the key; a floating mask is added to the scores. With `is_causal`, query i
    attends to the keys 0 … i. A query that attends to no key gives 0. `dropout_p` is the dropout
    probability of the attention weights; it applies in evaluation, too. Raises ShapeError for sizes
    that do not fit, DTypeError for a mask of another dtype, ArgumentError for a mask together with
    `is_causal`.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True)
    tensor([[1.    , 0.    ], [0.3302, 0.6698]])
    """
    check_tensors("scaled_dot_product_attention", query=query, key=key, value=value)
    if is_causal and attn_mask is not None:
        raise ArgumentError("give attn_mask or is_causal, not both")
    check_probability("scaled_dot_product_attention", dropout_p, "dropout_p")
    mask = () if attn_mask is None else (attn_mask,)
    s = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    if dropout_p:
        return _dropped_attention(query, key, value, mask, dropout_p, is_causal, s)
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        front = broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
        query, key, value = (x.expand(*front, *x.shape[-2:]) for x in (query, key, value))
    y, _ = attention.attention(query, key, value, *mask, causal=bool(is_causal), scale=float(s))
    return y


def _dropped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: tuple[Tensor, ...],
    p: float,
    causal: bool,
    scale: float,
) -> Tensor:
    """Attention as separate ops, with dropout of the probabilities."""
    scores = contract.matmul(query * scale, key.mT)
    if causal:
        mask = (Tensor(np.tri(query.shape[-2], key.shape[-2], dtype=np.bool_)),)
    for m in mask:
        boolean = m.dtype.kind == "b"
        scores = compare.where(m, scores, -float("inf")) if boolean else scores + m
    return contract.matmul(dropout(safe_softmax(scores), p), value)
