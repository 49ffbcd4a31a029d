"""The layers of transformers: attention and a feed-forward block, each with a norm and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import functional
from chainrule.nn.attention import MultiheadAttention
from chainrule.nn.dropout import Dropout
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.norm import LayerNorm
from chainrule.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Any] = {"relu": functional.relu, "gelu": functional.gelu}
"""The activations that can be given by name."""


class _Layer(Module):
    """Base class of encoder and decoder layers: their parts. Each attention and the feed-forward
    block has a norm and a dropout of its own."""

    attentions: tuple[str, ...] = ("self_attn",)
    linear1: Linear
    linear2: Linear

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        blocks = range(1, len(self.attentions) + 2)
        for i in blocks:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in blocks:
            setattr(self, f"dropout{i}", Dropout(dropout))
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ArgumentError(
                "unknown activation",
                given=repr(activation),
                expected="'relu', 'gelu' or a function",
            )
        self.activation = ACTIVATIONS.get(activation, activation)  # type: ignore[arg-type]

    def _feed_forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return y


class TransformerEncoderLayer(_Layer):
    """x ← norm₁(x + attention(x)), then norm₂(x + W₂·φ(W₁·x)): (L, N, E) → (L, N, E).

    E is `d_model`, φ the `activation` ("relu", "gelu" or a function), and W₁ has `dim_feedforward`
    rows. With `norm_first` x ← x + attention(norm₁(x)), and so on (Xiong et al., 2020). Dropout
    applies to the attention, to φ and to both terms that are added. With `batch_first` (N, L, E);
    without a batch (L, E). The masks are those of MultiheadAttention (Vaswani et al., 2017). Raises
    ArgumentError for another activation.

    >>> import chainrule as cr
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(cr.zeros(3, 5, 8)).shape
    (3, 5, 8)
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        masks = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            x = src + self._sa_block(self.norm1(src), *masks)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(src + self._sa_block(src, *masks))
        y: Tensor = self.norm2(x + self._ff_block(x))
        return y

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, padding: Tensor | None, is_causal: bool
    ) -> Tensor:
        y: Tensor = self.dropout1(_attended(self.self_attn, x, x, attn_mask, padding, is_causal))
        return y

    def _ff_block(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout2(self._feed_forward(x))
        return y


class TransformerDecoderLayer(_Layer):
    """An encoder layer with a second attention, from its output to a `memory` (S, N, E).

    Arguments and shapes are those of TransformerEncoderLayer. A call takes masks of both
    attentions: (L, L) and (L, S), and for padding (N, L) and (N, S).

    >>> import chainrule as cr
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(cr.zeros(3, 4, 8), memory=cr.zeros(3, 5, 8)).shape
    (3, 4, 8)
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = tgt + self._sa_block(self.norm1(tgt), *own)
            x = x + self._mha_block(self.norm2(x), memory, *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(tgt + self._sa_block(tgt, *own))
        x = self.norm2(x + self._mha_block(x, memory, *other))
        y: Tensor = self.norm3(x + self._ff_block(x))
        return y

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, padding: Tensor | None, is_causal: bool
    ) -> Tensor:
        y: Tensor = self.dropout1(_attended(self.self_attn, x, x, attn_mask, padding, is_causal))
        return y

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        padding: Tensor | None,
        is_causal: bool,
    ) -> Tensor:
        found = _attended(self.multihead_attn, x, mem, attn_mask, padding, is_causal)
        y: Tensor = self.dropout2(found)
        return y

    def _ff_block(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout3(self._feed_forward(x))
        return y


def _attended(
    attention: Module,
    x: Tensor,
    memory: Tensor,
    mask: Tensor | None,
    padding: Tensor | None,
    is_causal: bool,
) -> Tensor:
    y: Tensor
    y, _ = attention(
        x,
        memory,
        memory,
        attn_mask=mask,
        key_padding_mask=padding,
        need_weights=False,
        is_causal=is_causal,
    )
    return y
