"""Exported ONNX models give Chainrule's results in ONNX Runtime, for any size of the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.test_c import MODELS, with_statistics
from tests.nn.table import LAYERS

import chainrule as cr
from chainrule import models, nn, tree
from chainrule.errors import ArgumentError

onnx = pytest.importorskip("onnx", reason="the extra `onnx`")
runtime = pytest.importorskip("onnxruntime", reason="the extra `parity`")


def differences(path: Path, model: Callable[..., Any], arrays: list[np.ndarray]) -> None:
    """Compare ONNX Runtime, and the module that is loaded from the file, with the model."""
    session = runtime.InferenceSession(str(path))
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, dict(zip(names, arrays, strict=True)))
    with cr.no_grad():
        outputs = tree.flatten(model(*map(cr.tensor, arrays)))
    expected = [y.numpy() for y in outputs if isinstance(y, cr.Tensor)]
    loaded = cr.onnx.load(path)(*map(cr.tensor, arrays))
    again = [y.detach().numpy() for y in (loaded if isinstance(loaded, tuple) else (loaded,))]
    for ours, *others in zip(expected, found, again, strict=True):
        for theirs in others:
            # Sums in another order, of results near 1.
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [17, 18, 21])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "gru"])
def test_models_run_with_any_batch(name: str, opset: int, tmp_path: Path) -> None:
    build, spec = MODELS[name]
    model, path, rng = with_statistics(build()), tmp_path / "model.onnx", np.random.default_rng(0)
    if name == "rnn":
        model = nn.RNN(4, 5, batch_first=True).eval()
    cr.onnx.export(model, spec, str(path), opset=opset)
    for batch in (1, 3):
        shape = (batch, *spec.shape[1:])
        x = rng.normal(size=shape).astype(np.float32)
        differences(path, model, [x if spec.dtype.kind == "f" else rng.integers(0, 2, shape)])


@pytest.mark.parametrize("row", LAYERS, ids=str)
def test_every_layer_runs(row: Any, tmp_path: Path) -> None:
    layer, arrays = row.make(nn).eval(), row.arrays(np.random.default_rng(0), np.float32)
    specs = tuple(cr.spec(*a.shape, dtype=a.dtype) for a in arrays)
    path = tmp_path / "layer.onnx"
    if getattr(layer, "max_norm", None) is not None:  # it writes its weights
        with pytest.raises(ArgumentError):
            cr.onnx.export(layer, specs, str(path))
        return
    same = len({a.shape[:1] for a in arrays}) == 1  # else there is no one size of the batch
    cr.onnx.export(layer, specs, str(path), batch="batch" if same else None)
    differences(path, layer, arrays)


def test_names_versions_and_batch_norms(tmp_path: Path) -> None:
    """Weights keep their names; a batch norm is part of the layer before it; dimensions have
    names."""
    model = with_statistics(models.MLP(4, [3], 2, batch_norm=True))
    path = tmp_path / "model.onnx"
    cr.onnx.export(model, cr.spec(1, 4), str(path), batch="n", output_names=["scores"])
    read = onnx.load(str(path))
    assert [node.op_type for node in read.graph.node] == ["Gemm", "Relu", "Gemm", "Identity"]
    assert {"0.weight", "0.bias", "3.weight", "3.bias"} == {i.name for i in read.graph.initializer}
    assert read.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert read.graph.output[0].name == "scores"
    assert (read.opset_import[0].version, read.ir_version) == (18, 8)


def test_what_cannot_be_exported_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    path, x = tmp_path / "model.onnx", cr.spec(2, 4)
    with pytest.raises(ArgumentError, match=r"model\.eval\(\)"):
        cr.onnx.export(nn.Linear(4, 4), x, str(path))
    with pytest.raises(ArgumentError, match="lgamma"):
        cr.onnx.export(lambda x: x.lgamma(), x, str(path))
    with pytest.raises(ArgumentError, match="batch=None"):
        cr.onnx.export(lambda x: x + cr.arange(x.shape[0])[:, None].float(), x, str(path))
    with pytest.raises(ArgumentError, match="17 to 21"):
        cr.onnx.export(nn.ReLU().eval(), x, str(path), opset=9)
    assert not path.exists()
