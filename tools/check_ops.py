"""Checks the types of what stands beside records in the files of ops: a part of `make check`.

Of a file that has a stub, a type checker reads the stub alone. Here it reads the file itself, in
which each record is replaced by what its stub says of it. Lines keep their numbers.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import stubs


def without_records(source: Path, module: str) -> str:
    """The text of a file with its records replaced."""
    text = source.read_text()
    lines, tree = text.split("\n"), ast.parse(text)
    records = stubs.records_in(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in records:
            stub = stubs.Stub(module)
            record = getattr(sys.modules[module], node.name)
            stubs.add_record(stub, record, "    raise NotImplementedError")
            first, last = node.decorator_list[0].lineno - 1, node.end_lineno or 0
            block = ["; ".join(stub.imports()), *stub.blocks[0].split("\n")]
            lines[first:last] = block + [""] * (last - first - len(block))
    return "\n".join(lines)


def main() -> int:
    """Run mypy on all files of ops: those with records as `without_records` gives them."""
    with tempfile.TemporaryDirectory() as folder:
        shadows = []
        for source, module in stubs.files():
            if stubs.records_in(stubs.tree_of(module)):
                copy = Path(folder) / f"{module}.py"
                copy.write_text(without_records(source, module))
                shadows += ["--shadow-file", str(source), str(copy)]
        sources = {*shadows[1::3], *map(str, (stubs.PACKAGE / "ops").glob("*.py"))}
        call = [sys.executable, "-m", "mypy", "--cache-dir", ".mypy_cache/ops", *shadows, *sources]
        return subprocess.run(call).returncode


if __name__ == "__main__":
    sys.exit(main())
