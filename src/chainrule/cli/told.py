"""What `chainrule train` prints before and after the training."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from chainrule.cli.group import numbers
from chainrule.cli.show import listed, wrapped

_COLOURS = {1: "grey", 3: "in colour"}


def _jax_device() -> str:
    import jax

    return f"by JAX {jax.__version__}, on {jax.devices()[0].device_kind}"


def introduce(run: Any, by_jax: bool = False) -> None:
    """Print what will be trained, on what, and where it goes."""
    from chainrule.train.notices import say
    from chainrule.train.step import how_steps_run
    from chainrule.world import world

    c, t = run.config, run.config.training
    train, valid, test = run.parts()
    parameters = sum(p.spec.size for p in run.build().parameters())
    image = c.inputs.image if os.path.isdir(c.data.source) else None
    shape = image and f"{image.height} × {image.width} pixels, {_COLOURS[image.channels]}"
    rows = [
        (
            "data",
            f"{c.data.source}: {len(train):,} to train, {len(valid or ()):,} to validate, "
            f"{len(test):,} to test",
        ),
        *([("images", f"{shape}; --size changes it")] if shape else []),
        ("model", f"{_chain(c)}  ({parameters:,} parameters)"),
        (
            "training",
            f"{t.epochs} epochs of batches of {t.batch_size}, {t.optimizer}, "
            f"lr {t.lr:g} ({t.schedule}), seed {t.seed}",
        ),
        ("steps", _jax_device() if by_jax else how_steps_run(compiled=True)),
        *([("shards", f"{t.shards} of each batch, on {world().size} ranks")] if t.shards else []),
        ("run", run.folder),
    ]
    if train.schema is not None:
        say("\n".join([*listed(train.schema.lines()), ""]))
    for name, value in rows:
        say(wrapped(f"{name:<9} {value}", 2, 10))


def _chain(config: Any) -> str:
    """`mlp 64 → 128 → 10` for an mlp, else the kind of the model."""
    linear = [x for x in config.model.layers or () if "in_features" in x]
    if config.model.kind != "mlp" or not linear:
        return str(config.model)
    sizes = [linear[0]["in_features"], *(x["out_features"] for x in linear)]
    return "mlp " + " → ".join(map(str, sizes))


def conclude(run: Any, results: dict[str, Any], report: str | None) -> None:
    """Print the result, and the commands that use it."""
    test, folder = results["test"], _quoted(run.folder)
    said = f"{numbers(test)} on the test part, after {results['seconds']:.1f} s"
    click.echo(wrapped(said, 2, 0))
    example = "picture.png" if run.config.inputs.image else "table.csv"
    use = (f"chainrule predict {folder} {example}", "your own data")
    if run.config.inputs.tokenizer is not None:
        use = (f"chainrule generate {folder} --prompt 'Once'", "a text that the model writes")
    commands = [
        (f"chainrule evaluate {folder}", "the test part once more"),
        use,
        (f"chainrule summary {folder}", "layers, sizes, parameters"),
    ]
    if report:
        commands.append((f"{_opener()} {_quoted(report)}", "curves, mistakes, gradients"))
    commands.append((f"run = cr.load_run({run.folder!r})", "in Python"))
    click.echo("\nNext:\n" + "\n".join(listed(commands)))


def _opener() -> str:
    """The command that opens a file on this platform."""
    return {"darwin": "open", "win32": "start"}.get(sys.platform, "xdg-open")


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)
