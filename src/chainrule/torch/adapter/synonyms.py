"""PyTorch's second names of functions: `torch.arccos` is `torch.acos`."""

from __future__ import annotations

_SYNONYMS = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "atan": "arctan",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "det": "linalg.det",
    "divide": "div",
    "expit": "sigmoid",
    "fix": "trunc",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "ger": "outer",
    "greater": "gt",
    "greater_equal": "ge",
    "inverse": "linalg.inv",
    "less": "lt",
    "less_equal": "le",
    "matrix_exp": "linalg.matrix_exp",
    "matrix_power": "linalg.matrix_power",
    "moveaxis": "movedim",
    "multigammaln": "mvlgamma",
    "multiply": "mul",
    "native_channel_shuffle": "channel_shuffle",
    "ndtr": "normal_cdf",
    "negative": "neg",
    "not_equal": "ne",
    "orgqr": "linalg.householder_product",
    "pinverse": "linalg.pinv",
    "psi": "digamma",
    "row_stack": "vstack",
    "sgn": "sign",
    "slogdet": "linalg.slogdet",
    "split_with_sizes": "split",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "trapz": "trapezoid",
    "true_divide": "div",
    "unsafe_chunk": "chunk",
    "unsafe_split": "split",
    "unsafe_split_with_sizes": "split",
}
"""Second name → the name that the package has, with its module if that is a part of the package."""


def known_as(name: str) -> str:
    """The package's name of a function or method of PyTorch's, of in-place forms too.

    >>> known_as("arccos"), known_as("arccos_"), known_as("exp")
    ('acos', 'acos_', 'exp')
    """
    stem = name.removesuffix("_")
    return _SYNONYMS.get(stem, stem) + name[len(stem) :]
