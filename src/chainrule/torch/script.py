"""`chainrule run SCRIPT.py`: runs an unmodified PyTorch script on this package.

Within the process, `import torch` imports `chainrule.torch`, `torchvision` imports
`chainrule.torch.vision`, and `einops` imports `chainrule.torch.einops`, even if the packages of
these names are installed.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any

from chainrule.errors import ArgumentError

STANDS_FOR = {
    "torch": "chainrule.torch",
    "torchvision": "chainrule.torch.vision",
    "einops": "chainrule.torch.einops",
}
"""Package that a script imports → module of Chainrule."""


class Aliases(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the packages of `STANDS_FOR` and their submodules, before all other finders.

    A module is one object under both names.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        first, _, rest = fullname.partition(".")
        if first not in STANDS_FOR:
            return None
        own = ".".join(filter(None, (STANDS_FOR[first], rest)))
        module = importlib.import_module(own)
        spec = ModuleSpec(fullname, self, is_package=hasattr(module, "__path__"))
        spec.loader_state = module, module.__spec__
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = spec.loader_state[0]
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader_state is not None:
            module.__spec__ = spec.loader_state[1]  # the import system has set that of the alias


def install() -> None:
    """Register the aliases for imports of this process."""
    if not any(isinstance(finder, Aliases) for finder in sys.meta_path):
        sys.meta_path.insert(0, Aliases())


def run(path: str, arguments: Sequence[str] = ()) -> int:
    """Run a script as `python path arguments...` would, and return its exit code.

    An uncaught exception is printed with the lines of the script, without those of this function.
    SystemExit is raised, so exit codes are kept.
    """
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except (OSError, ValueError) as error:
        raise ArgumentError(f"cannot read the script {path!r}: {error}") from None
    install()
    main = ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    try:
        exec(compile(source, path, "exec"), vars(main))
    except SystemExit:
        raise
    except BaseException as error:
        _print(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _print(error: BaseException) -> None:
    """Print the traceback, from the first line of the script."""
    trace: TracebackType | None = error.__traceback__
    error.__traceback__ = trace.tb_next if trace is not None else None
    sys.stdout.flush()
    traceback.print_exception(error)


def main(arguments: Sequence[str] | None = None) -> Any:
    """`python -m chainrule.torch SCRIPT.py [ARGS...]`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0].startswith("-"):
        print("usage: python -m chainrule.torch SCRIPT.py [ARGS...]", file=sys.stderr)
        return 2
    return run(given[0], given[1:])
