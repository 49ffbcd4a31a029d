"""How a step's time grows with the batch, the width and the depth of a net: ours and PyTorch's.

    python benchmarks/scaling.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps import measure
from workloads import workload

PAIR = (("chainrule", "compile"), ("torch", "eager"))
AXES = {
    "batch": [f"mlp {n} 784-128-64-10" for n in (8, 32, 128, 512, 2048)],
    "width": [f"mlp 64 784-{n}-10" for n in (32, 128, 512, 2048)],
    "depth": [f"mlp 64 784-{'128-' * n}10" for n in (1, 2, 4, 8, 16)],
}


def main(rounds: int = 5, picture: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Median microseconds a step at each point, and a plot of them against the operations."""
    result: dict[str, list[dict[str, Any]]] = {}
    for axis, names in AXES.items():
        result[axis] = []
        for name in names:
            w = workload(name)
            ours, theirs = (row["us"] for row in measure(w, rounds, PAIR).values())
            point = {"net": name, "flops": w.flops, "chainrule_us": ours, "torch_us": theirs}
            result[axis].append(point)
            print(f"{axis} {name:50.50s} Chainrule {ours:9.1f} us, PyTorch {theirs:9.1f} us, "
                  f"{theirs / ours:.2f}x")
    if picture is not None:
        plot(result, picture)
    return result


def plot(result: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Microseconds against floating-point operations, a panel for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
    for panel, (axis, points) in zip(panels, result.items(), strict=True):
        x = [point["flops"] / 1e6 for point in points]
        for key, label in (("chainrule_us", "Chainrule compiled"), ("torch_us", "PyTorch eager")):
            panel.plot(x, [point[key] for point in points], marker="o", label=label)
        panel.set(xscale="log", yscale="log", title=axis, xlabel="MFLOP a step")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("microseconds a step")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(picture=Path(__file__).parent / "results" / "scaling.png")
