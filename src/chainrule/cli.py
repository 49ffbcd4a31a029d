"""`chainrule`: train, evaluate, predict, summary, report, lessons, doctor.

Exit codes: 0 done, 1 an error, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM. Results go to
standard output (with --json: nothing but JSON), progress and errors to standard error.
Heavy imports are inside the commands, so that `chainrule --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
from click.core import ParameterSource

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143}


class _Commands(click.Group):
    """Turns exceptions into one line on standard error, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.meta.get("chainrule.debug"):
                raise
            raise click.ClickException(_message(error)) from error


def _message(error: Exception) -> str:
    """What went wrong, in the words of the error; its kind where the words alone say little."""
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


_debug = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug,
    help="Show the traceback of an error.",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(package_name="chainrule")
@_debug
def main() -> None:
    """Train small neural networks on this machine, and look inside them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


# -- train -------------------------------------------------------------------------------------


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


_POSITIVE = click.IntRange(min=1)
_TRAINING = (
    "epochs", "batch_size", "lr", "optimizer", "schedule", "weight_decay", "clip_norm",
    "patience", "checkpoint_every", "seed",
)  # fmt: skip


@main.command()
@click.argument("dataset", required=False)
@click.option("--model", default="mlp", help="mlp, cnn, or FILE.py:function (runs that file).")
@click.option("--hidden", callback=_widths, help="Widths of the mlp's hidden layers: 128,64.")
@click.option("--epochs", type=click.IntRange(min=0))
@click.option("--batch-size", type=_POSITIVE)
@click.option("--lr", type=click.FloatRange(min=0), help="Learning rate (the highest of a cycle).")
@click.option("--optimizer", type=click.Choice(["adam", "adamw", "sgd", "rmsprop"]))
@click.option("--schedule", type=click.Choice(["constant", "cosine", "onecycle"]))
@click.option("--weight-decay", type=click.FloatRange(min=0))
@click.option("--clip-norm", type=click.FloatRange(min=0, min_open=True))
@click.option("--patience", type=_POSITIVE, help="Stop after so many epochs without progress.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1))
@click.option("--label", help="The label column of a CSV file, by name.")
@click.option("--valid-fraction", type=click.FloatRange(0, 1, max_open=True), default=0.1,
              show_default=True, help="Part of the training data to validate on.")
@click.option("--out", type=click.Path(), help="The run's folder. [default: runs/<name>]")
@click.option("--checkpoint-every", type=_POSITIVE, help="Steps. [default: after epochs]")
@click.option("--resume", type=click.Path(), help="Continue the run in this folder.")
@click.option("--override", is_flag=True, help="Let options change those of the resumed run.")
@click.option("--report/--no-report", default=True, help="Write report.html.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_json
@_debug
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train on DATASET and write a run.

    DATASET is a name (digits, breast_cancer, mnist, fashion_mnist, moons, spirals, ...), a folder
    of IDX files or of one folder of images per class, a .csv or .npz file. Default: digits.
    """
    from chainrule.train.page import write_report

    as_json, quiet = options["as_json"], options["quiet"] or options["as_json"]
    run = _resumed(ctx, options) if options["resume"] else _new_run(options)
    if not quiet:
        _introduce(run)
    history, results = run.train(bool(options["resume"]), options["override"], not quiet)
    if results is None:
        ctx.exit(_EXIT_CODES[history.interrupted or "SIGINT"])
    report = write_report(run) if options["report"] else None
    if as_json:
        _print_json({"run": run.folder, **results, "report": report})
    else:
        _conclude(run, results, report)


def _new_run(options: dict[str, Any]) -> Any:
    from chainrule.train.config import DataConfig
    from chainrule.train.run import Run, plan

    source = options["dataset"] or "digits"
    data = DataConfig(
        source=os.path.abspath(source) if os.path.exists(source) else source,
        label=options["label"], valid_fraction=options["valid_fraction"],
        seed=options["seed"] or 0,
    )  # fmt: skip
    training = {name: options[name] for name in _TRAINING}
    config = plan(data, model=options["model"], hidden=options["hidden"], **training)
    return Run.create(options["out"] or _free_folder(config.name), config)


def _free_folder(name: str) -> str:
    """runs/<name>, or with a number behind it where that is taken."""
    folder, number = os.path.join("runs", name), 2
    while os.path.lexists(folder):
        folder, number = os.path.join("runs", f"{name}-{number}"), number + 1
    return folder


def _resumed(ctx: click.Context, options: dict[str, Any]) -> Any:
    """The run to continue; what the command line asks for differently needs --override."""
    import dataclasses

    from chainrule.train.run import Run

    run = Run.open(options["resume"])
    given = [n for n in options if ctx.get_parameter_source(n) == ParameterSource.COMMANDLINE]
    fixed = ("dataset", "model", "hidden", "label", "valid_fraction", "out")
    if strange := [n for n in fixed if n in given]:
        names = ", ".join("DATASET" if n == "dataset" else f"--{n}" for n in strange)
        raise click.UsageError(f"{names}: fixed by the run in {run.folder}, leave it out")
    old = run.config.training
    changes = {n: options[n] for n in _TRAINING if n in given and options[n] != getattr(old, n)}
    if changes and not options["override"]:
        listed = ", ".join(f"{n} was {getattr(old, n)}, now {v}" for n, v in changes.items())
        raise click.UsageError(f"the run was started differently: {listed}. Pass --override.")
    if changes:
        new = dataclasses.replace(run.config, training=dataclasses.replace(old, **changes))
        new.save(run.folder)
        run = Run(run.folder, new)
    return run


def _introduce(run: Any) -> None:
    from chainrule.train.step import how_steps_run

    c, t = run.config, run.config.training
    train, valid, test = run.parts()
    parameters = sum(p.spec.size for p in run.build().parameters())
    rows = [
        ("data", f"{c.data.source}: {len(train):,} to train, {len(valid or ()):,} to validate, "
                 f"{len(test):,} to test"),
        ("model", f"{_chain(c)}  ({parameters:,} parameters)"),
        ("training", f"{t.epochs} epochs of batches of {t.batch_size}, {t.optimizer}, "
                     f"lr {t.lr:g} ({t.schedule}), seed {t.seed}"),
        ("steps", how_steps_run(compiled=True)),
        ("run", run.folder),
    ]  # fmt: skip
    for name, value in rows:
        click.echo(f"  {name:<9} {value}", err=True)


def _chain(config: Any) -> str:
    """`64 → 128 → 10` for an mlp, else the model's kind."""
    if config.model["kind"] == "mlp":
        linear = [x for x in config.model["layers"] if x["layer"] == "Linear"]
        sizes = [linear[0]["in_features"], *(x["out_features"] for x in linear)]
        return "mlp " + " → ".join(map(str, sizes))
    if config.model["kind"] == "file":
        return f"{config.model['path']}:{config.model['function']}"
    return str(config.model["kind"])


def _conclude(run: Any, results: dict[str, Any], report: str | None) -> None:
    test, folder = results["test"], _quoted(run.folder)
    click.echo(f"  {_numbers(test)} on the test part, after {results['seconds']:.1f} s")
    example = "picture.png" if run.config.inputs["image"] else "table.csv"
    click.echo("\nNext:")
    commands = [
        (f"chainrule evaluate {folder}", "the test part once more"),
        (f"chainrule predict {folder} {example}", "your own data"),
        (f"chainrule summary {folder}", "layers, sizes, parameters"),
    ]
    for command, what in commands:
        click.echo(f"  {command:<52} {what}")
    if report:
        click.echo(f"  {'open ' + _quoted(report):<52} curves, mistakes, gradients")


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)


def _numbers(results: dict[str, Any]) -> str:
    shown = {k: v for k, v in results.items() if isinstance(v, float)}
    first = {k: shown.pop(k) for k in ("accuracy", "r2") if k in shown}
    parts = [f"{100 * v:.2f} % {k}" if k == "accuracy" else f"{k} {v:.4f}"
             for k, v in (first | shown).items()]  # fmt: skip
    return ", ".join(parts)


def _print_json(value: Any) -> None:
    from chainrule.train.callbacks import finite

    click.echo(json.dumps(finite(value), allow_nan=False))


# -- use a run ---------------------------------------------------------------------------------


@main.command()
@click.argument("run", type=click.Path())
@click.argument("dataset", required=False)
@click.option("--label", help="The label column of a CSV file, by name.")
@_json
@_debug
def evaluate(run: str, dataset: str | None, label: str | None, as_json: bool) -> None:
    """Loss and accuracy of RUN on DATASET (by default on the test part of its own data)."""
    from chainrule.train.run import Run

    opened = Run.open(run)
    data = opened.data[1] if dataset is None else opened.open_like(dataset, label)
    results = opened.evaluate(data)
    if as_json:
        _print_json({"samples": len(data), **results})
    else:
        click.echo(f"{_numbers(results)} on {len(data):,} samples")


@main.command()
@click.argument("run", type=click.Path())
@click.argument("files", nargs=-1, required=True, type=click.Path())
@_json
@_debug
def predict(run: str, files: tuple[str, ...], as_json: bool) -> None:
    """What RUN says about each FILE: images (.png, .jpg), tables (.csv) or arrays (.npy)."""
    from chainrule.train.run import Run

    opened, found = Run.open(run), []
    for path in files:
        for row, record in enumerate(opened.predict(path)):
            found.append({"file": path, "row": row, **record})
    if as_json:
        _print_json(found)
        return
    for record in found:
        where = f"{record['file']}[{record['row']}]"
        if "value" in record:
            click.echo(f"{where}  {', '.join(f'{v:.6g}' for v in record['value'])}")
        else:
            click.echo(f"{where}  {record['class']}  {100 * record['probability']:.1f} %")


@main.command()
@click.argument("run", type=click.Path())
@_json
@_debug
def summary(run: str, as_json: bool) -> None:
    """The layers of RUN, with shapes and parameters, and how it was trained."""
    from chainrule.train.page import summary_rows
    from chainrule.train.run import Run

    opened = Run.open(run)
    rows = summary_rows(opened)
    if as_json:
        _print_json({"config": _plain(opened.config), "layers": rows})
        return
    for row in rows:
        click.echo(f"{row['layer']:<44} {row['output']:<20} {row['parameters']:>12,}")
    total = sum(row["parameters"] for row in rows)
    click.echo(f"{'total':<65} {total:>12,}")
    t = opened.config.training
    click.echo(f"{opened.config.data.source}, {t.epochs} epochs, {t.optimizer}, lr {t.lr:g}")


def _plain(config: Any) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(config)


@main.command()
@click.argument("run", type=click.Path())
@_debug
def report(run: str) -> None:
    """Write report.html into RUN: curves, mistakes, gradients, in one page without network."""
    from chainrule.train.page import write_report
    from chainrule.train.run import Run

    click.echo(write_report(Run.open(run)))


# -- the course --------------------------------------------------------------------------------


@main.command()
@click.argument("number", required=False, type=_POSITIVE)
@_json
@_debug
def lessons(number: int | None, as_json: bool) -> None:
    """List the lessons of the course, or open lesson NUMBER in Jupyter.

    An installed package copies the course into ./lessons first; files that are there stay as
    they are.
    """
    from chainrule import course

    if number is not None:
        notebook, kept = course.at_hand(number)
        for path in kept:
            click.echo(f"{path} differs from the course's and stays as it is", err=True)
        if as_json:
            _print_json({"lesson": number, "path": os.fspath(notebook)})
            return
        click.echo(os.fspath(notebook))
        course.show(notebook)
        return
    found = course.lessons()
    if as_json:
        _print_json([lesson._asdict() for lesson in found])
        return
    for lesson in found:
        click.echo(f"{lesson.number:>3}  {lesson.title}\n     {lesson.summary}")
    click.echo("\nchainrule lessons 1 opens the first one in Jupyter.")


@main.command()
@_json
@_debug
def doctor(as_json: bool) -> None:
    """What Chainrule finds on this machine: versions, threads, BLAS, data, extras, engine."""
    from chainrule.train.doctor import examine

    facts = examine()
    if as_json:
        _print_json(facts)
        return
    for name, value in facts.items():
        lines = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else [value]
        for place, line in enumerate(lines):
            click.echo(f"{name if place == 0 else '':<10} {line}")
