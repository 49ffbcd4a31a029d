"""The adaptive softmax: many classes, of which rare ones get fewer weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional
from chainrule.nn.containers import ModuleList, Sequential
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.ops.compare import where
from chainrule.ops.index import gather
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class LogProbabilityAndLoss(NamedTuple):
    """ln p of each target, and the mean of −ln p."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """ln p(class) where classes are numbered by frequency and divided into clusters at `cutoffs`.

    The head decides between the first `cutoffs[0]` classes and the clusters; in a cluster i = 1,
    2, ... a softmax over its classes reads `in_features // div_valueⁱ` features. The output for
    (N, in_features) and labels (N) is (ln p of the labels (N), their mean with a minus). All
    clusters are computed for all rows: no shape depends on the labels. (Grave et al., 2017)

    >>> import chainrule as cr
    >>> layer = AdaptiveLogSoftmaxWithLoss(4, 10, cutoffs=[2, 5])
    >>> output, loss = layer(cr.ones(3, 4), cr.tensor([0, 9, 4]))
    >>> output.shape, layer.log_prob(cr.ones(3, 4)).exp().sum(1).round()
    ((3,), tensor([1., 1., 1.], from=round))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
    ) -> None:
        super().__init__()
        bounds = [*map(int, cutoffs)]
        if not bounds or bounds != sorted({*bounds}) or not 0 < bounds[0] <= bounds[-1] < n_classes:
            raise ArgumentError(
                "cutoffs divide the classes", given=cutoffs, expected=f"rising, below {n_classes}"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*bounds, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = bounds[0], len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias)
        self.tail = ModuleList()
        for place, (low, high) in enumerate(itertools.pairwise(self.cutoffs), 1):
            width = int(in_features // div_value**place)
            features = Linear(in_features, width, bias=False)
            self.tail.append(Sequential(features, Linear(width, high - low, bias=False)))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for layer in self.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> LogProbabilityAndLoss:
        if input_.shape[:-1] != target_.shape or target_.ndim > 1:
            raise ShapeError(
                "a label for each row", given=(input_.shape, target_.shape), expected="(N, in), (N)"
            )
        rows, labels = input_.reshape(-1, self.in_features), target_.long().reshape(-1)
        head = functional.log_softmax(self.head(rows), 1)
        column = where(labels < 0, self.head_size, labels)  # which `gather` refuses
        output = labels.to(rows.dtype) * 0.0
        for place, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            last = high == self.n_classes  # without an upper end: `gather` refuses what is no class
            inside = labels >= low if last else (labels >= low) & (labels < high)
            column = where(inside, self.shortlist_size + place, column)
            log_p = functional.log_softmax(self.tail[place](rows), 1)
            own = gather(log_p, 1, where(inside, labels - low, 0).unsqueeze(1)).squeeze(1)
            output = output + where(inside, own, 0.0)
        output = output + gather(head, 1, column.unsqueeze(1)).squeeze(1)
        return LogProbabilityAndLoss(output.reshape(target_.shape), -output.mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """ln p of all classes: (N, in_features) → (N, n_classes)."""
        head = functional.log_softmax(self.head(input), -1)
        parts = [head[..., : self.shortlist_size]]
        for place, layer in enumerate(self.tail):
            cluster = self.shortlist_size + place
            log_p = functional.log_softmax(layer(input), -1)
            parts.append(log_p + head[..., cluster : cluster + 1])
        return cat(parts, -1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row: (N, in_features) → (N)."""
        return self.log_prob(input).argmax(-1)
