"""`chainrule lessons`: lists the lessons of the course, and opens one in Jupyter."""

from __future__ import annotations

import os

import click

from chainrule.cli import course
from chainrule.cli.group import POSITIVE, debug_option, json_option, print_json


@click.command()
@click.argument("number", required=False, type=POSITIVE)
@click.option("--answers", is_flag=True, help="Print the answers to the exercises of the lesson.")
@json_option
@debug_option
def lessons(number: int | None, answers: bool, as_json: bool) -> None:
    """List the lessons of the course, or open lesson NUMBER in Jupyter.

    An installed package first copies the course to ./lessons. Existing files are kept.
    """
    if answers:
        _print_answers(number, as_json)
        return
    if number is not None:
        notebook, kept = course.at_hand(number)
        for path in kept:
            click.echo(f"{path} differs from the course's and stays as it is", err=True)
        if as_json:
            print_json({"lesson": number, "path": os.fspath(notebook)})
            return
        click.echo(os.fspath(notebook))
        course.show(notebook)
        return
    found = course.lessons()
    if as_json:
        print_json([lesson._asdict() for lesson in found])
        return
    for lesson in found:
        click.echo(f"{lesson.number:>3}  {lesson.title}\n     {lesson.summary}")
    click.echo("\nchainrule lessons 1 opens the first one in Jupyter.")


def _print_answers(number: int | None, as_json: bool) -> None:
    """Print the answers of a lesson, or with --json their path."""
    if number is None:
        raise click.UsageError("Whose answers? Name the lesson: chainrule lessons 4 --answers")
    file = course.answers(number)
    if as_json:
        print_json({"lesson": number, "answers": os.fspath(file)})
        return
    click.echo(file.read_text(encoding="utf-8"), nl=False)
