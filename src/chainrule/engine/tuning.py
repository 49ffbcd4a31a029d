"""What a user has measured of this machine with `chainrule tune`.

Products divide their operands by the size of a core's L2 cache, as the processor states it (see
engine/cpp/kernels/gemm.cpp). In a virtual machine, a core can have less of the cache to itself. So
`chainrule tune` measures with which size products are fastest, and stores it in a file that is read
at import. No result depends on it: the order of additions is the same for every size.
"""

from __future__ import annotations

import os
import platform
import warnings
from contextlib import suppress

from chainrule.engine.native import available, module

SMALLEST, LARGEST = 2**15, 2**27
"""The bounds of an L2 cache in bytes."""


def tuning_file() -> str:
    """The file of the measured size: $CHAINRULE_TUNING, or one in the user's folder of settings."""
    if path := os.environ.get("CHAINRULE_TUNING"):
        return path
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("LOCALAPPDATA")
    folder = base or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(folder, "chainrule", "tuning.txt")


def processor() -> str:
    """The processor's name with family and model, where the system states them."""
    with suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        lines = dict(line.split(":", 1) for line in iter(file.readline, "\n") if ":" in line)
        facts = {name.strip(): value.strip() for name, value in lines.items()}
        keys = ("model name", "cpu family", "model", "CPU implementer", "CPU part")
        return ", ".join(facts[key] for key in keys if key in facts)
    return platform.processor()


def second_cache() -> int:
    """The bytes of a core's L2 cache by which products divide their operands."""
    return int(module().second_cache())


def use_second_cache(size: int) -> None:
    """Divide by another size, in bytes; 0 stands for the size that the processor states."""
    module().use_second_cache(size)


def store(size: int) -> None:
    """Use this size from now on, also in later processes on this processor."""
    path = tuning_file()
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"second_cache = {size}\nprocessor = {processor()}\n")
    use_second_cache(size)


def forget() -> None:
    """Remove the file, and use the size that the processor states."""
    with suppress(FileNotFoundError):
        os.remove(tuning_file())
    use_second_cache(0)


def stored() -> int:
    """The size in the file, or 0: there is no file, or it is of another processor.

    Warns about a file that `chainrule tune` did not write.
    """
    path = tuning_file()
    try:
        with open(path, encoding="utf-8") as file:
            facts = dict(line.rstrip("\n").split(" = ", 1) for line in file)
        size, of = int(facts["second_cache"]), facts["processor"]
        if not SMALLEST <= size <= LARGEST:
            raise ValueError(f"second_cache = {size}")
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError) as error:
        warnings.warn(
            f"{path} is not used, since it cannot be read ({error}); `chainrule tune` writes it "
            "anew, `chainrule tune --reset` removes it",
            RuntimeWarning,
            stacklevel=2,
        )
        return 0
    return size if of == processor() else 0


if available() and os.path.exists(tuning_file()):  # else nothing is read
    use_second_cache(stored())
