"""The operators and methods of Tensor; each names its op.

The op is looked up by name when the method is called. So the modules of ops can import Tensor, and
this module imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.primitive import Primitive, operations

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

Operator = Callable[[Any, Any], Any]


def _binary(name: str) -> Operator:
    return lambda self, other: Primitive.gateway(name, self, other)


def _reflected(name: str) -> Operator:
    return lambda self, other: Primitive.gateway(name, other, self)


def _swapped(name: str) -> Operator:
    return lambda self, other: operations[name](other, self)


def _comparison(name: str) -> Operator:
    def operator(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return Primitive.gateway(name, self, other)

    return operator


def _in_place(name: str) -> Operator:
    return lambda self, other: self.assign(operations[name](self, other))


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return operations[name](self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"`x.{name}(...)` is `chainrule.{name}(x, ...)`."
    return method


class Methods:
    """The operators and methods of Tensor."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__, __radd__, __iadd__ = _binary("add"), _reflected("add"), _in_place("add")
    __sub__, __rsub__, __isub__ = _binary("sub"), _reflected("sub"), _in_place("sub")
    __mul__, __rmul__, __imul__ = _binary("mul"), _reflected("mul"), _in_place("mul")
    __truediv__, __rtruediv__ = _binary("div"), _reflected("div")
    __itruediv__ = _in_place("div")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __pow__, __rpow__ = _method("pow"), _reflected("pow")
    __ifloordiv__, __imod__ = _in_place("floor_divide"), _in_place("remainder")
    __ipow__ = _in_place("pow")
    __and__, __rand__ = _binary("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor"), _reflected("bitwise_xor")
    __eq__, __ne__ = _comparison("eq"), _comparison("ne")
    __lt__, __le__ = _comparison("lt"), _comparison("le")
    __gt__, __ge__ = _comparison("gt"), _comparison("ge")
    __neg__ = neg = _method("neg")
    __abs__ = abs = _method("abs")
    __invert__ = _method("bitwise_not")
    __matmul__ = matmul = _method("matmul")
    __rmatmul__ = _swapped("matmul")
    __getitem__ = _method("getitem")

    add, sub, mul, div = _method("add"), _method("sub"), _method("mul"), _method("div")
    pow, square, sign = _method("pow"), _method("square"), _method("sign")
    maximum, minimum = _method("maximum"), _method("minimum")
    exp, expm1, log, log1p = _method("exp"), _method("expm1"), _method("log"), _method("log1p")
    sqrt, rsqrt = _method("sqrt"), _method("rsqrt")
    sin, cos, tan, arctan = _method("sin"), _method("cos"), _method("tan"), _method("arctan")
    sinh, cosh, tanh = _method("sinh"), _method("cosh"), _method("tanh")
    sigmoid, relu, erf = _method("sigmoid"), _method("relu"), _method("erf")
    floor, ceil, round, trunc = (
        _method("floor"), _method("ceil"), _method("round"), _method("trunc"),
    )  # fmt: skip
    eq, ne, lt, le, gt, ge = (
        _method("eq"), _method("ne"), _method("lt"), _method("le"), _method("gt"), _method("ge"),
    )  # fmt: skip
    isnan, isinf, isfinite = _method("isnan"), _method("isinf"), _method("isfinite")
    clamp, clone, astype = _method("clamp"), _method("clone"), _method("astype")

    sum, mean, prod, var, std = (
        _method("sum"), _method("mean"), _method("prod"), _method("var"), _method("std"),
    )  # fmt: skip
    norm, logsumexp, cumsum = _method("norm"), _method("logsumexp"), _method("cumsum")
    softmax, log_softmax = _method("softmax"), _method("log_softmax")
    max, min, amax, amin = _method("max"), _method("min"), _method("amax"), _method("amin")
    argmax, argmin, argsort = _method("argmax"), _method("argmin"), _method("argsort")
    sort, topk, all, any = _method("sort"), _method("topk"), _method("all"), _method("any")
    sum_to_size = _method("sum_to_size")

    reshape, view, flatten = _method("reshape"), _method("view"), _method("flatten")
    permute, transpose, movedim = _method("permute"), _method("transpose"), _method("movedim")
    squeeze, unsqueeze, expand = _method("squeeze"), _method("unsqueeze"), _method("expand")
    flip, roll, tile, split = _method("flip"), _method("roll"), _method("tile"), _method("split")
    chunk, tril, triu = _method("chunk"), _method("tril"), _method("triu")
    gather, nonzero, index_put = _method("gather"), _method("nonzero"), _method("index_put")

    @property
    def T(self: Any) -> Tensor:
        """The dimensions in reverse order."""
        return Primitive.gateway("permute", self, dims=tuple(range(self.ndim))[::-1])

    @property
    def mT(self: Any) -> Tensor:
        """The last two dimensions exchanged: each matrix transposed."""
        n = self.ndim
        if n < 2:
            raise ShapeError("only matrices are transposed", given=self.shape)
        return Primitive.gateway("permute", self, dims=(*range(n - 2), n - 1, n - 2))

    @property
    def device(self) -> str:
        """Where the numbers are: always `cpu`."""
        return "cpu"

    def size(self: Any, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self: Any) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self: Any) -> int:
        """The number of elements."""
        return self.spec.size

    def to(self: Any, *targets: Any, dtype: Any = None) -> Tensor:
        """Convert to another dtype. The device `cpu` is accepted and changes nothing.

        Returns the tensor itself if it has the dtype. Raises DTypeError for another device.
        """
        for target in (*targets, dtype):
            if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "mps"):
                if target != "cpu":
                    raise DTypeError("Chainrule computes on the CPU", given=target)
            elif target is not None:
                dtype = np.dtype(target)
        return self if dtype is None or dtype == self.dtype else self.astype(dtype)

    def cpu(self: Any) -> Tensor:
        """The tensor itself, since all tensors are on the CPU."""
        return self

    def contiguous(self: Any) -> Tensor:
        """The tensor itself, since the memory layout of a tensor does not affect results."""
        return self

    def float(self: Any) -> Tensor:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: Any) -> Tensor:
        """Convert to float64."""
        return self.to(np.float64)

    def half(self: Any) -> Tensor:
        """Convert to float16."""
        return self.to(np.float16)

    def long(self: Any) -> Tensor:
        """Convert to int64."""
        return self.to(np.int64)

    def int(self: Any) -> Tensor:
        """Convert to int32."""
        return self.to(np.int32)

    def bool(self: Any) -> Tensor:
        """Whether each element is not zero."""
        return self != 0

    def type_as(self: Any, other: Any) -> Tensor:
        """Convert to the dtype of another tensor."""
        return self.to(other.dtype)

    def view_as(self: Any, other: Any) -> Tensor:
        """Reshape to the shape of another tensor."""
        return self.reshape(other.shape)

    def zero_(self: Any) -> Tensor:
        """Assign 0 to all elements."""
        return self.assign(0)

    def fill_(self: Any, value: Any) -> Tensor:
        """Assign one value to all elements."""
        return self.assign(value)

    def copy_(self: Any, other: Any) -> Tensor:
        """Assign another tensor, converted to this dtype and broadcast to this shape."""
        return self.assign(other.to(self.dtype).expand(self.shape))

    def add_(self: Any, other: Any, alpha: Any = 1) -> Tensor:
        """Assign x + alpha · other."""
        return self.assign(self + (other if alpha == 1 else other * alpha))

    def sub_(self: Any, other: Any, alpha: Any = 1) -> Tensor:
        """Assign x − alpha · other."""
        return self.assign(self - (other if alpha == 1 else other * alpha))

    def mul_(self: Any, other: Any) -> Tensor:
        """Assign x · other."""
        return self.assign(self * other)
