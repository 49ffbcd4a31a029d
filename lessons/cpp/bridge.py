"""Python's side of lesson 5: builds `network.cpp`, writes and reads its files, runs its commands.

    python -m lessons.cpp.bridge FOLDER      writes the handwritten digits as IDX files
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = list[tuple[Array, Array]]

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "network.cpp"
STAGES = ("naive", "reordered", "blocked", "threads")


def compiler() -> str | None:
    """The C++ compiler that `build` calls (`$CXX`, or `c++`); None if it or make is missing."""
    found = shutil.which(os.environ.get("CXX", "c++"))
    return found if shutil.which("make") else None


def build(folder: str | Path, source: str | Path = SOURCE, **variables: str) -> Path:
    """Compile into `folder` with the Makefile; `variables` are make's, CXXFLAGS for example."""
    given = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "-C", str(FOLDER), f"BUILD={folder}", f"SOURCE={source}"]
    done = subprocess.run([*command, f"CXX={compiler()}", *given], capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        raise RuntimeError(f"network.cpp does not compile cleanly:\n{done.stderr}")
    return Path(folder) / "network"


def run(program: str | Path, *words: Any, **options: Any) -> str:
    """What the program prints: run(program, "bench", "train", stage="naive")."""
    flags = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    command = [str(program), *map(str, words), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"{program} ended with {done.returncode}")
    return done.stdout


def predict(program: str | Path, weights: Path, images: Path, **options: Any) -> Array:
    """The probabilities (n, classes) that the program computes, float32."""
    lines = run(program, "predict", weights, images, **options).splitlines()
    return np.array([line.split()[1:] for line in lines], np.float32)


def to_bytes(x: Array) -> Array:
    """Pixels in [0, 1], (n, 784), as IDX files hold them: 0 to 255, (n, 28, 28)."""
    return np.rint(x * 255).astype(np.uint8).reshape(len(x), 28, 28)


def write_idx(path: Path, numbers: Array) -> Path:
    """An IDX file of unsigned bytes: 00 00 08, the rank, the dimensions (big-endian), numbers."""
    head = struct.pack(f">HBB{numbers.ndim}I", 0, 8, numbers.ndim, *numbers.shape)
    path.write_bytes(head + numbers.astype(np.uint8).tobytes())
    return path


def write_weights(path: Path, weights: Iterable[tuple[Array, Array]]) -> Path:
    """A file of weights from pairs (W, b), W of shape (inputs, outputs); see `network.cpp`."""
    pairs = [(np.asarray(w, "<f4"), np.asarray(b, "<f4").ravel()) for w, b in weights]
    sizes = [len(pairs[0][0]), *(w.shape[1] for w, _ in pairs)]
    head = b"CRWEIGHT" + struct.pack(f"<{1 + len(sizes)}I", len(pairs), *sizes)
    path.write_bytes(head + b"".join(part.tobytes() for pair in pairs for part in pair))
    return path


def read_weights(path: Path) -> Weights:
    """The pairs (W, b) of a file of weights."""
    content = path.read_bytes()
    layers = int.from_bytes(content[8:12], "little")
    start = 16 + 4 * layers
    sizes = np.frombuffer(content[12:start], "<u4").astype(int)
    numbers = np.frombuffer(content[start:], "<f4")
    pairs, at = [], 0
    for inputs, outputs in pairwise(sizes):
        w, b, rest = np.split(numbers[at:], [inputs * outputs, (inputs + 1) * outputs])
        pairs.append((w.reshape(inputs, outputs), b))
        at = len(numbers) - len(rest)
    return pairs


def part(*numbers: int, lines: slice = slice(None)) -> str:
    """The parts of `network.cpp` with these numbers, as they stand there, with line numbers."""
    text = list(enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), 1))
    starts = [at for at, (_, line) in enumerate(text) if line.startswith("// ---- ")]
    ends = [*starts[1:], len(text)]
    shown = [row for n in numbers for row in text[starts[n - 1] : ends[n - 1]]][lines]
    return "\n".join(f"{number:3}  {line}".rstrip() for number, line in shown)


def write_digits(folder: Path) -> None:
    """The handwritten digits of the course as four IDX files, not compressed."""
    from lessons import material

    x_train, y_train, x_test, y_test = material.handwritten()
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder / "train-images", to_bytes(x_train))
    write_idx(folder / "train-labels", y_train)
    write_idx(folder / "test-images", to_bytes(x_test))
    write_idx(folder / "test-labels", y_test)


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]))
