"""Activations as layers. Each keeps the shape of its input.

`inplace` is accepted for PyTorch's sake: the result is the same, the input is never changed.
"""

from __future__ import annotations

from typing import cast

from chainrule.errors import ArgumentError
from chainrule.gateway import apply
from chainrule.nn import functional
from chainrule.nn.functional.checks import check_positive, check_tensors
from chainrule.nn.module import Module
from chainrule.ops import elementwise, fused, special
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

_relu, _sigmoid = cast(Primitive, special.relu), cast(Primitive, special.sigmoid)
_silu, _tanh = cast(Primitive, special.silu), cast(Primitive, elementwise.tanh)
_softmax, _log_softmax = cast(Primitive, fused.softmax), cast(Primitive, fused.log_softmax)


class ReLU(Module):
    """y = max(x, 0) (Nair & Hinton, 2010).

    >>> import chainrule as cr
    >>> ReLU()(cr.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = apply(_relu, input)
        return y


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope·x (Maas et al., 2013).

    >>> import chainrule as cr
    >>> LeakyReLU(0.1)(cr.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return functional.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """y = x where x > 0, else α·(eˣ − 1) (Clevert et al., 2015).

    >>> import chainrule as cr
    >>> ELU()(cr.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return functional.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel, 2016).

    `approximate="tanh"` uses tanh in place of Φ.

    >>> import chainrule as cr
    >>> GELU()(cr.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(
                "unknown approximation of GELU", given=repr(approximate),
                expected="'none' or 'tanh'",
            )  # fmt: skip
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return functional.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """y = x·σ(x), also called swish (Ramachandran et al., 2017).

    >>> import chainrule as cr
    >>> SiLU()(cr.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = apply(_silu, input)
        return y


class Sigmoid(Module):
    """y = σ(x) = 1/(1 + e⁻ˣ).

    >>> import chainrule as cr
    >>> Sigmoid()(cr.tensor([0.0, 1000.0]))
    tensor([0.5, 1. ])
    """

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = apply(_sigmoid, input)
        return y


class Tanh(Module):
    """y = tanh x.

    >>> import chainrule as cr
    >>> Tanh()(cr.tensor([0.0, 1000.0]))
    tensor([0., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = apply(_tanh, input)
        return y


class Softplus(Module):
    """y = ln(1 + e^(βx))/β, a smooth relu; x itself where βx > threshold.

    >>> import chainrule as cr
    >>> Softplus()(cr.tensor([0.0]))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check_positive("Softplus", beta=beta)
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """yᵢ = e^xᵢ / Σⱼ e^xⱼ along `dim`: positive, with sum 1.

    >>> import chainrule as cr
    >>> Softmax(dim=-1)(cr.tensor([1e4, 0.0, -1e4]))
    tensor([1., 0., 0.])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("Softmax", input=input)
        y: Tensor = _softmax(input, self.dim)
        return y

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """yᵢ = xᵢ − ln Σⱼ e^xⱼ along `dim`.

    >>> import chainrule as cr
    >>> LogSoftmax(dim=-1)(cr.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("LogSoftmax", input=input)
        y: Tensor = _log_softmax(input, self.dim)
        return y

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
