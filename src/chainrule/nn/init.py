"""Initialization of parameters, with random numbers from the default generator or a given one.

Every function writes to its tensor and returns it. fan_in is the number of inputs of an output,
fan_out the number of outputs of an input: the second and the first size of the weight, each times
the size of the kernel of a convolution.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.random import Generator, default_generator
from chainrule.settings import use
from chainrule.tensor import Tensor

_CONVOLUTIONS = [f"{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)]
_GAINS = dict.fromkeys(["linear", "sigmoid", *_CONVOLUTIONS], 1.0)
_GAINS |= {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The recommended gain for the weights before a nonlinearity.

    1 (linear, sigmoid, conv1d … conv_transpose3d), 5/3 (tanh), √2 (relu), √(2/(1 + slope²))
    (leaky_relu, with the slope `param`, by default 0.01), 3/4 (selu). Raises ArgumentError for
    other names.

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            "unknown nonlinearity",
            given=repr(nonlinearity),
            expected=", ".join([*_GAINS, "leaky_relu"]),
        )
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight. Raises ShapeError for fewer than two dimensions."""
    if tensor.ndim < 2:
        raise ShapeError("fan_in and fan_out need weights of 2 dimensions", given=tensor.shape)
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def write(tensor: Tensor, value: Tensor | float) -> Tensor:
    """Assign without recording gradients, so that a parameter can be written."""
    with use(gradients=False):
        return tensor.assign(value)


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """x ~ U[a, b). Raises ArgumentError unless a ≤ b.

    >>> import chainrule as cr
    >>> x = uniform_(cr.zeros(100), -1, 1)
    >>> bool(x.min() >= -1), bool(x.max() < 1)
    (True, True)
    """
    with use(gradients=False):
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """x ~ N(mean, std²). Raises ArgumentError unless std ≥ 0.

    >>> import chainrule as cr
    >>> normal_(cr.zeros(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    with use(gradients=False):
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """x ~ N(mean, std²), where numbers outside [a, b] are drawn again.

    Raises ArgumentError if [a, b] has too little probability.

    >>> import chainrule as cr
    >>> bool(trunc_normal_(cr.zeros(100), a=-1.0, b=1.0).abs().max() <= 1)
    True
    """
    low, high = (a - mean) / std, (b - mean) / std
    if not (std > 0 and low < high and low < 6 and high > -6):
        raise ArgumentError(
            "too little of the normal distribution is left",
            given=f"[{a}, {b}] of N({mean}, {std}²)",
        )
    source = generator or default_generator
    z = source.normal(tensor.shape, dtype=np.float64).numpy().copy()
    for _ in range(10_000):
        outside = (z < low) | (z > high)
        if not outside.any():
            break
        z[outside] = source.normal(int(outside.sum()), dtype=np.float64).numpy()
    z = np.clip(z * std + mean, a, b).astype(tensor.dtype)
    return write(tensor, Tensor(z))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """x = val.

    >>> import chainrule as cr
    >>> constant_(cr.zeros(2), 0.5)
    tensor([0.5, 0.5])
    """
    return write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """x = 0.

    >>> import chainrule as cr
    >>> zeros_(cr.ones(2))
    tensor([0., 0.])
    """
    return write(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """x = 1.

    >>> import chainrule as cr
    >>> ones_(cr.zeros(2))
    tensor([1., 1.])
    """
    return write(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """x = the identity matrix, with which a linear layer returns its input.

    Raises ShapeError unless the tensor is a matrix.

    >>> import chainrule as cr
    >>> eye_(cr.zeros(2, 3))
    tensor([[1., 0., 0.], [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError("eye_ fills matrices", given=tensor.shape)
    return write(tensor, Tensor(np.eye(*tensor.shape, dtype=tensor.dtype)))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """x ~ U(−a, a), a = gain·√(6/(fan_in + fan_out)) (Glorot & Bengio, 2010).

    Raises ShapeError for fewer than two dimensions.

    >>> import chainrule as cr
    >>> xavier_uniform_(cr.zeros(100, 50)).abs().max().item() <= 0.2
    True
    """
    a = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """x ~ N(0, gain²·2/(fan_in + fan_out)) (Glorot & Bengio, 2010).

    Raises ShapeError for fewer than two dimensions.

    >>> import chainrule as cr
    >>> bool(xavier_normal_(cr.zeros(100, 50)).std() < 0.2)
    True
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """x ~ U(−b, b), b = gain·√(3/fan) (He et al., 2015).

    The gain is that of `nonlinearity`, with slope `a` for leaky_relu. `mode` selects the fan:
    "fan_in" or "fan_out". Raises ArgumentError for other names, ShapeError for fewer than two
    dimensions.

    >>> import chainrule as cr
    >>> bool(kaiming_uniform_(cr.zeros(10, 54), nonlinearity="relu").abs().max() <= 1 / 3)
    True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """x ~ N(0, gain²/fan) (He et al., 2015). Arguments and errors as in `kaiming_uniform_`.

    >>> import chainrule as cr
    >>> bool(kaiming_normal_(cr.zeros(100, 50), nonlinearity="relu").std() < 0.3)
    True
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError("unknown mode", given=repr(mode), expected="'fan_in' or 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """x = gain·Q, where the rows of Q are orthonormal, or the columns if there are more rows.

    Saxe et al., 2013. Raises ShapeError for fewer than two dimensions.

    >>> import chainrule as cr
    >>> q = orthogonal_(cr.zeros(3, 3))
    >>> ((q @ q.T - cr.eye(3)).abs() < 1e-5).all().item()
    True
    """
    if tensor.ndim < 2:
        raise ShapeError("orthogonal_ needs at least 2 dimensions", given=tensor.shape)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    if not rows * columns:
        return tensor
    source = generator or default_generator
    draw = source.normal(rows, columns, dtype=tensor.dtype).numpy().astype(np.float64)
    q, r = np.linalg.qr(draw.T if rows < columns else draw)
    q = q * np.sign(np.diag(r))  # so that Q is uniform over all orthogonal matrices
    q = gain * (q.T if rows < columns else q)
    return write(tensor, Tensor(q.reshape(tensor.shape).astype(tensor.dtype)))
