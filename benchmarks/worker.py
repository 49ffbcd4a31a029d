"""One framework on one workload, in a process of its own; times calls when told how many.

Says on standard output, as JSON lines: first the seconds until the first step was done and the
peak memory, then for each number read from standard input the seconds that so many steps took.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main(framework: str, mode: str, name: str) -> None:
    if framework == "torch":
        importlib.import_module("torch").set_num_threads(2)
    workload = importlib.import_module("workloads").workload(name)
    build = importlib.import_module(f"peer_{framework}").build
    step = build(workload, mode)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(4):
        step()

    def peak_mb() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    print(json.dumps({"first_s": first, "peak_mb": peak_mb()}), flush=True)
    for line in sys.stdin:
        calls = int(line)
        start = time.perf_counter()
        for _ in range(calls):
            step()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
