"""The measurements of lesson 5: every stage of `network.cpp`, NumPy by hand, and Chainrule.

The network is 784-128-64-10, float32. All candidates take turns, round after round, and the least
time of all rounds counts: whatever else a machine does only makes a program slower.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import engine, nn, optim
from lessons import by_hand
from lessons.cpp import bridge

SIZES = (784, 128, 64, 10)
WORKLOADS = {
    "training, batch 64": ("train", 64),
    "training, batch 512": ("train", 512),
    "inference, batch 1": ("predict", 1),
    "inference, batch 5,000": ("predict", 5_000),
}
CANDIDATES = (
    *(f"C++ {stage}" for stage in bridge.STAGES),
    "NumPy by hand", "Chainrule eager", "Chainrule compiled",
)
RESULTS = Path(__file__).parent.parent / "results" / "cpp.json"


def flops(what: str, batch: int) -> int:
    """Floating-point operations in the matrix products of one step: 2 for each of their terms."""
    terms = [a * b for a, b in pairwise(SIZES)]
    forward = sum(terms)
    if what == "predict":
        return 2 * batch * forward
    return 2 * batch * (forward + forward + sum(terms[1:]))  # and dW; and dx, not for the pixels


def by_hand_step(what: str, batch: int) -> Callable[[], Any]:
    """One step of the layers of lesson 2, in float32."""
    layers: list[Any] = []
    for seed, (a, b) in enumerate(pairwise(SIZES)):
        layers += [by_hand.DenseLayer(a, b, seed, np.float32), by_hand.Activation_ReLU()]
    model = by_hand.Model(layers[:-1])
    x, y = np.full((batch, SIZES[0]), 0.5, np.float32), np.full(batch, 7)
    if what == "predict":
        softmax = by_hand.Activation_Softmax()
        return lambda: softmax.forward(model.forward(x))
    last = by_hand.Activation_Softmax_Loss_CategoricalCrossentropy()
    optimizer = by_hand.Optimizer_SGD(1e-9)

    def step() -> None:
        output = model.forward(x)
        last.forward(output, y)
        last.backward(last.output, y)
        model.backward(last.dinputs)
        optimizer.update_params(model)

    return step


def chainrule_step(what: str, batch: int, compiled: bool) -> Callable[[], Any]:
    """One step of Chainrule, eager or compiled to one program."""
    layers: list[nn.Module] = []
    for a, b in pairwise(SIZES):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    x, y = cr.full((batch, SIZES[0]), 0.5), cr.full((batch,), 7, dtype=cr.int64)
    if what == "predict":
        whole = nn.Sequential(model, nn.Softmax(1)).eval()
        forward = cr.compile(whole) if compiled else whole

        def infer() -> None:
            with cr.no_grad():
                forward(x)

        return infer
    optimizer = optim.SGD(model.parameters(), lr=1e-9)

    def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = cr.compile(step) if compiled else step
    return lambda: run(x, y)


def timed(step: Callable[[], Any], seconds: float) -> float:
    """The least time of one call, among the calls that fit into `seconds` (at least three)."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def timer(candidate: str, what: str, batch: int, program: Path) -> Callable[[float], float]:
    """A function from the seconds it may take to the least time of a step in them."""
    if candidate.startswith("C++"):
        stage = candidate.split()[1]

        def bench(seconds: float) -> float:
            answer = bridge.run(
                program, "bench", what, batch=batch, stage=stage, threads=2, seconds=seconds
            )
            return float(answer.split()[0])

        return bench
    if candidate == "NumPy by hand":
        step = by_hand_step(what, batch)
    else:
        step = chainrule_step(what, batch, candidate == "Chainrule compiled")
    step()
    return functools.partial(timed, step)


def measure(program: Path, rounds: int = 5, seconds: float = 0.02) -> dict[str, Any]:
    """Seconds of one step for all workloads and candidates, which take turns in every round."""
    engine.set_num_threads(min(2, os.cpu_count() or 1))
    times: dict[str, dict[str, list[float]]] = {}
    for name, (what, batch) in WORKLOADS.items():
        timers = {c: timer(c, what, batch, program) for c in CANDIDATES}
        times[name] = {candidate: [] for candidate in CANDIDATES}
        for turn in range(rounds):
            for candidate, clock in timers.items():
                if turn and candidate == "C++ naive" and batch > 64:
                    continue  # takes long: once is enough
                times[name][candidate].append(clock(seconds))
    least = {name: {c: min(t) for c, t in row.items()} for name, row in times.items()}
    return {"machine": machine(), "rounds": rounds, "seconds": least}


def machine() -> dict[str, Any]:
    """What the numbers depend on: vector registers, caches (None where they are not told)."""
    names = {"L1": "index0", "L2": "index2", "L3": "index3"}
    caches = {}
    for name, index in names.items():
        file = Path(f"/sys/devices/system/cpu/cpu0/cache/{index}/size")
        caches[name] = file.read_text().strip() if file.exists() else None
    return {
        "date": time.strftime("%Y-%m-%d"), "architecture": platform.machine(),
        "cores": os.cpu_count(), "floats in a vector register": lanes(), "caches": caches,
    }


def described(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    width = machine["floats in a vector register"]
    caches = ", ".join(f"{name} {size or 'not told'}" for name, size in machine["caches"].items())
    return (
        f"{machine['architecture']}, {machine['cores']} cores, "
        f"{width or 'an unknown number of'} float32 in a vector register, caches {caches}"
    )


def lanes() -> int | None:
    """How many float32 a vector register holds in code that is compiled for this machine."""
    if bridge.compiler() is None:
        return None
    command = [str(bridge.compiler()), "-march=native", "-dM", "-E", "-x", "c++", "-"]
    macros = subprocess.run(command, input="", capture_output=True, text=True).stdout
    return 16 if "__AVX512F__" in macros else 8 if "__AVX2__" in macros else 4


def store(result: dict[str, Any], path: Path = RESULTS) -> None:
    """Keep the result for readers without a compiler."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def stored(path: Path = RESULTS) -> dict[str, Any]:
    """The result that was kept."""
    return json.loads(path.read_text(encoding="utf-8"))


def rates(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """GFLOP/s from the seconds."""
    return {
        name: {c: flops(*WORKLOADS[name]) / s / 1e9 for c, s in row.items()}
        for name, row in result["seconds"].items()
    }


def table(result: dict[str, Any]) -> str:
    """A line for each candidate, microseconds and GFLOP/s for each workload."""
    rows, rate = result["seconds"], rates(result)
    lines = [
        " " * 20 + "".join(f"{name:>24}" for name in rows),
        " " * 20 + f"{'µs':>14}{'GFLOP/s':>10}" * len(rows),
    ]
    for c in CANDIDATES:
        cells = (f"{rows[n][c] * 1e6:14,.1f}{rate[n][c]:10.1f}" for n in rows)
        lines.append(f"{c:20}" + "".join(cells))
    return "\n".join(lines)
