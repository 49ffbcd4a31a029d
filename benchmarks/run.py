"""All benchmarks, one after the other: tables here, JSON and a plot in benchmarks/results/.

    python benchmarks/run.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
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
    """What the numbers were measured on."""
    facts = engine.describe()
    return {
        "date": time.strftime("%Y-%m-%d"), "machine": platform.machine(),
        "python": platform.python_version(), "numpy": np.__version__,
        "instruction_set": facts["instruction_set"], "threads": facts["threads"],
    }  # fmt: skip


def plot(result: dict[str, Any], path: Path) -> None:
    """Microseconds a step of every candidate, a group of bars for each workload."""
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
    axes.set_xticks(range(len(names)), names)
    figure.legend(frameon=False, ncols=len(candidates), loc="outside upper center")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(rounds: int) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "machine": machine(), "imports": imports.main(), "gateway": gateway.main(),
        "eager": eager.main(), "steps": steps.main([], rounds), "epoch": epoch.main(),
        "agreement": agreement.main(), "threads": threads.main(),
        "scaling": scaling.main(picture=RESULTS / "scaling.png"),
    }  # fmt: skip
    (RESULTS / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(result["steps"], RESULTS / "steps.png")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    main(parser.parse_args().rounds)
