"""Converts the docstrings of the project to Markdown.

A docstring is plain text with Unicode formulas: a formula or a sentence first, then paragraphs,
lists of parameters and doctests. Its only markup is `code`; all other characters are escaped.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

FORMULA = re.compile(r"^\S{1,9}(\[[^\]]*\])? = |^∂|^\(?[a-z](, [a-z])*\)? = ")
FIELD = re.compile(r"^([a-z_*]\w*(?:, [a-z_*]\w*)*): (.*)$", re.S)
SPECIAL = re.compile(r"[\\*_\[\]<>&$|^~{}#!`]")
ROLE = re.compile(r":(?:class|func|meth|mod):`~?\.?([\w.]+)`")

Linker = Callable[[str], str | None]
"""Returns the address of the entry of a name, or None."""


def escaped(text: str) -> str:
    """The text with the special characters of Markdown and HTML as entities."""
    return SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text)


def inline(text: str, link: Linker) -> str:
    """A sentence with `code` as code and the names of entries as links."""
    text = ROLE.sub(lambda match: f"`{match[1].rsplit('.', 1)[-1]}`", text)
    parts = []
    for part in re.split(r"(``[^`]+``|`[^`]+`)", text):
        if part.startswith("`") and len(part) > 2:
            code = part.strip("`")
            address = link(code)
            parts.append(f"[`{code}`]({address})" if address else f"`{code}`")
        else:
            parts.append(re.sub(r"\w*Error\b", lambda m: _error(m[0], link), escaped(part)))
    return "".join(parts)


def _error(name: str, link: Linker) -> str:
    address = link(name)
    return f"[{name}]({address})" if address else name


def paragraphs(text: str) -> Iterator[list[str]]:
    """The lines between blank lines."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def formula(text: str, link: Linker) -> str:
    """Equations, one per line. In the source, three spaces separate them."""
    rows = [inline(row.strip(), link) for row in re.split(r" {3,}", text)]
    return '<p class="formula" markdown>' + "<br>".join(rows) + "</p>"


def fields(lines: list[str], link: Linker) -> str:
    """Lines `name, name: description`, with indented continuation lines, as a definition list."""
    found: list[str] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    rows = []
    for field in found:
        match = FIELD.match(field)
        if match is None:
            return inline(joined(lines), link)
        names = ", ".join(f"`{name}`" for name in match[1].split(", "))
        rows.append(f"{names}\n:   {inline(match[2], link)}")
    return "\n\n".join(rows)


def block(lines: list[str], link: Linker) -> str:
    """One paragraph of a docstring as Markdown."""
    first = lines[0]
    if first.lstrip().startswith(">>>"):
        return "```pycon\n" + inspect.cleandoc("\n".join(lines)) + "\n```"
    if len(lines) > 2 and set(lines[1]) == {"-"}:
        return f"**{first}**\n\n{fields(lines[2:], link)}"
    if all(line.startswith("    ") for line in lines):
        return "```text\n" + inspect.cleandoc("\n".join(lines)) + "\n```"
    if FIELD.match(first):
        return fields(lines, link)
    if first.endswith(":") and len(lines) > 1 and FIELD.match(lines[1]):
        return f"{inline(first, link)}\n\n{fields(lines[1:], link)}"
    text = inline(joined(lines), link)
    return re.sub(r"::$", ":", text)


def markdown(docstring: str, link: Linker) -> str:
    """The whole docstring. The first paragraph may be a formula."""
    blocks = list(paragraphs(inspect.cleandoc(docstring)))
    if not blocks:
        return ""
    start = "   ".join(line.strip() for line in blocks[0]) if _is_list(blocks[0]) else None
    text = start or joined_keeping(blocks[0])
    head = formula(text, link) if FORMULA.match(text) else block(blocks[0], link)
    return "\n\n".join([head, *(block(lines, link) for lines in blocks[1:])])


def _is_list(lines: list[str]) -> bool:
    """Whether every line is an equation of its own."""
    return len(lines) > 1 and all(FORMULA.match(line.strip()) for line in lines)


def joined_keeping(lines: list[str]) -> str:
    """The lines joined into one, with the spaces between equations kept."""
    return " ".join(line.strip() for line in lines)
