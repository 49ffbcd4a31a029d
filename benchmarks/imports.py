"""The time of `import chainrule` and `import numpy`, measured by turns in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys

PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> dict[str, float]:
    rounds = [(seconds("numpy"), seconds("chainrule")) for _ in range(15)]
    numpy, chainrule = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"import numpy {numpy * 1e3:.0f} ms, import chainrule {chainrule * 1e3:.0f} ms: "
        f"{chainrule / numpy:.2f} x"
    )
    return {"numpy_s": numpy, "chainrule_s": chainrule, "ratio": chainrule / numpy}


if __name__ == "__main__":
    main()
