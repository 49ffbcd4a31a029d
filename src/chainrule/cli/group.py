"""Shared code of the commands: errors as one line, common options, printing."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import click

POSITIVE = click.IntRange(min=1)
TABLE_OPTIONS = ("delimiter", "header")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Finite(click.FloatRange):
    """A finite number in a range; NaN and infinity are refused."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class HelpFormatter(click.HelpFormatter):
    """Help as wide as the terminal, at most 80 columns, also where it is narrow."""

    def __init__(self, **options: Any) -> None:
        columns = min(shutil.get_terminal_size().columns, options.pop("max_width", None) or 80)
        super().__init__(width=options.pop("width", None) or max(columns - 2, 30), **options)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        super().write_dl(rows, min(col_max, self.width // 3), col_spacing)


class Context(click.Context):
    """The context of all commands."""

    formatter_class = HelpFormatter


class Commands(click.Group):
    """Prints exceptions as one line on standard error; with --debug, as a traceback. Its help shows
    the whole first sentence of each command, and the default of each flag."""

    context_class = Context

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.context_class = Context
        for option in cmd.params:
            if (
                isinstance(option, click.Option)
                and option.is_flag
                and "[default" not in str(option.help)
            ):
                option.help = f"{option.help} [default: off]"
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, str(cmd.help).partition("\n\n")[0].replace("\n", " "))
            for name, cmd in named
            if cmd is not None and not cmd.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = partial(_show_warning, set(), warnings.showwarning)
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.meta.get("chainrule.debug"):
                raise
            raise click.ClickException(message(error)) from error


def _show_warning(
    said: set[str], usual: Callable[..., None], text: Any, category: Any, file: str, *more: Any
) -> None:
    """A warning of this package as one line, each once; others, of a script, as Python does."""
    if not file.startswith(_PACKAGE):
        usual(text, category, file, *more)
    elif str(text) not in said:
        said.add(str(text))
        click.echo(f"Warning: {text}", err=True)


def message(error: Exception) -> str:
    """The message of an error; for exceptions of other packages, also their class."""
    from chainrule.errors import ChainruleError

    text = str(error).strip()
    notes = getattr(error, "__notes__", [])
    if isinstance(error, ChainruleError):
        return "\n  ".join([text, *notes])
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    hint = "(--debug shows the traceback)"
    return "\n  ".join([f"{type(error).__name__}: {text} {hint}", *notes])


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta["chainrule.debug"] = ctx.meta.get("chainrule.debug", False) or value


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the traceback of an error. [default: off]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
label_option = click.option(
    "--label",
    metavar="NAME",
    help="The label column of a table. [default: the column called label, target, class, species "
    "or y; after training, that of training]",
)


def _delimiter(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return "\t" if value in ("\\t", "tab") else value


delimiter_option = click.option(
    "--delimiter",
    callback=_delimiter,
    help="The delimiter of a table's cells, or tab. [default: detected in the file]",
)
header_option = click.option(
    "--header/--no-header",
    default=None,
    help="Whether a table's first row contains names. [default: detected in the file]",
)


trust_option = click.option(
    "--trust", is_flag=True, help="Run the Python file that the run's model is a function of."
)


def open_run(folder: str, trust: bool) -> Any:
    """An existing run. A Python file that it names is run only with the consent of the user."""
    from chainrule.train.runs.run import load_run

    run = load_run(folder, trust)
    asks = sys.stdin is not None and sys.stdin.isatty()
    if run.config.model.kind == "file" and not trust and asks:
        question = f"{folder} names a Python file: {run.config.model}\nRun this file?"
        run.trusted = click.confirm(question, abort=True, err=True)
    return run


def numbers(results: dict[str, Any]) -> str:
    """The numbers of an evaluation as one line, the most important first."""
    shown = {k: v for k, v in results.items() if isinstance(v, float)}
    first = {k: shown.pop(k) for k in ("accuracy", "r2") if k in shown}
    return ", ".join(_number(name, value) for name, value in (first | shown).items())


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return f"{name} undefined (too few samples)"
    return f"{100 * value:.2f} % {name}" if name == "accuracy" else f"{name} {value:.4f}"


def print_json(value: Any) -> None:
    """Print strict JSON; NaN and infinity are null."""
    from chainrule.train.io.strict_json import finite

    click.echo(json.dumps(finite(value), allow_nan=False))
