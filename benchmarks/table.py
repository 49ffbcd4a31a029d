"""Prints the tables of the README in Markdown from the stored results.

python benchmarks/table.py [results.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TITLES = {
    "mlp-small": "784-64-10, batch 32, Adam",
    "mlp": "784-128-64-10, batch 64, SGD",
    "mlp-full": "the same, batch 60,000",
    "binary": "30-64-1, batch 455, BCE, SGD",
    "conv-small": "conv 1→4→8, batch norm, batch 100, SGD",
    "conv": "conv 32-64, linear 1600-128-10, batch 64, Adam",
    "gpt": "GPT, 4 layers, 128 wide, 64 long, batch 12, AdamW",
    "lstm": "LSTM 28→64, 28 steps, batch 64, Adam",
    "inference": "inference 784-128-64-10, batch 1",
    "tabular": "tabular 64-256-256-1, batch 1,024, MSE, Adam",
    "resnet": "ResNet-20, 32 × 32 × 3, batch 128, SGD",
    "gpt-large": "GPT, 6 layers, 384 wide, 256 long, batch 4, AdamW",
    "deep": "500 layers of 16, batch 8, Adam",
    "lstm-large": "LSTM 128→256, 2 layers, 64 steps, batch 32, Adam",
    "tokens": "the first GPT, a token of text, 64 long",
    "conv-wide": "conv 64→64 on 56 × 56, batch 16, SGD",
}
COLUMNS = {
    "chainrule compile": "Chainrule compiled",
    "torch eager": "PyTorch eager",
    "torch compile": "torch.compile",
    "jax jit": "JAX jit",
}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def columns(workloads: dict[str, Any], key: str, scale: float = 1, digits: int = 0) -> str:
    """A table of one number for each workload and candidate."""
    present = [c for c in COLUMNS if any(c in row["candidates"] for row in workloads.values())]
    ratios = ["best peer ÷ ours"] if key == "us" else []
    rows = []
    for name, row in workloads.items():
        found = (row["candidates"].get(c) for c in present)
        cells = [f"{x[key] * scale:,.{digits}f}" if x else "–" for x in found]
        ratio = [f"{row['ratio']:.2f}×"] if ratios else []
        rows.append([TITLES[name], *cells, *ratio])
    return markdown(["step", *(COLUMNS[c] for c in present), *ratios], rows)


def others(result: dict[str, Any]) -> list[str]:
    """A line for the epoch, and tables for threads and agreement, if they were measured."""
    parts = []
    if "candidates" in result.get("epoch", {}):
        cells = (f"{who} {x['seconds']:.3f} s" for who, x in result["epoch"]["candidates"].items())
        ratio = result["epoch"]["ratio"]
        parts += [f"An epoch of MNIST: {', '.join(cells)}" + (f": {ratio:.2f}×." if ratio else ".")]
    if "threads" in result:
        rows = [
            [TITLES[name], f"{x['one_us']:,.0f}", f"{x['two_us']:,.0f}", f"{x['ratio']:.2f}×"]
            for name, x in result["threads"].items()
        ]
        header = ["microseconds a step", "1 thread", "2 threads", "1 thread ÷ 2 threads"]
        parts += [markdown(header, rows)]
    if "agreement" in result:
        keys = ("losses", "weights")
        rows = [
            [TITLES[name], *(f"{y[key]:.1e}" for y in (x, x["one_ulp_apart"]) for key in keys)]
            for name, x in result["agreement"].items()
        ]
        control = [f"{key}, eager from one ulp apart" for key in keys]
        parts += [markdown(["compiled against eager, 100 steps", *keys, *control], rows)]
    return parts


def main(path: Path) -> None:
    result = json.loads(path.read_text())
    parts = []
    if "steps" in result:
        workloads = result["steps"]["workloads"]
        tables = [
            ("Microseconds a step:", "us", 1, 0),
            ("Milliseconds to the first step:", "first_s", 1e3, 1),
            ("Peak memory of the process, MB:", "peak_mb", 1, 0),
            ("Peak memory above what it had after its imports, MB:", "above_import_mb", 1, 0),
        ]
        for title, key, scale, digits in tables:
            if all(key in x for row in workloads.values() for x in row["candidates"].values()):
                parts += [f"{title}\n\n{columns(workloads, key, scale, digits)}"]
    print("\n\n".join([*parts, *others(result)]))


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "results.json"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
