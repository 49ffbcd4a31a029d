"""Dropout."""

from __future__ import annotations

from chainrule.nn import functional
from chainrule.nn.functional.checks import check_probability
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class Dropout(Module):
    """In training each element becomes 0 with probability p, else x/(1 − p); shapes stay.

    In evaluation the input itself (Srivastava et al., 2014). Random numbers come from the default
    generator. `inplace` is accepted for PyTorch's sake: the input is never changed.

    >>> import chainrule as cr
    >>> Dropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = check_probability("Dropout", p)

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
