"""Pictures of one figure on a plain background, such as digits, shown as the training pictures are.

The framing of a data set says where its figures are, how large and how thick they are, and which
shade they have on which background. A drawing of any size and colour is cropped, scaled, thickened
or thinned, and placed in this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, FormatError, missing_dependency

_PLAIN = 0.8
"""The least share of corners that show the background."""
_FAINT, _FULL = 0.15, 0.85
"""Contrasts up to the first are paper, and from the second on full ink."""
_ZOOM = 8
"""Drawings are thickened and placed on a grid this much finer than the pixels."""

_LARGEST = 4096


class Framed(NamedTuple):
    """A drawing as a training picture: the pixels (H, W) from 0 to 1, and what was done to it."""

    pixels: Array
    steps: list[str]


@dataclass(frozen=True)
class Framing:
    """How the training pictures show their figures. Shades go from 0 (black) to 1 (white).

    background, ink: the shades of the background and of the figure.
    size: the larger side of the figure in pixels. stroke: the width of its strokes in pixels.
    row, column: the place of the figure. by_mass: whether that is its centre of mass; else it is
        the centre of its box.
    """

    background: float
    ink: float
    size: float
    stroke: float
    row: float
    column: float
    by_mass: bool

    def __post_init__(self) -> None:
        within = max(self.size, self.stroke, abs(self.row), abs(self.column)) < _LARGEST
        shades = 0 <= self.background <= 1 and self.ink in (0, 1) and self.ink != self.background
        if not (within and shades and self.size >= 1 and self.stroke >= 0):
            raise ArgumentError("no framing of pictures", given=self)

    @classmethod
    def fit(cls, images: Array) -> Framing | None:
        """The framing of pictures (N, H, W) with values from 0 to 1; None if their backgrounds are
        not plain."""
        corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        background = float(np.median(corners))
        if min(images.shape[1:]) < 4 or np.mean(np.abs(corners - background) < 0.1) < _PLAIN:
            return None
        ink = 1.0 if background < 0.5 else 0.0
        shares = np.clip((images - background) / (ink - background), 0, 1)
        shown = shares[(shares > 0.5).any(axis=(1, 2))]
        if 2 * len(shown) < len(images):
            return None
        boxes = np.array([_box(share) for share in shown])
        sides = boxes[:, 1] - boxes[:, 0]
        places = {
            True: np.array([_mass(share) for share in shown]),
            False: boxes.mean(axis=1) - 0.5,
        }
        by_mass = bool(places[True].std(axis=0).sum() < places[False].std(axis=0).sum())
        row, column = places[by_mass].mean(axis=0)
        stroke = float(np.median([_stroke(share) for share in shown]))
        size = float(np.median(sides.max(axis=1)))
        return cls(background, ink, size, stroke, float(row), float(column), by_mass)

    def __call__(
        self,
        drawing: Array,
        shape: tuple[int, int],
        invert: bool | None = None,
        name: str = "the drawing",
    ) -> Framed:
        """A drawing (C, H, W), uint8, as a training picture of this shape.

        The background is the most common colour at the border. Contrast to it becomes ink, so
        colours do not matter. A drawing of the given shape keeps its place and size.

        invert: True if light and dark are exchanged between the drawing and the training pictures,
            False if not; by default found from the background. name: the drawing in messages.

        Raises FormatError for a drawing of one colour.
        """
        contrast, shade = _contrast(drawing, self._lighter(invert), name)
        exchanged = abs(shade - self.background) > 0.5 if invert is None else invert
        steps = [f"{'light' if shade > 0.5 else 'dark'} background{', inverted' * exchanged}"]
        if drawing.shape[1:] == shape:
            grey = drawing.mean(axis=0) / 255
            steps.append(f"already {shape[0]} × {shape[1]} pixels, so neither cropped nor moved")
            return Framed(1 - grey if exchanged else grey, steps)
        (top, left), (bottom, right) = _box(contrast)
        steps.append(
            f"cropped from {' × '.join(map(str, drawing.shape[1:]))} to the figure, "
            f"{bottom - top} × {right - left} pixels"
        )
        share, change = self._with_strokes(contrast[top:bottom, left:right], shape)
        if change:
            steps.append(f"strokes {'thickened' if change > 0 else 'thinned'}")
        place = "its mass" if self.by_mass else "its box"
        steps.append(f"scaled to {self.size:g} pixels, centred by {place}")
        return Framed(self.background + (self.ink - self.background) * share, steps)

    def _lighter(self, invert: bool | None) -> bool | None:
        """Whether the ink of a drawing is lighter than its paper; None to find it out."""
        return None if invert is None else (self.ink > self.background) != invert

    def _with_strokes(self, figure: Array, shape: tuple[int, int]) -> tuple[Array, int]:
        """The figure in place, with strokes as wide as in training, and how often they grew."""
        module = _pillow()
        fine = np.pad(_scaled(figure, self.size * _ZOOM), 2 * _ZOOM)
        image = module.Image.fromarray(np.rint(255 * fine).astype(np.uint8))
        best = self._placed(image, shape)
        width, count = _stroke(best), 0
        grows = width < self.stroke
        change = module.ImageFilter.MaxFilter(3) if grows else module.ImageFilter.MinFilter(3)
        while True:
            image = image.filter(change)
            if image.getextrema()[1] < 128:
                break
            share = self._placed(image, shape)
            if abs(_stroke(share) - self.stroke) >= abs(width - self.stroke):
                break
            best, width, count = share, _stroke(share), count + 1
        return best, count if grows else -count

    def _placed(self, image: Any, shape: tuple[int, int]) -> Array:
        """A figure on the fine grid, scaled and placed as in training: (H, W) from 0 to 1."""
        figure = np.asarray(image) / 255.0
        (top, left), (bottom, right) = _box(figure)
        figure = _scaled(figure[top:bottom, left:right], self.size * _ZOOM)
        canvas = np.zeros((shape[0] * _ZOOM, shape[1] * _ZOOM))
        figure = figure[: len(canvas), : canvas.shape[1]]
        center = _mass(figure) if self.by_mass else (np.array(figure.shape) - 1) / 2
        wanted = (np.array([self.row, self.column]) + 0.5) * _ZOOM - 0.5
        room = np.array(canvas.shape) - figure.shape
        top, left = np.clip(np.rint(wanted - center), 0, room).astype(int)
        canvas[top : top + figure.shape[0], left : left + figure.shape[1]] = figure
        share = canvas.reshape(shape[0], _ZOOM, shape[1], _ZOOM).mean(axis=(1, 3))
        return share / share.max()


def _contrast(drawing: Array, lighter: bool | None, name: str) -> tuple[Array, float]:
    """How much each pixel is ink, from 0 to 1, and the shade of the background.

    lighter: whether ink is lighter than paper; by default every colour but that of the border is
        ink.
    """
    x = drawing.astype(np.float64) / 255
    edge = max(1, min(x.shape[1:]) // 20)
    inside = np.zeros(x.shape[1:], bool)
    inside[edge:-edge, edge:-edge] = True
    background = np.median(x[:, ~inside], axis=1)
    if lighter is None:
        contrast = np.abs(x - background[:, None, None]).max(axis=0)
    else:
        grey = x.mean(axis=0)
        background = np.array([grey.min() if lighter else grey.max()])
        contrast = np.maximum(0, grey - background if lighter else background - grey)
    if contrast.max() < 0.05:
        raise FormatError(
            f"{name} shows no figure: all its pixels are alike",
            given=f"a shade of {background.mean():.0%}",
            instead="Transparent pixels count as white: save white ink on a dark background.",
        )
    contrast /= np.median(contrast[contrast > 0.5 * contrast.max()])
    return np.clip((contrast - _FAINT) / (_FULL - _FAINT), 0, 1), float(background.mean())


def _scaled(figure: Array, side: float) -> Array:
    """The figure with this larger side."""
    module = _pillow()
    factor = side / max(figure.shape)
    height, width = (max(1, round(n * factor)) for n in figure.shape)
    way = module.Image.Resampling.BOX if factor < 1 else module.Image.Resampling.BILINEAR
    image = module.Image.fromarray(figure.astype(np.float32))
    return np.asarray(image.resize((width, height), way), np.float64)


def _pillow() -> Any:
    try:
        import_module("PIL.ImageFilter")
        import_module("PIL.Image")
    except ImportError:
        raise missing_dependency("Pillow", "images", "framing a drawing") from None
    return import_module("PIL")


def _box(share: Array) -> Array:
    """((top, left), (bottom, right)) of the figure."""
    mask = share > 0.25
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([[rows[0], columns[0]], [rows[-1] + 1, columns[-1] + 1]])


def _mass(share: Array) -> Array:
    total = share.sum()
    rows, columns = np.indices(share.shape)
    return np.array([(rows * share).sum() / total, (columns * share).sum() / total])


def _stroke(share: Array) -> float:
    """The mean width of strokes: a line of width w and length l has the area w·l and an edge of
    2·l."""
    padded = np.pad(share, 1)
    down, right = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    edge = np.sqrt(down**2 + right**2).sum()
    return float(2 * share.sum() / edge)
