"""The text of a module as PyTorch prints it: `Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))`.

A table gives the fields of each layer: `name` prints the value, `name=` the name and the value, and
`name?` both unless the value is the default. Layers without a row print their options as the
package does. A module of a script prints what its own `extra_repr` returns.
"""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any

from chainrule.nn.containers import ModuleList, ParameterDict, ParameterList
from chainrule.nn.module import Module
from chainrule.nn.utils.parametrize import is_parametrized
from chainrule.torch.adapter.internals import PartsView

_NORM = "affine= bias= track_running_stats="
_LAYERS = "num_layers? bias? batch_first? dropout? bidirectional?"
_ROWS = {
    r"(Lazy)?Conv(Transpose)?\dd": "in_channels out_channels kernel_size= stride= padding? "
    "dilation? output_padding? groups? bias? padding_mode?",
    r"(Lazy)?(Batch|Instance)Norm\dd": f"num_features eps= momentum= {_NORM}",
    r"LayerNorm": "normalized_shape eps= elementwise_affine= bias=",
    r"RMSNorm": "normalized_shape eps= elementwise_affine=",
    r"GroupNorm": "num_groups num_channels eps= affine= bias=",
    r"LocalResponseNorm": "size alpha= beta= k=",
    r"LSTM": f"input_size hidden_size proj_size? {_LAYERS}",
    r"GRU|RNN": f"input_size hidden_size {_LAYERS}",
    r"(LSTM|GRU|RNN)Cell": "input_size hidden_size bias? nonlinearity?",
    r"Embedding": "num_embeddings embedding_dim padding_idx? max_norm? norm_type? "
    "scale_grad_by_freq? sparse?",
    r"EmbeddingBag": "num_embeddings embedding_dim max_norm? norm_type? scale_grad_by_freq? mode= "
    "padding_idx?",
    r"MaxPool\dd": "kernel_size= stride= padding= dilation= ceil_mode=",
    r"AvgPool\dd": "kernel_size= stride= padding=",
    r"Adaptive.*": "output_size=",
    r".*Dropout\d?d?": "p= inplace=",
    r"(Hard|Soft)shrink": "lambd",
    r"PReLU": "num_parameters=",
    r"(Log)?Softm(ax|in)": "dim=",
    r"_(WeightNorm|SpectralNorm|Orthogonal)": "",
    r".*Loss|MultiheadAttention|Transformer.*|CosineSimilarity|PairwiseDistance|Fractional.*": "",
}
"""Pattern of the class name of a layer → the fields that PyTorch prints."""

_KINDS = {("MultiheadAttention", "out_proj"): "NonDynamicallyQuantizableLinear"}
"""(module, child) → the name of the class that PyTorch uses there."""


def text(module: Module, kind: str | None = None) -> str:
    """The text of a module and its descendants.

    >>> from chainrule import nn
    >>> print(nn.Sequential(nn.Linear(2, 3), nn.Dropout()))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Dropout(p=0.5, inplace=False)
    )
    """
    own = type(module).__name__
    kind = kind or (f"Parametrized{own}" if is_parametrized(module) else own)
    extra = _extra(module)
    lines = extra.split("\n") if extra else []
    parts = _parts(module, own)
    if len(lines) == 1 and not parts:
        return f"{kind}({extra})"
    if not lines and not parts:
        return f"{kind}()"
    body = "\n".join([*lines, *parts]).replace("\n", "\n  ")
    return f"{kind}(\n  {body}\n)"


def _parts(module: Module, own: str) -> list[str]:
    """`(name): text` of each child. Equal neighbours in a list are counted: `(0-2): 3 x ...`."""
    found: list[list[Any]] = []
    for name, child in PartsView(module, "module").items():
        kind = _KINDS.get((own, name))
        if isinstance(child, Module) and type(child).__repr__ is Module.__repr__:
            shown = text(child, kind)
        else:  # None, or a module with a text of its own
            shown = repr(child)
        if found and isinstance(module, ModuleList) and found[-1][2] == shown:
            found[-1][1] = name
        else:
            found.append([name, name, shown])
    return [
        f"({first}): {shown}"
        if first == last
        else f"({first}-{last}): {int(last) - int(first) + 1} x {shown}"
        for first, last, shown in found
    ]


def _extra(module: Module) -> str:
    kind = type(module)
    if isinstance(module, (ParameterList, ParameterDict)):
        return "\n".join(
            f"  ({name}): Parameter containing: [{_kind_of_numbers(module, p)} of size {_by_x(p)}]"
            for name, p in PartsView(module, "parameter").items()
        )
    owner = next(k for k in kind.__mro__ if "extra_repr" in vars(k))
    if not owner.__module__.startswith("chainrule."):
        return module.extra_repr()
    layer = next(k for k in kind.__mro__ if k.__module__.startswith("chainrule."))
    if not issubclass(layer, Module) or layer is Module:
        return ""
    row = _row(layer.__name__)
    if row is None:
        return module.extra_repr() if layer is kind else layer.extra_repr(module)
    return ", ".join(filter(None, (_field(module, field, layer) for field in row.split())))


@functools.cache
def _row(name: str) -> str | None:
    return next((row for pattern, row in _ROWS.items() if re.fullmatch(pattern, name)), None)


def _field(module: Any, field: str, layer: type) -> str:
    name = field.rstrip("=?")
    if not hasattr(module, name):
        return ""
    value = getattr(module, name)
    option = inspect.signature(layer).parameters.get(name)
    if option is None and field.endswith("?"):
        return ""
    default = None if option is None else option.default
    if name in ("bias", "affine", "track_running_stats", "ceil_mode", "inplace"):
        value = value is not None and value is not False
    if re.fullmatch(r"AvgPool1d", layer.__name__) and not isinstance(value, tuple):
        value = (value,)
    if field == name:
        return str(value)
    if name == "mode":
        value = repr(value)
    is_default = value == default or (isinstance(value, tuple) and {*value} == {default})
    is_shown = field.endswith("=") or not (is_default or value is None)
    return f"{name}={value}" if is_shown else ""


def _kind_of_numbers(module: Module, parameter: Any) -> str:
    """PyTorch names the dtype in a list, and the type of tensor in a dict."""
    is_list = isinstance(module, ParameterList)
    return f"torch.{parameter._data.dtype}" if is_list else str(parameter.type())


def _by_x(parameter: Any) -> str:
    return "x".join(str(n) for n in parameter._data.shape)


def key_report(report: Any) -> str:
    """The text of what `load_state_dict` returns."""
    if not report.missing_keys and not report.unexpected_keys:
        return "<All keys matched successfully>"
    missing, unexpected = report.missing_keys, report.unexpected_keys
    return f"_IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"
