"""One thread against two: each workload as a compiled program, by turns.

python benchmarks/threads.py [--rounds 7]
"""

from __future__ import annotations

import argparse

from steps import measure
from workloads import WORKLOADS

BOTH = (("chainrule", "compile", 1), ("chainrule", "compile", 2))


def main(rounds: int = 7) -> dict[str, dict[str, float]]:
    """Median microseconds per step with one thread and with two."""
    rows = {}
    for name, workload in WORKLOADS.items():
        one, two = (row["us"] for row in measure(workload, rounds, BOTH).values())
        rows[name] = {"one_us": one, "two_us": two, "ratio": one / two}
        print(f"{name:11s} 1 thread {one:9.1f} us, 2 threads {two:9.1f} us, {one / two:.2f}x")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
