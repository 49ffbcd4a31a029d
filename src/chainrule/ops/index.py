"""Reading and writing by position: slices, integer and boolean arrays, gather and scatter."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, OutOfRangeError, ShapeError
from chainrule.gateway import apply
from chainrule.ops.reduce import sum_to_size
from chainrule.ops.rules import broadcast_shapes, normalized_dim
from chainrule.primitive import Array, Shape, Spec, composition, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy

Basic = int | slice | EllipsisType | None
HERE = "tensor"
"""Stands in an index for the next of the index tensors."""


def assembled(index: tuple[Any, ...], tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy index: index tensors put in their places."""
    supply = iter(tensors)
    return tuple(next(supply) if part is HERE else part for part in index)


def indexed_shape(shape: Shape, index: tuple[Any, ...], tensors: tuple[Any, ...] = ()) -> Shape:
    """The shape of `x[index]`, found on an array without memory; IndexError as NumPy's."""
    phantom = np.broadcast_to(np.zeros((), np.bool_), shape)
    stand_ins = tuple(np.broadcast_to(np.zeros((), np.int64), t.shape) for t in tensors)
    try:
        if 0 in shape and stand_ins:
            phantom = np.broadcast_to(np.zeros((), np.bool_), [max(n, 1) for n in shape])
        return phantom[assembled(index, stand_ins)].shape
    except IndexError as error:
        raise OutOfRangeError(
            f"index {show(index)} into shape {shape}: {error}"
        ) from None


def show(index: tuple[Any, ...]) -> str:
    """An index as one writes it."""
    parts = []
    for part in index:
        if isinstance(part, slice):
            ends = ["" if p is None else str(p) for p in (part.start, part.stop)]
            parts.append(":".join(ends) + ("" if part.step is None else f":{part.step}"))
        else:
            parts.append("..." if part is Ellipsis else str(part))
    return f"[{', '.join(parts)}]"


def check_positions(positions: Array, size: int, dim: int) -> None:
    """Refuse positions outside −size … size − 1, naming the first."""
    bad = (positions < -size) | (positions >= size)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise OutOfRangeError(
            f"index {positions[where]} at position {where} is out of range for dimension {dim} "
            f"of size {size}"
        )


# -- slices --------------------------------------------------------------------------------------


@primitive
class slice_:
    """y = x[index], of integers, slices, None and `...`: a view.   ∂y/∂x = 1 on its part."""
    view = True
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"index": (slice(0, 2), 1)}),
        lambda rng: (rng.normal(size=(3, 4)), {"index": (Ellipsis, slice(None, None, -2), None)}),
    )
    def infer(x, *, index): return Spec(indexed_shape(x.shape, index), x.dtype)
    def forward(x, *, index): return x[index]
    def vjp(g, x_spec, index): return apply("slice_into", g, shape=x_spec.shape, index=index),


@primitive
class slice_into:
    """y = zeros of a shape, with y[index] = x: the adjoint of `slice`.   ∂y/∂x = 1."""
    samples = cases(
        lambda rng: (rng.normal(size=(2,)), {"shape": (3, 4), "index": (slice(0, 2), 1)})
    )
    def infer(x, *, shape, index): return Spec(shape, x.dtype)
    def forward(x, *, shape, index):
        y = np.zeros(shape, x.dtype)
        y[index] = x
        return y
    def vjp(g, index): return apply("slice", g, index=index),


# -- integer arrays ------------------------------------------------------------------------------


@primitive
class take:
    """y = x[..., i, ...], of integer tensors.   ∂y/∂x adds up where a position repeats.

    Out of range raises OutOfRangeError with the first bad position.
    """
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), np.array([2, 0, 2]), {"index": (HERE,)}),
        lambda rng: (
            rng.normal(size=(3, 4)), np.array([0, 1]), np.array([3, 3]), {"index": (HERE, HERE)},
        ),
        lambda rng: (rng.normal(size=(3, 4)), np.array([[0, 1]]), {"index": (slice(1, 3), HERE)}),
    )  # fmt: skip
    def infer(x, *indices, index): return Spec(indexed_shape(x.shape, index, indices), x.dtype)
    def forward(x, *indices, index):
        check_all(x.shape, index, indices)
        return x[assembled(index, indices)]
    def vjp(g, x_spec, indices, index):
        g = apply("put_into", g, *indices, shape=x_spec.shape, index=index)
        return (g, *[None] * len(indices))


@primitive
class put_into:
    """y = zeros of a shape, with y[index] += x, repeats added: the adjoint of `take`."""
    samples = cases(
        lambda rng: (
            rng.normal(size=(3, 4)), np.array([2, 0, 2]), {"shape": (3, 4), "index": (HERE,)},
        )
    )  # fmt: skip
    def infer(x, *indices, shape, index): return Spec(shape, x.dtype)
    def forward(x, *indices, shape, index):
        y = np.zeros(shape, x.dtype)
        np.add.at(y, assembled(index, indices), x)
        return y
    def vjp(g, indices, index):
        return (apply("take", g, *indices, index=index), *[None] * len(indices))


def check_all(shape: Shape, index: tuple[Any, ...], indices: tuple[Array, ...]) -> None:
    """Refuse positions out of range, for every index tensor."""
    consumed = sum(part is not None and part is not Ellipsis for part in index)
    supply, dim = iter(indices), 0
    for part in index:
        if part is Ellipsis:
            dim += len(shape) - consumed
        elif part is HERE:
            check_positions(next(supply), shape[dim], dim)
            dim += 1
        elif part is not None:
            dim += 1


@composition
def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`, as in NumPy: integers, slices, None, `...`, integer and boolean arrays."""
    parts, tensors = canonical(x, index)
    if not tensors:
        return apply("slice", x, index=parts)
    return apply("take", x, *tensors, index=parts)


def canonical(x: Tensor, index: Any) -> tuple[tuple[Any, ...], list[Tensor]]:
    """An index as (parts, index tensors): masks become positions, lists and arrays tensors."""
    parts: list[Any] = []
    tensors: list[Tensor] = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, (list, np.ndarray)):
            part = from_numpy(np.asarray(part) if len(part) else np.zeros(0, np.int64))
        if isinstance(part, (bool, np.bool_)):
            raise DTypeError("a bare boolean is no index", instead="Use a boolean tensor.")
        if isinstance(part, Tensor):
            if part.dtype.kind == "b":
                dim = sum(p is not None and p is not Ellipsis for p in parts)
                found = mask_positions(x, part, dim)
            elif part.dtype.kind in "iu":
                found = (part,)
            else:
                raise DTypeError("an index tensor has integers or booleans", given=part.dtype)
            parts += [HERE] * len(found)
            tensors += found
        elif isinstance(part, (slice, EllipsisType)) or part is None:
            parts.append(part)
        elif hasattr(part, "__index__"):
            parts.append(part.__index__())
        else:
            raise DTypeError("this is no index", given=type(part).__name__)
    return tuple(parts), tensors


def mask_positions(x: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, ...]:
    """The positions where a boolean mask is true, one tensor per dimension of the mask."""
    if mask.shape != x.shape[dim : dim + mask.ndim]:
        raise ShapeError(
            "a boolean index has the shape of what it indexes",
            given=mask.shape, expected=x.shape[dim : dim + mask.ndim],
        )  # fmt: skip
    return nonzero(mask)


@composition
def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The positions of all elements that are not zero, one tensor per dimension.

    How many there are depends on the numbers, so this cannot be captured.
    """
    return tuple(from_numpy(p) for p in np.nonzero(x._numbers("nonzero (or a boolean index)")))


@composition
def index_put(x: Tensor, index: Any, value: Any) -> Tensor:
    """`x` with `x[index] = value`; what `x[index] = value` on a tensor assigns."""
    parts, tensors = canonical(x, index)
    if not isinstance(value, Tensor):
        value = Tensor(np.asarray(value, x.dtype))
    return apply("overwrite", x, value, *tensors, index=parts)


@primitive
class overwrite:
    """y = x, with y[index] = v (of repeated positions the last stays).   ∂y/∂v = 1 on its part."""
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=4), {"index": (1,)}),
        lambda rng: (
            rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), np.array([0, 2]), {"index": (HERE,)},
        ),
    )  # fmt: skip
    def infer(x, v, *indices, index):
        part = indexed_shape(x.shape, index, indices)
        if v.dtype != x.dtype:
            raise DTypeError(
                "the value has another dtype", given=v.dtype, expected=x.dtype,
                instead=f"Convert it with .to(cr.{x.dtype}).",
            )  # fmt: skip
        if broadcast_shapes(v.shape, part) != part:
            raise ShapeError("the value does not fit", given=v.shape, expected=part)
        return x
    def forward(x, v, *indices, index):
        check_all(x.shape, index, indices)
        y = x.copy()
        y[assembled(index, indices)] = v
        return y
    def vjp(g, v_spec, indices, index):
        zero = Tensor(np.zeros((), g.dtype))
        at_part = apply("take" if indices else "slice", g, *indices, index=index)
        rest = apply("overwrite", g, zero, *indices, index=index)
        return (rest, sum_to_size(at_part, v_spec.shape), *[None] * len(indices))


@primitive
class gather:
    """y = x at positions `index` along `dim`, shapes equal elsewhere.   The adjoint scatters."""
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), np.array([[0, 3], [1, 1], [2, 0]]), {"dim": 1})
    )
    def arguments(x: Tensor, dim: int, index: Tensor) -> Any:
        return (x, index), {"dim": normalized_dim(dim, x.ndim)}
    def infer(x, index, *, dim):
        fits = len(index.shape) == len(x.shape) and all(
            n == m or d == dim for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=True))
        )
        if not fits or index.dtype.kind not in "iu":
            raise ShapeError(
                f"gather along dimension {dim} needs integers of the input's shape elsewhere",
                given=Spec(index.shape, index.dtype), expected=x.shape,
            )  # fmt: skip
        return Spec(index.shape, x.dtype)
    def forward(x, index, *, dim):
        check_positions(index, x.shape[dim], dim)
        return np.take_along_axis(x, index, dim)
    def vjp(g, x_spec, index, dim):
        return apply("scatter_add", g, index, shape=x_spec.shape, dim=dim), None


@primitive
class scatter_add:
    """y = zeros of a shape, with x added at the positions `index` along `dim`."""
    samples = cases(
        lambda rng: (
            rng.normal(size=(3, 2)), np.array([[0, 3], [1, 1], [2, 0]]),
            {"shape": (3, 4), "dim": 1},
        )
    )  # fmt: skip
    def infer(x, index, *, shape, dim): return Spec(shape, x.dtype)
    def forward(x, index, *, shape, dim):
        check_positions(index, shape[dim], dim)
        y = np.zeros(shape, x.dtype)
        places = list(np.ogrid[tuple(slice(n) for n in index.shape)])
        places[dim] = index
        np.add.at(y, tuple(places), x)
        return y
    def vjp(g, index, dim): return apply("gather", g, index, dim=dim), None


@primitive
class one_hot:
    """y = 1 at the class of each label, 0 elsewhere; labels outside 0 … C − 1 are refused."""
    samples = cases(lambda rng: (np.array([0, 2, 1]), {"num_classes": 3, "dtype": np.dtype("f4")}))
    def infer(labels, *, num_classes, dtype):
        if labels.dtype.kind not in "iu":
            raise DTypeError("labels are integers", given=labels.dtype)
        return Spec((*labels.shape, num_classes), dtype)
    def forward(labels, *, num_classes, dtype):
        check_labels(labels, num_classes)
        return np.equal(labels[..., None], np.arange(num_classes)).astype(dtype)


@primitive
class class_labels:
    """y = the labels as int64, 0 in place of the ignored; others outside 0 … C − 1 are refused."""
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
            g = g * (i != padding).astype(g.dtype).unsqueeze(-1)
        return None, apply("put_into", g, i, shape=w_spec.shape, index=(HERE,))


def check_labels(labels: Array, classes: int) -> None:
    """Refuse class labels outside 0 … classes − 1, with the first position and its value."""
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise OutOfRangeError(
            f"label {labels[where]} at position {where[0] if len(where) == 1 else where} is not a "
            f"class", expected=f"0 … {classes - 1} for {classes} classes",
        )  # fmt: skip
