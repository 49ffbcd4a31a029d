"""Clipping of gradients, between `backward` and the step of the optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chainrule.errors import ArgumentError, NonFiniteError
from chainrule.ops.update import global_norm
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

Parameters = Tensor | Iterable[Tensor]


def clip_grad_norm_(
    parameters: Parameters,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """g ← g · min(1, c / (n + 10⁻⁶)), where n is the norm of all gradients and c is `max_norm`.

    Pascanu, Mikolov & Bengio, 2013. Returns n, a 0-d tensor; 0 if there is no gradient. Parameters
    without a gradient are skipped. `norm_type` is the p of the p-norm, and may be ∞. `foreach` has
    no effect. Raises ArgumentError unless `max_norm` ≥ 0 and p > 0. With `error_if_nonfinite`, a
    norm of NaN or ∞ raises NonFiniteError, which names the first such gradient; the gradients are
    then unchanged.

    >>> import chainrule as cr
    >>> w = cr.tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = cr.tensor([3.0, 4.0])
    >>> clip_grad_norm_([w], max_norm=1.0), w.grad
    (tensor(5.), tensor([0.6, 0.8]))
    """
    if not float(max_norm) >= 0:
        raise ArgumentError(f"max_norm = {max_norm}", expected="a number ≥ 0, or ∞")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    gradients = [g for _, g in _with_gradient(given)]
    norm = get_total_norm(gradients, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, norm)
    return norm


def get_total_norm(
    tensors: Parameters,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of the elements of all tensors, a 0-d tensor; 0 of none. `foreach` has no effect.

    Raises ArgumentError unless p > 0, and with `error_if_nonfinite` NonFiniteError for NaN or ∞.

    >>> import chainrule as cr
    >>> get_total_norm([cr.tensor([3.0]), cr.tensor([4.0])])
    tensor(5.)
    """
    p = float(norm_type)
    if not p > 0:
        raise ArgumentError(f"norm_type = {norm_type}", expected="p > 0, or ∞")
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return from_numpy(np.zeros((), np.float32))
    with use(gradients=False):
        norm: Tensor = global_norm(*given, p=p)
        if error_if_nonfinite and not norm.isfinite():
            raise _nonfinite(norm, given)
    return norm


def clip_grads_with_norm_(
    parameters: Parameters, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """g ← g · min(1, c / (n + 10⁻⁶)), where n is `total_norm` and c is `max_norm`.

    With `get_total_norm`, this is `clip_grad_norm_` in two steps. `foreach` has no effect.

    >>> import chainrule as cr
    >>> w = cr.tensor([0.0], requires_grad=True)
    >>> w.grad = cr.tensor([4.0])
    >>> clip_grads_with_norm_([w], 1.0, cr.tensor(8.0))
    >>> w.grad
    tensor([0.5])
    """
    with use(gradients=False):
        scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for _, g in _with_gradient(parameters):
            g.assign(g * scale.to(g.dtype))


def clip_grad_value_(
    parameters: Parameters, clip_value: float, foreach: bool | None = None
) -> None:
    """g ← min(max(g, −c), c), elementwise, where c is `clip_value`. `foreach` has no effect.

    Raises ArgumentError unless c ≥ 0.

    >>> import chainrule as cr
    >>> w = cr.tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = cr.tensor([3.0, -0.5])
    >>> clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    limit = float(clip_value)
    if not limit >= 0:
        raise ArgumentError(f"clip_value = {clip_value}", expected="a number ≥ 0")
    with use(gradients=False):
        for _, g in _with_gradient(parameters):
            g.assign(g.clamp(-limit, limit))


def _with_gradient(parameters: Parameters) -> list[tuple[Tensor, Tensor]]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    pairs = [(parameter, parameter.grad) for parameter in given]
    return [(parameter, g) for parameter, g in pairs if g is not None]


def _nonfinite(norm: Tensor, gradients: list[Tensor]) -> NonFiniteError:
    for number, g in enumerate(gradients):
        if not g.isfinite().all():
            return NonFiniteError(
                f"the gradients have the norm {norm.item()}: gradient {number}, of shape "
                f"{g.shape}, is not finite",
                instead="Lower the learning rate, or find the op with cr.detect_anomaly().",
            )
    return NonFiniteError(
        f"the norm of the gradients is beyond {gradients[0].dtype}",
        instead="Lower the learning rate, or scale the loss.",
    )
