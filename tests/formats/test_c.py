"""Exported C programs: they compile without a warning, check themselves, and train as Chainrule."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.nn.table import LAYERS

import chainrule as cr
from chainrule import models, nn, optim, tree
from chainrule.cli import main
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.formats.c.expressions import traced
from chainrule.formats.symbols import leaf
from chainrule.kinds import Elementwise
from chainrule.nn import functional as F
from chainrule.primitive import registry

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=undefined")


def with_statistics(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, with batch norms that have seen something."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model.eval()


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, groups=2, dilation=1, stride=(2, 1), padding=(1, 0)),
        nn.AvgPool2d((2, 1)),
        nn.Conv2d(8, 8, 1, padding=1, stride=2),
        nn.Flatten(),
        nn.Linear(32, 10),
        nn.Softmax(1),
    )


def activations() -> nn.Module:
    return nn.Sequential(
        nn.GELU(),
        nn.SiLU(),
        nn.ELU(),
        nn.Softplus(),
        nn.LayerNorm(8),
        nn.Hardswish(),
        nn.Mish(),
        nn.GELU("tanh"),
        nn.LeakyReLU(),
        nn.Tanh(),
        nn.LogSoftmax(-1),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "mlp": (lambda: models.MLP(64, [32, 16], 10, batch_norm=True), cr.spec(1, 64)),
    "convolutions": (convolutions, cr.spec(2, 1, 8, 8)),
    "resnet": (
        lambda: models.ResNet(models.BasicBlock, [1, 1], width=4, small_images=True),
        cr.spec(1, 3, 8, 8),
    ),
    "unet": (lambda: models.UNet(1, 2, widths=[4, 8]), cr.spec(1, 1, 8, 8)),
    "lstm": (lambda: nn.LSTM(4, 5, 2, batch_first=True), cr.spec(2, 6, 4)),
    "gru": (lambda: nn.GRU(4, 5, bidirectional=True), cr.spec(6, 2, 4)),
    "rnn": (lambda: nn.RNN(4, 5), cr.spec(6, 2, 4)),
    "gpt": (
        lambda: models.GPT(11, 8, layers=2, heads=2, width=16),
        cr.spec(2, 8, dtype=cr.int64),
    ),
    "vit": (
        lambda: models.VisionTransformer(8, 4, in_channels=1, width=16, layers=1, heads=2),
        cr.spec(1, 1, 8, 8),
    ),
    "activations": (activations, cr.spec(3, 8)),
}


def compiled(path: Path, *flags: str, compiler: str = COMPILERS[0] if COMPILERS else "") -> Path:
    program = path.with_suffix(".out")
    done = subprocess.run(
        [compiler, *flags, "-o", str(program), str(path), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


def error_of(program: Path) -> float:
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return float(done.stdout.split()[2].rstrip(","))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_c_gives_its_results(name: str, tmp_path: Path) -> None:
    build, spec = MODELS[name]
    path = tmp_path / "model.c"
    cr.c.export(with_statistics(build()), spec, str(path))
    # Relative to results near 1: sums of up to 64 products in another order.
    assert error_of(compiled(path, *STRICT)) < 2e-6


def test_every_layer_in_c_gives_its_results(tmp_path: Path) -> None:
    """All layers of the table but for EmbeddingBag, which sorts, as functions of one library."""
    rng, calls = np.random.default_rng(0), []
    for i, row in enumerate(row for row in LAYERS if row.name != "EmbeddingBag"):
        layer, arrays = row.make(nn).eval(), row.arrays(rng, np.float32)
        outputs = tree.flatten(layer(*map(cr.tensor, arrays)))
        specs = tuple(cr.spec(*a.shape, dtype=a.dtype) for a in arrays)
        cr.c.export(layer, specs, str(tmp_path / f"f{i}.c"), name=f"f{i}")
        calls.append((f"f{i}", row, arrays, [y.detach().numpy() for y in outputs]))
    library, files = tmp_path / "layers.so", sorted(map(str, tmp_path.glob("*.c")))
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-DCHAINRULE_NO_MAIN", "-shared", "-fPIC")
    command = [COMPILERS[0], *flags, "-o", str(library), *files, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    functions = ctypes.CDLL(str(library))
    for name, row, arrays, expected in calls:
        found = [np.zeros_like(y, order="C") for y in expected]
        pointers = [np.ascontiguousarray(a) for a in arrays] + found
        functions[name](*[a.ctypes.data_as(ctypes.c_void_p) for a in pointers])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6, err_msg=str(row))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_int8_weights_are_a_quarter_and_their_loss_is_told(tmp_path: Path, compiler: str) -> None:
    model = with_statistics(convolutions())
    exact = cr.c.export(model, cr.spec(1, 1, 8, 8), str(tmp_path / "exact.c"))
    small = cr.c.export(model, cr.spec(1, 1, 8, 8), str(tmp_path / "small.c"), int8=True)
    assert small.weights < 0.45 * exact.weights and exact.error == 0 < small.error < 0.05
    assert error_of(compiled(tmp_path / "small.c", *STRICT, compiler=compiler)) < 2e-6


class LastLSTM(nn.Module):
    def __init__(self) -> None:
        self.lstm, self.head = nn.LSTM(8, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.head(self.lstm(x.view(-1, 8, 8))[0][:, -1])


def small_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


STEPS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], optim.Optimizer]]] = {
    "mlp-sgd": (lambda: models.MLP(64, [32], 10), lambda w: optim.SGD(w, lr=0.1, momentum=0.9)),
    "mlp-rmsprop": (lambda: models.MLP(64, [32], 10), lambda w: optim.RMSprop(w, lr=1e-3)),
    "cnn-adamw": (small_cnn, lambda w: optim.AdamW(w, lr=1e-3)),
    "lstm-adam": (LastLSTM, lambda w: optim.Adam(w, lr=1e-3)),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_in_c_learns_as_chainrule(name: str, tmp_path: Path) -> None:
    build, optimize = STEPS[name]
    model = build()
    optimizer = optimize(model.parameters())
    images, labels = cr.data.digits()[0][:800]

    def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def batch(i: int) -> tuple[Any, Any]:
        rows = np.arange(8 * i, 8 * i + 8) % len(images)
        return np.ascontiguousarray(images[rows]), labels[rows]

    first = [cr.tensor(part) for part in batch(0)]
    step(*first)  # makes the optimizer's state
    path = tmp_path / "step.c"
    cr.c.export(step, tuple(first), str(path), examples=[batch(1), batch(2)])
    assert error_of(compiled(path, *STRICT)) < 1e-5
    library = ctypes.CDLL(str(compiled(path, "-shared", "-fPIC", "-O1")))
    run = cr.compile(step)
    for i in range(1, 101):
        x, y = batch(i)
        loss = np.zeros(1, np.float32)
        library.step(*[a.ctypes.data_as(ctypes.c_void_p) for a in (x, y, loss)])
        # Rounding that training amplifies.
        assert abs(loss[0] - run(cr.tensor(x), cr.tensor(y)).item()) < 1e-4


def test_a_digit_classifier_fits_a_microcontroller(tmp_path: Path) -> None:
    model = models.MLP(64, [64], 10).eval()
    report = cr.c.export(model, cr.spec(1, 64), str(tmp_path / "digits.c"), int8=True)
    assert report.weights + report.memory < 64_000
    assert "multiply-adds" in str(report)


def test_random_numbers_are_chainrules(tmp_path: Path) -> None:
    """Bit for bit uniform; normal up to the sine and logarithm of C. The stream moves on."""

    def draw(x: cr.Tensor) -> Any:
        return F.dropout(x), cr.rand(3, dtype=cr.float64), cr.randn(5)

    cr.c.export(draw, cr.spec(2, 7), str(tmp_path / "draw.c"))
    assert error_of(compiled(tmp_path / "draw.c", *STRICT)) < 1e-6


@pytest.mark.parametrize("flags", [(), ("--int8",), ("--train",)])
def test_a_run_is_exported(flags: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.c"
    result = CliRunner().invoke(main, ["export", str(run), str(path), *flags])
    assert result.exit_code == 0, result.output
    assert ("state" in result.stdout) == ("--train" in flags) and "multiply-adds" in result.stdout
    assert error_of(compiled(path, *STRICT)) < 1e-4


def test_other_formats_are_refused_by_their_name(run: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(run), "model.xyz"])
    assert result.exit_code == 1 and "ending in .c or .onnx" in result.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = ["--epochs", "1", "--out", str(folder), "--quiet", "--no-report"]
    assert CliRunner().invoke(main, ["train", "digits", *options]).exit_code == 0
    return folder


def test_what_cannot_be_exported_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "model.c"
    with pytest.raises(ArgumentError, match=r"model\.eval\(\)"):
        cr.c.export(nn.Linear(2, 2), cr.spec(1, 2), str(path))
    with pytest.raises(ChainruleError, match="argsort"):
        cr.c.export(lambda x: x.argsort(), cr.spec(5), str(path))
    assert not path.exists()


def test_elementwise_ops_are_traced_from_their_records(tmp_path: Path) -> None:
    """Every elementwise op that C has words for gives its values on its own samples; all in one
    program. Hardly any is left out."""
    calls, arrays, left_out = [], [], []
    for name, record in registry.items():
        if not isinstance(record.kind, Elementwise) or record.samples is None:
            continue
        xs, params = next(iter(record.samples(np.random.default_rng(0))))
        xs = [np.asarray(x) for x in xs]
        xs = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in xs]
        if traced(record, [leaf("x", x.dtype) for x in xs], params) is None:
            left_out.append(name)
            continue
        calls.append((name, len(arrays), len(xs), params))
        arrays += xs

    def all_of_them(*given: cr.Tensor) -> Any:
        return tuple(cr.apply(n, *given[i : i + k], **params) for n, i, k, params in calls)

    path, specs = tmp_path / "ops.c", tuple(cr.spec(*a.shape, dtype=a.dtype) for a in arrays)
    cr.c.export(all_of_them, specs, str(path), examples=[tuple(arrays)])
    # Relative to the largest result, some hundreds: a few ulp of functions of other libraries.
    assert error_of(compiled(path, *STRICT)) < 1e-4
    assert len(calls) > 4 * len(left_out), left_out
