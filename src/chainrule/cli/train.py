"""`chainrule train`: starts a new run or resumes one."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click
from click.core import ParameterSource

from chainrule.cli.group import (
    POSITIVE,
    Finite,
    debug_option,
    delimiter_option,
    header_option,
    json_option,
    label_option,
    open_run,
    print_json,
    trust_option,
)
from chainrule.cli.told import conclude, introduce

_EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143}


def _widths(_: click.Context, __: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        widths = [int(part) for part in value.split(",") if part.strip()]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers such as 128,64") from None
    if any(width < 1 for width in widths):
        raise click.BadParameter("widths are at least 1")
    return widths


def _roles(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.rpartition("=") for value in values]
    if strange := [value for value, pair in zip(values, pairs, strict=True) if not pair[0]]:
        raise click.BadParameter(f"{strange[0]!r} is no column and role such as price=number")
    return {name: role for name, _, role in pairs}


def _sides(_: click.Context, __: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    sides = value.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() and int(side) for side in sides):
        raise click.BadParameter(f"{value!r} is no size such as 64 or 48x64 (height, width)")
    return [int(sides[0]), int(sides[-1])]


def _words(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    return [] if value is None else value.split(",")


_DATA = (
    "vocab_size",
    "label",
    "task",
    "delimiter",
    "header",
    "decimal",
    "columns",
    "drop",
    "missing",
    "size",
)


@click.command()
@click.argument("dataset", required=False)
@click.option(
    "--model",
    metavar="NAME",
    help="mlp, cnn, table, gpt, char_rnn, or FILE.py:function (runs that file). "
    "[default: table for tables, gpt for texts, else mlp]",
)
@click.option(
    "--vocab-size",
    type=click.IntRange(257, 2**20),
    help="Byte pairs of a text's vocabulary. [default: characters if there are at most 256]",
)
@click.option(
    "--hidden",
    callback=_widths,
    metavar="WIDTHS",
    help="Widths of the mlp's hidden layers, such as 128,64. [default: from the size of an input]",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    help="Passes over the training data. [default: from the model and the size of the data]",
)
@click.option(
    "--batch-size",
    type=POSITIVE,
    help="Samples for one update. [default: 32; for the cnn and for large data 64; for large "
    "tables 128]",
)
@click.option(
    "--lr",
    type=Finite(min=0),
    help="The learning rate, with a schedule its largest value. [default: from the model and the "
    "size of the data]",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adam", "adamw", "sgd", "rmsprop"]),
    help="The rule of the updates. [default: adamw for tables and small data without images, else "
    "adam]",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "cosine", "onecycle"]),
    help="How the learning rate changes. [default: onecycle]",
)
@click.option(
    "--weight-decay",
    type=Finite(min=0),
    help="The strength with which weights shrink. [default: 0.3 for tables and small data without "
    "images, else 0]",
)
@click.option(
    "--clip-norm",
    type=Finite(min=0, min_open=True),
    help="The largest norm of all gradients together. [default: no limit]",
)
@click.option(
    "--patience",
    type=POSITIVE,
    help="Stop after this many epochs without improvement. [default: 20 for tables; else never]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="The seed of the weights, of dropout, and of the split and the order of the data. "
    "[default: 0]",
)
@label_option
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What a table's label is for. [default: classification for text and few whole numbers, "
    "else regression]",
)
@delimiter_option
@header_option
@click.option(
    "--decimal",
    type=click.Choice([".", ","]),
    help="A table's decimal sign. [default: detected in each column]",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=_roles,
    metavar="NAME=ROLE",
    help="A column's role: number, category, date[:FORMAT], text, identifier. May be repeated. "
    "[default: decided from its cells]",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="NAME",
    help="A column to leave out. May be repeated. [default: none]",
)
@click.option(
    "--missing",
    callback=_words,
    metavar="WORDS",
    help="Further words for a missing value, such as '-,unknown'. [default: none; an empty cell, "
    "NA, N/A, NaN, null and ? are always missing]",
)
@click.option(
    "--size",
    callback=_sides,
    metavar="HEIGHTxWIDTH",
    help="The size that the images of a folder get: 64, or 48x64. [default: images of one size up "
    "to 128x128 keep it, others become 64x64]",
)
@click.option(
    "--valid-fraction",
    type=Finite(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Fraction of the training data for validation.",
)
@click.option("--out", type=click.Path(), help="The run's folder. [default: runs/NAME]")
@click.option(
    "--checkpoint-every",
    type=POSITIVE,
    help="Steps between checkpoints. [default: one checkpoint after each epoch]",
)
@click.option(
    "--ranks",
    type=POSITIVE,
    help="Processes that share each batch, over MPI. [default: this one, or those of mpiexec]",
)
@click.option(
    "--shards",
    type=POSITIVE,
    help="Parts of each batch, which determine the bits of the result, a multiple of the ranks. "
    "[default: as many as ranks]",
)
@click.option(
    "--resume",
    type=click.Path(),
    help="Continue the run in this folder. [default: start a new run]",
)
@trust_option
@click.option("--override", is_flag=True, help="Allow options that differ from the resumed run.")
@click.option(
    "--report/--no-report", default=True, help="Whether to write report.html. [default: report]"
)
@click.option(
    "--engine",
    type=click.Choice(["chainrule", "jax"]),
    default="chainrule",
    show_default=True,
    help="What computes the steps: JAX runs on the device that it has, such as a GPU.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@json_option
@debug_option
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train on DATASET and write a run.

    DATASET is a name (digits, breast_cancer, mnist, fashion_mnist, moons, spirals, ...), a .csv,
    .tsv, .parquet, .feather, .npy or .npz file, a folder with x.npy and y.npy, a folder of IDX
    files, a folder with one subfolder of images per class, or a text (.txt). Data in .parquet,
    .feather and .npy files and in folders may be larger than memory. Default: digits.
    """
    from chainrule.cli.ranks import join_ranks
    from chainrule.train.runs.page import write_report
    from chainrule.world import alone

    ranks = join_ranks(options.pop("ranks"), options["shards"])
    if options["shards"] is None and ranks.size > 1:
        options["shards"] = ranks.size
    as_json, quiet = options["as_json"], options["quiet"] or options["as_json"]
    run = _resumed(ctx, options) if options["resume"] else _new_run(options)
    by_jax = options["engine"] == "jax"
    callbacks = _jax_engine() if by_jax else []
    if not quiet:
        introduce(run, by_jax)
    resume, override = bool(options["resume"]), options["override"]
    history, results = run.train(resume, override, not quiet, callbacks)
    if results is None:
        ctx.exit(_EXIT_CODES[history.interrupted or "SIGINT"])
    if ranks.rank:
        return
    with alone():
        report = write_report(run) if options["report"] else None
    if as_json:
        print_json({"run": run.folder, **results, "report": report})
    else:
        conclude(run, results, report)


def _new_run(options: dict[str, Any]) -> Any:
    from chainrule.train.runs.config import DataConfig, TrainingConfig
    from chainrule.train.runs.configure import configure
    from chainrule.train.runs.run import Run
    from chainrule.world import world

    source = options["dataset"] or "digits"
    data = DataConfig(
        source=os.path.abspath(source) if os.path.exists(source) else source,
        valid_fraction=options["valid_fraction"],
        seed=options["seed"] or 0,
        **{name: options[name] for name in _DATA if name != "drop"},
        drop=[*options["drop"]],
    )
    training = {field.name: options[field.name] for field in dataclasses.fields(TrainingConfig)}
    config = configure(data, model=options["model"], hidden=options["hidden"], **training)
    return Run.create(options["out"] or world().chosen(_free_folder(config.name)), config)


def _free_folder(name: str) -> str:
    """runs/<name>, with a number appended if the folder exists."""
    folder, number = os.path.join("runs", name), 2
    while os.path.lexists(folder):
        folder, number = os.path.join("runs", f"{name}-{number}"), number + 1
    return folder


def _resumed(ctx: click.Context, options: dict[str, Any]) -> Any:
    """The run to resume. Options that differ from the saved ones need --override."""
    from chainrule.train.runs.run import Run

    run = open_run(options["resume"], options["trust"])
    given = [n for n in options if ctx.get_parameter_source(n) == ParameterSource.COMMANDLINE]
    fixed = ("dataset", "model", "hidden", *_DATA, "valid_fraction", "out")
    if strange := [n for n in fixed if n in given]:
        shown = {"dataset": "DATASET", "columns": "--column"}
        names = ", ".join(shown.get(n, f"--{n}") for n in strange)
        raise click.UsageError(f"{names}: fixed by the run in {run.folder}, leave it out")
    old = run.config.training
    asked = {f.name: options[f.name] for f in dataclasses.fields(old) if f.name in given}
    changes = {name: value for name, value in asked.items() if value != getattr(old, name)}
    if changes and not options["override"]:
        listed = ", ".join(f"{n} was {getattr(old, n)}, now {v}" for n, v in changes.items())
        raise click.UsageError(f"the run was started differently: {listed}. Pass --override.")
    if changes:
        new = dataclasses.replace(run.config, training=dataclasses.replace(old, **changes))
        new.save(run.folder)
        run = Run(run.folder, new, run.trusted)
    return run


def _jax_engine() -> list[Any]:
    """The callback that computes the steps by JAX."""
    from chainrule.errors import missing_dependency

    try:
        from chainrule.formats.jax import JaxEngine
    except ImportError:
        raise missing_dependency("JAX", "jax", "training by JAX") from None
    return [JaxEngine()]
