"""`torch.utils.checkpoint`: the backward pass recomputes activations instead of storing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.torch.adapter import names
from chainrule.transforms.recompute import checkpoint as _checkpoint


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function and store only its arguments. The backward pass calls it again."""
    return _checkpoint(function, *args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Call a sequence of functions in segments, each a checkpoint except the last."""
    layers: Sequence[Any] = [*functions.children()] if hasattr(functions, "children") else functions
    size = max(1, len(layers) // segments)
    starts = [size * i for i in range(segments)]
    for start, end in zip(starts, [*starts[1:], len(layers)], strict=True):
        part = _Row(layers[start:end])
        input = part(input) if end == len(layers) else checkpoint(part, input)
    return input


class _Row:
    """A sequence of functions."""

    def __init__(self, functions: Sequence[Any]) -> None:
        self.functions = functions

    def __call__(self, input: Any) -> Any:
        for function in self.functions:
            input = function(input)
        return input


__getattr__, __dir__ = names.facade(__name__)
