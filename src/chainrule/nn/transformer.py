"""Transformers: encoders and decoders of sequences."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn import functional, init
from chainrule.nn.activations import GELU, ReLU
from chainrule.nn.containers import ModuleList
from chainrule.nn.module import Module
from chainrule.nn.norm import LayerNorm
from chainrule.nn.transformer_layers import (
    ACTIVATIONS,
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from chainrule.ops.compare import where
from chainrule.ops.creation import full
from chainrule.settings import current
from chainrule.tensor import Tensor


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, one after another, and last a `norm` if given.

    `is_causal` is a hint that `mask` is causal. As in PyTorch, a call in evaluation mode without
    gradients gives 0 at padding, before the norm, unless there is a `mask` or
    `enable_nested_tensor` is False. It does so where PyTorch has a fast way: `batch_first`, no
    `norm_first`, relu or gelu, biases, an even number of heads, and, with `mask_check`, padding at
    the ends of sequences only.

    >>> import chainrule as cr
    >>> encoder = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(cr.zeros(5, 3, 8)).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _has_fast_way(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        y = src
        for layer in self.layers:
            y = layer(
                y,
                src_mask=mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )
        if src_key_padding_mask is not None and mask is None and self._takes_fast_way(src):
            y = self._without_padding(y, src_key_padding_mask)
        return y if self.norm is None else self.norm(y)

    def _takes_fast_way(self, src: Tensor) -> bool:
        first = self.layers[0]
        if not self.use_nested_tensor or first.training or src.ndim != 3:
            return False
        trained = src.requires_grad or any([p.requires_grad for p in first.parameters()])
        return not (trained and current().gradients)

    def _without_padding(self, y: Tensor, padding: Tensor) -> Tensor:
        """y with 0 at padding, if no sequence goes on after its padding."""
        hidden = padding if padding.dtype.kind == "b" else padding != 0
        if self.mask_check:
            hidden = hidden & ~(hidden[:, :-1] & ~hidden[:, 1:]).any()
        z: Tensor = where(hidden.unsqueeze(-1), 0.0, y)
        return z


def _has_fast_way(layer: Any) -> bool:
    """Whether PyTorch computes such an encoder layer without padding in evaluation mode."""
    if not isinstance(layer, TransformerEncoderLayer):
        return False
    known = inspect.unwrap(layer.activation) in ACTIVATIONS.values()
    return (
        (known or isinstance(layer.activation, (ReLU, GELU)))
        and not layer.norm_first
        and layer.self_attn.batch_first
        and layer.self_attn.in_proj_bias is not None
        and layer.self_attn.num_heads % 2 == 0
        and layer.norm1.eps == layer.norm2.eps
    )


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer, one after another, and last a `norm` if given.

    `tgt_is_causal` and `memory_is_causal` are hints that the masks are causal.

    >>> import chainrule as cr
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> decoder(cr.zeros(4, 3, 8), memory=cr.zeros(5, 3, 8)).shape
    (4, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        y = tgt
        for layer in self.layers:
            y = layer(
                y,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return y if self.norm is None else self.norm(y)


class Transformer(Module):
    """An encoder of a source (S, N, E), and a decoder of a target (T, N, E) that attends to it.

    Vaswani et al., 2017. The options are those of TransformerEncoderLayer. `custom_encoder` and
    `custom_decoder` replace the parts. Matrices are initialized by Glorot & Bengio (2010). Raises
    ShapeError for sizes that do not fit.

    >>> import chainrule as cr
    >>> model = Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> mask = model.generate_square_subsequent_mask(4)
    >>> model(cr.zeros(5, 3, 8), cr.zeros(4, 3, 8), tgt_mask=mask).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        modes = (batch_first, norm_first, bias)
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*options, *modes, dtype=dtype)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*options, *modes, dtype=dtype)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def reset_parameters(self) -> None:
        """Initialize all matrices anew."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        fits = src.ndim == tgt.ndim and src.shape[-1] == tgt.shape[-1] == self.d_model
        if not fits or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(
                "source and target of Transformer do not fit together",
                given=f"{src.shape} and {tgt.shape}",
                expected=f"one batch, and {self.d_model} features",
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        y: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return y

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The mask of causal attention: 0 up to the diagonal, −∞ above it (sz, sz)."""
        mask: Tensor = full((sz, sz), -float("inf"), dtype=dtype).triu(1)
        return mask
