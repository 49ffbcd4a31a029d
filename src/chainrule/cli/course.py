"""The course: the list of lessons, and the notebooks to open.

In a clone, the lessons are in the folder `lessons/` beside `src/`. An installed package contains
them and copies them to the working folder, since notebooks are modified, and
`from lessons.by_hand import ...` needs a folder of that name.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from chainrule.errors import ArgumentError, ChainruleError, missing_dependency

_PACKAGE = Path(__file__).parents[1]
CLONE = _PACKAGE.parent.parent / "lessons"
CARRIED = _PACKAGE / "lessons"
_JUPYTERS = ("jupyterlab", "notebook")
_TITLE = re.compile(r"^# # (\d+)\. (.+)$", re.M)


class Lesson(NamedTuple):
    """A lesson: its number, title, first sentence, and the name of its file."""

    number: int
    title: str
    summary: str
    name: str


def folder() -> Path:
    """The folder of the course in this installation."""
    for place in (CLONE, CARRIED):
        if any(place.glob("[0-9][0-9]_*.py")):
            return place
    raise ChainruleError(
        "this installation has no lessons",
        expected=f"{CLONE} or {CARRIED}",
        instead="Install the package again, or work in a clone.",
    )


def lessons(place: Path | None = None) -> list[Lesson]:
    """The lessons in order, read from their files."""
    files = sorted((place or folder()).glob("[0-9][0-9]_*.py"))
    return [lesson for file in files if (lesson := _read(file)) is not None]


def _read(file: Path) -> Lesson | None:
    """Number, title and first sentence of the text form of a notebook."""
    text = file.read_text(encoding="utf-8")
    title = _TITLE.search(text)
    if title is None:
        return None
    lines = []
    for line in text[title.end() :].lstrip("\n#").splitlines():
        if not line.strip("# ") or line.startswith("# %%"):
            break
        lines.append(line.removeprefix("#").strip())
    paragraph = " ".join(lines)
    sentence = re.match(r".*?[.!?](?=\s+[A-Z`$]|$)", paragraph)
    return Lesson(
        int(title[1]), title[2].strip(), sentence[0] if sentence else paragraph, file.stem
    )


def at_hand(number: int, target: Path | None = None) -> tuple[Path, list[Path]]:
    """The notebook of a lesson to work in, and the existing files that were kept.

    In a clone, it is the notebook of the clone. Otherwise the course is copied to `target`
    (./lessons). Existing files that differ are never overwritten.
    """
    place, kept = folder(), list[Path]()
    lesson = _numbered(number, place)
    if place != CLONE:
        place, kept = _copied(place, target or Path("lessons"))
    notebook = place / f"{lesson.name}.ipynb"
    return (notebook if notebook.exists() else place / f"{lesson.name}.py"), kept


def answers(number: int) -> Path:
    """The file with the answers to the exercises of a lesson."""
    place = folder()
    return place / "answers" / f"lesson_{_numbered(number, place).number:02}.py"


def _numbered(number: int, place: Path) -> Lesson:
    """The lesson with this number. Raises ArgumentError if there is none."""
    found = {lesson.number: lesson for lesson in lessons(place)}
    if number not in found:
        numbers = ", ".join(map(str, found))
        raise ArgumentError("there is no such lesson", given=number, expected=numbers)
    return found[number]


def _copied(source: Path, target: Path) -> tuple[Path, list[Path]]:
    """Copy the course to `target`; returns the existing files that differ and were kept."""
    kept = []
    for file in sorted(source.rglob("*")):
        if file.is_dir() or "__pycache__" in file.parts:
            continue
        copy = target / file.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        elif copy.read_bytes() != file.read_bytes():
            kept.append(copy)
    return target, kept


def show(notebook: Path) -> None:
    """Replace this process by Jupyter with a notebook, so that Ctrl-C and the exit code are
    Jupyter's.

    Raises MissingDependencyError if Jupyter is not installed for this Python.
    """
    found = [name for name in _JUPYTERS if importlib.util.find_spec(name)]
    if not found:
        raise missing_dependency("Jupyter", "lessons", "opening a lesson")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", found[0], os.fspath(notebook)])
