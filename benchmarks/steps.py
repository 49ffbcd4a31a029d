"""Whole training steps: Chainrule eager and compiled against PyTorch eager, torch.compile and JAX.

Each framework runs each workload in its own process. The processes take turns in every round, so
that noise affects all alike. The figure is the median over the rounds.

    python benchmarks/steps.py [WORKLOAD ...] [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
CANDIDATES = (
    ("chainrule", "eager"),
    ("chainrule", "compile"),
    ("torch", "eager"),
    ("torch", "compile"),
    ("jax", "jit"),
)
TURN = 0.08
"""Seconds of one turn: long enough for the clock, short enough for many turns."""
THREADS = 2
"""The threads of Chainrule; `worker.py` sets the same number for PyTorch. JAX uses all cores."""


class Worker:
    """A process with one framework and one workload, which times steps on request."""

    def __init__(
        self, framework: str, mode: str, workload: str, threads: int | None = None
    ) -> None:
        self.name = f"{framework} {mode}" + (f" {threads}" if threads else "")
        limit = {"CHAINRULE_NUM_THREADS": str(threads or THREADS)}
        command = [sys.executable, str(HERE / "worker.py"), framework, mode, workload]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **limit},
        )
        self.started = self._read()
        self.failed = not self.started
        self.calls = 1
        self.samples: list[float] = []
        self.peak_mb = 0.0
        self.value: float | None = None

    def _read(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        return json.loads(line) if line else {}

    def turn(self) -> float:
        """Microseconds per step, over the steps of one turn."""
        self._process.stdin.write(f"{self.calls}\n")
        self._process.stdin.flush()
        answer = self._read()
        per_step = answer["seconds"] / self.calls
        self.peak_mb, self.value = answer["peak_mb"], answer["value"]
        self.calls = max(1, int(TURN / per_step))
        return per_step * 1e6

    def stop(self) -> str:
        self._process.stdin.close()
        errors = self._process.stderr.read()
        self._process.wait()
        return errors.strip().splitlines()[-1] if errors.strip() else ""


def measure(
    workload: Workload, rounds: int, candidates: Sequence[tuple[Any, ...]] = CANDIDATES
) -> dict[str, dict[str, float]]:
    """Median microseconds per step of each candidate, time to the first step, and peak memory.

    A candidate is (framework, mode), or (framework, mode, threads).
    """
    workers = []
    for framework, mode, *threads in candidates:
        if framework in workload.without:
            continue
        worker = Worker(framework, mode, workload.name, *threads)
        if worker.failed:
            print(f"  {worker.name} does not run here: {worker.stop()}")
            continue
        worker.turn()
        workers.append(worker)
    for _ in range(rounds):
        for worker in workers:
            time.sleep(0.1)  # let the threads of the previous process sleep
            worker.samples.append(worker.turn())
    for worker in workers:
        worker.stop()
    return {
        w.name: {
            "us": statistics.median(w.samples),
            "min_us": min(w.samples),
            "first_s": w.started["first_s"],
            "peak_mb": w.peak_mb,
            "above_import_mb": w.peak_mb - w.started["import_mb"],
            **({} if w.value is None else {"value": w.value}),
        }
        for w in workers
    }


def machine_gflops() -> float:
    """The rate of a large float32 product here, in NumPy or Chainrule: the reference of shares."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    x, best = cr.from_numpy(a), 1e9
    for multiply in [lambda: a @ a, lambda: x @ x] * 8:
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best / 1e9


def report(workload: Workload, result: dict[str, dict[str, float]], limit: float) -> dict[str, Any]:
    """One row of the table."""
    ours = result["chainrule compile"]["us"]
    peers = {name: row["us"] for name, row in result.items() if not name.startswith("chainrule")}
    best = min(peers, key=peers.__getitem__) if peers else ""
    share = workload.flops / ours / 1e3 / limit
    cells = "  ".join(f"{name} {row['us']:.0f}" for name, row in result.items())
    ratio = peers[best] / ours if peers else math.nan
    both = [result.get(name, {}).get("us") for name in ("torch eager", "chainrule eager")]
    eager = both[0] / both[1] if all(both) else math.nan
    print(
        f"{workload.name:11s} {ratio:5.2f}x the best peer ({best}), eager {eager:.2f}x PyTorch's; "
        f"{share:.0%} of the limit | {cells} us"
    )
    return {
        "candidates": result,
        "best_peer": best,
        "ratio": ratio,
        "eager_ratio": eager,
        "share_of_limit": share,
    }


def table(title: str, rows: dict[str, Any], cell: Callable[[dict[str, float]], str]) -> None:
    """Print a table with a line for each workload and a column for each candidate."""
    names = list(dict.fromkeys(c for row in rows.values() for c in row["candidates"]))
    print(f"\n{title}\n{'':11}" + "".join(f"{name:>19}" for name in names))
    for workload, row in rows.items():
        cells = (row["candidates"].get(name) for name in names)
        print(f"{workload:11}" + "".join(f"{cell(x) if x else '-':>19}" for x in cells))


def first_steps_and_memory(rows: dict[str, Any]) -> None:
    """Print the time to the first step and the peak memory, and where it exceeds PyTorch's.

    Only the process itself is measured, not the compiler processes that torch.compile starts.
    """
    table(
        "milliseconds to the first step, with capture and compilation",
        rows,
        lambda x: f"{x['first_s'] * 1e3:.1f}",
    )
    table(
        "peak memory, MB: the whole process / above what it had after its imports",
        rows,
        lambda x: f"{x['peak_mb']:.0f} / {x['above_import_mb']:.0f}",
    )
    for key, words in (("peak_mb", "whole"), ("above_import_mb", "above imports")):
        more = []
        for name, row in rows.items():
            ours, theirs = (row["candidates"].get(c) for c in ("chainrule compile", "torch eager"))
            if theirs:
                row[f"{key}_at_most_torch"] = ours[key] <= theirs[key]
                more += [name] * (ours[key] > theirs[key])
        verdict = f"above PyTorch eager on {', '.join(more)}" if more else "nowhere above PyTorch's"
        print(f"peak of Chainrule compiled, {words}: {verdict}")


def main(names: list[str], rounds: int = 15) -> dict[str, Any]:
    limit = machine_gflops()
    print(f"a large product reaches {limit:.0f} GFLOP/s")
    rows = {}
    for name in names or list(WORKLOADS):
        rows[name] = report(WORKLOADS[name], measure(WORKLOADS[name], rounds), limit)
    first_steps_and_memory(rows)
    return {"limit_gflops": limit, "workloads": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads; all without any")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    main(options.names, options.rounds)
