"""Converts a lesson to a page with its text, its code, and the output of the code."""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat

LIST_ITEM = re.compile(r"^ {0,3}([-*+]|\d+\.) ")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LONGEST = 60
"""The largest number of printed lines that a page shows."""

Pictures = dict[str, bytes]


def notebook(text_form: Path) -> Any:
    """The notebook with outputs if it exists, else the text."""
    ipynb = text_form.with_suffix(".ipynb")
    if ipynb.exists():
        return nbformat.read(ipynb, as_version=4)
    return jupytext.read(text_form)


def page(text_form: Path) -> tuple[str, Pictures]:
    """The Markdown of a lesson, and its pictures by name."""
    pictures: Pictures = {}
    parts = []
    for cell in notebook(text_form).cells:
        if cell.cell_type == "markdown":
            parts.append(prose(cell.source))
        elif cell.source.strip():
            code = fenced(cell.source, "python")
            hidden = cell.metadata.get("jupyter", {}).get("source_hidden")
            parts.append(folded(code) if hidden else code)
            parts += outputs(cell.get("outputs", []), text_form.stem, pictures)
    return "\n\n".join(parts) + "\n", pictures


def prose(source: str) -> str:
    """Jupyter's Markdown for a parser that needs blank lines around lists and math."""
    lines: list[str] = []
    for line in source.splitlines():
        before = lines[-1] if lines else ""
        starts = LIST_ITEM.match(line) or line.startswith("|")
        goes_on = LIST_ITEM.match(before) or before.startswith(("|", " "))
        if starts and before.strip() and not goes_on:
            lines.append("")
        lines.append(_indented(line))
    return "\n".join(lines)


def _indented(line: str) -> str:
    """Indent continuation lines of list items by 4."""
    return re.sub(r"^ {2,3}(?=\S)", "    ", line)


def fenced(text: str, language: str) -> str:
    fence = "````" if "```" in text else "```"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def folded(markdown: str) -> str:
    """The code of a picture as a folded block."""
    return '??? note "The code of the picture"\n\n' + textwrap.indent(markdown, "    ")


def outputs(found: list[Any], name: str, pictures: Pictures) -> Iterator[str]:
    """The printed, displayed and drawn output of a cell."""
    for output in found:
        if output.output_type == "stream":
            yield printed(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            yield shown(output.data, name, pictures)


def printed(text: str) -> str:
    lines = ANSI.sub("", text).rstrip().splitlines()
    if len(lines) > LONGEST:
        rest = len(lines) - LONGEST
        lines = [*lines[:LONGEST], f"... and {rest} more lines"]
    return '<div class="output" markdown>\n\n' + fenced("\n".join(lines), "text") + "\n\n</div>"


def shown(data: dict[str, str], name: str, pictures: Pictures) -> str:
    """The richest form of a result that a page can show. Its plain text describes a picture."""
    text = data.get("text/plain", "")
    for kind, ending in (("image/png", "png"), ("image/gif", "gif"), ("image/jpeg", "jpg")):
        if kind in data:
            return _picture(base64.b64decode(data[kind]), ending, text, name, pictures)
    if "image/svg+xml" in data:
        return _picture(data["image/svg+xml"].encode(), "svg", text, name, pictures)
    if "text/html" in data:
        html = re.sub(r"\n\s*\n", "\n", data["text/html"]).strip()
        return f'<div class="output">{html}</div>'
    if "text/markdown" in data:
        return prose(data["text/markdown"])
    if "text/latex" in data:
        return data["text/latex"]
    return "" if re.match(r"^<(Figure|IPython|matplotlib)", text) else printed(text)


def _picture(content: bytes, ending: str, text: str, name: str, pictures: Pictures) -> str:
    file = f"{name}-{len(pictures) + 1}.{ending}"
    pictures[file] = content
    return f"![{text}](pictures/{file}){{ .drawn }}"


def links(text: str, folder: Path) -> tuple[str, set[str]]:
    """The text with links to the pages of lessons, and the files that its other links name.

    A link to a missing lesson becomes plain text; tests/lessons reports it.
    """
    others: set[str] = set()

    def follow(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"^\d\d_\w+\.(py|ipynb|md)$", target):
            written = (folder / target).with_suffix(".py").exists()
            return f"[{words}]({Path(target).stem}.md{anchor})" if written else words
        if target == "README.md":
            return f"[{words}](index.md{anchor})"
        if (folder / target).is_file():
            others.add(target)
        return match[0]

    return LINK.sub(follow, text), others
