"""Resolves PyTorch's names by one rule for all modules.

`torch.PATH.NAME` is the first of these that there is:

1. what the file of `chainrule.torch` for PATH defines: names that exist for compatibility only;
2. a module of PyTorch's, `torch.PATH.NAME`;
3. the package's object of that name, or of the name that it is a synonym of, in `chainrule.PATH`
   or in the other homes of PATH (`HOMES`). A function gets PyTorch's keywords (`calls.adapted`); a
   class is returned as it is. `relu_` is `relu` with `inplace=True`, and a function that is only
   a method of Tensor in the package calls the method;
4. the name in the module above PATH: `torch.nn.modules.linear.Linear` is `torch.nn.Linear`;
5. an error that says whether PyTorch has the name, and what to use instead.

So a new object of the package needs no change here. A path of PyTorch's without a file is an empty
module with this rule.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from chainrule.nn.module import Module
from chainrule.primitive import operations
from chainrule.tensor import Tensor
from chainrule.torch.adapter import absent
from chainrule.torch.adapter.attributes import add
from chainrule.torch.adapter.calls import adapted, is_function
from chainrule.torch.adapter.synonyms import known_as

ROOT = "chainrule.torch"

HOMES = {
    "": ("chainrule", "chainrule.nn.functional"),
    "autograd": ("chainrule",),
    "func": ("chainrule", "chainrule.nn"),
    "functional": ("chainrule",),
    "linalg": (),
    "multiprocessing": ("multiprocessing",),
    "nn.attention": ("chainrule.nn",),
    "nn.functional": ("chainrule",),
    "nn.modules.batchnorm": ("chainrule.nn.norm",),
    "nn.modules.conv": ("chainrule.nn.conv",),
    "nn.modules.instancenorm": ("chainrule.nn.norm",),
    "nn.modules.module": ("chainrule.nn.hooks",),
    "nn.parameter": ("chainrule.nn", "chainrule.nn.parameter"),
    "nn.utils": ("chainrule.optim",),
    "optim.optimizer": ("chainrule.optim.hooks",),
    "optim.swa_utils": ("chainrule.nn.averaging", "chainrule.optim.schedules"),
    "special": ("chainrule",),
    "testing": ("chainrule.gradcheck",),
    "utils.checkpoint": ("chainrule",),
    "utils.data": ("chainrule.data",),
    "utils.data.distributed": ("chainrule.data",),
}
"""Path of PyTorch's → modules of the package, besides `chainrule.PATH`, in which to look."""
_OTHER_MEANING = ("trace",)
"""Names of `chainrule` that mean something else in PyTorch: only an op of that name matches."""


def path_of(module: str) -> str:
    """`nn.init` for `chainrule.torch.nn.init`."""
    return module.removeprefix(ROOT).lstrip(".")


def dotted(path: str) -> str:
    """`torch.nn.init` for `nn.init`, `torchvision.utils` for `vision.utils`."""
    first = path.partition(".")[0]
    return (
        path.replace("vision", "torchvision", 1)
        if first == "vision"
        else (path if first == "einops" else f"torch.{path}".rstrip("."))
    )


@functools.cache
def _homes(path: str) -> tuple[ModuleType, ...]:
    """The modules of the package in which to look for the names of a path."""
    names = ([f"chainrule.{path}"] if path else []) + [*HOMES.get(path, ())]
    return tuple(importlib.import_module(name) for name in names if _exists(name))


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a part of the path is no package
        return False


def find(path: str, name: str) -> Any:
    """The object behind `torch.PATH.NAME`, by rules 2 to 4, or the error of rule 5."""
    if name.startswith("__"):
        raise AttributeError(name)
    owner = dotted(path)
    listed = name in absent.public_names().get(owner, ())  # so it is no module
    if not listed and is_module(f"{path}.{name}".lstrip(".")):
        return importlib.import_module(f"{ROOT}.{path}.{name}".replace("..", "."))
    for value in _candidates(path, name):
        return _offered(value)
    if absent.is_refused(f"{path}.{name}") and listed:
        return absent.unavailable(owner, name)
    if path.count(".") and name[0] != "_":
        above = sys.modules.get(f"{ROOT}.{path.rpartition('.')[0]}")
        if above is not None and owner not in _WITH_NAMES():
            return getattr(above, name)
    raise absent.missing_name(owner, name)


@functools.cache
def _WITH_NAMES() -> frozenset[str]:
    """PyTorch's modules whose names are in the list."""
    return frozenset(path for path, names in absent.public_names().items() if names)


def _candidates(path: str, name: str) -> Iterator[Any]:
    part, _, name = known_as(name).rpartition(".")
    if part:
        yield getattr(importlib.import_module(f"chainrule.{part}"), name)
        return
    if name in _OTHER_MEANING:
        if name in operations:
            yield operations[name]
        return
    for home in _homes(path):
        value = getattr(home, name, None)
        if value is not None and not inspect.ismodule(value):
            yield value
        elif name.endswith("_"):
            yield from _in_place(getattr(home, name[:-1], None))
    listed = not path and name in absent.public_names()["torch"]
    if listed and inspect.isfunction(getattr(Tensor, name, None)):
        yield _of_method(name)


def _of_method(name: str) -> Callable[..., Any]:
    """The function that calls the method of its first argument: `torch.zero_(x)`."""

    def call(input: Any, *args: Any, **keywords: Any) -> Any:
        return getattr(input, name)(*args, **keywords)

    call.__name__ = call.__qualname__ = name
    return call


def _in_place(function: Any) -> Iterator[Callable[..., Any]]:
    """The function that writes its result into its input, if there is a parameter for that."""
    if not (inspect.isfunction(function) and "inplace" in inspect.signature(function).parameters):
        return

    @functools.wraps(function)
    def in_place(*args: Any, **options: Any) -> Any:
        return function(*args, **options, inplace=True)

    yield in_place


def _offered(value: Any) -> Any:
    """An object of the package with PyTorch's keywords."""
    if is_function(value):
        return adapted(value)
    if isinstance(value, type) and issubclass(value, Module):
        for kind in value.__mro__:
            own = vars(kind).get("__init__")
            if not kind.__module__.startswith("chainrule.") or hasattr(own, "__wrapped__"):
                continue
            if "__signature__" in vars(kind):
                own = _constructor(kind)
            if inspect.isfunction(own):
                add(kind, "__init__", adapted(own))
    return value


def _constructor(kind: Any) -> Callable[..., None]:
    """The constructor of a class that declares its signature, as a function with that signature."""
    own = kind.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        own(self, *args, **options)

    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = [first, *inspect.signature(kind).parameters.values()]
    vars(__init__)["__signature__"] = inspect.Signature(signature)
    __init__.__qualname__, __init__.__module__ = f"{kind.__name__}.__init__", kind.__module__
    return __init__


def facade(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module of `chainrule.torch`, by the rule above."""
    path, holder = path_of(module), sys.modules[module]
    if not hasattr(holder, "__path__"):
        holder.__path__ = []  # so that what is imported from it passes the finder below

    def get(name: str) -> Any:
        if name == "__all__":  # of `from torch.nn import *`
            return names()
        value = find(path, name)
        vars(holder)[name] = value
        return value

    def names() -> list[str]:
        public = absent.public_names().get(dotted(path), ())
        known = {name for name in public if _has(path, name)}
        return sorted({name for name in vars(holder) if name[0] != "_"} | known)

    return get, names


def _has(path: str, name: str) -> bool:
    return next(_candidates(path, name), None) is not None


def is_module(path: str) -> bool:
    """Whether `torch.PATH` is a module: a file of `chainrule.torch`, or a path of PyTorch's."""
    is_class = path.rpartition(".")[2][:1].isupper()
    return (dotted(path) in absent.public_names() and not is_class) or _has_file(path)


def _has_file(path: str) -> bool:
    holder = sys.modules.get(f"{ROOT}.{path.rpartition('.')[0]}".rstrip("."))
    return (
        holder is not None
        and importlib.machinery.PathFinder.find_spec(f"{ROOT}.{path}", holder.__path__) is not None
    )


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports PyTorch's paths without a file. Python asks it after its own finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{ROOT}."):
            return None
        if not is_module(path_of(fullname)):
            raise absent.missing_module(dotted(path_of(fullname)))
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"], vars(module)["__dir__"] = facade(module.__name__)


def install() -> None:
    """Register the finder of modules without a file."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
