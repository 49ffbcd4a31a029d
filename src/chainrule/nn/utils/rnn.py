"""Sequences of several lengths: padded to one length, or packed without the padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.compare import where
from chainrule.ops.shape import cat
from chainrule.primitive import Array
from chainrule.tensor import Tensor

Lengths = Tensor | Sequence[int] | Array


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences without padding, the longest first: the first steps of all, then the second steps.

    data: the steps, (Σ lengths, ...). batch_sizes: how many sequences have a step, for each step
    (T). sorted_indices: the place of each sequence in the batch, unsorted_indices: the
    inverse; None if the batch was in order. `pack_padded_sequence` and `pack_sequence` make them.

    >>> import chainrule as cr
    >>> packed = pack_sequence([cr.tensor([1, 2, 3]), cr.tensor([4])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 3]), tensor([2, 1, 1]))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = Tensor(np.argsort(sorted_indices.numpy()).astype(np.int64))
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The sequences with `data.to(...)`."""
        return self.with_data(self.data.to(*args, **kwargs))

    def float(self) -> Self:
        """The sequences with float32 data."""
        return self.to(np.float32)

    def double(self) -> Self:
        """The sequences with float64 data."""
        return self.to(np.float64)

    def half(self) -> Self:
        """The sequences with float16 data."""
        return self.to(np.float16)

    def long(self) -> Self:
        """The sequences with int64 data."""
        return self.to(np.int64)

    def cpu(self) -> Self:
        """The sequences themselves, since all tensors are on the CPU."""
        return self

    def with_data(self, data: Tensor) -> Self:
        """Other data of the same sequences."""
        return self if data is self.data else self._replace(data=data)


class Places:
    """Where each step of packed sequences is, with sequences in their packed order.

    lengths (N), longest first. steps, examples (Σ lengths): the step and the sequence of each row.
    """

    def __init__(self, lengths: Array) -> None:
        self.lengths = lengths
        self.sizes = (lengths > np.arange(lengths[0])[:, None]).sum(1)
        self.steps = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.examples = np.concatenate([np.arange(size) for size in self.sizes])

    @classmethod
    def of(cls, packed: PackedSequence) -> Places:
        """The places of packed sequences."""
        sizes = packed.batch_sizes.numpy()
        return cls((sizes > np.arange(sizes[0])[:, None]).sum(1))

    def rows(self, reverse: bool = False) -> tuple[Array, Array]:
        """The row of each step (T, N), and whether there is one; with `reverse` in each sequence
        from the last to the first."""
        steps, examples = np.ogrid[: len(self.sizes), : len(self.lengths)]
        inside = steps < self.lengths
        steps = np.where(inside, self.lengths - 1 - steps if reverse else steps, 0)
        return (np.cumsum(self.sizes) - self.sizes)[steps] + examples, inside


def pack_padded_sequence(
    input: Tensor, lengths: Lengths, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences (T, N, ...), or (N, T, ...) with `batch_first`, of the given lengths (N).

    With `enforce_sorted`, the longest must come first; else they are sorted here. Raises
    ArgumentError for lengths that are not in order, or not in 1 … T.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1, 2, 3], [4, 0, 0]])
    >>> pack_padded_sequence(x, [3, 1], batch_first=True).data
    tensor([1, 4, 2, 3])
    """
    known = _known_lengths(lengths)
    x = input.transpose(0, 1) if batch_first else input
    if x.ndim < 2 or known.shape != x.shape[1:2]:
        raise ShapeError(
            "there must be one length for each sequence", given=known.shape, expected=x.shape[1:2]
        )
    if not len(known) or not ((known >= 1) & (known <= len(x))).all():
        raise ArgumentError(
            "lengths are out of range", given=known.tolist(), expected=f"1 … {len(x)}"
        )
    order = np.argsort(-known, kind="stable")
    if enforce_sorted and (np.diff(known) > 0).any():
        raise ArgumentError(
            "the sequences are not in order of their lengths",
            given=known.tolist(),
            expected="the longest first",
            instead="Pass enforce_sorted=False to have them sorted.",
        )
    places = Places(known[order])
    sorted_indices = None if enforce_sorted else Tensor(order.astype(np.int64))
    columns = places.examples if enforce_sorted else order[places.examples]
    data = x[places.steps, columns]
    return PackedSequence(data, Tensor(places.sizes), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The sequences (T, N, ...), in the order of the batch, and their lengths (N).

    With `batch_first` (N, T, ...). T is the longest length, or `total_length`, which is at least
    that. Raises ArgumentError otherwise.

    >>> import chainrule as cr
    >>> packed = pack_sequence([cr.tensor([1, 2, 3]), cr.tensor([4])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2, 3], [4, 0, 0]]), tensor([3, 1]))
    """
    places = Places.of(sequence)
    longest = len(places.sizes)
    if total_length is not None and total_length < longest:
        raise ArgumentError(
            "total_length is less than the longest sequence",
            given=total_length,
            expected=f"at least {longest}",
        )
    rows, inside = places.rows()
    more = ((0, (total_length or longest) - longest), (0, 0))
    unsorted = sequence.unsorted_indices
    order = np.arange(len(places.lengths)) if unsorted is None else unsorted.numpy()
    rows, inside = np.pad(rows, more)[:, order], np.pad(inside, more)[:, order]
    y = _spread(sequence.data, rows, inside, padding_value)
    return y.transpose(0, 1) if batch_first else y, Tensor(places.lengths[order])


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L, ...) of several lengths as one tensor (T, N, ...), T the longest length.

    With `batch_first` (N, T, ...). `padding_side` is "right", after the sequences, or "left".
    Raises ArgumentError for no sequences, ShapeError for sequences that do not fit together.

    >>> import chainrule as cr
    >>> pad_sequence([cr.tensor([1, 2, 3]), cr.tensor([4])], batch_first=True)
    tensor([[1, 2, 3], [4, 0, 0]])
    """
    if padding_side not in ("left", "right"):
        raise ArgumentError(
            "unknown padding_side", given=repr(padding_side), expected="'left' or 'right'"
        )
    parts = list(sequences)
    if not parts or not all(isinstance(x, Tensor) and x.ndim for x in parts):
        raise ArgumentError("pad_sequence takes sequences (L, ...)", given=f"{len(parts)} parts")
    lengths = np.array([len(x) for x in parts])
    steps = np.arange(lengths.max())[:, None]
    if padding_side == "left":
        steps = steps - (lengths.max() - lengths)
    inside = (steps >= 0) & (steps < lengths)
    rows = np.cumsum(lengths) - lengths + np.where(inside, steps, 0)
    y = _spread(cat(parts, 0), rows, inside, padding_value)
    return y.transpose(0, 1) if batch_first else y


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, ...). Arguments and errors are those of `pack_padded_sequence`.

    >>> import chainrule as cr
    >>> pack_sequence([cr.tensor([4]), cr.tensor([1, 2])], enforce_sorted=False).data
    tensor([1, 4, 2])
    """
    lengths = [len(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Lengths, batch_first: bool = False
) -> list[Tensor]:
    """The sequences (L, ...) of (T, N, ...) with the given lengths: the inverse of `pad_sequence`.

    >>> import chainrule as cr
    >>> unpad_sequence(cr.tensor([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    [tensor([1, 2, 3]), tensor([4])]
    """
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, :n] for i, n in enumerate(_known_lengths(lengths).tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (L, ...): the inverse of `pack_sequence`.

    >>> import chainrule as cr
    >>> unpack_sequence(pack_sequence([cr.tensor([1, 2, 3]), cr.tensor([4])]))
    [tensor([1, 2, 3]), tensor([4])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _spread(data: Tensor, rows: Array, inside: Array, value: float) -> Tensor:
    """(T, N, ...): the rows of the data, and the value where there is none."""
    shape = (*rows.shape, *data.shape[1:])
    fill = Tensor(np.asarray(value).astype(data.dtype))
    if not len(data):
        return fill.expand(shape)
    kept = Tensor(inside.reshape(*inside.shape, *[1] * (data.ndim - 1)))
    y: Tensor = where(kept, data[np.minimum(rows, len(data) - 1)], fill)
    return y


def _known_lengths(lengths: Lengths) -> Array:
    """The lengths as an array. Raises DTypeError unless they are integers."""
    known = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if known.dtype.kind not in "iu":
        raise DTypeError("lengths are integers", given=known.dtype)
    return known.astype(np.int64)
