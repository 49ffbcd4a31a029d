"""One framework on one workload in its own process, which times steps on request.

It writes JSON lines to standard output: first the seconds to the first step and the memory after
the imports; then, for each number of steps read from standard input, their seconds, the peak
memory, and the number that the last step returned, if any.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
STATUS = Path("/proc/self/status")


def memory_mb(field: str) -> float:
    """Resident memory of this process: "VmRSS" is now, "VmHWM" the peak.

    On Linux, a process inherits the peak of `getrusage` from its parent, so /proc is read. Other
    systems use `getrusage`; their current memory is unknown, and 0 is returned.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return peak if field == "VmHWM" else 0.0


def main(framework: str, mode: str, name: str) -> None:
    if framework == "torch":
        importlib.import_module("torch").set_num_threads(2)
    workload = importlib.import_module("workloads").workload(name)
    build = importlib.import_module(f"peer_{framework}").build
    imported = memory_mb("VmRSS")
    step = build(workload, mode)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(workload.warmup):
        step()
    print(json.dumps({"first_s": first, "import_mb": imported}), flush=True)
    for line in sys.stdin:
        calls = int(line)
        start = time.perf_counter()
        for _ in range(calls):
            value = step()
        answer = {"seconds": time.perf_counter() - start, "peak_mb": memory_mb("VmHWM")}
        value = value if isinstance(value, float) else None
        print(json.dumps({**answer, "value": value}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
