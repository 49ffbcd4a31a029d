"""`chainrule lessons`: what it lists, where it opens a lesson, what it never writes over."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chainrule.cli import course, main

TEXT = "# ---\n# jupyter:\n# ---\n\n# %% [markdown]\n# # {n}. {title}\n#\n# {prose}\n\n# %%\n1\n"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["lessons", *arguments], catch_exceptions=False)


def write(place: Path) -> Path:
    """A course of two lessons; the second has a notebook."""
    place.mkdir()
    first = TEXT.format(n=1, title="A neuron", prose="One cell,\n# e.g. in 3.5 mm. Then more.")
    (place / "01_a_neuron.py").write_text(first)
    (place / "02_a_net.py").write_text(TEXT.format(n=2, title="A net", prose="Many cells"))
    (place / "02_a_net.ipynb").write_text("{}")
    (place / "by_hand").mkdir()
    (place / "by_hand" / "__init__.py").write_text("answer = 42\n")
    (place / "answers").mkdir()
    (place / "answers" / "lesson_02.py").write_text("def tanh(): ...\n")
    return place


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries the course, and an empty folder to work in."""
    carried = write(tmp_path / "carried")
    monkeypatch.setattr(course, "CLONE", tmp_path / "none")
    monkeypatch.setattr(course, "CARRIED", carried)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return carried


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Jupyter is there; what would have been started."""
    started: list[list[str]] = []
    monkeypatch.setattr(course.importlib.util, "find_spec", lambda name: name == "notebook")
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    return started


def test_the_list_is_read_from_the_lessons() -> None:
    result = call()
    assert result.exit_code == 0
    assert "  1  A neuron\n     One cell, e.g. in 3.5 mm.\n" in result.stdout
    assert "  2  A net\n     Many cells\n" in result.stdout
    found = json.loads(call("--json").stdout)
    assert [x["number"] for x in found] == [1, 2] and found[0]["name"] == "01_a_neuron"
    assert not Path("lessons").exists()


def test_a_lesson_opens_where_it_can_be_worked_in(opened: list[list[str]]) -> None:
    assert call("2").exit_code == 0 and call("1").exit_code == 0
    paths = [os.path.join("lessons", name) for name in ("02_a_net.ipynb", "01_a_neuron.py")]
    assert opened == [[sys.executable, "-m", "notebook", path] for path in paths]
    assert Path("lessons/by_hand/__init__.py").read_text() == "answer = 42\n"


def test_own_changes_stay(opened: list[list[str]]) -> None:
    call("2")
    Path("lessons/02_a_net.ipynb").write_text("mine")
    Path("lessons/01_a_neuron.py").unlink()
    result = call("2")
    assert Path("lessons/02_a_net.ipynb").read_text() == "mine"
    assert "02_a_net.ipynb differs" in result.stderr and "01" not in result.stderr
    assert Path("lessons/01_a_neuron.py").exists()


def test_in_a_clone_the_lessons_open_where_they_are(
    opened: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = write(tmp_path / "lessons")
    monkeypatch.setattr(course, "CLONE", clone)
    call("2")
    assert opened[0][-1] == str(clone / "02_a_net.ipynb") and not Path("lessons").exists()


def test_answers_are_printed_and_nothing_is_copied_or_opened(
    installed: Path, opened: list[list[str]]
) -> None:
    result = call("2", "--answers")
    assert result.exit_code == 0 and result.stdout == "def tanh(): ...\n"
    found = json.loads(call("2", "--answers", "--json").stdout)
    assert found == {"lesson": 2, "answers": str(installed / "answers" / "lesson_02.py")}
    assert not opened and not Path("lessons").exists()
    assert call("3", "--answers").exit_code == 1
    missing = call("--answers")
    assert missing.exit_code == 2 and "chainrule lessons 4 --answers" in missing.stderr


def test_without_jupyter_it_says_how_to_get_it_and_where_the_lesson_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course.importlib.util, "find_spec", lambda name: None)
    result = call("2")
    assert result.exit_code == 1 and "chainrule[lessons]" in result.stderr
    assert result.stdout.strip() == os.path.join("lessons", "02_a_net.ipynb")
    assert json.loads(call("2", "--json").stdout)["path"] == result.stdout.strip()


@pytest.mark.parametrize(("number", "code"), [("3", 1), ("0", 2), ("four", 2)])
def test_no_such_lesson(number: str, code: int) -> None:
    result = call(number)
    assert result.exit_code == code and number in result.stderr and result.stdout == ""
    assert not Path("lessons").exists()


def test_without_lessons_an_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(course, "CARRIED", tmp_path / "gone")
    for arguments in ((), ("1",)):
        result = call(*arguments)
        assert result.exit_code == 1 and "no lessons" in result.stderr


def test_the_real_course_is_found() -> None:
    root: Any = Path(__file__).parent.parent / "lessons"
    found = course.lessons(root)
    assert found and all(lesson.title and lesson.summary for lesson in found)
