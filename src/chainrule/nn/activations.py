"""Activations as layers. Options, defaults and documentation are those of the functions in
`nn.functional`."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.init import constant_
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import full
from chainrule.tensor import Tensor


class ReLU(FunctionLayer, of=functional.relu): ...


class ReLU6(FunctionLayer, of=functional.relu6): ...


class LeakyReLU(FunctionLayer, of=functional.leaky_relu): ...


class RReLU(FunctionLayer, of=functional.rrelu):
    """
    >>> import chainrule as cr
    >>> RReLU(0.1, 0.3).eval()(cr.tensor([-1.0, 2.0]))
    tensor([-0.2,  2. ])
    """


class ELU(FunctionLayer, of=functional.elu): ...


class CELU(FunctionLayer, of=functional.celu): ...


class SELU(FunctionLayer, of=functional.selu): ...


class Softplus(FunctionLayer, of=functional.softplus): ...


class GELU(FunctionLayer, of=functional.gelu): ...


class SiLU(FunctionLayer, of=functional.silu): ...


class Mish(FunctionLayer, of=functional.mish): ...


class Hardswish(FunctionLayer, of=functional.hardswish): ...


class GLU(FunctionLayer, of=functional.glu): ...


class Hardtanh(FunctionLayer, of=functional.hardtanh): ...


class Hardsigmoid(FunctionLayer, of=functional.hardsigmoid): ...


class Sigmoid(FunctionLayer, of=functional.sigmoid):
    """
    >>> import chainrule as cr
    >>> Sigmoid()(cr.tensor([0.0, 1000.0]))
    tensor([0.5, 1. ])
    """


class Tanh(FunctionLayer, of=functional.tanh):
    """
    >>> import chainrule as cr
    >>> Tanh()(cr.tensor([0.0, 1000.0]))
    tensor([0., 1.])
    """


class Softsign(FunctionLayer, of=functional.softsign): ...


class LogSigmoid(FunctionLayer, of=functional.logsigmoid): ...


class Hardshrink(FunctionLayer, of=functional.hardshrink):
    shown = "lambd"


class Softshrink(FunctionLayer, of=functional.softshrink):
    shown = "lambd"


class Tanhshrink(FunctionLayer, of=functional.tanhshrink): ...


class Threshold(FunctionLayer, of=functional.threshold): ...


class Softmax(FunctionLayer, of=functional.softmax): ...


class LogSoftmax(FunctionLayer, of=functional.log_softmax): ...


class Softmin(FunctionLayer, of=functional.softmin): ...


class PReLU(Module):
    """y = max(x, 0) + w·min(x, 0) with a learned w: one for all elements, or one for each channel
    of (N, C, ...) (He et al., 2015).

    weight (num_parameters) is initialized to `init`. Raises ShapeError for another number of
    channels.

    >>> import chainrule as cr
    >>> PReLU()(cr.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    shown = "num_parameters="

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None) -> None:
        check_counts("PReLU", num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype))

    def reset_parameters(self) -> None:
        """Set the weight to `init`."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return functional.prelu(input, self.weight)


class Softmax2d(Module):
    """y = softmax(x) over the channels of (N, C, H, W) or (C, H, W), separately at each pixel.

    Raises ShapeError for other numbers of dimensions.

    >>> import chainrule as cr
    >>> Softmax2d()(cr.zeros(2, 1, 1))
    tensor([[[0.5]], [[0.5]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        if isinstance(input, Tensor) and input.ndim not in (3, 4):
            raise ShapeError("Softmax2d takes (N, C, H, W) or (C, H, W)", given=input.shape)
        return functional.softmax(input, -3)
