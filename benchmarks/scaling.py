"""The time of a step for growing batch sizes, widths and depths, in Chainrule and PyTorch.

python benchmarks/scaling.py [--rounds 5]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from steps import machine_gflops, measure
from workloads import workload

PAIR = (("chainrule", "compile"), ("torch", "eager"))
AXES = {
    "batch": {n: f"mlp {n} 784-128-64-10" for n in (8, 32, 128, 512, 2048, 4096)},
    "width": {n: f"mlp 64 784-{n}-{n}-10" for n in (32, 128, 512, 2048)},
    "depth": {n: f"mlp 64 784-{'128-' * n}10" for n in (1, 2, 4, 8, 16)},
}
NETS = {
    "batch": "784-128-64-10",
    "width": "784-width-width-10, batch 64",
    "depth": "784, then 128 so many times, 10; batch 64",
}


def main(rounds: int = 5, picture: Path | None = None) -> dict[str, Any]:
    """Median microseconds per step at each point, and a plot over the number of operations."""
    result: dict[str, Any] = {"limit_gflops": machine_gflops()}
    for axis, names in AXES.items():
        result[axis] = []
        for size, name in names.items():
            w = workload(name)
            measured = measure(w, rounds, PAIR)
            us = {" ".join(pair): measured.get(" ".join(pair), {}).get("us") for pair in PAIR}
            ours, theirs = us.values()
            ratio = theirs / ours if ours and theirs else None
            result[axis].append({axis: size, "flops": w.flops, "us": us, "ratio": ratio})
            cells = "  ".join(f"{who} {t or float('nan'):9.1f} us" for who, t in us.items())
            print(
                f"{axis} {size:5d} {w.flops / 1e6:9.1f} MFLOP  {cells}  "
                f"{ratio or float('nan'):5.2f}x",
                flush=True,
            )
    if picture is not None:
        plot(result, picture)
    return result


def plot(result: dict[str, Any], path: Path) -> None:
    """Plot microseconds over floating-point operations, with a panel for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained", sharey=True)
    for panel, axis in zip(panels, AXES, strict=True):
        points = result[axis]
        x = [point["flops"] / 1e6 for point in points]
        for name, label in zip(
            points[0]["us"], ("Chainrule compiled", "PyTorch eager"), strict=True
        ):
            y = [point["us"][name] or float("nan") for point in points]
            panel.plot(x, y, marker="o", label=label)
        for point, place in zip(points, x, strict=True):
            panel.annotate(
                str(point[axis]),
                (place, point["us"]["chainrule compile"]),
                (0, -14),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        floor = [point["flops"] / result["limit_gflops"] / 1e3 for point in points]
        panel.plot(x, floor, "--", color="gray", label="at the speed of a large product")
        panel.set(xscale="log", yscale="log", xlabel="MFLOP a step")
        panel.set_title(f"{axis}: {NETS[axis]}", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("microseconds a step")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=3, loc="outside upper center")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args().rounds, Path(__file__).parent / "results" / "scaling.png")
