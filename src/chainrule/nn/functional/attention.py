"""Attention: of one head, and of several with projections."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_probability, check_tensors
from chainrule.nn.functional.dropout import dropout
from chainrule.nn.functional.layers import linear
from chainrule.nn.functional.padding import pad
from chainrule.nn.functional.softmax import safe_softmax
from chainrule.ops import attention, compare, contract
from chainrule.ops.creation import zeros
from chainrule.ops.rules import broadcast_shapes
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor

_NEVER = -float("inf")

# -- one head ------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """y = softmax(s·q·kᵀ + mask)·v, s = `scale`, by default 1/√d (Vaswani et al., 2017).

    q (..., L, d), k (..., S, d), v (..., S, e) → (..., L, e). In a boolean mask, True means that
    the query attends to the key; a floating mask is added to the scores. With `is_causal`, query i
    attends to the keys 0 … i. A query that attends to no key gives 0. `dropout_p` is the dropout
    probability of the attention weights; it applies in evaluation, too. With `enable_gqa` the third
    last dimension counts heads, and a head of keys and values serves several heads of queries
    (Ainslie et al., 2023). Raises ShapeError for sizes that do not fit, DTypeError for a mask of
    another dtype, ArgumentError for a mask together with `is_causal`.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True)
    tensor([[1.    , 0.    ], [0.3302, 0.6698]])
    """
    check_tensors("scaled_dot_product_attention", query=query, key=key, value=value)
    if is_causal and attn_mask is not None:
        raise ArgumentError("give attn_mask or is_causal, not both")
    check_probability("scaled_dot_product_attention", dropout_p, "dropout_p")
    if enable_gqa:
        key, value = (_for_all_heads(x, query) for x in (key, value))
    mask = () if attn_mask is None else (attn_mask,)
    s = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    if dropout_p:
        return _dropped_attention(query, key, value, mask, dropout_p, is_causal, s)
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        front = broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
        query, key, value = (x.expand(*front, *x.shape[-2:]) for x in (query, key, value))
    y, _ = attention.attention(query, key, value, *mask, causal=bool(is_causal), scale=float(s))
    return y


def _for_all_heads(x: Tensor, query: Tensor) -> Tensor:
    """Keys or values with the heads repeated, so that there are as many as heads of queries."""
    heads = [t.shape[-3] if t.ndim >= 3 else 0 for t in (query, x)]
    if 0 in heads or heads[0] % heads[1]:
        raise ShapeError(
            "the heads of keys and values must divide those of queries",
            given=f"query {query.shape}, key or value {x.shape}",
            expected="(..., heads, length, d)",
        )
    repeated: Tensor = x.repeat_interleave(heads[0] // heads[1], dim=-3)
    return repeated


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


# -- several heads -------------------------------------------------------------------------------


class Projections(NamedTuple):
    """The weights of attention with several heads.

    inputs: (3E, E) for query, key and value, or three: (E, E), (E, kdim), (E, vdim). bias: (3E).
    key_bias, value_bias: (1, 1, E), one more key and value. keys, values: (N·heads, S, d), in place
    of projected ones.
    """

    inputs: tuple[Tensor, ...]
    bias: Tensor | None
    output: Tensor
    output_bias: Tensor | None
    key_bias: Tensor | None = None
    value_bias: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None


class Options(NamedTuple):
    """The options of attention with several heads, as those of `nn.MultiheadAttention`."""

    num_heads: int
    add_zero_attn: bool
    dropout_p: float
    need_weights: bool
    average_attn_weights: bool
    is_causal: bool
    batch_first: bool


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention with several heads, as `nn.MultiheadAttention` computes it: (L, N, E) → (L, N, E).

    `static_k` and `static_v` (N·heads, S, d) replace the projected keys and values.

    >>> import chainrule as cr
    >>> x, w = cr.zeros(5, 2, 8), cr.ones(8, 8)
    >>> y, p = multi_head_attention_forward(
    ...     x, x, x, 8, 2, cr.ones(24, 8), None, None, None, False, 0.0, w, None
    ... )
    >>> y.shape, p.shape
    ((5, 2, 8), (2, 5, 5))
    """
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = separate if use_separate_proj_weight else (in_proj_weight,)
    others = (in_proj_bias, out_proj_weight, out_proj_bias, bias_k, bias_v, static_k, static_v)
    w = Projections(tuple([w for w in weights if w is not None]), *others)
    p = dropout_p if training else 0.0
    options = Options(
        num_heads, add_zero_attn, p, need_weights, average_attn_weights, is_causal, False
    )
    _check_size(query, embed_dim_to_check)
    return several_heads(query, key, value, w, options, attn_mask, key_padding_mask)


def _check_size(query: Tensor, size: int) -> None:
    check_tensors("multi_head_attention_forward", query=query)
    if query.shape[-1] != size:
        raise ShapeError("the query has another size", given=query.shape, expected=f"(..., {size})")


def several_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    w: Projections,
    options: Options,
    attn_mask: Tensor | None,
    padding: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """The outputs, in the shape of the query, and the probabilities or None."""
    if options.is_causal and attn_mask is None:
        raise ArgumentError(
            "is_causal is a hint that needs attn_mask",
            instead="Pass the mask cr.ones(L, L).triu(1).bool() as attn_mask too.",
        )
    sizes = (w.inputs[0].shape[-1], w.inputs[1 % len(w.inputs)].shape[-1], w.inputs[-1].shape[-1])
    batched = _check_inputs(query, key, value, sizes, options.batch_first)
    inputs = [query, key, value]
    if not batched:
        inputs = [x.unsqueeze(0) for x in inputs]
        padding = None if padding is None else padding.unsqueeze(0)
    elif not options.batch_first:
        inputs = [x.transpose(0, 1) for x in inputs]
    q, k, v = _heads(inputs, w, options, query is key and key is value)
    mask = _joint_mask(attn_mask, padding, q, inputs[1].shape[1], k.shape[2])
    y, p = _attend(q, k, v, mask, options, is_causal=options.is_causal and padding is None)
    y = linear(y.transpose(1, 2).reshape(*inputs[0].shape[:2], -1), w.output, w.output_bias)
    if p is not None and options.average_attn_weights:
        p = p.mean(1)
    if not batched:
        return y.squeeze(0), None if p is None else p.squeeze(0)
    return y if options.batch_first else y.transpose(0, 1), p


def _heads(inputs: list[Tensor], w: Projections, options: Options, same: bool) -> list[Tensor]:
    """Queries, keys and values of each head: (N, heads, length, d)."""
    e, heads = w.output.shape[-1], options.num_heads
    if same and len(w.inputs) == 1:
        parts = list(linear(inputs[0], w.inputs[0], w.bias).split(e, -1))
    else:
        weights = w.inputs[0].split(e, 0) if len(w.inputs) == 1 else w.inputs
        biases = [None] * 3 if w.bias is None else w.bias.split(e, 0)
        parts = list(map(linear, inputs, weights, biases))
    for i, more in ((1, w.key_bias), (2, w.value_bias)):
        if more is not None:
            parts[i] = cat([parts[i], more.expand(parts[i].shape[0], 1, e)], 1)
    n = parts[0].shape[0]
    found = [x.reshape(n, -1, heads, e // heads).transpose(1, 2) for x in parts]
    for i, static in ((1, w.keys), (2, w.values)):
        if static is not None:
            found[i] = static.reshape(n, heads, *static.shape[1:])
    if options.add_zero_attn:
        nothing = zeros(n, heads, 1, e // heads, dtype=found[1].dtype)
        found[1:] = [cat([x, nothing], 2) for x in found[1:]]
    return found


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, options: Options, is_causal: bool
) -> tuple[Tensor, Tensor | None]:
    """The outputs of the heads (N, heads, L, d), and their probabilities or None."""
    p = options.dropout_p
    if not options.need_weights:
        mask = None if is_causal else mask
        return scaled_dot_product_attention(q, k, v, mask, p, is_causal), None
    scores = contract.matmul(q * q.shape[-1] ** -0.5, k.mT)
    weights = safe_softmax(scores if mask is None else scores + mask)
    weights = dropout(weights, p) if p else weights
    return contract.matmul(weights, v), weights


def _joint_mask(
    attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, given: int, keys: int
) -> Tensor | None:
    """The sum of both masks, to be added to the scores (N, heads, L, S); None without masks.

    The masks are for the `given` keys. Those that were added are visible.
    """
    n, heads, length, _ = q.shape
    added = []
    if attn_mask is not None:
        check_tensors("attention", attn_mask=attn_mask)
        shapes = ((length, given), (n * heads, length, given))
        if attn_mask.shape not in shapes:
            raise ShapeError(
                "attn_mask has another shape",
                given=attn_mask.shape,
                expected=f"{shapes[0]} or {shapes[1]}",
            )
        m = _as_added(attn_mask, q.dtype)
        added.append(m if m.ndim == 2 else m.reshape(n, heads, length, given))
    if padding is not None:
        check_tensors("attention", key_padding_mask=padding)
        if padding.shape != (n, given):
            raise ShapeError(
                "key_padding_mask has another shape", given=padding.shape, expected=(n, given)
            )
        added.append(_as_added(padding, q.dtype).reshape(n, 1, 1, given))
    if not added:
        return None
    mask = added[0] if len(added) == 1 else added[0] + added[1]
    return pad(mask, (0, keys - given)) if keys > given else mask


def _as_added(mask: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """A mask as numbers to be added: −∞ where a boolean mask is True."""
    if mask.dtype.kind != "b":
        return mask
    zero = Tensor(np.zeros((), dtype))
    hidden: Tensor = compare.where(mask, Tensor(np.full((), _NEVER, dtype)), zero)
    return hidden


def _check_inputs(
    query: Tensor, key: Tensor, value: Tensor, sizes: tuple[int, ...], batch_first: bool
) -> bool:
    """Check the shapes, and return whether there is a batch. Raises ShapeError."""
    check_tensors("attention", query=query, key=key, value=value)
    for name, x, n in zip(("query", "key", "value"), (query, key, value), sizes, strict=True):
        if x.ndim != query.ndim or x.ndim not in (2, 3) or x.shape[-1] != n:
            layout = "(N, L, {})" if batch_first else "(L, N, {})"
            raise ShapeError(
                f"the {name} of attention has another shape",
                given=x.shape,
                expected=f"{layout.format(n)}, or (L, {n}) for one example",
            )
    if key.shape[:-1] != value.shape[:-1]:
        raise ShapeError("there must be a value for each key", given=(key.shape, value.shape))
    return query.ndim == 3
