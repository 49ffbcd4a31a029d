"""A table of a model: the output shape, parameters, FLOPs and memory of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.graph import as_tuple
from chainrule.interpreters import Interpreter
from chainrule.nn.module import Module, watch
from chainrule.ops.creation import zeros
from chainrule.primitive import Primitive, Spec
from chainrule.settings import get_default_dtype, use
from chainrule.tensor import Tensor


@dataclass
class Row:
    """One layer. Parameters and FLOPs are its own, without those of its submodules.

    output: the shape of the output; empty if the layer was not called.
    """

    path: str
    kind: str
    output: str = ""
    parameters: int = 0
    flops: int = 0
    memory: int = 0


@dataclass
class Summary:
    """The rows of the table, and their totals. Printing it shows the table.

    parameters: the number of elements of all parameters.
    trainable: the number of these that require gradients.
    flops: additions and multiplications of one forward pass. Ops that do not count them count as
        one for each element.
    memory: the bytes of parameters, buffers, and the outputs of all layers without submodules.
    """

    rows: list[Row] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    memory: int = 0

    def __str__(self) -> str:
        titles = ("layer", "type", "output", "parameters", "FLOPs", "memory")
        cells = [titles]
        for r in self.rows:
            numbers = (f"{r.parameters:,}", f"{r.flops:,}", readable_bytes(r.memory))
            *above, name = r.path.split(".")
            called = "  " * len(above) + (name or "model")
            cells.append((called, r.kind, r.output or "not called", *numbers))
        total = (f"{self.parameters:,}", f"{self.flops:,}", readable_bytes(self.memory))
        cells.append(("total", "", "", *total))
        widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
        lines = [
            "  ".join(
                cell.rjust(width) if i > 2 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        rule = "─" * max(map(len, lines))
        frozen = self.parameters - self.trainable
        note = f"{self.trainable:,} of the parameters are trained, {frozen:,} are frozen"
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], note])

    __repr__ = __str__


def readable_bytes(n: int) -> str:
    """A number of bytes as text, such as `1.5 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            break
        n /= 1000  # type: ignore[assignment]
    return f"{n} {unit}" if unit == "B" else f"{n:.1f} {unit}"


class _Meter(Interpreter):
    """An interpreter that counts the FLOPs of the running layer, and ignores all writes."""

    def __init__(self, rows: dict[int, Row]) -> None:
        super().__init__()
        self.rows = rows
        self.running: list[Row] = []

    def enter(self, module: Module) -> None:
        # A module that is not part of the model counts towards the layer that called it.
        if (row := self.rows.get(id(module))) is None:
            row = self.running[-1]
        self.running.append(row)

    def leave(self, module: Module, output: Any) -> None:
        row = self.running.pop()
        if id(module) not in self.rows:
            return
        tensors = [
            y for y in (output if isinstance(output, tuple) else (output,)) if isinstance(y, Tensor)
        ]
        row.output = ", ".join(str(y.shape) for y in tensors) or type(output).__name__
        if not any(True for _ in module.children()):
            row.memory += sum(y.spec.nbytes for y in tensors)

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        result = super().run(primitive, inputs, params)
        if self.running:
            self.running[-1].flops += primitive.flops(inputs, as_tuple(result), params)
        return result

    def write(self, tensor: Tensor, value: Tensor) -> None:
        """State does not change."""

    def write_grad(self, tensor: Tensor, g: Tensor | None) -> None:
        """Gradients do not change."""


def summary(model: Module, *inputs: Any) -> Summary:
    """A table of the layers of `model`, for inputs given as specs, shapes or tensors.

    Runs the model once in evaluation mode, with zeros for specs and shapes. Neither the model nor
    random state changes. Without inputs, only parameters are counted. Raises ArgumentError for
    other inputs.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> print(summary(nn.Sequential(nn.Linear(784, 10), nn.ReLU()), (64, 784)))
    layer  type        output    parameters      FLOPs   memory
    ───────────────────────────────────────────────────────────
    model  Sequential  (64, 10)           0          0      0 B
    0      Linear      (64, 10)       7,850  1,004,160   2.6 kB
    1      ReLU        (64, 10)           0        640   2.6 kB
    ───────────────────────────────────────────────────────────
    total                             7,850  1,004,800  36.5 kB
    7,850 of the parameters are trained, 0 are frozen
    """
    rows = {id(m): Row(path, type(m).__name__) for path, m in model.named_modules()}
    counted: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in counted:  # a shared one counts in the first module
                counted.add(id(parameter))
                rows[id(module)].parameters += parameter.numel()
    if inputs:
        _measure(model, inputs, _Meter(rows))
    parameters = list(model.parameters())
    state = [*parameters, *model.buffers()]
    return Summary(
        rows=list(rows.values()),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        flops=sum(row.flops for row in rows.values()),
        memory=sum(x.spec.nbytes for x in state) + sum(r.memory for r in rows.values()),
    )


def _measure(model: Module, inputs: Sequence[Any], meter: _Meter) -> None:
    """Run the model in evaluation mode, and restore the modes."""
    tensors = [_zeros(model, x) for x in inputs]
    modes = [(module, vars(module).get("training")) for module in model.modules()]
    try:
        model.eval()
        with watch(meter), use(gradients=False, interpreter=meter):
            model(*tensors)
    finally:
        for module, mode in modes:
            if mode is None:
                vars(module).pop("training", None)
            else:
                module.training = mode


def _zeros(model: Module, like: Any) -> Tensor:
    if isinstance(like, Tensor):
        return like
    if isinstance(like, Spec):
        return zeros(like.shape, dtype=like.dtype)
    if isinstance(like, (tuple, list)) and all(isinstance(n, int) for n in like):
        floats = [p.dtype for p in model.parameters() if p.dtype.kind == "f"]
        return zeros(tuple(like), dtype=floats[0] if floats else get_default_dtype())
    raise ArgumentError(
        "an input of a summary is a shape, a spec or a tensor",
        given=repr(like),
        expected="e.g. (64, 784), or cr.spec(64, 20, dtype=cr.int64)",
    )
