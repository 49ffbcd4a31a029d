"""Write a model as an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from chainrule import nn, tree
from chainrule.compiler.passes import optimize
from chainrule.compiler.passes.algebra import simplify
from chainrule.compiler.passes.common import merge_common
from chainrule.compiler.passes.constants import fold_constants, is_left
from chainrule.compiler.passes.dead import remove_unused
from chainrule.compiler.trace import capture
from chainrule.errors import ArgumentError
from chainrule.formats.decompose import decomposed
from chainrule.formats.folding import fold_affine
from chainrule.formats.onnx import nodes, writes
from chainrule.formats.onnx.builder import Builder
from chainrule.formats.onnx.elementwise import elementwise
from chainrule.formats.onnx.table import Call, has_translation, translation_of, unknown
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Elementwise
from chainrule.ops.normalization import normalize
from chainrule.primitive import Spec
from chainrule.settings import use
from chainrule.train.io.atomic import write_atomic

TRANSLATIONS = nodes, writes
"""The modules whose translations are in the table."""
OPSETS = range(17, 22)
PASSES = (
    lambda graph: decomposed(graph, has_translation),
    remove_unused,
    merge_common,
    lambda graph: _named_after_weights(graph),
    lambda graph: fold_constants(graph, _arranges_a_weight(graph)),
    simplify,
    merge_common,
    fold_affine,
    remove_unused,
)


def export(
    model: Callable[..., Any],
    inputs: Any,
    path: str,
    *,
    batch: str | None = "batch",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset: int = 18,
) -> None:
    """Write a model as an ONNX file, which ONNX Runtime and other programs run.

    model: a Module in evaluation mode, or a function of tensors that writes no state.
    inputs: the spec or an example of the input, or a tuple of them.
    batch: the name of the first dimension of all inputs, whose size may then be any; None fixes
        it. Which sizes of the model depend on it is seen from two captures.
    input_names, output_names: by default the names of the model's parameters, and `output`.
    opset: the version of ONNX's operators, 17 to 21.

    Weights are initializers with their names in the state dict. A factor and shift of channels,
    such as batch norm, becomes part of the layer before it. Raises ArgumentError for a model in
    training mode and for an op without a translation, with its line; no file is written then.

    >>> import chainrule as cr, tempfile
    >>> model = cr.nn.Sequential(cr.nn.Linear(4, 3), cr.nn.ReLU()).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cr.onnx.export(model, cr.spec(1, 4), f"{folder}/model.onnx")
    """
    if opset not in OPSETS:
        raise ArgumentError("this opset is not written", given=opset, expected="17 to 21")
    if isinstance(model, nn.Module) and model.training:
        raise ArgumentError(
            "a model is exported as it is used, and this one is in training mode",
            instead="Call model.eval() first.",
        )
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    first = _graph(model, given, None if batch is None else 2)
    second = first if batch is None else _graph(model, given, 3)
    if [e.primitive for e in first.equations] != [e.primitive for e in second.equations]:
        raise ArgumentError(
            "what the model computes depends on the size of the batch",
            instead="Pass batch=None, which fixes the size.",
        )
    build = Builder(opset, None if batch is None else (2, 3))
    proto = _Export(build, first, second).model(batch, input_names, output_names)
    onnx.checker.check_model(proto, full_check=True)
    write_atomic(path, [proto.SerializeToString()])


def _graph(model: Callable[..., Any], given: tuple[Any, ...], batch: int | None) -> Graph:
    """The graph for one size of the batch, with the state that it reads as constants."""

    def sized(x: Any) -> Any:
        spec = x if isinstance(x, Spec) else x.spec
        if batch is None:
            return spec
        if not spec.shape:
            raise ArgumentError("an input has no first dimension", instead="Pass batch=None.")
        return Spec((batch, *spec.shape[1:]), spec.dtype)

    specs = tree.map_leaves(sized, given)
    with use(gradients=False):
        trace = capture(model, specs)
    if trace.writes or trace.arguments:
        raise ArgumentError("the model writes state", instead="Call model.eval() first.")
    graph, n = trace.graph, len(trace.graph.inputs) - len(trace.reads)
    known = {v: s.load() for v, s in zip(graph.inputs[n:], trace.reads, strict=True)}
    whole = Graph(
        graph.inputs[:n],
        {**graph.constants, **known},
        graph.equations,
        graph.outputs[: trace.results],
    )
    return optimize(whole, PASSES)


def _named_after_weights(graph: Graph) -> Graph:
    """Label what weights alone determine, such as the sum of two biases: it is a weight, too."""
    known = {*graph.constants}
    for equation in graph.equations:
        if equation.inputs and known.issuperset(equation.inputs):
            known.update(equation.outputs)
            label = next((v.label for v in equation.inputs if v.label), "")
            for value in equation.outputs:
                value.label = value.label or label
    return graph


def _arranges_a_weight(graph: Graph) -> Callable[[Equation], bool]:
    """A function: whether an equation is not folded, since it only moves the elements of a weight,
    or gives it the dimensions of what is normalized. The weight keeps its name and shape."""
    affine = {v for e in graph.equations if e.primitive is normalize for v in e.inputs[1:]}

    def arranges(equation: Equation) -> bool:
        view, x, y = equation.primitive.view, equation.inputs[0], equation.outputs[0]
        moves = view is not None and (not view.keeps_order or y in affine) and not view.repeats
        return is_left(equation) or (moves and bool(x.label) and x.spec.size == y.spec.size)

    return arranges


class _Export:
    """Translates a graph, beside the same graph for another size of the batch."""

    def __init__(self, build: Builder, graph: Graph, other: Graph) -> None:
        self.build, self.graph, self.other = build, graph, other
        self.names: dict[Value, str] = {}
        self.others = dict(self._pairs())

    def _pairs(self) -> Any:
        for ours, theirs in zip(self.graph.equations, self.other.equations, strict=True):
            yield from zip(ours.inputs, theirs.inputs, strict=True)
            yield from zip(ours.outputs, theirs.outputs, strict=True)
        yield from zip(self.graph.inputs, self.other.inputs, strict=True)
        yield from zip(self.graph.outputs, self.other.outputs, strict=True)

    def model(
        self,
        batch: str | None,
        input_names: Sequence[str] | None,
        output_names: Sequence[str] | None,
    ) -> onnx.ModelProto:
        """The model's protocol buffer."""
        build = self.build
        labels = list(input_names or [v.label or "input" for v in self.graph.inputs])
        if len(labels) != len(self.graph.inputs):
            raise ArgumentError(
                "an input needs a name", given=labels, expected=f"{len(self.graph.inputs)} names"
            )
        for value, label in zip(self.graph.inputs, labels, strict=True):
            self.names[value] = build.name(label)
        build.sizes_from = next(iter(self.names.values()), "")
        for equation, other in zip(self.graph.equations, self.other.equations, strict=True):
            self._equation(equation, other)
        default = ["output"] if len(self.graph.outputs) == 1 else None
        wanted = list(
            output_names or default or [f"output{i}" for i in range(len(self.graph.outputs))]
        )
        outputs = []
        for value, name in zip(self.graph.outputs, wanted, strict=True):
            unique = build.name(name)
            build.nodes.append(helper.make_node("Identity", [self._name(value)], [unique]))
            outputs.append(self._info(unique, value, batch))
        build.keep({info.name for info in outputs})
        graph = helper.make_graph(
            build.nodes,
            "chainrule",
            [self._info(self.names[v], v, batch) for v in self.graph.inputs],
            outputs,
            list(build.initializers.values()),
        )
        versions = [helper.make_opsetid("", build.opset)]
        ir = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}[build.opset]
        return helper.make_model(
            graph, opset_imports=versions, ir_version=ir, producer_name="chainrule"
        )

    def _info(self, name: str, value: Value, batch: str | None) -> onnx.ValueInfoProto:
        other = self.others.get(value, value)
        sizes: list[Any] = [
            a if a == b else (batch if (a, b) == self.build.batch else None)
            for a, b in zip(value.shape, other.shape, strict=True)
        ]
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        return helper.make_tensor_value_info(name, kind, sizes)

    def _name(self, value: Value) -> str:
        """The name of a value; a constant becomes an initializer when it is first read."""
        if value not in self.names:
            array, other = self.graph.constants[value], self.others.get(value, value)
            second = self.other.constants.get(other, array)
            if array.shape != second.shape or not np.array_equal(array, second, equal_nan=True):
                name = self.build.repeated(array, second, value.label)
                if name is None:
                    raise ArgumentError(
                        f"the constant {value} depends on the size of the batch",
                        instead="Pass batch=None, which fixes the size.",
                    )
                self.names[value] = name
            else:
                self.names[value] = self.build.constant(array, label=value.label)
        return self.names[value]

    def _equation(self, equation: Equation, other: Equation) -> None:
        known = {
            i: self.graph.constants[v]
            for i, v in enumerate(equation.inputs)
            if v in self.graph.constants
        }
        call = Call(self.build, equation, other, [self._name(v) for v in equation.inputs], known)
        translate = translation_of(equation.primitive)
        try:
            if translate is not None:
                results = translate(call, **equation.params)
            elif isinstance(equation.primitive.kind, Elementwise):
                results = elementwise(call, **equation.params)
            else:
                raise unknown(equation)
        except TypeError as error:
            raise unknown(equation, f" with these options: {error}") from error
        named = results if isinstance(results, list) else [results]
        self.names.update(zip(equation.outputs, named, strict=True))
