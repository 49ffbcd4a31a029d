"""Models as data: lists of layers, which `config.json` contains and `build` reads.

Only Chainrule's own layers can be named. Opening a run therefore imports no foreign code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import os
from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.data.files import PathLike, open_regular
from chainrule.errors import ArgumentError, DTypeError, FormatError, listing
from chainrule.train.runs.tabular import EmbedCategories, ResidualBlock

Layer = dict[str, Any]


def _is_layer(kind: Any) -> bool:
    """Whether a class is a module with one input, so that it can be part of a sequence."""
    is_module = isinstance(kind, type) and issubclass(kind, nn.Module)
    return is_module and [*inspect.signature(kind.forward).parameters] == ["self", "input"]


LAYERS: dict[str, Any] = {
    **{name: kind for name in nn.__all__ if _is_layer(kind := getattr(nn, name))},
    **{kind.__name__: kind for kind in (EmbedCategories, ResidualBlock)},
}


def build(layers: Any) -> nn.Sequential:
    """The model from a list of layers; FormatError for invalid lists.

    >>> build([{"layer": "Linear", "in_features": 2, "out_features": 3}, {"layer": "ReLU"}])
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """
    if not isinstance(layers, list) or not layers:
        raise FormatError("a model is a list of layers", given=repr(layers)[:60])
    return nn.Sequential(*[_layer(i, record) for i, record in enumerate(layers)])


def _layer(place: int, record: Any) -> nn.Module:
    name = record.get("layer") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in LAYERS:
        raise FormatError(
            f"layer {place} is unknown: {name!r:.80}",
            expected=listing(sorted(LAYERS), like=str(name)[:80]),
        )
    options = {key: value for key, value in record.items() if key != "layer"}
    if strange := [k for k, v in options.items() if not isinstance(v, (bool, int, float, list))]:
        raise FormatError(f"layer {place}: {name} has options that are no numbers: {strange}")
    try:
        layer: nn.Module = LAYERS[name](**options)
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise FormatError(f"layer {place}: {name} cannot be made: {error}") from error
    return layer


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float = 0.0) -> list[Layer]:
    """Linear layers with ReLU between them: inputs → hidden... → outputs.

    >>> [layer["layer"] for layer in mlp(64, [128], 10)]
    ['Linear', 'ReLU', 'Linear']
    """
    layers: list[Layer] = []
    for width in hidden:
        layers += [_linear(inputs, width), _record(nn.ReLU), *_dropout(dropout)]
        inputs = width
    return [*layers, _linear(inputs, outputs)]


def cnn(shape: Sequence[int], outputs: int, dropout: float = 0.3) -> list[Layer]:
    """Two stages of convolution and pooling, and two linear layers, for images (C, H, W).

    conv 3×3 → 16, batch norm, ReLU, pool; conv 3×3 → 32, batch norm, ReLU, pool; 128; outputs.
    """
    channels, height, width = shape
    if min(height, width) < 4:
        raise ArgumentError("images are too small for the cnn", given=shape, expected=">= 4 × 4")
    layers: list[Layer] = []
    for filters in (16, 32):
        layers += [
            _record(
                nn.Conv2d, in_channels=channels, out_channels=filters, kernel_size=3, padding=1
            ),
            _record(nn.BatchNorm2d, num_features=filters),
            _record(nn.ReLU),
            _record(nn.MaxPool2d, kernel_size=2),
        ]
        channels, height, width = filters, height // 2, width // 2
    features = channels * height * width
    return [*layers, _record(nn.Flatten), *mlp(features, [128], outputs, dropout)]


def _record(kind: type[nn.Module], **options: Any) -> Layer:
    return {"layer": kind.__name__, **options}


def _linear(inputs: int, outputs: int) -> Layer:
    return _record(nn.Linear, in_features=inputs, out_features=outputs)


def _dropout(p: float) -> list[Layer]:
    return [_record(nn.Dropout, p=p)] if p else []


def default_hidden(shape: Sequence[int]) -> list[int]:
    """Default widths for inputs of a shape: 128 and 64 for large inputs, else 128 or 64."""
    size = math.prod(shape)
    return [128, 64] if size >= 256 else [128] if size >= 64 else [64]


# -- a user's own file -------------------------------------------------------------------------


def own_file(target: str) -> tuple[str, str, str]:
    """The path, the function and the SHA-256 of `FILE.py:function`, for a config."""
    path, _, function = target.rpartition(":")
    if not path or not function.isidentifier():
        known = "mlp, cnn, table, or FILE.py:function"
        raise ArgumentError("unknown model", given=target, expected=known)
    path = os.path.abspath(path)
    return path, function, _digest(path)


def build_from_file(
    path: str, name: str, digest: str, shape: Sequence[int], outputs: int
) -> nn.Module:
    """Run the user's file and call its function: `function(input_shape, outputs)`, or without
    arguments if it takes none. The file must be unchanged since the run was made."""
    if (found := _digest(path)) != digest:
        raise ArgumentError(
            f"{path} has changed since the run was made",
            given=found,
            expected=digest,
            instead="Restore the old file, or train again.",
        )
    spec = importlib.util.spec_from_file_location("chainrule_user_model", path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise ArgumentError(f"{path} has no function {name!r}")
    takes = inspect.signature(function).parameters
    model = function(tuple(shape), outputs) if takes else function()
    if not isinstance(model, nn.Module):
        raise DTypeError(f"{name} returned no Module", given=type(model).__name__)
    return model


def _digest(path: PathLike) -> str:
    with open_regular(path) as (file, _):
        return hashlib.sha256(file.read()).hexdigest()
