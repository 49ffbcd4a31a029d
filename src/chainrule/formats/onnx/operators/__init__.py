"""Translations of ONNX's operators to functions of tensors, by their kind."""

from chainrule.formats.onnx.operators import (
    control,
    elementwise,
    indexing,
    normalization,
    products,
    quantized,
    recurrent,
    reductions,
    regions,
    resizing,
    shapes,
    signals,
    windows,
)

__all__ = [
    "control",
    "elementwise",
    "indexing",
    "normalization",
    "products",
    "quantized",
    "recurrent",
    "reductions",
    "regions",
    "resizing",
    "shapes",
    "signals",
    "windows",
]
