"""What the doctor says when there are no kernels (K1, K2): why, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from chainrule import engine
from chainrule.cli import doctor


def examined(monkeypatch: pytest.MonkeyPatch, reason: str) -> Any:
    facts = {"available": False, "reason": reason}
    monkeypatch.setattr(doctor.engine, "describe", lambda: facts)
    return doctor.examine()["engine"]


def compiler(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return f"'{path}'"


COMPILERS = {
    "fails": ("echo no such header >&2; exit 1\n", "does not compile C++20: no such header"),
    "old": ('case "$*" in *c++20*) echo unrecognized option >&2; exit 1;; esac\n', "unrecognized"),
    "killed": ("kill -9 $$\n", "does not compile C++20"),
    "no program": ("", "does not run"),
}


@pytest.mark.parametrize("kind", COMPILERS)
def test_a_compiler_that_does_not_work_is_named_with_what_it_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = COMPILERS[kind]
    command = compiler(tmp_path / "my tools" / "c++", text)
    if kind == "no program":
        (tmp_path / "my tools" / "c++").write_bytes(b"\x7fELF nothing")
    monkeypatch.setenv("CXX", command)
    said = examined(monkeypatch, "No module named '_native'")
    assert words in said["compiler"] and str(tmp_path) in said["compiler"]
    assert "apt install g++" in said["to do"] and "pip install -v" in said["to do"]


@pytest.mark.parametrize("asked", ["", "not-a-compiler --fast"])
def test_no_compiler(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", asked)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = examined(monkeypatch, "No module named '_native'")
    assert said["compiler"].startswith("none") and asked in said["compiler"]
    assert "xcode-select --install" in said["to do"] and "-v" in said["log"]


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
def test_a_compiler_that_works_needs_only_a_new_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    said = examined(monkeypatch, "No module named '_native'")
    assert said["compiler"].endswith("compiles C++20") and "apt" not in said["to do"]
    assert said["to do"].endswith("pip install -v --force-reinstall --no-deps .")


@pytest.mark.parametrize("name", ["_native.cpython-39-x86_64-linux-gnu.so", None])
def test_an_engine_for_another_python_is_named(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "__init__.py"))
    if name:
        (tmp_path / name).touch()
    (tmp_path / "_native.pyi").touch()
    said = examined(monkeypatch, "No module named '_native'")
    assert said["built"] == (f"{name}, which this Python cannot load" if name else "nothing")


def test_an_engine_that_is_switched_off_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    said = examined(monkeypatch, "switched off by CHAINRULE_ENGINE")
    assert set(said) == {"native", "to do"} and "unset CHAINRULE_ENGINE" in said["to do"]


@pytest.mark.parametrize("platform", ["emscripten", "wasi"])
def test_in_a_browser_there_is_nothing_to_install(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.sys, "platform", platform)
    said = examined(monkeypatch, "No module named '_native'")
    assert said["to do"] == "nothing: the kernels are not built for WebAssembly"
    assert "compiler" not in said
