"""What Chainrule finds on this machine."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.data.download import cache_folder
from chainrule.errors import DownloadError

_EXTRAS = {"plot": "matplotlib", "images": "PIL", "logs": "tensorboardX"}
_PACKAGES = ("chainrule", "numpy", "click", "rich", "safetensors", "pooch")
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
        return {"native": f"no, NumPy references only ({facts['reason']})"}
    sets = ", ".join(facts["instruction_sets"])
    return {
        "native": f"yes, {facts['instruction_set']} (this machine runs {sets})",
        "threads": facts["threads"],
    }


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
