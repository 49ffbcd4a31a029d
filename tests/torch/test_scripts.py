"""Whole scripts in plain PyTorch: `chainrule run` prints what PyTorch prints, losses and all.

The scripts set a seed and nothing else, so the same losses mean the same starting weights, orders,
dropout masks, gradients and updates.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
from tests.nn import table

from chainrule import nn

pytestmark = pytest.mark.parity
SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
WITHOUT_PYTORCH = {"images_with_torchvision"}
"""What PyTorch alone cannot run: it needs torchvision, which is not among the tests' peers."""

ALL_BY_PYTORCH = """
import contextlib, io, json, runpy, sys, warnings
warnings.simplefilter("ignore")
found = {}
for path in sys.argv[1:]:
    sys.argv = [path]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        runpy.run_path(path, run_name="__main__")
    found[path] = text.getvalue()
print(json.dumps(found))
"""
NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")


@pytest.fixture(scope="module")
def references():
    """What PyTorch prints for each script."""
    import subprocess
    import sys

    pytest.importorskip("torch")
    paths = [str(path) for path in SCRIPTS if path.stem not in WITHOUT_PYTORCH]
    command = [sys.executable, "-c", ALL_BY_PYTORCH, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def run(python, path):
    """What `chainrule run` prints; a script waits for names that the package does not have yet."""
    done = python("-W", "ignore", "-m", "chainrule", "run", path)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if "MissingNameError" in last or "KeywordError" in last:
        pytest.xfail(last)
    assert done.returncode == 0, done.stderr
    return done.stdout


def decimals(number):
    return len(number.partition("e")[0].partition(".")[2])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_what_pytorch_prints(python, references, path):
    if path.stem in WITHOUT_PYTORCH:
        pytest.skip("PyTorch needs torchvision for it")
    ours, theirs = run(python, path).splitlines(), references[str(path)].splitlines()
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert NUMBER.sub("#", a) == NUMBER.sub("#", b)
        for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            # Float32 sums in another order, carried through some tens of steps; and a number that
            # is printed with few decimals may be rounded to the next one.
            tolerance = max(1e-4 * max(1.0, abs(float(y))), 1.01 * 10.0 ** -decimals(y))
            assert abs(float(x) - float(y)) <= (tolerance if "." in y else 0), f"{a}\n{b}"


def test_torchvision_around_a_model(python):
    path = next(p for p in SCRIPTS if p.stem == "images_with_torchvision")
    lines = run(python, path).splitlines()
    assert [NUMBER.sub("#", line) for line in lines] == [
        "epoch # loss #",
        "epoch # loss #",
        "# of #",
        "torch.Size([#, #, #]) True",
    ]
    assert lines[-1] == "torch.Size([3, 38, 74]) True"


OTHERS = {
    "LSTM": (2, 3, 2),
    "MultiheadAttention": (4, 2),
    "Threshold": (0.1, 20),
    "Transformer": (4, 2, 1, 1, 8),
    "TransformerDecoderLayer": (4, 2, 8),
    "TransformerEncoderLayer": (4, 2, 8),
}
LAYERS = [
    *table.LAYERS,
    *[
        table.Row(name, OTHERS.get(name, ()), {}, ())
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    ],
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's
@pytest.mark.parametrize("row", LAYERS, ids=str)
def test_layers_print_as_pytorchs(torch, pytorch, row):
    for args in (row.args, (), (2,), (2, 3), (1, 2, 3)):
        try:
            theirs = repr(row._replace(args=args).make(pytorch.nn))
        except (AttributeError, TypeError, ValueError):
            continue
        assert repr(row._replace(args=args).make(torch.nn)) == theirs
        return
    pytest.skip(f"{row.name} is not PyTorch's, or needs other arguments")


def model_of_many_parts(t):
    class Net(t.nn.Module):
        def __init__(self, width=3, name="x"):
            super().__init__()
            self.width, self.name = width, name
            self.layers = t.nn.ModuleList([t.nn.Linear(2, 2) for _ in range(3)])
            self.layers.append(t.nn.ReLU())
            self.heads = t.nn.ModuleDict({"a": t.nn.Conv2d(1, 2, 3, 2, 1, groups=1)})
            self.weights = t.nn.ParameterList([t.nn.Parameter(t.ones(2, 3))])
            self.rnn = t.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, dropout=0.1)
            self.empty = t.nn.Sequential()

    class Described(t.nn.Linear):
        def extra_repr(self):
            return f"{self.in_features} to {self.out_features}"

    net = Net()
    net.described = Described(2, 3)
    return net


def test_parametrized_and_pruned_layers_print_as_pytorchs(torch, pytorch):
    texts = []
    for t in (torch, pytorch):
        prune = importlib.import_module(f"{t.__name__}.nn.utils.prune")
        layers = [
            t.nn.utils.parametrizations.weight_norm(t.nn.Linear(2, 3)),
            t.nn.utils.parametrizations.orthogonal(t.nn.Conv2d(1, 2, 3)),
            t.nn.utils.spectral_norm(t.nn.Linear(2, 3)),
            prune.l1_unstructured(t.nn.Linear(2, 3), "weight", 1),
        ]
        texts.append([(repr(layer), [*layer.state_dict()]) for layer in layers])
    assert texts[0] == texts[1]


def test_models_print_as_pytorchs(torch, pytorch):
    texts = []
    for t in (torch, pytorch):
        net = model_of_many_parts(t)
        report = net.load_state_dict(net.state_dict())
        part = net.load_state_dict({}, strict=False)
        texts.append([repr(net), repr(report), repr(part)[:60]])
    assert texts[0] == texts[1]
