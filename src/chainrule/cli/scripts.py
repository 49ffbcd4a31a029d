"""`chainrule run` and `check`: run PyTorch scripts, and list the names that they miss."""

from __future__ import annotations

import click

from chainrule.cli.group import debug_option, json_option, print_json

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_PASSED_ON)
@click.argument("script", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(ctx: click.Context, script: str, arguments: tuple[str, ...]) -> None:
    """Run the PyTorch script SCRIPT on Chainrule, unchanged, with its ARGUMENTS.

    In this process, `import torch`, `torchvision` and `einops` import Chainrule's modules. The exit
    code is that of the script.
    """
    from chainrule.torch import script as scripts

    ctx.exit(scripts.run(script, arguments))


@click.command()
@click.argument("script", type=click.Path())
@json_option
@debug_option
@click.pass_context
def check(ctx: click.Context, script: str, as_json: bool) -> None:
    """List the names of PyTorch that SCRIPT uses and Chainrule lacks, without running it.

    The exit code is 1 if names are missing.
    """
    from chainrule.torch import check as checks

    findings = checks.check(script)
    missing = sum(finding.certain for finding in findings)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for line in checks.lines(script, findings):
            click.echo(line)
        click.echo(f"{missing} names or keywords are missing", err=True)
    ctx.exit(1 if missing else 0)
