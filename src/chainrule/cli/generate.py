"""`chainrule generate`: a text that the model of a run writes."""

from __future__ import annotations

import click

from chainrule.cli.group import POSITIVE, Finite, debug_option, open_run


@click.command()
@click.argument("run", type=click.Path())
@click.option("--prompt", default="", help="The beginning of the text. [default: none]")
@click.option("--length", type=POSITIVE, default=500, show_default=True, help="Tokens to write.")
@click.option(
    "--temperature",
    type=Finite(min=0),
    default=0.8,
    show_default=True,
    help="Below 1: likely tokens more often. 0: the likeliest token always.",
)
@click.option(
    "--top-k", type=POSITIVE, help="Choose among the K likeliest tokens only. [default: among all]"
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The start of the random numbers.",
)
@debug_option
def generate(
    run: str, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> None:
    """Continue a text with the model of RUN, which was trained on a text."""
    from chainrule.ops.random import manual_seed
    from chainrule.train.runs import texts

    opened = open_run(run, trust=False)
    manual_seed(seed)
    click.echo(texts.generate(opened, prompt, length, temperature=temperature, top_k=top_k))
