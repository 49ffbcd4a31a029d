"""The exercises: the course's answers are right, plausible mistakes are wrong, stubs are open."""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from lessons.answers import lesson_02, lesson_04, lesson_08, lesson_10
from lessons.cpp import bridge
from lessons.exercises import Exercises, Open, Wrong, equal

NUMBERS = range(1, 11)


def module(kind: str, lesson: int) -> Any:
    return importlib.import_module(f"lessons.{kind}.lesson_{lesson:02}")


def fresh(lesson: int) -> Exercises:
    """The checks of a lesson, no hint given yet."""
    check: Exercises = module("exercises", lesson).check
    for exercise in check.all:
        exercise.seen = 0
    return check


ALL = [
    pytest.param(
        lesson,
        number,
        id=f"{lesson}-{exercise.verify.__name__}",
        marks=[pytest.mark.slow] * ((lesson, number) == (5, 5)),
    )
    for lesson in NUMBERS
    for number, exercise in enumerate(fresh(lesson).all, 1)
]
every_exercise = pytest.mark.parametrize(("lesson", "number"), ALL)


def needs_compiler(lesson: int, number: int) -> None:
    if (lesson, number) == (5, 5) and bridge.compiler() is None:
        pytest.skip("no C++ compiler with make here")


@every_exercise
def test_the_courses_answer_is_right(lesson: int, number: int) -> None:
    needs_compiler(lesson, number)
    check = fresh(lesson)
    answer = getattr(module("answers", lesson), check.all[number - 1].verify.__name__)
    outcome = check.outcome(number, answer)
    assert outcome.right is True, outcome.text


@every_exercise
def test_what_is_not_written_is_open(lesson: int, number: int) -> None:
    needs_compiler(lesson, number)
    for stub in (..., None, lambda *inputs, **options: None):
        outcome = fresh(lesson).outcome(number, stub)
        assert outcome.right is None and "still to be written" in outcome.text, outcome.text


class Forgets(lesson_02.Activation_Tanh):
    def backward(self, dvalues):
        return dvalues * (1 - self.output**2)  # without `dinputs`


class Sums(lesson_02.Loss_MeanSquaredError):
    def losses(self, output, y):
        return ((output - y) ** 2).sum(axis=1)


class Divided(lesson_04.Dual):
    def __rtruediv__(self, other):
        return lesson_04.Dual(other / self.data, -self.slope)


class Spreads(lesson_08.MaxPooling):
    def backward(self, dvalues):
        return np.kron(dvalues, np.ones((2, 2))) / 4


class KeepsInput:
    infer, samples = lesson_10.Squareplus.infer, lesson_10.Squareplus.samples
    promote, forward = lesson_10.Squareplus.promote, lesson_10.Squareplus.forward

    def vjp(g, x, y):
        return (g * y / (2 * y - x),)


def as_it_was(graph):
    return graph


def doubled(function, *args):
    return Counter({name: 2 * n for name, n in lesson_10.ops_of(function, *args).items()})


WRONG: dict[tuple[int, int], tuple[Any, str]] = {
    (1, 1): (lambda kind: ((1, 1), -1.5 if kind == "and" else -0.5), r"nand of \(0, 0\) gives 0"),
    (1, 2): (
        lambda z, y: -y * np.log(1 / (1 + np.exp(-z))) - (1 - y) * np.log(1 - 1 / (1 + np.exp(-z))),
        r"scores 1000.*expected 1000",
    ),
    (1, 3): (lambda w, b, mean, deviation: (w / deviation, b), "x @ w_raw"),
    (1, 4): (lambda p, y, recall: 1.0, "a lower limit"),
    (1, 5): (lambda z, y: 2 * (1 / (1 + np.exp(-z)) - y), "squared_error_gradient"),
    (2, 1): (Forgets, "dinputs"),
    (2, 2): (Sums, "losses"),
    (2, 3): (lambda *sizes: sum(a * b for a, b in pairwise(sizes)), "7840"),
    (2, 4): (lambda y, predicted: lesson_02.confusion_matrix(predicted, y), "confusion_matrix"),
    (2, 5): (lambda x, y, start=None: 8, "start=0.1"),
    (3, 1): (lambda n, size, epochs: epochs * (n // size), r"updates\(60, 32, 3\) gives 3"),
    (3, 2): (lambda model, loss, x, y: np.zeros((5, 4)), "mean of the single gradients"),
    (3, 3): (lambda hessian: 1 / np.linalg.eigvalsh(hessian).max(), "at 1.02 times your rate"),
    (3, 4): (lambda samples, start: np.cumsum(samples), "running_means"),
    (3, 5): (lambda size, n, replace: 1 / size, "replace=False"),
    (4, 1): (lambda x: 1 / (1 + (-x).exp()), "OverflowError|one node"),
    (4, 2): (lambda root, leaf: len(root.nodes()), "count_paths"),
    (4, 3): (lambda xs: sum((x.exp() for x in xs[1:]), xs[0].exp()).log(), "OverflowError"),
    (4, 4): (Divided, "slope"),
    (4, 5): (lambda f, x, v: v, "hessian_vector"),
    (5, 1): (lambda sizes, batch: 6 * batch * sum(a * b for a, b in pairwise(sizes)), "step_flops"),
    (5, 2): (lambda registers, lanes: (2, lanes), "is better"),
    (5, 3): (lambda a, b, rows, cols: np.zeros((len(a), b.shape[1])), "tiled_product"),
    (5, 4): (lambda order, n, lines: 3 * n * n // 16, "lines=1"),
    (5, 5): (lambda source: source, "as it was"),
    (6, 1): (lambda gradient, lr: -lr * gradient, "first_adam_step"),
    (6, 2): (lambda p, n: math.sqrt(p * (1 - p)) / n, "counts deviate"),
    (6, 3): (lambda p, q, n: p != q, "97.2 %"),
    (6, 4): (lambda batch, sizes: 2 * batch * sum(a * b for a, b in pairwise(sizes)), "operations"),
    (6, 5): (lambda one, epochs: (0.5, 0.4), "usual start"),
    (7, 1): (lambda slope: math.sqrt(2 / (1 + slope)), "leaky_gain"),
    (7, 2): (lambda x: np.log(1 + np.exp(x)), r"softplus\(-80\)"),
    (7, 3): (
        lambda x: (lambda v: (v.mean(), (v**2).mean() - v.mean() ** 2))(np.array(list(x))),
        "mean of 10000",
    ),
    (7, 4): (lambda g, s, lr: lr * g, "step 1"),
    (7, 5): (lambda losses, patience: (len(losses) - 1, int(np.argmin(losses))), "result 1"),
    (8, 1): (lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers), "receptive_field"),
    (8, 2): (Spreads, "backward"),
    (8, 3): (lambda x: (np.ones(4), np.ones(4)), "nearly 0"),
    (8, 4): (lambda weights, biases, norm: (weights, biases), "in place of both"),
    (9, 1): (lambda x, y: (np.ones(11), -x[:-1], np.diff(y) / np.diff(x), y[0]), "the net"),
    (9, 2): (lambda x, y: np.maximum(x - y, 0) + np.maximum(y, 0), "maximum"),
    (9, 3): (lambda neurons: neurons + 1, "one layer less"),
    (9, 4): (lambda w, b, v: (v @ w, v @ w), "far_slopes"),
    (9, 5): (lambda x, a, b, epsilon: ((x >= a) & (x <= b)) * 1.0, "window"),
    (10, 1): (KeepsInput, "keeps an input"),
    (10, 2): (as_it_was, "'mul': 4"),
    (10, 3): (doubled, "the trace has"),
    (10, 4): (lambda error: 7, "gives 7"),
    (10, 5): (lambda registers, lanes: (registers // 2, 1.0), "result 1"),
}


@every_exercise
def test_a_plausible_mistake_is_named_with_a_hint(lesson: int, number: int) -> None:
    needs_compiler(lesson, number)
    answer, message = WRONG[lesson, number]
    outcome = fresh(lesson).outcome(number, answer)
    assert outcome.right is False
    first, *hint = outcome.text.splitlines()
    assert re.search(message, first), first
    assert hint[0].startswith("  Hint 1 of ")


@every_exercise
def test_hints_come_one_by_one(lesson: int, number: int, capsys: Any) -> None:
    check = fresh(lesson)
    hints = check.all[number - 1].hints
    assert len(hints) >= 2
    for place in [*range(1, len(hints) + 1), len(hints)]:
        check(number)
        assert capsys.readouterr().out == f"Hint {place} of {len(hints)}: {hints[place - 1]}\n"


def test_what_an_answer_raises_is_told_with_its_line() -> None:
    check = fresh(3)

    def updates(n, size, epochs):
        return n / 0

    outcome = check.outcome(1, updates)
    assert outcome.right is False and "ZeroDivisionError" in outcome.text
    assert "return n / 0" in outcome.text


def test_numbers_that_do_not_exist_are_named() -> None:
    with pytest.raises(ValueError, match="1 to 5, given 6"):
        fresh(1)(6, 0)


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        (1.5, 1.0, "gives 1.5, expected 1"),
        (np.zeros((2, 1)), np.zeros(2), r"shape \(2, 1\), expected \(2,\)"),
        (np.array([1, 2, 3]), np.array([1, 2, 4]), r"gives 3 at \(2,\), expected 4"),
        ((1, 2), (1, 3), "result 2, gives 2, expected 3"),
        (1, (1, 3), "gives 1 results, expected 2"),
        (np.nan, 1.0, "gives nan"),
    ],
)
def test_differences_are_told(found, expected, message) -> None:
    with pytest.raises(Wrong, match=message):
        equal("it", found, expected)
    with pytest.raises(Open, match="it is still to be written"):
        equal("it", None, expected)
    equal("it", expected, expected)
