"""The ranks of a job, and what they exchange beside sums."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy
from chainrule.world import nodes_by_rank, world


def rank() -> int:
    """The number of this process among all, from 0; 0 for one process.

    >>> rank()
    0
    """
    return world().rank


def world_size() -> int:
    """The number of processes; 1 if no launcher started this one.

    >>> world_size()
    1
    """
    return world().size


def barrier() -> None:
    """Wait until all ranks are here. Raises RankError if one does not come in time."""
    world().barrier()


def broadcast(tensor: Tensor, source: int = 0) -> Tensor:
    """Write the numbers of the rank `source` into the tensor of all ranks, and return it.

    All ranks pass a tensor of one shape and dtype.

    >>> import chainrule as cr
    >>> broadcast(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not isinstance(tensor, Tensor):
        raise DTypeError("broadcast takes a tensor", given=type(tensor).__name__)
    numbers = world().broadcast(np.array(tensor.detach().numpy()), source)
    with use(gradients=False):
        tensor.assign(from_numpy(numbers))
    return tensor


def all_gather(tensor: Tensor) -> list[Tensor]:
    """The tensors of all ranks, by rank: of one dtype, of any shapes with as many dimensions.

    >>> import chainrule as cr
    >>> all_gather(cr.tensor([1.0, 2.0]))
    [tensor([1., 2.])]
    """
    array = np.ascontiguousarray(tensor.detach().numpy())
    head = np.array(array.shape, np.int64).tobytes()
    found = world().gather(head + array.tobytes())
    shapes = [np.frombuffer(data[: len(head)], np.int64) for data in found]
    pairs = zip(found, shapes, strict=True)
    return [
        from_numpy(np.frombuffer(data[len(head) :], array.dtype).reshape(shape).copy())
        for data, shape in pairs
    ]


def part(shards: int | None = None) -> tuple[int, int, int]:
    """The part of each batch that this rank reads: `DataLoader(..., part=part())`.

    shards: the number of parts of a batch, a multiple of the number of ranks; by default that.
    Raises ArgumentError for another number.

    >>> part(), part(shards=4)
    ((0, 1, 1), (0, 4, 4))
    """
    ranks = world()
    count = ranks.size if shards is None else shards
    nodes = nodes_by_rank(count, ranks.size)[ranks.rank]
    return nodes[0][0], nodes[-1][1], count
