"""The ONNX project's own tests of operators, and which of them are refused, with the reason.

`python -m tests.formats.onnx_cases` writes the list of refused cases anew.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case import base, node

import chainrule as cr
from chainrule.errors import ChainruleError

LIST = Path(__file__).with_name("onnx_refused.txt")
MODULES = sorted(
    module.name.removeprefix(f"{node.__name__}.")
    for module in pkgutil.walk_packages(node.__path__, f"{node.__name__}.")
    if not module.ispkg
)
base.process_snippet = lambda *_: None  # it documents the cases, which takes longer than they do


def cases(module: str) -> list[Any]:
    """The cases that a module of ONNX's defines. It defines them when it is imported."""
    first = len(node._NodeTestCases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the arithmetic of their references
        importlib.import_module(f"{node.__name__}.{module}")
    found = node._NodeTestCases[first:]
    del node._NodeTestCases[first:]
    return found


def refusal(case: Any, path: Path) -> str | None:
    """Why a case is refused, or None. Raises AssertionError if it gives other results."""
    path.write_bytes(case.model.SerializeToString())
    for inputs, outputs in case.data_sets:
        try:
            found = cr.onnx.load(path)(*map(value, inputs))
        except ChainruleError as error:
            return str(error).splitlines()[0]
        found = found if isinstance(found, tuple) else (found,)
        for ours, theirs in zip(found, outputs, strict=True):
            compare(ours, theirs, case)
    return None


def value(given: Any) -> Any:
    """An input of a case, or an expected output, with tensors for arrays."""
    if given is None:
        return None
    if isinstance(given, (list, tuple)):
        return [value(part) for part in given]
    return cr.tensor(numpy_helper.to_array(given) if isinstance(given, TensorProto) else given)


def compare(ours: Any, theirs: Any, case: Any) -> None:
    """The tolerances are those that the ONNX project gives its cases, the absolute one relative to
    the largest element: where a sum cancels to 0, the rounding errors of its terms remain."""
    expected = value(theirs)
    if not isinstance(expected, cr.Tensor):
        assert type(ours) is type(expected)
        for one, other in zip(ours or [], expected or [], strict=True):
            compare(one, other.numpy(), case)
        return
    assert ours.spec == expected.spec, case.name
    numbers = expected.numpy()
    largest = np.abs(numbers[np.isfinite(numbers)].astype(np.float64)).max(initial=1)
    np.testing.assert_allclose(
        ours.detach().numpy(), numbers, case.rtol, case.atol * largest, err_msg=case.name
    )


def listed() -> dict[str, dict[str, str]]:
    """The refused cases of each module, with the reason."""
    found: dict[str, dict[str, str]] = {}
    for line in LIST.read_text().splitlines()[1:]:
        place, _, reason = line.partition(": ")
        module, _, name = place.partition("/")
        found.setdefault(module, {})[name] = reason
    return found


def lines(path: Path) -> Iterator[str]:
    """The lines of the list."""
    yield f"Cases of onnx {onnx.__version__} that are refused"
    for module in MODULES:
        for case in cases(module):
            if reason := refusal(case, path):
                yield f"{module}/{case.name}: {reason}"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        LIST.write_text("\n".join(lines(Path(folder) / "case.onnx")) + "\n")
