"""How the next token is drawn from a language model's scores."""

from __future__ import annotations

import math

from chainrule.errors import ArgumentError
from chainrule.ops.compare import where
from chainrule.ops.draws import multinomial
from chainrule.ops.order import topk
from chainrule.tensor import Tensor


def sample_next(scores: Tensor, temperature: float = 1.0, top_k: int | None = None) -> Tensor:
    """Draw a token with probabilities softmax(scores / temperature): (N, V) → (N, 1).

    temperature: below 1 prefers likely tokens; 0 takes the likeliest.
    top_k: draw among the k likeliest only (Fan, Lewis & Dauphin, 2018).

    >>> import chainrule as cr
    >>> sample_next(cr.tensor([[0.0, 5.0, 1.0]]), temperature=0)
    tensor([[1]])
    """
    if not 0 <= temperature < math.inf:
        raise ArgumentError("temperature must be 0 or more", given=temperature)
    if temperature == 0:
        return scores.argmax(-1, keepdim=True)
    if top_k is not None:
        k = min(top_k, scores.shape[-1])
        least = topk(scores, k)[0][:, -1:]
        scores = where(scores < least, -math.inf, scores)
    return multinomial((scores / temperature).softmax(-1), 1)
