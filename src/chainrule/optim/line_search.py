"""Line search: a step along a direction after which a function is lower and flatter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from chainrule.tensor import Tensor


class Point(NamedTuple):
    """A point x + t·d on a line: the value f there, the gradient, and f' = gradient·d."""

    t: float
    value: float
    gradient: Tensor
    slope: float


@dataclass
class StrongWolfe:
    """Searches a point with f ≤ f₀ + c₁·t·f₀' and |f'| ≤ −c₂·f₀', where ₀ is the start, t = 0.

    c₁ is `decrease` and c₂ is `flattening`. First t grows until such a point, or an interval that
    contains one, is found. Then the interval shrinks. Nocedal & Wright, 2006, algorithms 3.5 and
    3.6. The search ends with the lowest end of the interval after `most` points, or when the
    interval is shorter than `tolerance`.

    >>> import chainrule as cr
    >>> def at(t):  # f = (t − 3)²
    ...     return Point(t, (t - 3) ** 2, cr.tensor([2 * (t - 3)]), 2 * (t - 3))
    >>> StrongWolfe(at, at(0.0), tolerance=1e-9, most=25).run(0.01).t
    1.0
    """

    at: Callable[[float], Point]
    start: Point
    tolerance: float
    most: int
    decrease: float = 1e-4
    flattening: float = 0.9
    tried: int = 0

    def run(self, t: float) -> Point:
        """The point, from the first guess t."""
        low, high = self._bracket(t)
        return low if low is high else self._zoom(low, high)

    def _is_high(self, point: Point) -> bool:
        return point.value > self.start.value + self.decrease * point.t * self.start.slope

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -self.flattening * self.start.slope

    def _next(self, t: float) -> Point:
        self.tried += 1
        return self.at(t)

    def _bracket(self, t: float) -> tuple[Point, Point]:
        """The ends of an interval, the lower one first; twice the same point if it will do."""
        before, point = self.start, self.at(t)
        while self.tried < self.most:
            if self._is_high(point) or (self.tried > 1 and point.value >= before.value):
                return _sorted(before, point)
            if self._is_flat(point):
                return point, point
            if point.slope >= 0:
                return _sorted(before, point)
            least, most = point.t + 0.01 * (point.t - before.t), 10 * point.t
            before, point = point, self._next(cubic_minimum(before, point, least, most))
        return _sorted(self.start, point)

    def _zoom(self, low: Point, high: Point) -> Point:
        is_stuck = False
        while self.tried < self.most and abs(high.t - low.t) >= self.tolerance:
            left, right = sorted((low.t, high.t))
            t, margin = cubic_minimum(low, high, left, right), 0.1 * (right - left)
            at_end = min(right - t, t - left) < margin
            if at_end and (is_stuck or not left < t < right):
                t = right - margin if right - t < t - left else left + margin
                at_end = False
            is_stuck = at_end
            point = self._next(t)
            if self._is_high(point) or point.value >= low.value:
                low, high = _sorted(low, point)
                continue
            if self._is_flat(point):
                return point
            if point.slope * (high.t - low.t) >= 0:
                high = low
            low = point
        return low


def _sorted(a: Point, b: Point) -> tuple[Point, Point]:
    return (a, b) if a.value <= b.value else (b, a)


def cubic_minimum(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic polynomial with the values and slopes of two points is least, in an interval.

    The middle of the interval if that is nowhere.
    """
    if a.t > b.t:
        a, b = b, a
    chord = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t) if a.t < b.t else math.nan
    square = chord * chord - a.slope * b.slope
    root = math.sqrt(square) if square >= 0 else math.nan
    curvature = b.slope - a.slope + 2 * root
    if math.isnan(curvature) or curvature == 0:
        return (least + most) / 2
    return min(max(b.t - (b.t - a.t) * (b.slope + root - chord) / curvature, least), most)
