"""What a captured function leaves outside: tensors without numbers, which are refused."""

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
    """Refuse that anything computed inside is held outside, where it would never have numbers.

    Counting references finds what may be held; of that, tensors count that something holds beside
    frames. A profiler or debugger that looks at the running function holds its frames only.
    """
    known = _own_references(interpreter, outputs, written)
    if not any(_suspects(interpreter.graph.equations, known)):
        return
    profile = sys.getprofile()
    sys.setprofile(None)  # what the collector calls back is no part of the function
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
    """How often each value is held by the capture itself."""
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
            # Three more references: the name here, the tuple in the loop, getrefcount's argument.
            if sys.getrefcount(value) > known[id(value)] + 2:
                yield equation, value


def _is_held(tensor: Tensor, found: list[Any]) -> bool:
    """Whether something holds a tensor that is no frame, and not the locals of one, nor the list
    in which it was found."""
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
