"""Snapshots: the Python values that a function could change, restored if its capture fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import CellType
from typing import Any

from chainrule.compiler.executed import Executed
from chainrule.compiler.guards import STATE, Guards
from chainrule.compiler.lookup import MISSING, alike, attributes_of


class Snapshot(Guards):
    """Values that a function could change, which can be restored."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function, Executed.reachable(function))
        found = [*self._seen.values(), *map(attributes_of, self._seen.values())]
        kept = [x for x in found if type(x) in (dict, list, set, deque, bytearray)]
        self._copies = [(x, x.copy()) for x in kept]

    def lost(self) -> str | None:
        """The name of the first value that has changed and cannot be restored, or None."""
        for check, label in zip(self.checks, self._check_labels, strict=True):
            if label.startswith(STATE) and not check():
                return label
        return None

    def _refuse(self, what: str, given: str | None = None) -> None:
        """Nothing is refused: what cannot be guarded is not restored either."""

    def restore(self) -> None:
        """Restore the values that have changed, in cells, containers and attributes."""
        for container, key, value in self.entries:
            if isinstance(container, CellType) and value is not MISSING:
                container.cell_contents = value
            elif isinstance(container, dict) and isinstance(key, str):
                if value is not MISSING:
                    container[key] = value
                else:
                    container.pop(key, None)
        for container, copy in self._copies:
            if not alike(_contents(container), _contents(copy)):
                container.clear()
                container.update(copy) if hasattr(container, "update") else container.extend(copy)


def _contents(container: Any) -> list[Any]:
    return list(container.items() if isinstance(container, dict) else container)
