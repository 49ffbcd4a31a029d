"""Distances and similarities of vectors as layers."""

from __future__ import annotations

from chainrule.nn import functional
from chainrule.nn.function_layer import SeveralInputs


class PairwiseDistance(SeveralInputs, of=functional.pairwise_distance, inputs=2):
    """
    >>> import chainrule as cr
    >>> PairwiseDistance(p=1)(cr.tensor([[0.0, 0.0]]), cr.tensor([[3.0, 4.0]]))
    tensor([7.])
    """


class CosineSimilarity(SeveralInputs, of=functional.cosine_similarity, inputs=2):
    """
    >>> import chainrule as cr
    >>> CosineSimilarity()(cr.tensor([[3.0, 0.0]]), cr.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
