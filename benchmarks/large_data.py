"""Training on data larger than memory: speed and memory, compared with reading in order.

    python benchmarks/large_data.py --gb 10 --folder /tmp/large_data

Writes rows of 1,024 float32 numbers and a label each into `.npy` files, reads them in order, reads
them shuffled by chunks, and trains a linear classifier on them. Prints the speed of each and the
largest anonymous memory of the process (RssAnon, which the pages of mapped files are no part of).
The files are removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import nn, optim

WIDTH, CLASSES, BATCH = 1024, 10, 256
BLOCK = 2**14


def write(folder: Path, rows: int) -> None:
    """Rows around the centre of their class."""
    rng = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, WIDTH))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int64, (rows,))
    centres = rng.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    noise = rng.normal(size=(BLOCK, WIDTH)).astype(np.float32)
    for start in range(0, rows, BLOCK):
        labels = rng.integers(0, CLASSES, min(BLOCK, rows - start))
        x[start : start + BLOCK] = centres[labels] + noise[: len(labels)]
        y[start : start + BLOCK] = labels


def anonymous() -> float:
    """The anonymous memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    return float("nan")


@contextmanager
def peak() -> Iterator[list[float]]:
    """The largest anonymous memory during the block, seen every 5 ms."""
    found, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            found[0] = max(found[0], anonymous())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def read(data: cr.data.Dataset, **options: object) -> None:
    for _ in cr.data.DataLoader(data, BATCH, **options):  # type: ignore[arg-type]
        pass


def train(data: cr.data.Dataset) -> None:
    model = nn.Linear(WIDTH, CLASSES)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False)
    history = trainer.fit(data, epochs=1, batch_size=BATCH)
    print(f"accuracy while training: {history['accuracy'][-1]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/chainrule_large_data"))
    options = parser.parse_args()
    rows = int(options.gb * 1e9) // (4 * WIDTH)
    options.folder.mkdir(parents=True)
    try:
        write(options.folder, rows)
        x = cr.data.read_npy(options.folder / "x.npy", mmap=True)
        y = cr.data.read_npy(options.folder / "y.npy", mmap=True)
        data = cr.data.ArrayDataset(x, y)
        before = anonymous()
        for name, work in (
            ("in order", lambda: read(data)),
            ("shuffled", lambda: read(data, shuffle=True, seed=0)),
            ("training", lambda: train(data)),
        ):
            began, used = time.perf_counter(), time.process_time()
            with peak() as found:
                work()
            wall, used = time.perf_counter() - began, time.process_time() - used
            print(
                f"{name:<9} {x.nbytes / 1e9 / wall:6.2f} GB/s, {used / wall:.2f} cores used; "
                f"anonymous memory at most {found[0]:4.0f} MB"
            )
        print(f"{rows:,} rows, {x.nbytes / 1e9:.2f} GB; anonymous memory before {before:.0f} MB")
    finally:
        shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
