"""`chainrule`: train, sweep, evaluate, predict, generate, summary, report, export, run, check,
lessons, doctor, tune.

Exit codes: 0 success, 1 error, 2 wrong usage, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
Results go to standard output (with --json, only JSON), progress and errors to standard error. The
commands import heavy modules themselves, so that `chainrule --help` is fast.
"""

from __future__ import annotations

import sys

import click

from chainrule.cli import doctor, export, generate, lessons, runs, scripts, sweep, train, tune
from chainrule.cli.group import Commands, debug_option

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Commands, context_settings=_SETTINGS)
@click.version_option(package_name="chainrule")
@debug_option
def main() -> None:
    """Train and inspect small neural networks on this machine."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


for command in (
    train.train,
    sweep.sweep,
    runs.evaluate,
    runs.predict,
    generate.generate,
    runs.summary,
    runs.report,
    export.export,
    scripts.run,
    scripts.check,
    lessons.lessons,
    doctor.doctor,
    tune.tune,
):
    main.add_command(command)
