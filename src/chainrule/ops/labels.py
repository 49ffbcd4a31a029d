"""Class labels and other integers that name things: one-hot vectors, embeddings."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError, OutOfRangeError, ShapeError
from chainrule.kinds import Along, Indexing, elementwise
from chainrule.ops.compare import where
from chainrule.ops.index import placed
from chainrule.ops.positions import HERE
from chainrule.ops.rules import allocatable
from chainrule.primitive import Array, Spec, primitive
from chainrule.samples import cases


def check_labels(labels: Array, classes: int) -> None:
    """Refuse class labels outside 0 … classes − 1, with the first position and its value."""
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise OutOfRangeError(
            f"label {labels[at]} at position {at[0] if len(at) == 1 else at} is not a class",
            expected=f"0 … {classes - 1} for {classes} classes",
        )


@primitive
class one_hot:
    """y = 1 at the class of each label, 0 elsewhere; labels outside 0 … C − 1 are refused."""
    kind = Along(trailing=True, total=False)
    samples = cases(lambda rng: (np.array([0, 2, 1]), {"num_classes": 3, "dtype": np.dtype("f4")}))
    def infer(labels, *, num_classes, dtype):
        if labels.dtype.kind not in "iu":
            raise DTypeError("labels are integers", given=labels.dtype)
        return allocatable((*labels.shape, num_classes), dtype)
    def forward(labels, *, num_classes, dtype):
        check_labels(labels, num_classes)
        return np.equal(labels[..., None], np.arange(num_classes)).astype(dtype)


@primitive
class class_labels:
    """y = the labels as int64, 0 in place of the ignored; others outside 0 … C − 1 are refused."""
    kind = elementwise
    samples = cases(lambda rng: (np.array([0, 2, -1, 1]), {"classes": 3, "ignore_index": -1}))
    def infer(t, *, classes, ignore_index): return Spec(t.shape, np.int64)
    def forward(t, *, classes, ignore_index):
        y = np.where(t == ignore_index, 0, t).astype(np.int64)
        check_labels(y, classes)
        return y


@primitive
class embedding:
    """y[n] = w[i[n]], a row for each index.   ∂w adds up where an index repeats.

    An index outside 0 … rows − 1 raises OutOfRangeError; row `padding` gets no gradient.
    """
    kind = Indexing()
    samples = cases(
        lambda rng: (np.array([2, 0, 2]), rng.normal(size=(3, 4)), {"padding": None}),
        lambda rng: (np.array([[1], [0]]), rng.normal(size=(3, 4)), {"padding": 2}),
    )
    def infer(i, w, *, padding):
        if i.dtype.kind not in "iu":
            raise DTypeError("an embedding takes integers", given=i.dtype, instead="Use x.long().")
        if len(w.shape) != 2:
            raise ShapeError("embedding weights are (rows, columns)", given=w.shape)
        return Spec((*i.shape, w.shape[1]), w.dtype)
    def forward(i, w, *, padding):
        bad = (i < 0) | (i >= len(w))
        if bad.any():
            at = tuple(int(n) for n in np.argwhere(bad)[0])
            raise OutOfRangeError(
                f"index {i[at]} at position {at[0] if len(at) == 1 else at} is not a row",
                expected=f"0 … {len(w) - 1} for {len(w)} embeddings",
            )
        return w[i]
    def vjp(g, i, w_spec, padding):
        if padding is not None:
            g = where((i != padding).unsqueeze(-1), g, 0.0)
        return None, placed(g, w_spec.shape, (HERE,), i)
    def tangent(xs, ys, ts, params):
        t, padding = embedding(xs[0], ts[1], **params), params["padding"]
        return t if padding is None else where((xs[0] != padding).unsqueeze(-1), t, 0.0)
    def batch(xs, batched, params):
        i, w = xs
        if not batched[1]:
            return embedding(i, w, **params)
        if batched[0]:
            return NotImplemented
        size, rows, columns = w.shape  # the rows of all examples side by side
        side_by_side = w.movedim(0, 1).reshape(rows, size * columns)
        y = embedding(i, side_by_side, **params).reshape(*i.shape, size, columns)
        return y.movedim(-2, 0)
