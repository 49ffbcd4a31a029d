"""Integers as vectors: embeddings, sums of embeddings, one-hot vectors."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.gateway import require
from chainrule.nn.functional.checks import check_positive, check_tensors
from chainrule.ops import compare, labels, norms, select, sets
from chainrule.ops.creation import arange, ones, zeros
from chainrule.settings import use
from chainrule.tensor import Tensor

BAG_MODES = ("mean", "sum", "max")


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y = W[i], the row of `weight` for each integer i: (...), (rows, columns) → (..., columns).

    The row `padding_idx` gets no gradient. With `max_norm`, the rows of the input whose norm
    (‖·‖ₚ, p = `norm_type`) is larger are first scaled to it, in the weight itself. With
    `scale_grad_by_freq`, the gradient of a row is divided by how often it is in the input. `sparse`
    changes nothing: gradients are dense. Raises OutOfRangeError for an index outside
    0 … rows − 1, ArgumentError for a `padding_idx` that is no row.

    >>> import chainrule as cr
    >>> embedding(cr.tensor([1, 0]), cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.], [1., 2.]])
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise ArgumentError(
                "padding_idx is not a row", given=padding_idx, expected=f"{-rows} … {rows - 1}"
            )
        padding_idx %= rows
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    y: Tensor = labels.embedding(input, weight, padding=padding_idx)
    return _shared(y, input, len(weight)) if scale_grad_by_freq else y


def _limit_norms(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of the weight that the input names to a norm of at most `max_norm`."""
    check_positive("embedding", max_norm=max_norm)
    with use(gradients=False):
        index = input.reshape(-1)
        rows = labels.embedding(index, weight, padding=None)
        found = norms.norm(rows, norm_type, 1, True)
        scale = compare.where(found > max_norm, max_norm / (found + 1e-7), 1.0)
        weight.detach()[index] = rows * scale


def _shared(y: Tensor, input: Tensor, rows: int) -> Tensor:
    """y, with the gradient of each index divided by how often it is in the input."""
    flat = input.reshape(-1)
    times = select.index_add(zeros(rows, dtype=y.dtype), 0, flat, ones(flat.shape, dtype=y.dtype))
    share = (1 / times)[input].unsqueeze(-1)
    return y.detach() + (y - y.detach()) * share


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """y = the mean, sum or maximum of the embeddings of each bag of integers: → (bags, columns).

    input (bags, n), or all bags in one row (n), where bag b starts at `offsets[b]`. With
    `include_last_offset`, the last offset is the end of the last bag. Indices equal to
    `padding_idx` do not count. An empty bag gives 0. With `mode="sum"`, `per_sample_weights` of the
    input's shape scale the embeddings. The other options are those of `embedding`. Raises
    ArgumentError for options and offsets that do not fit, ShapeError for shapes.

    >>> import chainrule as cr
    >>> table = cr.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    >>> embedding_bag(cr.tensor([0, 1, 2]), table, cr.tensor([0, 2]))
    tensor([[0.5, 0.5], [3. , 3. ]])
    """
    check_tensors("embedding_bag", input=input, weight=weight)
    _check_bags(input, offsets, mode, per_sample_weights)
    bag, bags = _bag_of_each(input, offsets, include_last_offset)
    flat = input.reshape(-1)
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    counted = ones(flat.shape, dtype=weight.dtype)
    if padding_idx is not None:
        counted = (flat != padding_idx % len(weight)).to(weight.dtype)
    empty = zeros(bags, weight.shape[1], dtype=weight.dtype)
    if mode == "max":
        rows = compare.where(counted.unsqueeze(1) > 0, rows, -float("inf"))
        at = bag.unsqueeze(1).expand(rows.shape)
        y: Tensor = select.scatter_reduce(empty, 0, at, rows, "amax", include_self=False)
        y = compare.where(y == -float("inf"), 0.0, y)
        return y
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    y = select.index_add(empty, 0, bag, rows * counted.unsqueeze(1))
    if mode == "sum":
        return y
    number = select.index_add(zeros(bags, dtype=weight.dtype), 0, bag, counted)
    return y / number.clamp(min=1).unsqueeze(1)


def _check_bags(input: Tensor, offsets: Tensor | None, mode: str, weights: Tensor | None) -> None:
    if mode not in BAG_MODES:
        raise ArgumentError(
            "unknown mode of embedding_bag",
            given=repr(mode),
            expected=", ".join(map(repr, BAG_MODES)),
        )
    if input.ndim not in (1, 2) or (input.ndim == 1) != (offsets is not None):
        raise ArgumentError(
            "embedding_bag takes bags (bags, n), or one row (n) and offsets",
            given=f"input {input.shape}, offsets {None if offsets is None else offsets.shape}",
        )
    if weights is not None and (mode != "sum" or weights.shape != input.shape):
        raise ArgumentError(
            "per_sample_weights have the shape of the input, in the mode 'sum'",
            given=f"{weights.shape} for an input {input.shape}, mode {mode!r}",
        )


def _bag_of_each(input: Tensor, offsets: Tensor | None, last: bool) -> tuple[Tensor, int]:
    """The bag of each index of the flat input, and the number of bags."""
    if offsets is None:
        bags, n = input.shape
        return arange(bags).unsqueeze(1).expand(bags, n).reshape(-1), bags
    if offsets.ndim != 1 or len(offsets) < 1 + last:
        raise ShapeError(f"offsets have at least {1 + last} elements in a row", given=offsets.shape)
    n = len(input)
    rises = (offsets[1:] >= offsets[:-1]).all() & (offsets[0] == 0) & (offsets[-1] <= n)
    problem = f"offsets rise from 0 to at most {n}, the number of indices"
    require(rises, ArgumentError(problem, given=offsets))
    starts = offsets[:-1] if last else offsets
    return sets.searchsorted(starts, arange(n), right=True) - 1, len(starts)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """y[..., c] = 1 if c is the label, else 0, as int64: (...) → (..., classes).

    Without `num_classes`, the number of classes is the largest label plus one. Raises
    OutOfRangeError for a label that is no class.

    >>> import chainrule as cr
    >>> one_hot(cr.tensor([2, 0]))
    tensor([[0, 0, 1], [1, 0, 0]])
    """
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    return labels.one_hot(tensor, num_classes=num_classes, dtype=np.dtype(np.int64))
