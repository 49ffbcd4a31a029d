"""Prints the requirements of extras of this package, one a line, for `pip install -r`.

`pip install -e ".[dev]"` would build the engine again. With this list, the libraries of an extra
are installed beside a package that is built already.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extras: Sequence[str], known: Mapping[str, Sequence[str]]) -> list[str]:
    """The requirements of some extras, with those of the extras that they name.

    >>> requirements(["dev"], {"dev": ["chainrule[plot]", "pytest>=8"], "plot": ["matplotlib"]})
    ['matplotlib', 'pytest>=8']
    """
    found: dict[str, None] = {}
    for extra in extras:
        for line in known[extra]:
            own = re.fullmatch(r"chainrule\[([\w,-]+)\]", line)
            parts = requirements(own[1].split(","), known) if own else [line]
            found |= dict.fromkeys(parts)
    return [*found]


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text())["project"]
    print("\n".join(requirements(sys.argv[1:], project["optional-dependencies"])))
