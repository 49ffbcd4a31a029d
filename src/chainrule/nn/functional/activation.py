"""Activations as functions: each calls the record of an op, or is an expression of such records.

A function of one record takes its formula from it. With `inplace` the result is written into the
input; this raises GradientError for a leaf that requires gradients.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_positive, check_tensors
from chainrule.ops import compare, elementwise, special
from chainrule.ops.random import default_generator
from chainrule.ops.rules import normalized_dim
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Tensor])


def formula_of(record: Primitive) -> Callable[[F], F]:
    """A decorator that puts the formula of a record in front of a function's docstring."""

    def described(function: F) -> F:
        function.__doc__ = f"{record.formula}\n\n{inspect.cleandoc(function.__doc__ or '')}\n"
        return function

    return described


def into(input: Tensor, y: Tensor, inplace: bool) -> Tensor:
    """Return the result of a function. With `inplace`, write it into the input and return that."""
    return input.assign(y) if inplace else y


# -- rectifiers: x, or a multiple, where x > 0 -----------------------------------------------------


@formula_of(special.relu)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """
    Source: Nair & Hinton, 2010.

    >>> import chainrule as cr
    >>> relu(cr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return into(input, special.relu(input), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6) (Krizhevsky, 2010).

    >>> import chainrule as cr
    >>> relu6(cr.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0, 6, inplace)


@formula_of(special.leaky_relu)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """
    >>> import chainrule as cr
    >>> leaky_relu(cr.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1,  2. ])
    """
    return into(input, special.leaky_relu(input, negative_slope), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = max(x, 0) + w·min(x, 0), with one w for all elements, or one per channel of (N, C, ...).

    Source: He et al., 2015. Raises ShapeError for another number of weights.

    >>> import chainrule as cr
    >>> prelu(cr.tensor([[-1.0, -1.0]]), cr.tensor([0.1, 0.2]))
    tensor([[-0.1, -0.2]])
    """
    check_tensors("prelu", input=input, weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.shape not in ((), (1,), (channels,)):
        raise ShapeError(
            "prelu takes one weight, or one for each channel",
            given=f"{weight.shape} for an input {input.shape}",
            expected=f"(1,) or ({channels},)",
        )
    if weight.shape == (channels,):
        weight = weight.reshape(channels, *(1,) * (input.ndim - 2))
    return special.relu(input) + weight * compare.clamp(input, max=0.0)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """y = max(x, 0) + s·min(x, 0). In training, s ~ U(lower, upper) for each element; otherwise
    s = (lower + upper)/2.

    Source: Xu et al., 2015. Random numbers come from the default generator. Raises ArgumentError
    unless lower ≤ upper.

    >>> import chainrule as cr
    >>> rrelu(cr.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2,  2. ])
    """
    if not lower <= upper:
        raise ArgumentError("rrelu draws slopes between lower and upper", given=(lower, upper))
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    check_tensors("rrelu", input=input)
    slope = default_generator.uniform(*input.shape, dtype=input.dtype) * (upper - lower) + lower
    return into(input, special.relu(input) + slope * compare.clamp(input, max=0.0), inplace)


@formula_of(special.elu)
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """
    >>> import chainrule as cr
    >>> elu(cr.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return into(input, special.elu(input, alpha), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = max(x, 0) + α·(e^(min(x, 0)/α) − 1) (Barron, 2017). Raises ArgumentError for α = 0.

    >>> import chainrule as cr
    >>> celu(cr.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.    ])
    """
    if not alpha:
        raise ArgumentError("alpha of celu is a divisor, so it is not 0", given=alpha)
    below = special.elu(compare.clamp(input, max=0.0) / alpha) * alpha
    return into(input, special.relu(input) + below, inplace)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""With these constants, mean 0 and variance 1 of the activations are preserved across layers."""


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = λ·elu(x), λ = 1.0507 and α = 1.6733 (Klambauer et al., 2017).

    >>> import chainrule as cr
    >>> selu(cr.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return into(input, special.elu(input, SELU_ALPHA) * SELU_SCALE, inplace)


@formula_of(special.softplus)
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """
    With `beta`, y = ln(1 + e^(βx))/β, and y = x where βx > threshold. Raises ArgumentError unless
    β > 0.

    >>> import chainrule as cr
    >>> softplus(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+03])
    """
    check_positive("softplus", beta=beta)
    y: Tensor = special.softplus(input if beta == 1 else input * beta)
    if beta != 1:
        y = y * (1 / beta)
    if threshold >= 20 and input.dtype == np.float32:
        return y  # beyond 20, ln(1 + eˣ) and x are the same float32
    y = compare.where(input * beta > threshold, input, y)
    return y


# -- x times a gate between 0 and 1 ----------------------------------------------------------------


@formula_of(special.gelu)
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """
    With `approximate="tanh"`, y = ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). Raises ArgumentError
    for other approximations.

    >>> import chainrule as cr
    >>> gelu(cr.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    records_of = {"none": special.gelu, "tanh": special.gelu_tanh}
    if approximate not in records_of:
        raise ArgumentError(
            "unknown approximation of gelu",
            given=repr(approximate),
            expected="'none' or 'tanh'",
        )
    return records_of[approximate](input)


@formula_of(special.silu)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """
    >>> import chainrule as cr
    >>> silu(cr.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return into(input, special.silu(input), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x·tanh(ln(1 + eˣ)) (Misra, 2019).

    >>> import chainrule as cr
    >>> mish(cr.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.944 ])
    """
    return into(input, input * elementwise.tanh(special.softplus(input)), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x·min(max(x + 3, 0), 6)/6, an approximation of x·sigmoid(x) (Howard et al., 2019).

    >>> import chainrule as cr
    >>> hardswish(cr.tensor([-1.0, 1.0, 4.0]))
    tensor([-0.3333,  0.6667,  4.    ])
    """
    return into(input, input * hardsigmoid(input), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a·sigmoid(b), where a and b are the halves of x along `dim` (Dauphin et al., 2017).

    Raises ShapeError if the size of `dim` is odd.

    >>> import chainrule as cr
    >>> glu(cr.tensor([3.0, 0.0]))
    tensor([1.5])
    """
    check_tensors("glu", input=input)
    size = input.shape[normalized_dim(dim, input.ndim)] if input.ndim else 1
    if size % 2:
        raise ShapeError(
            f"glu halves dimension {dim}, which has size {size}",
            given=input.shape,
            expected="an even size",
        )
    a, b = input.chunk(2, dim)
    return a * special.sigmoid(b)


# -- saturating: between two limits ----------------------------------------------------------------


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """y = min(max(x, min_val), max_val). The gradient is 0 outside and at the limits.

    Raises ArgumentError unless min_val ≤ max_val.

    >>> import chainrule as cr
    >>> hardtanh(cr.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5])
    """
    if not min_val <= max_val:
        raise ArgumentError("min_val of hardtanh is above max_val", given=(min_val, max_val))
    check_tensors("hardtanh", input=input)
    capped = compare.where(input >= max_val, max_val, input)
    return into(input, compare.where(input <= min_val, min_val, capped), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x + 3, 0), 6)/6, an approximation of sigmoid(x) (Courbariaux et al., 2015).

    >>> import chainrule as cr
    >>> hardsigmoid(cr.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """
    check_tensors("hardsigmoid", input=input)
    return into(input, relu6(input + 3.0) / 6, inplace)


def softsign(input: Tensor) -> Tensor:
    """y = x/(1 + |x|).

    >>> import chainrule as cr
    >>> softsign(cr.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    return input / (elementwise.abs(input) + 1)


def logsigmoid(input: Tensor) -> Tensor:
    """y = ln sigmoid(x) = −ln(1 + e⁻ˣ), which is finite even where sigmoid(x) rounds to 0.

    >>> import chainrule as cr
    >>> logsigmoid(cr.tensor([-1000.0, 0.0]))
    tensor([-1.0000e+03, -6.9315e-01])
    """
    check_tensors("logsigmoid", input=input)
    return -special.softplus(-input)


# -- shrinking: 0 near 0 ---------------------------------------------------------------------------


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x where |x| > λ, else 0. NaN remains NaN.

    >>> import chainrule as cr
    >>> hardshrink(cr.tensor([-0.3, 2.0]))
    tensor([0., 2.])
    """
    return compare.where(elementwise.abs(input) <= lambd, 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x − min(max(x, −λ), λ). Raises ArgumentError for λ < 0.

    >>> import chainrule as cr
    >>> softshrink(cr.tensor([-0.3, 2.0]))
    tensor([0. , 1.5])
    """
    if not lambd >= 0:
        raise ArgumentError("lambd of softshrink is negative", given=lambd, expected="λ ≥ 0")
    return input - compare.clamp(input, -lambd, lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """y = x − tanh x.

    >>> import chainrule as cr
    >>> tanhshrink(cr.tensor([-1.0, 2.0]))
    tensor([-0.2384,  1.036 ])
    """
    return input - elementwise.tanh(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = x where x > threshold, else value. NaN remains NaN.

    >>> import chainrule as cr
    >>> threshold(cr.tensor([-1.0, 2.0]), 0.0, 9.0)
    tensor([9., 2.])
    """
    check_tensors("threshold", input=input)
    return into(input, compare.where(input <= threshold, value, input), inplace)


# -- a logarithm that stays finite -----------------------------------------------------------------


def safe_log(input: Tensor, fill: float = 0.0) -> Tensor:
    """y = ln x where x > 0, else `fill` with gradient 0. Neither is infinite or NaN at x ≤ 0.

    >>> import chainrule as cr
    >>> x = cr.tensor([0.0, 1.0, 2.0], requires_grad=True)
    >>> safe_log(x).sum().backward()
    >>> x.grad
    tensor([0. , 1. , 0.5])
    """
    positive = input > 0
    y: Tensor = compare.where(positive, input, 1.0)
    y = compare.where(positive, y.log(), fill)
    return y
