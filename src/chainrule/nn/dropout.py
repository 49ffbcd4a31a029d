"""Dropout."""

from __future__ import annotations

from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer


class Dropout(FunctionLayer, of=functional.dropout):
    """In evaluation mode, y is the input itself.

    >>> import chainrule as cr
    >>> Dropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    shown = "p= inplace="
