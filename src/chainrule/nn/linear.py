"""Linear and bilinear layers, and the identity."""

from __future__ import annotations

import math
from typing import Any

from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor


class Linear(Module):
    """y = x·Wᵀ + b: (..., in_features) → (..., out_features).

    weight (out_features, in_features) and bias (out_features) are initialized from U(−k, k),
    k = 1/√in_features. Raises ShapeError for an input with another number of features, and
    DTypeError for one whose dtype is not that of the weight.

    >>> import chainrule as cr
    >>> layer = Linear(784, 10)
    >>> layer(cr.zeros(64, 784)).shape
    (64, 10)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        check_counts("Linear", 0, in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize weight and bias anew."""
        bound = 1 / math.sqrt(max(self.in_features, 1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)

    def short_repr(self) -> str:
        return f"{self.in_features} → {self.out_features}"


class Bilinear(Module):
    """y[o] = x₁ᵀ·W[o]·x₂ + b[o]: (..., in1_features), (..., in2_features) → (..., out_features).

    weight (out_features, in1_features, in2_features) and bias (out_features) are initialized from
    U(−k, k), k = 1/√in1_features. Raises ShapeError for inputs that do not fit.

    >>> import chainrule as cr
    >>> Bilinear(2, 3, 4)(cr.zeros(5, 2), cr.zeros(5, 3)).shape
    (5, 4)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        check_counts(
            "Bilinear",
            in1_features=in1_features,
            in2_features=in2_features,
            out_features=out_features,
        )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def short_repr(self) -> str:
        return f"{self.in1_features} × {self.in2_features} → {self.out_features}"


class Identity(Module):
    """y = x. The constructor ignores its arguments, as in PyTorch.

    >>> import chainrule as cr
    >>> Identity(54, unused=True)(cr.tensor([1.0]))
    tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
