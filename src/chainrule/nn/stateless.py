"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.nn.module import Module
from chainrule.ops.shape import stack
from chainrule.tensor import Tensor


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call `module(*args, **kwargs)` with other parameters and buffers.

    One dict or several contain the tensors by path, as in `named_parameters()`. Parameters and
    buffers without an entry are the module's own. A tensor that the module has at several paths is
    replaced at all of them. The module itself does not change: buffers are updated in the tensors
    that were passed.

    Raises ArgumentError for a path that the module does not have.

    >>> import chainrule as cr
    >>> layer = cr.nn.Linear(2, 1)
    >>> params = {"weight": cr.tensor([[1.0, 10.0]]), "bias": cr.tensor([0.5])}
    >>> functional_call(layer, params, cr.tensor([3.0, 4.0]))
    tensor([43.5])
    >>> loss = lambda params, x: functional_call(layer, params, x).sum()
    >>> cr.grad(loss)(params, cr.tensor([3.0, 4.0]))["weight"]
    tensor([[3., 4.]])
    """
    dicts = parameter_and_buffer_dicts
    dicts = [dicts] if isinstance(dicts, Mapping) else list(dicts)
    tensors = {path: x for given in dicts for path, x in given.items()}
    places = _places(module, tensors)
    given_args = args if isinstance(args, tuple) else (args,)
    before = [(attributes, name, attributes[name]) for attributes, name, _ in places]
    try:
        for attributes, name, x in places:
            attributes[name] = x
        return module(*given_args, **(kwargs or {}))
    finally:
        for attributes, name, x in before:
            attributes[name] = x


def _places(module: Module, tensors: Mapping[str, Tensor]) -> list[tuple[dict[str, Any], str, Any]]:
    """(attributes of a module, name, new tensor) for each tensor to replace."""
    found: dict[str, Tensor] = {}
    for named in (module.named_parameters, module.named_buffers):
        found.update(named(remove_duplicate=False))
    if unknown := [path for path in tensors if path not in found]:
        raise ArgumentError(
            f"{type(module).__name__} has no parameter or buffer {listing(unknown)}",
            expected=f"paths among {listing([*found])}",
        )
    replaced = {id(found[path]): x for path, x in tensors.items()}
    places = []
    for path, own in found.items():
        if id(own) in replaced:
            parent, _, name = path.rpartition(".")
            places.append((vars(module.get_submodule(parent)), name, replaced[id(own)]))
    return places


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Stack the parameters, and the buffers, of models of the same architecture, for `vmap`.

    Dimension 0 of each tensor is the number of the model. The parameters are leaves, and require
    gradients if those of the first model do. Raises DTypeError for models of different classes.

    >>> import chainrule as cr
    >>> models = [cr.nn.Linear(2, 1) for _ in range(3)]
    >>> params, buffers = stack_module_state(models)
    >>> params["weight"].shape
    (3, 1, 2)
    >>> f = lambda params, x: functional_call(models[0], params, x)
    >>> cr.vmap(f, in_dims=(0, None))(params, cr.ones(5, 2)).shape
    (3, 5, 1)
    """
    kinds = {type(model).__name__: type(model) for model in models}
    if len(set(kinds.values())) != 1:
        raise DTypeError("stacked models are of one class", given=listing([*kinds]) or "no models")
    params = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]

    def stacked(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {
            path: stack([state[path].detach() for state in states]).requires_grad_(x.requires_grad)
            for path, x in states[0].items()
        }

    return stacked(params), stacked(buffers)
