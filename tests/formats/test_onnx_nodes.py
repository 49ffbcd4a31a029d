"""The ONNX project's own tests of operators pass, or are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx`")

from tests.formats import onnx_cases  # noqa: E402 - needs onnx

VERSION = onnx_cases.LIST.read_text().split()[3]
pytestmark = pytest.mark.skipif(
    onnx.__version__ != VERSION, reason=f"the list is that of onnx {VERSION}"
)


@pytest.mark.parametrize("module", onnx_cases.MODULES)
def test_cases_pass_or_are_listed_as_refused(module: str, tmp_path: Path) -> None:
    reasons = {
        case.name: onnx_cases.refusal(case, tmp_path / "case.onnx")
        for case in onnx_cases.cases(module)
    }
    refused = {name: reason for name, reason in reasons.items() if reason}
    assert refused == onnx_cases.listed().get(module, {})


def test_a_thousand_cases_pass() -> None:
    """The list names no module that is not there, and few enough cases."""
    listed = onnx_cases.listed()
    assert listed.keys() <= {*onnx_cases.MODULES}
    plain = [name for names in listed.values() for name in names if "_expanded" not in name]
    assert len(plain) <= 404  # of 1,404
