"""Dropout: random zeros in training, of single elements or of whole channels.

Without `training`, the functions return the input itself. Random numbers come from the default
generator. They raise ArgumentError for p outside [0, 1], DTypeError for integers.
"""

from __future__ import annotations

import warnings

from chainrule.errors import DTypeError, ShapeError
from chainrule.nn.functional.activation import into
from chainrule.nn.functional.checks import check_probability, check_tensors
from chainrule.nn.functional.dimensions import in_dimensions
from chainrule.ops.creation import zeros
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.window import layout
from chainrule.primitive import Shape
from chainrule.tensor import Tensor

LEAST = 1.7580993408473766
"""λα of selu: its outputs are above −λα, the value that alpha dropout puts for what is dropped."""


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """y = 0 with probability p, else x/(1 − p), for each element (Srivastava et al., 2014).

    Without `training`, returns the input itself. Random numbers come from the default generator,
    unless another is given. Raises ArgumentError for p outside [0, 1], DTypeError for integers.

    >>> import chainrule as cr
    >>> y = dropout(cr.ones(1000), p=0.25, generator=cr.Generator(seed=0))
    >>> sorted(set(y.tolist())), 0.7 < (y > 0).float().mean().item() < 0.8
    ([0.0, 1.3333333730697632], True)
    """
    if not _drops("dropout", input, p, training):
        return input
    kept = _kept(input, input.shape, p, generator)
    return into(input, input * (kept if p == 1 else kept * (1 / (1 - p))), inplace)


@in_dimensions
def dropout_(
    n: int, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """y = 0 with probability p, else x/(1 − p), for each channel of (N, C, {sizes}).

    Source: Tompson et al., 2015. Without `training`, returns the input itself. An input without N
    is accepted, but of dropout2d three dimensions are (N, C, L), with a warning. Raises ShapeError
    for other numbers of dimensions.

    >>> import chainrule as cr
    >>> dropout{n}d(cr.ones(1, 2, {sizes:3}), p=1.0).sum()
    tensor(0.)
    """
    name = f"dropout{n}d"
    if not _drops(name, input, p, training):
        return input
    kept = _kept(input, _channels(name, n, input), p)
    return into(input, input * (kept if p == 1 else kept * (1 / (1 - p))), inplace)


dropout1d, dropout2d, dropout3d = dropout_


def _channels(name: str, n: int, input: Tensor) -> Shape:
    """The shape of one number for each channel."""
    lead = input.ndim - n
    if (n, lead) == (2, 1):  # as in PyTorch
        warnings.warn(
            f"{name} takes 3 dimensions as (N, C, L). Use dropout1d for these, and a dimension N "
            "for (C, H, W).",
            stacklevel=3,
        )
        lead = 2
    if lead not in (1, 2):
        raise ShapeError(f"{name} works on {layout(n)}, or without N", given=input.shape)
    return (*input.shape[:lead], *(1,) * (input.ndim - lead))


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """y = a·z + b: z = −1.7581 with probability p, else x, for each element.

    −1.7581 is the limit of selu for x → −∞. a and b keep mean 0 and variance 1 (Klambauer et al.,
    2017). Without `training`, returns the input itself.

    >>> import chainrule as cr
    >>> alpha_dropout(cr.tensor([1.0, 2.0]), 0.5)
    tensor([1., 2.])
    """
    return _alpha_dropped("alpha_dropout", input, input.shape, p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """y = a·z + b: z = −1.7581 with probability p, else x, for each channel of (N, C, ...).

    See `alpha_dropout`.

    >>> import chainrule as cr
    >>> feature_alpha_dropout(cr.ones(2, 3, 4), 0.5).equal(cr.ones(2, 3, 4))
    True
    """
    name = "feature_alpha_dropout"
    check_tensors(name, input=input)
    if input.ndim < 2:
        raise ShapeError(f"{name} works on (N, C, ...)", given=input.shape)
    channels = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha_dropped(name, input, channels, p, training, inplace)


def _alpha_dropped(
    name: str, input: Tensor, shape: Shape, p: float, training: bool, inplace: bool
) -> Tensor:
    if not _drops(name, input, p, training):
        return input
    kept = _kept(input, shape, p)
    if p == 1:
        return into(input, input * kept, inplace)
    a = ((LEAST**2 * p + 1) * (1 - p)) ** -0.5
    b = (kept - 1) * (LEAST * a) + LEAST * a * p
    return into(input, input * (kept * a) + b, inplace)


def _drops(name: str, input: Tensor, p: float, training: bool) -> bool:
    """Check the arguments. Returns whether anything may be dropped."""
    if not (isinstance(p, float) and 0 <= p < 1):
        check_probability(name, p)
    if not isinstance(input, Tensor):
        check_tensors(name, input=input)
    if training and p and input.dtype.kind != "f":
        raise DTypeError(
            f"{name} needs real numbers", given=input.dtype, instead="Convert with x.float()."
        )
    return training and p > 0


def _kept(input: Tensor, shape: Shape, p: float, generator: Generator | None = None) -> Tensor:
    """1 with probability 1 − p, else 0, in the dtype of the input."""
    if p == 1:
        return zeros(*shape, dtype=input.dtype)
    return (generator or default_generator).bernoulli(1 - p, *shape).astype(input.dtype)
