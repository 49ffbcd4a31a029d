"""The cost of a plan: operations, bytes, memory and time of each instruction."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from chainrule.compiler.plan import Plan
from chainrule.graph import Equation, Graph
from chainrule.ops.contract import matrix_product
from chainrule.primitive import Array


def flops(equation: Equation) -> float:
    """The number of floating-point operations, as the record counts them; for a chain, their
    sum."""
    body = equation.params.get("body")
    if isinstance(body, Graph):
        return sum(flops(part) for part in body.equations)
    return equation.primitive.flops(equation.inputs, equation.outputs, equation.params)


def moved(equation: Equation) -> int:
    """The bytes read and written, counting each operand once."""
    return sum(v.spec.nbytes for v in (*equation.inputs, *equation.outputs))


def peak_gflops(size: int = 768, rounds: int = 5) -> float:
    """The GFLOP/s of a large float32 matrix product on this machine, the best of `rounds`."""
    a = np.ones((size, size), np.float32)
    product, best = matrix_product.native, math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        product(a, a)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def times(plan: Plan, arrays: Sequence[Array], least: float = 0.1) -> list[tuple[Equation, float]]:
    """The equation of each instruction with its seconds: the smallest median of several series of
    runs. Together they take at least `least` seconds, since caches and clocks need time to
    settle."""
    end = time.perf_counter() + least
    series = [plan.times(arrays)]
    while time.perf_counter() < end:
        series.append(plan.times(arrays))
    return [(same[0][0], min(seconds for _, seconds in same)) for same in zip(*series, strict=True)]


def table(plan: Plan, arrays: Sequence[Array]) -> str:
    """A line for each instruction, and the totals. Runs the plan several times, on copies."""
    rows = times(plan, arrays)
    peak = peak_gflops()
    lines = [f"{'us':>8} {'MFLOP':>8} {'kB':>8} {'share':>6}  instruction"]
    for equation, seconds in rows:
        work = flops(equation)
        share = work / max(seconds, 1e-9) / 1e9 / peak
        shapes = ", ".join(str(v.spec) for v in equation.outputs)
        lines.append(
            f"{seconds * 1e6:8.1f} {work / 1e6:8.2f} {moved(equation) / 1e3:8.0f} {share:6.0%}  "
            f"{equation.primitive.name} → {shapes}  # {equation.place}"
        )
    total, work = sum(s for _, s in rows), sum(flops(e) for e, _ in rows)
    lines.append(
        f"{total * 1e6:8.1f} {work / 1e6:8.2f} {sum(moved(e) for e, _ in rows) / 1e3:8.0f} "
        f"{work / max(total, 1e-9) / 1e9 / peak:6.0%}  in all, of {peak:.0f} GFLOP/s"
    )
    return "\n".join([*lines, plan.describe()])
