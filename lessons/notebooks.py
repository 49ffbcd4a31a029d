"""Runs the lessons and writes them as notebooks with outputs: `make lessons`.

The text form `NN_name.py` is the source; `NN_name.ipynb` is made from it and never edited. What
would differ from run to run without meaning (times of execution, random cell names, the versions
of the machine's Python) is left out, so that a change of a lesson is a small change of its file.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
DRAWN = re.compile(r"^[\[(]*(<(matplotlib|Axes)|Text\(|<[\w.]+ at 0x)")
"""How what the last line of a drawing cell returns prints itself: nothing that a reader needs."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def lessons(numbers: list[str]) -> list[Path]:
    """The text of the lessons with these numbers, or of all."""
    wanted = {f"{int(number):02}" for number in numbers}
    return [p for p in sorted(FOLDER.glob("[0-9][0-9]_*.py")) if not wanted or p.name[:2] in wanted]


def executed(path: Path) -> Any:
    """The notebook of a lesson after all its cells have run in a fresh kernel."""
    notebook = jupytext.read(path)
    for place, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{place:03}"
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", record_timing=False,
        coalesce_streams=True, extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    return notebook


def plain(notebook: Any) -> Any:
    """Without what differs from run to run and says nothing."""
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": {"formats": "ipynb,py:percent"},
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_drawn(output)]
    return notebook


def _is_drawn(output: Any) -> bool:
    data = output.get("data", {})
    return set(data) == {"text/plain"} and bool(DRAWN.match(data["text/plain"]))


def main(numbers: list[str]) -> None:
    for path in lessons(numbers):
        start = time.perf_counter()
        notebook = plain(executed(path))
        seconds = time.perf_counter() - start
        target = path.with_suffix(".ipynb")
        nbformat.write(notebook, target)
        print(f"{path.stem:<40} {seconds:6.1f} s {target.stat().st_size / 1e3:8.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
