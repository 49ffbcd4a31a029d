"""Leaks: tensors of a capture that are kept outside of it, without numbers. They are refused."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

from chainrule.errors import CaptureError
from chainrule.graph import Equation, Value
from chainrule.tensor import Tensor


def refuse_leaks(interpreter: Any, outputs: Sequence[Value], written: Sequence[Any]) -> None:
    """Raise CaptureError if a result computed in the capture is referenced outside of it.

    The count of references finds the values that may be. A value leaks if it belongs to a tensor
    that is referenced by anything but frames: a profiler or debugger references frames.
    """
    known = _own_references(interpreter, outputs, written)
    if not any(_suspects(interpreter.graph.equations, known)):
        return
    profile = sys.getprofile()
    sys.setprofile(None)  # code that the garbage collector runs is not part of the function
    gc.collect()
    sys.setprofile(profile)
    known = _own_references(interpreter, outputs, written)
    for equation, value in list(_suspects(interpreter.graph.equations, known)):
        holders = gc.get_referrers(value)
        for x in holders:
            if isinstance(x, Tensor) and _is_held(x, holders):
                raise CaptureError(
                    f"the result of `{equation.primitive.name}` at {equation.place} is kept "
                    "outside of the captured function, where it would never have numbers",
                    instead="Return it, or write it into a tensor with assign.",
                )


def _own_references(
    interpreter: Any, outputs: Sequence[Value], written: Sequence[Any]
) -> Counter[int]:
    """The number of references to each value that the capture itself holds."""
    equations = interpreter.graph.equations
    holders: list[Iterable[Value]] = [e.inputs for e in equations] + [e.outputs for e in equations]
    known = Counter([id(v) for values in (*holders, outputs) for v in values])
    known.update(id(value) for _, value in written)
    known.update(id(value) for value, _ in interpreter.requirements)
    known.update(id(value) for _, value in interpreter.writes.values())
    known.update(id(g.now._data) for g in interpreter.gradients.values() if g.now is not None)
    return known


def _suspects(equations: Iterable[Equation], known: Counter[int]) -> Iterable[Any]:
    for equation in equations:
        for value in equation.outputs:
            # Two further references: the name here, and the argument of getrefcount.
            if sys.getrefcount(value) > known[id(value)] + 2:
                yield equation, value


def _is_held(tensor: Tensor, found: list[Any]) -> bool:
    """Whether anything references a tensor other than frames, the locals of frames, and the list in
    which it was found."""
    for holder in gc.get_referrers(tensor):
        if isinstance(holder, FrameType) or holder is found:
            continue
        if isinstance(holder, dict) and _belongs_to_a_frame(holder):
            continue
        return True
    return False


def _belongs_to_a_frame(names: dict[Any, Any]) -> bool:
    holders = [x for x in gc.get_referrers(names) if not isinstance(x, list)]
    return bool(holders) and all(isinstance(x, FrameType) for x in holders)
