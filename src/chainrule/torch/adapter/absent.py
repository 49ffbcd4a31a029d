"""Errors for PyTorch's names that Chainrule does not have, with advice.

`names.txt` lists PyTorch's public names, one module on each line. It distinguishes a name that only
PyTorch has from a misspelt one.
"""

from __future__ import annotations

import difflib
import functools
import re
from importlib.resources import files
from typing import Any, NoReturn

from chainrule.errors import ChainruleError, listing

ADVICE = {
    "torch.fft": "Use numpy.fft on x.detach().numpy(); its results have no gradients here.",
    "torch.sparse": "Chainrule's tensors are dense: build the dense tensor.",
    "torch.Tensor.to_sparse": "Chainrule's tensors are dense: leave the conversion out.",
    "torch.sparse_coo_tensor": "Chainrule's tensors are dense: use torch.zeros and x[i] = v.",
    "torch.nested": "Pad the sequences: torch.nn.utils.rnn.pad_sequence.",
    "torch.complex": "There are no complex tensors: keep real and imaginary part as two tensors.",
    "torch.view_as_complex": "There are no complex tensors: keep real and imaginary part as two.",
    "torch.view_as_real": "There are no complex tensors: keep real and imaginary part as two.",
    "torch.polar": "There are no complex tensors: use torch.cos and torch.sin.",
    "torch.as_strided": "Use unfold, views or indexing: memory layout has no meaning here.",
    "torch.Tensor.as_strided": "Use unfold, views or indexing: memory layout has no meaning here.",
    "torch.imag": "There are no complex tensors: the imaginary part is 0.",
    "torch.Tensor.imag": "There are no complex tensors: the imaginary part is 0.",
    "torch.Tensor.resize_": "Make a new tensor, x.new_empty(shape), or take a view: x[:n].view().",
    "torch.Tensor.resize_as_": "Make a new tensor: torch.empty_like(other).",
    "torch.Tensor.set_": "Assign the other tensor to the name, or its numbers: x.copy_(other).",
    "torch.Tensor.storage": "Use x.numpy(): memory layout has no meaning here.",
    "torch.Tensor.untyped_storage": "Use x.numpy(): memory layout has no meaning here.",
    "torch.Tensor.data_ptr": "Use id(x): writes replace the memory of a tensor.",
    "torch.distributions": "Build it of the families that are here, with TransformedDistribution, "
    "MixtureSameFamily or Independent.",
    "torch.distributed": "Ranks of MPI are one group that exchanges tensors: use all_reduce, "
    "reduce, broadcast, all_gather and barrier.",
    "torch.nn.CrossMapLRN2d": "Use torch.nn.LocalResponseNorm.",
    "torch.nn.parallel": "Use DistributedDataParallel.",
    "torch.jit": "Models run as they are: call the model itself, or chainrule.compile.",
    "torch.fx": "Use chainrule.trace, whose graph can be printed and changed.",
    "torch.export": "Use chainrule.trace, whose graph can be printed and changed.",
    "torch.onnx": "Save the weights: torch.save(model.state_dict(), path).",
    "torch.quasirandom": "Draw with torch.rand, or scipy.stats.qmc.Sobol.",
    "torch.signal": "Use torch.hann_window, hamming_window, blackman_window or kaiser_window.",
    "torch.Tensor.register_post_accumulate_grad_hook": "Use register_hook, which gets the gradient "
    "before it is added, or loop over the parameters after backward().",
    "torch.nn.LinearCrossEntropyLoss": "Use torch.nn.Linear and torch.nn.CrossEntropyLoss.",
    "torch.nn.functional.linear_cross_entropy": "Use cross_entropy(linear(x, weight, bias), y).",
    "torch.nn.utils.clip_grad_norm": "Use torch.nn.utils.clip_grad_norm_.",
    "torch.nonzero_static": "Use torch.nonzero.",
    "torch.Tensor.nonzero_static": "Use torch.nonzero.",
    "torch.to_dlpack": "Pass the tensor itself to the other library's from_dlpack.",
    "torch.testing.make_tensor": "Use torch.randn(shape) or torch.randint(low, high, shape).",
    "torch.utils.swap_tensors": "Exchange the names, or the numbers with copy_.",
    "torch.fork": "Call the function itself.",
    "torch.wait": "Call the function itself.",
    "torch.quantization": "Chainrule computes in floating numbers: use the model itself.",
    "torch.ao": "Chainrule computes in floating numbers: use the model itself.",
    "torch.profiler": "Use chainrule.compile(step).report(), or cProfile of Python.",
    "torch.hub": "Build the model in code and load its weights with torch.load.",
    "torch.cuda": "Chainrule computes on the CPU: guard it with torch.cuda.is_available().",
    "torch.xpu": "Chainrule computes on the CPU: guard it with torch.xpu.is_available().",
    "torch.accelerator": "Chainrule computes on the CPU: guard it with "
    "torch.accelerator.is_available().",
    "torch.mps": "Chainrule computes on the CPU: guard it with torch.backends.mps.is_available().",
    "torch.nn.Module.compile": "Use torch.compile(model).",
    "torch.compiler": "Use torch.compile, or leave it out: the results are the same.",
    "torch.optim.SparseAdam": "Gradients are dense here: use torch.optim.Adam.",
    "torch.library": "Write an op of your own with chainrule.primitive.",
    "torch.overrides": "Write a function of your own instead of changing torch's.",
}
"""Dotted name, or a prefix of it → what to use instead."""

_DENSE = "Chainrule's tensors are dense: leave the conversion out."
_REAL = "There are no complex tensors: keep real and imaginary part as two tensors."
_WHOLE = "It is a part of one of PyTorch's layers: use the layer, or its function."

FAMILIES = {
    r".*(complex|cfloat|cdouble|chalf|eig|eigvals|i?stft|H|conj_physical)": _REAL,
    r".*(sparse|_cs[rc]|_bs[rc]|_coo|row_ind|col_ind|coalesce|[sd]p?s?mm|saddmm|sspaddmm|hspmm"
    r"|Tensor\.values|Tensor\.indices|dense_dim|jagged|nested|padded).*": _DENSE,
    r".*(quant|qint|torch\.quint|q_[zps]|qscheme|per_tensor|per_channel|int_repr|fake_|QInt|QUInt"
    r"|observer|Observer).*": ADVICE["torch.quantization"],
    r"torch\.(u?int\d+|bits?\d*(x\d)?|float[48]_\w+)": "The dtypes are torch.bool, uint8, int8, "
    "int16, int32, int64, float16, float32, float64, and bfloat16, which is stored as float32.",
    r".*([Ss]torage\w*|from_file|data_ptr)": "Use x.numpy(): memory layout has no meaning here.",
    r".*_copy": "Call the function without _copy, and then .clone().",
    r".*(cudnn|miopen|mkldnn|fbgemm|native_|batch_norm_|conv_tbc|convolution|embedding_renorm_"
    r"|max_pool1d_with|feature_dropout|geqrf|ormqr|ldl_|lobpcg).*": _WHOLE,
    r"torch\.(lstm|gru|rnn_tanh|rnn_relu)(_cell)?": "Use torch.nn.LSTM, GRU or RNN, or cells.",
    r"torch\.(affine_grid|grid_sampler)\w*": "Use torch.nn.functional.affine_grid and grid_sample.",
    r"torch\.(Tensor\.)?(lstsq|matrix_rank|solve|symeig)": "PyTorch has removed it, too: use "
    "torch.linalg.lstsq, matrix_rank, solve or eigh.",
    r"torch\.special\..*": "Use scipy.special on x.detach().numpy(); its results have no gradients "
    "here.",
    r"torch\.multiprocessing\..*": "Use Python's multiprocessing; DataLoader(num_workers=n) starts "
    "processes by itself.",
    r"torch\.utils\.data\..*": "Use Dataset or IterableDataset.",
    r"torch\.backends\..*": "Chainrule computes on the CPU: leave the setting out.",
    r".*(segment_reduce)": "Use scatter_reduce with the number of each element's segment.",
    r".*(resize|set_|map2?_)": "Make a new tensor of the numbers.",
    r"torch\.nn\.functional\.(\w*scaled\w*|grouped_mm)": "Use torch.matmul.",
    r".*(override|has_torch_function|handle_torch_function|is_tensor_like)\w*": ADVICE[
        "torch.overrides"
    ],
    r"torch\.(Tensor\.)?(as_strided|resize_as|new_empty_strided|dim_order)\w*": "Memory layout has "
    "no meaning here: use views or indexing.",
    r".*_memory_format": "Leave it out: memory layout has no meaning here.",
    r".*": "It is about PyTorch's own machinery: leave it out.",
}
"""Pattern of dotted names without advice of their own → what to use instead."""

ACCELERATORS = ("accelerator", "cuda", "mps", "xpu")
REFUSED = (
    *ACCELERATORS,
    "Event",
    "Stream",
    "SymBool",
    "SymFloat",
    "SymInt",
    "ao",
    "distributed",
    "export",
    "fx",
    "hub",
    "jit",
    "library",
    "nn.parallel",
    "onnx",
    "optim.SparseAdam",
    "profiler",
    "quantization",
    "sparse",
)
"""Modules, and classes, whose names can be imported but not called.

Scripts often import them for cases that do not occur here, such as training in several processes.
"""


class MissingNameError(ChainruleError, AttributeError):
    """A name that Chainrule does not have. PyTorch may have it or not."""


class NotOfferedError(ChainruleError, NotImplementedError):
    """A call of something that can be imported, but that Chainrule does not offer."""


class NoAcceleratorError(ChainruleError, AssertionError, RuntimeError):
    """A request for a GPU or another accelerator. Chainrule computes on the CPU."""


class MissingModuleError(ChainruleError, ModuleNotFoundError):
    """An import of a module, or of a name in a module, that Chainrule does not have."""


class KeywordError(ChainruleError, TypeError):
    """A keyword that a function does not take."""


@functools.cache
def public_names() -> dict[str, frozenset[str]]:
    """PyTorch's public names by module, and those of `torch.Tensor`.

    >>> "relu" in public_names()["torch.nn.functional"]
    True
    """
    text = files(__package__).joinpath("names.txt").read_text(encoding="utf-8")
    rows = (line.partition(":") for line in text.splitlines())
    return {path: frozenset(names.split()) for path, _, names in rows}


def advice_on(dotted: str) -> str | None:
    """What to use instead of a name: its own advice, or that of the nearest enclosing module, or
    that of its family."""
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        if text := ADVICE.get(".".join(parts[:length])):
            return text
    return next((text for name, text in FAMILIES.items() if re.fullmatch(name, dotted)), None)


def is_refused(path: str) -> bool:
    """Whether `torch.PATH`, or its names if it is a module, can be imported but not called."""
    return any(path == name or path.startswith(f"{name}.") for name in REFUSED)


def explain(owner: str, name: str) -> tuple[str, str | None]:
    """What is wrong with `owner.name`, and what to write instead."""
    known = public_names().get(owner, frozenset())
    dotted = f"{owner}.{name}"
    if name in known or dotted in public_names():
        return f"{dotted} is PyTorch's, and Chainrule has no such name", advice_on(dotted)
    if not known:
        return f"Chainrule has no {dotted}", advice_on(dotted)
    close = difflib.get_close_matches(name, known, 3)
    return f"neither PyTorch nor Chainrule has {dotted}", (
        f"Did you mean {listing(close)}?" if close else None
    )


def missing_name(owner: str, name: str) -> MissingNameError:
    """The error for `owner.name`."""
    problem, instead = explain(owner, name)
    error = MissingNameError(problem, instead=instead)
    error.name = name
    return error


def missing_module(dotted: str) -> MissingModuleError:
    """The error for `import dotted`, or for a name that is imported from a module."""
    problem, instead = explain(*dotted.rpartition(".")[::2])
    return MissingModuleError(problem, instead=instead)


class Unavailable(type):
    """The metaclass of names that can be imported but not called."""

    dotted: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        on_device = cls.dotted.split(".")[1] in ACCELERATORS
        raise (NoAcceleratorError if on_device else NotOfferedError)(
            f"{cls.dotted} is PyTorch's, and Chainrule has no such thing",
            instead=advice_on(cls.dotted),
        )

    def __getattr__(cls, name: str) -> NoReturn:
        raise missing_name(cls.dotted, name)

    def __getitem__(cls, key: object) -> Unavailable:  # in an annotation: `Final[int]`
        return cls


def unavailable(owner: str, name: str) -> Unavailable:
    """A class for `owner.name` that can be imported and raises an error when it is called.

    >>> FileStore = unavailable("torch.distributed", "FileStore")
    >>> isinstance(3, FileStore)
    False
    """
    return Unavailable(name, (), {"dotted": f"{owner}.{name}", "__module__": owner})
