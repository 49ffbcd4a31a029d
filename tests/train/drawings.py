"""Drawings of digits by different pens, in different sizes, places and colours.

`python tests/train/drawings.py FOLDER` writes them as pictures.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Points = list[tuple[float, float]]


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    """Points of an ellipse around (x, y), from one angle to another in degrees, clockwise."""
    turns = np.radians(np.linspace(start, stop, 40))
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns]


DIGITS: dict[int, list[Points]] = {
    0: [_arc(0.5, 0.5, 0.3, 0.48, -90, 275)],
    1: [[(0.4, 0.14), (0.55, 0.02), (0.55, 0.98)]],
    2: [[*_arc(0.5, 0.28, 0.3, 0.26, -170, 35), (0.2, 0.97), (0.82, 0.97)]],
    3: [[*_arc(0.47, 0.26, 0.27, 0.24, -150, 90), *_arc(0.47, 0.73, 0.31, 0.25, -90, 150)]],
    4: [[(0.62, 0.98), (0.62, 0.02), (0.16, 0.66), (0.86, 0.66)]],
    5: [[(0.78, 0.03), (0.27, 0.03), (0.24, 0.45), *_arc(0.48, 0.68, 0.3, 0.29, -115, 145)]],
    6: [[(0.68, 0.03), (0.4, 0.3), (0.25, 0.62), *_arc(0.49, 0.72, 0.25, 0.25, -170, 190)]],
    7: [[(0.18, 0.04), (0.82, 0.04), (0.4, 0.98)]],
    8: [[*_arc(0.5, 0.27, 0.22, 0.24, 90, -270), *_arc(0.5, 0.74, 0.28, 0.24, -90, 270)]],
    9: [[*_arc(0.48, 0.3, 0.25, 0.27, 0, -360), (0.72, 0.34), (0.66, 0.98)]],
}
LETTERS: dict[str, list[Points]] = {
    "H": [[(0.2, 0.0), (0.2, 1.0)], [(0.8, 0.0), (0.8, 1.0)], [(0.2, 0.5), (0.8, 0.5)]],
    "X": [[(0.1, 0.0), (0.9, 1.0)], [(0.9, 0.0), (0.1, 1.0)]],
    "#": [
        *[[(x, 0.0), (x, 1.0)] for x in (0.3, 0.7)],
        *[[(0.0, y), (1.0, y)] for y in (0.3, 0.7)],
    ],
}


class Pen(NamedTuple):
    """How a figure is drawn: sizes in pixels, colours as RGB; tilt in degrees."""

    canvas: tuple[int, int] = (200, 200)
    height: int = 120
    width: int = 8
    ink: tuple[int, int, int] = (0, 0, 0)
    paper: tuple[int, int, int] | None = (255, 255, 255)
    at: tuple[float, float] = (0.5, 0.5)
    tilt: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


PENS = [
    Pen(),
    Pen(width=2),
    Pen(width=24),
    Pen(canvas=(640, 480), height=90, width=5, at=(0.2, 0.3), ink=(20, 40, 160)),
    Pen(canvas=(90, 90), height=70, width=5, ink=(255, 255, 255), paper=(0, 0, 0)),
    Pen(canvas=(1200, 1600), height=700, width=22, ink=(200, 30, 30), paper=(250, 245, 230)),
    Pen(paper=None, ink=(10, 10, 10), width=10),
    Pen(ink=(250, 220, 40), paper=(30, 60, 120), width=14, at=(0.6, 0.6)),
    Pen(canvas=(300, 300), height=200, width=6, ink=(120, 120, 125), tilt=8, blur=1.0, noise=6),
    Pen(canvas=(40, 40), height=30, width=3, tilt=-6),
]


def drawn(strokes: list[Points], pen: Pen, seed: int = 0) -> Image.Image:
    """The picture of some strokes; RGBA with a transparent background if the pen has no paper."""
    sharp = 4
    width, height = pen.canvas
    turn = math.radians(pen.tilt)
    mask = Image.new("L", (sharp * width, sharp * height), 0)
    draw = ImageDraw.Draw(mask)
    size, radius = sharp * pen.height, sharp * pen.width / 2
    room = (sharp * width - size - 2 * radius, sharp * height - size - 2 * radius)
    left, top = (
        radius + max(0.0, space) * share for space, share in zip(room, pen.at, strict=True)
    )
    for points in strokes:
        placed = []
        for x, y in points:
            u, v = x - 0.5, y - 0.5
            u, v = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
            placed.append((left + size * (u + 0.5), top + size * (v + 0.5)))
        draw.line(placed, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (placed[0], placed[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    mask = mask.resize((width, height), Image.Resampling.BOX)
    if pen.paper is None:
        picture = Image.new("RGBA", (width, height), (*pen.ink, 0))
        picture.putalpha(mask)
        return picture
    picture = Image.composite(
        Image.new("RGB", (width, height), pen.ink),
        Image.new("RGB", (width, height), pen.paper),
        mask,
    )
    if pen.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(pen.blur))
    if pen.noise:
        grain = np.random.default_rng(seed).normal(0, pen.noise, (height, width, 3))
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    return picture


def write(folder: Path) -> dict[str, int]:
    """Twenty drawings of digits, each digit by two pens: the names of the files and the digits."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {}
    for place in range(20):
        digit, pen = place % 10, PENS[(place * 7 + place // 10 * 3) % len(PENS)]
        name = f"drawing{place:02}.png"
        drawn(DIGITS[digit], pen, place).save(folder / name)
        labels[name] = digit
    return labels


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
