"""Files as the exporters of other programs lay them out: loaded, they agree with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.test_onnx_load import make, written

import chainrule as cr

runtime = pytest.importorskip("onnxruntime", reason="the extra `parity`")
pytest.importorskip("onnx", reason="the extra `onnx`")

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) / 3).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values)


def residual() -> Any:
    """A residual block with its batch norm, then a flattening by the sizes of the input."""
    nodes = [
        make("Conv", ["x", "conv.weight"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        make("BatchNormalization", ["c", "g", "b", "mean", "var"], ["n"], epsilon=1e-5),
        make("Clip", ["n", "low", "high"], ["relu6"]),
        make("Add", ["relu6", "x"], ["sum"]),
        make("AveragePool", ["sum"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        make("Shape", ["p"], ["s"]),
        make("Gather", ["s", "zero"], ["batch"], axis=0),
        make("Unsqueeze", ["batch", "first"], ["row"]),
        make("Concat", ["row", "rest"], ["sizes"], axis=0),
        make("Reshape", ["p", "sizes"], ["flat"]),
        make("Gemm", ["flat", "fc.weight", "fc.bias"], ["y"], transB=1),
    ]
    weights = {
        "conv.weight": normal(3, 3, 3, 3),
        "g": normal(3),
        "b": normal(3),
        "mean": normal(3),
        "var": normal(3) ** 2 + 1,
        "low": np.float32(0).reshape(()),
        "high": np.float32(6).reshape(()),
        "zero": np.array(0),
        "first": ints(0),
        "rest": ints(-1),
        "fc.weight": normal(4, 27),
        "fc.bias": normal(4),
    }
    return nodes, weights, ["batch", 3, 5, 5], normal(2, 3, 5, 5)


def lstm(direction: str) -> Any:
    """Time first, a state of zeros by the sizes of the input, the outputs of both directions."""
    count = 2 if direction == "bidirectional" else 1
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make("Shape", ["t"], ["s"]),
        make("Slice", ["s", "one", "two"], ["n"]),
        make("Concat", ["count", "n", "width"], ["of_state"], axis=0),
        make("ConstantOfShape", ["of_state"], ["zeros"]),
        make(
            "LSTM",
            ["t", "W", "R", "B", "", "zeros", "zeros"],
            ["h", "", "c"],
            hidden_size=4,
            direction=direction,
        ),
        make("Transpose", ["h"], ["back"], perm=[2, 0, 1, 3]),
        make("Reshape", ["back", "joined"], ["y"]),
    ]
    weights = {
        "W": normal(count, 16, 3),
        "R": normal(count, 16, 4),
        "B": normal(count, 32),
        "one": ints(1),
        "two": ints(2),
        "count": ints(count),
        "width": ints(4),
        "joined": ints(0, 0, -1),
    }
    return nodes, weights, ["batch", 5, 3], normal(2, 5, 3)


def gru(linear_before_reset: int) -> Any:
    nodes = [
        make(
            "GRU",
            ["x", "W", "R", "B", "lengths"],
            ["h", "last"],
            hidden_size=4,
            linear_before_reset=linear_before_reset,
            direction="reverse",
        ),
        make("Squeeze", ["h", "one"], ["y"]),
    ]
    weights = {
        "W": normal(1, 12, 3),
        "R": normal(1, 12, 4),
        "B": normal(1, 24),
        "one": ints(1),
        "lengths": np.array([5, 3], np.int32),
    }
    return nodes, weights, [5, 2, 3], normal(5, 2, 3)


def activations() -> Any:
    """Numbers of activations are taken in turn by those that have some; clipped; peepholes."""
    nodes = [
        make(
            "LSTM",
            ["x", "W", "R", "B", "", "", "", "P"],
            ["h"],
            hidden_size=4,
            clip=0.7,
            direction="bidirectional",
            activation_alpha=[0.3, 0.05, 0.25],
            activation_beta=[0.4, 0.6],
            activations=["HardSigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Softsign", "Tanh"],
        ),
        make("Identity", ["h"], ["y"]),
    ]
    weights = {
        "W": normal(2, 16, 3),
        "R": normal(2, 16, 4),
        "B": normal(2, 32),
        "P": normal(2, 12),
    }
    return nodes, weights, [5, 2, 3], normal(5, 2, 3)


def attention() -> Any:
    """Heads by reshapes, a softmax of scaled products, layer norm, GELU by the error function."""
    nodes: list[Any] = []
    orders = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    for name in "qkv":
        nodes += [
            make("MatMul", ["x", f"{name}.weight"], [f"{name}m"]),
            make("Add", [f"{name}m", f"{name}.bias"], [f"{name}b"]),
            make("Reshape", [f"{name}b", "heads"], [f"{name}r"]),
            make("Transpose", [f"{name}r"], [name], perm=orders[name]),
        ]
    nodes += [
        make("MatMul", ["q", "k"], ["products"]),
        make("Div", ["products", "root"], ["scaled"]),
        make("Where", ["seen", "scaled", "hidden"], ["masked"]),
        make("Softmax", ["masked"], ["shares"], axis=-1),
        make("MatMul", ["shares", "v"], ["mixed"]),
        make("Transpose", ["mixed"], ["mt"], perm=[0, 2, 1, 3]),
        make("Reshape", ["mt", "whole"], ["flat"]),
        make("Add", ["flat", "x"], ["sum"]),
        make("LayerNormalization", ["sum", "g", "b"], ["n"], axis=-1, epsilon=1e-5),
        make("Div", ["n", "root2"], ["nd"]),
        make("Erf", ["nd"], ["e"]),
        make("Add", ["e", "unit"], ["e1"]),
        make("Mul", ["n", "e1"], ["ne"]),
        make("Mul", ["ne", "half"], ["y"]),
    ]
    weights = {
        f"{name}.{kind}": normal(*shape)
        for name in "qkv"
        for kind, shape in (("weight", (8, 8)), ("bias", (8,)))
    }
    numbers = {"root": 2.0, "root2": 2**0.5, "unit": 1.0, "half": 0.5, "hidden": -1e9}
    weights |= {name: np.array(value, np.float32) for name, value in numbers.items()}
    weights |= {
        "heads": ints(0, 0, 2, 4),
        "whole": ints(0, 0, 8),
        "g": normal(8),
        "b": normal(8),
        "seen": np.tri(5, dtype=np.bool_),
    }
    return nodes, weights, ["batch", 5, 8], normal(3, 5, 8)


def quantized() -> Any:
    """A quantized input, weights with a scale for each channel, integers in between."""
    nodes = [
        make("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        make("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        make("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
        make("Conv", ["xd", "wd", "bias"], ["c"]),
        make("Relu", ["c"], ["y"]),
    ]
    weights = {
        "xs": np.array(0.02, np.float32),
        "xz": np.array(120, np.uint8),
        "wq": RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
        "ws": np.abs(normal(4)) / 100 + 1e-3,
        "wz": np.zeros(4, np.int8),
        "bias": normal(4),
    }
    return nodes, weights, ["batch", 3, 6, 6], normal(2, 3, 6, 6)


def resized(mode: str, coordinates: str) -> Any:
    nodes = [
        make(
            "Resize",
            ["x", "", "scales"],
            ["r"],
            mode=mode,
            nearest_mode="floor",
            coordinate_transformation_mode=coordinates,
        ),
        make(
            "ConvTranspose",
            ["r", "w"],
            ["y"],
            strides=[2, 2],
            pads=[1, 0, 0, 1],
            output_padding=[1, 0],
        ),
    ]
    weights = {"scales": np.array([1, 1, 2, 1.5], np.float32), "w": normal(2, 3, 3, 2)}
    return nodes, weights, ["batch", 2, 4, 6], normal(2, 2, 4, 6)


LAYOUTS = {
    "residual": residual,
    "lstm": lambda: lstm("forward"),
    "bidirectional": lambda: lstm("bidirectional"),
    "gru": lambda: gru(1),
    "gru of Keras": lambda: gru(0),
    "activations": activations,
    "attention": attention,
    "quantized": quantized,
    "nearest": lambda: resized("nearest", "asymmetric"),
    "linear": lambda: resized("linear", "half_pixel"),
    "cubic": lambda: resized("cubic", "align_corners"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    nodes, weights, shape, x = LAYOUTS[name]()
    path = written(tmp_path / "model.onnx", nodes, {"x": shape}, weights)
    (expected,) = runtime.InferenceSession(str(path)).run(None, {"x": x})
    loaded = cr.onnx.load(path)
    y = loaded(cr.tensor(x))
    # Sums in another order, of results near 1.
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(cr.compile(loaded)(cr.tensor(x)).detach().numpy(), y.detach().numpy())
    if name != "quantized":  # whose input is rounded
        x = cr.tensor(x, requires_grad=True)
        loaded(x).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
    assert all(p.requires_grad == (p.ndim > 0) for p in loaded.parameters())


THREE = {name: normal(3) for name in ("g", "b", "mean")} | {"var": normal(3) ** 2 + 1}
SCALES = {"scales": np.array([1, 1, 2, 1.5], np.float32)}
OLD: list[tuple[Any, ...]] = [
    (7, make("Softmax", ["x"], ["y"])),
    (11, make("LogSoftmax", ["x"], ["y"], axis=2)),
    (11, make("Hardmax", ["x"], ["y"], axis=1)),
    (7, make("Flatten", ["x"], ["y"], axis=2)),
    (7, make("Pad", ["x"], ["y"], pads=[0, 1, 0, 2, 0, 0, 1, 1], value=1.5)),
    (10, make("Pad", ["x"], ["y"], pads=[0, 0, 2, 1, 0, 0, 1, 3], mode="edge")),
    (9, make("Slice", ["x"], ["y"], axes=[1, 3], starts=[1, -3], ends=[9, -1])),
    (7, make("Clip", ["x"], ["y"], min=-0.1)),
    (7, make("Unsqueeze", ["x"], ["y"], axes=[0, 5])),
    (12, make("Squeeze", ["x"], ["y"])),
    (7, make("ReduceMean", ["x"], ["y"], axes=[1, 3], keepdims=0)),
    (11, make("ReduceMax", ["x"], ["y"], axes=[-1])),
    (12, make("ReduceSum", ["x"], ["y"])),
    (7, make("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0])),
    (8, make("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 2.0], mode="linear")),
    (7, make("Dropout", ["x"], ["y"], ratio=0.3)),
    (11, make("Split", ["x"], ["y", "z"], axis=1, split=[1, 2])),
    (9, make("TopK", ["x"], ["y", "i"], axis=1, k=2)),
    (7, make("Cast", ["x"], ["y"], to=1)),
    (7, make("Transpose", ["x"], ["y"])),
    (7, make("LRN", ["x"], ["y"], size=3, alpha=0.5, bias=2.0)),
    (7, make("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], auto_pad="SAME_LOWER")),
    (7, make("AveragePool", ["x"], ["y"], kernel_shape=[3, 2], pads=[1, 0, 1, 1])),
    (11, make("LpPool", ["x"], ["y"], kernel_shape=[2, 2], p=3)),
    (7, make("Elu", ["x"], ["y"], alpha=0.7)),
    (7, make("HardSigmoid", ["x"], ["y"])),
    (7, make("Selu", ["x"], ["y"])),
    (7, make("LpNormalization", ["x"], ["y"], axis=1, p=1)),
    (7, make("SpaceToDepth", ["x"], ["y"], blocksize=2)),
    (7, make("BatchNormalization", ["x", "g", "b", "mean", "var"], ["y"]), THREE),
    (9, make("BatchNormalization", ["x", "g", "b", "mean", "var"], ["y"], epsilon=0.1), THREE),
    (7, make("InstanceNormalization", ["x", "g", "b"], ["y"]), THREE),
    (9, make("Upsample", ["x", "scales"], ["y"]), SCALES),
    (10, make("Resize", ["x", "scales"], ["y"]), SCALES),
    (11, make("Resize", ["x", "b", "scales"], ["y"], mode="linear"), SCALES | {"b": normal(0)}),
    (8, make("Expand", ["x", "shape"], ["y"]), {"shape": ints(2, 1, 1, 1)}),
    (7, make("PRelu", ["x", "slope"], ["y"]), {"slope": normal(3, 1, 1)}),
    (
        7,
        make("Gemm", ["m", "m", "b"], ["y"], transB=1, alpha=0.5, beta=2.0),
        {"m": normal(3, 3), "b": normal(3)},
    ),
    (
        10,
        make("Slice", ["x", "one", "far", "last", "two"], ["y"]),
        {"one": ints(-1), "far": ints(-99), "last": ints(3), "two": ints(-2)},
    ),
    (
        9,
        make("Scatter", ["x", "at", "u"], ["y"], axis=1),
        {"at": np.full((1, 1, 4, 6), 2), "u": normal(1, 1, 4, 6)},
    ),
]


@pytest.mark.parametrize("row", OLD, ids=lambda row: f"{row[1].op_type} {row[0]}")
def test_old_opsets_mean_what_they_meant(row: tuple[Any, ...], tmp_path: Path) -> None:
    """The opset gives what was an attribute, a default or a meaning of its own then."""
    opset, node, *weights = row
    x = normal(1, 3, 4, 6)
    given = dict(*weights)
    path = written(tmp_path / "model.onnx", [node], {"x": [1, 3, 4, 6]}, given, opset)
    (expected,) = runtime.InferenceSession(str(path)).run(None, {"x": x})
    y = cr.onnx.load(path)(cr.tensor(x))
    # Sums in another order, of results near 1.
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
