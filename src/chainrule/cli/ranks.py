"""Starting a command again on several ranks: `chainrule train --ranks N`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from chainrule.engine.threads import VARIABLES, usable_cpus
from chainrule.errors import missing_dependency


def launch(ranks: int, arguments: list[str]) -> NoReturn:
    """Become the launcher of `chainrule ARGUMENTS` on several ranks.

    The threads of the machine are shared equally, unless the environment says how many there are.
    """
    command = [mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", "chainrule"]
    threads = max(1, usable_cpus() // ranks)
    environment = {**dict.fromkeys(VARIABLES, str(threads)), **os.environ}
    sys.stdout.flush()
    os.execve(command[0], [*command, *arguments], environment)


def mpiexec() -> str:
    """The launcher beside this Python, where the extra installs it, or the first on the path."""
    own = Path(sys.executable).parent / "mpiexec"
    found = str(own) if own.exists() else shutil.which("mpiexec")
    if found is None:
        raise missing_dependency("mpich", "mpi", "--ranks")
    return found
