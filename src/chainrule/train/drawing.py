"""Figures as SVG, drawn with matplotlib (the extra `plot`)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule.errors import missing_dependency

INK, SOFT, GRID = "#1c2430", "#6b7686", "#e6e9ee"
TRAIN, VALID = "#8fa3bf", "#d9541e"
COLORS = ("#1f4e8c", "#d9541e", "#2a9d6f", "#8a4fb0", "#c29a1b", "#3aa6c9", "#b03a5b", "#6b7686")
_STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "chainrule",
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": GRID,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


def figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_dependency("matplotlib", "plot", "drawing plots") from None
    return Figure


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Any, list[str]]]:
    """A figure to draw on, with sizes in inches. At the end its SVG is appended to the list."""
    figures = figure_class()
    import matplotlib

    result: list[str] = []
    with matplotlib.rc_context(_STYLE):
        figure = figures(figsize=(width, height), layout="constrained")
        yield figure, result
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    # Without width and height, the picture fills the width of the page.
    size = re.compile(r'width="[\d.]+pt" height="[\d.]+pt"')
    result.append(size.sub("", svg[svg.index("<svg") :], count=1))
