"""Multi-head attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts, check_probability, check_tensors
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops import contract
from chainrule.ops.compare import where
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor

MINUS_INFINITY = -float("inf")


class MultiheadAttention(Module):
    """y = [head₁, …, head_h]·Wₒᵀ + bₒ, headᵢ = softmax(qᵢ·kᵢᵀ/√d)·vᵢ, d = embed_dim/num_heads.

    qᵢ, kᵢ, vᵢ are the i-th d columns of query·W_qᵀ + b_q and so on (Vaswani et al., 2017).
    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim). With `batch_first` N comes first;
    without a batch there is no N. Returns the output in the shape of the query, and the
    probabilities: (N, L, S), their mean over the heads; (N, heads, L, S) with
    `average_attn_weights=False`; or None with `need_weights=False`, which is fastest.

    Masks: `key_padding_mask` (N, S), and `attn_mask` (L, S) or (N·heads, L, S). As in PyTorch, True
    in a boolean mask hides a key, the opposite of `scaled_dot_product_attention`. Floating masks
    are added to the scores. `is_causal` is a hint that `attn_mask` is causal.

    in_proj_weight (3E, E), or q_proj_weight, k_proj_weight and v_proj_weight if kdim or vdim is not
    E, are initialized by Glorot & Bengio (2010), biases to 0. Raises ShapeError for sizes that do
    not fit, ArgumentError for options that are not supported (`add_bias_kv`, `add_zero_attn`).

    >>> import chainrule as cr
    >>> x = cr.zeros(2, 5, 8)
    >>> y, weights = MultiheadAttention(8, num_heads=4, batch_first=True)(x, x, x)
    >>> y.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        name = "MultiheadAttention"
        check_counts(name, embed_dim=embed_dim, num_heads=num_heads)
        if add_bias_kv or add_zero_attn:
            raise ArgumentError(
                f"add_bias_kv and add_zero_attn of {name} are not supported",
                given="True",
                expected="False",
            )
        if embed_dim % num_heads:
            raise ArgumentError(
                f"the heads of {name} must have equal sizes",
                given=f"embed_dim {embed_dim}, num_heads {num_heads}",
                expected="num_heads divides embed_dim",
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        check_counts(name, kdim=self.kdim, vdim=self.vdim)
        self.dropout = float(check_probability(name, dropout, "dropout"))
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype))
        else:
            self.q_proj_weight = Parameter(empty(embed_dim, embed_dim, dtype=dtype))
            self.k_proj_weight = Parameter(empty(embed_dim, self.kdim, dtype=dtype))
            self.v_proj_weight = Parameter(empty(embed_dim, self.vdim, dtype=dtype))
        self.in_proj_bias = Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize the weights anew, except that of `out_proj`, and set the biases to 0."""
        for parameter in self.parameters(recurse=False):
            if parameter.ndim == 2:
                init.xavier_uniform_(parameter)
            else:
                init.write(parameter, 0.0)
        if self.out_proj.bias is not None:
            init.write(self.out_proj.bias, 0.0)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        if is_causal and attn_mask is None:
            raise ArgumentError(
                "is_causal is a hint that needs attn_mask",
                instead="Pass the mask cr.ones(L, L).triu(1).bool() as attn_mask too.",
            )
        batched = self._check(query, key, value)
        inputs = [query, key, value]
        if not batched:
            inputs = [x.unsqueeze(0) for x in inputs]
        elif not self.batch_first:
            inputs = [x.transpose(0, 1) for x in inputs]
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        q, k, v = self._heads(inputs, query is key and key is value)
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        y, weights = self._attend(q, k, v, mask, need_weights)
        n, _, length, _ = y.shape
        y = self.out_proj(y.transpose(1, 2).reshape(n, length, self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The outputs of the heads (N, heads, L, d), and their probabilities or None."""
        p = self.dropout if self.training else 0.0
        if not need_weights:
            return functional.scaled_dot_product_attention(q, k, v, mask, p), None
        scores = contract.matmul(q * self.head_dim**-0.5, k.mT)
        weights = functional.safe_softmax(scores if mask is None else scores + mask)
        weights = functional.dropout(weights, p) if p else weights
        return contract.matmul(weights, v), weights

    def _heads(self, inputs: list[Tensor], same: bool) -> list[Tensor]:
        """Queries, keys and values of each head: (N, heads, length, d)."""
        e, bias = self.embed_dim, self.in_proj_bias
        if same and self.kdim == self.vdim == e:
            parts = functional.linear(inputs[0], self.in_proj_weight, bias).split(e, -1)
        else:
            joint = self.kdim == self.vdim == e
            weights = (
                self.in_proj_weight.split(e, 0)
                if joint
                else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            )
            biases = [None] * 3 if bias is None else bias.split(e, 0)
            parts = tuple(map(functional.linear, inputs, weights, biases))
        return [
            x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2) for x in parts
        ]

    def _mask(
        self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """The sum of both masks, to be added to the scores (N, heads, L, S); None without masks."""
        n, heads, length, keys = *q.shape[:3], k.shape[2]
        added = []
        if attn_mask is not None:
            check_tensors("MultiheadAttention", attn_mask=attn_mask)
            if attn_mask.shape not in ((length, keys), (n * heads, length, keys)):
                raise ShapeError(
                    "attn_mask has another shape",
                    given=attn_mask.shape,
                    expected=f"{(length, keys)} or {(n * heads, length, keys)}",
                )
            m = self._added(attn_mask, q.dtype)
            added.append(m if m.ndim == 2 else m.reshape(n, heads, length, keys))
        if padding is not None:
            check_tensors("MultiheadAttention", key_padding_mask=padding)
            if padding.shape != (n, keys):
                raise ShapeError(
                    "key_padding_mask has another shape", given=padding.shape, expected=(n, keys)
                )
            added.append(self._added(padding, q.dtype).reshape(n, 1, 1, keys))
        return None if not added else added[0] if len(added) == 1 else added[0] + added[1]

    @staticmethod
    def _added(mask: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """A mask as numbers to be added: −∞ where a boolean mask is True."""
        if mask.dtype.kind == "b":
            zero = Tensor(np.zeros((), dtype))
            hidden: Tensor = where(mask, Tensor(np.full((), MINUS_INFINITY, dtype)), zero)
            return hidden
        return mask

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Check the sizes, and return whether there is a batch. Raises ShapeError."""
        check_tensors("MultiheadAttention", query=query, key=key, value=value)
        wanted = (self.embed_dim, self.kdim, self.vdim)
        for name, x, n in zip(("query", "key", "value"), (query, key, value), wanted, strict=True):
            if x.ndim != query.ndim or x.ndim not in (2, 3) or x.shape[-1] != n:
                layout = "(N, L, {})" if self.batch_first else "(L, N, {})"
                raise ShapeError(
                    f"the {name} of MultiheadAttention has another shape",
                    given=x.shape,
                    expected=f"{layout.format(n)}, or (L, {n}) for one example",
                )
        if key.shape[:-1] != value.shape[:-1]:
            raise ShapeError("there must be a value for each key", given=(key.shape, value.shape))
        return query.ndim == 3

    def short_repr(self) -> str:
        return f"{self.embed_dim} × {self.num_heads} heads"
