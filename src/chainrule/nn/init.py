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
from chainrule.primitive import Array
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
    """x ~ N(mean, std²) between a and b.

    Numbers that are rejected are drawn again: normal numbers outside of [a, b], or where fewer than
    30 % are inside, uniform ones with the probability of the density (von Neumann, 1951). Raises
    ArgumentError unless std > 0 and a < b.

    >>> import chainrule as cr
    >>> bool(trunc_normal_(cr.zeros(100), a=-1.0, b=1.0).abs().max() <= 1)
    True
    """
    if not (std > 0 and a < b):
        raise ArgumentError(
            "a truncated normal distribution has std > 0 and a < b",
            given=f"N({mean}, {std}²) on [{a}, {b}]",
        )
    source, shape, dtype = generator or default_generator, tensor.shape, tensor.dtype
    low, high = dtype.type(a), dtype.type(b)
    inside = (math.erf((b - mean) / (std * 2**0.5)) - math.erf((a - mean) / (std * 2**0.5))) / 2
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2

    def drawn() -> tuple[Array, Array]:
        """Numbers, and which of them are rejected."""
        if inside > 0.3:
            z = source.normal(shape, dtype=dtype).numpy() * std + mean
            return z, (z < low) | (z > high)
        z = source.uniform(shape, dtype=dtype).numpy() * (b - a) + a
        density = -0.5 * ((z - mean) / std) ** 2 - peak
        return z, np.log(source.uniform(shape, dtype=dtype).numpy()) > density

    x, waiting = drawn()
    while waiting.any():
        z, rejected = drawn()
        x, waiting = np.where(waiting, z, x), waiting & rejected
    return write(tensor, Tensor(np.asarray(x, dtype)))


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


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """x = 1 at the center of the kernel from each channel to itself, else 0: a convolution with it
    returns its input.

    For weights of Conv1d, Conv2d and Conv3d. With `groups`, the output channels are divided into
    groups. Raises ShapeError for other numbers of dimensions, ArgumentError for groups that do not
    divide the output channels.

    >>> import chainrule as cr
    >>> dirac_(cr.zeros(2, 2, 3))
    tensor([[[0., 1., 0.], [0., 0., 0.]], [[0., 0., 0.], [0., 1., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError("dirac_ needs the weight of a convolution", given=tensor.shape)
    out, channels, *kernel = tensor.shape
    if groups < 1 or out % groups:
        raise ArgumentError("groups must divide the output channels", given=f"{groups} of {out}")
    size = out // groups
    x = np.zeros(tensor.shape, tensor.dtype)
    center = tuple(k // 2 for k in kernel)
    for group in range(groups):
        for channel in range(min(size, channels)):
            x[(group * size + channel, channel, *center)] = 1
    return write(tensor, Tensor(x))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """x ~ N(0, std²), with a part `sparsity` of each column set to 0 (Martens, 2010).

    Raises ShapeError unless the tensor is a matrix, ArgumentError for a part outside [0, 1].

    >>> import chainrule as cr
    >>> (sparse_(cr.zeros(10, 3), 0.25) == 0).sum(0)
    tensor([3, 3, 3])
    """
    if tensor.ndim != 2:
        raise ShapeError("sparse_ needs a matrix", given=tensor.shape)
    if not 0 <= sparsity <= 1:
        raise ArgumentError("sparsity is a part, between 0 and 1", given=sparsity)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    source = generator or default_generator
    x = normal_(tensor, 0.0, std, source).detach().numpy().copy()
    for column in range(columns):
        x[source.permutation(rows).numpy()[:zeros], column] = 0
    return write(tensor, Tensor(x))
