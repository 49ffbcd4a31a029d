"""Commands on several ranks: `chainrule train --ranks N`, or under a launcher of MPI."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from chainrule.engine.threads import VARIABLES, usable_cpus
from chainrule.errors import ArgumentError, missing_dependency
from chainrule.world import CHILD, LAUNCHED, World, nodes_by_rank, world


def join_ranks(ranks: int | None, shards: int | None) -> World:
    """The ranks of this job. With another number of ranks, the command starts again on these."""
    found = world()
    if ranks is None or ranks == found.size:
        return found
    nodes_by_rank(shards or ranks, ranks)  # raises an error where that is not possible
    if found.size > 1 or any(name in os.environ for name in (*LAUNCHED, CHILD)):
        raise ArgumentError(
            f"--ranks {ranks} in a job of {found.size} ranks",
            instead="Leave out --ranks, or start the command without mpiexec.",
        )
    _launch(ranks, sys.argv[1:])


def _launch(ranks: int, arguments: list[str]) -> NoReturn:
    """Become the launcher of `chainrule ARGUMENTS` on several ranks.

    The threads of the machine are shared equally, unless the environment says how many there are.
    """
    command = [mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", "chainrule"]
    threads = str(max(1, usable_cpus() // ranks))
    environment = {**dict.fromkeys(VARIABLES, threads), **os.environ}
    os.execve(command[0], [*command, *arguments], environment)


def mpiexec() -> str:
    """The launcher beside this Python, where the extra installs it, or the first on the path."""
    own = Path(sys.executable).parent / "mpiexec"
    found = str(own) if own.exists() else shutil.which("mpiexec")
    if found is None:
        raise missing_dependency("mpich", "mpi", "--ranks")
    return found
