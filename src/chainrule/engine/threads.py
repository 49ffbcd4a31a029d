"""The number of threads of the engine: what the machine allows, and what the user requests."""

from __future__ import annotations

import math
import os
import warnings

from chainrule.engine.native import available, module
from chainrule.errors import ArgumentError

MAX_THREADS = 256
VARIABLES = ("CHAINRULE_NUM_THREADS", "OMP_NUM_THREADS")


def usable_cpus() -> int:
    """The number of processors for this process, by its affinity and its container's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(cpus, _container_limit()))


def _container_limit() -> int:
    """The CPU limit of the control group (version 2, then 1), rounded up."""
    try:
        quota, period = _control("cpu.max").split()[:2]
    except (OSError, ValueError):
        try:
            quota, period = _control("cpu/cpu.cfs_quota_us"), _control("cpu/cpu.cfs_period_us")
        except OSError:
            return MAX_THREADS
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return MAX_THREADS
    return math.ceil(share) if share > 0 else MAX_THREADS


def _control(name: str) -> str:
    """A setting of the control group."""
    with open(f"/sys/fs/cgroup/{name}") as file:
        return file.read().strip()


def default_threads() -> int:
    """The number in the environment, limited to the usable CPUs; by default one thread for each.

    Warns about a value that is not valid.
    """
    cpus = usable_cpus()
    for name in VARIABLES:
        text = os.environ.get(name, "").strip()
        if not text:
            continue
        try:
            wanted = int(text)
        except ValueError:
            wanted = 0
        if 1 <= wanted <= cpus:
            return wanted
        chosen = cpus if wanted > cpus else 1 if text.lstrip("-").isdigit() else cpus
        warnings.warn(
            f"{name}={text!r} makes no sense with {cpus} usable CPUs; using {chosen} threads",
            RuntimeWarning,
            stacklevel=2,
        )
        return chosen
    return cpus


def set_num_threads(threads: int) -> None:
    """Set the number of threads. More than the machine has is allowed, but slow.

    Results do not depend on it. Raises ArgumentError unless it is an integer from 1 to 256.

    >>> before = num_threads()
    >>> set_num_threads(1)
    >>> num_threads()
    1
    >>> set_num_threads(before)
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ArgumentError("the number of threads is an integer ≥ 1", given=threads)
    if threads > MAX_THREADS:
        raise ArgumentError(
            "this many threads only slow each other down",
            given=threads,
            expected=f"at most {MAX_THREADS}",
        )
    if available():
        module().set_thread_count(threads)


def num_threads() -> int:
    """The number of threads of the engine; 1 without it. NumPy's BLAS has its own number.

    >>> num_threads() >= 1
    True
    """
    return int(module().thread_count()) if available() else 1
