"""`chainrule run` and `chainrule check`, as a person calls them."""

from __future__ import annotations

import json

import pytest

RUN = ("-m", "chainrule", "run")
CHECK = ("-m", "chainrule", "check")

SCRIPT = """
import os, sys
import torch, torchvision, einops
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.nn.modules.linear import Linear
if __name__ == "__main__":
    import beside
    print(torch.nn is nn, sys.modules["torch"] is torch, Linear is nn.Linear, torch.__name__)
    print(sys.argv, os.path.basename(os.getcwd()), __file__, beside.NAME)
    print(F.relu(torch.tensor([-1.0, 2.5])))
    sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/main.py").write_text(SCRIPT)
    (tmp_path / "scripts/beside.py").write_text("import torch; NAME = torch.ones(1).dtype")
    return tmp_path


@pytest.mark.parametrize("command", [RUN, ("-m", "chainrule.torch")], ids=" ".join)
def test_a_script_runs_as_itself(python, folder, command):
    done = python(*command, "scripts/main.py", "--lr", 7, cwd=folder)
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines() == [
        "True True True chainrule.torch",
        f"['scripts/main.py', '--lr', '7'] {folder.name} scripts/main.py torch.float32",
        "tensor([0.0000, 2.5000])",
    ]


def test_an_error_shows_the_lines_of_the_script(python, folder):
    (folder / "wrong.py").write_text(
        "import torch\ndef f(x):\n    return x @ torch.ones(5, 5)\n"
        "print('before')\nf(torch.ones(2, 3))\n"
    )
    done = python(*RUN, "wrong.py", cwd=folder)
    assert done.returncode == 1 and done.stdout == "before\n"
    lines = done.stderr.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "wrong.py", line 5, in <module>',
        "    f(torch.ones(2, 3))",
    ]
    assert "script.py" not in done.stderr and "ShapeError" in lines[-1]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("import sys; sys.exit('no')", 1),
        ("x = 1", 0),
        ("raise KeyboardInterrupt", 130),
        ("1 +", 1),
    ],
)
def test_exit_codes_are_the_scripts(python, tmp_path, code, status):
    (tmp_path / "s.py").write_text(code)
    assert python(*RUN, tmp_path / "s.py").returncode == status


def test_a_script_that_is_not_there(python):
    done = python(*RUN, "nowhere.py")
    assert done.returncode == 1 and "nowhere.py" in done.stderr and "Traceback" not in done.stderr
    assert python("-m", "chainrule.torch").returncode == 2


def test_aliases_are_of_that_process_alone(python):
    done = python("-c", "import chainrule.torch, sys; print('torch' in sys.modules)")
    assert done.stdout == "False\n"


MISSING = """
import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.quark import z
from torch.nn.parallel import replicate
class Net(nn.Module):
    def to_dense(self): return self
x = torch.zeros(2, device="cpu", colour=3)
y = x.reshape(2).to_sparse().to_dense()
z = torch.fft.rfft(x, norm=None)
F.one_hot(x.long(), num_clases=3)
" ".join("abc").split(); x.shape[0]; [].append(1)
torch.sum(x, axis=0, keepdims=True)
"""


def test_check_lists_what_is_missing_by_line(python, tmp_path):
    (tmp_path / "s.py").write_text(MISSING)
    done = python(*CHECK, tmp_path / "s.py", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(f["line"], f["name"]) for f in found] == [
        (5, "torch.quark"),
        (6, "torch.nn.parallel.replicate"),
        (9, "torch.zeros(colour=)"),
        (10, "torch.Tensor.to_sparse"),
        (11, "torch.fft.rfft"),
        (12, "torch.nn.functional.one_hot(num_clases=)"),
    ]
    advice = {f["name"]: f["advice"] for f in found}
    assert "numpy.fft" in advice["torch.fft.rfft"] and "dense" in advice["torch.Tensor.to_sparse"]
    text = python(*CHECK, tmp_path / "s.py")
    assert len(text.stdout.splitlines()) == 6 and f"{tmp_path}/s.py:11 " in text.stdout


def test_check_of_a_script_with_nothing_missing(python, folder):
    done = python(*CHECK, folder / "scripts/main.py")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("text", ["import torch\nx = (", b"\xff\xfe\0", None])
def test_check_of_what_is_no_script(python, tmp_path, text):
    path = tmp_path / "s.py"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = python(*CHECK, path)
    assert done.returncode == 1 and str(path) in done.stderr and "Traceback" not in done.stderr
