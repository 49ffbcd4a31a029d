"""The pure wheel, as browsers install it: no engine, no thread, no other process."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CODE = """
import sys, _thread, os, subprocess

def refused(*args, **kwargs):
    raise RuntimeError("can't start new thread")

def unsupported(*args, **kwargs):
    raise OSError(138, "Not supported")

_thread.start_new_thread = refused
import threading
threading._start_new_thread = threading._start_joinable_thread = refused
subprocess.Popen.__init__ = os.fork = os.posix_spawn = unsupported

# Python's own finders are classes. That of an editable install, which comes before them, is not.
sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]
import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.cli.doctor import examine

assert cr.__file__.startswith(sys.argv[1]), cr.__file__
assert not engine.available()
cr.manual_seed(0)
train, test = cr.data.digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = optim.Adam(model.parameters(), lr=0.01)
trainer = cr.Trainer(model, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
loader = cr.data.DataLoader(train, batch_size=64, shuffle=True, prefetch=2)
trainer.fit(loader, epochs=3)
print(trainer.evaluate(test)["accuracy"], "to do" in examine()["engine"])
"""


def test_trains_without_threads_and_processes(tmp_path: Path) -> None:
    """Three epochs: a linear model alone is right for nine of ten digits."""
    backend = pytest.importorskip("scikit_build_core.build")
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        settings = {"wheel.cmake": "false", "wheel.py-api": "py3"}
        name = backend.build_wheel(str(tmp_path), settings)
    finally:
        os.chdir(before)
    assert name.endswith("-py3-none-any.whl")
    zipfile.ZipFile(tmp_path / name).extractall(tmp_path / "site")
    assert not list((tmp_path / "site").rglob("_native*"))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "site")],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    accuracy, advised = done.stdout.split()[-2:]
    assert float(accuracy) > 0.9 and advised == "True"
