"""Timing of candidates that take turns in one run, so that noise affects all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

PAUSE = 0.02
"""Seconds between turns, so that the threads of the previous candidate stop spinning."""


def interleaved(
    candidates: dict[str, Callable[[], object]], rounds: int = 25, calls: int = 50, warmup: int = 30
) -> dict[str, float]:
    """Median microseconds per call of each candidate, over rounds in which they take turns."""
    for run in candidates.values():
        for _ in range(warmup):
            run()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            time.sleep(PAUSE)
            run()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times[name].append((time.perf_counter() - start) / calls * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}
