"""`sweep.html`: one offline page with the settings, the scores and their spread."""

from __future__ import annotations

import os

from chainrule.train.io.atomic import write_atomic
from chainrule.train.runs.markup import (
    drawn_if_possible,
    header,
    panels,
    section,
    table,
    text,
    whole_page,
)
from chainrule.train.sweeps import plots
from chainrule.train.sweeps.results import Sweep, shown

_ROWS = 50


def write_sweep_page(found: Sweep, path: str | None = None, title: str = "Sweep") -> str:
    """Write the page of a sweep; returns its path, by default `sweep.html` in its folder.

    Without matplotlib, the page has only tables and names the missing library.
    """
    first = found.rows[0]
    facts = [
        (f"best {text(found.monitor)}", f"{first.mean:.4g}"),
        ("settings", f"{len(found.rows):,}"),
        ("trials", f"{len(found.trials):,}"),
    ]
    best = ", ".join(f"{name} {shown(value)}" for name, value in first.setting.items())
    about = f"Best: {best or 'the only setting'}, over {len(first.scores)} trials."
    parts = [header("Chainrule sweep", title, about, facts)]
    parts += drawn_if_possible(lambda: _drawn(found))
    parts += [_table(found), _failures(found)]
    path = path or os.path.join(found.folder, "sweep.html")
    write_atomic(path, [whole_page(title, parts)])
    return path


def _drawn(found: Sweep) -> list[str]:
    parts = []
    if len(found.rows) > 1:
        about = "A line is a setting; the best one is coloured, and better ones are darker."
        drawn = panels([plots.coordinates(found)])
        parts.append(section("Settings and scores", about, drawn))
    about = "A dot is a seed or a fold, the line their mean: differences within the dots are luck."
    parts.append(section("Spread over seeds", about, panels([plots.spread(found)])))
    return parts


def _table(found: Sweep) -> str:
    numbers = (found.monitor, "±", "epochs")
    rows = [
        [*map(shown, row.setting.values()), f"{row.mean:.4g}", f"{row.std:.2g}", row.epochs]
        for row in found.rows[:_ROWS]
    ]
    more = f" The first {_ROWS} of {len(found.rows):,}." if len(found.rows) > _ROWS else ""
    about = f"The best {text(found.monitor)} of each trial, as mean and standard deviation.{more}"
    return section("All settings", about, table([*found.settings[0], *numbers], rows, numbers))


def _failures(found: Sweep) -> str:
    failed = [trial for trial in found.trials if trial.error is not None]
    if not failed:
        return ""
    rows = [(found.settings[t.setting], t.seed, t.error) for t in failed[:_ROWS]]
    content = table(("setting", "seed", "why"), rows, ("seed",))
    return section("Failed", f"{len(failed)} trials.", content)
