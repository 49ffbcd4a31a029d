"""Leaks: tensors of a capture that are kept outside of it, without numbers. They are refused."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FrameType, FunctionType
from typing import Any

from chainrule.compiler.executed import profile_by
from chainrule.errors import CaptureError
from chainrule.graph import Equation, Value
from chainrule.tensor import Tensor

_CONTAINERS = (dict, list, tuple, CellType, FunctionType, Iterator)


def refuse_leaks(interpreter: Any, outputs: Sequence[Value], written: Sequence[Any]) -> None:
    """Raise CaptureError if a result computed in the capture is referenced outside of it.

    The count of references finds the values that may be. A value leaks if it belongs to a tensor
    that anything but frames holds: a profiler or debugger holds frames.
    """
    if _leak_of(interpreter, outputs, written) is None:
        return
    profile = sys.getprofile()
    sys.setprofile(None)  # code that the garbage collector runs is not part of the function
    gc.collect()
    profile_by(profile)
    leak = _leak_of(interpreter, outputs, written)
    # A thread that waited already may run once more, and disturb the first search.
    leak = leak and _leak_of(interpreter, outputs, written)
    if leak is None:
        return
    raise CaptureError(
        f"the result of `{leak.primitive.name}` at {leak.place} is kept outside of the captured "
        "function, where it would never have numbers",
        instead="Return it, or write it into a tensor with assign.",
    )


def _leak_of(interpreter: Any, outputs: Sequence[Value], written: Sequence[Any]) -> Equation | None:
    """The first equation found whose result leaks, if any."""
    known = _own_references(interpreter, outputs, written)
    suspects = {id(v): (e, v) for e, v in _suspects(interpreter.graph.equations, known)}
    if not suspects:
        return None
    with _no_other_thread():
        # One search for all of them: each goes through all of Python's objects.
        found = gc.get_referrers(*(value for _, value in suspects.values()))
        tensors = [x for x in found if isinstance(x, Tensor)]
        lists = [found, tensors]
        if not tensors or not _are_held(tensors, lists):
            return None
        leaking = [x for x in tensors if _are_held([x], lists)]
    return suspects[id(leaking[0]._data)][0] if leaking else None


@contextmanager
def _no_other_thread() -> Iterator[None]:
    """The search for references is shorter than the time after which threads now take turns."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.1)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


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


def _are_held(tensors: list[Tensor], lists: list[list[Any]]) -> bool:
    """Whether anything references one of the tensors other than frames, the lists in which they
    were found, and containers, iterators and functions that only frames hold: a frame holds the
    function that it runs, and the iterator of a loop its last element."""
    running = [frame for top in sys._current_frames().values() for frame in _frames(top)]
    # The garbage collector does not know frames that run, nor what a debugger made by looking at
    # them: copies of their variables.
    passed = {*map(id, lists), *(id(frame.f_locals) for frame in running)}
    kept_by_callers = {
        id(x) for frame in _frames(sys._getframe(2)) for x in frame.f_locals.values()
    }
    layer: list[Any] = tensors
    while layer:
        holders = gc.get_referrers(*layer)
        passed.update((id(layer), id(holders)))
        layer = []
        for holder in holders:
            if id(holder) in passed or isinstance(holder, FrameType):
                continue
            if not isinstance(holder, _CONTAINERS) or id(holder) in kept_by_callers:
                return True
            passed.add(id(holder))
            layer.append(holder)
    return False


def _frames(top: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = top
    while frame is not None:
        yield frame
        frame = frame.f_back
