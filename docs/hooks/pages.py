"""The hook of MkDocs, which adds the pages that are generated from other files.

The home page is the README, the lessons are generated from their notebooks, the reference from the
docstrings, and the page of commands from the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

import lesson_pages
import reference
from chainrule.cli import main as command_line
from chainrule.cli.course import lessons

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "lessons"
PICTURE = "benchmarks/results/steps.png"
"""The picture of the README, which `make bench` draws."""


def on_files(files: Files, config: Any) -> Files:
    """Add all generated pages."""
    made = {**project_pages(), "reference/commands.md": commands()}
    made |= {f"reference/{name}.md": text for name, text in reference.pages().items()}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    for path, content in (*lesson_files(), (PICTURE, (ROOT / PICTURE).read_bytes())):
        files.append(File.generated(config, path, content=content))
    course = next(part["Lessons"] for part in config.nav if "Lessons" in part)
    course[1:] = [f"lessons/{lesson.name}.md" for lesson in lessons(LESSONS)]
    return files


def project_pages() -> dict[str, str]:
    """The README, CHANGELOG and CONTRIBUTING pages, with their links adapted to the site."""
    found = {}
    for source, target in (
        ("README.md", "index.md"),
        ("CHANGELOG.md", "changelog.md"),
        ("CONTRIBUTING.md", "contributing.md"),
    ):
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        for old, new in (
            ("CHANGELOG.md", "changelog.md"),
            ("CONTRIBUTING.md", "contributing.md"),
            ("lessons/README.md", "lessons/index.md"),
        ):
            text = text.replace(f"]({old}", f"]({new}")
        found[target] = text
    found["index.md"] = "---\nhide: [navigation]\n---\n\n" + found["index.md"]
    return found


def lesson_files() -> Iterator[tuple[str, str | bytes]]:
    """The overview, the lessons with their pictures, and the files that they link to."""
    map_text, others = lesson_pages.links((LESSONS / "README.md").read_text("utf-8"), LESSONS)
    yield "lessons/index.md", map_text
    for lesson in lessons(LESSONS):
        page, pictures = lesson_pages.page(LESSONS / f"{lesson.name}.py")
        text, linked = lesson_pages.links(page, LESSONS)
        others |= linked
        yield f"lessons/{lesson.name}.md", text
        for name, content in pictures.items():
            yield f"lessons/pictures/{name}", content
    for other in sorted(others):
        yield f"lessons/{other}", (LESSONS / other).read_bytes()


def commands() -> str:
    """The help of each command of the command line."""
    parts = ["# Commands", "`chainrule COMMAND --help` shows the same."]
    context = click.Context(command_line, info_name="chainrule")
    for name in command_line.list_commands(context):
        command = command_line.commands[name]
        text = command.get_help(click.Context(command, info_name=name, parent=context))
        parts.append(f"## {name}\n\n```text\n{text}\n```")
    parts.append(
        "## Exit codes\n\n0 success · 1 error · 2 wrong usage · 130 stopped by Ctrl-C · "
        "143 stopped by SIGTERM. Results go to standard output (with `--json`, only JSON), "
        "progress and errors to standard error."
    )
    return "\n\n".join(parts) + "\n"
