"""Training on shards: each batch is cut into a fixed number of parts, which ranks share.

Each shard gives its own gradient, of loss · divisor, with its own random numbers and its own
statistics of batch norm. The sum over shards is a balanced tree (see world.py), and the update uses
Σ divisor · gradient / Σ divisor: the gradient of the mean over the batch. So the bits of a training
depend on the number of shards, and not on that of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule import tree
from chainrule.data.loader import DataLoader
from chainrule.errors import ArgumentError
from chainrule.interpreters import top
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.module import Module
from chainrule.ops.collectives import sum_of_shards
from chainrule.ops.compare import where
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
        if default_generator.state.shape != (2,):
            raise ArgumentError(
                "shards draw random numbers by counter, and chainrule.torch draws PyTorch's",
                instead="Do not import chainrule.torch, or use DistributedDataParallel.",
            )
        ranks = world()
        self.shards, self.nodes = shards, nodes_by_rank(shards, ranks.size)[ranks.rank]
        self.first, self.last = self.nodes[0][0], self.nodes[-1][1]

    @property
    def part(self) -> tuple[int, int, int]:
        """The part of each batch that a loader reads for this rank."""
        return self.first, self.last, self.shards

    def share(
        self, batch: tuple[Any, ...], loss: Module, loader: DataLoader | None, number: int
    ) -> Share:
        """The share of this rank in the batch of this number."""
        given = next(x for x in tree.flatten(batch) if isinstance(x, Tensor)).shape[0]
        part = None if loader is None else loader.part
        if part not in (None, self.part):
            raise ArgumentError(
                "the loader reads the part of another rank",
                given=f"part={part}",
                expected=f"part={self.part}, or no part",
            )
        size = given if loader is None or part is None else loader.size_of(number)
        edges = [s * size // self.shards for s in range(self.first, self.last + 1)]
        start = 0 if part is None else edges[0]
        kept, places, weights, end = [], [], [], 0
        weight_of = _weights(loss, batch[-1])
        for i, shard in enumerate(range(self.first, self.last)):
            rows = slice(edges[i] - start, edges[i + 1] - start)
            if rows.start < rows.stop and (weight := weight_of(rows)):
                places.append((shard, end, end := end + rows.stop - rows.start))
                weights.append(weight)
                kept.append(rows)
        if end < given:
            complete = end == edges[-1] - edges[0]
            own = slice(edges[0] - start, edges[-1] - start)
            index = own if complete else np.r_[(slice(0), *kept)]
            batch = tree.map_leaves(lambda x: _rows(x, index), batch)
        numbers = from_numpy(np.array(weights, np.float32))
        return Share(batch, slice(edges[0], edges[-1]), tuple(places), numbers)


def _weights(loss: Module, targets: Any) -> Callable[[slice], float]:
    """The weight of the gradient of some rows: the divisor of a mean, or 1 for a sum."""
    divisor, array = getattr(loss, "divisor", None), getattr(targets, "_data", None)
    if getattr(loss, "reduction", "mean") == "sum":
        return lambda rows: 1.0
    if divisor is None or array is None:
        return lambda rows: float(rows.stop - rows.start)
    return lambda rows: float(divisor(array[rows]))


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
        learned = [p for g in self.optimizer.param_groups for p in g.params if p.requires_grad]
        state = [b for b in self.model.buffers() if b.dtype.kind in "fiu"]
        state.append(default_generator.state)
        before = [wrap(top().lifted(x)) for x in state]
        leaves, outputs = {}, []
        for i, (shard, first, last) in enumerate(places):
            self._enter(shard, state, before)
            rows = [x[first:last] if isinstance(x, Tensor) else x for x in (*inputs, targets)]
            loss, output = loss_of(self.model, self.loss, rows[:-1], rows[-1])
            (loss * weights[i].to(loss.dtype)).backward()
            outputs.append(output)
            leaves[shard, shard + 1] = summands(learned, state, before, loss, weights[i], asks)
        self._enter(self.shards, state, before)
        for shard in range(self.nodes[0][0], self.nodes[-1][1]):
            if (shard, shard + 1) not in leaves:  # it has no samples, and adds 0
                nothing = zeros_like(asks)
                leaves[shard, shard + 1] = summands(learned, state, before, nothing, nothing, asks)
        subtotals = [tree_sum(*node, leaves, _sum) for node in self.nodes]
        sums = subtotals[0] if world().size == 1 else sum_of_shards(subtotals, self.shards)
        *totals, loss, count, asked = sums
        scale = 1.0 / count
        with use(gradients=False):
            for x, old, change in zip(state, before, totals[len(learned) :], strict=False):
                mean = change * scale
                x.assign(old + (mean if x.dtype.kind == "f" else mean.round()).to(x.dtype))
            if getattr(self.loss, "reduction", "mean") != "sum":
                totals, loss = [total * scale for total in totals], loss * scale
            for p, total in zip(learned, totals, strict=False):
                p.grad = total.to(p.dtype)
        self._update(loss)
        return loss, joined(outputs), count, asked

    def _enter(self, shard: int, state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
        """Set the buffers to their values before the step, and the random state to the shard's."""
        with use(gradients=False):
            for x, old in zip(state[:-1], before[:-1], strict=True):
                x.assign(old)
            state[-1].assign(before[-1] + from_numpy(np.array([0, shard * STRIDE])))


def summands(
    learned: Sequence[Tensor],
    state: Sequence[Tensor],
    before: Sequence[Tensor],
    loss: Tensor,
    weight: Tensor,
    asks: Tensor,
) -> list[Tensor]:
    """What a shard adds to the sums: its gradients, which are then cleared, the changes of buffers
    and the loss, weighted; the weight; and whether the rank asks to stop."""
    dtype = np.result_type(np.float32, *[p.dtype for p in learned])
    with use(gradients=False):
        gradients = [zeros_like(p) if p.grad is None else p.grad.detach() for p in learned]
        changes = [
            where(x == old, 0, x - old).to(dtype) * weight.to(dtype)  # also 0 for ∞ − ∞
            for x, old in zip(state[:-1], before[:-1], strict=True)
        ]
        for p in learned:
            p.grad = None
        weighted = loss.detach() * weight.to(loss.dtype)
        return [x.to(dtype) for x in (*gradients, *changes, weighted, weight, asks)]


def _sum(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    return [x + y for x, y in zip(a, b, strict=True)]


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
