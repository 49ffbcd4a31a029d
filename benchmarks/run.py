"""Runs all benchmarks. Prints tables, and writes JSON and plots to benchmarks/results/.

    python benchmarks/run.py [--rounds 15] [--only NAME] [--results FOLDER]

`--only` runs one benchmark and merges it into the existing results. Each result names its machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import agreement
import eager
import epoch
import gateway
import imports
import scaling
import steps
import threads
from chainrule import engine

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The machine and the versions of the measurement."""
    facts = engine.describe()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "processor": engine.tuning.processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction_set": facts["instruction_set"],
        "threads": facts["threads"],
    }


def plot(result: dict[str, Any], path: Path) -> None:
    """Plot microseconds per step: a group of bars for each workload, a bar for each candidate."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    workloads = result["workloads"]
    names = list(workloads)
    candidates = list(dict.fromkeys(c for row in workloads.values() for c in row["candidates"]))
    figure, axes = plt.subplots(figsize=(11, 4.5), layout="constrained")
    width = 0.8 / len(candidates)
    for i, candidate in enumerate(candidates):
        times = [workloads[n]["candidates"].get(candidate, {}).get("us", 0) for n in names]
        places = np.arange(len(names)) + (i - len(candidates) / 2) * width
        axes.bar(places, times, width, label=candidate)
    axes.set_yscale("log")
    axes.set_ylabel("microseconds a step")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    figure.legend(frameon=False, ncols=len(candidates), loc="outside upper center")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def benchmarks(results: Path, rounds: int) -> dict[str, Callable[[], Any]]:
    """The benchmarks by name, in order. Scaling and threads use a third of the rounds."""
    few = max(1, rounds // 3)
    return {
        "imports": imports.main,
        "gateway": gateway.main,
        "eager": eager.main,
        "steps": lambda: steps.main([], rounds),
        "epoch": lambda: epoch.main(max(1, rounds // 2)),
        "agreement": agreement.main,
        "threads": lambda: threads.main(few),
        "scaling": lambda: scaling.main(few, results / "scaling.png"),
    }


def main(rounds: int, only: list[str], results: Path) -> None:
    """Run benchmarks, and write the results after each. Other results in the file are kept."""
    results.mkdir(exist_ok=True, parents=True)
    path = results / "results.json"
    result = json.loads(path.read_text()) if only and path.exists() else {}
    measured = result.setdefault("measured", {})
    for name, run in benchmarks(results, rounds).items():
        if only and name not in only:
            continue
        print(f"\n== {name}", flush=True)
        start = time.perf_counter()
        result[name] = run()
        measured[name] = {**machine(), "seconds": round(time.perf_counter() - start)}
        path.write_text(json.dumps(result, indent=1) + "\n")
        if name == "steps":
            plot(result["steps"], results / "steps.png")
    print(f"\nwritten to {results}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=list(benchmarks(RESULTS, 1)),
        help="one of them; may be repeated",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    options = parser.parse_args()
    main(options.rounds, options.only, options.results)
