"""The history of a training: one record per epoch, returned by `fit`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

from chainrule.errors import ArgumentError, listing
from chainrule.train.metrics import Metric, direction

Record = dict[str, Any]


class History(Sequence[Record]):
    """The records of all epochs. `history[-1]` is the last record; `history["loss"]` is a list with
    one value per epoch.

    stopped: the reason why training ended before its last epoch, or None.
    interrupted: the signal that stopped training ("SIGINT", "SIGTERM"), or None.

    >>> history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}])
    >>> history["loss"], history.best("loss")["epoch"]
    ([2.0, 1.0], 2)
    """

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records = [dict(record) for record in records]
        self.metrics: Sequence[Metric] = ()
        self.stopped: str | None = None
        self.interrupted: str | None = None

    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> list[Record]: ...
    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.records[key]
        if not any(key in record for record in self.records):
            known = listing(sorted({name for record in self.records for name in record}), 20, key)
            raise ArgumentError(f"the history has no {key!r}", expected=known or "an epoch first")
        return [record.get(key) for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def append(self, record: Record) -> None:
        """Add the record of an epoch."""
        self.records.append(record)

    def best(self, monitor: str, mode: str | None = None) -> Record:
        """The record in which `monitor` is best; NaN is never best.

        mode: "min" or "max"; by default as the metric of that name declares.
        """
        best = Best(mode or direction(monitor, self.metrics))
        found = [r for r in self.records if monitor in r and best.update(r[monitor])]
        if not found:
            raise ArgumentError(f"no epoch has a finite {monitor!r}")
        return found[-1]

    def __repr__(self) -> str:
        lines = [line_of(record) for record in self.records[-5:]]
        return "\n".join([f"History of {len(self)} epochs", *lines])


class Best:
    """The best value of a quantity so far. `update` returns whether a new value is better.

    mode: "min" if smaller values are better, "max" if larger ones are. NaN is never best. A value
    is better only if it differs by more than `min_delta`.

    >>> best = Best("min")
    >>> [best.update(x) for x in (1.0, float("nan"), 0.5, 0.7)]
    [True, False, True, False]
    """

    def __init__(self, mode: str | None, min_delta: float = 0.0) -> None:
        if mode not in (None, "min", "max"):
            raise ArgumentError("unknown mode", given=mode, expected="'min' or 'max'")
        if not 0 <= min_delta < math.inf:
            raise ArgumentError("min_delta is a number >= 0", given=min_delta)
        self.mode, self.min_delta = mode, min_delta
        self.value: float | None = None

    def update(self, value: float) -> bool:
        """Add a value; True if it is the best one so far."""
        if math.isnan(value):
            return False
        if self.value is not None:
            gain = self.value - value if self.mode == "min" else value - self.value
            if not gain > self.min_delta:
                return False
        self.value = float(value)
        return True

    def load(self, value: float | None) -> None:
        """Restore a saved best value."""
        self.value = None if value is None else float(value)


def line_of(record: Record) -> str:
    """A record as one line: `epoch 3  loss 0.1203  accuracy 0.9661  valid_loss ...`."""
    numbers = [
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in record.items()
        if isinstance(value, (int, float)) and name not in ("step", "lr", "seconds")
    ]
    if "seconds" in record:
        numbers.append(f"{record['seconds']:.1f} s")
    return "  ".join(numbers)
