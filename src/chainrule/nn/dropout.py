"""Dropout as layers. In evaluation mode, they return the input itself."""

from __future__ import annotations

from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer


class _Dropout(FunctionLayer):
    """Base class of dropout layers."""

    shown = "p= inplace="


class Dropout(_Dropout, of=functional.dropout):
    """In evaluation mode, y is the input itself.

    >>> import chainrule as cr
    >>> Dropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """


class Dropout1d(_Dropout, of=functional.dropout1d): ...


class Dropout2d(_Dropout, of=functional.dropout2d): ...


class Dropout3d(_Dropout, of=functional.dropout3d): ...


class AlphaDropout(_Dropout, of=functional.alpha_dropout):
    """
    >>> import chainrule as cr
    >>> AlphaDropout(0.5).eval()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """


class FeatureAlphaDropout(_Dropout, of=functional.feature_alpha_dropout):
    """
    >>> import chainrule as cr
    >>> FeatureAlphaDropout(0.5).eval()(cr.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """
