"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.shape import cat
from chainrule.settings import use
from chainrule.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after another: a tensor (n). It carries gradients.

    >>> from chainrule import nn
    >>> parameters_to_vector(nn.Linear(2, 3).parameters()).shape
    (9,)
    """
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set all parameters from a vector: the inverse of `parameters_to_vector`.

    Raises ShapeError for another number of elements.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(2, 1)
    >>> vector_to_parameters(cr.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    targets = list(parameters)
    ends = np.cumsum([0, *[int(np.prod(p.shape)) for p in targets]])
    if vec.shape != (ends[-1],):
        raise ShapeError(
            "the vector has another number of elements", given=vec.shape, expected=(int(ends[-1]),)
        )
    with use(gradients=False):
        for start, parameter in zip(ends.tolist(), targets, strict=False):
            size = int(np.prod(parameter.shape))
            parameter.assign(vec.detach()[start : start + size].reshape(parameter.shape))
