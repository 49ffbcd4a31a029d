"""Write a model, or a training step, as one C file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn, tree
from chainrule.compiler.passes import optimize
from chainrule.compiler.passes.algebra import simplify
from chainrule.compiler.passes.common import merge_common
from chainrule.compiler.passes.constants import fold_constants
from chainrule.compiler.passes.dead import remove_unused
from chainrule.compiler.passes.fusion import CHAIN, fuse_elementwise
from chainrule.compiler.trace import Trace, capture
from chainrule.errors import ArgumentError
from chainrule.formats.c.program import Program, State, source
from chainrule.formats.c.table import has_translation
from chainrule.formats.c.writer import Writer, c_type
from chainrule.formats.decompose import decomposed
from chainrule.formats.folding import fold_affine
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array, DType, Spec
from chainrule.settings import use
from chainrule.tensor import Tensor
from chainrule.train.io.atomic import write_atomic

PASSES = (
    lambda graph: decomposed(graph, has_translation),
    remove_unused,
    fold_constants,
    simplify,
    merge_common,
    fold_affine,
    fuse_elementwise,
    remove_unused,
)
QUANTIZED = {"linear": 1, "convolution": 1, "embedding": 1}
"""Ops whose weights may be stored as int8, and which input they are."""


@dataclass(frozen=True)
class Report:
    """What was written.

    weights: bytes of constants.   state: bytes of variables that a step changes.
    memory: bytes of intermediate results.   flops: additions and multiplications of a call.
    error: with int8 weights, the largest difference to the results with float32, over the largest
        result, on the examples; 0 otherwise.
    """

    path: str
    weights: int
    state: int
    memory: int
    flops: int
    error: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.weights:,} bytes of weights", f"{self.memory:,} bytes of memory"]
        if self.state:
            parts.append(f"{self.state:,} bytes of state")
        parts.append(f"{self.flops // 2:,} multiply-adds a call")
        if self.error:
            parts.append(f"int8 changes results by {self.error:.2%} of the largest")
        return f"{self.path}: {', '.join(parts)}"


def export(
    model: Callable[..., Any],
    inputs: Any,
    path: str,
    *,
    name: str | None = None,
    int8: bool = False,
    examples: Sequence[Any] | None = None,
) -> Report:
    """Write a model as one C99 file that needs nothing but the standard library.

    The file has the weights, one function, and a `main` that runs the function on stored examples
    and prints the largest difference to Chainrule's results. Nothing is allocated. Each loop has
    its equation and the op's formula as a comment.

    model: a Module in evaluation mode; or a function that computes, such as a training step. State
        that the function writes (weights, moments, counters) become variables of the program.
    inputs: the spec or an example of the input, or a tuple of them. Their shapes are fixed.
    name: the function's name in C; by default that of the Python function, or "model".
    int8: store the weights of linear layers, convolutions and embeddings as int8 with a scale for
        each row, w ≈ s·q with s = max |w| / 127 (round to nearest).
    examples: inputs for `main` to check; by default three that are drawn.

    Raises ArgumentError for a model in training mode, and for an op without a translation; no file
    is written then.

    >>> import chainrule as cr, tempfile
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(cr.c.export(model, cr.spec(1, 4), f"{folder}/model.c"))
    /...model.c: 92 bytes of weights, 24 bytes of memory, 22 multiply-adds a call
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if isinstance(model, nn.Module) and model.training:
        raise ArgumentError(
            "a model is exported as it is used, and this one is in training mode",
            instead="Call model.eval() first; or export a training step, which is a function.",
        )
    with use(gradients=not isinstance(model, nn.Module)):
        trace = capture(model, given)
    title = name or _function_name(model)
    program = _program(trace, title, int8)
    chosen = [_arrays(x) for x in examples] if examples is not None else _drawn(given)
    expected = _expected(program, chosen)
    error = 0.0
    if int8:
        exact = _expected(_program(trace, title, False), chosen)
        error = _difference(expected, exact)
    main = _main(program, chosen, expected)
    text = source(program, _about(program, model), main)
    write_atomic(path, [text.encode()])
    return _report(path, program, error)


def _function_name(model: Any) -> str:
    name = "model" if isinstance(model, nn.Module) else getattr(model, "__name__", "model")
    return re.sub(r"\W", "_", name) if name.isidentifier() else "model"


def _program(trace: Trace, name: str, int8: bool) -> Program:
    """The graph with what is only read as constants, simplified."""
    graph = trace.graph
    if trace.arguments:
        raise ArgumentError("the function writes into its arguments", instead="Return the results.")
    n = len(graph.inputs) - len(trace.reads)
    arguments, read = graph.inputs[:n], graph.inputs[n:]
    first_write = len(graph.outputs) - len(trace.writes)
    written = {
        slot.key: value
        for slot, value in zip(trace.writes, graph.outputs[first_write:], strict=True)
    }
    changing = [
        (value, slot) for value, slot in zip(read, trace.reads, strict=True) if slot.key in written
    ]
    known = {v: s.load() for v, s in zip(read, trace.reads, strict=True) if s.key not in written}
    results = graph.outputs[: trace.results]
    new = [written[slot.key] for _, slot in changing]
    whole = Graph(
        [*arguments, *(v for v, _ in changing)],
        {**graph.constants, **known},
        graph.equations,
        [*results, *new],
    )
    whole = optimize(whole, PASSES)
    used = {v for e in whole.equations for v in e.inputs} | set(whole.outputs)
    whole.constants = {v: a for v, a in whole.constants.items() if v in used}
    states = [
        State(value, slot.load(), after)
        for (value, slot), after in zip(changing, whole.outputs[len(results) :], strict=True)
    ]
    program = Program(name, whole, list(arguments), whole.outputs[: len(results)], states)
    if int8:
        _quantize(program)
    return program


def _quantize(program: Program) -> None:
    """Round weights to multiples of a scale for each row, where all that reads them allows it."""
    graph = program.graph
    readers: dict[Value, list[Equation]] = {}
    for equation in graph.equations:
        for value in equation.inputs:
            readers.setdefault(value, []).append(equation)
    for value, array in graph.constants.items():
        if array.dtype != np.float32 or array.ndim < 2:
            continue
        fits = [
            e.inputs[QUANTIZED.get(e.primitive.name, 0)] is value and e.primitive.name in QUANTIZED
            for e in readers.get(value, [])
        ]
        if all(fits):
            axes = tuple(range(1, array.ndim))
            scales = np.maximum(np.abs(array).max(axes), np.finfo(np.float32).tiny) / 127
            scales = scales.astype(np.float32)
            broad = scales.reshape(-1, *[1] * (array.ndim - 1))
            graph.constants[value] = np.rint(array / broad) * broad
            program.scales[value] = scales


def _arrays(example: Any) -> list[Array]:
    leaves = tree.flatten(example if isinstance(example, tuple) else (example,))
    return [x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in leaves]


def _drawn(given: Any) -> list[list[Array]]:
    """Three examples: floats from N(0, 1), integers 0 and 1."""
    leaves = [x for x in tree.flatten(given) if isinstance(x, (Spec, Tensor))]
    rng = np.random.default_rng(0)

    def draw(spec: Any) -> Array:
        if spec.dtype.kind == "f":
            return rng.standard_normal(spec.shape).astype(spec.dtype)
        return rng.integers(0, 2, spec.shape).astype(spec.dtype)

    return [[draw(x) for x in leaves] for _ in range(3)]


def _expected(program: Program, examples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """The results of one call after the other; state is carried from call to call."""
    states = [state.start for state in program.states]
    found = []
    for arrays in examples:
        outputs = program.graph.run(*arrays, *states)
        found.append(outputs[: len(program.results)])
        states = outputs[len(program.results) :]
    return found


def _difference(found: list[list[Array]], expected: list[list[Array]]) -> float:
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for xs, ys in zip(found, expected, strict=True)
        for a, b in zip(xs, ys, strict=True)
        if b.size
    ]
    largest = max((np.abs(b).max() for _, b in pairs), default=1.0) or 1.0
    return max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0) / float(largest)


def _main(
    program: Program, examples: Sequence[Sequence[Array]], expected: Sequence[Sequence[Array]]
) -> list[str]:
    """A `main` that compares the function with stored results."""
    write, n = Writer(), len(examples)
    write.line("#ifndef CHAINRULE_NO_MAIN")
    for i, value in enumerate(program.arguments):
        _stored(write, f"example{i}", value.dtype, [arrays[i] for arrays in examples])
    for i, value in enumerate(program.results):
        _stored(write, f"expected{i}", value.dtype, [results[i] for results in expected])
    write.line()
    with write.block("int main(void)"):
        write.line("double error = 0, largest = 0;")
        for i, value in enumerate(program.results):
            size = max(int(np.prod(value.shape)), 1)
            write.line(f"static {c_type(value.dtype)} found{i}[{size}];")
        with write.block(f"for (int example = 0; example < {n}; ++example)"):
            given = [f"example{i}[example]" for i in range(len(program.arguments))]
            found = [f"found{i}" for i in range(len(program.results))]
            write.line(f"{program.name}({', '.join([*given, *found])});")
            for i, value in enumerate(program.results):
                size = max(int(np.prod(value.shape)), 1)
                with write.block(f"for (int i = 0; i < {size}; ++i)"):
                    write.line(f"const double y = (double)expected{i}[example][i];")
                    write.line(f"const double difference = fabs((double)found{i}[i] - y);")
                    write.line("if (!(difference <= error)) error = difference;")
                    write.line("if (fabs(y) > largest) largest = fabs(y);")
        write.line('printf("largest error %.3g, of results up to %.3g\\n", error, largest);')
        write.line("return error <= 1e-4 * (largest > 1 ? largest : 1) ? 0 : 1;")
    write.line("#endif")
    return write.lines


def _stored(write: Writer, name: str, dtype: DType, arrays: Sequence[Array]) -> None:
    """A constant with a row of numbers for each example."""
    rows = np.stack(arrays).reshape(len(arrays), -1)
    size = max(rows.shape[1], 1)
    write.array(
        f"static const {c_type(dtype)} {name}[{len(arrays)}][{size}]", rows, dtype, rows=True
    )


def _about(program: Program, model: Any) -> list[str]:
    kind = type(model).__name__ if isinstance(model, nn.Module) else "a function"
    lines = [
        f"{kind} as C99, written by Chainrule. Needs nothing but the standard library.",
        "",
        f"    cc -O2 -o {program.name} FILE.c -lm && ./{program.name}",
        "",
        "runs the examples at the end. Define CHAINRULE_NO_MAIN to use the function elsewhere.",
        "",
    ]
    lines += [f"input  {program.names[v]}: {v.spec}" for v in program.arguments]
    lines += [f"result {program.result_name(i)}: {v.spec}" for i, v in enumerate(program.results)]
    return lines


def _report(path: str, program: Program, error: float) -> Report:
    weights = sum(
        program.scales[v].nbytes + a.size if v in program.scales else a.nbytes
        for v, a in program.graph.constants.items()
        if a.ndim
    )
    sizes = program.memory.sizes
    widths = {"float": 4, "double": 8, "int64_t": 8, "int32_t": 4, "int16_t": 2}
    memory = sum(n * widths.get(kind, 1) for kind, n in sizes.items())
    members = [
        member
        for e in program.graph.equations
        for member in (e.params["body"].equations if e.primitive is CHAIN else [e])
    ]
    flops = sum(e.primitive.flops(e.inputs, e.outputs, e.params) for e in members)
    return Report(path, weights, sum(s.start.nbytes for s in program.states), memory, flops, error)
