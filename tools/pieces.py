"""Writes the coefficients of functions in pieces: `python tools/pieces.py`.

In the piece around h, for |l| ≤ width/2,

    f(h + l) ≈ f(h) + c₁·l + c₂·l² + …

with the coefficients c that make the sum of squared relative errors at Chebyshev points least. The
largest error is then close to the least possible (L. N. Trefethen, Approximation Theory and
Approximation Practice, 2013).

Widths are such that the last piece of tanh and erf is 1 in float32, and that a positive x has
Φ(x) = 1 after the last piece of the others. Degrees are the least with errors below 2⁻²³.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chainrule

PIECES, POINTS = 32, 40
TARGET = Path(chainrule.__file__).parent / "engine/cpp/math/pieces.h"
HEADER = """\
// Written by tools/pieces.py: the polynomials of functions in pieces.
#pragma once
#include "math/piecewise.h"

namespace cr::CR_ISA {
"""


def tail(t: float) -> float:
    """Φ(−t), the distribution function of the normal distribution."""
    return math.erfc(t / math.sqrt(2)) / 2


def density(t: float) -> float:
    """φ(t), the density of the normal distribution."""
    return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)


FUNCTIONS: dict[str, tuple[str, Callable[[float], float], float, int]] = {
    "TANH": ("tanh t", math.tanh, 19 / 64, 5),
    "ERF": ("erf t", math.erf, 33 / 256, 5),
    "GELU": ("t·Φ(−t)", lambda t: t * tail(t), 25 / 128, 6),
    "GELU_SLOPE": ("Φ(−t) − t·φ(t)", lambda t: tail(t) - t * density(t), 25 / 128, 6),
}
"""Formula, function, width of a piece, and degree of the polynomials."""


def coefficients(f: Callable[[float], float], width: float, degree: int) -> Any:
    """float32 of shape (degree + 1, PIECES)."""
    steps = np.cos((np.arange(POINTS) + 0.5) / POINTS * np.pi) * width / 2
    columns = []
    for h in np.arange(PIECES) * width:
        y = np.array([f(h + step) for step in steps])
        powers = steps[:, None] ** np.arange(1, degree + 1)
        rest, *_ = np.linalg.lstsq(powers / np.abs(y)[:, None], (y - f(h)) / np.abs(y))
        columns.append([f(h), *rest])
    return np.array(columns, np.float32).T


def written() -> str:
    """The text of the file."""
    blocks = [HEADER]
    for name, (formula, f, width, degree) in FUNCTIONS.items():
        rows = []
        for row in coefficients(f, width, degree):
            cells = [f"{x:.8e}f" for x in row]
            lines = [", ".join(cells[i : i + 5]) for i in range(0, PIECES, 5)]
            rows.append("{" + ",\n      ".join(lines) + "}")
        body = ",\n     ".join(rows)
        start = f"inline constexpr Pieces<{degree}> {name} = {{"
        blocks.append(f"// {formula}\n{start}\n    {width}f,\n    {{{body}}}}};\n")
    return "\n".join([*blocks, "}  // namespace cr::CR_ISA\n"])


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
