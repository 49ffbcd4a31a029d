"""What the engine's tests share."""

import importlib
import pkgutil
from typing import Any

import numpy as np

from chainrule import engine, ops
from chainrule.primitive import registry

for _module in pkgutil.iter_modules(ops.__path__):  # primitives register by the import
    importlib.import_module(f"chainrule.ops.{_module.name}")

THREADS = (1, 2, 3)
INSTRUCTION_SETS: Any = engine.describe()["instruction_sets"]
"""Those of this machine. The first is in use unless a test chooses another."""


def native(name: str, *arrays: Any, **params: Any) -> Any:
    """A primitive by its native kernel; the test fails when there is none."""
    result = engine.run_native(registry[name], tuple(arrays), params)
    assert result is not None, f"no kernel for {name}"
    return result


def reference(name: str, *arrays: Any, **params: Any) -> Any:
    """A primitive by its NumPy reference."""
    return registry[name].forward(*arrays, **params)


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays agree in every bit."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def ulps(result: Any, truth: Any) -> Any:
    """The distance from a float64 (or wider) truth, in units of the last place of the result."""
    result = np.asarray(result)
    rounded = np.asarray(truth).astype(result.dtype)
    with np.errstate(all="ignore"):
        distance = np.abs(result.astype(np.longdouble) - truth) / np.spacing(np.abs(rounded))
    agree = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
    return np.where(agree, 0, distance.astype(np.float64))
