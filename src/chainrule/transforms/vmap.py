"""`vmap`: a function of one example becomes a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from chainrule import tree
from chainrule.errors import ArgumentError, DTypeError, LevelError, ShapeError
from chainrule.settings import use
from chainrule.tensor import Tensor, wrap
from chainrule.transforms.batching import Batch

RANDOMNESS = ("error", "different", "same")


def vmap(
    function: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    explain: bool = False,
) -> Callable[..., Any]:
    """yᵢ = f(xᵢ) for all examples i at once: f is written for one, and runs once.

    in_dims: the dimension of each argument that counts the examples, None for an argument that all
    share; one for all, or a tuple with one for each, nested as the arguments are. Keywords are
    shared. out_dims: the same for the results.
    randomness: "error", "different" random numbers in each example, or the "same" in all.
    explain: return (result, names of the ops that ran once for each example, for want of a rule).

    Every op has a rule that runs it on all examples together, so there is no loop in Python. It
    composes: `vmap(grad(f))` gives a gradient for each example, `vmap(vmap(f))` has two dimensions
    of examples, and `grad`, `jvp` and `compile` work on the function that it returns. A tensor that
    is written in f is written for all examples; one from outside cannot have several values.

    Raises ArgumentError for dimensions that do not fit the arguments, ShapeError for unequal
    numbers of examples, LevelError where f asks for numbers, or writes outside.

    >>> import chainrule as cr
    >>> dots = cr.vmap(lambda a, b: (a * b).sum(), in_dims=(0, None))
    >>> dots(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), cr.tensor([1.0, 10.0]))
    tensor([21., 43.])
    >>> cr.vmap(cr.grad(lambda x: x**3))(cr.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    if not callable(function):
        raise DTypeError("vmap takes a function", given=type(function).__name__)
    if randomness not in RANDOMNESS:
        raise ArgumentError("unknown randomness", given=randomness, expected=", ".join(RANDOMNESS))

    @functools.wraps(function)
    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves = tree.flatten(args)
        dims = per_leaf(in_dims, args, "in_dims")
        fronts = [_front(x, dim) for x, dim in zip(leaves, dims, strict=True)]
        batch = Batch(_size(fronts, dims), randomness)
        examples = [
            x if dim is None else wrap(batch.of_examples(x))
            for x, dim in zip(fronts, dims, strict=True)
        ]
        with use(interpreter=batch):
            result = function(*tree.unflatten(args, list(examples)), **kwargs)
        for x, example, dim in zip(fronts, examples, dims, strict=True):
            if dim is not None and batch.physical(example) is not x:
                x.assign(_everywhere(batch, example))
        results = tree.flatten(result)
        places = per_leaf(out_dims, result, "out_dims")
        pairs = zip(results, places, strict=True)
        found = tree.unflatten(result, [_placed(batch, y, dim) for y, dim in pairs])
        return (found, tuple(batch.looped)) if explain else found

    return batched


def per_leaf(dims: Any, structure: Any, name: str) -> list[int | None]:
    """The dimension for each leaf; one may stand for a whole part of the structure."""
    if dims is None or (isinstance(dims, int) and not isinstance(dims, bool)):
        return [dims] * len(tree.flatten(structure))
    if isinstance(dims, (tuple, list)) and len(dims) == 1 and isinstance(structure, Tensor):
        return per_leaf(dims[0], structure, name)
    dicts = isinstance(dims, dict) and isinstance(structure, dict)
    if dicts and dims.keys() == structure.keys():
        return [d for key in structure for d in per_leaf(dims[key], structure[key], name)]
    both = isinstance(dims, (tuple, list)) and isinstance(structure, (tuple, list))
    if not both or len(dims) != len(structure):
        raise ArgumentError(
            f"{name} does not have the structure of what it is for",
            given=dims,
            expected=f"an integer or None, or a tuple with one for each of {len(structure)}"
            if isinstance(structure, (tuple, list))
            else "an integer or None",
        )
    return [d for part, x in zip(dims, structure, strict=True) for d in per_leaf(part, x, name)]


def _front(x: Any, dim: int | None) -> Any:
    """An argument with its examples in front."""
    if dim is None:
        return x
    if not isinstance(x, Tensor):
        raise DTypeError(
            f"in_dims is {dim} for an argument that is no tensor",
            given=type(x).__name__,
            instead="Give it in_dims None, or convert it with cr.tensor(x).",
        )
    if not -x.ndim <= dim < x.ndim:
        raise ArgumentError(
            f"in_dims is {dim} for a tensor of shape {x.shape}",
            expected=f"{-x.ndim} … {x.ndim - 1}, or None" if x.ndim else "None",
        )
    return x if dim % x.ndim == 0 else x.movedim(dim, 0)


def _size(fronts: Sequence[Any], dims: Sequence[int | None]) -> int:
    """The number of examples, which all batched arguments have."""
    sizes = [x.shape[0] for x, dim in zip(fronts, dims, strict=True) if dim is not None]
    if not sizes:
        raise ArgumentError(
            "vmap has no argument with examples",
            given=f"in_dims {list(dims)}",
            expected="at least one that is not None",
        )
    if len(set(sizes)) > 1:
        raise ShapeError(
            "the arguments of vmap have different numbers of examples",
            given=sizes,
            expected="one size along in_dims",
            instead="Give in_dims None to what all share.",
        )
    return int(sizes[0])


def _everywhere(batch: Batch, y: Tensor) -> Tensor:
    """A tensor for all examples, in front; one that they share is repeated."""
    below = batch.physical(y)
    return below if batch.has_more(y) else below.expand(batch.size, *y.shape)


def _placed(batch: Batch, y: Any, dim: int | None) -> Any:
    """A result with its examples at the dimension asked for."""
    if not isinstance(y, Tensor):
        raise DTypeError(
            "a function under vmap returns tensors",
            given=type(y).__name__,
            expected="a tensor, or nested tuples, lists and dicts of tensors",
        )
    if dim is None:
        if batch.has_more(y):
            raise LevelError(
                "out_dims is None for a result that differs between the examples",
                instead="Give it the dimension in which to return them.",
            )
        return batch.physical(y)
    if not -y.ndim - 1 <= dim <= y.ndim:
        raise ArgumentError(
            f"out_dims is {dim} for a result of shape {y.shape}",
            expected=f"{-y.ndim - 1} … {y.ndim}",
        )
    return _everywhere(batch, y).movedim(0, dim) if dim else _everywhere(batch, y)
