"""`chainrule export`: the model of a run in the format of other programs."""

from __future__ import annotations

import os
from typing import Any

import click

from chainrule.cli.group import debug_option, open_run, trust_option


@click.command()
@click.argument("run", type=click.Path())
@click.argument("path", type=click.Path())
@click.option("--int8", is_flag=True, help="Store weights as 8-bit integers.")
@click.option("--train", is_flag=True, help="Export a training step, so that a device can learn.")
@trust_option
@debug_option
def export(run: str, path: str, int8: bool, train: bool, trust: bool) -> None:
    """Write the model of RUN as a .c or an .onnx file.

    PATH.c is one readable C file, which needs nothing but C's standard library. Compiled as it is,
    it checks itself against examples of the run's data: cc -O2 -o model model.c -lm && ./model

    PATH.onnx runs in ONNX Runtime and other programs. Needs: pip install 'chainrule[onnx]'.
    """
    from chainrule.errors import ArgumentError

    kind = os.path.splitext(path)[1]
    if kind not in (".c", ".onnx"):
        raise ArgumentError("unknown format", given=path, expected="a path ending in .c or .onnx")
    if kind == ".onnx" and (int8 or train):
        raise click.UsageError("--int8 and --train are for C files")
    opened = open_run(run, trust)
    if kind == ".onnx":
        _onnx(opened, path)
    else:
        click.echo(_step(opened, path, int8) if train else _model(opened, path, int8))


def _onnx(run: Any, path: str) -> None:
    from chainrule.formats import onnx
    from chainrule.primitive import Spec

    x, _ = run.prepared(run.data[1]).gather([0])
    onnx.export(run.model.eval(), Spec(x.shape, x.dtype), path)
    click.echo(f"{path}: {os.path.getsize(path):,} bytes")


def _model(run: Any, path: str, int8: bool) -> Any:
    from chainrule.formats import c
    from chainrule.tensor import Tensor

    x, _ = run.prepared(run.data[1]).gather(range(3))
    samples = [Tensor(x[i : i + 1]) for i in range(len(x))]
    return c.export(run.model.eval(), samples[0], path, int8=int8, examples=samples)


def _step(run: Any, path: str, int8: bool) -> Any:
    """A step on a batch of the run's size: forward, backward and the optimizer's update."""
    from chainrule.formats import c
    from chainrule.tensor import Tensor

    trainer, size = run.trainer(1, progress=False), run.config.training.batch_size
    model, optimizer = trainer.model, trainer.optimizer
    model.load_state_dict(run.model.state_dict())
    data = run.prepared(run.data[0])
    size = min(size, len(data) // 3)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = run.loss(model.train()(x), y)
        loss.backward()
        optimizer.step()
        return loss

    batches = [tuple(map(Tensor, data.gather(range(i * size, (i + 1) * size)))) for i in range(3)]
    return c.export(step, batches[0], path, int8=int8, examples=batches[1:])
