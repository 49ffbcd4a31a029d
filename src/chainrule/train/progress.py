"""Progress: one bar for the whole run in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from chainrule.train.history import line_of
from chainrule.train.notices import has_terminal, say
from chainrule.train.training import Callback, Training

_INTERVAL = 0.1
_LINES = 25
_SHOWN = ("valid_accuracy", "valid_r2", "valid_loss")
_NARROWEST = 6
_SPARE = 3
"""Columns at the end of the line that stay free, where a terminal writes ^C."""


class Standing(NamedTuple):
    """Where a training stands: epochs, numbers in order of importance, and seconds."""

    epoch: int
    epochs: int
    share: float
    numbers: dict[str, float]
    elapsed: float

    @property
    def left(self) -> float | None:
        """The seconds that remain; None before the first step."""
        return self.elapsed * (1 - self.share) / self.share if self.share else None

    @property
    def times(self) -> list[str]:
        left = "" if self.left is None else f"left {clock(self.left)}"
        return [f"elapsed {clock(self.elapsed)}", left]

    @property
    def texts(self) -> list[str]:
        return [f"{k.replace('valid_', 'valid ')} {v:.4f}" for k, v in self.numbers.items()]


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours if there are any.

    >>> clock(7.2), clock(3725)
    ('0:07', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def laid_out(standing: Standing, width: int) -> tuple[str, str, int]:
    """(text before the bar, text after it, width of the bar) for a line of a terminal.

    What does not fit is left out: the word epoch, the less important numbers, the elapsed time, the
    last number. A text is never cut.

    >>> standing = Standing(3, 40, 0.06, {"loss": 0.5, "valid_accuracy": 0.91}, 7.0)
    >>> laid_out(standing, 80)[:2]
    ('epoch 3/40', 'loss 0.5000  valid accuracy 0.9100  elapsed 0:07  left 1:49')
    >>> laid_out(standing, 40)
    ('3/40', 'loss 0.5000  left 1:49', 10)
    """
    long, short = f"epoch {standing.epoch}/{standing.epochs}", f"{standing.epoch}/{standing.epochs}"
    numbers, (elapsed, left) = standing.texts, standing.times
    both = [elapsed, left]
    counts, heads = range(len(numbers), 0, -1), (long, short)
    choices = [(head, [*numbers[:count], *both]) for count in counts for head in heads]
    choices += [(head, [*numbers[:1], left]) for head in heads]
    choices += [(short, [left]), (short, [])]
    for before, parts in choices:
        after = "  ".join(filter(None, parts))
        bar = width - len(before) - len(after) - (4 if after else 2)
        if bar >= _NARROWEST:
            return before, after, bar
    return short, "", max(0, width - len(short) - 2)


class Progress(Callback):
    """Shows the progress of training on standard error, at most ten times a second.

    In a terminal and in a notebook it shows one bar with the losses and the remaining time.
    Elsewhere (a file, a pipe) it prints about 25 lines per run.
    """

    order = 60

    def __init__(self) -> None:
        self._bar: Any = None
        self._next = self._started = self._before = 0.0

    def on_fit_begin(self, trainer: Training) -> None:
        self._next, self._started = 0.0, time.monotonic()
        self._before = _share(trainer)
        if notebook() is not None:
            self._bar = NotebookBar()
        elif has_terminal():
            self._bar = terminal_bar()

    def on_step_end(self, trainer: Training) -> None:
        if self._bar is not None and (now := time.monotonic()) >= self._next:
            self._next = now + _INTERVAL
            self._show(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        if self._bar is not None:
            if trainer.finishing:
                self._show(trainer)
            return
        stride = max(1, -(-trainer.epochs // _LINES))
        if trainer.epoch % stride == 0 or trainer.epoch == trainer.epochs or trainer.finishing:
            say(line_of(trainer.record))

    def on_fit_end(self, trainer: Training) -> None:
        if self._bar is not None:
            self._attempt(self._bar.stop)
            self._bar = None
        if trainer.stopped:
            say(f"stopped: {trainer.stopped}")

    def _show(self, trainer: Training) -> None:
        """Show the loss of the epoch so far, and the results of the last validation."""
        last = trainer.history[-1] if len(trainer.history) else {}
        numbers = {"loss": trainer.meter.loss} | {k: last[k] for k in _SHOWN if k in last}
        epoch = min(trainer.epoch + (trainer.batch > 0), trainer.epochs)
        share = (_share(trainer) - self._before) / max(1 - self._before, 1e-9)
        elapsed = time.monotonic() - self._started
        standing = Standing(epoch, trainer.epochs, share, numbers, elapsed)
        self._attempt(lambda: self._bar.show(standing, _share(trainer)))

    def _attempt(self, action: Callable[[], object]) -> None:
        """Update the bar. If the terminal is closed, the bar is removed and training continues."""
        try:
            action()
        except (OSError, ValueError):
            self._bar = None


def _share(trainer: Training) -> float:
    """The share of all batches that are done."""
    total = trainer.epochs * trainer.batches
    return (trainer.epoch * trainer.batches + trainer.batch) / total if total else 1.0


# -- bars --------------------------------------------------------------------------------------


def terminal_bar() -> TerminalBar | None:
    """A bar for the terminal; None if rich is missing or the terminal is closed."""
    try:
        return TerminalBar()
    except (ImportError, OSError, ValueError):
        return None


class TerminalBar:
    """A bar in one line of a terminal, drawn by rich."""

    def __init__(self) -> None:
        console = importlib.import_module("rich.console").Console(stderr=True)
        console.on_broken_pipe = _raise_broken_pipe  # rich would end the process
        live = importlib.import_module("rich.live").Live
        self._live = live(console=console, auto_refresh=False)
        self._bar = importlib.import_module("rich.progress_bar").ProgressBar
        self._line = importlib.import_module("rich.table").Table
        self._live.start()

    def show(self, standing: Standing, share: float) -> None:
        before, after, width = laid_out(standing, self._live.console.width - _SPARE)
        line = self._line.grid(padding=(0, 2))
        line.add_row(before, self._bar(total=1.0, completed=share, width=width), after)
        self._live.update(line, refresh=True)

    def stop(self) -> None:
        self._live.stop()


def _raise_broken_pipe() -> NoReturn:
    raise BrokenPipeError("the terminal is closed")


def notebook() -> Any:
    """The module `IPython.display` in a notebook, else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display")


class NotebookBar:
    """A bar in the output of a notebook's cell."""

    def __init__(self) -> None:
        self._display = notebook()
        self._handle: Any = None

    def show(self, standing: Standing, share: float) -> None:
        text = "  ".join([*standing.texts, *filter(None, standing.times)])
        head = f"epoch {standing.epoch}/{standing.epochs}"
        page = self._display.HTML(
            f'<span>{head}</span> <progress value="{share:.4f}" max="1"></progress> '
            f"<span>{html.escape(text).replace('  ', ' &nbsp;')}</span>"
        )
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)

    def stop(self) -> None:
        """The last state stays in the cell."""
