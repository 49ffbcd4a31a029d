"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import init
from chainrule.nn.functional.attention import Options, Projections, several_heads
from chainrule.nn.functional.checks import check_counts, check_probability
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor


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

    `add_bias_kv` adds a key and a value that are trained, bias_k and bias_v (1, 1, E), and
    `add_zero_attn` a key and a value of zeros. No mask hides them.

    in_proj_weight (3E, E), or q_proj_weight, k_proj_weight and v_proj_weight if kdim or vdim is not
    E, are initialized by Glorot & Bengio (2010), biases to 0. Raises ShapeError for sizes that do
    not fit.

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
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.head_dim = embed_dim // num_heads
        self._add_weights(dtype)
        self.in_proj_bias = Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        for part in ("bias_k", "bias_v"):
            more = Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(part, more)
        self.reset_parameters()

    def _add_weights(self, dtype: Any) -> None:
        """The weights of query, key and value: one parameter if they have one size."""
        e, joint = self.embed_dim, self.kdim == self.vdim == self.embed_dim
        apart = {"q_proj_weight": e, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        shapes = {"in_proj_weight": (3 * e, e) if joint else None}
        shapes |= {name: None if joint else (e, n) for name, n in apart.items()}
        for name, shape in shapes.items():
            weight = None if shape is None else Parameter(empty(shape, dtype=dtype))
            self.register_parameter(name, weight)

    def reset_parameters(self) -> None:
        """Initialize the weights anew, except that of `out_proj`, and set the biases to 0."""
        for parameter in self.parameters(recurse=False):
            if parameter.ndim == 2:
                init.xavier_uniform_(parameter)
            elif parameter.ndim == 3:
                init.xavier_normal_(parameter)
            else:
                init.zeros_(parameter)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

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
        weights = (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        w = Projections(
            tuple([w for w in weights if w is not None]),
            self.in_proj_bias,
            self.out_proj.weight,
            self.out_proj.bias,
            self.bias_k,
            self.bias_v,
        )
        options = Options(
            self.num_heads,
            self.add_zero_attn,
            self.dropout if self.training else 0.0,
            need_weights,
            average_attn_weights,
            is_causal,
            self.batch_first,
        )
        return several_heads(query, key, value, w, options, attn_mask, key_padding_mask)

    def short_repr(self) -> str:
        return f"{self.embed_dim} × {self.num_heads} heads"
