# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

def check_labels(labels: Array, classes: int) -> None:
    """Refuse class labels outside 0 … classes − 1, with the first position and its value."""

class _one_hot(Primitive):
    def __call__(self, labels: Tensor | float, *, num_classes: Any, dtype: Any) -> Tensor:
        """y = 1 at the class of each label, 0 elsewhere; labels outside 0 … C − 1 are refused."""

one_hot: _one_hot

class _class_labels(Primitive):
    def __call__(self, t: Tensor | float, *, classes: Any, ignore_index: Any) -> Tensor:
        """y = the labels as int64, 0 in place of the ignored; others outside 0 … C − 1 are refused."""

class_labels: _class_labels

class _embedding(Primitive):
    def __call__(self, i: Tensor | float, w: Tensor | float, *, padding: Any) -> Tensor:
        """y[n] = w[i[n]], a row for each index.   ∂w adds up where an index repeats."""

embedding: _embedding
