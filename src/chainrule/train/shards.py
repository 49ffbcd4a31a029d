"""Training on shards: each batch is cut into a fixed number of parts, which ranks share.

Each shard gives its own gradient, of loss · divisor, with its own random numbers and its own
statistics of batch norm. The sum over shards is a balanced tree (see world.py), and the update uses
Σ divisor · gradient / Σ divisor: the gradient of the mean over the batch. So the bits of a training
depend on the number of shards, and not on that of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import tree
from chainrule.data.loader import DataLoader
from chainrule.errors import ArgumentError
from chainrule.interpreters import top
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.module import Module
from chainrule.ops.collectives import sum_of_shards
from chainrule.ops.creation import zeros_like
from chainrule.ops.random import default_generator
from chainrule.ops.shape import cat
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy, wrap
from chainrule.train.step import TrainingStep, loss_of
from chainrule.world import nodes_by_rank, tree_sum, world

STRIDE = 2**28
"""The counters of random numbers that a shard has in a step: shard s of V starts at c + s·STRIDE,
and the next step at c + V·STRIDE."""


class Share(NamedTuple):
    """What a rank computes of a batch.

    batch: its samples, without shards that have no label to learn from.
    rows: their places in the whole batch.
    places: the number of each shard, and its first and last row in `batch`.
    weights: the divisor of the loss of each shard.
    """

    batch: tuple[Any, ...]
    rows: slice
    places: tuple[tuple[int, int, int], ...]
    weights: Tensor


class Sharding:
    """Cuts batches into `shards`, of which this rank has those from `first` to `last`."""

    def __init__(self, shards: int) -> None:
        check_counts("Trainer", shards=shards)
        ranks = world()
        self.shards, self.nodes = shards, nodes_by_rank(shards, ranks.size)[ranks.rank]
        self.first, self.last = self.nodes[0][0], self.nodes[-1][1]

    @property
    def part(self) -> tuple[int, int, int]:
        """The part of each batch that a loader reads for this rank."""
        return self.first, self.last, self.shards

    def share(self, batch: tuple[Any, ...], loss: Module, loader: DataLoader, number: int) -> Share:
        """The share of this rank in the batch of this number."""
        given = next(x for x in tree.flatten(batch) if isinstance(x, Tensor)).shape[0]
        if loader.part not in (None, self.part):
            raise ArgumentError(
                "the loader reads the part of another rank",
                given=f"part={loader.part}",
                expected=f"part={self.part}, or no part",
            )
        size = given if loader.part is None else loader.size_of(number)
        edges = [s * size // self.shards for s in range(self.first, self.last + 1)]
        start = 0 if loader.part is None else edges[0]
        kept, weights, places, end = [], [], [], 0
        for i, shard in enumerate(range(self.first, self.last)):
            rows = slice(edges[i] - start, edges[i + 1] - start)
            weight = weight_of(loss, _rows(batch[-1], rows), rows.stop - rows.start)
            if weight:
                kept.append(np.arange(rows.start, rows.stop))
                places.append((shard, end, end + len(kept[-1])))
                weights.append(weight)
                end += len(kept[-1])
        if end < given:
            whole = slice(edges[0] - start, edges[-1] - start)
            index = whole if end == edges[-1] - edges[0] else np.concatenate([*kept, [0][:0]])
            batch = tree.map_leaves(lambda x: _rows(x, index), batch)
        numbers = from_numpy(np.array(weights, np.float32))
        return Share(batch, slice(edges[0], edges[-1]), tuple(places), numbers)


def weight_of(loss: Module, targets: Any, count: int) -> float:
    """The weight of the gradient of a shard: the divisor of a mean, or 1 for a sum; 0 for no
    sample."""
    if not count or getattr(loss, "reduction", "mean") == "sum":
        return float(count > 0)
    divisor = getattr(loss, "divisor", None)
    return float(count if divisor is None else divisor(getattr(targets, "_data", targets)))


def _rows(value: Any, rows: Any) -> Any:
    return wrap(value._data[rows]) if isinstance(value, Tensor) else value


class ShardedStep(TrainingStep):
    """One update from the gradients of all shards. Returns (loss, outputs, Σ divisor, asked).

    A parameter that no shard uses gets a gradient of 0. Of buffers that the model writes, such as
    running statistics, each shard changes the values before the step; their new value adds the mean
    change, weighted by the divisors.
    """

    def __init__(self, *parts: Any, sharding: Sharding) -> None:
        super().__init__(*parts)
        self.shards, self.nodes = sharding.shards, sharding.nodes

    def __call__(  # type: ignore[override]
        self,
        inputs: Sequence[Tensor],
        targets: Any,
        places: tuple[tuple[int, int, int], ...],
        weights: Tensor,
        asks: Tensor,
    ) -> tuple[Tensor, Any, Tensor, Tensor]:
        self.optimizer.zero_grad()
        learned = [p for group in self.optimizer.param_groups for p in group.params]
        learned = [p for p in learned if p.requires_grad]
        state = [b for b in self.model.buffers() if b.dtype.kind in "fiu"]
        state.append(default_generator.state)
        before = [wrap(top().lifted(x)) for x in state]
        dtype = np.result_type(np.float32, *[p.dtype for p in learned])
        leaves, outputs = {}, []
        for i, (shard, first, last) in enumerate(places):
            self._enter(shard, state, before)
            rows = [x[first:last] if isinstance(x, Tensor) else x for x in (*inputs, targets)]
            loss, output = loss_of(self.model, self.loss, rows[:-1], rows[-1])
            (loss * weights[i].to(loss.dtype)).backward()
            outputs.append(output)
            with use(gradients=False):
                weight = weights[i].to(dtype)
                changes = [
                    (x - old).to(dtype) * weight
                    for x, old in zip(state[:-1], before[:-1], strict=True)
                ]
                summands = [*map(_taken, learned), *changes, loss.detach() * weight, weight, asks]
                leaves[shard, shard + 1] = [x.to(dtype) for x in summands]
        with use(gradients=False):
            sums = self._added(leaves, [*learned, *state[:-1], asks, asks], asks, dtype)
            *totals, loss, count, asked = sums
            self._enter(self.shards, state, before)
            divisor = 1.0 if getattr(self.loss, "reduction", "mean") == "sum" else count
            for p, total in zip(learned, totals[: len(learned)], strict=True):
                p.grad = (total / divisor).to(p.dtype)
            for x, old, change in zip(state, before, totals[len(learned) :], strict=False):
                mean = change / count
                x.assign(old + (mean if x.dtype.kind == "f" else mean.round()).to(x.dtype))
            loss = loss / divisor
        self._update(loss)
        return loss, joined(outputs), count, asked

    def _enter(self, shard: int, state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Set the buffers to their values before the step, and the random state to the shard's."""
        with use(gradients=False):
            for x, old in zip(state[:-1], before[:-1], strict=True):
                x.assign(old)
            state[-1].assign(before[-1] + from_numpy(np.array([0, shard * STRIDE])))

    def _added(
        self, leaves: dict[Any, list[Tensor]], like: Sequence[Tensor], asks: Tensor, dtype: Any
    ) -> list[Tensor]:
        """The sums over all shards of all ranks. A shard without samples adds 0."""
        first, last = self.nodes[0][0], self.nodes[-1][1]
        absent = [n for s in range(first, last) if (n := (s, s + 1)) not in leaves]
        if absent:
            nothing = [*(zeros_like(x, dtype=dtype) for x in like), asks.to(dtype)]
            leaves = leaves | dict.fromkeys(absent, nothing)
        rows = [tree_sum(*node, leaves, _sum) for node in self.nodes]
        return rows[0] if world().size == 1 else sum_of_shards(rows, self.shards)


def _sum(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    return [x + y for x, y in zip(a, b, strict=True)]


def _taken(parameter: Tensor) -> Tensor:
    """The gradient of a parameter, which is then cleared; 0 if there is none."""
    g, parameter.grad = parameter.grad, None
    return zeros_like(parameter) if g is None else g.detach()


def joined(parts: Sequence[Any]) -> Any:
    """The outputs of several shards as those of one batch: tensors are concatenated."""
    if len(parts) < 2:
        return tree.map_leaves(_detached, parts[0]) if parts else None
    leaves = zip(*map(tree.flatten, parts), strict=True)
    return tree.unflatten(parts[0], [_concatenated(found) for found in leaves])


def _concatenated(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor) and first.ndim:
        return cat([x.detach() for x in parts])
    return _detached(first)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
