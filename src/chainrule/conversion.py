"""Conversions of a tensor to NumPy arrays, Python numbers, text, and HTML for notebooks.

Inside a capture a tensor has no numbers, and under `vmap` it has one for each example. Each
conversion then raises an error that names the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import tape
from chainrule.errors import ArgumentError, DTypeError, GradientError
from chainrule.graph import StandIn
from chainrule.interpreters import top
from chainrule.primitive import Array

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Conversion:
    """The conversions of a Tensor to other types."""

    __slots__ = ()

    def _numbers(self: Any, purpose: str) -> Array:
        """The array. Raises the error of a stand-in, with the line, if it has no numbers."""
        data = top().read(self)
        if not isinstance(data, StandIn):
            return data
        numbers = top().known(data)
        if numbers is None:
            raise data.refusal(f"{purpose} at {tape.describe(tape.caller())}")
        return numbers

    def numpy(self: Any) -> Array:
        """A read-only NumPy view of the numbers. Copy it (`.numpy().copy()`) to change it.

        Raises GradientError for a tensor that requires gradients.
        """
        if self._requires_grad:
            raise GradientError(
                "NumPy cannot follow gradients, and this tensor requires them",
                instead="Use x.detach().numpy().",
            )
        view: Array = self._numbers(".numpy()").view()
        view.flags.writeable = False
        return view

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ArgumentError(f"{array.dtype} as {np.dtype(dtype)} needs a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self: Any, **kwargs: Any) -> Any:
        return self._numbers("__dlpack__").__dlpack__(**kwargs)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        return (1, 0)

    def item(self: Any) -> Any:
        """The number in a tensor of one element, as a Python scalar.

        Raises ArgumentError for a tensor of another size.
        """
        array = self._numbers(".item()")
        if array.size != 1:
            raise ArgumentError(
                "only a tensor of one element is one number", given=f"shape {self.shape}"
            )
        return array.item()

    def tolist(self: Any) -> Any:
        """The numbers as nested lists of Python scalars, or as a scalar for a 0-d tensor."""
        return self._numbers(".tolist()").tolist()

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __index__(self: Any) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError("only an integer tensor can be an index", given=self.dtype)
        return int(self.item())

    def __bool__(self: Any) -> bool:
        array = self._numbers("the truth of a tensor (if, while, and, or)")
        if array.size != 1:
            raise ArgumentError(
                f"the truth of a tensor with {array.size} elements is ambiguous",
                instead="Use x.any() or x.all().",
            )
        return bool(array)

    def __len__(self: Any) -> int:
        if not self.shape:
            raise DTypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self: Any) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self: Any, value: Any) -> bool:
        return bool((self == value).any())

    def __format__(self: Any, spec: str) -> str:
        if not self.shape and not isinstance(self._data, StandIn):
            return format(self.item(), spec)
        if spec:
            raise DTypeError(
                f"the format {spec!r} is for one number",
                given=f"shape {self.shape}",
                instead="Format the elements: x.tolist().",
            )
        return str(self)

    def __repr__(self: Any) -> str:
        return text(self)

    def _repr_html_(self: Any) -> str:
        return html(self)


# -- text ------------------------------------------------------------------------------------------

_PLAIN = (np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_))
_SHOWN = 10


def text(x: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`: the numbers, then what differs from the default."""
    data = x._data
    if isinstance(data, StandIn):
        return f"tensor({data})"
    notes = "" if x.dtype in _PLAIN else f", dtype={x.dtype}"
    if x._node is not None:
        notes += f", from={x._node.primitive.name}"
    elif x._requires_grad:
        notes += ", requires_grad=True"
    if data.size == 0 and data.shape != (0,):
        notes = f", shape={data.shape}" + notes
    body = np.array2string(data, separator=", ", prefix="tensor(", threshold=1000, precision=4)
    return f"tensor({body}{notes})"


def html(x: Tensor) -> str:
    """A table of the first rows and columns of a vector or matrix, below its shape and dtype."""
    title = f"<b>tensor</b> {x.spec}" + (" · requires grad" if x.requires_grad else "")
    if isinstance(x._data, StandIn):
        return f"<div>{title}</div>"
    if x.ndim not in (1, 2):
        return f"<div>{title}</div><pre>{np.array2string(x._data, precision=4)}</pre>"
    rows = np.atleast_2d(x._data)[:_SHOWN, :_SHOWN]
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    whole = rows.size == x._data.size
    more = "" if whole else f"<div>the first {_SHOWN} rows and columns</div>"
    return f"<div>{title}<table>{body}</table>{more}</div>"


def _cell(value: np.generic) -> str:
    return f"{value:.4g}" if value.dtype.kind == "f" else str(value)
