"""An epoch of MNIST: the Trainer, with loader, metrics and validation, against the same loop in
PyTorch without a loader, with all images in memory as floats.

PyTorch makes batches in two ways, and the faster counts. Both frameworks use two threads.

    CHAINRULE_DATA=... python benchmarks/epoch.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from steps import measure
from workloads import EPOCH

CANDIDATES = (("chainrule", "compile"), ("torch", "batches"), ("torch", "whole"))


def main(rounds: int = 9) -> dict[str, Any]:
    """Median seconds of an epoch of each candidate, and the ratio to the faster of PyTorch's."""
    data = os.environ.get("CHAINRULE_DATA")
    if not data or not (Path(data) / "mnist").is_dir():
        reason = "MNIST is not in $CHAINRULE_DATA/mnist"
        print(f"an epoch of MNIST: skipped, {reason}")
        return {"skipped": reason}
    result = measure(EPOCH, rounds, CANDIDATES)
    rows = {
        name: {"seconds": row["us"] / 1e6, "valid_accuracy": row["value"]}
        for name, row in result.items()
    }
    for name, row in rows.items():
        print(
            f"an epoch of MNIST: {name:18s} {row['seconds']:7.3f} s, validation accuracy "
            f"{row['valid_accuracy']:.3f} after {rounds + 2}"
        )
    ours = rows["chainrule compile"]["seconds"]
    theirs = [row["seconds"] for name, row in rows.items() if name.startswith("torch")]
    ratio = min(theirs) / ours if theirs else None
    if ratio:
        print(f"an epoch of MNIST: {ratio:.2f}x as fast as the faster in PyTorch")
    return {"candidates": rows, "ratio": ratio}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    main(parser.parse_args().rounds)
