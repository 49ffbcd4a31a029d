"""The parts of a page as HTML: its style, head, sections, tables, and plots side by side."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from chainrule.errors import MissingDependencyError
from chainrule.train.drawing import COLORS, GRID, INK, SOFT

_OF_THE_PAGE = {INK: "--ink", SOFT: "--soft", GRID: "--line", COLORS[0]: "--blue"}
"""Colors of plots that follow the page, which is light or dark."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #6b7686; --line: #e6e9ee;
  --accent: #d9541e; --blue: #1f4e8c; --page: #f6f7f9; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #9aa5b5; --line: #323c4b;
  --accent: #e9713c; --blue: #6c9fe0; --page: #11151b; --card: #1a2029; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 56px 28px 80px; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 32px;
  flex-wrap: wrap; margin-bottom: 36px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 6px; letter-spacing: -0.02em;
  overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 2px; letter-spacing: -0.01em; }
p { margin: 0 0 14px; color: var(--soft); max-width: 70ch; }
.eyebrow { color: var(--accent); font-weight: 600; font-size: 12px; letter-spacing: 0.12em;
  text-transform: uppercase; margin: 0 0 8px; }
.facts { display: flex; flex-wrap: wrap; gap: 12px 34px; margin: 0; }
.facts dt { color: var(--soft); font-size: 12px; }
.facts dd { margin: 0; font-size: 30px; font-weight: 600; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts dd small { font-size: 16px; font-weight: 500; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 26px 28px; margin: 0 0 20px; min-width: 0; }
section svg { display: block; width: 100%; height: auto; }
.panels { display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); }
.panels > div { min-width: 0; }
.pair { display: grid; grid-template-columns: minmax(0, 9fr) minmax(0, 10fr); gap: 20px; }
.pair section { margin: 0; } .pair { margin-bottom: 20px; }
.pair .panels { grid-template-columns: 1fr; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr));
  gap: 14px 12px; margin-top: 14px; }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  border: 1px solid var(--line); border-radius: 8px; background: #fff; display: block; }
figcaption { font-size: 12px; line-height: 1.35; margin-top: 5px; color: var(--soft); }
figcaption b { color: var(--ink); } figcaption i { color: var(--accent); font-style: normal;
  font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 14px; margin-top: 8px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12px; }
th, td { padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: pre-line; }
tr:last-child td { border-bottom: 0; }
.sum tr:last-child td { font-weight: 600; }
.number { text-align: right; }
.confusion { width: auto; border-collapse: separate; border-spacing: 2px; }
.confusion th, .confusion td { border: 0; padding: 0 2px; text-align: center;
  vertical-align: middle; }
.confusion tr:first-child th { vertical-align: bottom; padding-bottom: 4px; }
.confusion th:first-child { text-align: right; padding-right: 6px; }
.confusion .upright { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion td { min-width: clamp(25px, 2.6vw, 33px); height: 32px; border-radius: 4px;
  font-size: 12.5px;
  background: color-mix(in srgb, var(--accent) var(--share), transparent); }
.confusion td.right { background: color-mix(in srgb, #2b65b0 var(--share), transparent); }
.confusion td.strong { color: #fff; }
.confusion.dense { border-spacing: 0; }
.confusion.dense td { min-width: 5px; height: 5px; padding: 0; border-radius: 0; }
pre { background: var(--page); border-radius: 10px; padding: 16px 18px; overflow: auto;
  font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; max-height: 420px; }
summary { cursor: pointer; font-weight: 600; }
.missing { border-style: dashed; color: var(--soft); }
footer { color: var(--soft); font-size: 12.5px; margin-top: 28px; }
@media (max-width: 800px) { .pair { grid-template-columns: 1fr; } }
@media (max-width: 600px) { main { padding: 28px 10px 48px; } section { padding: 18px 14px; }
  h1 { font-size: 26px; } .facts { gap: 10px 24px; } .facts dd { font-size: 24px; } }
"""


def text(value: Any) -> str:
    """A value as text of a page."""
    return html.escape(str(value))


def section(title: str, about: str, content: str) -> str:
    """A part of the page: a title, a sentence about it, and its content."""
    return f"<section><h2>{title}</h2><p>{about}</p>{content}</section>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    numbers: Collection[str] = (),
    kind: str = "",
) -> str:
    """A table of texts. numbers: the columns that are aligned on the right. kind: its CSS class."""
    marks = [' class="number"' if name in numbers else "" for name in head]
    lines = ["".join(f"<th{m}>{text(name)}</th>" for m, name in zip(marks, head, strict=True))]
    for row in rows:
        lines.append("".join(f"<td{m}>{text(c)}</td>" for m, c in zip(marks, row, strict=True)))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table class="{kind}">{body}</table></div>'


def panels(parts: Sequence[str]) -> str:
    """Plots and tables side by side, on a narrow page one below the other."""
    inside = "".join(f"<div>{part}</div>" for part in parts)
    for color, name in _OF_THE_PAGE.items():
        inside = inside.replace(color, f"var({name})")
    return f'<div class="panels">{inside}</div>'


def header(kind: str, title: str, about: str, facts: Iterable[tuple[str, str]]) -> str:
    """The head of a page. facts: names, and values as HTML."""
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        f'<header><div><p class="eyebrow">{kind}</p><h1>{text(title)}</h1>'
        f'<p>{text(about)}</p></div><dl class="facts">{cells}</dl></header>'
    )


def drawn_if_possible(draw: Callable[[], list[str]]) -> list[str]:
    """The sections with plots; without matplotlib a note that names it."""
    try:
        return draw()
    except MissingDependencyError as error:
        note = f"<h2>Plots are missing</h2><p>{text(error)}</p>"
        return [f'<section class="missing">{note}</section>']


def whole_page(title: str, parts: Iterable[str]) -> bytes:
    """A page of these parts, as one file with its style."""
    body = "\n".join(part for part in parts if part)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    return page.encode("utf-8", "replace")
