"""A recurrent network that reads a text letter by letter and says what comes next."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.grad_mode import no_grad
from chainrule.models.sampling import sample_next
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class CharRNN(nn.Module):
    """An embedding, an LSTM of `num_layers` layers, and a linear layer to the next letter's scores.

    Shapes: tokens (N, T) → scores (N, T, vocab_size) and the LSTM's state, which can be passed
    back in, so that a text is read in pieces. Karpathy, "The unreasonable effectiveness of
    recurrent neural networks" (2015); Hochreiter & Schmidhuber (1997).

    >>> import chainrule as cr
    >>> model = CharRNN(65, 32)
    >>> scores, state = model(cr.zeros(2, 7, dtype=cr.int64))
    >>> scores.shape, model.generate(cr.zeros(1, 1, dtype=cr.int64), 5).shape
    ((2, 7, 65), (1, 6))
    """

    def __init__(
        self, vocab_size: int, hidden: int = 256, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        self.embedding = nn.Embedding(vocab_size, hidden)
        self.lstm = nn.LSTM(hidden, hidden, num_layers, dropout=dropout, batch_first=True)
        self.head = nn.Linear(hidden, vocab_size)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        y, state = self.lstm(self.embedding(tokens), state)
        return self.head(y), state

    @no_grad()
    def generate(
        self, tokens: Tensor, n: int, *, temperature: float = 1.0, top_k: int | None = None
    ) -> Tensor:
        """The tokens (N, T) and `n` more, (N, T + n), each sampled; see `sample_next`."""
        state, read = None, tokens
        for _ in range(n):
            scores, state = self(read, state)
            read = sample_next(scores[:, -1], temperature, top_k)
            tokens = cat([tokens, read], 1)
        return tokens
