"""What the products inside an op cost, for reports and summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.ops.contract import letter_sizes
from chainrule.primitive import Shape, SpecLike

PRODUCTS = {"matmul", "matmul_gate", "linear", "linear_relu", "linear_weight"}
RECURRENCES = {f"{cell}_sequence" for cell in ("rnn", "gru", "lstm")}


def product_flops(
    name: str, inputs: Sequence[SpecLike], outputs: Sequence[SpecLike], params: dict[str, Any]
) -> int:
    """Two operations, × and +, for each term of the sums of products in one op; 0 without any.

    =====================  =========================================================================
    matrix product         2·m·n·k for (m, k) by (k, n), times the matrices of a batch
    convolution            2·outputs·(terms of each: channels of a group · kernel)
    einsum                 2·(the product of all letters' sizes)
    recurrence             2·T·N·G·H² for hₜ₋₁·Wᵀ, W (G·H, H); its gradient 4·T·N·G·H², for
                           dhₜ₋₁ = da·W and dW = Σ daᵀ·h
    attention              2·P·(d + e) for q·kᵀ and p·v, P the pairs of a query and a key; if it is
                           causal, those in which the key does not come later
    attention's gradient   2·P·(3d + 2e) for q·kᵀ, u·vᵀ, t·k, tᵀ·q, pᵀ·u
    =====================  =========================================================================
    """
    seen, made = [x.shape for x in inputs], [y.shape for y in outputs]
    size = math.prod(made[0])
    if name == "linear_weight":
        return 2 * math.prod(seen[0]) * seen[1][-1]
    if name in PRODUCTS:
        return 2 * size * seen[0][-1]
    if name == "conv2d":
        return 2 * size * math.prod(seen[1][1:])
    if name == "conv2d_input":
        return 2 * math.prod(seen[0]) * math.prod(seen[1][1:])
    if name == "conv2d_weight":
        return 2 * math.prod(seen[1]) * math.prod(made[0][1:])
    if name == "einsum":
        return 2 * math.prod(letter_sizes(params["formula"], inputs).values())
    if name.removesuffix("_gradient") in RECURRENCES:
        steps, examples = made[0][:2]
        return (4 if name.endswith("_gradient") else 2) * steps * examples * math.prod(seen[1])
    if name == "attention":
        return 2 * _pairs(seen[0], seen[1], **params) * (seen[0][-1] + seen[2][-1])
    if name == "attention_gradient":
        return 2 * _pairs(seen[1], seen[2], **params) * (3 * seen[1][-1] + 2 * seen[3][-1])
    return 0


def _pairs(q: Shape, k: Shape, causal: bool, **_: Any) -> int:
    """Pairs of a query and a key that it may see, in all batches."""
    queries, keys = q[-2], k[-2]
    seen = sum(min(i + 1, keys) for i in range(queries)) if causal else queries * keys
    return math.prod(q[:-2]) * seen
