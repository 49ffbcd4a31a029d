"""PyTorch's attributes of Tensor: dtypes, sizes, devices, text, and names found among functions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from sys import _getframe
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.settings import get_default_dtype
from chainrule.tape import Node
from chainrule.tensor import Tensor
from chainrule.torch.adapter import printing, ufuncs
from chainrule.torch.adapter.absent import Unavailable, missing_name, public_names
from chainrule.torch.adapter.attributes import PACKAGE, add, add_all, asked_by_package
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.dtypes import Size, by_name, dtype, torch_dtype
from chainrule.torch.adapter.placement import CPU, require_cpu, target_dtype
from chainrule.torch.adapter.synonyms import known_as

_OWN_INIT = Tensor.__init__

LEGACY = {
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "ByteTensor": "uint8",
    "CharTensor": "int8",
    "ShortTensor": "int16",
    "IntTensor": "int32",
    "LongTensor": "int64",
    "BoolTensor": "bool",
}
"""PyTorch's legacy names of element types."""
_LEGACY_NAMES = {numpy: name for name, numpy in LEGACY.items()}


def legacy(data: tuple[Any, ...], kind: str) -> Any:
    """The array of `FloatTensor(2, 3)` or `FloatTensor([1, 2])`: sizes, or numbers."""
    numpy = np.dtype(by_name(kind))
    if len(data) == 1 and not isinstance(data[0], (int, Size)):
        numbers = data[0].detach().numpy() if isinstance(data[0], Tensor) else data[0]
        return np.array(numbers, numpy)
    sizes = data[0] if data and isinstance(data[0], Size) else data
    if not all(isinstance(n, int) for n in sizes):
        raise DTypeError(
            "a tensor is made of sizes or of one list of numbers",
            given=repr(data)[:80],
            instead="Use torch.tensor(data).",
        )
    return np.zeros(sizes if data else (0,), numpy)


class GradFn:
    """`x.grad_fn`: the node of a tensor on the tape."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def name(self) -> str:
        """The name of the op in PyTorch's form: `MulBackward0`."""
        return printing.backward_name(self._node.primitive.name)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes of the inputs."""
        return tuple(
            (None, 0)
            if edge is None
            else (
                GradFn(edge[0]) if isinstance(edge[0], Node) else AccumulateGrad(edge[0]),
                edge[1],
            )
            for edge in self._node.edges
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and self._node is other._node

    def __hash__(self) -> int:
        return hash(self._node)

    def __repr__(self) -> str:
        return f"<{self.name()} object at 0x{id(self._node):x}>"


class AccumulateGrad:
    """The end of the tape at a leaf, which adds to `variable.grad`."""

    next_functions = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        """PyTorch's name of this node."""
        return "torch::autograd::AccumulateGrad"


class TensorAttributes:
    """Attributes that Tensor has while PyTorch's attributes are active."""

    def __init__(self: Any, *data: Any, **keywords: Any) -> None:
        if asked_by_package():
            _OWN_INIT(self, *data, **keywords)
            return
        require_cpu(keywords.pop("device", None))
        _OWN_INIT(self, legacy(data, str(get_default_dtype())), **keywords)

    __array_ufunc__ = ufuncs.apply

    def __repr__(self: Any) -> str:
        return printing.text(self)

    def __getattr__(self: Any, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = lookup(name)
        if method is None:
            raise missing_name("torch.Tensor", name)
        return method.__get__(self)

    # Code of the package gets NumPy's objects here. The test of `asked_by_package` is written out,
    # because the call would take longer than the property.

    @property
    def dtype(self: Any) -> Any:
        """The element type."""
        dtype = self._data.dtype
        return dtype if _getframe(1).f_code.co_filename.startswith(PACKAGE) else torch_dtype(dtype)

    @property
    def shape(self: Any) -> Any:
        """The sizes."""
        shape = self._data.shape
        return shape if _getframe(1).f_code.co_filename.startswith(PACKAGE) else Size(shape)

    def size(self: Any, dim: int | None = None) -> Any:
        """All sizes, or the size of one dimension."""
        return Size(self._data.shape) if dim is None else self._data.shape[dim]

    # Devices and memory.

    device = property(lambda self: CPU)
    layout = property(lambda self: sys.modules["chainrule.torch"].strided)
    is_cuda = is_mps = is_sparse = is_quantized = is_meta = property(lambda self: False)
    is_ipu = is_maia = is_mtia = is_vulkan = is_xla = is_xpu = is_cuda
    is_mkldnn = is_nested = is_sparse_csr = is_cuda
    is_cpu = property(lambda self: True)

    def to(self: Any, *args: Any, **keywords: Any) -> Any:
        """Convert to another dtype. The device `cpu` has no effect."""
        wanted = target_dtype(args, keywords)
        if wanted is None or np.dtype(wanted) == self._data.dtype:
            return self.clone() if keywords.get("copy") else self
        return self.astype(np.dtype(wanted))

    def type(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the tensor's type, or the tensor converted to another type."""
        if dtype is None:
            return f"torch.{_LEGACY_NAMES[str(self._data.dtype)]}"
        return self.to(dtype_of(dtype))

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
        """Raise an error: there is no GPU."""
        require_cpu("cuda")

    ipu = mtia = xpu = cuda

    def bfloat16(self: Any) -> Any:
        """Convert to bfloat16, which is stored as float32."""
        return self.to(by_name("bfloat16"))

    def byte(self: Any) -> Any:
        """Convert to uint8."""
        return self.to(by_name("uint8"))

    def char(self: Any) -> Any:
        """Convert to int8."""
        return self.to(by_name("int8"))

    def short(self: Any) -> Any:
        """Convert to int16."""
        return self.to(by_name("int16"))

    def new(self: Any, *data: Any, device: Any = None) -> Any:
        """A tensor of the same dtype, of sizes or of a list of numbers."""
        require_cpu(device)
        return Tensor(legacy(data, str(self._data.dtype)))

    def pin_memory(self: Any, device: Any = None) -> Any:
        """Return the tensor: there is no GPU to pin memory for."""
        return self

    def share_memory_(self: Any) -> Any:
        """Return the tensor."""
        return self

    def record_stream(self: Any, stream: Any) -> None:
        """Do nothing: there are no streams."""

    def to_dense(self: Any, dtype: Any = None, *, masked_grad: Any = None) -> Any:
        """Return the tensor, which is dense, or convert it to another dtype."""
        return self if dtype is None else self.to(dtype)

    def dense_dim(self: Any) -> int:
        """The number of dimensions: the tensor is dense."""
        return int(self.ndim)

    def get_device(self: Any) -> int:
        """Return −1, the CPU."""
        return -1

    def is_pinned(self: Any, device: Any = None) -> bool:
        """Return False: there is no GPU to pin memory for."""
        return False

    def is_shared(self: Any) -> bool:
        """Return False: no other process has the tensor."""
        return False

    def is_set_to(self: Any, tensor: Any) -> bool:
        """Whether another tensor shows the same numbers of the same memory."""
        return bool(self is tensor or self._data is tensor._data)

    def is_contiguous(self: Any, memory_format: Any = None) -> bool:
        """Whether the memory is in row-major order."""
        return bool(self._data.flags.c_contiguous)

    def storage_offset(self: Any) -> int:
        """The place of the first element in the memory that views share, in elements."""
        root = self._data
        while isinstance(root.base, np.ndarray):
            root = root.base
        start, first = (x.__array_interface__["data"][0] for x in (root, self._data))
        return int(first - start) // int(self._data.itemsize)

    def stride(self: Any, dim: int | None = None) -> Any:
        """The step in memory, in elements, along each dimension or one."""
        steps = tuple(n // self._data.itemsize for n in self._data.strides)
        return steps if dim is None else steps[dim]

    # Elements.

    itemsize = property(lambda self: self._data.itemsize)
    nbytes = property(lambda self: self._data.nbytes)
    grad_fn = property(lambda self: None if self._node is None else GradFn(self._node))
    output_nr = property(lambda self: 0 if self._node is None else self._output)
    name = property(lambda self: None)

    def element_size(self: Any) -> int:
        """The size of one element in bytes."""
        return int(self._data.itemsize)

    def nelement(self: Any) -> int:
        """The number of elements."""
        return int(self.numel())

    def is_floating_point(self: Any) -> bool:
        """Whether the numbers are floating."""
        return bool(self._data.dtype.kind == "f")

    def ndimension(self: Any) -> int:
        """The number of dimensions."""
        return int(self.ndim)

    def is_same_size(self: Any, other: Any) -> bool:
        """Whether another tensor has the same shape."""
        return bool(self._data.shape == other._data.shape)

    def apply_(self: Any, callable: Callable[[Any], Any]) -> Any:
        """Assign `callable(number)` to each element; slow, without gradients."""
        numbers = [callable(v) for v in self.reshape(-1).tolist()]
        return self.assign(np.array(numbers, self._data.dtype).reshape(self._data.shape))

    # Complex numbers, which there are none of.

    real = property(lambda self: self)
    H = mH = property(lambda self: self.mT)

    def conj(self: Any) -> Any:
        """Return the tensor: its numbers are real."""
        return self

    resolve_conj = conj_physical = conj_physical_ = resolve_neg = conj

    def is_conj(self: Any) -> bool:
        """Return False: there are no complex tensors."""
        return False

    is_complex = is_neg = is_conj

    def is_signed(self: Any) -> bool:
        """Whether the numbers can be negative."""
        return self._data.dtype.kind in "fi"


def dtype_of(value: Any) -> Any:
    """The dtype of a dtype, of a tensor type (`torch.FloatTensor`), or of its name."""
    if isinstance(value, dtype):
        return value
    if isinstance(value, Unavailable):
        value()
    name = (value if isinstance(value, str) else getattr(value, "__name__", "")).split(".")[-1]
    if name not in LEGACY:
        raise ArgumentError(f"{value!r} is no type of tensors", expected="torch.float32, ...")
    return by_name(LEGACY[name])


def lookup(name: str) -> Callable[..., Any] | None:
    """Find a method of PyTorch's that Tensor lacks: one that has another name in the package, or
    the function `torch.NAME`, called with the tensor."""
    if name not in public_names()["torch.Tensor"]:
        return None
    known = getattr(Tensor, known_as(name), None)
    function = known if inspect.isfunction(known) else _function(name)
    return function and _as_method(name, function)


def _function(name: str) -> Callable[..., Any] | None:
    """The function `torch.NAME`, if the package has it."""
    known = name in public_names()["torch"]
    function = getattr(sys.modules["chainrule.torch"], name, None) if known else None
    return function if inspect.isroutine(function) else None


def _as_method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    add(Tensor, name, function)
    return function


def install() -> None:
    """Add PyTorch's attributes to Tensor, and its keywords to the methods."""
    for source in reversed(Tensor.__mro__[:-1]):
        for name, value in vars(source).items():
            if inspect.isroutine(value) and not name.startswith("_"):
                add(Tensor, name, adapted(value))
    add_all(Tensor, TensorAttributes)
