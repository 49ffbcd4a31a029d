"""Faults K1-K6: no compiler or a broken one, other processors, folders that cannot be written.

Chainrule is compiled when it is installed; there is no cache of kernels at run time (K5, K6), so
nothing may be written where nothing was asked for.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import engine, nn, optim
from chainrule.errors import ArgumentError

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys
import numpy as np
import chainrule as cr
from chainrule import nn, optim
cr.manual_seed(0)
train, test = cr.data.digits()
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
trainer = cr.Trainer(
    model, loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(model.parameters(), lr=1e-2)
)
trainer.fit(train, valid=test, epochs=1)
print(trainer.evaluate(test)["loss"])
"""
BLOCKED = "import sys; sys.modules['chainrule.engine._native'] = None\n"
NO_PASSWD = """
import pwd
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
"""


def run(
    code: str, *, cwd: Path | None = None, without: tuple[str, ...] = (), **changed: str
) -> str:
    """What a program prints in a fresh interpreter; it must end well within two minutes."""
    environment = {k: v for k, v in os.environ.items() if k not in without}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**environment, **changed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- K1: no compiler -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["not built", "switched off"])
def test_k1_without_the_engine_training_gives_the_same_results(how: str) -> None:
    start, changed = (BLOCKED, {}) if how == "not built" else ("", {"CHAINRULE_ENGINE": "off"})
    code = start + TRAIN + "from chainrule import engine\nassert not engine.available()"
    without, native = run(code, **changed), run(TRAIN)
    # An epoch of Adam in float32: sums in another order.
    assert float(without.split()[-1]) == pytest.approx(float(native.split()[-1]), rel=1e-3)


def test_k1_the_doctor_says_that_there_is_no_engine_and_why() -> None:
    doctor = "import sys\nfrom chainrule.cli import main\nsys.argv[1:] = ['doctor', '--json']\n"
    said = json.loads(run(BLOCKED + doctor + "main()"))
    assert said["engine"]["native"].startswith("no, NumPy references only")
    assert "_native" in said["engine"]["native"]


# -- K2: compilers that fail ---------------------------------------------------------------------


def requirements() -> None:
    """Skip where the package cannot be built offline."""
    missing = [m for m in ("scikit_build_core", "nanobind", "pip") if not importable(m)]
    missing += [tool for tool in ("cmake", "ninja", "g++") if not shutil.which(tool)]
    if missing or not (ROOT / "CMakeLists.txt").exists():
        pytest.skip(f"building needs {', '.join(missing) or 'the sources'}")


def importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that the checkout stays as it is; its path has a space."""
    requirements()
    folder = tmp_path_factory.mktemp("the source")
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    (folder / "lessons").mkdir()
    (folder / "lessons" / "README.md").touch()
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


COMPILERS = {
    "fails": "echo no such compiler >&2; exit 1\n",
    "is killed": 'case "$*" in *engine/cpp/*|*nanobind*) kill -9 $$;; esac\nexec g++ "$@"\n',
    "is too old": 'case "$*" in *std=*20*) echo unrecognized option >&2; exit 1;; esac\n'
    'exec g++ "$@"\n',
}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_k2_a_compiler_that_fails_gives_pure_python(
    compiler: str, source: Path, tmp_path: Path
) -> None:
    """The install succeeds, and what is installed says that it has no engine."""
    cxx = script(tmp_path / "my compilers" / "c++", COMPILERS[compiler])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-v",
            "--no-build-isolation",
            "--no-deps",
            "--no-index",
            "--wheel-dir",
            str(tmp_path / "wheels"),
            str(source),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CXX": str(cxx)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "retrying due to override" in done.stdout + done.stderr
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [n for n in archive.namelist() if n.endswith((".so", ".cpp", ".h"))]
        archive.extractall(tmp_path / "site")
    checks = "from chainrule import engine\nassert engine.why_not()\nprint(engine.__file__)"
    # -S: an editable install of the checkout must not answer for the wheel.
    paths = [str(tmp_path / "site"), *[p for p in sys.path if p.endswith("site-packages")]]
    done = subprocess.run(
        [sys.executable, "-S", "-c", TRAIN + checks],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(str(tmp_path / "site"))


def test_k2_a_ccache_whose_path_has_spaces(source: Path, tmp_path: Path) -> None:
    """The compiler is called through it, from a build folder with spaces, too."""
    log = tmp_path / "log"
    cache = script(tmp_path / "my tools" / "ccache", f'echo "$@" >> "{log}"\nexec "$@"\n')
    build = tmp_path / "the build"
    target = "CMakeFiles/_native.dir/src/chainrule/engine/cpp/runtime/dispatch.cpp.o"
    for command in (
        [
            "cmake",
            "-G",
            "Ninja",
            "-S",
            str(source),
            "-B",
            str(build),
            f"-DPython_EXECUTABLE={sys.executable}",
        ],
        ["cmake", "--build", str(build), "--target", target],
    ):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "CMAKE_CXX_COMPILER_LAUNCHER": str(cache)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (build / target).exists() and "dispatch.cpp" in log.read_text()


# -- K3: other processors ------------------------------------------------------------------------


class Everything(nn.Module):
    """Convolution, normalization, recurrence, attention and products, in one small net."""

    def __init__(self) -> None:
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.lstm = nn.LSTM(8 * 6, 32, batch_first=True)
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.norm(self.conv(x)).relu())
        x = self.lstm(x.transpose(1, 2).flatten(2))[0]
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.drop(x.mean(1)))


def losses(instruction_set: str, steps: int = 10) -> Any:
    engine.use_instruction_set(instruction_set)
    cr.manual_seed(0)
    model = Everything()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    @cr.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    x = cr.tensor(rng.normal(size=(32, 1, 12, 12)).astype(np.float32))
    y = cr.tensor(rng.integers(0, 10, 32))
    return np.array([step(x, y).item() for _ in range(steps)])


@pytest.mark.parametrize("name", ["baseline", "avx2", "avx512"])
def test_k3_a_training_on_every_instruction_set(name: str) -> None:
    sets: Any = engine.describe()["instruction_sets"]
    if name not in sets:
        with pytest.raises(ArgumentError, match=name):
            engine.use_instruction_set(name)
        pytest.skip(f"this machine has no {name}; it was refused")
    found = losses(name)
    # Ten steps in float32: products are summed in other orders, with fused multiply-add or not.
    np.testing.assert_allclose(found, losses(sets[0]), rtol=1e-4)
    assert found[-1] < found[0]
    assert losses(name).tobytes() == found.tobytes()


@pytest.mark.parametrize("name", ["avx1024", "neon512", "AVX2", "", "baseline "])
def test_k3_an_instruction_set_that_is_not_there_is_refused(name: str) -> None:
    before = engine.describe()["instruction_set"]
    with pytest.raises(ArgumentError, match="cannot run"):
        engine.use_instruction_set(name)
    assert engine.describe()["instruction_set"] == before


# -- K4-K6: folders ------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write")
@pytest.mark.parametrize("home", ["read-only", "missing", "unset", "unset, no user name"])
def test_k4_homes_and_temporary_folders_that_do_not_work(home: str) -> None:
    """Not even root writes into /proc."""
    gone = {"HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "CHAINRULE_CACHE"}
    folder = {"read-only": "/proc", "missing": "/nowhere/at all"}.get(home)
    changed = {} if folder is None else {"HOME": folder, "XDG_CACHE_HOME": folder}
    start = NO_PASSWD if "no user" in home else ""
    said = run(start + TRAIN, without=tuple(gone), TMPDIR=folder or "/nowhere", **changed)
    assert float(said.split()[-1]) > 0


def test_k4_a_download_says_where_it_cannot_write() -> None:
    """Only a download needs a folder: without a home it is asked for, by name."""
    code = """
from chainrule.data.download import cache_folder
from chainrule.errors import DownloadError
try:
    print(cache_folder())
except DownloadError as error:
    assert "home" in str(error) and "CHAINRULE" in str(error), error
    print("refused")
"""
    gone = ("HOME", "XDG_CACHE_HOME", "CHAINRULE_CACHE", "LOCALAPPDATA")
    assert run(NO_PASSWD + code, without=gone).strip() == "refused"
    assert run(code, without=gone, CHAINRULE_CACHE="/given").strip() == "/given"


@pytest.mark.parametrize("code", ["import chainrule", TRAIN], ids=["import", "train"])
def test_k5_k6_nothing_is_written_that_was_not_asked_for(code: str, tmp_path: Path) -> None:
    """No cache of kernels, at home, in the temporary folder or here: nothing to lock or trust."""
    places = {}
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "cwd"):
        places[name] = tmp_path / name
        places[name].mkdir()
    here = places.pop("cwd")
    before = files(Path(cr.__file__).parent)
    run(code, cwd=here, **{k: str(v) for k, v in places.items()}, PYTHONDONTWRITEBYTECODE="1")
    assert [str(p) for p in tmp_path.rglob("*") if not p.is_dir() or p.parent != tmp_path] == []
    assert files(Path(cr.__file__).parent) == before


def files(folder: Path) -> set[str]:
    """Binaries of any kind below a folder: what a compilation at run time would leave."""
    return {str(p) for suffix in ("so", "o", "a", "bin") for p in folder.rglob(f"*.{suffix}")}
