"""`chainrule doctor`: describes the installation and this machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import numpy as np

from chainrule import engine
from chainrule.cli.group import debug_option, json_option, print_json
from chainrule.errors import DownloadError

_EXTRAS = {"plot": "matplotlib", "images": "PIL", "logs": "tensorboardX", "tables": "pyarrow"}
_PACKAGES = ("chainrule", "numpy", "click", "rich", "pooch")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def examine() -> dict[str, Any]:
    """Versions, threads, BLAS, data folders, optional extras and the engine, as plain values."""
    return {
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in _PACKAGES}},
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": _threads(),
        "blas": _blas(),
        "data": _data(),
        "extras": {name: _extra(name, module) for name, module in _EXTRAS.items()},
        "engine": _engine(),
    }


def _engine() -> dict[str, Any]:
    facts: dict[str, Any] = engine.describe()
    if not facts["available"]:
        return _no_engine(str(facts["reason"]))
    sets = ", ".join(facts["instruction_sets"])
    source = "measured by chainrule tune" if engine.tuning.stored() else "as the processor states"
    return {
        "native": f"yes, {facts['instruction_set']} (this machine runs {sets})",
        "threads": facts["threads"],
        "L2 cache": f"{facts['second_cache'] // 1024:,} kB, {source}; results do not depend on it",
    }


_REBUILD = "in the clone: pip install -v --force-reinstall --no-deps ."
_GET_COMPILER = (
    "install GCC or Clang with C++20 (Debian: apt install g++; Fedora: dnf install gcc-c++; "
    "macOS: xcode-select --install; conda: conda install -c conda-forge cxx-compiler)"
)
_COMPILERS = ("c++", "g++", "clang++")
_NO_COMPILER = ("emscripten", "wasi")
_LIBRARIES = (".so", ".pyd", ".dylib")


def _no_engine(reason: str) -> dict[str, Any]:
    """Why the engine is missing, whether it can be built here, and how."""
    facts = {"native": f"no, NumPy references only ({reason})"}
    if "CHAINRULE_ENGINE" in reason:
        return {**facts, "to do": "unset CHAINRULE_ENGINE, and the kernels are used"}
    if sys.platform in _NO_COMPILER:
        return {**facts, "to do": "nothing: the kernels are not built for WebAssembly"}
    folder = Path(engine.__file__).parent
    built = ", ".join(sorted(x.name for x in folder.glob("_native.*") if x.suffix in _LIBRARIES))
    facts["built"] = f"{built}, which this Python cannot load" if built else "nothing"
    facts["compiler"], works = _compiler()
    facts["to do"] = _REBUILD if works else f"{_GET_COMPILER}, then {_REBUILD}"
    facts["log"] = "with -v, pip shows what CMake and the compiler say; without, it hides it"
    return facts


def _compiler() -> tuple[str, bool]:
    """The C++ compiler that a build would use, and whether it compiles C++20."""
    asked = os.environ.get("CXX", "")
    command = shlex.split(asked) or [next(filter(shutil.which, _COMPILERS), "")]
    if not shutil.which(command[0]):
        return f"none ({f'CXX={asked}' if asked else ', '.join(_COMPILERS)} not found)", False
    try:
        done = subprocess.run(
            [*command, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"],
            input="int main() {}",
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]} does not run: {error}", False
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        return f"{command[0]} does not compile C++20: {said.splitlines()[0]}", False
    return f"{command[0]} compiles C++20", True


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _extra(name: str, module: str) -> str:
    if importlib.util.find_spec(module) is not None:
        return f"{module} is installed"
    return f"{module} is missing: pip install 'chainrule[{name}]'"


def _threads() -> dict[str, Any]:
    has_affinity = hasattr(os, "sched_getaffinity")
    usable = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    asked = {name: os.environ[name] for name in _THREADS if name in os.environ}
    return {"cores": os.cpu_count(), "usable": usable, **asked}


def _blas() -> str:
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    except (TypeError, KeyError):
        return "unknown"
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def _data() -> dict[str, str]:
    from chainrule.data.download import cache_folder

    try:
        cache = _state(cache_folder())
    except DownloadError as error:
        cache = str(error)
    return {"CHAINRULE_DATA": _state(os.environ.get("CHAINRULE_DATA")), "cache": cache}


def _state(path: str | None) -> str:
    if not path:
        return "not set"
    if not os.path.isdir(path):
        return f"{path} (does not exist yet)"
    return f"{path}{'' if os.access(path, os.W_OK) else ' (read-only)'}"


@click.command()
@json_option
@debug_option
def doctor(as_json: bool) -> None:
    """Describe the installation and this machine: versions, threads, BLAS, data, extras, engine."""
    facts = examine()
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        lines = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else [value]
        for place, line in enumerate(lines):
            click.echo(f"{name if place == 0 else '':<10} {line}")
