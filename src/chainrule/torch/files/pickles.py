"""A safe interpreter for the pickles in PyTorch's files.

Python's unpickler imports and calls what a file names. This one knows the opcodes that build
numbers, text and containers, and a short list of names: PyTorch's tensors, parameters, sizes,
devices and dtypes, `OrderedDict`, sets, and NumPy's numbers. Any other opcode or name raises
FormatError, and no name is imported. Work and memory are bounded by the size of the file.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from chainrule.errors import FormatError
from chainrule.nn.parameter import Parameter
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter.dtypes import NAMES, Size, stored
from chainrule.torch.adapter.placement import device
from chainrule.torch.adapter.tensors import LEGACY

_MAX_RANK = 64
_HARMLESS = 2**26
_POINTER = 8
_KEYS = (str, int, float, bool, bytes, type(None))

_STORAGES = {f"torch {name.removesuffix('Tensor')}Storage": kind for name, kind in LEGACY.items()}
_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "f2", "f4", "f8"}
"""NumPy's codes of the scalars that a file may contain."""


Order = Literal["<", ">"]
_ORDERS: dict[Any, Order] = {"<": "<", ">": ">", "|": "<"}
_AS_INTEGERS = {"bfloat16": "u2", "bool": "u1"}


def bytes_of(kind: str, count: int) -> int:
    """The number of bytes of so many elements in a file."""
    return count * np.dtype(_AS_INTEGERS.get(kind, kind)).itemsize


class Storage(NamedTuple):
    """The elements of a storage in a file, and PyTorch's name of their type."""

    numbers: Array
    kind: str

    @classmethod
    def of(cls, data: bytes, kind: str, order: Order = "<") -> Storage:
        """The elements of a storage. Those of bfloat16 and bool are read as integers."""
        written = np.dtype(_AS_INTEGERS.get(kind, kind)).newbyteorder(order)
        return cls(np.frombuffer(data, written), kind)


class Array0:
    """An array of NumPy's before its numbers are read."""


class Named:
    """A name that the pickle may call."""

    def __init__(self, name: str) -> None:
        self.name = name


class Entry(NamedTuple):
    """The description of a storage in a file: type, key, and number of elements."""

    kind: str
    key: str
    numbers: int


class Unpickler:
    """Builds the object of one pickle. `storage(entry)` returns the storage that it refers to.

    Raises FormatError, naming `where`, for everything that is not as PyTorch writes it.
    """

    def __init__(self, where: str, size: int, storage: Callable[[Entry], Storage]) -> None:
        self.where = where
        self._left = 4 * size + _HARMLESS
        self._storage = storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._newest = -1

    def load(self, stream: BinaryIO) -> Any:
        """Read up to the end of the pickle and return its object."""
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "STOP":
                    return self._result()
                self._do(opcode.name, argument)
        except FormatError:
            raise
        except Exception as error:
            raise FormatError(f"{self.where}: the pickle is damaged: {error!s:.200}") from error
        raise self._damage("it has no end")

    def _result(self) -> Any:
        (value,) = self._stack
        if self._marks or isinstance(value, (Named, Storage)):
            raise self._damage("it ends in the middle")
        return value

    def _damage(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: the pickle is not one of PyTorch's: {what:.200}")

    def _spend(self, size: int) -> None:
        """Refuse a file that needs much more memory than its own size."""
        self._left -= size
        if self._left < 0:
            raise self._damage("it asks for far more memory than the file has")

    # -- opcodes -------------------------------------------------------------------------------

    def _do(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self._newest = len(self._memo) if argument is None else argument
            self._memo[self._newest] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in _STEPS:
            _STEPS[name](self)
        elif name == "GLOBAL":
            stack.append(self._named(argument))
        elif name not in ("PROTO", "FRAME"):
            raise self._damage(f"the opcode {name} could run code")

    def _items(self) -> list[Any]:
        """What was pushed since the last mark."""
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _last(self, count: int) -> list[Any]:
        items = [self._stack.pop() for _ in range(count)]
        return items[::-1]

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise self._damage("it appends to what is no list")
        target.extend(items)

    def _add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not set:
            raise self._damage("it adds to what is no set")
        target.update(map(self._key, items))

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise self._damage("it sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def _key(self, key: Any) -> Any:
        """Check that a key of a dict consists of plain values, which compare quickly."""
        parts = key if type(key) is tuple else (key,)
        if not all(type(part) in _KEYS for part in parts):
            raise self._damage(f"a key is a {type(key).__name__}")
        return key

    def _build(self) -> None:
        """Set the state of an object. Attributes of containers (`_metadata`) are ignored."""
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Array0):
            self._stack[-1] = array = self._array(*state[1:])
            if self._memo.get(self._newest) is target:
                self._memo[self._newest] = array
        elif isinstance(target, np.dtype):
            self._stack[-1] = target.newbyteorder(_ORDERS[state[1]])
        elif type(target) is not dict or type(state) is not dict:
            raise self._damage(f"it sets attributes of a {type(target).__name__}")

    def _stack_global(self) -> None:
        module, name = self._last(2)
        self._stack.append(self._named(f"{module} {name}"))

    def _named(self, name: str) -> Any:
        """A name from the list, or a dtype."""
        module, _, last = name.partition(" ")
        if module == "torch" and last in NAMES:
            return NAMES[last]
        if name in _STORAGES or name in _CALLS or name in _MENTIONED:
            return Named(name)
        raise FormatError(
            f"{self.where} refers to {name.replace(' ', '.')!r:.100}: loading it would run code",
            expected="tensors, numbers, text and containers of them",
            instead=_advice(module),
        )

    def _reduce(self) -> None:
        function, args = self._last(2)
        if (
            not isinstance(function, Named)
            or function.name not in _CALLS
            or type(args) is not tuple
        ):
            raise self._damage("it calls what is no function")
        self._stack.append(getattr(self, _CALLS[function.name])(*args))

    def _persistent(self) -> None:
        """A storage, from ("storage", its type, key, device, number of elements)."""
        tag, kind, key, _, count, *views = self._stack.pop()
        if tag != "storage" or not isinstance(kind, Named) or any(v is not None for v in views):
            raise self._damage("it refers to something that is no storage")
        if type(key) is not str or type(count) is not int or count < 0:
            raise self._damage("a storage has no key or no size")
        self._stack.append(self._storage(Entry(_STORAGES[kind.name], key, count)))

    # -- calls ---------------------------------------------------------------------------------

    def _dict(self, *args: Any) -> dict[Any, Any]:
        """An OrderedDict, empty or of pairs; or a defaultdict, without its factory."""
        pairs = args[0] if args and isinstance(args[0], list) else []
        self._spend(_POINTER * len(pairs))
        return {self._key(key): value for key, value in pairs}

    def _new_set(self, items: Any = ()) -> set[Any]:
        self._spend(_POINTER * len(items))
        return set(map(self._key, items))

    def _new_frozenset(self, items: Any = ()) -> frozenset[Any]:
        return frozenset(self._new_set(items))

    def _size(self, sizes: Any = ()) -> Size:
        self._spend(_POINTER * len(sizes))
        return Size(tuple(sizes))

    def _device(self, *args: Any) -> device:
        return device(*args)

    def _bytes(self, text: str, encoding: str) -> bytes:
        self._spend(len(text))
        if encoding != "latin1":
            raise self._damage("bytes are not as PyTorch writes them")
        return text.encode("latin1")

    def _numpy_dtype(self, code: str, *_: Any) -> Any:
        if code not in _NUMBERS:
            raise self._damage(f"a number is of NumPy's dtype {code!r}")
        return np.dtype(code)

    def _scalar(self, dtype: Any, data: bytes) -> Any:
        if not isinstance(dtype, np.dtype) or len(data) != dtype.itemsize:
            raise self._damage("a number has another size than its dtype")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))[0]

    def _array_to_come(self, *_: Any) -> Array0:
        return Array0()

    def _array(self, shape: Any, dtype: Any, in_columns: Any, data: Any) -> Array:
        """A NumPy array in row-major or column-major order."""
        content = data.encode("latin1") if type(data) is str else data
        count = math.prod(shape) if type(shape) is tuple and len(shape) <= _MAX_RANK else -1
        if not isinstance(dtype, np.dtype) or len(content) != count * dtype.itemsize:
            raise self._damage("an array has another size than its numbers")
        self._spend(len(content))
        order: Literal["C", "F"] = "F" if in_columns else "C"
        return np.array(np.frombuffer(content, dtype).reshape(shape, order=order))

    def _parameter(self, data: Any, requires_grad: Any = True, *_: Any) -> Parameter:
        return Parameter(data, bool(requires_grad))

    def _tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *_: Any
    ) -> Tensor:
        """A tensor of `size` over a storage, with `stride` and `offset`."""
        if not isinstance(storage, Storage) or type(size) is not tuple or type(stride) is not tuple:
            raise self._damage("a tensor has no storage, size or strides")
        whole = (offset, *size, *stride)
        if not all(type(n) is int and n >= 0 for n in whole) or len(size) != len(stride):
            raise self._damage(f"a tensor has the size {size!r:.80} and strides {stride!r:.80}")
        if len(size) > _MAX_RANK:
            raise self._damage(f"a tensor has {len(size)} dimensions")
        end = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
        count = math.prod(size)
        if count and end > storage.numbers.size:
            raise self._damage(f"a tensor of size {size!r:.80} is larger than its storage")
        self._spend(count * storage.numbers.itemsize)
        array = (
            _strided(storage.numbers, offset, size, stride)
            if count
            else np.empty(size, storage.numbers.dtype)
        )
        tensor = from_numpy(_decoded(array, storage.kind))
        return tensor.requires_grad_() if requires_grad is True else tensor


def _strided(numbers: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _decoded(array: Array, kind: str) -> Array:
    """The elements in native byte order; bfloat16 is the upper half of a float32."""
    native = np.array(array, array.dtype.newbyteorder("="), order="C")
    if kind == "bool":
        return np.asarray(native != 0)
    if kind != "bfloat16":
        return native
    stored(NAMES["bfloat16"])  # warns once that bfloat16 is stored as float32
    return np.asarray(native.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _advice(module: str) -> str:
    if module.startswith(("torch.nn", "__main__")) or "." not in module:
        return (
            "It seems to hold a whole model. Where it was written, save the weights alone: "
            "torch.save(model.state_dict(), path)."
        )
    return "Where it was written, save tensors and plain values alone."


_VALUES = {
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "FLOAT",
    "BINFLOAT",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BINSTRING",
    "SHORT_BINSTRING",
    "STRING",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}

_STEPS: dict[str, Callable[[Unpickler], Any]] = {
    "TUPLE": lambda u: u._stack.append(tuple(u._items())),
    "TUPLE1": lambda u: u._stack.append(tuple(u._last(1))),
    "TUPLE2": lambda u: u._stack.append(tuple(u._last(2))),
    "TUPLE3": lambda u: u._stack.append(tuple(u._last(3))),
    "LIST": lambda u: u._stack.append(u._items()),
    "DICT": lambda u: u._stack.append(u._dict([*zip(*[iter(u._items())] * 2, strict=True)])),
    "FROZENSET": lambda u: u._stack.append(u._new_frozenset(u._items())),
    "APPEND": lambda u: u._append(u._last(1)),
    "APPENDS": lambda u: u._append(u._items()),
    "SETITEM": lambda u: u._set(u._last(2)),
    "SETITEMS": lambda u: u._set(u._items()),
    "ADDITEMS": lambda u: u._add(u._items()),
    "POP": lambda u: u._stack.pop(),
    "POP_MARK": lambda u: u._items(),
    "DUP": lambda u: u._stack.append(u._stack[-1]),
    "STACK_GLOBAL": Unpickler._stack_global,
    "REDUCE": Unpickler._reduce,
    "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent,
}
"""Opcode → its action. Opcodes that create instances of classes are missing on purpose."""

_CALLS = {
    "collections OrderedDict": "_dict",
    "collections defaultdict": "_dict",
    "torch Size": "_size",
    "torch device": "_device",
    "torch._utils _rebuild_tensor": "_tensor",
    "torch._utils _rebuild_tensor_v2": "_tensor",
    "torch._utils _rebuild_parameter": "_parameter",
    "_codecs encode": "_bytes",
    "numpy dtype": "_numpy_dtype",
}
_MENTIONED = {f"{home} {kind}" for home in ("builtins", "__builtin__") for kind in ("list", "dict")}
_MENTIONED.add("numpy ndarray")
"""Names that a pickle does not call: the factory of a defaultdict, the class of arrays."""
_CALLS |= {f"{home} set": "_new_set" for home in ("builtins", "__builtin__")}
_CALLS |= {f"{home} frozenset": "_new_frozenset" for home in ("builtins", "__builtin__")}
_CALLS |= {f"numpy.{core}.multiarray _reconstruct": "_array_to_come" for core in ("core", "_core")}
_CALLS |= {f"numpy.{core}.multiarray scalar": "_scalar" for core in ("core", "_core")}
