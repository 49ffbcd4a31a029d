"""GPT: a transformer that predicts the next token of a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ArgumentError, ShapeError
from chainrule.grad_mode import no_grad
from chainrule.models.sampling import sample_next
from chainrule.ops.creation import arange
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor

Memory = tuple[Tensor, Tensor]
"""The keys and the values of the tokens that were read, each (N, heads, T, d)."""


class Attention(nn.Module):
    """Causal self-attention: each token looks at itself and the tokens before it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.heads, self.p = heads, dropout
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        n, length, width = x.shape
        q, k, v = (
            part.view(n, length, self.heads, -1).transpose(1, 2)
            for part in self.c_attn(x).split(width, 2)
        )
        if memory is not None:
            k, v = cat([memory[0], k], 2), cat([memory[1], v], 2)
        p = self.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=memory is None)
        y = y.transpose(1, 2).reshape(n, length, width)
        return self.dropout(self.c_proj(y)), (k, v)


class MLP(nn.Module):
    """Two linear layers with GELU between them, four times as wide inside."""

    def __init__(self, width: int, dropout: float) -> None:
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(F.gelu(self.c_fc(x), approximate="tanh")))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, dropout)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, dropout)

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        y, memory = self.attn(self.ln_1(x), memory)
        x = x + y
        return x + self.mlp(self.ln_2(x)), memory


class GPT(nn.Module):
    """Embeddings of tokens and positions, `layers` blocks, and scores of the next token.

    Shapes: tokens (N, T), T at most `block_size`, → scores (N, T, vocab_size). The scores are
    products with the token embeddings, whose weights are thus shared. Weights start from
    N(0, 0.02²), those that write into the sum of a block from N(0, 0.02²/(2·layers)).
    Radford et al., "Language models are unsupervised multitask learners" (2019); names in the
    state dict are those of its published weights, which `load_gpt2` reads.

    >>> import chainrule as cr
    >>> model = GPT(65, 32, layers=2, heads=2, width=16)
    >>> model(cr.zeros(3, 32, dtype=cr.int64)).shape
    (3, 32, 65)
    >>> model.generate(cr.zeros(1, 1, dtype=cr.int64), 4).shape
    (1, 5)
    """

    def __init__(
        self,
        vocab_size: int,
        block_size: int,
        *,
        layers: int = 4,
        heads: int = 4,
        width: int = 128,
        dropout: float = 0.0,
    ) -> None:
        if width % heads:
            raise ArgumentError(
                "the heads of a GPT have equal sizes",
                given=f"width {width}, heads {heads}",
                expected="heads divides width",
            )
        self.block_size = block_size
        self.wte = nn.Embedding(vocab_size, width)
        self.wpe = nn.Embedding(block_size, width)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        for path, parameter in self.named_parameters():
            if parameter.ndim == 2:
                shrink = math.sqrt(2 * layers) if path.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, 0.0, 0.02 / shrink)
            elif path.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        return self._read(tokens, [None] * len(self.h))[0]

    def _read(
        self, tokens: Tensor, memories: list[Memory] | list[None]
    ) -> tuple[Tensor, list[Memory]]:
        """The scores of the tokens, which follow those in memory, and the new memories."""
        start = 0 if memories[0] is None else memories[0][0].shape[2]
        end = start + tokens.shape[1]
        if end > self.block_size:
            raise ShapeError(
                "the text is longer than this GPT reads",
                given=f"{end} tokens",
                expected=f"at most block_size = {self.block_size}",
            )
        x = self.drop(self.wte(tokens) + self.wpe(arange(start, end)))
        kept = []
        for block, memory in zip(self.h, memories, strict=True):
            x, memory = block(x, memory)
            kept.append(memory)
        return F.linear(self.ln_f(x), self.wte.weight), kept

    @no_grad()
    def generate(
        self, tokens: Tensor, n: int, *, temperature: float = 1.0, top_k: int | None = None
    ) -> Tensor:
        """The tokens (N, T) and `n` more, (N, T + n), each sampled; see `sample_next`.

        Keys and values of the tokens read are kept, so that one more token costs one token's work.
        A text longer than `block_size` is continued from its last `block_size` tokens.
        """
        memories: list[Memory] | list[None] = [None] * len(self.h)
        unread = tokens[:, -self.block_size :]
        for _ in range(n):
            if memories[0] is not None and memories[0][0].shape[2] == self.block_size:
                memories, unread = [None] * len(self.h), tokens[:, -self.block_size :]
            scores, memories = self._read(unread, memories)
            unread = sample_next(scores[:, -1], temperature, top_k)
            tokens = cat([tokens, unread], 1)
        return tokens

    def load_gpt2(self, weights: Mapping[str, Any]) -> None:
        """Assign weights in GPT-2's published layout, such as `cr.load("model.safetensors")`.

        There the weights of linear layers are stored as (inputs, outputs), names may begin with
        `transformer.`, and masks are stored too. Raises ArgumentError for weights that are
        missing or do not fit; the model is then unchanged.
        """
        state = {}
        for name, value in weights.items():
            name = name.removeprefix("transformer.")
            if name == "lm_head.weight" or name.endswith((".attn.bias", ".attn.masked_bias")):
                continue  # shared with `wte.weight`; the causal mask
            linear = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
            state[name] = value.T if linear else value
        self.load_state_dict(state)
