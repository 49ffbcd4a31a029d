"""Loaded ONNX models compute, compile and train as the models they were made from."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, CaptureError, DTypeError, FormatError, ShapeError

onnx = pytest.importorskip("onnx", reason="the extra `onnx`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - needs onnx
from tests.formats import fuzz_onnx  # noqa: E402 - needs onnx

from chainrule.formats.onnx import reading  # noqa: E402 - needs onnx


class Last(nn.Module):
    """The output of an LSTM after the last step."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.linear = nn.Linear(5, 2)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.linear(self.lstm(x)[0][:, -1])


MODELS: dict[str, Any] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2)), (4,)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(16, 3),
        ),
        (1, 4, 4),
    ),
    "lstm": (Last, (3, 4)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
}  # fmt: skip


@pytest.fixture(params=MODELS)
def pair(request: Any, tmp_path: Path) -> tuple[nn.Module, nn.Module, cr.Tensor]:
    """A model, what is loaded from its file, and an input."""
    build, sizes = MODELS[request.param]
    cr.manual_seed(0)
    model, path = build().eval(), tmp_path / "model.onnx"
    cr.onnx.export(model, cr.spec(1, *sizes), str(path))
    return model, cr.onnx.load(path), cr.randn(3, *sizes)


def test_gradients_are_those_of_the_original(pair: Any) -> None:
    """For all parameters under their names. Two biases that are added are one in the file."""
    model, loaded, x = pair
    for each in (model, loaded):
        (each(x) ** 2).sum().backward()
    expected = dict(model.named_parameters())
    missing = expected.keys() - dict(loaded.named_parameters()).keys()
    assert missing <= {"lstm.bias_hh_l0"}
    for name, parameter in loaded.named_parameters():
        # Sums in another order.
        np.testing.assert_allclose(
            parameter.grad.numpy(), expected[name].grad.numpy(), rtol=1e-4, atol=1e-5
        )


def test_compiles_and_trains(pair: Any) -> None:
    """Compiled equals eager, bit for bit; a compiled step lowers the loss."""
    _, loaded, x = pair
    assert np.array_equal(cr.compile(loaded)(x).detach().numpy(), loaded(x).detach().numpy())
    optimizer = optim.SGD(loaded.parameters(), lr=0.05)

    @cr.compile
    def step(x: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = (loaded(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x).item() for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]


def test_exports_again(pair: Any, tmp_path: Path) -> None:
    _, loaded, x = pair
    path = tmp_path / "again.onnx"
    cr.onnx.export(loaded, x.spec, str(path))
    again = cr.onnx.load(path)
    assert again.state_dict().keys() == loaded.state_dict().keys()
    # Products in another order.
    assert cr.allclose(again(x), loaded(x), rtol=1e-5, atol=1e-6)


def test_pickles(pair: Any) -> None:
    _, loaded, x = pair
    first = next(iter(loaded.parameters())).requires_grad_(False)
    again = pickle.loads(pickle.dumps(loaded))
    assert (
        not next(iter(again.parameters())).requires_grad and again(x).tolist() == loaded(x).tolist()
    )
    assert repr(again) == repr(loaded) and next(iter(again.parameters())) is not first


# -- models of other programs --------------------------------------------------------------------

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
make = helper.make_node


def written(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, Any],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    kind: int = FLOAT,
) -> Path:
    """A file with these nodes and the output y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_shapes_from_shapes_are_captured(tmp_path: Path) -> None:
    """As PyTorch writes `x.flatten(1)`: sizes go through Shape, Gather and Concat."""
    nodes = [
        make("Shape", ["x"], ["shape"]),
        make("Gather", ["shape", "zero"], ["n"]),
        make("Unsqueeze", ["n", "first"], ["row"]),
        make("Concat", ["row", "rest"], ["sizes"], axis=0),
        make("Reshape", ["x", "sizes"], ["y"]),
    ]
    weights = {"zero": np.array(0), "first": np.array([0]), "rest": np.array([-1])}
    path = written(tmp_path / "m.onnx", nodes, {"x": ["n", 2, 3]}, weights)
    loaded = cr.onnx.load(path)
    assert (
        cr.compile(loaded)(cr.ones(4, 2, 3)).shape == loaded(cr.ones(5, 2, 3))[:4].shape == (4, 6)
    )
    assert "x: float32[n, 2, 3]" in str(loaded) and "Reshape(x, sizes)" in str(loaded)


def test_a_function_that_depends_on_types_pickles(tmp_path: Path) -> None:
    node = make("SoftmaxCrossEntropyLoss", ["x", "labels"], ["y"])
    path = written(tmp_path / "m.onnx", [node], {"x": ["n", 3]}, {"labels": np.array([2, 0])})
    loaded, x = cr.onnx.load(path), cr.randn(2, 3)
    expected = nn.functional.cross_entropy(x, cr.tensor([2, 0]))
    for model in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert cr.allclose(model(x), expected)  # sums in another order


def test_attributes_and_inputs_mean_the_same(tmp_path: Path) -> None:
    """The axes of a sum are an attribute before opset 13, and then an input."""
    old = make("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0)
    new = make("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    for opset, node in ((11, old), (13, new)):
        weights = {} if opset == 11 else {"axes": np.array([1])}
        path = written(tmp_path / "m.onnx", [node], {"x": [2, 3]}, weights, opset)
        assert cr.onnx.load(path)(cr.ones(2, 3)).numpy().tolist() == [3, 3]
    with pytest.raises(FormatError, match="axes"):
        cr.onnx.load(written(tmp_path / "m.onnx", [old], {"x": [2, 3]}, {}, 13))


def test_quantized_weights_are_trained(tmp_path: Path) -> None:
    nodes = [make("DequantizeLinear", ["q", "s"], ["w"]), make("MatMul", ["x", "w"], ["y"])]
    weights = {"q": np.array([[2], [-4]], np.int8), "s": np.array(0.5, np.float32)}
    loaded = cr.onnx.load(written(tmp_path / "m.onnx", nodes, {"x": [1, 2]}, weights))
    assert dict(loaded.named_parameters())["w"].detach().numpy().tolist() == [[1], [-2]]
    loaded(cr.ones(1, 2)).sum().backward()
    assert dict(loaded.named_parameters())["w"].grad is not None


def test_names_of_weights_are_attributes_that_are_free(tmp_path: Path) -> None:
    names = ["forward", "__class__", "a.b", "a", "a/b", "training"]
    nodes = [make("Sum", names, ["y"])]
    weights = {name: np.ones(1, np.float32) for name in names}
    loaded = cr.onnx.load(written(tmp_path / "m.onnx", nodes, {}, weights))
    assert loaded().item() == len(names) == len(list(loaded.parameters()))
    assert isinstance(loaded, nn.Module) and "a.b" in loaded.state_dict()


def test_a_call_checks_its_inputs(tmp_path: Path) -> None:
    nodes = [make("Add", ["a", "b"], ["y"])]
    loaded = cr.onnx.load(written(tmp_path / "m.onnx", nodes, {"a": ["n", 2], "b": ["n", 2]}))
    ones = cr.ones(3, 2)
    assert loaded(b=ones, a=ones).shape == loaded(ones, ones).shape == (3, 2)
    with pytest.raises(ShapeError, match="n = 3"):
        loaded(ones, cr.ones(4, 2))
    with pytest.raises(DTypeError, match="float32"):
        loaded(ones, cr.ones(3, 2, dtype=cr.int64))
    with pytest.raises(ArgumentError, match="b is missing"):
        loaded(ones)
    with pytest.raises(ArgumentError, match="no input c"):
        loaded(ones, ones, c=ones)


def test_what_depends_on_numbers_is_refused_in_a_capture(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [make("NonZero", ["x"], ["y"])], {"x": [3]})
    loaded, x = cr.onnx.load(path), cr.tensor([1.0, 0.0, 2.0])
    assert loaded(x).numpy().tolist() == [[0, 2]]
    with pytest.raises(CaptureError, match="NonZero"):
        cr.compile(loaded)(x)


# -- hostile and cut files -----------------------------------------------------------------------


def test_every_part_of_a_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [make("Abs", ["x"], ["y"])], {"x": [3]})
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(FormatError):
            cr.onnx.load(path)
    for junk in (
        b"\xff" * 64,
        b"\x08" + b"\x80" * 11,
        b"\x3a\xff\xff\xff\xff\x7f",
        data + b"\xf8\x07\x01",
    ):
        path.write_bytes(junk)
        with pytest.raises(FormatError):
            cr.onnx.load(path)


@pytest.mark.parametrize(
    ("node", "weights"),
    [
        (make("ConstantOfShape", ["n"], ["y"]), {"n": np.array([2**40, 2**20])}),
        (make("Expand", ["x", "n"], ["y"]), {"n": np.array([2**50, 3])}),
        (make("Tile", ["x", "n"], ["y"]), {"n": np.array([2**50])}),
        (make("Range", ["a", "n", "a"], ["y"]), {"a": np.array(1), "n": np.array(2**50)}),
        (make("Pad", ["x", "n"], ["y"]), {"n": np.array([0, 2**50])}),
        (make("Pad", ["x", "n"], ["y"], mode="edge"), {"n": np.array([0, 2**50])}),
        (make("Resize", ["x", "", "", "n"], ["y"]), {"n": np.array([2**50])}),
        (make("OneHot", ["i", "n", "v"], ["y"]),
         {"i": np.array([0]), "n": np.array(2**50), "v": np.ones(2, np.float32)}),
    ],
    ids=lambda value: getattr(value, "op_type", ""),
)  # fmt: skip
def test_large_results_are_refused_before_they_are_made(
    node: Any, weights: Any, tmp_path: Path
) -> None:
    path = written(tmp_path / "m.onnx", [node], {"x": [3]}, weights)
    with pytest.raises(FormatError, match=node.op_type):
        cr.onnx.load(path, memory=2**24)(cr.ones(3))


def test_values_that_double_and_loops_without_end_are_refused(tmp_path: Path) -> None:
    nodes = [make("Concat", [f"x{i}", f"x{i}"], [f"x{i + 1}"], axis=0) for i in range(50)]
    nodes = [make("Identity", ["x"], ["x0"]), *nodes, make("Abs", ["x50"], ["y"])]
    loaded = cr.onnx.load(written(tmp_path / "m.onnx", nodes, {"x": [3]}), memory=2**20)
    with pytest.raises(FormatError, match="bytes"):
        loaded(cr.ones(3))


def test_tensors_whose_sizes_do_not_fit_their_data_are_refused(tmp_path: Path) -> None:
    for dims in ([-1], [2**40], [2**40, 2**40], [1] * 10**5, [2]):
        weight = TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=b"1234")
        graph = helper.make_graph(
            [make("Abs", ["w"], ["y"])],
            "graph",
            [],
            [helper.make_tensor_value_info("y", FLOAT, None)],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(FormatError):
            cr.onnx.load(tmp_path / "m.onnx")


def external(folder: Path, **entries: Any) -> Path:
    """A file whose weight of 3 numbers is elsewhere."""
    weight = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, str(value)
    graph = helper.make_graph(
        [make("Abs", ["w"], ["y"])],
        "graph",
        [],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_data_outside_of_the_file_stays_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    numbers = np.array([9, 1, 2, 3], np.float32).tobytes()
    (folder / "data" / "w.bin").write_bytes(numbers)
    (tmp_path / "secret").write_bytes(numbers)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "hard").hardlink_to(tmp_path / "secret")
    fitting = external(folder, location="data/w.bin", offset=4, length=12, note="ignored")
    assert cr.onnx.load(fitting)().detach().numpy().tolist() == [1, 2, 3]
    places = [
        "../secret", str(tmp_path / "secret"), "a/../../secret", "link", "linked/secret", "hard",
        "missing", "data", "", "data//w.bin", "./data/w.bin", "data\\w.bin",
    ]  # fmt: skip
    bad = [{"location": place} for place in places]
    inside = {"location": "data/w.bin"}
    bad += [{**inside, "offset": -1}, {**inside, "offset": 12}, {**inside, "length": 10**12},
            {**inside, "offset": "4e0"}, {**inside, "offset": 10**30}]  # fmt: skip
    for entries in bad:
        with pytest.raises(FormatError):
            cr.onnx.load(external(folder, **entries))


def test_a_pipe_is_no_file_with_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="no regular file"):
        cr.onnx.load(external(tmp_path, location="pipe"))


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        ([make("Abs", ["b"], ["y"]), make("Abs", ["y"], ["b"])], "'b'"),
        ([make("Abs", ["missing"], ["y"])], "'missing'"),
        ([make("Abs", ["x"], ["y"]), make("Neg", ["x"], ["y"])], "defines y"),
        ([make("Abs", ["x", "x"], ["y"])], "2 inputs"),
        ([make("Abs", ["x"], ["y"], axis=1)], "'axis'"),
        ([make("Softmax", ["x"], ["y"], axis=1.5)], "axis .* another type"),
        ([make("Nothing", ["x"], ["y"])], "Nothing.*opset 18"),
        ([make("TfIdfVectorizer", ["x"], ["y"], mode="TF", max_gram_length=1, max_skip_count=0,
               min_gram_length=1, ngram_counts=[0], ngram_indexes=[0])], "TfIdfVectorizer"),
        ([make("Abs", ["x"], ["y"], domain="other")], "'other'"),
        ([], "'y'"),
    ],
    ids=range(10),
)  # fmt: skip
def test_graphs_that_are_not_valid_name_the_node(
    nodes: list[Any], match: str, tmp_path: Path
) -> None:
    with pytest.raises((FormatError, ArgumentError), match=match):
        cr.onnx.load(written(tmp_path / "m.onnx", nodes, {"x": [3]}))


def test_a_node_gives_all_outputs_that_are_used(tmp_path: Path) -> None:
    """A loop that runs no step has nothing to stack; a split has as many parts as outputs."""
    values = [("i", INT64), ("go", TensorProto.BOOL), ("on", TensorProto.BOOL), ("each", FLOAT)]
    infos = [helper.make_tensor_value_info(name, kind, []) for name, kind in values]
    body = [make("Identity", ["go"], ["on"]), make("Cast", ["i"], ["each"], to=FLOAT)]
    graph = helper.make_graph(body, "body", infos[:2], infos[2:])
    loop = make("Loop", ["n", ""], ["y"], body=graph)
    split = make("Split", ["x"], ["y", "z"], num_outputs=2**30)
    for node, weights in ((loop, {"n": np.array(0)}), (split, {})):
        loaded = cr.onnx.load(written(tmp_path / "m.onnx", [node], {"x": [4]}, weights))
        with pytest.raises(FormatError, match=f"{node.op_type}.*outputs"):
            loaded(cr.ones(4))


def test_functions_that_call_themselves_or_multiply_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_NODES", 2**9)
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]

    def function(name: str, *nodes: Any) -> Any:
        return helper.make_function("own", name, ["a"], ["b"], [*nodes], versions)

    circle = [function("f0", make("f0", ["a"], ["b"], domain="own"))]
    doubling = [
        function(
            f"f{i}",
            make(f"f{i + 1}", ["a"], ["c"], domain="own"),
            make(f"f{i + 1}", ["c"], ["b"], domain="own"),
        )
        for i in range(40)
    ]
    doubling.append(function("f40", make("Abs", ["a"], ["b"])))
    for functions, match in ((circle, "nested"), (doubling, "nodes")):
        graph = helper.make_graph(
            [make("f0", ["x"], ["y"], domain="own")],
            "graph",
            [helper.make_tensor_value_info("x", FLOAT, [3])],
            [helper.make_tensor_value_info("y", FLOAT, None)],
        )
        model = helper.make_model(graph, functions=functions, opset_imports=versions, ir_version=8)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(FormatError, match=match):
            cr.onnx.load(tmp_path / "m.onnx")


def test_mutated_files_raise_documented_errors() -> None:
    """10,000 of them run by `python -m tests.formats.fuzz_onnx 10000`."""
    found = fuzz_onnx.run(300)
    assert found["runs"] and found["FormatError"]
    assert found.keys() <= {
        "runs", "FormatError", "ArgumentError", "ShapeError", "DTypeError", "OutOfRangeError"
    }  # fmt: skip


def test_attributes_of_a_function_reach_the_graphs_inside(tmp_path: Path) -> None:
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    node = make("LeakyRelu", ["a"], ["r"])
    node.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    info = helper.make_tensor_value_info("r", FLOAT, None)
    branch = helper.make_graph([node], "branch", [], [info])
    chosen = make("If", ["c"], ["b"], then_branch=branch, else_branch=branch)
    yes = make("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
    function = helper.make_function("own", "f", ["a"], ["b"], [yes, chosen], versions, ["slope"])
    graph = helper.make_graph(
        [make("f", ["x"], ["y"], domain="own", slope=0.25)],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [2])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    model = helper.make_model(graph, functions=[function], opset_imports=versions, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    loaded = cr.onnx.load(tmp_path / "m.onnx")
    assert loaded(cr.tensor([-4.0, 2.0])).numpy().tolist() == [-1, 2]
    assert cr.compile(loaded)(cr.tensor([-4.0, 2.0])).numpy().tolist() == [-1, 2]
