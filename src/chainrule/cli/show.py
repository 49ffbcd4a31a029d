"""Pictures and wrapped lines for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

import numpy as np

_SHADES = " ░▒▓█"
_NARROW = 30
"""Columns that an explanation needs beside its term."""


def columns() -> int:
    """The width of the terminal, at most 100 columns."""
    return min(100, shutil.get_terminal_size().columns)


def wrapped(text: str, indent: int = 2, hanging: int = 2) -> str:
    """Text in lines that fit the terminal, broken between words only."""
    return textwrap.fill(
        text,
        max(20, columns()),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(pairs: list[tuple[str, str]]) -> list[str]:
    """Lines with a term and its explanation beside it, or below it if the terminal is narrow."""
    width = max(len(term) for term, _ in pairs)
    if columns() - width - 4 < min(_NARROW, max(len(what) for _, what in pairs)):
        return [
            line for term, what in pairs for line in (f"  {term}".rstrip(), wrapped(what, 6, 0))
        ]
    return [wrapped(f"{term:<{width}}  {what}", 2, width + 2) for term, what in pairs]


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the last column aligned to the right. If the terminal is too narrow, the other
    columns of a row are below its first."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]

    def line(row: tuple[str, ...], widths: list[int]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join([*cells[:-1], row[-1].rjust(widths[-1])]).rstrip()

    if sum(widths) + 2 * len(widths) - 2 <= columns():
        return [line(row, widths) for row in rows]
    below = [f"    {line(row[1:], widths[1:])}" for row in rows]
    return [part for row, rest in zip(rows, below, strict=True) for part in (row[0], rest)]


def shades(pixels: Any, width: int | None = None) -> list[str]:
    """A picture (C, H, W) with values from 0 to 1 as lines of text, in five shades.

    A pixel is two characters wide if the picture fits; a large picture is averaged.

    >>> shades(np.array([[[0.0, 1.0], [0.5, 0.25]]]), 80)
    ['  ██', '▒▒░░']
    """
    width = columns() - 4 if width is None else width
    grey = np.asarray(pixels).mean(axis=0)
    step = max(1, -(-grey.shape[1] // width))
    wide = 2 if 2 * grey.shape[1] <= width else 1
    rows = step * (1 if wide == 2 else 2)  # A character is about twice as high as wide.
    height, length = max(1, grey.shape[0] // rows), max(1, grey.shape[1] // step)
    grey = grey[: height * rows, : length * step]
    means = grey.reshape(height, -1, length, grey.shape[1] // length).mean(axis=(1, 3))
    codes = np.clip((means * len(_SHADES)).astype(int), 0, len(_SHADES) - 1)
    return ["".join(_SHADES[code] * wide for code in row) for row in codes]
