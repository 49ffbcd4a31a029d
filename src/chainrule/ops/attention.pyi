# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive, Spec, SpecLike
from chainrule.tensor import Tensor

INFINITY: float

def attention_rule(q: SpecLike, k: SpecLike, v: SpecLike, mask: tuple[SpecLike, ...]) -> Spec:
    """q (..., L, d), k (..., S, d), v (..., S, e), a mask that broadcasts to (..., L, S)."""

def masked_scores(q: Array, k: Array, mask: tuple[Array, ...], causal: bool, scale: float) -> Array:
    """s·q·kᵀ + mask, −∞ where a boolean mask is False or the key comes after the query."""

def batched_attention(record: Any, plain: int, xs: Any, batched: Any, params: Any) -> Any:
    """Attention of batched inputs: the examples are one more of the dimensions in front."""

def pairs_seen(q: SpecLike, k: SpecLike, causal: bool) -> int:
    """Pairs of a query and a key that it may see, in all batches."""

def attention_samples(extra: tuple[str, ...] = ()) -> Any:
    """Queries, keys and values, with no mask, a causal one, a boolean and an additive one."""

class _attention(Primitive):
    def __call__(
        self,
        q: Tensor | float,
        k: Tensor | float,
        v: Tensor | float,
        *mask: Tensor | float,
        causal: bool,
        scale: float,
    ) -> tuple[Tensor, Tensor]:
        """yᵢ = Σⱼ pᵢⱼ·vⱼ, pᵢⱼ = e^(aᵢⱼ − zᵢ), zᵢ = ln Σⱼ e^aᵢⱼ, a = s·q·kᵀ + mask."""

attention: _attention

def probabilities(
    q: Tensor, k: Tensor, level: Tensor, mask: tuple[Tensor, ...], causal: bool, scale: float
) -> Tensor:
    """p = e^(a − z) in differentiable ops."""

class _attention_gradient(Primitive):
    def __call__(
        self,
        u: Tensor | float,
        q: Tensor | float,
        k: Tensor | float,
        v: Tensor | float,
        delta: Tensor | float,
        level: Tensor | float,
        *mask: Tensor | float,
        causal: Any,
        scale: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of attention by q, k and v, given u, that of y (..., L, e)."""

attention_gradient: _attention_gradient
