"""`chainrule evaluate`, `predict`, `summary` and `report`: commands on a run."""

from __future__ import annotations

from typing import Any

import click

from chainrule.cli.group import (
    debug_option,
    delimiter_option,
    header_option,
    json_option,
    label_option,
    numbers,
    open_run,
    print_json,
    trust_option,
)


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
        click.echo(f"{numbers(results)} on {len(data):,} samples")


@click.command()
@click.argument("run", type=click.Path())
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--out", type=click.Path(), help="Write a CSV file: the input's rows, predictions.")
@click.option("--proba", is_flag=True, help="With --out: the probability of each class too.")
@delimiter_option
@header_option
@trust_option
@json_option
@debug_option
def predict(
    run: str,
    files: tuple[str, ...],
    out: str | None,
    proba: bool,
    trust: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Print predictions of RUN for each FILE: images, tables (.csv, .tsv, .parquet), arrays
    (.npy)."""
    from chainrule.train.notices import say
    from chainrule.train.runs.predictions import input_table, remarks, write_predictions

    opened, found = open_run(run, trust), []
    for path in files:
        for row, record in enumerate(opened.records(path, **reading)):
            found.append({"file": path, "row": row, **record})
    table = input_table(opened, files, **reading)
    for remark in remarks(opened.schema, table):
        say(remark)
    if out is not None:
        write_predictions(out, found, table, proba)
        say(f"{len(found):,} predictions in {out}")
    if as_json:
        print_json(found)
    elif out is None:
        _print_predictions(found)


def _print_predictions(found: list[dict[str, Any]]) -> None:
    for record in found:
        where = f"{record['file']}[{record['row']}]"
        if "value" in record:
            click.echo(f"{where}  {', '.join(f'{v:.6g}' for v in record['value'])}")
        else:
            click.echo(f"{where}  {record['class']}  {100 * record['probability']:.1f} %")


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
    for row in rows:
        click.echo(f"{row['layer']:<44} {row['output']:<20} {row['parameters']:>12,}")
    total = sum(row["parameters"] for row in rows)
    click.echo(f"{'total':<65} {total:>12,}")
    t = opened.config.training
    click.echo(f"{opened.config.data.source}, {t.epochs} epochs, {t.optimizer}, lr {t.lr:g}")


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
