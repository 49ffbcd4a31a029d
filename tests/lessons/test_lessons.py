"""The lessons run from top to bottom, have the form of the course, and match their notebooks."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainrule.cli import course

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
NAMES = [
    "01_a_neuron",
    "02_a_network_by_hand",
    "03_three_ways_of_gradient_descent",
    "04_the_chain_rule_automated",
    "05_the_same_network_in_cpp",
    "06_against_pytorch",
    "07_what_makes_deep_nets_train",
    "08_convolution_and_batch_norm",
    "09_function_approximation",
    "10_inside_the_framework",
]
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # """
LARGEST = 1_000_000
"""Bytes of a notebook: it is read by people, and kept for every version."""

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def run(lesson: Path, environment: dict[str, str]) -> None:
    """The lesson as a script in a process of its own, without a screen and without a network."""
    nowhere = "http://127.0.0.1:9"
    offline = {"http_proxy": nowhere, "https_proxy": nowhere, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(lesson)],
        cwd=ROOT,
        env={**environment, **offline},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@each_lesson
def test_a_lesson_runs(lesson: Path) -> None:
    """With the data that are here: MNIST if $CHAINRULE_DATA has it, else what ships."""
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    run(lesson, dict(os.environ))


def reads_mnist(lesson: Path) -> bool:
    """Whether $CHAINRULE_DATA makes a difference to this lesson."""
    return bool(re.search(r"handwritten\(|MNIST\(|\brace\.", lesson.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", [*filter(reads_mnist, LESSONS)], ids=lambda path: path.stem)
def test_a_lesson_runs_on_what_ships_alone(lesson: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    if not Path(os.environ.get("CHAINRULE_DATA", "/nowhere"), "mnist").is_dir():
        pytest.skip("there is no MNIST: the test above has run it so")
    environment = {k: v for k, v in os.environ.items() if k != "CHAINRULE_DATA"}
    run(lesson, {**environment, "CHAINRULE_CACHE": str(tmp_path)})


def test_the_course_is_complete() -> None:
    assert [path.stem for path in LESSONS] == NAMES
    found = course.lessons(FOLDER)
    assert [lesson.number for lesson in found] == list(range(1, len(NAMES) + 1))
    assert all(lesson.summary.endswith((".", "!", "?")) for lesson in found)


def test_the_map_names_every_lesson_as_it_is_called() -> None:
    text = (FOLDER / "README.md").read_text()
    for lesson in course.lessons(FOLDER):
        assert f"| {lesson.number} | [{lesson.title}]({lesson.name}.ipynb) |" in text


@each_lesson
def test_a_lesson_has_the_form_of_the_course(lesson: Path) -> None:
    text, number = lesson.read_text(), lesson.name[:2]
    assert text.startswith(f"{HEADER}{int(number)}. ")
    assert "\n# %%\nimport prelude\n\nprelude.begin(" in text and "sys.path" not in text
    headings = re.findall(r"^# (##? .+)$", text, re.M)
    assert headings[-1] == "## Exercises"
    assert text.count("**Predict, then run.**") >= 2
    assert (FOLDER / "answers" / f"lesson_{number}.py").exists()
    assert (Path(__file__).parent / f"test_answers_{number}.py").exists()


@each_lesson
def test_every_exercise_has_its_text_and_an_empty_cell(lesson: Path) -> None:
    number = int(lesson.name[:2])
    check = importlib.import_module(f"lessons.exercises.lesson_{number:02}").check
    text = lesson.read_text().rpartition("## Exercises")[2]
    assert f"chainrule lessons {number} --answers" in text
    assert "lessons.answers" not in lesson.read_text(), "a lesson does not give its answers away"
    titles = re.findall(r"^# \*\*(\d+)\. (.+?)\.?\*\*", text, re.M)
    assert [title.strip("?") for _, title in titles] == [e.title.strip("?") for e in check.all]
    assert [int(n) for n, _ in titles] == list(range(1, len(check.all) + 1))
    assert [int(n) for n in re.findall(r"^check\((\d+), \w+\)$", text, re.M)] == list(
        range(1, len(check.all) + 1)
    )


@each_lesson
def test_the_code_of_pictures_is_hidden_and_hides_no_claim(lesson: Path) -> None:
    assert "plt.show(" not in lesson.read_text()
    for cell in re.split(r"^# %%", lesson.read_text(), flags=re.M)[1:]:
        draws = re.search(r"^(material\.show|pictures\.movie)\(", cell, re.M)
        assert cell.startswith(' jupyter={"source_hidden": true}\n') == bool(draws), cell
        assert not (draws and re.search(r"\b(assert|print)\b", cell)), cell


@pytest.fixture
def notebook(lesson: Path) -> Any:
    nbformat = pytest.importorskip("nbformat", reason="the extra `docs` is not installed")
    path = lesson.with_suffix(".ipynb")
    if not path.exists():
        pytest.skip("not made yet: make lessons")
    assert path.stat().st_size < LARGEST
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return found


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


@each_lesson
def test_the_notebook_is_the_text_with_outputs(lesson: Path, notebook: Any) -> None:
    """`make lessons` was run since the text was changed, and nothing failed."""
    jupytext = pytest.importorskip("jupytext", reason="the extra `docs` is not installed")
    wanted = [(cell.cell_type, cell.source) for cell in jupytext.read(lesson).cells]
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == wanted, "make lessons"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for output in outputs(notebook))


@each_lesson
def test_pictures_are_svg_and_have_a_text(lesson: Path, notebook: Any) -> None:
    shown = [output.data for output in outputs(notebook) if "data" in output]
    pictures = [data for data in shown if "image/svg+xml" in data]
    assert len(pictures) == lesson.read_text().count("material.show(") > 0
    assert not any("image/png" in data for data in shown)
    for data in pictures:
        title = re.search(r"<title>(.+?)</title>", data["image/svg+xml"], re.S)
        assert title and title[1] and len(data["text/plain"]) > 30
    for data in shown:
        assert all('alt="' in tag for tag in re.findall("<img[^>]*>", data.get("text/html", "")))


@each_lesson
def test_printed_numbers_are_rounded(lesson: Path, notebook: Any) -> None:
    """To six decimals, but for what the package prints itself, and constants of shown source."""
    printed = "".join(output.get("text", "") for output in outputs(notebook))
    own = [line for line in printed.splitlines() if not re.search(r"given: |: float\d\d\(", line)]
    long = set(re.findall(r"\d\.\d{7,}", "\n".join(own)))
    code = [path for root in ("lessons", "src") for path in (ROOT / root).rglob("*.[cph]*")]
    shown = "".join(path.read_text() for path in code if path.suffix in (".py", ".cpp", ".h"))
    assert not [number for number in long if number not in shown]
