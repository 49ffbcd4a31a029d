"""Sums over the ranks of a job: the ops that communicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.gateway import apply
from chainrule.kinds import Collective
from chainrule.ops.rules import numeric
from chainrule.ops.shape import cat
from chainrule.primitive import Spec, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy
from chainrule.world import nodes_by_rank, world


def of_all_ranks(input: Tensor) -> Any:
    """The arguments of a sum to which each rank adds one tensor."""
    return (input.unsqueeze(0),), {"shards": world().size}


@primitive
class all_reduce:
    """y = Σ x over all ranks, on each of them.   ∂x = the sum of g over all ranks.

    The sum is a balanced tree over `shards`, and row i of x is the sum of the i-th subtree of this
    rank: one row if each rank has one shard. Rows beyond the subtrees are 0.
    """
    kind, arguments = Collective(), of_all_ranks
    samples = cases(
        lambda rng: (rng.normal(size=(1, 3, 4)), {"shards": 1}),
        lambda rng: (rng.normal(size=(1, 5)), {"shards": 4}),
    )
    def infer(x, *, shards):
        if not x.shape:
            raise ShapeError("a sum over shards has a row for each subtree", given=x.shape)
        return Spec(x.shape[1:], numeric(x).dtype)
    def fill(out, x, *, shards):
        world().add_up(x, shards, out)
    def forward(x, *, shards):
        return world().add_up(x, shards, np.empty(x.shape[1:], x.dtype))
    def vjp(g, x_spec, shards):
        return all_reduce(g).unsqueeze(0).expand(x_spec.shape),
    def batch(xs, batched, params):
        return apply(all_reduce, xs[0].movedim(0, 1), **params)


def sum_of_shards(rows: Sequence[Sequence[Tensor]], shards: int) -> list[Tensor]:
    """Σ over the shards of all ranks of several tensors, which travel in one buffer.

    rows: for each subtree of this rank (see world.py), its sums, all of one dtype.
    """
    ranks, specs = world(), rows[0]
    count = sum(x.spec.size for x in specs)
    padding = from_numpy(np.zeros(-count % ranks.size, specs[0].dtype))
    flat = [cat([*(x.reshape(-1) for x in row), padding]).unsqueeze(0) for row in rows]
    longest = max(map(len, nodes_by_rank(shards, ranks.size)))
    flat += [flat[0] * 0] * (longest - len(rows))
    total = apply(all_reduce, flat[0] if longest == 1 else cat(flat), shards=shards)
    ends = np.cumsum([x.spec.size for x in specs]).tolist()
    return [
        total[end - x.spec.size : end].reshape(x.shape) for x, end in zip(specs, ends, strict=True)
    ]
