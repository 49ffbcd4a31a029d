"""PyTorch's keywords for functions of the package: one rule for keywords that a function lacks.

`adapted(f)` passes on the keywords that f has. Any other keyword is, in this order, one about
memory that has no effect (`device`, `memory_format`, ...); a second name of a parameter (`axis`,
`keepdims`, `input`, `other`); or one about the result that suits any function (`out`, `dtype`,
`requires_grad`, `inplace`). The rest are errors, which name the parameters of f.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from chainrule import linalg
from chainrule.errors import listing
from chainrule.gateway import apply
from chainrule.methods import Methods
from chainrule.primitive import Primitive, operations
from chainrule.settings import use
from chainrule.signatures import of_tensor
from chainrule.tensor import Tensor
from chainrule.torch.adapter.absent import KeywordError
from chainrule.torch.adapter.dtypes import stored
from chainrule.torch.adapter.placement import WORDS, without_places
from chainrule.torch.adapter.printing import return_type

Function = Callable[..., Any]

_RENAMED = {
    "axis": "dim",
    "keepdims": "keepdim",
    "retain_variables": "retain_graph",
    "split_size_or_sections": "split_size",
}
"""Second names of parameters, such as NumPy's."""
_BY_PLACE = {"input": 0, "other": 1, "self": 0, "tensor": 0}
"""PyTorch's names of the first two inputs of a function."""
_STARRED = ("dims", "repeats", "shape", "size", "sizes")
"""PyTorch's names of a list of numbers that can also be given as separate arguments."""
_RESULT = ("dtype", "inplace", "out", "requires_grad")


class Taken(NamedTuple):
    """The parameters of a function: its keywords, the positional ones in order, and whether it
    accepts any others; of a loss, the further positional ones in PyTorch's order."""

    names: frozenset[str]
    order: tuple[str, ...]
    starred: bool
    anything: bool
    more: tuple[str, ...]


def taken_by(function: Function) -> Taken:
    """The parameters of a function. A method that calls an op has the parameters of the op."""
    parameters = list(inspect.signature(_op(function)).parameters.values())
    kinds = [p.kind for p in parameters]
    return Taken(
        frozenset(
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ),
        tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)),
        inspect.Parameter.VAR_POSITIONAL in kinds,
        inspect.Parameter.VAR_KEYWORD in kinds,
        _with_legacy([p.name for p in parameters if p.kind is p.KEYWORD_ONLY]),
    )


def _with_legacy(names: list[str]) -> tuple[str, ...]:
    """Keyword-only parameters in PyTorch's order, in which `size_average` is the first and `reduce`
    comes before `reduction`. Empty for a function without a `reduction` among them."""
    if "reduction" not in names:
        return ()
    place = names.index("reduction")
    return ("size_average", *names[:place], "reduce", *names[place:])


def _op(function: Function) -> Function:
    """The op that a method with the signature `(self, *args, **kwargs)` calls; or the function."""
    if list(inspect.signature(function).parameters)[1:] != ["args", "kwargs"]:
        return function
    return operations.get(function.__name__, function)


def adapted(function: Function) -> Function:
    """`function` with PyTorch's keywords.

    >>> import chainrule as cr
    >>> adapted(cr.sum)(input=cr.ones(2, 3), axis=1, keepdims=True).tolist()
    [[3.0], [3.0]]
    """
    taken = taken_by(function)

    def call(*args: Any, **keywords: Any) -> Any:
        try:
            if taken.more and (len(args) > len(taken.order) or not _LEGACY.isdisjoint(keywords)):
                args, keywords = _with_reduction(taken, args, keywords)
            if not keywords:
                result = function(*args)
            else:
                result = _with_keywords(function, taken, args, keywords)
        except TypeError as error:
            _explain(function, error)
            raise
        return _typed(function, result) if isinstance(result, tuple) else result

    return functools.update_wrapper(call, function, _COPIED, ())


def _with_keywords(
    function: Function, taken: Taken, args: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    if "dtype" in keywords:
        keywords["dtype"] = stored(keywords["dtype"])
    if taken.anything or keywords.keys() <= taken.names:
        return function(*args, **without_places(keywords, taken.names))
    return _translated(function, taken, args, keywords)


def _typed(function: Function, result: tuple[Any, ...]) -> Any:
    """A named tuple of an op as PyTorch's type of the same fields: `torch.return_types.max`."""
    kind = type(result)
    if not (hasattr(kind, "_make") and kind.__module__.startswith("chainrule.ops.")):
        return result
    name = function.__name__
    prefix = "linalg_" if getattr(linalg, name, None) is function else ""
    return return_type(kind, f"{prefix}{name}")._make(result)


_GATES = {
    __file__,
    *(inspect.getfile(x) for x in (Methods, Primitive, inspect.unwrap(apply), of_tensor)),
}
"""Files in which a call with wrong arguments raises its error."""
_COPIED = ("__module__", "__name__", "__qualname__", "__doc__")


def _explain(function: Function, error: TypeError) -> None:
    """Raise an error that lists the parameters, if the arguments did not fit the function."""
    if isinstance(error, KeywordError):
        return
    words = ("positional argument", "unexpected keyword", "multiple values for argument")
    deepest = error.__traceback__
    while deepest is not None and deepest.tb_next is not None:
        deepest = deepest.tb_next
    inside = deepest is not None and deepest.tb_frame.f_code.co_filename in _GATES
    if inside and any(word in str(error) for word in words):
        label = _label(function)
        raise KeywordError(
            f"{label} is not called like that: {error}",
            expected=f"{label}{inspect.signature(inspect.unwrap(_op(function)))}",
        ) from None


def _label(function: Function) -> str:
    """The name of the function in error messages."""
    label = function.__qualname__.removesuffix(".__init__")
    return function.__name__ if "<locals>" in label else label


def takes(function: Function, keyword: str) -> bool:
    """Whether an adapted function accepts a keyword."""
    taken = taken_by(inspect.unwrap(function))
    return (
        taken.anything
        or keyword in taken.names
        or keyword in (*WORDS, *_BY_PLACE, *_RESULT)
        or _RENAMED.get(keyword) in taken.names
        or (taken.starred and keyword in _STARRED)
        or keyword in taken.more
    )


_LEGACY = frozenset(("reduce", "size_average"))


def _with_reduction(
    taken: Taken, args: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a loss with `reduction` in place of `size_average` and `reduce`."""
    own = len(taken.order)
    keywords = {**dict(zip(taken.more, args[own:], strict=False)), **keywords}
    average, reduces = keywords.pop("size_average", None), keywords.pop("reduce", None)
    if average is not None or reduces is not None:
        total = "mean" if average is None or average else "sum"
        keywords["reduction"] = total if reduces is None or reduces else "none"
    return args[:own], keywords


def _translated(
    function: Function, taken: Taken, args: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    own, orders = _sorted_out(function, taken, without_places(keywords, taken.names))
    args = _placed(taken, args, own)
    if "dtype" in orders and orders["dtype"] is not None:
        if function.__name__ == "__init__":
            with use(default_dtype=orders["dtype"]):
                return function(*args, **own)
        if not isinstance(args[0], Tensor):
            raise KeywordError(f"{_label(function)} has no keyword 'dtype'")
        args = (args[0].to(orders["dtype"]), *args[1:])
    result = function(*args, **own)
    target = args[0] if orders.get("inplace") else orders.get("out")
    if target is not None:
        result = _written(target, result)
    return result.requires_grad_() if orders.get("requires_grad") else result


def _sorted_out(
    function: Function, taken: Taken, keywords: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split keywords into those under the function's own names and those about the result."""
    own: dict[str, Any] = {}
    orders: dict[str, Any] = {}
    for name, value in keywords.items():
        if name in taken.names or name in _BY_PLACE or (taken.starred and name in _STARRED):
            own[name] = value
        elif _RENAMED.get(name) in taken.names:
            own[_RENAMED[name]] = value
        elif name in _RESULT and (name == "dtype" or function.__name__ != "__init__"):
            orders[name] = value
        else:
            raise KeywordError(
                f"{_label(function)} has no keyword {name!r}",
                expected=listing(sorted(taken.names - {"self"}), 20) or "none",
            )
    return own, orders


def _placed(taken: Taken, args: tuple[Any, ...], own: dict[str, Any]) -> tuple[Any, ...]:
    """The positional arguments, including those that were given under PyTorch's names."""
    for name, place in _BY_PLACE.items():
        if name in own and name not in taken.names:
            args = (*args[:place], own.pop(name), *args[place:])
    for name in _STARRED:
        if name in own and name not in taken.names:
            value = own.pop(name)
            args = (*(own.pop(n) for n in taken.order if n in own), *args)
            args = (*args, *(value if isinstance(value, (tuple, list)) else (value,)))
    return args


def _written(target: Any, result: Any) -> Any:
    """Write the result to `out` or to the input, and set its dtype and requires_grad."""
    if isinstance(target, Tensor):
        return target.copy_(result)
    return tuple(_written(t, r) for t, r in zip(target, result, strict=True))


def is_function(value: Any) -> bool:
    """Whether a value of the package is a function to adapt."""
    return isinstance(value, Primitive) or inspect.isroutine(value)
