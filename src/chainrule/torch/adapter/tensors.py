"""The face of Tensor: what PyTorch's have beside the numbers and their ops."""

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
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.dtypes import Size, by_name, dtype, shown
from chainrule.torch.adapter.face import PACKAGE, asked_by_package, put, put_all
from chainrule.torch.adapter.placement import CPU, require_cpu, target_dtype

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
"""PyTorch's oldest names of element types."""
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
    """What `x.grad_fn` shows of a tensor's place on the tape."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def name(self) -> str:
        """PyTorch's way to name it: `MulBackward0`."""
        return printing.backward_name(self._node.primitive.name)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The places of what it was computed from."""
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
    """The end of the tape at a leaf, whose gradient is gathered in `variable.grad`."""

    next_functions = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        """PyTorch's name of it."""
        return "torch::autograd::AccumulateGrad"


class TensorFace:
    """Attributes that Tensor has while the face is shown."""

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

    # What the package's own code reads here is NumPy's (see `asked_by_package`, which would cost
    # more than the answer).

    @property
    def dtype(self: Any) -> Any:
        """The element type."""
        dtype = self._data.dtype
        return dtype if _getframe(1).f_code.co_filename.startswith(PACKAGE) else shown(dtype)

    @property
    def shape(self: Any) -> Any:
        """The sizes."""
        shape = self._data.shape
        return shape if _getframe(1).f_code.co_filename.startswith(PACKAGE) else Size(shape)

    def size(self: Any, dim: int | None = None) -> Any:
        """The sizes, or the one of a dimension."""
        return Size(self._data.shape) if dim is None else self._data.shape[dim]

    # Where the numbers lie.

    device = property(lambda self: CPU)
    layout = property(lambda self: "torch.strided")
    is_cuda = is_mps = is_sparse = is_quantized = is_meta = property(lambda self: False)
    is_cpu = property(lambda self: True)

    def to(self: Any, *args: Any, **keywords: Any) -> Any:
        """In another dtype; the device `cpu` is accepted and changes nothing."""
        wanted = target_dtype(args, keywords)
        if wanted is None or np.dtype(wanted) == self._data.dtype:
            return self.clone() if keywords.get("copy") else self
        return self.astype(np.dtype(wanted))

    def type(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the tensor's type, or the tensor in another one."""
        if dtype is None:
            return f"torch.{_LEGACY_NAMES[str(self._data.dtype)]}"
        return self.to(dtype_of(dtype))

    def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
        """Refused: there is no GPU."""
        require_cpu("cuda")

    def bfloat16(self: Any) -> Any:
        """In bfloat16, which is kept as float32."""
        return self.to(by_name("bfloat16"))

    def pin_memory(self: Any, device: Any = None) -> Any:
        """The tensor itself: all memory is the CPU's."""
        return self

    def share_memory_(self: Any) -> Any:
        """The tensor itself."""
        return self

    def record_stream(self: Any, stream: Any) -> None:
        """Nothing: there are no streams."""

    def get_device(self: Any) -> int:
        """−1: the CPU."""
        return -1

    def is_pinned(self: Any, device: Any = None) -> bool:
        """False: all memory is the CPU's."""
        return False

    def is_shared(self: Any) -> bool:
        """False: no other process has it."""
        return False

    def is_contiguous(self: Any, memory_format: Any = None) -> bool:
        """Whether the numbers lie row by row."""
        return bool(self._data.flags.c_contiguous)

    def stride(self: Any, dim: int | None = None) -> Any:
        """How many numbers further the next one of a dimension lies."""
        steps = tuple(n // self._data.itemsize for n in self._data.strides)
        return steps if dim is None else steps[dim]

    # What kind of numbers they are.

    itemsize = property(lambda self: self._data.itemsize)
    nbytes = property(lambda self: self._data.nbytes)
    grad_fn = property(lambda self: None if self._node is None else GradFn(self._node))

    def element_size(self: Any) -> int:
        """Bytes of one number."""
        return int(self._data.itemsize)

    def nelement(self: Any) -> int:
        """The number of elements."""
        return int(self.numel())

    def is_floating_point(self: Any) -> bool:
        """Whether the numbers are floating."""
        return bool(self._data.dtype.kind == "f")

    def is_complex(self: Any) -> bool:
        """False: there are no complex tensors."""
        return False

    def is_signed(self: Any) -> bool:
        """Whether the numbers can be negative."""
        return self._data.dtype.kind in "fi"


def dtype_of(value: Any) -> Any:
    """A dtype given as such, by the name of a type (`torch.FloatTensor`), or by the type itself."""
    if isinstance(value, dtype):
        return value
    if isinstance(value, Unavailable):
        value()
    name = (value if isinstance(value, str) else getattr(value, "__name__", "")).split(".")[-1]
    if name not in LEGACY:
        raise ArgumentError(f"{value!r} is no type of tensors", expected="torch.float32, ...")
    return by_name(LEGACY[name])


def lookup(name: str) -> Callable[..., Any] | None:
    """A method that Tensor does not have by itself, and PyTorch's has: the function of that name.

    `x.name_(...)`, where there is only the function, writes its result into x.
    """
    if name not in public_names()["torch.Tensor"]:
        return None
    function = _function(name)
    base = None if function or not name.endswith("_") else _function(name[:-1])
    if base is None:
        return function and _as_method(name, function)

    def in_place(self: Any, *args: Any, **keywords: Any) -> Any:
        return self.copy_(base(self, *args, **keywords))

    return _as_method(name, in_place)


def _function(name: str) -> Callable[..., Any] | None:
    """The function `torch.NAME`, where the package has it."""
    known = name in public_names()["torch"]
    function = getattr(sys.modules["chainrule.torch"], name, None) if known else None
    return function if inspect.isfunction(function) else None


def _as_method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    put(Tensor, name, function)
    return function


def wear() -> None:
    """Put the face on, and PyTorch's keywords on the methods of Tensor."""
    for source in reversed(Tensor.__mro__[:-1]):
        for name, value in vars(source).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                put(Tensor, name, adapted(value))
    put_all(Tensor, TensorFace)
