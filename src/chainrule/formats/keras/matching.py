"""Match the layers of a file of Keras with those of a model, and turn the layouts of weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import ArgumentError, listing
from chainrule.formats.keras.reading import File, Layer, opened
from chainrule.nn.state import KeyReport
from chainrule.primitive import Array

_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "dense": (nn.Linear,),
    "conv1d": (nn.Conv1d,),
    "conv2d": (nn.Conv2d,),
    "conv3d": (nn.Conv3d,),
    "embedding": (nn.Embedding,),
    "batch_normalization": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "layer_normalization": (nn.LayerNorm,),
    "lstm": (nn.LSTM,),
    "gru": (nn.GRU,),
    "simple_rnn": (nn.RNN,),
}
"""The layers of Keras, as their paths name them, and those here that have the same weights."""
_RECURRENT = ("lstm", "gru", "simple_rnn")
_BY_RANKS = {
    (2, 1): ("dense",),
    (2,): ("dense", "embedding"),
    (1, 1): ("layer_normalization", "batch_normalization"),
    (1, 1, 1, 1): ("batch_normalization",),
    (3, 1): ("conv1d",),
    (3,): ("conv1d",),
    (4, 1): ("conv2d",),
    (4,): ("conv2d",),
    (5, 1): ("conv3d",),
    (5,): ("conv3d",),
}
"""The kinds of layers whose arrays have these ranks; the first unless path or names tell."""
_BY_GATES = {4: "lstm", 3: "gru", 1: "simple_rnn"}
_BY_NAMES = {"embeddings": "embedding", "moving_mean": "batch_normalization"}


def load_weights(
    model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True
) -> KeyReport:
    """Load the weights of a `.keras`, `.weights.h5` or legacy `.h5` file into a model.

    The first Dense layer of the file goes to the first Linear of the model, the second to the
    second, and so on for each kind of layer: Dense, Conv1D to Conv3D, Embedding,
    BatchNormalization, LayerNormalization, LSTM, GRU and SimpleRNN. Their layouts are turned into
    those here. The file itself is only read: no code in it runs, as that of a Lambda layer.

    Images are channels first here. A Linear after an nn.Flatten that follows convolutions gets its
    inputs in that order, so write nn.Flatten as a layer. Recurrent layers of Keras have the batch
    first. BatchNormalization of Keras has ε = 0.001: BatchNorm2d(n, eps=1e-3).

    strict: whether layers that are missing in one of both raise ArgumentError. Otherwise the result
    reports them: `missing_keys` of the model, and `unexpected_keys` of the file.

    Raises FormatError for a file that is damaged or none of Keras, ArgumentError for layers that
    do not fit. The model is then unchanged.

    >>> import tempfile, h5py, numpy as np
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "model.weights.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["layers/dense/vars/0"] = np.ones((3, 2), np.float32)
    ...     file["layers/dense/vars/1"] = np.zeros(2, np.float32)
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> load_weights(model, path)
    KeyReport(missing_keys=[], unexpected_keys=[])
    """
    file = opened(path)
    _check_configs(model, file)
    waiting: dict[str, list[Layer]] = {}
    for layer in file.layers:
        waiting.setdefault(kind_of(layer), []).append(layer)
    _refuse_nested(waiting)
    state: dict[str, Any] = {}
    order = _Order()
    for name, module in model.named_modules():
        order.pass_by(module)
        if getattr(module, "bidirectional", False):
            raise ArgumentError(f"{name or 'the model'} runs in both directions, which is not read")
        kinds = [kind for kind, types in _KINDS.items() if type(module) in types]
        found = waiting.get(kinds[0], []) if kinds else []
        for number in range(min(getattr(module, "num_layers", 1), len(found))):
            layer = found.pop(0)
            entries = _entries(module, kinds[0], layer, number)
            if isinstance(module, nn.Linear):
                entries["weight"] = order.inputs(entries["weight"], name, layer.path)
            prefix = f"{name}." if name else ""
            state |= {prefix + key: _as_of(module, key, x) for key, x in entries.items()}
    for layers in waiting.values():
        state |= {f"{x.path}/{name}": array for x in layers for name, array in x.arrays.items()}
    return model.load_state_dict(state, strict=strict)


def kind_of(layer: Layer) -> str:
    """The kind of a layer: by the ranks of its arrays, and by its path and the names of arrays
    where several kinds have these. An empty text for a layer of another kind."""
    arrays = [*layer.arrays.values()]
    ranks = tuple(array.ndim for array in arrays)
    if re.search(r"/(forward|backward)_layer/", layer.path):
        return ""  # of a Bidirectional
    if ranks[:2] == (2, 2) and arrays[1].shape[0]:
        return _BY_GATES.get(arrays[1].shape[1] // arrays[1].shape[0], "")
    told = {re.sub(r"_\d+$", "", part) for part in layer.path.split("/")}
    told |= {_BY_NAMES[name] for name in layer.arrays if name in _BY_NAMES}
    kinds = _BY_RANKS.get(ranks, ("",))
    return next((kind for kind in kinds if kind in told), kinds[0])


def _refuse_nested(layers: dict[str, list[Layer]]) -> None:
    """Refuse layers of one kind in several nested models: the file does not give their order."""
    for kind, found in layers.items():
        homes = {layer.path.rpartition("layers/")[0] for layer in found}
        if kind and len(homes) > 1:
            raise ArgumentError(
                f"the file has layers of the kind {kind} in several nested models",
                given=listing(sorted(homes)),
                expected="one model, so that the order of its layers is known",
                instead="Save each inner model by itself, and load it into the inner module.",
            )


def _check_configs(model: nn.Module, file: File) -> None:
    """Refuse settings of the file under which the same weights mean something else here."""
    if any(config.get("data_format") == "channels_first" for config in file.configs):
        raise ArgumentError("the layers of the file have channels first", expected="channels last")
    for name, types in (("Batch", _KINDS["batch_normalization"]), ("Layer", (nn.LayerNorm,))):
        wanted = [c for c in file.configs if c["class_name"] == f"{name}Normalization"]
        here = [(path, m) for path, m in model.named_modules() if type(m) in types]
        for (path, module), config in zip(here, wanted, strict=False):
            if config.get("epsilon", module.eps) != module.eps:
                raise ArgumentError(
                    f"{path} has another ε than the layer of the file",
                    given=module.eps,
                    expected=config["epsilon"],
                    instead=f"{type(module).__name__}(..., eps={config['epsilon']}).",
                )


class _Order:
    """The order in which the next Linear gets its inputs, as the layers before it leave them."""

    def __init__(self) -> None:
        self.channels: int | None = None
        self.flat = False

    def pass_by(self, module: nn.Module) -> None:
        """Note a layer of the model."""
        if isinstance(module, nn.Flatten):
            self.flat = self.channels is not None
        elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            self.channels, self.flat = module.out_channels, False
        elif isinstance(module, (nn.LSTM, nn.GRU, nn.RNN, nn.Embedding)):
            self.channels, self.flat = None, False

    def inputs(self, weight: Array, name: str, path: str) -> Array:
        """A weight (out, in) whose inputs come channel by channel, not place by place."""
        channels, self.channels = self.channels, None
        if channels is None or weight.shape[1] == channels or weight.shape[1] % channels:
            return weight
        if not self.flat:
            raise ArgumentError(
                f"{name} follows a convolution, and the order of its inputs is not known",
                given=f"{path} with {weight.shape[1]} inputs of {channels} channels",
                instead="Write nn.Flatten() as a layer of the model before it.",
            )
        places = weight.reshape(len(weight), -1, channels)
        return places.transpose(0, 2, 1).reshape(weight.shape)


def _entries(module: nn.Module, kind: str, layer: Layer, number: int) -> dict[str, Array]:
    """The entries of a module's state for the arrays of a layer. number: of a recurrent layer."""
    arrays = [*layer.arrays.values()]
    try:
        entries = _TABLE[kind](arrays)
    except ValueError as error:
        raise ArgumentError(
            f"{layer.path} has other weights than a layer of the kind {kind}",
            given=listing([array.shape for array in arrays]),
            expected=str(error),
        ) from error
    suffix = f"_l{number}" if kind in _RECURRENT else ""
    return {name + suffix: array for name, array in entries.items()}


def _kernel(arrays: Sequence[Array]) -> dict[str, Array]:
    """A kernel (places..., in, out) as (out, in, places...), and a bias if there is one."""
    kernel, *bias = arrays
    axes = (kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))
    return dict(zip(("weight", "bias"), [kernel.transpose(axes), *bias], strict=False))


def _embedding(arrays: Sequence[Array]) -> dict[str, Array]:
    return {"weight": arrays[0]}


def _layer_norm(arrays: Sequence[Array]) -> dict[str, Array]:
    return dict(zip(("weight", "bias"), arrays, strict=True))


def _batch_norm(arrays: Sequence[Array]) -> dict[str, Array]:
    """Scale and shift, if there are both, and the running statistics."""
    names = ("weight", "bias", "running_mean", "running_var")[-len(arrays) :]
    return {**dict(zip(names, arrays, strict=True)), "num_batches_tracked": np.array(0)}


def _recurrent(arrays: Sequence[Array]) -> dict[str, Array]:
    """Kernels (in, gates · units) and (units, gates · units), and a bias if there is one.

    A GRU has its gates in the order z, r, h, here r, z, n. It has two biases here and in Keras; the
    others have one in Keras, and the second here is 0.
    """
    kernel, recurrent, *biases = arrays
    if len(biases) > 1:
        raise ValueError("a kernel, a recurrent kernel and a bias")
    units = len(recurrent)
    gates = [*range(recurrent.shape[1] // units)]
    if len(gates) == 3:
        gates = [1, 0, 2]
        if biases and biases[0].ndim != 2:
            raise ValueError("two biases, as a GRU with reset_after=True has them")
    columns = np.concatenate([np.arange(units) + gate * units for gate in gates])
    found = {"weight_ih": kernel[:, columns].T, "weight_hh": recurrent[:, columns].T}
    if biases:
        both = biases[0] if biases[0].ndim == 2 else np.stack([biases[0], 0 * biases[0]])
        found |= {"bias_ih": both[0, columns], "bias_hh": both[1, columns]}
    return found


_TABLE: dict[str, Callable[[Sequence[Array]], dict[str, Array]]] = {
    **dict.fromkeys(("dense", "conv1d", "conv2d", "conv3d"), _kernel),
    **dict.fromkeys(_RECURRENT, _recurrent),
    "embedding": _embedding,
    "layer_normalization": _layer_norm,
    "batch_normalization": _batch_norm,
}


def _as_of(module: nn.Module, key: str, array: Array) -> Array:
    """An array with the dtype of the entry of a module that it is for."""
    entry = getattr(module, key, None)
    return array if entry is None else np.asarray(array, entry.dtype, order="C")
