"""`torch.distributed` over MPI: the ranks that `mpiexec -n 4 python script.py` starts.

The backend is "mpi", and the one group is that of all ranks. Other names can be imported but not
called.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from enum import Enum
from typing import Any

from chainrule import distributed
from chainrule.errors import ArgumentError
from chainrule.ops.shape import stack
from chainrule.settings import use
from chainrule.tensor import Tensor
from chainrule.torch.adapter import names
from chainrule.world import world

_BACKEND = "mpi"
_is_initialized = False


class ReduceOp(Enum):
    """How `all_reduce` combines the tensors of all ranks."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4


_COMBINED: dict[ReduceOp, Callable[[Tensor], Tensor]] = {
    ReduceOp.PRODUCT: lambda x: x.prod(0),
    ReduceOp.MIN: lambda x: x.amin(0),
    ReduceOp.MAX: lambda x: x.amax(0),
}


class Work:
    """The handle of a call with `async_op`. The call has ended when it returns."""

    def wait(self, timeout: Any = None) -> bool:
        """Return True."""
        return True

    def is_completed(self) -> bool:
        """Return True."""
        return True


def is_available() -> bool:
    """Whether mpi4py is installed (`pip install 'chainrule[mpi]'`)."""
    return importlib.util.find_spec("mpi4py") is not None


def is_mpi_available() -> bool:
    """Whether mpi4py is installed."""
    return is_available()


def is_nccl_available() -> bool:
    """Return False: there is no GPU."""
    return False


is_gloo_available = is_torchelastic_launched = is_nccl_available


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _is_initialized


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **others: Any,
) -> None:
    """Find the ranks that the launcher started.

    timeout: seconds, or a timedelta, to wait for another rank. Raises ArgumentError for another
    backend than "mpi", and for a number of ranks that MPI did not start.
    """
    global _is_initialized
    if backend not in (None, _BACKEND):
        raise ArgumentError(
            "Chainrule's ranks talk over MPI",
            given=f"backend={backend!r}",
            expected="backend='mpi'",
            instead="Start the script with mpiexec -n 4 python -m mpi4py script.py.",
        )
    found = world()
    for name, given, here in (("world_size", world_size, found.size), ("rank", rank, found.rank)):
        if given not in (-1, here):
            raise ArgumentError(f"MPI started another {name}", given=given, expected=here)
    if timeout is not None:
        found.timeout = float(getattr(timeout, "total_seconds", lambda: timeout)())
    _is_initialized = True


def destroy_process_group(group: Any = None) -> None:
    """Wait for all ranks, and forget that `init_process_group` was called."""
    global _is_initialized
    if _is_initialized:
        distributed.barrier()
    _is_initialized = False


def get_rank(group: Any = None) -> int:
    """The number of this process among all."""
    _need_group(group)
    return distributed.rank()


def get_world_size(group: Any = None) -> int:
    """The number of processes."""
    _need_group(group)
    return distributed.world_size()


def get_backend(group: Any = None) -> str:
    """Return "mpi"."""
    _need_group(group)
    return _BACKEND


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all ranks are here."""
    _need_group(group)
    distributed.barrier()
    return Work() if async_op else None


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the sum of the tensors of all ranks, or another combination, into the tensor."""
    _need_group(group)
    with use(gradients=False):
        if op in (ReduceOp.SUM, ReduceOp.AVG):
            result = distributed.all_reduce(tensor.detach())
            result = result / distributed.world_size() if op is ReduceOp.AVG else result
        else:
            result = _COMBINED[op](stack(distributed.all_gather(tensor)))
        tensor.assign(result.to(tensor.dtype))
    return Work() if async_op else None


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """As `all_reduce`; the result is written on the rank `dst` alone."""
    result = tensor.detach().clone()
    done = all_reduce(result, op, group, async_op)
    if get_rank() == (dst or 0):
        with use(gradients=False):
            tensor.assign(result)
    return done


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the tensor of the rank `src` into that of all ranks."""
    _need_group(group)
    distributed.broadcast(tensor, src or 0)
    return Work() if async_op else None


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the tensors of all ranks into the tensors of the list."""
    _need_group(group)
    with use(gradients=False):
        for place, found in zip(tensor_list, distributed.all_gather(tensor), strict=True):
            place.assign(found)
    return Work() if async_op else None


def _need_group(group: Any) -> None:
    if not _is_initialized:
        raise ArgumentError(
            "the process group is not initialized",
            instead="Call torch.distributed.init_process_group(backend='mpi') first.",
        )
    if group is not None:
        raise ArgumentError("there is one group, that of all ranks", given=group, expected="None")


__getattr__, __dir__ = names.facade(__name__)
