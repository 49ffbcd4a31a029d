"""The table of translations of ONNX operators to functions of tensors.

A translation is a function whose positional parameters are the operator's inputs, in ONNX's order,
and whose keywords are its attributes, by ONNX's names. What was an attribute in one opset and is an
input in another is one parameter, which either fills. Where the meaning changed, there is one
translation for each version, and that with the largest `since` that the opset reaches is used.

The annotation of an input says what the translation gets:

- `Tensor`: a tensor. Float weights of the file that go there are trained.
- `Statistic`: a tensor that is not trained, such as a running mean.
- `Option`: a tensor that is a constant if the file has it, such as a limit.
- `Ints`, `float`, `Array`: numbers, which must be known before the model runs.
- `Any`: a tensor, a NumPy array that is known before the model runs, or a sequence, as it is.

Attributes that several operators share are a TypedDict: `**moves: Unpack[Moves]`. The keyword
`outputs` is no attribute: it says how many outputs are used. An attribute that
is a graph arrives as a function of values.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from chainrule.errors import ArgumentError, FormatError
from chainrule.primitive import Array, supported
from chainrule.tensor import Tensor

Ints = tuple[int, ...]
Statistic = Annotated[Tensor, "not trained"]
Option = Annotated[Tensor, "constant"]
Body = Callable[..., list[Any]]
"""A graph that is an attribute: a function of values that returns a list of values."""
F = TypeVar("F", bound=Callable[..., Any])


def as_tensor(value: Any) -> Tensor:
    """A value as a tensor."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise FormatError("a tensor is expected", given=type(value).__name__)
    return Tensor(value.astype(supported(value.dtype), copy=False))


def as_array(value: Any) -> Array:
    """A value as an array. A capture has no numbers for a tensor, and raises CaptureError."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if not isinstance(value, np.ndarray):
        raise FormatError("a tensor is expected", given=type(value).__name__)
    return value


def as_ints(value: Any) -> Ints:
    """A value of at most one dimension as integers."""
    array = as_array(value)
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise FormatError("integers are expected", given=f"{array.dtype}{array.shape}")
    return tuple(array.reshape(-1).tolist())


def as_number(value: Any) -> float:
    """A value of one element as a number."""
    array = as_array(value)
    if array.size != 1:
        raise FormatError("a single number is expected", given=f"shape {array.shape}")
    number: float = array.item()
    return number


CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    Tensor: as_tensor,
    Statistic: as_tensor,
    Option: as_tensor,
    Ints: as_ints,
    float: as_number,
    Array: as_array,
    Any: lambda value: value,
}


@dataclass(frozen=True)
class Operator:
    """One translation.

    since: the first opset that it holds for.
    inputs: the annotations of the inputs, by name; `rest` is that of all further ones, or None.
    keywords: the names that it accepts by keyword.
    known: whether the result is known if all inputs are: it draws no random numbers and runs no
        graph.
    weights: whether a result that is computed from the file alone is a weight, which is trained.
    """

    since: int
    run: Callable[..., Any]
    inputs: dict[str, Any]
    rest: Any
    keywords: frozenset[str]
    known: bool
    weights: bool

    def __reduce__(self) -> Any:
        """Pickle by the place in the table, as functions are pickled by their names."""
        key = next(key for key, found in _table.items() if any(x is self for x in found))
        return find, (*key, self.since)

    def kinds(self) -> Iterator[Any]:
        """The annotations of inputs, of as many as are asked for."""
        return itertools.chain(self.inputs.values(), itertools.repeat(self.rest))

    def attribute(self, name: str, value: Any) -> Any:
        """The value of an attribute; one integer that fills an input of several is a tuple."""
        return (value,) if self.inputs.get(name) == Ints and isinstance(value, int) else value


_table: dict[tuple[str, str], list[Operator]] = {}


def operator(
    *names: str, since: int = 1, domain: str = "", known: bool = True, weights: bool = False
) -> Callable[[F], F]:
    """Register a translation of these operators from an opset on."""

    def register(run: F) -> F:
        hints = get_type_hints(run, include_extras=True)
        inputs: dict[str, Any] = {}
        rest, keywords = None, set[str]()
        for name, parameter in inspect.signature(run).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                (shared,) = get_args(hints[name])
                keywords |= get_type_hints(shared).keys()
                continue
            kind = _plain(hints.get(name, Tensor))
            if parameter.kind is parameter.VAR_POSITIONAL:
                rest = kind
                continue
            keywords.add(name)
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                inputs[name] = kind
        entry = Operator(since, run, inputs, rest, frozenset(keywords), known, weights)
        for name in names:
            versions = _table.setdefault((domain, name), [])
            versions.append(entry)
            versions.sort(key=lambda version: version.since)
        return run

    return register


def _plain(hint: Any) -> Any:
    """The annotation without None."""
    if get_origin(hint) is UnionType or NoneType in get_args(hint):
        (hint,) = [part for part in get_args(hint) if part is not NoneType]
    return hint


def find(domain: str, name: str, opset: int) -> Operator | None:
    """The translation of an operator in an opset, or None."""
    versions = [entry for entry in _table.get((domain, name), []) if entry.since <= opset]
    return versions[-1] if versions else None


def counted(n: int) -> Array:
    """0 … n − 1. Their number is checked first, as the size of any result is."""
    Tensor(np.zeros(1, np.int64)).expand(n)
    return np.arange(n)


def refused(why: str) -> ArgumentError:
    """The error for what an operator may do in ONNX, and a translation does not."""
    return ArgumentError(why, instead="Change the model where it was made, or run it elsewhere.")
