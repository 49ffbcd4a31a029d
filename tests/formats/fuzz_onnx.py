"""Mutated ONNX files: each loads and runs, or raises an error of the documented classes.

`python -m tests.formats.fuzz_onnx COUNT [SEED]` prints how many files ended how, and the memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.formats import onnx_cases

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.formats.onnx import program

MEMORY = 2**26
"""How many bytes the values of a mutated model may have."""
BAD_NUMBERS = [0, 1, -1, 2, -2, 3, 255, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]


Seed = tuple[onnx.ModelProto, list[Any]]
"""A valid model and its inputs."""


def seeds() -> Iterator[Seed]:
    """Models in which many kinds of nodes stand."""
    weights = {
        "w": np.ones((4, 3, 3, 3), np.float32),
        "shape": np.array([0, -1]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "m": np.ones((4, 2), np.float32),
        "count": np.array(3),
        "yes": np.array(True),
        "wide": np.array([2, 3]),
        "q": np.ones((2, 2), np.int8),
        "s": np.array(0.5, np.float32),
    }
    step = helper.make_graph(
        [
            helper.make_node("Add", ["h", "h"], ["h_next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h_next", TensorProto.FLOAT, None),
        ],
    )
    make = helper.make_node
    nodes = [
        make("Pad", ["x", "pads"], ["padded"], mode="reflect"),
        make("Conv", ["padded", "w"], ["c"], strides=[1, 1], dilations=[1, 1]),
        make("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Resize", ["p", "", "scales"], ["r"], mode="linear"),
        make("GlobalAveragePool", ["r"], ["g"]),
        make("Reshape", ["g", "shape"], ["flat"]),
        make("MatMul", ["flat", "m"], ["d"]),
        make("DequantizeLinear", ["q", "s"], ["dq"]),
        make("MatMul", ["d", "dq"], ["dd"]),
        make("Loop", ["count", "yes", "dd"], ["l"], body=step),
        make("Tile", ["l", "wide"], ["t"]),
        make("ConstantOfShape", ["wide"], ["zeros"]),
        make("Slice", ["t", "wide", "count_row"], ["cut"]),
        make("Constant", [], ["count_row"], value_ints=[9, 9]),
        make("Softmax", ["t"], ["y"], axis=1),
    ]
    nodes.insert(12, nodes.pop(13))
    yield _model(nodes, weights, [1, 3, 4, 4])
    yield _model(
        [
            make("Shape", ["x"], ["sizes"]),
            make("Expand", ["x", "sizes"], ["e"]),
            make("LSTM", ["e", "W", "R"], ["", "h", "c"], hidden_size=2),
            make("Squeeze", ["h"], ["s2"]),
            make("TopK", ["s2", "one"], ["top", "at"], axis=0),
            make("Gather", ["s2", "at"], ["got"], axis=0),
            make("Einsum", ["s2", "s2"], ["y"], equation="ij,kj->ik"),
        ],
        {
            "W": np.ones((1, 8, 3), np.float32),
            "R": np.ones((1, 8, 2), np.float32),
            "one": np.array([1]),
        },
        [5, 2, 3],
    )


def cases() -> Iterator[Seed]:
    """The ONNX project's cases. Half of their integer inputs become weights, to be changed, too."""
    for case in (case for module in onnx_cases.MODULES for case in onnx_cases.cases(module)):
        model, inputs = onnx.ModelProto(), []
        model.CopyFrom(case.model)
        given = zip([*model.graph.input], case.data_sets[0][0], strict=False)
        for number, (info, array) in enumerate(given):
            if isinstance(array, np.ndarray) and array.dtype.kind == "i" and number % 2:
                model.graph.initializer.append(numpy_helper.from_array(array, info.name))
                model.graph.input.remove(info)
                continue
            try:
                inputs.append(onnx_cases.value(array))
            except ChainruleError:  # of a dtype that tensors do not have: the file is refused first
                inputs.append(None)
        yield model, inputs


def _model(nodes: list[Any], weights: dict[str, Any], shape: list[int]) -> Seed:
    graph = helper.make_graph(
        nodes,
        "seed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model, [cr.ones(shape)]


def mutated(model: onnx.ModelProto, rng: np.random.Generator) -> bytes:
    """A copy with one thing changed: bytes of the file, or a number or a name inside of it."""
    data = bytearray(model.SerializeToString())
    kind = rng.integers(5)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.integers(256)
        return bytes(data)
    if kind == 2:
        at = rng.integers(len(data))
        data[at:at] = rng.bytes(rng.integers(1, 12))
        return bytes(data)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change = _change_number if kind == 3 else _change_name
    change(copy.graph, rng)
    return copy.SerializeToString()


def _change_number(graph: Any, rng: np.random.Generator) -> None:
    """Another size, integer weight or attribute."""
    number = BAD_NUMBERS[rng.integers(len(BAD_NUMBERS))]
    integers = [t for t in graph.initializer if t.data_type == TensorProto.INT64]
    attributes = [a for node in graph.node for a in node.attribute if a.ints or a.type == 2]
    places = [*integers, *attributes, *graph.initializer]
    if not places:
        return
    place = places[rng.integers(len(places))]
    if isinstance(place, TensorProto):
        array = numpy_helper.to_array(place).copy().reshape(-1)
        if array.dtype == np.int64 and array.size and rng.integers(2):
            array[rng.integers(array.size)] = number
            place.raw_data = array.tobytes()
        elif place.dims:
            place.dims[rng.integers(len(place.dims))] = number
    elif place.ints:
        place.ints[rng.integers(len(place.ints))] = number
    else:
        place.i = number


def _change_name(graph: Any, rng: np.random.Generator) -> None:
    """Another operator, input, output or attribute."""
    node = graph.node[rng.integers(len(graph.node))]
    other = graph.node[rng.integers(len(graph.node))]
    kind = rng.integers(5)
    if kind == 0:
        node.op_type = other.op_type
    elif kind == 1 and node.input:
        names = [name for one in graph.node for name in (*one.input, *one.output)]
        node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
    elif kind == 2 and node.output:
        node.output[0] = other.output[0]
    elif kind == 3 and node.attribute:
        del node.attribute[0]
    else:
        node.attribute.extend([*other.attribute])


def outcome(data: bytes, path: Path, inputs: list[Any]) -> str:
    """How a file ends: the class of its error, or `runs`. Other errors pass through."""
    path.write_bytes(data)
    try:
        cr.onnx.load(path, memory=MEMORY)(*inputs)
    except ChainruleError as error:
        return type(error).__name__
    return "runs"


def run(count: int, seed: int = 0, models: list[Seed] | None = None) -> Counter[str]:
    """How many of so many mutated files end how."""
    program.MAX_RUNS = 2**10  # so that a loop of many steps is refused soon
    rng, models = np.random.default_rng(seed), models or list(seeds())
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            model, inputs = models[rng.integers(len(models))]
            found[outcome(mutated(model, rng), Path(folder) / "file.onnx", inputs)] += 1
    return found


if __name__ == "__main__":
    print(run(*map(int, sys.argv[1:]), models=[*seeds(), *cases()]))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")
