"""MNIST end to end: an epoch by the Trainer, with its loader, metrics and validation, against the
same loop in PyTorch with all images in memory as floats, and no loader.

    CHAINRULE_DATA=... python benchmarks/epoch.py
"""

from __future__ import annotations

import os
from pathlib import Path

from steps import measure
from workloads import EPOCH

PAIR = (("chainrule", "compile"), ("torch", "eager"))


def main(rounds: int = 9) -> dict[str, float]:
    """Median seconds of an epoch for both, and the ratio."""
    data = os.environ.get("CHAINRULE_DATA")
    if not data or not (Path(data) / "mnist").is_dir():
        print("epoch: skipped, since MNIST is not under $CHAINRULE_DATA")
        return {}
    result = measure(EPOCH, rounds, PAIR)
    ours, theirs = (result[" ".join(pair)]["us"] / 1e6 for pair in PAIR)
    print(f"an epoch of MNIST: Chainrule {ours:.3f} s, PyTorch {theirs:.3f} s, "
          f"{theirs / ours:.2f}x")
    return {"chainrule_s": ours, "torch_s": theirs, "ratio": theirs / ours}


if __name__ == "__main__":
    main()
