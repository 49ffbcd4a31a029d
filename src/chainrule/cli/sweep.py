"""`chainrule sweep`: trains with many settings and compares them."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from chainrule.cli.group import (
    POSITIVE,
    Finite,
    debug_option,
    json_option,
    label_option,
    print_json,
)


@click.command()
@click.argument("dataset", required=False)
@click.option(
    "--set",
    "spaces",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of an option of `train`: lr=1e-3,1e-2 or hidden=64,128x64, or a range to draw "
    "from: lr=log:1e-4:1e-1. May be repeated. [default: nothing varies]",
)
@click.option(
    "--seeds", type=POSITIVE, default=1, show_default=True, help="Seeds for each setting."
)
@click.option("--jobs", type=POSITIVE, default=1, show_default=True, help="Processes that train.")
@click.option("--samples", type=POSITIVE, help="Settings to draw. [default: all combinations]")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Cross-validation with this many parts. [default: one validation part]",
)
@click.option(
    "--halving",
    type=click.IntRange(min=2),
    help="Stop poor settings early: one in so many goes on. [default: all train to the end]",
)
@click.option("--epochs", type=POSITIVE, help="Epochs of a training. [default: as `train`]")
@click.option("--batch-size", type=POSITIVE, help="Samples for one update. [default: as `train`]")
@click.option("--model", metavar="NAME", help="As of `chainrule train`. [default: as `train`]")
@label_option
@click.option(
    "--valid-fraction",
    type=Finite(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Fraction of the training data for validation.",
)
@click.option(
    "--monitor",
    metavar="NAME",
    help="What is compared, such as valid_accuracy. [default: valid_loss]",
)
@click.option(
    "--out",
    type=click.Path(),
    help="The folder of the sweep; an interrupted one goes on there. [default: sweeps/NAME]",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@json_option
@debug_option
def sweep(**options: Any) -> None:
    """Train on DATASET with many settings, and compare them.

    Example: chainrule sweep digits --set lr=1e-3,1e-2 --set hidden=64,128 --seeds 5 --jobs 2. The
    numbers are the same for any --jobs. A sweep that was interrupted goes on when the same command
    is given again.
    """
    from chainrule.train.runs.config import DataConfig
    from chainrule.train.runs.configure import safe_name
    from chainrule.train.sweeps.command import command_build, values_of
    from chainrule.train.sweeps.page import write_sweep_page
    from chainrule.train.sweeps.search import sweep as run_sweep

    source = options["dataset"] or "digits"
    data = DataConfig(
        source=os.path.abspath(source) if os.path.exists(source) else source,
        label=options["label"],
        valid_fraction=options["valid_fraction"],
    )
    space = dict(values_of(text) for text in options["spaces"])
    given = {name: options[name] for name in ("epochs", "batch_size", "model")}
    build, epochs, batch_size = command_build(
        data, space, options["samples"], options["folds"], **given
    )
    name = safe_name(os.path.basename(os.path.normpath(source)))
    shared = {name: options[name] for name in ("seeds", "jobs", "samples", "folds", "halving")}
    found = run_sweep(
        build,
        space,
        **shared,
        epochs=epochs,
        batch_size=batch_size,
        monitor=options["monitor"],
        out=options["out"] or os.path.join("sweeps", name),
        progress=not (options["quiet"] or options["as_json"]),
    )
    page = write_sweep_page(found, title=name)
    table = found.write_csv(os.path.join(found.folder, "trials.csv"))
    if options["as_json"]:
        rows = [row._asdict() for row in found.rows]
        print_json({"folder": found.folder, "best": found.best, "rows": rows, "page": page})
        return
    click.echo(found)
    click.echo(f"\nThe page {page}, all trials {table}\nNext: {_command(source, found.best)}")


def _command(source: str, best: dict[str, Any]) -> str:
    """The command that trains with a setting."""
    words = ["chainrule", "train", source]
    for name, value in best.items():
        words.append("--" + name.replace("_", "-"))
        words.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    return shlex.join(words)
