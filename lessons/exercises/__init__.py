"""The exercises of the lessons: `check(1, answer)` says what is right and gives hints.

Each lesson has a module here with a `check`. A check runs the answer on examples, and compares the
results with something that does not use the course's answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Open(Exception):
    """A part of the answer is not written yet; the text says which."""


class Wrong(Exception):
    """A part of the answer is wrong; the text says which, what it gives and what was expected."""


class Outcome(NamedTuple):
    """What a check has found: whether the answer is right (None: not written yet), and a text."""

    right: bool | None
    text: str


@dataclass
class Exercise:
    """One exercise. `verify(answer)` raises Open or Wrong; its name is that of the answer."""

    title: str
    hints: tuple[str, ...]
    verify: Callable[[Any], None]
    seen: int = 0

    def hint(self) -> str:
        """The next hint, each time another one; the last one stays."""
        self.seen = min(self.seen + 1, len(self.hints))
        return f"Hint {self.seen} of {len(self.hints)}: {self.hints[self.seen - 1]}"


class Exercises:
    """The exercises of a lesson, numbered in the order in which they are defined.

    >>> check = Exercises(lesson=1)
    >>> @check.exercise("Double", "Addition is enough.", "What is x + x?")
    ... def double(answer):
    ...     equal("double(3)", answer(3), 6)
    >>> check(1, lambda x: x + 1)
    ✗ 1. Double: double(3) gives 4, expected 6.
      Hint 1 of 2: Addition is enough.
    >>> check(1)
    Hint 2 of 2: What is x + x?
    >>> check(1, lambda x: x + x)
    ✓ 1. Double: right. The course's answer: chainrule lessons 1 --answers
    """

    def __init__(self, lesson: int) -> None:
        self.lesson = lesson
        self.all: list[Exercise] = []

    def exercise(self, title: str, *hints: str) -> Callable[[Callable[[Any], None]], Any]:
        """Make a function that verifies an answer the next exercise."""

        def add(verify: Callable[[Any], None]) -> Callable[[Any], None]:
            self.all.append(Exercise(title, hints, verify))
            return verify

        return add

    def __call__(self, number: int, *answer: Any) -> None:
        """Print what is right or wrong about the answer to an exercise; without one, a hint."""
        if not 1 <= number <= len(self.all):
            raise ValueError(
                f"The exercises have the numbers 1 to {len(self.all)}, given {number}."
            )
        if answer:
            print(self.outcome(number, *answer).text)
        else:
            print(self.all[number - 1].hint())

    def outcome(self, number: int, answer: Any) -> Outcome:
        """Verify an answer. What the answer's own code raises makes it wrong."""
        exercise = self.all[number - 1]
        name = f"{number}. {exercise.title}"
        try:
            exercise.verify(given("The answer", answer))
        except Open as part:
            return Outcome(None, f"○ {name}: {part}. check({number}) gives a hint.")
        except Wrong as fault:
            return Outcome(False, f"✗ {name}: {fault}.\n  {exercise.hint()}")
        except Exception as error:
            fault = f"{type(error).__name__}: {error} (in `{_line_of(error)}`)"
            return Outcome(False, f"✗ {name}: {fault}\n  {exercise.hint()}")
        answers = f"chainrule lessons {self.lesson} --answers"
        return Outcome(True, f"✓ {name}: right. The course's answer: {answers}")


def _line_of(error: Exception) -> str:
    """The line of the answer in which the error arose, or of the check if it did not get there."""
    frames = traceback.extract_tb(error.__traceback__)
    answer = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent]
    frame = answer[0] if answer else frames[-1]
    return frame.line or frame.name


def given(what: str, value: Any) -> Any:
    """The value, unless it is what an unwritten function returns."""
    if value is None or value is ...:
        raise Open(f"{what} is still to be written")
    return value


def require(condition: Any, fault: str) -> None:
    """Raise Wrong with this text unless the condition holds."""
    if not condition:
        raise Wrong(fault)


def equal(what: str, found: Any, expected: Any, tolerance: float = 1e-9) -> None:
    """Compare numbers, arrays or tuples of them, by shape and to within `tolerance`.

    The tolerance is absolute for numbers below 1 and relative above.
    """
    given(what, found)
    if isinstance(expected, tuple):
        size = len(found) if isinstance(found, tuple | list) else 1
        require(size == len(expected), f"{what} gives {size} results, expected {len(expected)}")
        for place, (one, other) in enumerate(zip(found, expected, strict=True), 1):
            equal(f"{what}, result {place},", one, other, tolerance)
        return
    a, b = np.asarray(found, float), np.asarray(expected, float)
    require(a.shape == b.shape, f"{what} has the shape {a.shape}, expected {b.shape}")
    near = np.isclose(a, b, rtol=tolerance, atol=tolerance)
    if not near.all():
        place = np.unravel_index(np.argmin(near), near.shape)
        at = f" at {tuple(map(int, place))}" if place else ""
        raise Wrong(f"{what} gives {a[place]:.6g}{at}, expected {b[place]:.6g}")
