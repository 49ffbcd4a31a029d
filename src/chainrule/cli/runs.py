"""`chainrule evaluate`, `predict`, `summary` and `report`: commands on a run."""

from __future__ import annotations

from typing import Any

import click

from chainrule.cli.group import (
    TABLE_OPTIONS,
    Finite,
    debug_option,
    delimiter_option,
    header_option,
    json_option,
    label_option,
    message,
    numbers,
    open_run,
    print_json,
    trust_option,
)
from chainrule.cli.show import shades, table, wrapped


@click.command()
@click.argument("run", type=click.Path())
@click.argument("dataset", required=False)
@label_option
@delimiter_option
@header_option
@trust_option
@json_option
@debug_option
def evaluate(run: str, dataset: str | None, trust: bool, as_json: bool, **table: Any) -> None:
    """Print loss and metrics of RUN on DATASET (by default the test part of its own data)."""
    opened = open_run(run, trust)
    data = opened.data[1] if dataset is None else opened.open_like(dataset, **table)
    results = opened.evaluate(data)
    if as_json:
        print_json({"samples": len(data), **results})
    else:
        count = f"{len(data):,} sample{'s' * (len(data) != 1)}"
        click.echo(f"{numbers(results)} on {count}")


@click.command()
@click.argument("run", type=click.Path())
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    help="Write a CSV file with the rows of the input and the predictions. [default: print them]",
)
@click.option("--proba", is_flag=True, help="With --out: write the probability of each class too.")
@click.option("--explain", is_flag=True, help="Show each picture as the model sees it.")
@click.option(
    "--invert/--no-invert",
    default=None,
    help="Whether a picture's light and dark are exchanged. [default: as its background says]",
)
@click.option(
    "--crop/--no-crop",
    default=None,
    help="Whether a picture's figure is cut out and placed as in training. [default: if the "
    "training pictures show one figure each, on a plain background]",
)
@click.option(
    "--size",
    type=Finite(min=1),
    help="The larger side of a picture's figure in the pixels of the model. [default: as in "
    "training]",
)
@delimiter_option
@header_option
@trust_option
@json_option
@debug_option
@click.pass_context
def predict(
    ctx: click.Context, /, run: str, files: tuple[str, ...], trust: bool, **options: Any
) -> None:
    """Print predictions of RUN for each FILE.

    A FILE is a picture, a table (.csv, .tsv, .parquet) or an array (.npy). Pictures are shown to
    the model as its training pictures were. A line says which inputs are far from the training
    data. If a file cannot be read, the others are predicted, and the exit code is 1.
    """
    from chainrule.train.notices import say
    from chainrule.train.runs.predictions import input_table, remarks, write_predictions

    opened = open_run(run, trust)
    as_json, out, proba = (options.pop(name) for name in ("as_json", "out", "proba"))
    explain = options.pop("explain")
    view = {name: options.pop(name) for name in ("invert", "crop", "size")}
    found, failed = _predicted(opened, files, explain and not as_json, {**view, **options})
    cells = input_table(opened, files, **options)
    for remark in [*remarks(opened.schema, cells), *_far(found)]:
        say(wrapped(remark, 0))
    if out is not None and found:
        write_predictions(out, found, cells, proba)
        say(f"{len(found):,} predictions in {out}")
    if as_json:
        print_json(found)
    elif out is None:
        _print_predictions(found)
    ctx.exit(1 if failed else 0)


def _predicted(
    run: Any, files: tuple[str, ...], explain: bool, options: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """A record for each input of the files, and how many files could not be read."""
    from chainrule.data.inputs import is_picture

    found, failed = [], 0
    for path in files:
        try:
            pictured = is_picture(path)
            given = options if pictured else {k: options[k] for k in TABLE_OPTIONS}
            records = run.records(path, **given)
            if explain and pictured:
                _explain(run, path, {k: v for k, v in options.items() if k not in TABLE_OPTIONS})
        except (ValueError, OSError) as error:
            if len(files) == 1:
                raise
            failed += 1
            click.echo(f"Error: {message(error)}", err=True)
            continue
        found += [{"file": path, "row": row, **record} for row, record in enumerate(records)]
    return found, failed


def _explain(run: Any, path: str, view: dict[str, Any]) -> None:
    """Print the picture that the model sees, and what was done to it."""
    seen = run.picture(path, **view)
    click.echo(wrapped(f"{path}: {'; '.join(seen.steps)}", 0))
    for line in shades(seen.pixels):
        click.echo(f"  {line}".rstrip())


def _far(found: list[dict[str, Any]]) -> list[str]:
    """A sentence about the inputs that are far from the training data."""
    count = sum(record.get("distance", 0.0) > 1 for record in found)
    if not count:
        return []
    what = "The input is" if len(found) == 1 else f"{count:,} of {len(found):,} inputs are"
    return [
        f"{what} far from the training data, so the prediction may be wrong. The measure is the "
        "distance to the nearest training sample: 1 is what 99 % of these keep from each other."
    ]


def _print_predictions(found: list[dict[str, Any]]) -> None:
    for record in found:
        where, distance = f"{record['file']}[{record['row']}]", record.get("distance", 0.0)
        if "value" in record:
            said = ", ".join(f"{v:.6g}" for v in record["value"])
        else:
            said = f"{record['class']}  {100 * record['probability']:.1f} %"
        warned = f"  far from the training data ({distance:.2f})" if distance > 1 else ""
        click.echo(f"{where}  {said}{warned}")


@click.command()
@click.argument("run", type=click.Path())
@trust_option
@json_option
@debug_option
def summary(run: str, trust: bool, as_json: bool) -> None:
    """Print the layers of RUN with shapes and parameters, and the options of its training."""
    from chainrule.train.runs.page import summary_rows

    opened = open_run(run, trust)
    rows = summary_rows(opened)
    if as_json:
        print_json({"config": _plain(opened.config), "layers": rows})
        return
    total = sum(row["parameters"] for row in rows)
    cells = [(row["layer"], row["output"], f"{row['parameters']:,}") for row in rows]
    head, foot = ("layer", "output", "parameters"), ("total", "", f"{total:,}")
    click.echo("\n".join(table([head, *cells, foot])))
    t = opened.config.training
    options = f"{t.epochs} epochs, {t.optimizer}, lr {t.lr:g}"
    click.echo("\n" + wrapped(f"{opened.config.data.source}, {options}", 0))


def _plain(config: Any) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(config)


@click.command()
@click.argument("run", type=click.Path())
@trust_option
@debug_option
def report(run: str, trust: bool) -> None:
    """Write report.html into RUN: one offline page with curves, mistakes and gradients."""
    from chainrule.train.runs.page import write_report

    click.echo(write_report(open_run(run, trust)))
