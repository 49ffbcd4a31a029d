"""Permutation importance: what a model loses when one column of a table is shuffled.

Source: L. Breiman (2001), doi:10.1023/A:1010933404324; A. Fisher, C. Rudin and F. Dominici (2019),
arXiv:1801.01489.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.data.catalog import Samples
from chainrule.data.seeds import stream
from chainrule.nn.module import Module
from chainrule.nn.predictions import Prediction
from chainrule.primitive import Array
from chainrule.train.infer import outputs_of

_MOST_ROWS = 2000


class Importance(NamedTuple):
    """How much a score falls when a column is shuffled: mean and standard deviation over draws."""

    name: str
    mean: float
    std: float


def permutation_importance(
    model: Module, predicts: Prediction, data: Samples, repeats: int = 10, seed: int = 0
) -> list[Importance]:
    """The importance of each column of `data` for a model, the largest first.

    The score is accuracy for classes and R² for numbers. Columns that say the same share their
    importance: each can take the place of the other. Of more than 2,000 rows the first are used.
    """
    rows = data.take(np.arange(min(len(data), _MOST_ROWS)))
    x, y = rows.arrays[0], rows.arrays[-1]
    names = rows.feature_names or tuple(f"column{i}" for i in range(x.shape[1]))

    def score(raw: Array) -> float:
        encoded = raw if rows.transform is None else rows.transform(raw)
        return _score(outputs_of(model, encoded.astype(np.float32)), y, predicts)

    whole, draw, found = score(x), stream(seed, 0), []
    for place, name in enumerate(names):
        falls = []
        for _ in range(repeats):
            shuffled = x.copy()
            shuffled[:, place] = draw.permutation(x[:, place])
            falls.append(whole - score(shuffled))
        found.append(Importance(name, float(np.mean(falls)), float(np.std(falls))))
    return sorted(found, key=lambda importance: -importance.mean)


def _score(outputs: Array, y: Array, predicts: Prediction) -> float:
    if predicts.classes:
        return float(np.mean(predicts.decide(outputs) == y.reshape(len(y), -1)[:, 0]))
    missed, spread = np.square(outputs.reshape(y.shape) - y).sum(), np.square(y - y.mean(0)).sum()
    return float(1 - missed / spread) if spread else 0.0
