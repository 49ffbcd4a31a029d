"""Activations that are not primitives themselves, and those that take options."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn.functional import records
from chainrule.nn.functional.checks import check_positive
from chainrule.tensor import Tensor


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """y = x where x > 0, else slope·x (Maas et al., 2013).

    >>> import chainrule as cr
    >>> leaky_relu(cr.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    y: Tensor = records.leaky_relu(input, negative_slope)
    return y


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """y = x where x > 0, else α·(eˣ − 1) (Clevert et al., 2015).

    >>> import chainrule as cr
    >>> elu(cr.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    y: Tensor = records.elu(input, alpha)
    return y


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel, 2016).

    `approximate="tanh"` replaces Φ(x) by ½(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    >>> import chainrule as cr
    >>> gelu(cr.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError("unknown approximation of gelu", given=repr(approximate),
                            expected="'none' or 'tanh'")  # fmt: skip
    y: Tensor = (records.gelu if approximate == "none" else records.gelu_tanh)(input)
    return y


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(βx))/β, a smooth relu; x itself where βx > threshold.

    >>> import chainrule as cr
    >>> softplus(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+03])
    """
    check_positive("softplus", beta=beta)
    y: Tensor = records.softplus(input if beta == 1 else input * beta)
    if beta != 1:
        y = y * (1 / beta)
    if threshold >= 20 and input.dtype == np.float32:
        return y  # beyond 20, ln(1 + eˣ) and x are the same float32
    y = records.where(input * beta > threshold, input, y)
    return y


def logsigmoid(input: Tensor) -> Tensor:
    """y = ln σ(x) = −ln(1 + e⁻ˣ), finite where σ(x) rounds to 0.

    >>> import chainrule as cr
    >>> logsigmoid(cr.tensor([-1000.0, 0.0]))
    tensor([-1.0000e+03, -6.9315e-01])
    """
    y: Tensor = -records.softplus(-input)
    return y


def safe_softmax(input: Tensor, dim: int = -1) -> Tensor:
    """softmax, and 0 (with gradient 0) for a row of −∞ alone, where everything is masked.

    >>> import chainrule as cr
    >>> safe_softmax(cr.tensor([[0.0, 0.0], [-float("inf"), -float("inf")]]))
    tensor([[0.5, 0.5], [0. , 0. ]])
    """
    masked = (input == -float("inf")).all(dim, True)
    y: Tensor = records.softmax(records.where(masked, 0.0, input), dim)
    y = records.where(masked, 0.0, y)
    return y


def safe_log(input: Tensor, fill: float = 0.0) -> Tensor:
    """ln x where x > 0, else `fill` with gradient 0: both branches stay finite.

    >>> import chainrule as cr
    >>> x = cr.tensor([0.0, 1.0, 2.0], requires_grad=True)
    >>> safe_log(x).sum().backward()
    >>> x.grad
    tensor([0. , 1. , 0.5])
    """
    positive = input > 0
    y: Tensor = records.where(positive, input, 1.0)
    y = records.where(positive, y.log(), fill)
    return y
