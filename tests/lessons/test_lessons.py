"""The lessons run from top to bottom, have the form of the course, and match their notebooks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chainrule.cli import course

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
NAMES = [
    "01_a_neuron", "02_a_network_by_hand", "03_three_ways_of_gradient_descent",
    "04_the_chain_rule_automated", "05_the_same_network_in_cpp", "06_against_pytorch",
    "07_what_makes_deep_nets_train", "08_convolution_and_batch_norm",
    "09_function_approximation", "10_inside_the_framework",
]  # fmt: skip
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
        [sys.executable, str(lesson)], cwd=ROOT, env={**environment, **offline},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
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
    headings = re.findall(r"^# (##? .+)$", text, re.M)
    assert headings[-1] == "## Exercises"
    assert f"lessons/answers/lesson_{number}.py" in text.rpartition("## Exercises")[2]
    assert (FOLDER / "answers" / f"lesson_{number}.py").exists()
    assert (Path(__file__).parent / f"test_answers_{number}.py").exists()


@each_lesson
def test_the_notebook_is_the_text_with_outputs(lesson: Path) -> None:
    """`make lessons` was run since the text was changed, and nothing failed."""
    jupytext = pytest.importorskip("jupytext", reason="the extra `docs` is not installed")
    nbformat = pytest.importorskip("nbformat", reason="the extra `docs` is not installed")
    path = lesson.with_suffix(".ipynb")
    if not path.exists():
        pytest.skip("not made yet: make lessons")
    notebook, text = nbformat.read(path, as_version=4), jupytext.read(lesson)
    nbformat.validate(notebook)
    wanted = [(cell.cell_type, cell.source) for cell in text.cells]
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == wanted, "make lessons"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert path.stat().st_size < LARGEST
