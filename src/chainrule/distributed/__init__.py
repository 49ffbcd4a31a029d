"""Training on several ranks: processes that an MPI launcher starts together (extra `mpi`).

    mpiexec -n 4 python -m mpi4py train.py

Each process runs the same script. A Trainer finds the other ranks by itself. In a loop of your own,
let each rank read its part of each batch, and `wrap` the optimizer:

    loader = cr.data.DataLoader(data, 64, shuffle=True, seed=0, part=cr.distributed.part())
    optimizer = cr.distributed.wrap(optim.Adam(model.parameters()))

A process that no launcher started is a world of one, where the same script runs, too.
"""

from __future__ import annotations

from chainrule.distributed.gradients import Replicated, wrap
from chainrule.distributed.ranks import all_gather, barrier, broadcast, part, rank, world_size
from chainrule.ops.collectives import all_reduce

__all__ = [
    "Replicated",
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "part",
    "rank",
    "world_size",
    "wrap",
]
