"""The first cell of every lesson: where its modules are, how many threads, how pictures look."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def begin(threads: int | None = 1) -> None:
    """Prepare a lesson. Call it before NumPy is imported: its libraries count their threads then.

    threads: of NumPy's libraries, unless the environment says otherwise. Small matrices are
        fastest with 1; None leaves the number to the libraries.
    """
    sys.path.insert(0, str(Path(__file__).parents[1]))
    for library in ("OPENBLAS", "OMP", "MKL") if threads else ():
        os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))
    from lessons import material

    material.style()
