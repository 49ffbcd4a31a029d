"""The loader: batches of tensors, in an order that depends only on (seed, epoch)."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.data.seeds import batch_generator, check_seed, check_source, draw_seed, stream
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, DTypeError, ShapeError, listing
from chainrule.ops.random import Generator
from chainrule.tensor import Tensor, from_numpy

_AHEAD = 2
_FIXED = ("length", "batch_size", "shuffle", "drop_last", "seeded")


class DataLoader:
    """Iterates over `dataset` in batches: one tuple of tensors (batch_size, ...) per step.

    Each batch is read by one call of `dataset.gather`. With `shuffle`, the order of epoch e is
    `np.random.Generator(np.random.Philox(key=[seed, e])).permutation(n)`. The augmentation of batch
    b uses a generator of (seed, e, b). Neither depends on earlier reads, so a restored loader
    continues with the same bits. The random state of NumPy and Python is never used.

    Parameters
    ----------
    batch_size: samples per batch, >= 1. The last batch may be smaller, unless `drop_last`.
    shuffle: whether each epoch has a new order; by default the order of the dataset.
    seed: 0 to 2⁶⁴ − 1, for orders that depend only on the epoch. By default, each epoch draws a
        seed from `generator`, or from the generator of `cr.manual_seed`, and uses the order of
        epoch 0. Two loops or two loaders then have different orders, and a program that sets the
        seed is reproducible.
    prefetch: number of batches that a background thread reads ahead; 0 for no thread. By default 2
        if the dataset waits for files, and 0 for arrays in memory, where a thread does not pay off.
        If no thread can be started, the loop reads each batch itself.

    Each `for` loop is one epoch and continues at the position that `load_state_dict` restored. A
    loop that ends early also counts as an epoch.

    >>> from chainrule.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(np.arange(5)), batch_size=2)
    >>> [batch.numpy().tolist() for batch, in loader]
    [[0, 1], [2, 3], [4]]
    >>> loader.epoch, len(loader)
    (1, 3)

    Raises ArgumentError for an empty dataset, a batch size below 1, or settings without any batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 32,
        shuffle: bool = False,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        drop_last: bool = False,
        prefetch: int | None = None,
    ) -> None:
        if not hasattr(dataset, "gather"):
            raise _no_dataset(dataset)
        self.dataset = dataset
        self.batch_size = _whole(batch_size, "batch_size", 1)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        check_source(seed, generator)
        self.generator, self._seeded = generator, seed is not None
        self.seed = seed  # Without a given seed: the seed of the current epoch.
        self.prefetch = (_AHEAD if dataset.waits else 0) if prefetch is None else prefetch
        _whole(self.prefetch, "prefetch", 0)
        self._length = len(dataset)
        if self._length < 1:
            raise ArgumentError("the dataset has length 0", expected="at least one sample")
        if len(self) < 1:
            raise ArgumentError(
                f"batch_size {batch_size} with drop_last leaves no batch of {self._length} samples",
                instead="Use a smaller batch_size or drop_last=False.",
            )
        self._epoch, self._batch = 0, 0
        self._continues = True  # The next loop continues at (epoch, batch).
        self._run: object = None

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        extra = 0 if self.drop_last else self.batch_size - 1
        return (self._length + extra) // self.batch_size

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self._epoch

    @property
    def batch(self) -> int:
        """The index of the next batch within its epoch, from 0."""
        return self._batch

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Start the next loop at this epoch and batch; reads nothing and draws no random
        numbers."""
        epoch, batch = _whole(epoch, "epoch", 0), _whole(batch, "batch", 0)
        if batch > len(self):
            raise ArgumentError("no such batch", given=batch, expected=f"0 to {len(self)}")
        if not self._seeded and (batch == 0 or epoch != self._epoch):
            self.seed = None
        self._epoch, self._batch = epoch, batch
        self._continues, self._run = True, None

    def order(self, epoch: int) -> Array:
        """The indices of the samples of an epoch, in the order of reading.

        Raises ArgumentError if the seed of the epoch is not known: not drawn yet, or no longer
        kept.
        """
        if self.shuffle and (self.seed is None or not (self._seeded or epoch == self._epoch)):
            raise ArgumentError(
                f"the order of epoch {epoch} is not known: each epoch draws its seed",
                instead="Give the loader a seed: DataLoader(dataset, seed=0, ...).",
            )
        return self._order(self.seed, epoch if self._seeded else 0)

    def _order(self, seed: int | None, epoch: int) -> Array:
        if not self.shuffle or seed is None:
            return np.arange(self._length)
        return stream(seed, epoch).permutation(self._length)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if not self._continues and self._batch > 0:
            self.set_epoch(self._epoch + 1)
        run = self._run = object()
        self._continues = False
        epoch, first = self._epoch, self._batch
        if self.seed is None and (self.shuffle or self.dataset.random):
            self.seed = draw_seed(self.generator)
        batches = self._read(first, self.seed, epoch if self._seeded else 0)
        if self.prefetch:
            batches = _read_ahead(batches, self.prefetch)
        try:
            for index, arrays in enumerate(batches, first + 1):
                if self._run is run:
                    self._batch = index
                yield tuple([from_numpy(array) for array in arrays])
        finally:
            batches.close()  # type: ignore[attr-defined]
        if self._run is run:
            self.set_epoch(epoch + 1)

    def _read(self, first: int, seed: int | None, epoch: int) -> Iterator[tuple[Array, ...]]:
        order, size = self._order(seed, epoch), self.batch_size
        gather = self.dataset.gather
        for batch in range(first, len(self)):
            indices = order[batch * size : (batch + 1) * size]
            try:
                if self.dataset.random and seed is not None:
                    arrays = gather(indices, batch_generator(seed, epoch, batch))
                else:
                    arrays = gather(indices)
                if batch == first:
                    _check_batch(arrays, len(indices))
            except Exception as error:
                samples = listing(list(indices))
                where = f"batch {batch} of epoch {self._epoch}"
                error.add_note(f"while reading {where}: samples {samples}")
                raise
            yield arrays

    def state_dict(self) -> dict[str, int | None]:
        """The position of the loader as values for JSON. The next batch is the first unread one.

        >>> from chainrule.data import ArrayDataset
        >>> DataLoader(ArrayDataset(np.arange(5)), batch_size=2).state_dict()
        {'length': 5, 'batch_size': 2, 'shuffle': False, 'drop_last': False,
         'seeded': False, 'seed': None, 'epoch': 0, 'batch': 0}
        """
        return {
            **self._fixed(),
            "seed": self.seed,
            "epoch": self._epoch,
            "batch": self._batch,
        }

    def _fixed(self) -> dict[str, int | None]:
        values = (self._length, self.batch_size, self.shuffle, self.drop_last, self._seeded)
        return dict(zip(_FIXED, values, strict=True))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of a saved loader, with its seed, order and augmentation.

        Later epochs without a given seed draw it from the current state of the generator.
        Raises ArgumentError, with both values, if the length of the data, batch size, shuffle,
        drop_last or the source of seeds differ, since the position would then mean other samples.
        The loader is unchanged on error.
        """
        here = self.state_dict()
        if set(state) != set(here):
            raise ArgumentError(
                "not the state of a DataLoader", given=sorted(state), expected=sorted(here)
            )
        different = [
            f"{key} was {state[key]} and is {here[key]}"
            for key in _FIXED
            if state[key] != here[key]
        ]
        if different:
            raise ArgumentError(
                f"the saved loader read other batches: {'; '.join(different)}",
                instead="Restore it with the same data and batch size, or start a new epoch "
                "with set_epoch(epoch).",
            )
        if self._seeded or state["seed"] is not None:
            check_seed(state["seed"])
        self.set_epoch(state["epoch"], state["batch"])
        self.seed = state["seed"]


def _no_dataset(value: Any) -> DTypeError:
    if isinstance(value, Iterator):
        instead = "Loop over the batches of an iterator themselves; it has no numbered samples."
    else:
        instead = "Wrap arrays: cr.data.ArrayDataset(x, y)."
    return DTypeError("DataLoader takes a Dataset", given=type(value).__name__, instead=instead)


def _whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentError(f"{name} is a whole number", given=repr(value), expected=f">= {least}")
    if value < least:
        raise ArgumentError(f"{name} is too small", given=value, expected=f">= {least}")
    return int(value)


def _check_batch(arrays: Any, count: int) -> None:
    if not isinstance(arrays, tuple) or not all(isinstance(a, np.ndarray) for a in arrays):
        raise DTypeError(
            "gather returns a tuple of NumPy arrays",
            given=type(arrays).__name__,
            instead="Return (x, y), or (x,) for a single array.",
        )
    shapes = [array.shape for array in arrays]
    if any(shape[:1] != (count,) for shape in shapes):
        raise ShapeError(f"gather was asked for {count} samples", given=f"shapes {shapes}")


_END = object()


def _read_ahead(batches: Iterator[Any], depth: int) -> Iterator[Any]:
    """The same items, read up to `depth` ahead by one thread. Its exceptions are raised here."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in batches:
                ready.put((item, None))
                if stopped.is_set():
                    return
            ready.put((_END, None))
        except BaseException as error:
            ready.put((_END, error))

    # Settings are scoped to the context: the thread uses those of the loop.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True, name="DataLoader")
    try:
        thread.start()
    except RuntimeError:  # The system cannot start a thread.
        yield from batches
        return
    try:
        while True:
            item, error = _next(ready, thread)
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.005)


def _next(ready: queue.Queue[Any], thread: threading.Thread) -> Any:
    while True:
        try:
            return ready.get(timeout=1.0)
        except queue.Empty:
            # A forked process inherits the queue, but not the thread.
            if not thread.is_alive() and ready.empty():
                raise RuntimeError(
                    "the DataLoader's reading thread is gone (was the process forked in mid-loop?);"
                    " start a new loop in the child process"
                ) from None
